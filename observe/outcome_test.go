package observe

import (
	"testing"
	"time"

	"github.com/motewire/coap/message"
)

// RFC 7641 §3.6: a Reset to a notification, Non-confirmable or long ago, ends the
// observation; only if it comes from where the notification went.
func TestResetEndsTheObservation(t *testing.T) {
	for late := range rememberedIDs + 1 {
		b := newBench(t, anyway)
		x := b.register(1, 1, 0)
		b.register(2, 1, 0)
		b.register(1, 2, 1)
		b.r.Changed(b.now, 0)
		b.all()
		id := message.ID(b.r.ids(x)[0])
		for range late {
			b.r.Changed(b.now, 0)
			b.all()
		}
		if _, ok := b.r.Reset(b.now, numbered(2), id); ok {
			t.Fatal("forged Reset accepted")
		}
		if _, ok := b.r.Reset(b.now, numbered(3), id); ok {
			t.Fatal("Reset of a stranger accepted")
		}
		if _, ok := b.r.Reset(b.now, numbered(1), id+1000); ok {
			t.Fatal("Reset of another message accepted")
		}
		removal, ok := b.r.Reset(b.now, numbered(1), id)
		if want := late < rememberedIDs; ok != want || ok && removal.Observer != x {
			t.Fatalf("%d notifications later: %+v, %v", late, removal, ok)
		}
		if _, again := b.r.Reset(b.now, numbered(1), id); again {
			t.Fatal("Reset twice")
		}
		if ok {
			b.observers(2)
		}
	}
}

// used counts the references in an index.
func (x *index) used() (n int) {
	for i := range x.segments {
		n += x.segments[i].used
	}
	return n
}

// ids returns the message IDs remembered of an observer, from its first place.
func (r *Registry) ids(x Observer) [rememberedIDs]uint16 {
	n, ok := r.observers.resolve(uint64(x))
	var ids [rememberedIDs]uint16
	for i := range ids {
		if o := r.observers.at(n); ok && o.places.known(i) {
			ids[i] = uint16(o.ids[i])
		}
	}
	return ids
}

// An ID that is used again belongs to the later message.
func TestMessageIDsAreUsedAgain(t *testing.T) {
	b := newBench(t, anyway)
	x, y := b.register(1, 1, 0), b.register(1, 2, 0)
	b.r.Sent(x, 5, 0)
	b.r.Sent(x, 5, 0)
	if ids := b.r.ids(x); ids != [4]uint16{5} {
		t.Errorf("%v", ids)
	}
	b.r.Sent(y, 5, 0)
	if removal, _ := b.r.Reset(b.now, numbered(1), 5); removal.Observer != y {
		t.Errorf("%+v", removal)
	}
	b.r.Sent(x, 6, 0)
	b.r.Sent(x, 5, 0)
	b.r.Sent(x, 6, 0)
	if removal, ok := b.r.Reset(b.now, numbered(1), 5); !ok || removal.Observer != x {
		t.Errorf("%+v", removal)
	}
	if used := b.r.byID.used() + b.r.byToken.used() + b.r.byPeer.used(); used != 0 {
		t.Errorf("%d references left behind", used)
	}
}

func TestTimeoutAndNetworkEndTheObservation(t *testing.T) {
	b := newBench(t, Config{Policy: Policy{Type: Confirmable}})
	for i, cause := range []Cause{TimedOut, Rejected, Unreachable} {
		x := b.register(1, i, 0)
		b.r.Changed(b.now, 0)
		b.one()
		removal, ok := b.r.Ended(b.now, x, cause)
		if !ok || removal.Observer != x || removal.Exchange != 0 {
			t.Errorf("%v: %+v", cause, removal)
		}
		if _, ok := b.r.Ended(b.now, x, cause); ok {
			t.Error("ended twice")
		}
	}
	if s := b.r.Stats(); s.DroppedTimeout != 1 || s.DroppedReset != 1 || s.DroppedNetwork != 1 || s.Observers+s.Peers != 0 {
		t.Errorf("%+v", s)
	}
	if at, ok := b.r.Deadline(); ok && at.After(b.now) {
		t.Error("deadline without observers")
	}
}

// RFC 7641 §4.2: a notification with an error ends the observation.
func TestLastNotification(t *testing.T) {
	b := newBench(t, Config{NonInterval: -1})
	b.r.SetPolicy(1, Policy{Type: NonConfirmable})
	x, y := b.register(1, 1, 0), b.register(1, 2, 0)
	z := b.register(2, 3, 1)
	b.r.End(b.now, 0)
	b.r.End(b.now, 1)
	b.r.End(b.now, 2)
	var sent []Notification
	for _, n := range b.all() {
		if !n.Final || n.Confirmable != (n.Resource == 0) {
			t.Errorf("%+v", n)
		}
		if removal, ok := b.r.Conclude(b.now, n.Observer); ok != !n.Confirmable || ok && removal.Observer != z {
			t.Errorf("%+v, %v", removal, ok)
		}
		if n.Confirmable {
			sent = append(sent, n)
		}
	}
	if len(sent) != 1 || sent[0].Observer != x {
		t.Fatalf("%+v", sent)
	}
	if reg := b.r.Register(b.now, numbered(2), tokenOf(1), 0, 0); reg.Outcome != Refused {
		t.Errorf("registered for what is ending: %+v", reg)
	}
	b.r.Changed(b.now, 0)
	if _, ok := b.r.Supersede(b.now, x); ok {
		t.Error("superseded the last one")
	}
	if removal, ok := b.r.Acknowledged(b.now, x); !ok || removal.Observer != x || removal.Exchange != 0 {
		t.Errorf("%+v", removal)
	}
	if n := b.one(); n.Observer != y || !n.Final {
		t.Errorf("%+v", n)
	}
	b.r.Conclude(b.now, y)
	if _, ok := b.r.Ended(b.now, y, TimedOut); !ok {
		t.Error("not removed")
	}
	b.observers(0)
	b.register(1, 1, 0) // the number can be used again
	b.r.Changed(b.now, 0)
	if n := b.one(); n.Final {
		t.Errorf("%+v", n)
	}
}

// While the last notification is unacknowledged the token is free for a new registration.
func TestRegistrationDuringTheLastNotification(t *testing.T) {
	b := newBench(t, Config{Policy: Policy{Type: Confirmable}})
	x := b.register(1, 1, 0)
	b.r.Changed(b.now, 0)
	n := b.one()
	b.r.Conclude(b.now, x)
	reg := b.r.Register(b.now, numbered(1), tokenOf(1), 0, 0)
	if reg.Outcome != Replaced || reg.Removed.Exchange != exchangeFor(n, b.lastID) || reg.Observer == x {
		t.Errorf("%+v", reg)
	}
	b.observers(1)
}

func TestEndAll(t *testing.T) {
	b := newBench(t, Config{})
	for i := range 100 {
		b.register(i/3, i, Resource(i%7))
	}
	b.r.EndAll(b.now)
	for round := 0; b.r.Stats().Observers > 0; round++ {
		if round > 3 {
			t.Fatalf("%d left", b.r.Stats().Observers)
		}
		sent := b.all()
		for _, n := range sent {
			if !n.Final {
				t.Fatalf("%+v", n)
			}
			b.r.Conclude(b.now, n.Observer)
		}
		for _, n := range sent {
			b.r.Acknowledged(b.now, n.Observer)
		}
	}
	if s := b.r.Stats(); s.Concluded != 100 {
		t.Errorf("%+v", s)
	}
}

// What the message layer refuses is not lost.
func TestUnsent(t *testing.T) {
	for _, typ := range []Type{Confirmable, NonConfirmable} {
		for _, interval := range []time.Duration{-1, 0} {
			b := newBench(t, Config{NonInterval: interval, Policy: Policy{Type: typ}})
			x := b.register(1, 1, 0)
			b.register(1, 2, 1)
			b.register(2, 1, 0)
			b.r.Changed(b.now, 0)
			refused := 0
			for {
				n, ok := b.r.Poll(b.now)
				if !ok {
					break
				}
				if n.Observer == x {
					refused++
					b.r.Conclude(b.now, x)
					b.r.Unsent(b.now, x)
				} else {
					b.r.Acknowledged(b.now, n.Observer)
				}
			}
			if typ == NonConfirmable {
				b.observers(2) // a last Non-confirmable one is gone once it is concluded
				continue
			}
			b.r.Changed(b.now, 1)
			b.none()
			if refused != 1 {
				t.Errorf("%v: offered %d times", typ, refused)
			}
			var again []Notification
			for range 3 {
				again = append(again, b.pass(2*time.Second)...)
				for _, n := range again {
					b.r.Acknowledged(b.now, n.Observer)
				}
			}
			if len(again) != 2 || !again[0].Confirmable {
				t.Errorf("%v: %+v", typ, again)
			}
			if s := b.r.Stats(); s.Unsent != 1 || s.Observers != 3 {
				t.Errorf("%+v", s)
			}
		}
	}
	b := newBench(t, anyway)
	x := b.register(1, 1, 0)
	b.r.Changed(b.now, 0)
	n, _ := b.r.Poll(b.now)
	b.r.Unsent(b.now, x)
	b.none()
	if sent := b.pass(1100 * time.Millisecond); len(sent) != 1 || sent[0].Change != n.Change || !newer(sent[0].Sequence, n.Sequence) {
		t.Errorf("%+v", sent)
	}
	b.r.Unsent(b.now, 0)
}

// The message IDs of a client's first observation are found without an index, those of its
// others by it, whichever of them end.
func TestResetEndsAnyObservationOfAClient(t *testing.T) {
	for gone := range 3 {
		b := newBench(t, anyway)
		all := []Observer{b.register(1, 1, 0), b.register(1, 2, 0), b.register(1, 3, 0)}
		b.r.Changed(b.now, 0)
		b.all()
		if used := b.r.byID.used(); used != 2 {
			t.Fatalf("%d message IDs in the index", used)
		}
		b.r.Deregister(b.now, numbered(1), tokenOf(gone+1))
		all[gone] = b.register(1, 4, 0)
		b.r.Changed(b.now, 0)
		b.all()
		for _, x := range all {
			id := message.ID(b.r.ids(x)[0])
			if removal, ok := b.r.Reset(b.now, numbered(1), id); !ok || removal.Observer != x {
				t.Errorf("%d gone: %+v, %v, want %v", gone, removal, ok, x)
			}
		}
		if used := b.r.byID.used(); used != 0 {
			t.Errorf("%d gone: %d message IDs left", gone, used)
		}
		b.observers(0)
	}
}
