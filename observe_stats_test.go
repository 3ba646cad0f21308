package coap_test

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/coaptest"
	"github.com/motewire/coap/message"
	"github.com/motewire/coap/observe"
)

// checkEnds compares how the observations of a server have ended, and that each is counted
// once.
func checkEnds(t *testing.T, s *coaptest.Server, want observe.Stats) {
	t.Helper()
	synctest.Wait()
	got := s.Config.Stats().Observations
	ends := got.Deregistered + got.Replaced + got.DroppedReset + got.DroppedTimeout + got.DroppedNetwork +
		got.DroppedSilently + got.Concluded
	if got.Registered != ends+uint64(got.Observers) {
		t.Errorf("%d registered, %d over, %d left: %+v", got.Registered, ends, got.Observers, got)
	}
	got = observe.Stats{
		Deregistered: got.Deregistered, Replaced: got.Replaced, DroppedReset: got.DroppedReset,
		DroppedTimeout: got.DroppedTimeout, DroppedSilently: got.DroppedSilently, Concluded: got.Concluded,
	}
	if got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// The counters tell how observations ended.
func TestObserveStatsOfEnds(t *testing.T) {
	withSources(t, nil, func(t *testing.T, s *coaptest.Server, o *sources) {
		p := newRawPeer(t, s)
		p.register(1, 7, "con")
		p.ask(message.GET, 2, 7, observeDeregister, path("con"))
		checkEnds(t, s, observe.Stats{Deregistered: 1})
		p.register(3, 7, "con")
		p.register(4, 7, "non")
		checkEnds(t, s, observe.Stats{Deregistered: 1, Replaced: 1})
		o.non.Set(2)
		p.reset(p.notified(0, message.NonConfirmable, 7, "2").ID())
		p.register(5, 7, "con")
		o.con.Set(2)
		p.reset(p.notified(0, message.Confirmable, 7, "2").ID())
		checkEnds(t, s, observe.Stats{Deregistered: 1, Replaced: 1, DroppedReset: 2})
		p.register(6, 7, "con")
		o.con.Set(3)
		for range 5 {
			p.notified(time.Minute, message.Confirmable, 7, "3")
		}
		time.Sleep(time.Minute)
		checkEnds(t, s, observe.Stats{Deregistered: 1, Replaced: 1, DroppedReset: 2, DroppedTimeout: 1})
		p.register(7, 7, "thing")
		o.thing.Drop()
		checkEnds(t, s, observe.Stats{Deregistered: 1, Replaced: 1, DroppedReset: 2, DroppedTimeout: 1, DroppedSilently: 1})
		p.register(8, 7, "thing")
		o.thing.End(message.NotFound)
		p.receive(0)
		checkEnds(t, s, observe.Stats{Deregistered: 1, Replaced: 1, DroppedReset: 2, DroppedTimeout: 1, DroppedSilently: 1, Concluded: 1})
		if n := s.Config.Stats().Observations; n.Notifications != 4 || n.Confirmable != 2 || n.Superseded != 0 {
			t.Errorf("%+v, want 4 notifications, 2 of them Confirmable", n)
		}
	})
}

// What is counted as a notification was transmitted, and each change was either sent to an
// observer or conflated, also where handlers take their time to render.
func TestObserveStatsOfSlowRendering(t *testing.T) {
	for name, tt := range map[string]struct {
		policy coap.NotifyPolicy
		typ    message.Type
	}{"non": {allNonConfirmable, message.NonConfirmable}, "con": {allConfirmable, message.Confirmable}} {
		t.Run(name, func(t *testing.T) {
			withSources(t, nil, func(t *testing.T, s *coaptest.Server, o *sources) {
				var subject coap.Subject
				s.Config.Handler.(*coap.Mux).Handle("GET /slow", slow(time.Second, "slow"),
					coap.Observable(&subject), coap.Notifications(tt.policy))
				p := newRawPeer(t, s)
				p.send(datagram(t, message.NonConfirmable, message.GET, 1, tokenOf(7), "", observeRegister, path("slow")))
				p.observed(p.receive(2 * time.Second))
				const changes = 95
				go func() {
					for range changes {
						subject.Notify()
						time.Sleep(100 * time.Millisecond)
					}
				}()
				sent := uint64(0)
				for over := time.After(time.Minute); ; sent++ {
					select {
					case b := <-p.in:
						var v message.View
						if err := v.Parse(b); err != nil || v.Type() != tt.typ {
							t.Fatalf("%x: %v", b, err)
						}
						if tt.typ == message.Confirmable {
							p.ack(&v)
						}
						continue
					case <-over:
					}
					break
				}
				n := s.Config.Stats().Observations
				if n.Notifications != sent || n.Notifications+n.Conflated != changes || n.Unsent != 0 {
					t.Errorf("%d sent of %d changes: %+v", sent, changes, n)
				}
				if sent < 5 || sent > 20 {
					t.Errorf("%d sent", sent)
				}
			})
		})
	}
}

// RFC 7641 §4.2: who waits for a state when the resource ends gets its last notification like
// everybody else, though others have it before.
func TestObserveEndReachesWhoWaitsForRendering(t *testing.T) {
	withSources(t, nil, func(t *testing.T, s *coaptest.Server, o *sources) {
		var subject coap.Subject
		var calls atomic.Int32
		s.Config.Handler.(*coap.Mux).HandleFunc("GET /late", func(w coap.ResponseWriter, _ *coap.Request) {
			sleepUnless(calls.Add(1) != 2, time.Second)
		}, coap.Observable(&subject), coap.Notifications(allConfirmable))
		waiting, other := newRawPeer(t, s), newRawPeer(t, s)
		waiting.register(1, 7, "late")
		subject.Notify() // is being rendered for it
		synctest.Wait()
		other.register(1, 7, "late")
		subject.End(message.NotFound)
		synctest.Wait()
		for _, p := range []*rawPeer{other, waiting} {
			for {
				v := p.receive(10 * time.Second)
				if v.Type() == message.Confirmable {
					p.ack(v)
				}
				if v.Code() == message.NotFound {
					break
				}
			}
		}
		waiting.silence(time.Minute)
		other.silence(time.Minute)
		checkObservers(t, s, 0)
		other.register(2, 7, "late")
		checkObservers(t, s, 1)
	})
}
