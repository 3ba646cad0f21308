package observe

import (
	"errors"
	"testing"
	"time"

	"github.com/motewire/coap/message"
)

// RFC 7641 §4.1: an entry is a client endpoint and a token; the same request with the
// same token refreshes it, another one replaces it.
func TestRegistrationIsAnEndpointAndAToken(t *testing.T) {
	b := newBench(t, anyway)
	first := b.r.Register(b.now, numbered(1), tokenOf(1), 0, 7)
	if first.Outcome != New || first.Observer == 0 || first.Removed != (Removal{}) {
		t.Fatalf("first: %+v", first)
	}
	again := b.r.Register(b.now, numbered(1), tokenOf(1), 0, 7)
	if again.Outcome != Refreshed || again.Observer != first.Observer || !newer(again.Sequence, first.Sequence) {
		t.Fatalf("again: %+v after %+v", again, first)
	}
	b.observers(1)

	for i, other := range []Registration{
		b.r.Register(b.now, numbered(1), tokenOf(2), 0, 7),
		b.r.Register(b.now, numbered(2), tokenOf(1), 0, 7),
		b.r.Register(b.now, withPort(numbered(1), 9), tokenOf(1), 0, 7),
		b.r.Register(b.now, numbered(1).WithLocal(localA), tokenOf(1), 0, 7),
		b.r.Register(b.now, numbered(1).WithLocal(localB), tokenOf(1), 0, 7),
	} {
		if other.Outcome != New {
			t.Errorf("other %d: %+v", i, other)
		}
	}
	b.observers(6)

	otherRepresentation := b.r.Register(b.now, numbered(1), tokenOf(1), 0, 8)
	if otherRepresentation.Outcome != Replaced || otherRepresentation.Removed != (Removal{Observer: first.Observer, Representation: 7}) {
		t.Fatalf("other representation: %+v", otherRepresentation)
	}
	otherResource := b.r.Register(b.now, numbered(1), tokenOf(1), 3, 8)
	if otherResource.Outcome != Replaced || otherResource.Removed.Observer != otherRepresentation.Observer {
		t.Fatalf("other resource: %+v", otherResource)
	}
	b.observers(6)
	b.r.Changed(b.now, 0)
	if got := len(b.all()); got != 5 {
		t.Errorf("%d notifications, want 5", got)
	}
	b.r.Changed(b.now, 3)
	if n := b.one(); n.Observer != otherResource.Observer || n.Token != tokenOf(1) || n.Peer != numbered(1) || n.Resource != 3 || n.Representation != 8 {
		t.Errorf("notification %+v", n)
	}
}

func TestLimits(t *testing.T) {
	b := newBench(t, Config{MaxObservers: 5, MaxPerPeer: 3, MaxPerResource: 2, MaxResources: 10})
	refused := func(client, token int, to Resource) {
		t.Helper()
		if reg := b.r.Register(b.now, numbered(client), tokenOf(token), to, 0); reg != (Registration{}) {
			t.Fatalf("beyond a limit: %+v", reg)
		}
	}
	b.register(1, 1, 1)
	b.register(1, 2, 1)
	refused(1, 3, 1)
	b.register(1, 3, 2)
	refused(1, 4, 3)
	b.register(2, 1, 3)
	refused(2, 2, 10)
	b.register(3, 1, 3)
	refused(4, 1, 4)
	if s := b.r.Stats(); s.RefusedResource != 2 || s.RefusedPeer != 1 || s.RefusedTotal != 1 || s.Observers != 5 || s.Peers != 3 {
		t.Errorf("%+v", s)
	}
	// A token that comes with another request is not what it was, taken or not.
	if reg := b.r.Register(b.now, numbered(1), tokenOf(1), 3, 0); reg.Outcome != Refused || reg.Observer != 0 || reg.Removed.Resource != 1 {
		t.Errorf("refused replacement: %+v", reg)
	}
	b.observers(4)
	if _, ok := b.r.Deregister(b.now, numbered(3), tokenOf(1)); !ok {
		t.Error("not deregistered")
	}
	b.register(4, 1, 3)
}

// A million registrations from one endpoint cost its limit.
func TestOneEndpointCannotFillTheRegistry(t *testing.T) {
	b := newBench(t, Config{})
	for i := range 1_000_000 {
		b.r.Register(b.now, numbered(1), tokenOf(i), 0, 0)
	}
	if s := b.r.Stats(); s.Observers != 1024 || s.RefusedPeer != 1_000_000-1024 {
		t.Errorf("%+v", s)
	}
	b.register(2, 0, 0)
}

func TestDeregistration(t *testing.T) {
	b := newBench(t, Config{Policy: Policy{Type: Confirmable}})
	x := b.register(1, 1, 0)
	b.register(1, 2, 0)
	b.r.Changed(b.now, 0)
	n := b.one()
	if n.Observer != x || !n.Confirmable {
		t.Fatalf("%+v", n)
	}
	if _, ok := b.r.Deregister(b.now, numbered(1), tokenOf(3)); ok {
		t.Error("deregistered what was not there")
	}
	if _, ok := b.r.Deregister(b.now, numbered(2), tokenOf(1)); ok {
		t.Error("deregistered from elsewhere")
	}
	// The notification under way is to be cancelled, and another may go.
	if removal, ok := b.r.Deregister(b.now, numbered(1), tokenOf(1)); !ok || removal.Exchange != exchangeFor(n, b.lastID) || removal.Observer != x {
		t.Errorf("removal %+v", removal)
	}
	if n := b.one(); n.Token != tokenOf(2) {
		t.Errorf("%+v", n)
	}
	if removal, ok := b.r.Acknowledged(b.now, x); ok {
		t.Errorf("acknowledged afterwards: %+v", removal)
	}
	if b.r.Sent(x, 9, 9) {
		t.Error("sent afterwards")
	}
	if s := b.r.Stats(); s.Deregistered != 1 || s.Observers != 1 {
		t.Errorf("%+v", s)
	}
}

// RFC 7641 §4.5.1: at most NSTART notifications to a client are outstanding, over all
// its observations; they take turns.
func TestNStartCountsPerEndpoint(t *testing.T) {
	for nstart := 1; nstart <= 3; nstart++ {
		b := newBench(t, Config{NStart: nstart, Policy: Policy{Type: Confirmable}})
		for token := range 5 {
			b.register(1, token, Resource(token%2))
		}
		b.register(2, 0, 0)
		b.r.Changed(b.now, 0)
		b.r.Changed(b.now, 1)
		var flying []Notification
		others := 0
		for _, n := range b.all() {
			if n.Peer == numbered(1) {
				flying = append(flying, n)
			} else {
				others++
			}
		}
		if len(flying) != nstart || others != 1 {
			t.Fatalf("NSTART %d: %d and %d notifications", nstart, len(flying), others)
		}
		served := map[Observer]int{}
		for round := range 10 {
			n := flying[0]
			served[n.Observer]++
			b.r.Changed(b.now, 0)
			b.r.Changed(b.now, 1)
			b.none()
			b.r.Acknowledged(b.now, n.Observer)
			flying = append(flying[1:], b.one())
			if flying[len(flying)-1].Peer != numbered(1) {
				t.Fatalf("round %d: %+v", round, flying)
			}
		}
		if len(served) != 5 {
			t.Errorf("NSTART %d: served %v", nstart, served)
		}
		for _, k := range served {
			if k != 2 {
				t.Errorf("NSTART %d: not in turns: %v", nstart, served)
			}
		}
	}
}

// RFC 7641 §4.5.1: Non-confirmable notifications to a client keep 3 s apart; those to
// others do not wait.
func TestNonConfirmableNotificationsArePaced(t *testing.T) {
	b := newBench(t, Config{Policy: Policy{Type: NonConfirmable}})
	b.register(1, 1, 0)
	b.register(1, 2, 0)
	b.register(2, 1, 0)
	var sent []time.Duration
	for range 118 { // a change every 100 ms
		b.r.Changed(b.now, 0)
		for range b.all() {
			sent = append(sent, b.now.Sub(epoch))
		}
		for _, n := range b.pass(100 * time.Millisecond) {
			sent = append(sent, b.now.Sub(epoch))
			if n.Confirmable {
				t.Errorf("%+v", n)
			}
		}
	}
	if len(sent) != 8 { // two clients at 0, 3, 6 and 9 s
		t.Errorf("sent at %v", sent)
	}
	for i, at := range sent {
		if over := at - time.Duration(i/2)*3*time.Second; over < 0 || over > 250*time.Millisecond {
			t.Errorf("notification %d at %v", i, at)
		}
	}
	if s := b.r.Stats(); s.Conflated == 0 {
		t.Errorf("%+v", s)
	}
}

func TestConfirmableNotificationsAreNotPaced(t *testing.T) {
	b := newBench(t, Config{})
	if err := b.r.SetPolicy(1, Policy{Type: Confirmable}); err != nil {
		t.Fatal(err)
	}
	b.register(1, 1, 0)
	b.register(1, 2, 1)
	b.r.Changed(b.now, 0)
	if n := b.one(); n.Confirmable {
		t.Errorf("%+v", n)
	}
	b.r.Changed(b.now, 0)
	b.none()
	b.r.Changed(b.now, 1)
	n := b.one()
	if !n.Confirmable {
		t.Errorf("%+v", n)
	}
	// While one is unacknowledged, nothing else goes, paced or not.
	if sent := b.pass(10 * time.Second); len(sent) != 0 {
		t.Errorf("%+v", sent)
	}
	b.r.Acknowledged(b.now, n.Observer)
	if n := b.one(); n.Confirmable || n.Resource != 0 {
		t.Errorf("%+v", n)
	}
}

func TestPolicy(t *testing.T) {
	count := func(cfg Config, changes int, every time.Duration) (kinds string) {
		b := newBench(t, cfg)
		x := b.register(1, 1, 0)
		for range changes {
			b.now = b.now.Add(every)
			b.r.Changed(b.now, 0)
			n := b.one()
			kinds += map[bool]string{true: "C", false: "n"}[n.Confirmable]
			b.r.Acknowledged(b.now, x)
		}
		return kinds
	}
	for _, c := range []struct {
		policy Policy
		every  time.Duration
		want   string
	}{
		{Policy{}, 4 * time.Second, "nnnnCnnnnCnn"},
		{Policy{Every: 3}, 4 * time.Second, "nnCnnCnnCnnC"},
		{Policy{Every: 1}, 4 * time.Second, "CCCCCCCCCCCC"},
		{Policy{Every: -1}, 4 * time.Second, "nnnnnnnnnnnn"},
		{Policy{Every: -1, Interval: 12 * time.Second}, 4 * time.Second, "nnCnnCnnCnnC"},
		{Policy{Type: Confirmable, Every: 3}, 4 * time.Second, "CCCCCCCCCCCC"},
		{Policy{Type: NonConfirmable, Every: 3}, 4 * time.Second, "nnnnnnnnnnnn"},
	} {
		if got := count(Config{Policy: c.policy}, 12, c.every); got != c.want {
			t.Errorf("%+v: %s, want %s", c.policy, got, c.want)
		}
	}
}

// RFC 7641 §4.5: a server MUST send a notification in a Confirmable message at least
// every 24 hours.
func TestNoObserverIsSilentForADay(t *testing.T) {
	b := newBench(t, Config{Policy: Policy{Type: NonConfirmable}})
	x := b.register(1, 1, 0)
	b.now = b.now.Add(time.Hour)
	b.register(2, 1, 0)
	b.r.Register(b.now, numbered(1), tokenOf(1), 0, 0) // refreshed: silent from now on
	sent := b.pass(24*time.Hour - time.Second)
	if len(sent) != 0 {
		t.Fatalf("%+v", sent)
	}
	sent = b.pass(2 * time.Second)
	if len(sent) != 2 || !sent[0].Confirmable || !sent[1].Confirmable {
		t.Fatalf("%+v", sent)
	}
	// One is gone, the other alive and gets the next a day later.
	b.r.Acknowledged(b.now, x)
	if _, ok := b.r.Ended(b.now, sent[1-slotOf(sent, x)].Observer, TimedOut); !ok {
		t.Error("not removed")
	}
	b.observers(1)
	if sent = b.pass(25 * time.Hour); len(sent) != 1 || sent[0].Observer != x || !sent[0].Confirmable {
		t.Errorf("%+v", sent)
	}
	if s := b.r.Stats(); s.DroppedTimeout != 1 {
		t.Errorf("%+v", s)
	}
	// With changes all the time it is one of them.
	b.r.Acknowledged(b.now, x)
	confirmable := 0
	for range 25 * 6 {
		b.r.Changed(b.now, 0)
		for _, n := range b.pass(10 * time.Minute) {
			if n.Confirmable {
				confirmable++
				b.r.Acknowledged(b.now, x)
			}
		}
	}
	if confirmable != 1 {
		t.Errorf("%d Confirmable notifications in 25 hours of changes", confirmable)
	}
}

func slotOf(sent []Notification, x Observer) int {
	for i, n := range sent {
		if n.Observer == x {
			return i
		}
	}
	return -1
}

// RFC 7641 §4.5.2: states in between are skipped; a newer state replaces the one that is
// unacknowledged when its retransmission is due.
func TestNewerStateReplacesTheUnacknowledgedOne(t *testing.T) {
	b := newBench(t, Config{Policy: Policy{Type: Confirmable}})
	x := b.register(1, 1, 0)
	b.r.Changed(b.now, 0)
	first := b.one()
	exchange := exchangeFor(first, b.lastID)
	b.now = b.now.Add(2 * time.Second)
	if n, ok := b.r.Supersede(b.now, x); ok {
		t.Fatalf("superseded by nothing newer: %+v", n)
	}
	b.r.Changed(b.now, 0)
	b.r.Changed(b.now, 0)
	b.r.Changed(b.now, 0)
	b.none()
	b.now = b.now.Add(4 * time.Second)
	n, ok := b.r.Supersede(b.now, x)
	if !ok || n.Replaces != exchange || !n.Confirmable || n.Change != first.Change+3 || !newer(n.Sequence, first.Sequence) {
		t.Fatalf("%+v after %+v", n, first)
	}
	if !b.r.Sent(x, 77, exchange) {
		t.Fatal("over")
	}
	if _, ok := b.r.Supersede(b.now, x); ok {
		t.Error("superseded twice by the same state")
	}
	b.r.Acknowledged(b.now, x)
	b.none()
	// A change that comes too late for a retransmission is sent after the acknowledgement.
	b.r.Changed(b.now, 0)
	b.one()
	b.r.Changed(b.now, 0)
	b.none()
	b.r.Acknowledged(b.now, x)
	if n := b.one(); n.Replaces != 0 {
		t.Errorf("%+v", n)
	}
	if s := b.r.Stats(); s.Superseded != 1 || s.Conflated != 2 || s.Notifications != 4 {
		t.Errorf("%+v", s)
	}
	if _, ok := b.r.Supersede(b.now, 0); ok {
		t.Error("superseded none")
	}
}

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

// RFC 7641 §4.4: values of one observation are strictly ascending within 128 s, also
// past the end of the 24 bits, at any rate and after any time.
func TestSequencesAscend(t *testing.T) {
	b := newBench(t, anyway)
	x := b.register(1, 1, 0)
	var f Freshness
	rng := newRand(3)
	last := uint32(0)
	wraps := 0
	for i := range 20_000 {
		switch i % 3 {
		case 0: // a burst within a millisecond
		case 1:
			b.now = b.now.Add(time.Duration(rng.Int64N(int64(time.Minute))))
		case 2:
			b.now = b.now.Add(time.Duration(rng.Int64N(int64(4 * time.Hour))))
		}
		b.r.Changed(b.now, 0)
		n := b.one()
		if n.Sequence > sequenceMask || !f.Accept(b.now, n.Sequence) || !newer(n.Sequence, last) && i > 0 {
			t.Fatalf("%d after %d", n.Sequence, last)
		}
		if n.Sequence < last {
			wraps++
		}
		last = n.Sequence
		b.r.Acknowledged(b.now, x)
	}
	if wraps < 100 {
		t.Errorf("%d wraps", wraps)
	}
	// A server that is started again goes on.
	restarted := newBench(t, anyway)
	restarted.now = b.now.Add(time.Second)
	if reg := restarted.r.Register(restarted.now, numbered(1), tokenOf(1), 0, 0); !newer(reg.Sequence, last) {
		t.Errorf("%d after %d", reg.Sequence, last)
	}
}

func TestTimeDoesNotGoBackward(t *testing.T) {
	b := newBench(t, anyway)
	b.register(1, 1, 0)
	b.r.Changed(b.now.Add(time.Hour), 0)
	first := b.one()
	b.r.Changed(b.now, 0)
	if n := b.one(); !newer(n.Sequence, first.Sequence) {
		t.Errorf("%d after %d", n.Sequence, first.Sequence)
	}
}

func TestImpossibleConfigurations(t *testing.T) {
	for _, cfg := range []Config{
		{MaxObservers: -1}, {MaxPerPeer: 1 << 16}, {MaxPerResource: -1}, {MaxResources: 1 << 29}, {NStart: 1 << 16},
		{MaxSilence: 25 * time.Hour}, {MaxSilence: -1}, {Policy: Policy{Type: 3}}, {Policy: Policy{Every: 256}}, {Policy: Policy{Interval: -1}},
	} {
		if _, err := NewRegistry(cfg, newRand(1)); !errors.Is(err, ErrConfig) {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
	b := newBench(t, Config{MaxResources: 3})
	if err := b.r.SetPolicy(3, Policy{}); !errors.Is(err, ErrConfig) {
		t.Error(err)
	}
	if err := b.r.SetPolicy(1, Policy{Type: 9}); !errors.Is(err, ErrConfig) {
		t.Error(err)
	}
	b.r.Changed(b.now, 1<<31)
	b.r.End(b.now, 1<<31)
	b.none()
}

// A change for many observers of whom none can be sent anything does not hold up Poll.
func TestPollDoesBoundedWork(t *testing.T) {
	b := newBench(t, Config{Policy: Policy{Type: Confirmable}})
	const count = 5000
	for i := range count {
		b.register(i, 0, 0)
	}
	b.r.Changed(b.now, 0)
	if got := len(b.all()); got != count {
		t.Fatalf("%d notifications", got)
	}
	b.r.Changed(b.now, 0)
	calls := 0
	for {
		if n, ok := b.r.Poll(b.now); ok {
			t.Fatalf("%+v", n)
		}
		if calls++; b.r.resources[0].waiting == 0 {
			break
		}
		if at, ok := b.r.Deadline(); !ok || at.After(b.now) {
			t.Fatal("work left and no deadline")
		}
	}
	if want := (count + stepsPerInput - 1) / stepsPerInput; calls != want {
		t.Errorf("%d calls, want %d", calls, want)
	}
}
