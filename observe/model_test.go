package observe

import (
	"fmt"
	"testing"
	"time"

	"github.com/motewire/coap/message"
	"github.com/motewire/coap/peer"
	"pgregory.net/rapid"
)

// A machine drives a Registry against maps of what must be.
type machine struct {
	r      *Registry
	cfg    Config // resolved
	now    time.Time
	all    map[modelKey]*modelObserver
	old    []Observer // handles of observations that are over
	state  [3]int     // of the resources: how often each has changed
	ending [3]bool
	nons   map[peer.Addr]time.Time // last Non-confirmable notification
	held   map[peer.Addr]time.Time // last notification that was refused
	polls  map[peer.Addr]int       // notifications to others since one that waits became ready
	id     message.ID
}

type modelKey struct {
	from  peer.Addr
	token int
}

// A modelObserver is an observation as the RFC sees it.
type modelObserver struct {
	modelKey
	handle         Observer
	resource       Resource
	representation Representation
	sent           int // the state sent last
	flying         int // the state in a Confirmable notification, -1: none
	exchange       Exchange
	concluding     bool
	sequence       uint32
	at             time.Time // of sequence
	confirmed      time.Time
	ids            []message.ID
	over           bool
}

func newMachine(t *rapid.T) *machine {
	cfg := Config{
		NStart: rapid.IntRange(1, 2).Draw(t, "nstart"), MaxSilence: time.Hour,
		MaxObservers: 7, MaxPerPeer: 4, MaxPerResource: 5, MaxResources: 3,
		Policy: Policy{Type: Type(rapid.IntRange(0, 2).Draw(t, "type")), Every: 3},
	}
	r, err := NewRegistry(cfg, newRand(1))
	if err != nil {
		t.Fatal(err)
	}
	return &machine{
		r: r, cfg: cfg.withDefaults(), now: epoch, all: map[modelKey]*modelObserver{},
		nons: map[peer.Addr]time.Time{}, polls: map[peer.Addr]int{}, held: map[peer.Addr]time.Time{},
	}
}

func (m *machine) key(t *rapid.T) modelKey {
	return modelKey{numbered(rapid.IntRange(1, 3).Draw(t, "client")), rapid.IntRange(1, 5).Draw(t, "token")}
}

func (m *machine) count(match func(*modelObserver) bool) (n int) {
	for _, o := range m.all {
		if match(o) {
			n++
		}
	}
	return n
}

// pick returns an observer that matches, in a fixed order.
func (m *machine) pick(t *rapid.T, match func(*modelObserver) bool) *modelObserver {
	var some []*modelObserver
	for client := 1; client <= 3; client++ {
		for token := 1; token <= 5; token++ {
			if o := m.all[modelKey{numbered(client), token}]; o != nil && match(o) {
				some = append(some, o)
			}
		}
	}
	if len(some) == 0 {
		t.Skip("none")
	}
	return rapid.SampledFrom(some).Draw(t, "observer")
}

func flying(o *modelObserver) bool { return o.flying >= 0 }

// gone compares a Removal with the observer that it must be of.
func (m *machine) gone(t *rapid.T, o *modelObserver, got Removal, exchange bool) {
	want := Removal{Observer: o.handle, Resource: o.resource, Representation: o.representation}
	if exchange && flying(o) {
		want.Exchange = o.exchange
	}
	if got != want {
		t.Fatalf("removal %+v, want %+v", got, want)
	}
	o.over = true
	m.old = append(m.old, o.handle)
	delete(m.all, o.modelKey)
	if m.count(func(p *modelObserver) bool { return p.resource == o.resource }) == 0 {
		m.ending[o.resource] = false
	}
	if m.count(func(p *modelObserver) bool { return p.from == o.from }) == 0 {
		delete(m.nons, o.from)
		delete(m.held, o.from)
	}
}

func (m *machine) Register(t *rapid.T) {
	key, to := m.key(t), Resource(rapid.IntRange(0, 3).Draw(t, "resource"))
	representation := Representation(rapid.IntRange(0, 1).Draw(t, "representation"))
	got := m.r.Register(m.now, key.from, tokenOf(key.token), to, representation)
	want := New
	if o := m.all[key]; o != nil {
		if o.resource == to && o.representation == representation && !o.concluding {
			if got.Outcome != Refreshed || got.Observer != o.handle {
				t.Fatalf("refreshed: %+v", got)
			}
			m.number(t, o, got.Sequence)
			o.confirmed = m.now
			return
		}
		m.gone(t, o, got.Removed, true)
		want = Replaced
	} else if got.Removed != (Removal{}) {
		t.Fatalf("removed %+v", got.Removed)
	}
	refused := len(m.all) >= m.cfg.MaxObservers || int(to) >= m.cfg.MaxResources || m.ending[to] ||
		m.count(func(p *modelObserver) bool { return p.from == key.from }) >= m.cfg.MaxPerPeer ||
		m.count(func(p *modelObserver) bool { return p.resource == to }) >= m.cfg.MaxPerResource
	if refused {
		if got.Outcome != Refused || got.Observer != 0 {
			t.Fatalf("beyond the limits: %+v", got)
		}
		return
	}
	if got.Outcome != want || got.Observer == 0 {
		t.Fatalf("%+v, want outcome %d", got, want)
	}
	m.all[key] = &modelObserver{
		modelKey: key, handle: got.Observer, resource: to, representation: representation,
		sent: m.state[to], flying: -1, sequence: got.Sequence, at: m.now, confirmed: m.now,
	}
}

// number checks RFC 7641 §4.4.
func (m *machine) number(t *rapid.T, o *modelObserver, sequence uint32) {
	if !newer(sequence, o.sequence) || sequence > sequenceMask {
		t.Fatalf("Observe %d at %v after %d at %v", sequence, m.now, o.sequence, o.at)
	}
	o.sequence, o.at = sequence, m.now
}

func (m *machine) Deregister(t *rapid.T) {
	key := m.key(t)
	got, ok := m.r.Deregister(m.now, key.from, tokenOf(key.token))
	if o := m.all[key]; ok != (o != nil) {
		t.Fatalf("deregistered: %v", ok)
	} else if ok {
		m.gone(t, o, got, true)
	}
}

func (m *machine) Change(t *rapid.T) {
	n := rapid.IntRange(0, 2).Draw(t, "resource")
	m.state[n]++
	m.r.Changed(m.now, Resource(n))
}

func (m *machine) End(t *rapid.T) {
	n := rapid.IntRange(0, 2).Draw(t, "resource")
	m.r.End(m.now, Resource(n))
	if m.count(func(o *modelObserver) bool { return o.resource == Resource(n) }) > 0 {
		m.ending[n] = true
		m.state[n]++
	}
}

// poll takes the next notification and reports whether there was one.
func (m *machine) poll(t *rapid.T) bool {
	n, ok := m.r.Poll(m.now)
	if !ok {
		return false
	}
	var o *modelObserver
	for _, p := range m.all {
		if p.handle == n.Observer {
			o = p
		}
	}
	if o == nil || n.Peer != o.from || n.Token != tokenOf(o.token) || n.Resource != o.resource || n.Representation != o.representation || n.Replaces != 0 {
		t.Fatalf("notification %+v for %+v", n, o)
	}
	if flying(o) || o.concluding {
		t.Fatalf("a second notification in flight: %+v", n)
	}
	if busy := m.outstanding(o.from); busy >= m.cfg.NStart {
		t.Fatalf("%d notifications in flight to %v and one more", busy, o.from)
	}
	m.fair(t, o)
	if m.pausing(o) {
		t.Fatalf("%v gets something %v after a refusal", o.from, m.now.Sub(m.held[o.from]))
	}
	if !n.Confirmable {
		if at, ok := m.nons[o.from]; ok && m.now.Sub(at) < m.cfg.NonInterval {
			t.Fatalf("Non-confirmable notifications %v apart", m.now.Sub(at))
		}
		m.nons[o.from] = m.now
	}
	m.deliver(t, o, n)
	return true
}

// fair notes a notification and checks that nobody who could be sent something was
// passed over while others were served twice as often as there are observers.
func (m *machine) fair(t *rapid.T, served *modelObserver) {
	for client := 1; client <= 3; client++ {
		to := numbered(client)
		waits := m.count(func(o *modelObserver) bool { return o.from == to && m.wants(o) }) > 0
		paced := m.now.Sub(m.nons[to]) < m.cfg.NonInterval || m.now.Sub(m.held[to]) < m.cfg.NonInterval
		if to == served.from || !waits || paced || m.outstanding(to) >= m.cfg.NStart {
			m.polls[to] = 0
			continue
		}
		if m.polls[to]++; m.polls[to] > 2*m.cfg.MaxObservers {
			t.Fatalf("%v waits while others get %d notifications", to, m.polls[to])
		}
	}
}

// pausing reports whether the client of an observer gets nothing after a refusal.
func (m *machine) pausing(o *modelObserver) bool {
	at, ok := m.held[o.from]
	return ok && m.now.Sub(at) < m.cfg.NonInterval
}

// wants reports whether an observer has not been sent the present state.
func (m *machine) wants(o *modelObserver) bool {
	return !o.concluding && !flying(o) && o.sent != m.state[o.resource]
}

func (m *machine) outstanding(to peer.Addr) int {
	return m.count(func(o *modelObserver) bool { return o.from == to && flying(o) })
}

// deliver is what the message layer does with a notification: send it.
func (m *machine) deliver(t *rapid.T, o *modelObserver, n Notification) {
	m.number(t, o, n.Sequence)
	if int(n.Change) != m.state[o.resource] || n.Final != m.ending[o.resource] {
		t.Fatalf("%+v of state %d, ending: %v", n, m.state[o.resource], m.ending[o.resource])
	}
	o.sent = m.state[o.resource]
	m.id++
	if n.Confirmable {
		o.flying, o.confirmed = o.sent, m.now
		if n.Replaces == 0 {
			o.exchange = Exchange(m.id)
		}
	}
	for range rapid.IntRange(1, 2).Draw(t, "told") {
		if !m.r.Sent(n.Observer, m.id, o.exchange) {
			t.Fatal("not there")
		}
	}
	o.ids = append(o.ids, m.id)
	if n.Final || rapid.IntRange(0, 15).Draw(t, "error") == 0 {
		removal, ok := m.r.Conclude(m.now, n.Observer)
		if ok != !n.Confirmable {
			t.Fatalf("concluded at once: %v", ok)
		}
		if o.concluding = !ok; ok {
			m.gone(t, o, removal, false)
		}
	}
}

func (m *machine) Poll(t *rapid.T) { m.poll(t) }

// Drain polls until there is nothing: then everybody who can be has been sent the
// present state.
func (m *machine) Drain(t *rapid.T) {
	for {
		for m.poll(t) {
		}
		if at, ok := m.r.Deadline(); !ok || at.After(m.now) {
			break
		}
	}
	for _, o := range m.all {
		paced := m.cfg.Policy.Type != Confirmable && m.now.Sub(m.nons[o.from]) < m.cfg.NonInterval || m.pausing(o)
		if m.wants(o) && m.outstanding(o.from) < m.cfg.NStart && !paced {
			t.Fatalf("%+v was not sent state %d", o, m.state[o.resource])
		}
	}
}

func (m *machine) Refuse(t *rapid.T) {
	n, ok := m.r.Poll(m.now)
	if !ok {
		t.Skip("nothing")
	}
	m.r.Unsent(m.now, n.Observer)
	for _, o := range m.all {
		if o.handle == n.Observer {
			m.number(t, o, n.Sequence)
			o.sent = -1
			m.held[o.from] = m.now
			if !n.Confirmable {
				m.nons[o.from] = m.now
			}
		}
	}
}

func (m *machine) Acknowledge(t *rapid.T) {
	o := m.pick(t, flying)
	got, ok := m.r.Acknowledged(m.now, o.handle)
	if ok != o.concluding {
		t.Fatalf("removed: %v", ok)
	}
	if ok {
		m.gone(t, o, got, false)
	}
	o.flying, o.confirmed = -1, m.now // it has shown that it is there
	if got, ok := m.r.Acknowledged(m.now, o.handle); ok || got != (Removal{}) {
		t.Fatal("acknowledged twice")
	}
}

func (m *machine) Fail(t *rapid.T) {
	o := m.pick(t, flying)
	got, ok := m.r.Ended(m.now, o.handle, Cause(rapid.IntRange(0, 2).Draw(t, "cause")))
	if !ok {
		t.Fatal("not removed")
	}
	m.gone(t, o, got, false)
}

func (m *machine) Supersede(t *rapid.T) {
	o := m.pick(t, flying)
	n, ok := m.r.Supersede(m.now, o.handle)
	want := !o.concluding && o.flying != m.state[o.resource]
	if ok != want {
		t.Fatalf("superseded: %v, in flight %d, present %d", ok, o.flying, m.state[o.resource])
	}
	if ok {
		if n.Replaces != o.exchange || !n.Confirmable || n.Observer != o.handle {
			t.Fatalf("%+v of %+v", n, o)
		}
		m.deliver(t, o, n)
	}
}

func (m *machine) Reset(t *rapid.T) {
	from, id := numbered(rapid.IntRange(1, 3).Draw(t, "from")), message.ID(rapid.IntRange(0, int(m.id)+1).Draw(t, "id"))
	var want *modelObserver
	for _, o := range m.all {
		last := o.ids[max(0, len(o.ids)-rememberedIDs):]
		for _, have := range last {
			if have == id && o.from == from {
				want = o
			}
		}
	}
	got, ok := m.r.Reset(m.now, from, id)
	if ok != (want != nil) {
		t.Fatalf("Reset of %d from %v: %v", id, from, ok)
	}
	if ok {
		m.gone(t, want, got, true)
	}
}

// Old is whatever is said about an observation that is over.
func (m *machine) Old(t *rapid.T) {
	if len(m.old) == 0 {
		t.Skip("none")
	}
	x := rapid.SampledFrom(m.old).Draw(t, "old")
	_, a := m.r.Acknowledged(m.now, x)
	_, b := m.r.Ended(m.now, x, TimedOut)
	_, c := m.r.Conclude(m.now, x)
	_, d := m.r.Supersede(m.now, x)
	m.r.Unsent(m.now, x)
	if a || b || c || d || m.r.Sent(x, 1, 1) {
		t.Fatal("an old handle names something")
	}
}

func (m *machine) Wait(t *rapid.T) {
	d := rapid.SampledFrom([]time.Duration{time.Millisecond, time.Second, 3 * time.Second, time.Minute, 61 * time.Minute}).Draw(t, "wait")
	end := m.now.Add(d)
	for {
		at, ok := m.r.Deadline()
		if !ok || at.After(end) {
			break
		}
		if at.Before(m.now) {
			at = m.now
		}
		m.now = at
		m.r.Advance(m.now)
		m.Drain(t)
	}
	m.now = end
	m.r.Advance(m.now)
	m.Drain(t)
	for _, o := range m.all {
		// RFC 7641 §4.5; while NStart or an Unsent lets nothing go it waits.
		if !flying(o) && m.now.Sub(o.confirmed) > m.cfg.MaxSilence+time.Second && m.outstanding(o.from) < m.cfg.NStart && !m.pausing(o) {
			t.Fatalf("%+v had no Confirmable notification for %v", o, m.now.Sub(o.confirmed))
		}
	}
}

// check holds after every step.
func (m *machine) check(t *rapid.T) {
	s := m.r.Stats()
	clients := map[peer.Addr]bool{}
	for k := range m.all {
		clients[k.from] = true
	}
	if s.Observers != len(m.all) || s.Peers != len(clients) {
		t.Fatalf("%+v, want %d observers of %d", s, len(m.all), len(clients))
	}
	if s.Registered != uint64(s.Observers)+s.Deregistered+s.DroppedReset+s.DroppedTimeout+s.DroppedNetwork+s.DroppedSilently+s.Concluded+s.Replaced {
		t.Fatalf("the counters do not add up: %+v", s)
	}
	if _, ok := m.r.Deadline(); !ok && len(m.all) > 0 {
		t.Fatal("observers and no deadline")
	}
	if err := m.r.consistent(); err != nil {
		t.Fatal(err)
	}
}

// consistent checks that tables that must agree do.
func (r *Registry) consistent() error {
	if r.byToken.used() != r.observers.live || r.byPeer.used() != r.peers.live {
		return fmt.Errorf("%d tokens and %d peers in the indexes of %d observers of %d", r.byToken.used(), r.byPeer.used(), r.observers.live, r.peers.live)
	}
	length := func(l list, k int) (n int) {
		last := uint32(0)
		for m := l.head; m != 0; m = r.observers.cell(m - 1).links[k].succ {
			if r.observers.cell(m - 1).links[k].prev != last {
				return -1
			}
			last = m
			n++
		}
		if l.tail != last {
			return -1
		}
		return n
	}
	observers := 0
	for i, res := range r.resources {
		if length(res.behind, ofResource) != int(res.waiting) || length(res.current, ofResource)+int(res.waiting) != int(res.observers) {
			return fmt.Errorf("resource %d: %+v", i, res)
		}
		if res.waiting > 0 && !res.spreading {
			return fmt.Errorf("resource %d: a change is told to nobody", i)
		}
		observers += int(res.observers)
	}
	if observers != r.observers.live || length(r.silence, ofSilence) != observers {
		return fmt.Errorf("%d observers of resources, %d in silence, %d live", observers, length(r.silence, ofSilence), r.observers.live)
	}
	blocked, observations := 0, 0
	for n := range r.peers.next {
		c := r.peers.at(n)
		if r.peers.cell(n).generation == 0 {
			continue
		}
		if c.lane(r.cfg.NStart) >= 0 && !c.inRing {
			return fmt.Errorf("client %d is ready and forgotten: %+v", n, c)
		}
		if c.blocked {
			blocked++
		}
		observations += int(c.observations)
	}
	if blocked != r.blocked || observations != observers {
		return fmt.Errorf("%d clients blocked, counted %d; %d observations", blocked, r.blocked, observations)
	}
	return nil
}

func TestRegistryAgreesWithAModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newMachine(t)
		t.Repeat(map[string]func(*rapid.T){
			"Register": m.Register, "Register again": m.Register, "Deregister": m.Deregister, "Change": m.Change, "End": m.End,
			"Poll": m.Poll, "Drain": m.Drain, "Refuse": m.Refuse, "Acknowledge": m.Acknowledge, "Fail": m.Fail,
			"Supersede": m.Supersede, "Reset": m.Reset, "Old": m.Old, "Wait": m.Wait, "": m.check,
		})
	})
}
