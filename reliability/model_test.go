package reliability

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/motewire/coap/message"
	"github.com/motewire/coap/peer"
	"pgregory.net/rapid"
)

// A machine drives one Endpoint in both roles against maps of what must be.
type machine struct {
	*bench
	cfg     Config
	peers   []peer.Addr
	out     map[Outbound]*sentModel
	ids     map[peerID]time.Time // message IDs that we have used
	in      map[peerID]*gotModel // Confirmable and Non-confirmable requests by type bit
	pending map[Inbound]*gotModel
	next    int
}

type peerID struct {
	peer peer.Addr
	id   message.ID
	con  bool
}

// A sentModel is an outgoing exchange as the layer above sees it.
type sentModel struct {
	to          peer.Addr
	token       string
	confirmable bool
	expect      Expect
	id          message.ID
	attempts    int
	acked       bool
	answers     int
	cancelled   bool
	ended       bool
}

// A gotModel is a request that came in.
type gotModel struct {
	peerID
	at       time.Time
	datagram []byte
	acked    bool   // an Empty Acknowledgement was sent
	over     bool   // Respond, Drop or Reject was called
	reply    []byte // what a duplicate gets; nil: nothing
}

func newMachine(t *rapid.T, tb testing.TB) *machine {
	cfg := Config{Params: Params{NStart: rapid.IntRange(1, 3).Draw(t, "nstart"), ProbingRate: 100}}
	m := &machine{
		bench: newBench(tb, cfg), cfg: cfg.withDefaults(), peers: []peer.Addr{alice, bob},
		out: map[Outbound]*sentModel{}, ids: map[peerID]time.Time{},
		in: map[peerID]*gotModel{}, pending: map[Inbound]*gotModel{},
	}
	return m
}

func (m *machine) open() (all []Outbound) {
	for slot := range 10000 { // in a fixed order, for shrinking
		for x, s := range m.out {
			if x.Slot() == slot && !s.ended && !s.cancelled {
				all = append(all, x)
			}
		}
		if len(all) == m.e.Stats().OpenExchanges {
			break
		}
	}
	return all
}

// drain takes the events and compares each with the model.
func (m *machine) drain(t *rapid.T) {
	for _, ev := range m.events() {
		s := m.out[ev.Outbound]
		if ev.Outbound != 0 && (s == nil || s.ended || s.cancelled) {
			t.Fatalf("event of an exchange that is over: %+v", ev)
		}
		switch ev.Kind {
		case Transmit:
			m.transmitted(t, ev, s)
		case Acknowledged:
			if s.acked || !s.confirmable {
				t.Fatalf("acknowledged again: %+v", ev)
			}
			s.acked = true
			s.ended = s.expect == ExpectNothing
		case Ended:
			if errors.Is(ev.Err, ErrTimeout) && (s.attempts != m.cfg.MaxRetransmit+1 || s.acked) {
				t.Fatalf("timed out after %d transmissions, acknowledged: %v", s.attempts, s.acked)
			}
			if errors.Is(ev.Err, ErrResponseTimeout) && s.answers > 0 {
				t.Fatal("response time-out after a response")
			}
			s.ended = true
		}
	}
}

func (m *machine) transmitted(t *rapid.T, ev Event, s *sentModel) {
	typ, id := message.Type(ev.Datagram[0]>>4&3), idOf(ev.Datagram)
	if typ >= message.Acknowledgement {
		if ev.Outbound != 0 || ev.Attempt != 0 {
			t.Fatalf("reply %+v", ev)
		}
		return
	}
	if ev.Attempt > 1 {
		if s != nil && (s.acked || s.answers > 0 || s.id != id || ev.Attempt != s.attempts+1) {
			t.Fatalf("retransmission %+v of %+v", ev, s)
		}
	} else {
		key := peerID{ev.Peer, id, false}
		if at, used := m.ids[key]; used && m.now.Sub(at) < m.cfg.ExchangeLifetime() {
			t.Fatalf("message ID %d again after %v", id, m.now.Sub(at))
		}
		m.ids[key] = m.now
	}
	if s == nil {
		return
	}
	s.id, s.attempts = id, ev.Attempt
	s.ended = !s.confirmable && s.expect == ExpectNothing
	if (typ == message.Confirmable) != s.confirmable {
		t.Fatalf("%+v sent as %v", s, typ)
	}
}

func (m *machine) Send(t *rapid.T) {
	m.next++
	s := &sentModel{
		to: rapid.SampledFrom(m.peers).Draw(t, "to"), token: fmt.Sprint(m.next),
		confirmable: rapid.Bool().Draw(t, "confirmable"),
		expect:      Expect(rapid.IntRange(0, 2).Draw(t, "expect")),
	}
	code := message.GET
	if s.expect == ExpectNothing {
		code = message.Content
	}
	x, err := m.e.Send(m.now, s.to, encode(0, code, 0, s.token, "p"), SendOptions{Confirmable: s.confirmable, Expect: s.expect, Token: mustToken(s.token)})
	if err != nil {
		t.Fatal(err)
	}
	m.out[x] = s
	m.drain(t)
}

func (m *machine) pick(t *rapid.T) (Outbound, *sentModel) {
	open := m.open()
	if len(open) == 0 {
		t.Skip("no exchange")
	}
	x := rapid.SampledFrom(open).Draw(t, "exchange")
	return x, m.out[x]
}

func (m *machine) Cancel(t *rapid.T) {
	x, s := m.pick(t)
	s.cancelled = true
	m.e.Cancel(m.now, x)
	m.drain(t)
}

// Answer is an Acknowledgement, a Reset or a response of the peer, the right one or not.
func (m *machine) Answer(t *rapid.T) {
	x, s := m.pick(t)
	if s.attempts == 0 {
		t.Skip("waits")
	}
	before := *s
	m.next++
	token := s.token
	wrong := rapid.IntRange(0, 4).Draw(t, "wrong") == 0
	if wrong {
		token += "x"
	}
	var d []byte
	kind := rapid.IntRange(0, 4).Draw(t, "kind")
	switch kind {
	case 0:
		d = empty(message.Acknowledgement, s.id)
	case 1:
		d = empty(message.Reset, s.id)
	case 2:
		d = encode(message.Acknowledgement, message.Content, s.id, token, "r")
	case 3:
		d = encode(message.Confirmable, message.Content, message.ID(m.next), token, "r")
	case 4:
		d = encode(message.NonConfirmable, message.Content, message.ID(m.next), token, "r")
	}
	v := m.receive(s.to, d)
	if v.Duplicate {
		return
	}
	response := kind >= 2 && !wrong && s.expect != ExpectNothing && (kind > 2 || s.confirmable && s.answers == 0)
	if response != (v.Kind == Response) || response && v.Outbound != x {
		t.Fatalf("answer %x to %+v: %+v", d, before, v)
	}
	if response {
		s.answers++
		s.ended = s.expect == ExpectOne
	}
	m.drain(t)
	if kind == 1 && s.ended != (s.confirmable && !before.acked && before.answers == 0 || !s.confirmable && before.answers == 0) {
		t.Fatalf("Reset of %+v: ended = %v", before, s.ended)
	}
}

func (m *machine) Request(t *rapid.T) {
	m.next++
	typ := message.Type(rapid.IntRange(0, 1).Draw(t, "type"))
	g := &gotModel{at: m.now}
	g.peerID = peerID{rapid.SampledFrom(m.peers).Draw(t, "from"), message.ID(m.next), typ == message.Confirmable}
	g.datagram = encode(typ, message.Code(rapid.IntRange(1, 8).Draw(t, "code")), g.id, "q", "")
	v := m.receive(g.peer, g.datagram)
	if v.Kind != Request || v.Duplicate {
		t.Fatalf("request: %+v", v)
	}
	m.in[g.peerID], m.pending[v.Inbound] = g, g
	m.drain(t)
}

// Duplicate repeats a request that was received within its lifetime.
func (m *machine) Duplicate(t *rapid.T) {
	var g *gotModel
	for id := m.next; id > 0 && g == nil; id-- {
		for k, candidate := range m.in {
			if int(k.id) == id && m.now.Sub(candidate.at) < 145*time.Second && rapid.Bool().Draw(t, "this") {
				g = candidate
			}
		}
	}
	if g == nil {
		t.Skip("no request")
	}
	if v := m.receive(g.peer, g.datagram); v != (Verdict{Duplicate: true}) {
		t.Fatalf("duplicate of %+v: %+v", g, v)
	}
	if g.reply == nil {
		m.want()
	} else {
		m.want(g.reply)
	}
}

func (m *machine) Finish(t *rapid.T) {
	if len(m.pending) == 0 {
		t.Skip("nothing in hand")
	}
	var x Inbound
	for h := range m.pending {
		if x == 0 || h < x {
			x = h
		}
	}
	g := m.pending[x]
	delete(m.pending, x)
	g.over = true
	switch how := rapid.IntRange(0, 2).Draw(t, "how"); {
	case how == 0:
		d := encode(0, message.Content, 0, "q", fmt.Sprint(m.next))
		if m.e.Respond(m.now, x, d, RespondOptions{}) {
			if g.con != (message.Type(d[0]>>4&3) == message.Acknowledgement) || g.con && idOf(d) != g.id {
				t.Fatalf("response %x to %+v", d, g)
			}
			if g.con {
				g.reply = d
			} else {
				m.transmitted(t, Event{Peer: g.peer, Datagram: d, Attempt: 1}, nil)
			}
		} else if !g.acked {
			t.Fatalf("no response to %+v", g)
		}
		m.drain(t)
	case how == 1:
		m.e.Drop(m.now, x)
		if g.con && !g.acked {
			g.reply = empty(message.Acknowledgement, g.id)
			m.want(g.reply)
		}
	default:
		m.e.Reject(m.now, x)
		if g.con && !g.acked {
			g.reply = empty(message.Reset, g.id)
			m.want(g.reply)
		}
	}
	m.drain(t)
}

func (m *machine) Wait(t *rapid.T) {
	d := time.Duration(rapid.SampledFrom([]int{1, 50, 100, 1000, 3000, 20000, 100000}).Draw(t, "ms")) * time.Millisecond
	end := m.now.Add(d)
	for {
		at, ok := m.e.Deadline()
		if !ok || at.After(end) {
			break
		}
		if at.Before(m.now) {
			t.Fatalf("deadline %v in the past", m.now.Sub(at))
		}
		m.now = at
		m.e.Advance(m.now)
		m.acknowledgeDue()
		m.drain(t)
	}
	m.now = end
	m.e.Advance(m.now)
	m.acknowledgeDue()
	m.drain(t)
}

// acknowledgeDue notes the Empty Acknowledgements that are due after AckDelay.
func (m *machine) acknowledgeDue() {
	for _, g := range m.pending {
		if g.con && m.now.Sub(g.at) >= m.cfg.AckDelay {
			g.acked = true
			g.reply = empty(message.Acknowledgement, g.id)
		}
	}
}

// check holds after every step.
func (m *machine) check(t *rapid.T) {
	s := m.e.Stats()
	open, busy := 0, map[peer.Addr]int{}
	for _, x := range m.out {
		if x.ended || x.cancelled {
			continue
		}
		open++
		if x.attempts > m.cfg.MaxRetransmit+1 {
			t.Fatalf("%d transmissions", x.attempts)
		}
		if x.confirmable && x.expect != ExpectNothing && x.attempts > 0 && !x.acked && x.answers == 0 {
			busy[x.to]++
		}
	}
	for to, n := range busy {
		if n > m.cfg.NStart {
			t.Fatalf("%d outstanding interactions with %v, NSTART is %d", n, to, m.cfg.NStart)
		}
	}
	internal := 0
	for _, c := range m.e.exchanges.chunks {
		for i := range c.cells {
			if c.cells[i].generation != 0 && c.cells[i].value.internal {
				internal++
			}
		}
	}
	if s.OpenExchanges-internal != open || s.PendingRequests != len(m.pending) {
		t.Fatalf("%d exchanges and %d requests, want %d and %d", s.OpenExchanges-internal, s.PendingRequests, open, len(m.pending))
	}
	if _, ok := m.e.Deadline(); ok != (s.Remembered+s.Peers > 0) { // whatever is open has a peer
		t.Fatalf("deadline: %v with %+v", ok, s)
	}
}

func TestEndpointAgreesWithAModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := newMachine(rt, t)
		rt.Repeat(map[string]func(*rapid.T){
			"Send": m.Send, "Cancel": m.Cancel, "Answer": m.Answer, "Request": m.Request,
			"Duplicate": m.Duplicate, "Finish": m.Finish, "Wait": m.Wait, "": m.check,
		})
	})
}
