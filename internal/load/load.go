// Package load makes CoAP requests at speed and measures how they are answered. It is the
// engine of the command's load generator and of the comparisons in bench/.
//
// A [Generator] owns lanes. A lane is one source port with its slots; a slot is one
// request under way. In the closed loop each answer makes its slot send the next request;
// in the open loop requests are due at a fixed rate, whatever becomes of earlier ones, and
// latency counts from when a request was due.
//
// It is no client: it keeps neither NSTART nor congestion control (RFC 7252 §4.7, §4.8),
// and is meant for servers of one's own. It does keep message IDs apart: a source port
// that has used all of them towards the server (§4.4) is given up for a fresh one.
//
// Requests are of one kind, or of a mix, and bodies may go in blocks: see kind.go.
package load

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/motewire/coap/message"
	"github.com/motewire/coap/transport"
)

// A Config says what load to make. Zero means the default.
type Config struct {
	// To is the server.
	To netip.AddrPort
	// Code is the method; default GET.
	Code message.Code
	// NonConfirmable sends requests as Non-confirmable messages.
	NonConfirmable bool
	// Options of each request, ascending by number.
	Options []message.Option
	// Payload of each request. One longer than a block goes in blocks (RFC 7959), and so does
	// a response: a request is answered when all of it is there.
	Payload []byte
	// Mix are several kinds of requests that take turns, in place of the four fields above.
	Mix []Request
	// BlockSize is the size of the blocks that are sent, and asked for: a power of two from
	// 16 to 1024; default 1024, and what the server sends.
	BlockSize int

	// Ports is the number of source ports; default 1.
	Ports int
	// Window is how many requests of one port are under way at most; default 1 in the
	// closed loop and 1,024 in the open one.
	Window int
	// Rate makes an open loop of so many requests per second over all ports; 0: closed loop.
	Rate float64

	// Sources, where not 0, is how many source addresses out of 127.0.0.0/8 take turns,
	// over all ports: to the server each is a client of its own.
	Sources int
	// Echo says that the server returns each datagram as it came.
	Echo bool
	// Observing says that the requests are registrations (RFC 7641): notifications are
	// welcome, and acknowledged where they are Confirmable.
	Observing bool

	// AckTimeout and MaxRetransmit are the parameters of RFC 7252 §4.8; defaults 2 s and
	// 4, negative: no retransmission.
	AckTimeout    time.Duration
	MaxRetransmit int
	// ResponseTimeout is how long a response may take after the Acknowledgement, or after
	// a Non-confirmable request; default 30 s.
	ResponseTimeout time.Duration
	// Drain is how long the end of a run waits for requests under way; default 2 s.
	Drain time.Duration
	// Listen opens a socket on a source port of the system's choice; default a UDP socket.
	Listen func(context.Context) (transport.Conn, error)
}

// The largest Config.Window, Config.Rate and Config.Sources.
const (
	MaxWindow  = 1 << 15
	MaxRate    = 10_000_000
	MaxSources = 250 << 16 // 127.1.0.0 to 127.250.255.255
)

func (c Config) withDefaults() Config {
	orDefault(&c.Code, message.GET)
	orDefault(&c.Ports, 1)
	if c.Rate > 0 {
		orDefault(&c.Window, 1024)
	}
	orDefault(&c.Window, 1)
	orDefault(&c.AckTimeout, 2*time.Second)
	orDefault(&c.MaxRetransmit, 4)
	orDefault(&c.ResponseTimeout, 30*time.Second)
	orDefault(&c.Drain, 2*time.Second)
	if c.Listen == nil {
		c.Listen = c.listen
	}
	return c
}

func orDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

func (c *Config) validate() error {
	switch {
	case !c.To.IsValid():
		return errors.New("load: no server")
	case c.Ports < 1 || c.Ports > 10_000:
		return fmt.Errorf("load: %d ports are not in 1 to 10,000", c.Ports)
	case c.Window < 1 || c.Window > MaxWindow:
		return fmt.Errorf("load: a window of %d is not in 1 to %d", c.Window, MaxWindow)
	case c.Rate < 0 || c.Rate > MaxRate || math.IsNaN(c.Rate):
		return fmt.Errorf("load: a rate of %v is not in 0 to 10,000,000", c.Rate)
	case c.Sources != 0 && (c.Sources < c.Ports || c.Sources > MaxSources || !c.To.Addr().Is4()):
		return fmt.Errorf("load: %d source addresses: at least one per port, at most %d, IPv4 alone", c.Sources, MaxSources)
	}
	return nil
}

func (c *Config) listen(ctx context.Context) (transport.Conn, error) {
	network := "udp6"
	if c.To.Addr().Unmap().Is4() {
		network = "udp4"
	}
	// Requests come one by one, as those of many clients do.
	return transport.Listen(ctx, network, ":0", transport.Config{NoSegments: true})
}

// A Generator makes load of one kind, again and again. One goroutine at a time may use it.
type Generator struct {
	cfg   Config
	epoch time.Time // of all instants
	kinds []*kind
	turns []*kind // the order of the kinds
	lanes []*lane
	ports portHistory
	sleep func(time.Duration) // of the pacer

	left    atomic.Int64 // requests that the run may still send
	stopped atomic.Bool  // the run sends no more
}

// New opens the source ports.
func New(ctx context.Context, cfg Config) (*Generator, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	kinds, err := cfg.kinds()
	if err != nil {
		return nil, err
	}
	g := &Generator{cfg: cfg, epoch: time.Now(), sleep: sleep, kinds: kinds, turns: schedule(kinds)}
	g.stopped.Store(true)
	for i := range cfg.Ports {
		l, err := newLane(ctx, g, i)
		if err != nil {
			g.Close()
			return nil, err
		}
		g.lanes = append(g.lanes, l)
	}
	return g, nil
}

// Close gives the source ports up.
func (g *Generator) Close() {
	for _, l := range g.lanes {
		l.close()
	}
}

// Heard returns how many datagrams have come so far, during runs and between them.
func (g *Generator) Heard() (n uint64) {
	for _, l := range g.lanes {
		l.mu.Lock()
		n += l.heard
		l.mu.Unlock()
	}
	return n
}

// Notifications returns how many have come since the last run began.
func (g *Generator) Notifications() (n uint64) {
	for _, l := range g.lanes {
		l.mu.Lock()
		n += l.result.Notifications
		l.mu.Unlock()
	}
	return n
}

// SourcePorts returns the source ports that are in use now.
func (g *Generator) SourcePorts() (ports []uint16) {
	for _, l := range g.lanes {
		l.mu.Lock()
		ports = append(ports, l.conn.LocalAddr().Port())
		l.mu.Unlock()
	}
	return ports
}

// now returns the time since the epoch in nanoseconds.
func (g *Generator) now() instant { return instant(time.Since(g.epoch)) }

// tick is how often timers are looked after.
const tick = 5 * time.Millisecond

// Run makes load for a time (0: no limit) and for so many requests (0: no limit), until
// the context ends, and returns what came of it.
func (g *Generator) Run(ctx context.Context, d time.Duration, requests int) (*Result, error) {
	if d <= 0 && requests <= 0 {
		d = math.MaxInt64
	}
	g.left.Store(math.MaxInt64)
	if requests > 0 {
		g.left.Store(int64(requests))
	}
	g.stopped.Store(false)
	began := g.now()
	until := began + instant(d)
	if d <= 0 || until < began {
		until = math.MaxInt64
	}
	for _, l := range g.lanes {
		l.begin()
	}
	paced := make(chan struct{})
	go func() {
		defer close(paced)
		if g.cfg.Rate > 0 {
			g.pace(began)
		}
	}()
	inTime, err := g.attend(ctx, until)
	<-paced
	r := g.collect(began)
	if inTime != nil {
		r.InTime, r.Elapsed = inTime.answers, time.Duration(inTime.at-began)
	} else {
		r.InTime = r.Answered
	}
	return r, err
}

// A cut is where a run stood when its time was over.
type cut struct {
	at      instant
	answers uint64
}

// attend looks after timers until the run is over. It returns where the run stood when its
// time ended, nil where its requests ended first.
func (g *Generator) attend(ctx context.Context, until instant) (inTime *cut, err error) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	drained := instant(math.MaxInt64)
	for {
		<-ticker.C
		now := g.now()
		over := now >= until || ctx.Err() != nil
		if drained == math.MaxInt64 && (over || g.left.Load() <= 0) {
			g.stopped.Store(true)
			drained = now + instant(g.cfg.Drain)
			if over {
				inTime = &cut{now, g.answers()}
			}
		}
		open := 0
		for _, l := range g.lanes {
			n, laneErr := l.advance(now)
			open += n
			err = errors.Join(err, laneErr)
		}
		if err != nil || drained != math.MaxInt64 && (open == 0 || now >= drained) {
			g.stopped.Store(true)
			return inTime, err
		}
	}
}

// answers counts the answers of the run so far.
func (g *Generator) answers() (n uint64) {
	for _, l := range g.lanes {
		l.mu.Lock()
		n += l.result.Answered
		l.mu.Unlock()
	}
	return n
}

// ticket returns what kind the next request is, nil where no more may be sent.
func (g *Generator) ticket() *kind {
	if g.stopped.Load() {
		return nil
	}
	left := g.left.Add(-1)
	if left < 0 {
		return nil
	}
	return g.turns[left%int64(len(g.turns))]
}

func (g *Generator) collect(began instant) *Result {
	total := new(Result)
	last := began
	for _, l := range g.lanes {
		last = max(last, l.end(total))
	}
	total.Elapsed = time.Duration(last - began)
	return total
}
