package observe

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/motewire/coap/message"
	"github.com/motewire/coap/peer"
)

var epoch = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, seed)) }

// numbered returns the n-th client endpoint.
func numbered(n int) peer.Addr {
	ip := [16]byte{0: 0x20, 1: 0x01, 2: 0x0d, 3: 0xb8}
	binary.BigEndian.PutUint32(ip[12:], uint32(n))
	return peer.FromBytes(&ip, 0, 5683)
}

func tokenOf(n int) message.Token {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], uint32(n))
	token, _ := message.MakeToken(b[:])
	return token
}

// A bench is a Registry with a clock and an owner that numbers messages.
type bench struct {
	testing.TB
	r      *Registry
	now    time.Time
	lastID message.ID
}

func newBench(t testing.TB, cfg Config) *bench {
	t.Helper()
	r, err := NewRegistry(cfg, newRand(1))
	if err != nil {
		t.Fatal(err)
	}
	return &bench{TB: t, r: r, now: epoch}
}

func (b *bench) register(client, token int, to Resource) Observer {
	b.Helper()
	reg := b.r.Register(b.now, numbered(client), tokenOf(token), to, 0)
	if reg.Outcome != New {
		b.Fatalf("registration of %d/%d for %d: %+v", client, token, to, reg)
	}
	return reg.Observer
}

// next polls, and searches on while there is work left.
func (b *bench) next() (Notification, bool) {
	for {
		n, ok := b.r.Poll(b.now)
		if ok {
			b.lastID++
			if !b.r.Sent(n.Observer, b.lastID, exchangeFor(n, b.lastID)) {
				b.Fatalf("%+v is of no observer", n)
			}
			return n, true
		}
		if at, waits := b.r.Deadline(); !waits || at.After(b.now) {
			return n, false
		}
	}
}

func exchangeFor(n Notification, id message.ID) Exchange {
	if !n.Confirmable {
		return 0
	}
	return Exchange(id) + 1
}

// all polls until there is nothing.
func (b *bench) all() (all []Notification) {
	for {
		n, ok := b.next()
		if !ok {
			return all
		}
		all = append(all, n)
	}
}

// one polls exactly one notification.
func (b *bench) one() Notification {
	b.Helper()
	all := b.all()
	if len(all) != 1 {
		b.Fatalf("%d notifications, want 1: %+v", len(all), all)
	}
	return all[0]
}

func (b *bench) none() {
	b.Helper()
	if all := b.all(); len(all) != 0 {
		b.Fatalf("unexpected notifications: %+v", all)
	}
}

// pass lets time pass, stopping at each deadline, and returns what is sent meanwhile.
func (b *bench) pass(d time.Duration) (all []Notification) {
	b.Helper()
	end := b.now.Add(d)
	for {
		all = append(all, b.all()...)
		at, ok := b.r.Deadline()
		if !ok || at.After(end) {
			b.now = end
			b.r.Advance(end)
			return append(all, b.all()...)
		}
		if at.Before(b.now) {
			at = b.now
		}
		b.now = at
		b.r.Advance(at)
	}
}

func (b *bench) observers(want int) {
	b.Helper()
	if s := b.r.Stats(); s.Observers != want {
		b.Fatalf("%d observers, want %d: %+v", s.Observers, want, s)
	}
}

// anyway is a Config that paces nothing.
var anyway = Config{NStart: -1, NonInterval: -1, Policy: Policy{Type: NonConfirmable}}

func withPort(a peer.Addr, port uint16) peer.Addr {
	ip := a.Bytes()
	return peer.FromBytes(&ip, 0, port)
}

var localA, localB = netip.MustParseAddr("2001:db8::a"), netip.MustParseAddr("2001:db8::b")
