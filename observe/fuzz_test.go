package observe

import (
	"testing"
	"time"

	"github.com/motewire/coap/message"
)

// FuzzRegistry plays inputs made from bytes. The Registry must keep its limits and NSTART,
// its tables must agree, and nothing may be left when all observations are over.
func FuzzRegistry(f *testing.F) {
	f.Add([]byte{0, 1, 0, 6, 1, 0, 2, 0, 4, 0})
	f.Add([]byte{0, 1, 0, 9, 0, 17, 1, 0, 2, 3, 3, 2, 5, 0, 7, 200, 2, 0, 8, 0, 2, 1, 9, 3})
	f.Add([]byte{0, 1, 10, 1, 2, 0, 1, 1, 6, 0, 4, 0, 11, 0, 1, 0, 2, 8, 2, 1})
	f.Fuzz(func(t *testing.T, script []byte) {
		b := newBench(t, Config{NStart: 2, MaxObservers: 12, MaxPerPeer: 5, MaxPerResource: 7, MaxResources: 4})
		p := player{bench: b, flying: map[Observer]Exchange{}}
		for ; len(script) > 1; script = script[2:] {
			p.step(script[0], int(script[1]))
			if s := b.r.Stats(); s.Observers > 12 || s.Peers > 12 || len(b.r.resources) > 4 {
				t.Fatalf("beyond the limits: %+v", s)
			}
			if err := b.r.consistent(); err != nil {
				t.Fatal(err)
			}
		}
		for from := range 8 {
			for token := range 8 {
				b.r.Deregister(b.now, numbered(from), tokenOf(token))
			}
		}
		b.none()
		if s := b.r.Stats(); s.Observers+s.Peers+b.r.byID.used()+b.r.byToken.used()+b.r.byPeer.used()+b.r.blocked != 0 {
			t.Fatalf("left behind: %+v", s)
		}
		if _, ok := b.r.Deadline(); ok {
			t.Fatal("a deadline without observers")
		}
	})
}

// A player turns bytes into inputs.
type player struct {
	*bench
	flying map[Observer]Exchange
	last   Observer
}

func (p *player) over(removal Removal, ok bool) {
	if ok {
		delete(p.flying, removal.Observer)
	}
}

func (p *player) step(op byte, arg int) {
	from, token, to := numbered(arg&7), tokenOf(arg>>3&7), Resource(arg>>6&3)
	switch op % 12 {
	case 0:
		reg := p.r.Register(p.now, from, token, to, Representation(op>>4))
		p.over(reg.Removed, reg.Removed.Observer != 0)
	case 1:
		p.r.Changed(p.now, to)
	case 2:
		p.poll(arg)
	case 3:
		p.over(p.r.Acknowledged(p.now, p.last))
		delete(p.flying, p.last)
	case 4:
		p.over(p.r.Ended(p.now, p.last, Cause(arg%3)))
	case 5:
		p.over(p.r.Deregister(p.now, from, token))
	case 6:
		p.over(p.r.Reset(p.now, from, message.ID(arg>>3)))
	case 7:
		p.now = p.now.Add(time.Duration(arg) * time.Duration(arg) * 4 * time.Second)
		p.r.Advance(p.now)
	case 8:
		if n, ok := p.r.Supersede(p.now, p.last); ok && (n.Replaces != p.flying[p.last] || !n.Confirmable) {
			p.Fatalf("%+v replaces exchange %d", n, p.flying[p.last])
		}
	case 9:
		p.over(p.r.Conclude(p.now, p.last))
	case 10:
		p.r.End(p.now, to)
	case 11:
		p.r.SetPolicy(to, Policy{Type: Type(arg % 3), Every: arg >> 2 & 7})
	}
}

// poll takes a notification and sends it, or says that it could not.
func (p *player) poll(arg int) {
	n, ok := p.r.Poll(p.now)
	if !ok {
		return
	}
	if arg&7 == 7 {
		p.r.Unsent(p.now, n.Observer)
		return
	}
	if _, twice := p.flying[n.Observer]; twice || len(p.flying) > 0 && p.busy(n) >= 2 {
		p.Fatalf("more than NSTART in flight: %+v", n)
	}
	p.last = n.Observer
	p.lastID++
	p.r.Sent(n.Observer, p.lastID%32, exchangeFor(n, p.lastID))
	if n.Confirmable {
		p.flying[n.Observer] = exchangeFor(n, p.lastID)
	}
}

// busy counts what is in flight to the client of a notification.
func (p *player) busy(n Notification) (busy int) {
	for x := range p.flying {
		if k, ok := p.r.observers.resolve(uint64(x)); ok && p.r.peers.at(p.r.observers.at(k).client).addr == n.Peer {
			busy++
		}
	}
	return busy
}
