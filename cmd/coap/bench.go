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
	mix            mixValue
	block          blockValue
	ports, window  uint
	sources        uint
	observers      uint
	rate           float64
	warmUp         time.Duration
	duration       time.Duration
	requests       uint
	retries        uint
	ackTimeout     time.Duration
	pid            uint
	json           bool
	svg            string

	uri  string
	code message.Code
	peer netip.AddrPort
}

func (c *cli) benchCommand() *cobra.Command {
	b := &bench{duration: 10 * time.Second, ackTimeout: 2 * time.Second}
	cmd := &cobra.Command{
		Use:   "bench URI",
		Short: "Load a server and measure its latency",
		Long: `bench makes requests as fast as they are answered, or with --rate so many per second,
whatever becomes of earlier ones; latency then counts from when a request was due. It keeps
no congestion control (RFC 7252 §4.7): load servers of your own only. No message ID is used
again: an exhausted port is replaced. A body in blocks is one request.
Exit status: 0 some requests were answered, 3 none was, 130 interrupted.`,
		Example: `  coap bench --ports 64 --window 16 -s 30 --warm-up 5 localhost/hello
  coap bench --rate 5000 --svg latency.svg localhost/hello
  coap bench --mix get=8,put=1,non-get/hello=1 -e 22.5 --observers 100 localhost/temperature
  coap bench --pid "$(pgrep -n coap-server)" localhost/time`,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if b.uri, err = uriArgument("bench", args); err != nil {
				return err
			}
			if len(b.mix) > 0 && cmd.Flags().Changed("method") {
				return usageErrorf("-m and --mix: say one of them")
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
	f.VarP(&b.block, "block", "b", "send and ask for blocks of `SIZE` bytes")
	f.Var(&b.mix, "mix", "take turns between kinds, as [non-]METHOD[/PATH]=SHARE,…")
	f.UintVar(&b.ports, "ports", 16, "send from `N` source ports")
	f.UintVar(&b.window, "window", 0, "keep up to `N` requests open on each port (default 4; --rate: 1024)")
	f.UintVar(&b.sources, "sources", 0, "send from `N` addresses out of 127.0.0.0/8, to a server on this host")
	f.UintVar(&b.observers, "observers", 0, "register `N` observers of the URI before, and count notifications")
	f.Float64Var(&b.rate, "rate", 0, "send `N` requests per second, answered or not")
	f.VarP((*secondsValue)(&b.duration), "duration", "s", "go on for that time, or with -n as long as it takes")
	f.Var((*secondsValue)(&b.warmUp), "warm-up", "begin so much earlier without measuring")
	f.UintVarP(&b.requests, "requests", "n", 0, "end after `N` requests")
	f.UintVar(&b.retries, "retries", 4, "retransmit up to `N` times")
	f.Var((*secondsValue)(&b.ackTimeout), "ack-timeout", "wait that long to 1.5 times it for an acknowledgement")
	f.UintVar(&b.pid, "pid", 0, "tell the CPU time that the server's process `N` takes (Linux)")
	f.BoolVar(&b.json, "json", false, "print the result as one JSON object")
	f.StringVar(&b.svg, "svg", "", "draw latency over percentiles into `FILE`")
}

// check refuses a command line that makes no load, and looks up the method.
func (b *bench) check() error {
	var found bool
	b.code, found = methodNamed(b.method)
	switch {
	case !found:
		return usageErrorf("-m %s: say get, put, post, delete, fetch, patch or ipatch", b.method)
	case b.text.set && b.file != "":
		return usageErrorf("-e and -f: say one of them")
	case b.ports < 1 || b.ports > 10_000:
		return usageErrorf("--ports %d: say 1 to 10000", b.ports)
	case b.window > load.MaxWindow:
		return usageErrorf("--window %d: say 1 to %d", b.window, load.MaxWindow)
	case b.sources > load.MaxSources || b.sources > 0 && b.sources < b.ports:
		return usageErrorf("--sources %d: say one per port at least, and at most %d", b.sources, load.MaxSources)
	case b.observers > 1_000_000:
		return usageErrorf("--observers %d: say at most 1000000", b.observers)
	case b.block.single:
		return usageErrorf("-b NUM,SIZE: say a size alone")
	case !(b.rate >= 0 && b.rate <= load.MaxRate):
		return usageErrorf("--rate %v: say a number up to %d", b.rate, load.MaxRate)
	case b.requests > math.MaxInt32:
		return usageErrorf("-n %d: say at most %d", b.requests, math.MaxInt32)
	case b.retries > 20:
		return usageErrorf("--retries %d: say at most 20", b.retries)
	}
	return nil
}

// address looks the server up.
func (b *bench) address(ctx context.Context) (u message.URI, err error) {
	if u, err = parseURI(b.uri); err != nil {
		return u, err
	}
	if b.peer, err = lookUp(ctx, u); err != nil {
		return u, requestError(ctx, err)
	}
	switch {
	case b.peer.Addr().IsMulticast():
		return u, usageErrorf("%v is a group: load makes sense for one server", b.peer.Addr())
	case b.sources > 0 && !(b.peer.Addr().Is4() && b.peer.Addr().IsLoopback()):
		return u, usageErrorf("--sources takes addresses of 127.0.0.0/8: %v is none", b.peer.Addr())
	}
	return u, nil
}

// config returns the load.
func (b *bench) config(u message.URI, payload []byte) (cfg load.Config, err error) {
	cfg = load.Config{
		To: b.peer, Code: b.code, NonConfirmable: b.nonConfirmable, Payload: payload,
		Options: u.AppendOptions(b.given(true), b.peer),
		Ports:   int(b.ports), Window: int(b.window), Rate: b.rate, Sources: int(b.sources),
		AckTimeout: b.ackTimeout, MaxRetransmit: int(b.retries),
	}
	if b.retries == 0 {
		cfg.MaxRetransmit = -1
	}
	if b.block.set {
		cfg.BlockSize = 16 << b.block.szx
	}
	message.SortOptions(cfg.Options)
	cfg.Mix, err = b.kinds(u, payload)
	return cfg, err
}

// given returns the options of -O, -A and, with a payload, -t.
func (b *bench) given(payload bool) []message.Option {
	options := append([]message.Option(nil), b.options...)
	if b.contentFormat.set && payload {
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

// maxPayload bounds what is sent with each request.
const maxPayload = 16 << 20

// bench makes the load and prints what came of it.
func (c *cli) bench(ctx context.Context, b *bench) error {
	if err := b.check(); err != nil {
		return err
	}
	u, err := b.address(ctx)
	if err != nil {
		return err
	}
	payload, err := c.benchPayload(b)
	if err != nil {
		return ioError(err)
	}
	if len(payload) > maxPayload {
		return usageErrorf("the payload is longer than %d MiB", maxPayload>>20)
	}
	cfg, err := b.config(u, payload)
	if err != nil {
		return err
	}
	r, err := b.measure(ctx, u, cfg)
	if err != nil {
		return err
	}
	if err := c.reportBench(b, r); err != nil {
		return ioError(err)
	}
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return &statusError{status: exitInterrupted}
	case r.result.Answered == 0:
		return &statusError{exitTimeout, fmt.Errorf("%v answered no request; check host and port", b.peer)}
	}
	return nil
}

// measure makes the load.
func (b *bench) measure(ctx context.Context, u message.URI, cfg load.Config) (m measurement, err error) {
	g, err := load.New(ctx, cfg)
	if err != nil {
		return m, ioError(err)
	}
	defer g.Close()
	watchers, err := b.register(ctx, u, &m)
	if err != nil {
		return m, ioError(err)
	}
	if watchers != nil {
		defer watchers.Close()
	}
	if b.warmUp > 0 {
		if _, err := g.Run(ctx, b.warmUp, 0); err != nil {
			return m, ioError(err)
		}
	}
	before, err := cpuTime(b.pid)
	if err != nil {
		return m, err
	}
	heard := m.heard(watchers)
	if m.result, err = g.Run(ctx, b.duration, int(b.requests)); err != nil {
		return m, ioError(err)
	}
	m.notifications = m.heard(watchers) - heard
	after, err := cpuTime(b.pid)
	m.cpu = after - before
	return m, err
}

// A measurement is what came of a load.
type measurement struct {
	result        *load.Result
	observers     uint64 // that the server took
	notifications uint64
	cpu           time.Duration
}

// heard returns how many notifications have come.
func (m *measurement) heard(watchers *load.Generator) uint64 {
	if watchers == nil {
		return 0
	}
	return watchers.Notifications()
}

// register registers the observers. They leave without a word when their ports are closed.
func (b *bench) register(ctx context.Context, u message.URI, m *measurement) (*load.Generator, error) {
	if b.observers == 0 {
		return nil, nil
	}
	watchers, err := load.New(ctx, b.watchers(u))
	if err != nil {
		return nil, err
	}
	r, err := watchers.Run(ctx, 0, int(b.observers))
	if err != nil {
		watchers.Close()
		return nil, err
	}
	m.observers = r.Observations
	return watchers, nil
}

// reportBench prints and draws the result.
func (c *cli) reportBench(b *bench, m measurement) error {
	r := newReport(b, &m)
	if b.svg != "" {
		lines := []plotted{{"all", &m.result.Latency}}
		for i := range m.result.Kinds {
			lines = append(lines, plotted{b.mix[i].name, &m.result.Kinds[i].Latency})
		}
		if err := os.WriteFile(b.svg, percentilePlot("Latency, "+r.title, lines), 0o666); err != nil {
			return err
		}
	}
	if b.json {
		return r.writeJSON(c.stdout)
	}
	return r.writeText(c.stdout, &m.result.Latency)
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
	if b.sources > 0 {
		ports += fmt.Sprintf(" and %d addresses", b.sources)
	}
	what := confirmable + " " + b.code.Name()
	if len(b.mix) > 0 {
		what = b.mix.String()
	}
	if b.rate > 0 {
		return fmt.Sprintf("%s %s requests/s, %s", ports, strconv.FormatFloat(b.rate, 'f', -1, 64), what)
	}
	return fmt.Sprintf("%s × window %d, %s", ports, b.window, what)
}
