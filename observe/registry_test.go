package observe

import (
	"errors"
	"testing"
	"time"
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
