package observe

import (
	"testing"
	"time"

	"github.com/motewire/coap/message"
)

// Neither Confirmable nor Non-confirmable notifications of a client wait until all of the
// other kind are through.
func TestKindsTakeTurns(t *testing.T) {
	b := newBench(t, Config{NStart: 1, NonInterval: -1})
	b.r.SetPolicy(0, Policy{Type: Confirmable})
	b.r.SetPolicy(1, Policy{Type: NonConfirmable})
	first := b.register(1, 100, 0)
	b.r.Changed(b.now, 0)
	b.one() // in flight: what follows gathers
	for i := range 10 {
		b.register(1, i, Resource(i%2))
	}
	b.r.Changed(b.now, 0)
	b.r.Changed(b.now, 1)
	b.none()
	b.r.Acknowledged(b.now, first)
	kinds := ""
	for {
		n, ok := b.next()
		if !ok {
			break
		}
		kinds += map[bool]string{true: "C", false: "n"}[n.Confirmable]
		b.r.Acknowledged(b.now, n.Observer)
	}
	if kinds != "nCnCnCnCnCC" && kinds != "CnCnCnCnCnC" {
		t.Error(kinds)
	}
}

// A retransmission that is due at once after a change carries the new state, though Poll
// has not come to the observer.
func TestSupersedeRightAfterAChange(t *testing.T) {
	b := newBench(t, Config{Policy: Policy{Type: Confirmable}})
	x := b.register(1, 1, 0)
	b.r.Changed(b.now, 0)
	n := b.one()
	b.r.Changed(b.now, 0)
	if newer, ok := b.r.Supersede(b.now, x); !ok || newer.Change != n.Change+1 {
		t.Errorf("%+v, %v", newer, ok)
	}
	b.none()
	b.r.Acknowledged(b.now, x)
	b.none()
}

// A Confirmable notification that could not be sent is Confirmable the next time.
func TestUnsentStaysConfirmable(t *testing.T) {
	b := newBench(t, Config{NonInterval: -1, Policy: Policy{Every: 2}})
	x := b.register(1, 1, 0)
	for i, want := range []bool{false, true, true, false} {
		b.r.Changed(b.now, 0)
		n, ok := b.r.Poll(b.now)
		if !ok || n.Confirmable != want {
			t.Fatalf("%d: %+v", i, n)
		}
		if i == 1 {
			b.r.Unsent(b.now, x)
			b.now = b.now.Add(2 * time.Second)
		} else {
			b.r.Acknowledged(b.now, x)
		}
	}
}

// A client that goes while it is ready leaves no trace.
func TestClientGoesWhileReady(t *testing.T) {
	b := newBench(t, Config{Policy: Policy{Type: Confirmable}})
	x := b.register(1, 1, 0)
	b.register(1, 2, 0)
	b.register(9, 1, 1)
	b.r.Changed(b.now, 0)
	b.one()
	b.r.Acknowledged(b.now, x) // now the other one is ready
	b.r.Deregister(b.now, numbered(1), tokenOf(1))
	b.r.Deregister(b.now, numbered(1), tokenOf(2))
	if b.r.ring != (list{}) {
		t.Fatalf("ring %+v", b.r.ring)
	}
	for i := 2; i < 5; i++ {
		b.register(i, 1, 0)
	}
	b.r.Changed(b.now, 0)
	if got := len(b.all()); got != 3 {
		t.Errorf("%d notifications", got)
	}
	if err := b.r.consistent(); err != nil {
		t.Error(err)
	}
}

func TestSentWithoutExchangeKeepsIt(t *testing.T) {
	b := newBench(t, Config{Policy: Policy{Type: Confirmable}})
	x := b.register(1, 1, 0)
	b.r.Changed(b.now, 0)
	n := b.one()
	want := exchangeFor(n, b.lastID)
	b.r.Sent(x, 99, 0)
	if removal, _ := b.r.Deregister(b.now, numbered(1), tokenOf(1)); removal.Exchange != want {
		t.Errorf("%+v", removal)
	}
}

// A message ID that is used once more counts as the latest.
func TestRepeatedMessageIDIsTheLatest(t *testing.T) {
	b := newBench(t, anyway)
	x := b.register(1, 1, 0)
	for _, id := range []message.ID{1, 2, 3, 4, 1, 5, 6} {
		b.r.Sent(x, id, 0)
	}
	if _, ok := b.r.Reset(b.now, numbered(1), 1); !ok {
		t.Error("forgotten")
	}
}

// What is due after MaxSilence goes at once, in place of what waits for its pace, and
// not a second time.
func TestSilenceEndsThePause(t *testing.T) {
	b := newBench(t, Config{MaxSilence: 2 * time.Second, NonInterval: 3 * time.Second, Policy: Policy{Type: NonConfirmable}})
	x := b.register(1, 1, 0)
	b.r.Changed(b.now, 0)
	b.one()
	b.r.Changed(b.now, 0)
	b.none()
	if sent := b.pass(2100 * time.Millisecond); len(sent) != 1 || !sent[0].Confirmable {
		t.Fatalf("%+v", sent)
	}
	if err := b.r.consistent(); err != nil {
		t.Fatal(err)
	}
	// While it is unacknowledged, silence asks for no other.
	if sent := b.pass(10 * time.Second); len(sent) != 0 {
		t.Fatalf("%+v", sent)
	}
	b.r.Acknowledged(b.now, x)
	b.none()
	if err := b.r.consistent(); err != nil {
		t.Fatal(err)
	}
	if sent := b.pass(2 * time.Second); len(sent) != 1 {
		t.Fatalf("%+v", sent)
	}
}

// A pause that nothing waits for wakes nobody.
func TestIdlePauseHasNoDeadline(t *testing.T) {
	b := newBench(t, Config{Policy: Policy{Type: NonConfirmable}})
	b.register(1, 1, 0)
	b.r.Changed(b.now, 0)
	b.one()
	if at, ok := b.r.Deadline(); !ok || at.Before(b.now.Add(24*time.Hour)) {
		t.Errorf("deadline after %v", at.Sub(b.now))
	}
	b.r.Changed(b.now, 0)
	b.none()
	at, ok := b.r.Deadline()
	if wait := at.Sub(b.now); !ok || wait < 3*time.Second || wait > 3*time.Second+time.Duration(coalesce) {
		t.Errorf("deadline after %v", wait)
	}
}

// The value after 2^24 - 1 is 0, also where the clock has not moved.
func TestSequenceWrapsWithinOneStep(t *testing.T) {
	b := newBench(t, anyway)
	b.now = time.UnixMilli(sequenceMask * clockStep)
	for i, want := range []uint32{sequenceMask, 0, 1} {
		if reg := b.r.Register(b.now, numbered(1), tokenOf(1), 0, 0); reg.Sequence != want {
			t.Errorf("registration %d: %d, want %d", i, reg.Sequence, want)
		}
	}
}
