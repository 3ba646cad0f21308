package coap_test

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/message"
	"github.com/motewire/coap/transport"
	"github.com/motewire/coap/transport/simnet"
)

// A simWorld carries out a scenario.
type simWorld struct {
	*simScenario
	site    *site
	began   time.Time
	clients []*simClient
	number  *coap.State[int] // what observers follow; it grows
	page    *coap.Subject    // of the same value, as a body of several blocks

	mu         sync.Mutex
	lines      []simLine
	runs       map[simRun]int
	broken     []string // rules that were broken
	incarnated int      // servers so far

	outcomes []simOutcome // by call
	views    []*simView   // by observer
}

// A simRun is a handler's run for a call, as its server could tell it from others.
type simRun struct {
	call        int
	incarnation int
	from        netip.AddrPort
}

// A simOutcome is how a call has ended.
type simOutcome struct {
	begun, ended time.Time // ended is zero while it hasn't
	err          error
	code         message.Code
	body         []byte
}

type simClient struct {
	*coap.Client
	conn  *roamingConn
	addrs [2]netip.AddrPort // before and after it moved
}

// A simLine is one of the transcript.
type simLine struct {
	at     time.Time
	text   string
	record *simnet.Record // of a datagram, in place of text
}

// runScenario returns which rules a scenario has broken, and the transcript.
func runScenario(t *testing.T, s *simScenario) *simWorld {
	w := &simWorld{
		simScenario: s, began: time.Now(), runs: map[simRun]int{},
		number: coap.NewState(0), page: new(coap.Subject), outcomes: make([]simOutcome, len(s.plans)),
	}
	w.site = newSite(t, s.seed, w.setup)
	w.site.network.SetRefusals(s.refusals)
	w.site.network.Tap(w.record)
	for i := range s.clients {
		w.clients = append(w.clients, w.newClient(i))
	}
	observing := w.observe(t.Context())
	working := w.work()
	w.live()
	w.settle(working)
	for _, v := range w.views {
		v.cancel()
		time.Sleep(time.Second) // one after the other, so that the story is always the same
	}
	observing.Wait()
	w.leave()
	return w
}

// setup configures a server.
func (w *simWorld) setup(s *coap.Server) {
	w.incarnated++
	s.Foretell(w.seed<<8 + uint64(w.incarnated))
	s.Handler, s.Params = w.mux(w.incarnated), w.params
	s.AckDelay, s.NotifyInterval = w.ackDelay, w.notifyInterval
	s.Limits = w.limits(w.blocks)
}

func (w *simWorld) limits(block int) coap.Limits {
	l := coap.Limits{BlockBytes: block}
	if w.up.MTU > 0 && w.mtuKnown {
		l.MessageBytes = w.up.MTU
	}
	return l
}

func (w *simWorld) newClient(i int) *simClient {
	c := &simClient{}
	for k := range c.addrs {
		c.addrs[k] = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i), byte(1 + k)}), 40000)
	}
	w.connect(c, w.up, w.down)
	c.Client = &coap.Client{Params: w.params, Limits: w.limits(w.ownBlock), ResponseTimeout: w.responseTimeout}
	c.Foretell(w.seed<<8 + 100 + uint64(i))
	var err error
	c.conn, err = newRoamingConn(w.site.network, c.addrs[0])
	w.check(err)
	c.Listen = func(context.Context, string) (transport.Conn, error) { return c.conn, nil }
	return c
}

// connect sets the links between a client and the server.
func (w *simWorld) connect(c *simClient, up, down simnet.Link) {
	for _, addr := range c.addrs {
		w.site.network.SetLink(addr, w.site.addr, up)
		w.site.network.SetLink(w.site.addr, addr, down)
	}
}

// observe begins the observations.
func (w *simWorld) observe(ctx context.Context) *sync.WaitGroup {
	var observing sync.WaitGroup
	for _, o := range w.observers {
		v := &simView{simObserver: o, last: -1}
		v.ctx, v.cancel = context.WithCancel(ctx)
		w.views = append(w.views, v)
		observing.Go(func() {
			time.Sleep(o.at)
			v.follow(w)
		})
	}
	return &observing
}

// work begins the calls, and changes the state until the network is healed.
func (w *simWorld) work() *sync.WaitGroup {
	var working sync.WaitGroup
	for n, p := range w.plans {
		working.Go(func() {
			time.Sleep(p.at)
			w.call(n, &p)
		})
	}
	working.Go(func() {
		for i, pause := range w.pauses {
			time.Sleep(pause)
			w.number.Set(i + 1)
			time.Sleep(time.Millisecond)
			w.page.Notify()
		}
	})
	return &working
}

// live lets the faults happen, one behind the other on goroutines of their own, and
// heals the network.
func (w *simWorld) live() {
	var faults sync.WaitGroup
	during := func(f simFault, begin, end func()) {
		if !f.happens() {
			return
		}
		faults.Go(func() {
			time.Sleep(f.from)
			begin()
			time.Sleep(f.until - f.from)
			end()
		})
	}
	first := w.clients[0]
	nothing := func() {}
	during(w.partition, func() {
		w.log("partition")
		w.site.network.Partition(first.addrs[:]...)
	}, w.site.network.Heal)
	during(w.restart, func() {
		w.log("server down")
		w.site.close()
	}, func() {
		w.log("server up")
		w.site.start()
	})
	during(w.move, func() {
		w.log("client moves")
		w.check(first.conn.move(first.addrs[1]))
	}, nothing)
	during(w.stall, func() {
		w.log("client stalls")
		first.conn.stall(w.stall.until - w.stall.from)
	}, nothing)
	time.Sleep(simHealed)
	faults.Wait()
	w.log("healed")
	for _, c := range w.clients {
		w.connect(c, simnet.Link{Delay: time.Millisecond}, simnet.Link{Delay: time.Millisecond})
	}
}

// settle waits for the calls to end, as they must, and for the observers to hear of the
// last state: a registration that fails is made again after 5 minutes at the latest.
func (w *simWorld) settle(working *sync.WaitGroup) {
	over := make(chan struct{})
	go func() {
		working.Wait()
		close(over)
	}()
	time.Sleep(12 * time.Minute)
	synctest.Wait()
	w.checkViews()
	select {
	case <-over:
	case <-time.After(24 * time.Hour):
		w.breaks("bound", "a call has not ended after a day")
		for _, c := range w.clients {
			c.Close()
		}
		<-over
	}
}

// leave waits for all lifetimes to be over, looks at what is left, and closes all. An
// observer that went away with its address is found out after 24 h.
func (w *simWorld) leave() {
	time.Sleep(25 * time.Hour)
	synctest.Wait()
	w.checkEmpty("server", w.site.server.Stats())
	for i, c := range w.clients {
		w.checkEmpty(fmt.Sprint("client ", i), c.Stats())
		w.check(c.Close())
		c.conn.Close() // where there was no call
	}
	w.site.close()
	w.checkCalls()
}

func (w *simWorld) check(err error) {
	if err != nil {
		w.breaks("world", "%v", err)
	}
}

// breaks notes that a rule was broken.
func (w *simWorld) breaks(rule, format string, args ...any) {
	text := rule + ": " + fmt.Sprintf(format, args...)
	w.log("BROKEN %s", text)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.broken = append(w.broken, text)
}

func (w *simWorld) log(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lines = append(w.lines, simLine{at: time.Now(), text: fmt.Sprintf(format, args...)})
}

func (w *simWorld) record(r simnet.Record) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lines = append(w.lines, simLine{at: r.At, record: &r})
}

// transcript writes what was on the network and what the endpoints' users did and saw.
func (w *simWorld) transcript(to io.Writer) {
	lines := slices.Clone(w.lines)
	slices.SortStableFunc(lines, simLine.compare)
	for _, l := range lines {
		if l.record != nil {
			l.text = describe(l.record)
		}
		fmt.Fprintf(to, "%12.6f %s\n", l.at.Sub(w.began).Seconds(), l.text)
	}
}

// compare orders lines by time, and those of one moment always in the same way.
func (l simLine) compare(other simLine) int {
	switch {
	case !l.at.Equal(other.at):
		return l.at.Compare(other.at)
	case l.record != nil && other.record != nil:
		return l.record.Compare(*other.record)
	case l.record == nil && other.record == nil:
		return strings.Compare(l.text, other.text)
	case l.record == nil:
		return -1
	}
	return 1
}

// describe tells of one datagram.
func describe(r *simnet.Record) string {
	var v message.View
	text := "malformed"
	if err := v.Parse(r.Data); err == nil {
		text = v.String()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%v > %v #%d %v", r.From, r.To, r.Seq, r.Fate)
	if r.At.After(r.Sent) {
		fmt.Fprintf(&b, " after %v", r.At.Sub(r.Sent))
	}
	if r.Copy {
		b.WriteString(", copy")
	}
	return b.String() + ": " + text
}
