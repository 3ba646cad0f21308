package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/motewire/coap/internal/load"
	"github.com/motewire/coap/message"
)

// A bench is a load to make and to measure.
type bench struct {
	method         string
	nonConfirmable bool
	text           textValue
	file           string
	contentFormat  formatValue
	accept         formatValue
	options        []message.Option
	ports, window  uint
	rate           float64
	duration       time.Duration
	requests       uint
	retries        uint
	ackTimeout     time.Duration
	pid            uint
	json           bool

	uri  string
	code message.Code
	peer netip.AddrPort
}

func (c *cli) benchCommand() *cobra.Command {
	b := &bench{duration: 10 * time.Second, ackTimeout: 2 * time.Second}
	cmd := &cobra.Command{
		Use:   "bench URI",
		Short: "Load a server and measure its latency",
		Long: `bench makes requests as fast as they are answered, from a number of source ports with a
number of requests under way each, or with --rate so many per second, whatever becomes of
earlier ones. Latency then counts from when a request was due. It keeps no congestion
control (RFC 7252 §4.7, §4.8): load servers of your own only.

Message IDs are never used again: a source port that has used all 65536 is replaced by a
fresh one. Block-wise transfer is not carried out; a first block is an answer.

Exit status: 0 some requests were answered, whatever the code, 3 none was, 130
interrupted.`,
		Example: `  coap bench localhost/temperature
  coap bench --ports 64 --window 16 -s 30 coap://[::1]/hello
  coap bench --rate 5000 --json localhost/hello
  coap bench -m put -e 22.5 -n 10000 localhost/temperature
  coap bench --pid "$(pgrep -n coap-server)" localhost/time`,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if b.uri, err = uriArgument("bench", args); err != nil {
				return err
			}
			if b.window == 0 && b.rate == 0 {
				b.window = 4
			}
			if b.requests > 0 && !cmd.Flags().Changed("duration") {
				b.duration = 0
			}
			return c.bench(cmd.Context(), b)
		},
	}
	b.define(cmd.Flags())
	return cmd
}

// define adds the flags to a set.
func (b *bench) define(f *pflag.FlagSet) {
	f.SortFlags = false
	f.StringVarP(&b.method, "method", "m", "get", "`METHOD` of the requests: get, put, post, …")
	f.BoolVarP(&b.nonConfirmable, "non", "N", false, "send the requests non-confirmable")
	f.VarP(&b.text, "payload", "e", "send `TEXT` as it stands, without percent-decoding")
	f.StringVarP(&b.file, "file", "f", "", "send the content of `FILE`, - is standard input")
	f.VarP(&b.contentFormat, "content-format", "t", "Content-Format of the payload: number, media type or alias")
	f.VarP(&b.accept, "accept", "A", "Content-Format that is wanted: number, media type or alias")
	f.VarP((*optionsValue)(&b.options), "option", "O", "add an option; 0x… is hex; may be repeated")
	f.UintVar(&b.ports, "ports", 16, "send from `N` source ports")
	f.UintVar(&b.window, "window", 0, "keep up to `N` requests open on each port (default 4; --rate: 1024)")
	f.Float64Var(&b.rate, "rate", 0, "send `N` requests per second, answered or not")
	f.VarP((*secondsValue)(&b.duration), "duration", "s", "go on for that time, or with -n as long as it takes")
	f.UintVarP(&b.requests, "requests", "n", 0, "end after `N` requests")
	f.UintVar(&b.retries, "retries", 4, "retransmit up to `N` times")
	f.Var((*secondsValue)(&b.ackTimeout), "ack-timeout", "wait that long to 1.5 times it for an acknowledgement")
	f.UintVar(&b.pid, "pid", 0, "tell the CPU time that the server's process `N` takes (Linux)")
	f.BoolVar(&b.json, "json", false, "print the result as one JSON object")
}

// config returns the load, and an error for a command line that makes none.
func (b *bench) config(ctx context.Context) (cfg load.Config, err error) {
	found := false
	for _, m := range requestMethods {
		if strings.EqualFold(m.name, b.method) {
			b.code, found = m.code, true
		}
	}
	switch {
	case !found:
		return cfg, usageErrorf("-m %s: say get, put, post, delete, fetch, patch or ipatch", b.method)
	case b.text.set && b.file != "":
		return cfg, usageErrorf("-e and -f: say one of them")
	case b.ports < 1 || b.ports > 10_000:
		return cfg, usageErrorf("--ports %d: say 1 to 10000", b.ports)
	case b.window > load.MaxWindow:
		return cfg, usageErrorf("--window %d: say 1 to %d", b.window, load.MaxWindow)
	case !(b.rate >= 0 && b.rate <= load.MaxRate):
		return cfg, usageErrorf("--rate %v: say a number up to %d", b.rate, load.MaxRate)
	case b.requests > math.MaxInt32:
		return cfg, usageErrorf("-n %d: say at most %d", b.requests, math.MaxInt32)
	case b.retries > 20:
		return cfg, usageErrorf("--retries %d: say at most 20", b.retries)
	}
	u, err := parseURI(b.uri)
	if err != nil {
		return cfg, err
	}
	if b.peer, err = lookUp(ctx, u); err != nil {
		return cfg, requestError(ctx, err)
	}
	if b.peer.Addr().IsMulticast() {
		return cfg, usageErrorf("%v is a group: load makes sense for one server", b.peer.Addr())
	}
	cfg = load.Config{
		To: b.peer, Code: b.code, NonConfirmable: b.nonConfirmable,
		Options: u.AppendOptions(b.given(), b.peer),
		Ports:   int(b.ports), Window: int(b.window), Rate: b.rate,
		AckTimeout: b.ackTimeout, MaxRetransmit: int(b.retries),
	}
	if b.retries == 0 {
		cfg.MaxRetransmit = -1
	}
	message.SortOptions(cfg.Options)
	return cfg, nil
}

// given returns the options of -O, -t and -A.
func (b *bench) given() []message.Option {
	options := append([]message.Option(nil), b.options...)
	if b.contentFormat.set {
		options = append(options, uintOption(message.ContentFormat, uint32(b.contentFormat.format)))
	}
	if b.accept.set {
		options = append(options, uintOption(message.Accept, uint32(b.accept.format)))
	}
	return options
}

// lookUp returns the address of the host of a URI.
func lookUp(ctx context.Context, u message.URI) (netip.AddrPort, error) {
	if u.Addr.IsValid() {
		return netip.AddrPortFrom(u.Addr, u.Port), nil
	}
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", u.Host)
	if err != nil {
		return netip.AddrPort{}, err
	}
	return netip.AddrPortFrom(addrs[0].Unmap(), u.Port), nil
}

// maxPayload is what surely fits a datagram.
const maxPayload = 60_000

// bench makes the load and prints what came of it.
func (c *cli) bench(ctx context.Context, b *bench) error {
	cfg, err := b.config(ctx)
	if err != nil {
		return err
	}
	if cfg.Payload, err = c.benchPayload(b); err != nil {
		return ioError(err)
	}
	if len(cfg.Payload) > maxPayload {
		return usageErrorf("the payload is too long for one message, and bench sends no blocks")
	}
	g, err := load.New(ctx, cfg)
	if err != nil {
		return ioError(err)
	}
	defer g.Close()
	before, err := cpuTime(b.pid)
	if err != nil {
		return err
	}
	result, err := g.Run(ctx, b.duration, int(b.requests))
	if err != nil {
		return ioError(err)
	}
	after, err := cpuTime(b.pid)
	if err != nil {
		return err
	}
	r := newReport(b, result, after-before)
	if b.json {
		err = r.writeJSON(c.stdout)
	} else {
		err = r.writeText(c.stdout, &result.Latency)
	}
	switch {
	case err != nil:
		return ioError(err)
	case errors.Is(ctx.Err(), context.Canceled):
		return &statusError{status: exitInterrupted}
	case result.Answered == 0:
		return &statusError{exitTimeout, fmt.Errorf("%v answered no request; check host and port", b.peer)}
	}
	return nil
}

// benchPayload returns what -e or -f say, cut off behind what is too long.
func (c *cli) benchPayload(b *bench) ([]byte, error) {
	in := c.stdin
	switch b.file {
	case "":
		return []byte(b.text.text), nil
	case "-":
	default:
		f, err := os.Open(b.file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	return io.ReadAll(io.LimitReader(in, maxPayload+1))
}

// loop describes the load in words.
func (b *bench) loop() string {
	confirmable := "confirmable"
	if b.nonConfirmable {
		confirmable = "non-confirmable"
	}
	ports := fmt.Sprintf("%d ports", b.ports)
	if b.ports == 1 {
		ports = "1 port"
	}
	if b.rate > 0 {
		return fmt.Sprintf("%s %s requests/s, %s %v", ports, strconv.FormatFloat(b.rate, 'f', -1, 64), confirmable, b.code.Name())
	}
	return fmt.Sprintf("%s × window %d, %s %v", ports, b.window, confirmable, b.code.Name())
}
