package observe

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/motewire/coap/message"
)

// A network carries the notifications of one Registry to clients that are alive, slow or
// dead, and loses some on either way. It retransmits like RFC 7252 §4.2.
type network struct {
	*bench
	rng      *rand.Rand
	loss     float64
	state    map[Resource]int
	rendered map[Observer]int // state that the last transmission of an observer carries
	clients  map[Observer]*receiver
	flights  []*flight
	acks     []ack
}

// A receiver is a client with one observation.
type receiver struct {
	resource Resource
	dead     bool
	delay    time.Duration // of its Acknowledgements
	fresh    Freshness
	has      int // the newest state accepted
	gone     bool
}

type flight struct {
	notification Notification
	exchange     Exchange
	id           message.ID
	attempt      int
	timeout      time.Duration
	due          time.Time
	over         bool
}

type ack struct {
	at time.Time
	f  *flight
	id message.ID
}

func newNetwork(t testing.TB, cfg Config, loss float64, seed uint64) *network {
	return &network{
		bench: newBench(t, cfg), rng: newRand(seed), loss: loss,
		state: map[Resource]int{}, rendered: map[Observer]int{}, clients: map[Observer]*receiver{},
	}
}

func (w *network) lost() bool { return w.rng.Float64() < w.loss }

func (w *network) change(to Resource) {
	w.state[to]++
	w.r.Changed(w.now, to)
}

// flush sends everything that may be sent.
func (w *network) flush() (sent int) {
	for {
		n, ok := w.next()
		if !ok {
			return sent
		}
		sent++
		f := &flight{notification: n, exchange: exchangeFor(n, w.lastID), id: w.lastID, attempt: 1, timeout: 2 * time.Second}
		f.due = w.now.Add(f.timeout)
		if n.Confirmable {
			w.flights = append(w.flights, f)
		}
		w.transmit(f)
	}
}

func (w *network) transmit(f *flight) {
	n := f.notification
	c := w.clients[n.Observer]
	state := w.state[n.Resource]
	if f.attempt > 1 && n.Replaces == 0 {
		state = w.rendered[n.Observer] // the old message once more
	}
	w.rendered[n.Observer] = state
	if c.dead || w.lost() {
		return
	}
	if c.fresh.Accept(w.now, n.Sequence) {
		if state < c.has {
			w.Fatalf("an older state, %d after %d, is fresh: %+v", state, c.has, n)
		}
		c.has = state
	}
	if n.Confirmable && !w.lost() {
		w.acks = append(w.acks, ack{w.now.Add(c.delay), f, f.id})
	}
}

// step carries out what is due now.
func (w *network) step() {
	kept := w.acks[:0]
	for _, a := range w.acks {
		switch {
		case a.at.After(w.now):
			kept = append(kept, a)
		case !a.f.over && a.id == a.f.id:
			a.f.over = true
			w.r.Acknowledged(w.now, a.f.notification.Observer)
		}
	}
	w.acks = kept
	flying := w.flights[:0]
	for _, f := range w.flights {
		if !f.over && !f.due.After(w.now) {
			w.retransmit(f)
		}
		if !f.over {
			flying = append(flying, f)
		}
	}
	w.flights = flying
}

func (w *network) retransmit(f *flight) {
	x := f.notification.Observer
	if f.attempt > 4 {
		f.over = true
		if _, ok := w.r.Ended(w.now, x, TimedOut); !ok {
			w.Fatal("timed out and not removed")
		}
		w.clients[x].gone = true
		return
	}
	f.attempt++
	f.timeout *= 2
	f.due = w.now.Add(f.timeout)
	f.notification.Replaces = 0
	if n, ok := w.r.Supersede(w.now, x); ok {
		if n.Replaces != f.exchange {
			w.Fatalf("%+v replaces another exchange than %d", n, f.exchange)
		}
		f.notification = n
		w.lastID++
		f.id = w.lastID
		w.r.Sent(x, f.id, f.exchange)
	}
	w.transmit(f)
}

// run lets time pass and everything happen that is due.
func (w *network) run(d time.Duration) {
	for end := w.now.Add(d); ; {
		w.step()
		w.flush()
		next := end
		consider := func(at time.Time) {
			if at.Before(next) {
				next = at
			}
		}
		for _, f := range w.flights {
			consider(f.due)
		}
		for _, a := range w.acks {
			consider(a.at)
		}
		if at, ok := w.r.Deadline(); ok {
			consider(at)
		}
		if !next.After(w.now) {
			if !w.now.Before(end) {
				return
			}
			next = w.now.Add(time.Millisecond)
		}
		w.now = next
		w.r.Advance(w.now)
	}
}

// When changes stop, every client that is still an observer and alive comes to have the
// last state (RFC 7641 §1.3: eventual consistency), and none takes an older state for a
// newer one.
func TestEventualConsistency(t *testing.T) {
	for _, typ := range []Type{Auto, Confirmable} {
		for _, loss := range []float64{0, 0.1, 0.3} {
			for seed := range uint64(3) {
				t.Run(fmt.Sprintf("type%d/loss%.0f%%/seed%d", typ, loss*100, seed), func(t *testing.T) {
					w := newNetwork(t, Config{Policy: Policy{Type: typ}}, loss, seed)
					for i := range 60 {
						to := Resource(i % 3)
						w.clients[w.register(i/3, i, to)] = &receiver{resource: to, delay: time.Duration(w.rng.Int64N(int64(time.Second))), dead: i%20 == 19}
					}
					for range 200 {
						w.change(Resource(w.rng.IntN(3)))
						w.run(time.Duration(w.rng.Int64N(int64(2 * time.Second))))
					}
					w.loss = 0
					// A Non-confirmable notification may have been the last: the next Confirmable
					// one is at most a day away.
					w.run(24*time.Hour + time.Hour)
					alive := 0
					for x, c := range w.clients {
						switch {
						case c.gone || c.dead:
						case c.has != w.state[c.resource]:
							t.Errorf("observer %x has state %d, the last is %d", x, c.has, w.state[c.resource])
						default:
							alive++
						}
						if c.dead && !c.gone {
							t.Errorf("observer %x is dead and still there", x)
						}
					}
					if s := w.r.Stats(); alive < 30 || s.Conflated == 0 || loss > 0 && s.Superseded == 0 {
						t.Errorf("%d alive, %+v", alive, s)
					}
				})
			}
		}
	}
}

// Ten thousand observers, of whom a thousand never acknowledge: the others are told of
// each change at once, by one notification each, and the work does not grow.
func TestSlowAndDeadObserversDelayNobody(t *testing.T) {
	const count, dead = 10_000, 1_000
	b := newBench(t, Config{Policy: Policy{Type: Confirmable}})
	deaf := map[Observer]bool{}
	for i := range count {
		if x := b.register(i, i, 0); i%(count/dead) == 0 {
			deaf[x] = true
		}
	}
	for round := range 5 {
		b.r.Changed(b.now, 0)
		polls, live := 0, 0
		for {
			n, ok := b.r.Poll(b.now)
			polls++
			if !ok {
				if at, _ := b.r.Deadline(); at.After(b.now) {
					break
				}
				continue
			}
			if deaf[n.Observer] {
				if round > 0 {
					t.Fatalf("round %d: one that has not acknowledged gets another", round)
				}
				continue
			}
			live++
			b.r.Acknowledged(b.now, n.Observer)
		}
		want := count - dead
		if live != want || polls > count+2 {
			t.Errorf("round %d: %d notified in %d polls", round, live, polls)
		}
		b.now = b.now.Add(time.Second) // less than any timeout
	}
}

// A hundred observations of one client that does not acknowledge, and one of another:
// the other does not wait.
func TestManyObservationsOfOneClientDelayNobodyElse(t *testing.T) {
	for _, typ := range []Type{Confirmable, NonConfirmable} {
		b := newBench(t, Config{Policy: Policy{Type: typ}})
		for i := range 100 {
			b.register(1, i, 0)
		}
		other := b.register(2, 0, 1)
		for range 10 {
			b.r.Changed(b.now, 0)
			b.r.Changed(b.now, 1)
			position, i := -1, 0
			for _, n := range b.all() {
				if n.Observer == other {
					position = i
				}
				i++
			}
			if position < 0 || position > 2 {
				t.Errorf("type %d: the other one at position %d", typ, position)
			}
			b.r.Acknowledged(b.now, other)
			b.now = b.now.Add(4 * time.Second)
		}
	}
}
