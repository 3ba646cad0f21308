// Command soak runs a server, clients and hostile peers on sockets of the loopback interface
// for a long time, and tells whether what they hold grows:
//
//	go run ./internal/soak -for 30m -o table.md
//
// The load is Confirmable and Non-confirmable requests, slow handlers, bodies in blocks both
// ways, observations, clients that come and go, clients that vanish in the middle of things,
// and storms of hostile datagrams towards the server and the clients. Every -every the
// command collects garbage and writes a line. At the end it lets all lifetimes pass without
// load and gives its verdict; the exit status is 1 where something grew, was left behind or
// failed.
//
// EXCHANGE_LIFETIME follows from the transmission parameters (RFC 7252 §4.8.2): with those
// that the command uses it is 9 s, so that all tables turn over many times in a run; -rfc
// takes the RFC's, and then it is 247 s.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/transport"
)

// shortened are the parameters without -rfc: EXCHANGE_LIFETIME is 9 s.
var shortened = coap.Params{AckTimeout: 400 * time.Millisecond, MaxRetransmit: 3, MaxLatency: time.Second}

// A config says what to run.
type config struct {
	lasts   time.Duration
	every   time.Duration // between samples
	rest    time.Duration // of a client between requests
	hostile int           // datagrams a second
	seed    uint64
	params  coap.Params

	serverConns func(context.Context) ([]transport.Conn, error)
	clientConn  func(context.Context, string) (transport.Conn, error)
	leak        func() // called with each request; nil but for tests of the verdict
}

func main() {
	cfg := config{params: shortened, serverConns: loopbackServer, clientConn: loopbackClient}
	flag.DurationVar(&cfg.lasts, "for", time.Minute, "how `long` to run")
	flag.DurationVar(&cfg.every, "every", 10*time.Second, "the `time` between samples")
	flag.DurationVar(&cfg.rest, "rest", 50*time.Millisecond, "the `time` between the requests of one of nine clients")
	flag.IntVar(&cfg.hostile, "hostile", 500, "hostile `datagrams` a second")
	flag.Uint64Var(&cfg.seed, "seed", 1, "of the hostile datagrams")
	rfc := flag.Bool("rfc", false, "the RFC's transmission parameters, not shortened ones")
	file := flag.String("o", "", "write the table to this `file`, too")
	flag.Parse()
	if *rfc {
		cfg.params = coap.Params{}
	}
	out := io.Writer(os.Stdout)
	if *file != "" {
		f, err := os.Create(*file)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		defer f.Close()
		out = io.MultiWriter(out, f)
	}
	problems, err := run(context.Background(), cfg, out)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	if len(problems) > 0 {
		os.Exit(1)
	}
}

// loopbackServer opens two sockets on one port, as a server on two processors has them.
func loopbackServer(ctx context.Context) (conns []transport.Conn, err error) {
	sockets, err := transport.ListenShards(ctx, "udp4", "127.0.0.1:0", 2, transport.Config{})
	for _, s := range sockets {
		conns = append(conns, s)
	}
	return conns, err
}

func loopbackClient(ctx context.Context, _ string) (transport.Conn, error) {
	return transport.Listen(ctx, "udp4", "127.0.0.1:0", transport.Config{ReceiveBuffer: -1, SendBuffer: -1})
}

// run carries a soak out and returns what is wrong with it.
func run(ctx context.Context, cfg config, out io.Writer) (problems []string, err error) {
	before := take(nil)
	s, err := newSite(ctx, cfg)
	if err != nil {
		return nil, err
	}
	fmt.Fprint(out, header)
	samples := s.load(ctx, func(one sample) { fmt.Fprintln(out, one) })
	problems = judge(samples, s.warmUp())
	problems = append(problems, s.settle()...)
	if err := s.close(); err != nil {
		problems = append(problems, err.Error())
	}
	problems = append(problems, s.complaints()...)
	problems = append(problems, left(before, take(nil))...)
	fmt.Fprintln(out)
	for _, p := range problems {
		fmt.Fprintln(out, "FAILED:", p)
	}
	if len(problems) == 0 {
		fmt.Fprintf(out, "flat: %d requests and %d hostile datagrams in %v, %d lifetimes of %v\n",
			s.done.Load(), s.hostile.Load(), cfg.lasts, cfg.lasts/cfg.params.ExchangeLifetime(), cfg.params.ExchangeLifetime())
	}
	return problems, nil
}

// addrOf returns the address at which a socket is reached from this host.
func addrOf(conn transport.Conn) netip.AddrPort {
	a := conn.LocalAddr()
	if a.Addr().IsUnspecified() {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), a.Port())
	}
	return a
}
