package main

import (
	"bufio"
	"context"
	"fmt"
	"net/netip"
	"os"
	"runtime/pprof"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/transport"
)

// The resource that is measured. Path and representation are as long as each other, so
// that question and answer have the same length (19 bytes), and the echo's as well.
const path = "benchmarks"

var tenBytes = []byte("0123456789")

// A child is this program in one of its roles.
type child struct {
	sockets, count, dedup int
	to, profile           string
	segments              bool
}

func (c *child) run(ctx context.Context, role string) error {
	switch role {
	case "echo":
		return c.echo()
	case "blast":
		return c.blast()
	case "server":
		return c.server(ctx)
	case "go-coap":
		return c.goCoAP()
	case "client":
		return c.client(ctx)
	case "respond":
		return c.respond()
	case "raw-client":
		return c.rawClient()
	}
	return fmt.Errorf("no such role")
}

// ready tells the parent the address, and calls answer for each line that the parent
// says, until it says no more.
func ready(addr netip.AddrPort, answer func(line string) string) {
	fmt.Println(addr)
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		fmt.Println(answer(in.Text()))
	}
}

func nothing(string) string { return "" }

// server is this library's.
func (c *child) server(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	conns, err := transport.ListenShards(ctx, "udp4", "127.0.0.1:0", c.sockets, transport.Config{NoSegments: !c.segments})
	if err != nil {
		return err
	}
	var all []transport.Conn
	for _, u := range conns {
		all = append(all, u)
	}
	if c.profile != "" {
		f, err := os.Create(c.profile)
		if err != nil {
			return err
		}
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	state := coap.NewState("state-0000")
	srv := &coap.Server{
		Handler:        resources(state),
		Limits:         coap.Limits{DedupBytes: c.dedup},
		NotifyInterval: -1,
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ctx, all...) }()
	ready(conns[0].LocalAddr(), func(line string) string {
		if line != "stats" {
			state.Set(line)
		}
		s := srv.Stats()
		return fmt.Sprint(s.Messages.Remembered, s.Messages.RememberedBytes)
	})
	stop()
	return <-served
}

func resources(state *coap.State[string]) *coap.Mux {
	mux := coap.NewMux()
	mux.HandleFunc("GET /"+path, func(w coap.ResponseWriter, _ *coap.Request) { w.Write(tenBytes) })
	mux.HandleFunc("GET /slow", func(w coap.ResponseWriter, _ *coap.Request) {
		time.Sleep(time.Second)
		w.Write(tenBytes)
	})
	mux.Handle("GET /state", state)
	addBody(mux)
	for _, other := range []string{"sensors/{id}", "config", "lamps/{id}/state"} {
		mux.HandleFunc("GET /"+other, func(w coap.ResponseWriter, _ *coap.Request) { w.Write(tenBytes) })
	}
	return mux
}
