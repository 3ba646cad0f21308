package observe

import (
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func newObservation(t testing.TB) *Observation {
	t.Helper()
	o, err := NewObservation(ObservationConfig{}, newRand(7))
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func news(sequence uint32, maxAge time.Duration) Arrival {
	return Arrival{Success: true, Observed: true, Sequence: sequence, MaxAge: maxAge}
}

func answer(sequence uint32, maxAge time.Duration) Arrival {
	a := news(sequence, maxAge)
	a.Answer = true
	return a
}

// RFC 7641 §3.3.1: a client waits until the age of the newest notification is greater
// than its Max-Age, and a random time between 5 and 15 s more, before it asks again.
func TestRegistersAgainAfterMaxAge(t *testing.T) {
	o := newObservation(t)
	if _, ok := o.Deadline(); ok || o.Advance(epoch.Add(time.Hour)) {
		t.Error("a deadline before the first response")
	}
	graces := map[time.Duration]bool{}
	now := epoch
	for i := range uint32(200) {
		if got := o.Receive(now, answer(i, time.Minute)); got != Fresh || o.State() != Established {
			t.Fatalf("%v, %v", got, o.State())
		}
		stale, ok := o.Deadline()
		if !ok || stale != now.Add(time.Minute) || o.Advance(stale.Add(-1)) || o.State() != Established {
			t.Fatalf("stale at %v", stale)
		}
		if o.Advance(stale) || o.State() != Stale {
			t.Fatalf("state %v", o.State())
		}
		ask, ok := o.Deadline()
		grace := ask.Sub(stale)
		if !ok || grace < 5*time.Second || grace > 15*time.Second || o.Advance(ask.Add(-1)) {
			t.Fatalf("asks after %v", grace)
		}
		graces[grace/time.Second] = true
		if !o.Advance(ask) || o.Advance(ask) {
			t.Fatal("asks once")
		}
		if _, ok := o.Deadline(); ok {
			t.Fatal("a deadline while the request is under way")
		}
		now = ask.Add(time.Second)
	}
	if len(graces) != 10 && len(graces) != 11 {
		t.Errorf("graces %v", graces)
	}
}

// A notification puts everything off.
func TestNewsKeepTheStateFresh(t *testing.T) {
	o := newObservation(t)
	o.Receive(epoch, answer(1, time.Minute))
	now := epoch.Add(61 * time.Second)
	o.Advance(now)
	if o.Receive(now, news(2, 10*time.Second)) != Fresh || o.State() != Established {
		t.Fatal(o.State())
	}
	if at, _ := o.Deadline(); at != now.Add(10*time.Second) {
		t.Error(at)
	}
	if o.Receive(now, news(1, time.Hour)) != Reordered {
		t.Error("an old one is fresh")
	}
	if at, _ := o.Deadline(); at != now.Add(10*time.Second) {
		t.Error(at)
	}
}

// askAgain brings an observation to the point where it has registered again.
func askAgain(t *testing.T, o *Observation) time.Time {
	t.Helper()
	for {
		at, ok := o.Deadline()
		if !ok {
			t.Fatal("no deadline")
		}
		if o.Advance(at) {
			return at
		}
	}
}

// A server that was started again may count from anywhere: the answer to a registration
// is not compared with what was before, unless there was news since.
func TestServerIsStartedAgain(t *testing.T) {
	o := newObservation(t)
	o.Receive(epoch, answer(5000, time.Second))
	now := askAgain(t, o)
	if got := o.Receive(now, news(4000, time.Second)); got != Reordered {
		t.Errorf("a late notification: %v", got)
	}
	if got := o.Receive(now, answer(3, time.Second)); got != Fresh {
		t.Errorf("the answer: %v", got)
	}
	if got := o.Receive(now, news(4, time.Second)); got != Fresh {
		t.Errorf("the next: %v", got)
	}
	now = askAgain(t, o)
	o.Receive(now, news(5, time.Second))
	if got := o.Receive(now, answer(4, time.Second)); got != Reordered {
		t.Errorf("an answer that was overtaken: %v", got)
	}
	if o.State() != Established {
		t.Error(o.State())
	}
}

func TestRegistrationThatFails(t *testing.T) {
	o := newObservation(t)
	if o.Failed(epoch) || o.State() != Over {
		t.Error("the first goes on")
	}
	o = newObservation(t)
	o.Receive(epoch, answer(1, time.Minute))
	now := askAgain(t, o)
	last := time.Duration(0)
	for i := range 12 {
		if !o.Failed(now) || o.State() != Stale {
			t.Fatal("a later one ends it")
		}
		next := askAgain(t, o)
		wait := next.Sub(now)
		if i == 0 && (wait < 5*time.Second || wait > 15*time.Second) || i > 0 && wait != min(2*last, 5*time.Minute) {
			t.Fatalf("retry %d after %v, the one before after %v", i, wait, last)
		}
		now, last = next, wait
	}
	if o.Receive(now, answer(1, time.Minute)) != Fresh || o.State() != Established {
		t.Error("not established again")
	}
	now = askAgain(t, o)
	o.Failed(now)
	if wait := askAgain(t, o).Sub(now); wait > 15*time.Second {
		t.Errorf("the next failure is waited after for %v", wait)
	}
	// A failure that is overtaken by news is none.
	o.Receive(now, news(7, time.Minute))
	if !o.Failed(now) || o.State() != Established {
		t.Error(o.State())
	}
	if wait := askAgain(t, o).Sub(now); wait < 65*time.Second {
		t.Errorf("asks again after %v", wait)
	}
}

// RFC 7641 §3.2, §4.2: an error ends the observation; §3.1, §4.1: so does a response
// without Observe option. What comes afterwards gets a Reset (§3.6).
func TestEndsAreEvents(t *testing.T) {
	failure, ignored := Arrival{Observed: true}, Arrival{Success: true, MaxAge: time.Minute}
	for _, first := range []bool{true, false} {
		for want, a := range map[Reception]Arrival{Error: failure, NotObserved: ignored} {
			o := newObservation(t)
			if !first {
				o.Receive(epoch, answer(1, time.Minute))
			}
			if got := o.Receive(epoch, a); got != want || o.State() != Over {
				t.Errorf("%v, %v", got, o.State())
			}
			if got := o.Receive(epoch, news(9, time.Minute)); got != Late {
				t.Errorf("after the end: %v", got)
			}
			if o.Cancel() {
				t.Error("deregisters what is over")
			}
			if _, ok := o.Deadline(); ok || o.Advance(epoch.Add(time.Hour)) || o.Failed(epoch) {
				t.Error("goes on after the end")
			}
		}
	}
}

func TestCancel(t *testing.T) {
	o := newObservation(t)
	if !o.Cancel() || o.Cancel() {
		t.Error("a registration under way is cancelled at the server, once")
	}
	o = newObservation(t)
	o.Receive(epoch, answer(1, 0))
	if !o.Cancel() || o.State() != Over || o.Receive(epoch, news(2, 0)) != Late {
		t.Error("not over")
	}
}

func TestImpossibleObservationConfig(t *testing.T) {
	for _, cfg := range []ObservationConfig{{MinGrace: -1}, {MinGrace: 3, MaxGrace: 2}, {MaxRetry: -1}} {
		if _, err := NewObservation(cfg, newRand(1)); !errors.Is(err, ErrConfig) {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}

// Whatever comes: the end is final, a state that is not stale has a deadline, and while
// a request is not under way there is always something to wait for.
func TestObservationNeverHangs(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		o := newObservation(t)
		now := epoch
		waiting, over := true, false // for a response; at the end
		doubt := false               // what came may have been the response
		rt.Repeat(map[string]func(*rapid.T){
			"Receive": func(t *rapid.T) {
				a := Arrival{
					Success: rapid.IntRange(0, 9).Draw(t, "success") > 0, Observed: rapid.IntRange(0, 9).Draw(t, "observed") > 0,
					Sequence: rapid.Uint32Range(0, 9).Draw(t, "sequence"), Answer: waiting && rapid.Bool().Draw(t, "answer"),
					MaxAge: time.Duration(rapid.IntRange(0, 20).Draw(t, "max-age")) * time.Second,
				}
				got := o.Receive(now, a)
				if over != (got == Late) || !over && (got == Error) != !a.Success {
					t.Fatalf("%+v: %v", a, got)
				}
				over = over || got == Error || got == NotObserved
				waiting = waiting && got == Reordered && !a.Answer
				doubt = waiting
			},
			"Fail": func(t *rapid.T) {
				if waiting {
					over = !o.Failed(now) || over
					waiting, doubt = false, false
				}
			},
			"Pass": func(t *rapid.T) {
				at, ok := o.Deadline()
				if ok && at.After(now) {
					now = at
				}
				now = now.Add(time.Duration(rapid.IntRange(0, 1).Draw(t, "more")) * time.Second)
				if o.Advance(now) {
					if waiting && !doubt {
						t.Fatal("asks while a request is under way")
					}
					waiting, doubt = true, false
				}
			},
			"": func(t *rapid.T) {
				_, ok := o.Deadline()
				if over != (o.State() == Over) || over && ok || !over && !waiting && !ok {
					t.Fatalf("state %v, over %v, waiting %v, deadline %v", o.State(), over, waiting, ok)
				}
			},
		})
	})
}

// RFC 7641 §3.3.1, §3.4: the answer of a server that counts anew, in a message of its own, looks
// like an old notification. The client asks again until it is sure.
func TestAsksAgainWhenInDoubt(t *testing.T) {
	o := newObservation(t)
	o.Receive(epoch, answer(100, time.Minute))
	now := epoch
	for asked := 0; now.Sub(epoch) <= freshAfter; {
		at, ok := o.Deadline()
		if !ok || at.Before(now) || asked > 10 {
			t.Fatalf("%d requests, deadline %v, %v", asked, at, ok)
		}
		if now = at; !o.Advance(now) {
			continue
		}
		asked++
		if now.Sub(epoch) <= freshAfter {
			if got := o.Receive(now, news(1, time.Minute)); got != Reordered {
				t.Fatalf("%v at %v", got, now.Sub(epoch))
			}
		}
	}
	if got := o.Receive(now, news(2, time.Minute)); got != Fresh || o.State() != Established {
		t.Errorf("%v, %v", got, o.State())
	}
}
