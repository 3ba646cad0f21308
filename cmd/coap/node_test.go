package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/message"
	"github.com/motewire/coap/transport"
)

// node serves the resources of these tests on loopback and returns its URI.
func node(t *testing.T, groups ...coap.Group) (uri string) {
	t.Helper()
	return serving(t, resources(), groups...)
}

// serving is node for a handler.
func serving(t *testing.T, h coap.Handler, groups ...coap.Group) (uri string) {
	t.Helper()
	address := "127.0.0.1:0"
	if groups != nil {
		address = ":0"
	}
	conn, err := transport.Listen(t.Context(), "udp4", address, transport.Config{})
	if err != nil {
		t.Fatal(err)
	}
	srv := &coap.Server{Handler: h, Groups: groups, Params: coap.Params{DefaultLeisure: -1}}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(context.Background(), conn) }()
	t.Cleanup(func() {
		if err := srv.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return fmt.Sprintf("coap://127.0.0.1:%d", conn.LocalAddr().Port())
}

func resources() *coap.Mux {
	var mu sync.Mutex // a slow machine has handlers run beside each other
	value := "22.5"
	locked := func(f func()) {
		mu.Lock()
		defer mu.Unlock()
		f()
	}
	mux := coap.NewMux()
	mux.HandleFunc("GET /value", func(w coap.ResponseWriter, _ *coap.Request) {
		w.SetContentFormat(message.TextPlain)
		locked(func() { w.WriteString(value) })
	}, coap.ResourceType("temperature"), coap.Title("Value"))
	mux.HandleFunc("PUT /value", func(_ coap.ResponseWriter, r *coap.Request) {
		locked(func() { value = string(r.Payload()) })
	})
	mux.HandleFunc("POST /value", func(w coap.ResponseWriter, r *coap.Request) {
		w.SetCode(message.Created)
		w.SetLocation("/value/1")
	})
	mux.HandleFunc("DELETE /value", func(coap.ResponseWriter, *coap.Request) {})
	for _, method := range []string{"FETCH", "PATCH", "IPATCH"} {
		mux.HandleFunc(method+" /value", func(w coap.ResponseWriter, r *coap.Request) { w.Write(r.Payload()) })
	}
	mux.HandleFunc("GET /json", func(w coap.ResponseWriter, _ *coap.Request) {
		w.SetContentFormat(message.AppJSON)
		w.SetETag([]byte{1, 2})
		w.WriteString(`{"value":22.5}`)
	})
	mux.HandleFunc("GET /bytes", func(w coap.ResponseWriter, _ *coap.Request) { w.Write([]byte{0, 0xff, '\n', 0}) })
	mux.HandleFunc("GET /seen", func(w coap.ResponseWriter, r *coap.Request) { w.WriteString(r.Message().String()) })
	mux.HandleFunc("GET /from", func(w coap.ResponseWriter, r *coap.Request) { w.WriteString(r.Peer().String()) })
	mux.HandleFunc("GET /forbidden", func(w coap.ResponseWriter, _ *coap.Request) {
		coap.Error(w, message.Forbidden, "not\x1b[2J for you")
	})
	mux.HandleFunc("GET /broken", func(w coap.ResponseWriter, _ *coap.Request) {
		w.SetCode(message.ServiceUnavailable)
		w.SetContentFormat(message.AppJSON)
		w.WriteString(`{"try":"later"}`)
	})
	mux.HandleFunc("GET /large", func(w coap.ResponseWriter, _ *coap.Request) {
		w.SetContentFormat(message.TextPlain)
		w.WriteString(digits(1100))
	})
	var stored []byte
	mux.HandleFunc("GET /stored", func(w coap.ResponseWriter, _ *coap.Request) {
		locked(func() { w.Write(stored) })
	})
	mux.HandleFunc("PUT /stored", func(w coap.ResponseWriter, r *coap.Request) {
		locked(func() { stored = bytes.Clone(r.Payload()) })
		if f, ok := r.ContentFormat(); ok {
			w.SetContentFormat(f)
			w.WriteString("as " + f.String())
		}
	})
	mux.HandleFunc("PUT /small", func(coap.ResponseWriter, *coap.Request) {}, coap.BodyLimit(2000))
	return mux
}

// digits is a line of n bytes that differ from place to place.
func digits(n int) string {
	var b strings.Builder
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "%d ", i)
	}
	return b.String()[:n-1] + "\n"
}

// A rawPeer answers each datagram as it likes, nil being silence.
func rawPeer(t *testing.T, answer func(*message.View) []byte) (uri string) {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 2048)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			var v message.View
			if v.Parse(buf[:n]) != nil {
				continue
			}
			if b := answer(&v); b != nil {
				conn.WriteToUDPAddrPort(b, from)
			}
		}
	}()
	t.Cleanup(func() {
		conn.Close()
		<-done
	})
	return "coap://" + conn.LocalAddr().String()
}

func silence(*message.View) []byte { return nil }

// resets rejects everything (RFC 7252 §4.2).
func resets(v *message.View) []byte { return []byte{0x70, 0, byte(v.ID() >> 8), byte(v.ID())} }

// piggybacked makes an answer with one option.
func piggybacked(v *message.View, code message.Code, n message.OptionNumber, value []byte) []byte {
	e := message.AppendHeader(nil, message.Acknowledgement, code, v.ID(), v.Token())
	e.Option(n, value)
	b, _ := e.Finish(nil)
	return b
}

// refusedPort returns the URI of a port that nobody listens on.
func refusedPort(t *testing.T) (uri string) {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return "coap://" + conn.LocalAddr().String()
}

// onTerminal runs a command line in process, as on a terminal without colours.
func onTerminal(t *testing.T, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	c := &cli{stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr, stdoutTerminal: true, color: colorNever, getenv: os.Getenv}
	status := c.run(t.Context(), args)
	return result{status, stdout.String(), stderr.String()}
}

// volatile are what differs from run to run.
var volatile = []struct {
	pattern *regexp.Regexp
	text    string
}{
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), "PEER"},
	{regexp.MustCompile(`"time":"[^"]*"`), `"time":"TIME"`},
	{regexp.MustCompile(`"rtt_ms":[0-9.e-]+`), `"rtt_ms":RTT`},
	{regexp.MustCompile(`(?m)^(! |)\d+\.\d{6}`), "${1}TIME"},
	{regexp.MustCompile(`(?m)^(! |)    000000.*$`), "${1}    HEX"},
	{regexp.MustCompile(`id=0x[0-9a-f]{4}`), "id=ID"},
	{regexp.MustCompile(`token=[0-9a-f]{16}`), "token=TOKEN"},
	{regexp.MustCompile(`\d+\.\d{3}/\d+\.\d{3}/\d+\.\d{3} ms`), "RTT/RTT/RTT ms"},
	{regexp.MustCompile(`\d+\.\d{3} ms`), "RTT ms"},
}

func stable(s string) string {
	for _, v := range volatile {
		s = v.pattern.ReplaceAllString(s, v.text)
	}
	return s
}

// within gives a command line that should not take long a moment.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func port(t *testing.T, uri string) uint16 {
	t.Helper()
	a, err := netip.ParseAddrPort(strings.TrimPrefix(uri, "coap://"))
	if err != nil {
		t.Fatal(err)
	}
	return a.Port()
}

// loopback names the loopback interface.
func loopback(t *testing.T) string {
	t.Helper()
	if ifi := interfaceOf(netip.MustParseAddr("127.0.0.1")); ifi != nil {
		return ifi.Name
	}
	t.Skip("no loopback interface")
	return ""
}
