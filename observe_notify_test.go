package coap_test

import (
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/coaptest"
	"github.com/motewire/coap/message"
	"github.com/motewire/coap/observe"
)

// A change is rendered once for each distinct request, whatever the number of observers.
func TestObserveRendersOncePerRequest(t *testing.T) {
	const observers = 1000
	var rendered [2]int
	var subject coap.Subject
	mux := coap.NewMux()
	mux.HandleFunc("GET /thing", func(w coap.ResponseWriter, r *coap.Request) {
		if format, ok := r.Message().Accept(); ok && format == message.AppJSON {
			rendered[0]++
			w.SetContentFormat(message.AppJSON)
			w.WriteString("{}")
			return
		}
		rendered[1]++
		w.WriteString("text")
	}, coap.Observable(&subject), coap.Notifications(allNonConfirmable))
	unpaced := func(s *coaptest.Server) { s.Config.NotifyInterval = -1 }
	withServer(t, mux, unpaced, func(t *testing.T, s *coaptest.Server) {
		p := newRawPeer(t, s)
		accept := message.Option{Number: message.Accept, Value: []byte{byte(message.AppJSON)}}
		for i := range observers {
			token, _ := message.MakeToken(binary.BigEndian.AppendUint16(nil, uint16(i)))
			options := []message.Option{observeRegister, path("thing")}
			if i%2 == 0 {
				options = append(options, accept)
			}
			p.send(datagram(t, message.NonConfirmable, message.GET, message.ID(i), token, "", options...))
			p.observed(p.receive(0))
		}
		for change := range 3 {
			rendered = [2]int{}
			subject.Notify()
			payloads := map[string]int{}
			for range observers {
				v := p.receive(0)
				if payloads[string(v.Payload())]++; tokenBytes(v.Datagram())[1]%2 == 0 != (string(v.Payload()) == "{}") {
					t.Fatalf("token %v got %s", v.Token(), v.Payload())
				}
			}
			if rendered != [2]int{1, 1} || payloads["{}"] != observers/2 || payloads["text"] != observers/2 {
				t.Errorf("change %d: rendered %v, sent %v", change, rendered, payloads)
			}
		}
		p.silence(time.Minute)
	})
}

// RFC 7641 §4.5.1: at most NSTART (1) notifications to an endpoint are unacknowledged, over
// all its observations, and another endpoint's don't count.
func TestObserveOneConfirmableInFlight(t *testing.T) {
	withSources(t, nil, func(t *testing.T, s *coaptest.Server, o *sources) {
		p, other := newRawPeer(t, s), newRawPeer(t, s)
		for token := range byte(3) {
			p.register(message.ID(token), token, "con")
		}
		other.register(1, 9, "con")
		o.con.Set(2)
		other.ack(other.notified(0, message.Confirmable, 9, "2"))
		seen := map[message.Token]bool{}
		for range 3 {
			v := p.receive(0)
			seen[v.Token()] = true
			p.silence(time.Second) // before the retransmission
			p.ack(v)
		}
		if len(seen) != 3 {
			t.Errorf("%d observations were told, want 3", len(seen))
		}
		p.silence(time.Minute)
	})
}

// RFC 7641 §4.5.1: a burst of changes while one notification is under way leads to one
// more, with the last state.
func TestObserveConflates(t *testing.T) {
	withSources(t, nil, func(t *testing.T, s *coaptest.Server, o *sources) {
		p := newRawPeer(t, s)
		p.register(1, 7, "con")
		o.con.Set(2)
		v := p.notified(0, message.Confirmable, 7, "2")
		for i := range 100 {
			o.con.Set(3 + i)
		}
		p.ack(v)
		p.ack(p.notified(0, message.Confirmable, 7, "102"))
		p.silence(time.Minute)
		if n := s.Config.Stats().Observations; n.Notifications != 2 || n.Conflated != 99 {
			t.Errorf("%+v", n)
		}
	})
}

// RFC 7641 §4.5.2: the retransmission of a notification carries the newer state, under a new
// message ID; the retransmission counter and timeout go on as they were.
func TestObserveRetransmitsNewerState(t *testing.T) {
	withSources(t, nil, func(t *testing.T, s *coaptest.Server, o *sources) {
		p := newRawPeer(t, s)
		p.register(1, 7, "con")
		began := time.Now()
		o.con.Set(2)
		last := p.notified(0, message.Confirmable, 7, "2")
		for i, at := range []time.Duration{2, 6, 14, 30} {
			newer := i != 2 // the third time nothing has changed
			if newer {
				o.con.Set(10 + i)
			}
			v := p.receive(time.Minute)
			if d := time.Since(began); d != at*time.Second {
				t.Errorf("retransmission %d after %v, want %d s", i+1, d, at)
			}
			if newer != (v.ID() != last.ID()) || newer != (p.observed(v) != p.observed(last)) {
				t.Errorf("retransmission %d: message ID %d after %d", i+1, v.ID(), last.ID())
			}
			if want := fmt.Sprint(o.con.Get()); string(v.Payload()) != want {
				t.Errorf("retransmission %d: %s, want %s", i+1, v.Payload(), want)
			}
			last = v
		}
		time.Sleep(32*time.Second + time.Millisecond) // 62 s: the client is dead
		if n := checkObservers(t, s, 0).Observations; n.DroppedTimeout != 1 || n.Superseded != 3 {
			t.Errorf("%+v", n)
		}
	})
}

// An Acknowledgement of the newer state ends the exchange; one of the older state, which
// is late, does not, and a Reset to it ends the observation.
func TestObserveAcknowledgementOfOlderState(t *testing.T) {
	withSources(t, nil, func(t *testing.T, s *coaptest.Server, o *sources) {
		p := newRawPeer(t, s)
		p.register(1, 7, "con")
		o.con.Set(2)
		older := p.notified(0, message.Confirmable, 7, "2")
		o.con.Set(3)
		newer := p.notified(3*time.Second, message.Confirmable, 7, "3")
		p.ack(older)
		again := p.notified(5*time.Second, message.Confirmable, 7, "3")
		if again.ID() != newer.ID() {
			t.Errorf("message ID %d, want %d", again.ID(), newer.ID())
		}
		p.ack(again)
		p.silence(time.Minute)
		checkObservers(t, s, 1)
		p.reset(older.ID())
		synctest.Wait()
		checkObservers(t, s, 0)
	})
}

// A handler that takes its time to render a newer state for a retransmission, while the
// older one is acknowledged, still has its state delivered.
func TestObserveAcknowledgedWhileRendering(t *testing.T) {
	value := coap.NewState(1)
	mux := coap.NewMux()
	var subject coap.Subject
	mux.HandleFunc("GET /thing", func(w coap.ResponseWriter, r *coap.Request) {
		time.Sleep(500 * time.Millisecond)
		value.ServeCoAP(w, r)
	}, coap.Observable(&subject), coap.Notifications(allConfirmable))
	setup := func(s *coaptest.Server) { s.Config.Params.AckRandomFactor = 1 }
	withServer(t, mux, setup, func(t *testing.T, s *coaptest.Server) {
		set := func(n int) { value.Set(n); subject.Notify() }
		p := newRawPeer(t, s)
		p.send(datagram(t, message.NonConfirmable, message.GET, 1, tokenOf(7), "", observeRegister, path("thing")))
		p.observed(p.receive(time.Second))
		set(2)
		older := p.notified(time.Second, message.Confirmable, 7, "2")
		set(3)
		time.Sleep(2200 * time.Millisecond) // its retransmission was due, "3" is rendered
		p.ack(older)
		p.ack(p.notified(10*time.Second, message.Confirmable, 7, "3"))
		p.silence(time.Minute)
		checkObservers(t, s, 1)
	})
}

// An observer that goes while the newer state for its retransmission is rendered is gone.
func TestObserveEndsWhileRendering(t *testing.T) {
	var subject coap.Subject
	var delay atomic.Int64
	mux := coap.NewMux()
	mux.HandleFunc("GET /late", func(w coap.ResponseWriter, _ *coap.Request) {
		time.Sleep(time.Duration(delay.Load()))
		w.WriteString("late")
	}, coap.Observable(&subject), coap.Notifications(allConfirmable))
	setup := func(s *coaptest.Server) { s.Config.Params.AckRandomFactor = 1 }
	withServer(t, mux, setup, func(t *testing.T, s *coaptest.Server) {
		p := newRawPeer(t, s)
		p.register(1, 7, "late")
		subject.Notify()
		v := p.notified(0, message.Confirmable, 7, "late")
		delay.Store(int64(10 * time.Second))
		subject.Notify()
		p.silence(2100 * time.Millisecond) // its retransmission was due, the newer state is rendered
		p.reset(v.ID())
		p.silence(time.Minute)
		checkObservers(t, s, 0)
		delay.Store(0)
		p.send(datagram(t, message.Confirmable, message.GET, 2, tokenOf(7), "", observeRegister, path("late")))
		p.observed(p.receive(time.Second))
		subject.Notify()
		p.ack(p.notified(time.Second, message.Confirmable, 7, "late"))
	})
}

// A state that is still rendered when the resource ends is not sent behind the last
// notification (RFC 7641 §4.2).
func TestObserveEndWhileRendering(t *testing.T) {
	var subject coap.Subject
	mux := coap.NewMux()
	mux.HandleFunc("GET /late", func(w coap.ResponseWriter, _ *coap.Request) {
		time.Sleep(time.Second)
		w.WriteString("late")
	}, coap.Observable(&subject))
	withServer(t, mux, nil, func(t *testing.T, s *coaptest.Server) {
		p := newRawPeer(t, s)
		p.send(datagram(t, message.NonConfirmable, message.GET, 1, tokenOf(7), "", observeRegister, path("late")))
		p.observed(p.receive(2 * time.Second))
		subject.Notify()
		time.Sleep(500 * time.Millisecond)
		subject.End(message.NotFound)
		v := p.receive(0)
		if v.Code() != message.NotFound {
			t.Errorf("%v", v)
		}
		time.Sleep(time.Second)
		p.ack(v)
		p.silence(time.Minute)
		checkObservers(t, s, 0)
	})
}

// What changes while a state is rendered is told once, when the rendering is over, and
// nobody gets one state several times.
func TestObserveConflatesWhileRendering(t *testing.T) {
	value := coap.NewState(1)
	var subject coap.Subject
	mux := coap.NewMux()
	mux.HandleFunc("GET /thing", func(w coap.ResponseWriter, r *coap.Request) {
		text := fmt.Sprint(value.Get())
		time.Sleep(time.Second)
		w.WriteString(text)
	}, coap.Observable(&subject), coap.Notifications(allNonConfirmable))
	unpaced := func(s *coaptest.Server) { s.Config.NotifyInterval = -1 }
	withServer(t, mux, unpaced, func(t *testing.T, s *coaptest.Server) {
		p := newRawPeer(t, s)
		p.send(datagram(t, message.NonConfirmable, message.GET, 1, tokenOf(7), "", observeRegister, path("thing")))
		p.observed(p.receive(2 * time.Second))
		for i := range 9 {
			value.Set(i + 2)
			subject.Notify()
			time.Sleep(100 * time.Millisecond)
		}
		p.notified(2*time.Second, message.NonConfirmable, 7, "2")
		p.notified(2*time.Second, message.NonConfirmable, 7, "10")
		p.silence(time.Minute)
	})
}

// RFC 7641 §4.5.1: without a round-trip time, one Non-confirmable notification to an endpoint
// in 3 s, over all its observations, and the last state is among them.
func TestObserveNonConfirmableIsPaced(t *testing.T) {
	pace := func(s *coaptest.Server) { s.Config.NotifyInterval = 0 }
	withSources(t, pace, func(t *testing.T, s *coaptest.Server, o *sources) {
		p := newRawPeer(t, s)
		p.register(1, 7, "non")
		p.register(2, 8, "non")
		const changes = 300
		go func() {
			for i := range changes {
				o.non.Set(i + 2)
				time.Sleep(100 * time.Millisecond)
			}
		}()
		var last time.Time
		newest := map[message.Token]string{}
		for range 30 / 3 {
			v := p.receive(4 * time.Second)
			if d := time.Since(last); !last.IsZero() && d < 3*time.Second {
				t.Errorf("after %v", d)
			}
			last = time.Now()
			newest[v.Token()] = string(v.Payload())
		}
		for range 2 {
			v := p.receive(4 * time.Second)
			newest[v.Token()] = string(v.Payload())
		}
		p.silence(time.Minute)
		for token, value := range newest {
			if value != fmt.Sprint(changes+1) {
				t.Errorf("token %v was left with %s", token, value)
			}
		}
	})
}

// RFC 7641 §4.5: which notifications are Confirmable.
func TestObserveTypesOfNotifications(t *testing.T) {
	tests := []struct {
		name   string
		policy coap.NotifyPolicy
		want   string // of eight, one a minute
	}{
		{"default", coap.NotifyPolicy{}, "NNNNCNNN"},
		{"every third", coap.NotifyPolicy{Every: 3}, "NNCNNCNN"},
		{"every", coap.NotifyPolicy{Every: 1}, "CCCCCCCC"},
		{"never", coap.NotifyPolicy{Every: -1}, "NNNNNNNN"},
		{"by time", coap.NotifyPolicy{Every: -1, Interval: 3 * time.Minute}, "NNCNNCNN"},
		{"Confirmable", allConfirmable, "CCCCCCCC"},
		{"Non-confirmable", allNonConfirmable, "NNNNNNNN"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			value := coap.NewState(0)
			mux := coap.NewMux()
			mux.Handle("GET /value", value, coap.Notifications(tt.policy))
			withServer(t, mux, nil, func(t *testing.T, s *coaptest.Server) {
				p := newRawPeer(t, s)
				p.register(1, 7, "value")
				var got string
				for i := range len(tt.want) {
					time.Sleep(time.Minute)
					value.Set(i + 1)
					v := p.receive(0)
					if v.Type() == message.Confirmable {
						got += "C"
						p.ack(v)
					} else {
						got += "N"
					}
				}
				if got != tt.want {
					t.Errorf("%s, want %s", got, tt.want)
				}
			})
		})
	}
}

// RFC 7641 §4.5: a Confirmable notification at least every 24 hours, whatever the policy,
// so that a client that is gone is found out.
func TestObserveConfirmableEveryDay(t *testing.T) {
	for name, every := range map[string]time.Duration{"no change": 0, "a change an hour": time.Hour} {
		t.Run(name, func(t *testing.T) {
			withSources(t, nil, func(t *testing.T, s *coaptest.Server, o *sources) {
				p := newRawPeer(t, s)
				p.register(1, 7, "non")
				registered := time.Now()
				stop := make(chan struct{})
				defer close(stop)
				go func() {
					for every > 0 {
						select {
						case <-time.After(every):
							o.non.Set(o.non.Get() + 1)
						case <-stop:
							return
						}
					}
				}()
				for {
					v := p.receive(25 * time.Hour)
					if v.Type() != message.Confirmable {
						continue
					}
					if d := time.Since(registered); d > 24*time.Hour {
						t.Errorf("after %v", d)
					}
					break // and it is never acknowledged
				}
				time.Sleep(2 * time.Minute)
				if n := checkObservers(t, s, 0).Observations; n.DroppedTimeout != 1 {
					t.Errorf("%+v", n)
				}
			})
		})
	}
}

// A handler that is slow to render delays no other resource, be it slow from the start,
// all of a sudden, or detached.
func TestObserveSlowRenderingDelaysNobody(t *testing.T) {
	const delay = 10 * time.Second
	tests := map[string]func(w coap.ResponseWriter, first bool){
		"always":  func(coap.ResponseWriter, bool) { time.Sleep(delay) },
		"sudden":  func(_ coap.ResponseWriter, first bool) { sleepUnless(first, delay) },
		"detach":  func(w coap.ResponseWriter, _ bool) { sendLater(w.Detach(), delay) },
		"detach2": func(w coap.ResponseWriter, first bool) { detachUnless(first, w, delay) },
	}
	for name, serve := range tests {
		t.Run(name, func(t *testing.T) {
			withSources(t, nil, func(t *testing.T, s *coaptest.Server, o *sources) {
				var subject coap.Subject
				var calls atomic.Int32
				s.Config.Handler.(*coap.Mux).HandleFunc("GET /slow", func(w coap.ResponseWriter, _ *coap.Request) {
					w.WriteString("slow")
					serve(w, calls.Add(1) == 1)
				}, coap.Observable(&subject), coap.Notifications(allNonConfirmable))
				p, other := newRawPeer(t, s), newRawPeer(t, s)
				p.send(datagram(t, message.NonConfirmable, message.GET, 1, tokenOf(7), "", observeRegister, path("slow")))
				p.observed(p.receive(2 * delay))
				other.register(1, 8, "non")
				for i := range 3 {
					subject.Notify()
					time.Sleep(time.Second) // it is being rendered
					o.non.Set(i + 2)
					other.notified(10*time.Millisecond, message.NonConfirmable, 8, fmt.Sprint(i+2))
					p.notified(2*delay, message.NonConfirmable, 7, "slow")
				}
			})
		})
	}
}

func sleepUnless(first bool, d time.Duration) {
	if !first {
		time.Sleep(d)
	}
}

func detachUnless(first bool, w coap.ResponseWriter, d time.Duration) {
	if !first {
		sendLater(w.Detach(), d)
	}
}

func sendLater(r coap.Responder, d time.Duration) {
	go func() {
		time.Sleep(d)
		r.Send()
	}()
}

// A handler that panics fails its observers (RFC 7641 §4.2).
func TestObservePanicWhileRendering(t *testing.T) {
	withSources(t, nil, func(t *testing.T, s *coaptest.Server, o *sources) {
		var subject coap.Subject
		var calls atomic.Int32
		s.Config.Handler.(*coap.Mux).HandleFunc("GET /panic", func(w coap.ResponseWriter, _ *coap.Request) {
			if calls.Add(1) > 1 {
				panic("as intended")
			}
		}, coap.Observable(&subject), coap.Notifications(allNonConfirmable))
		p := newRawPeer(t, s)
		p.register(1, 7, "panic")
		subject.Notify()
		if v := p.receive(0); v.Code() != message.InternalServerError || v.Has(message.Observe) {
			t.Errorf("%v", v)
		}
		checkObservers(t, s, 0)
	})
}

// Set and Notify may be called from within handlers, also from one that renders.
func TestObserveChangeFromHandler(t *testing.T) {
	withSources(t, nil, func(t *testing.T, s *coaptest.Server, o *sources) {
		var subject coap.Subject
		var calls atomic.Int32
		s.Config.Handler.(*coap.Mux).HandleFunc("GET /self", func(w coap.ResponseWriter, _ *coap.Request) {
			if n := calls.Add(1); n == 2 || n == 3 {
				subject.Notify()
				o.non.Set(int(n))
			}
			fmt.Fprint(w, calls.Load())
		}, coap.Observable(&subject), coap.Notifications(allNonConfirmable))
		p, other := newRawPeer(t, s), newRawPeer(t, s)
		p.register(1, 7, "self")
		other.register(1, 8, "non")
		other.ask(message.POST, 2, 9, path("non"))
		other.notified(0, message.NonConfirmable, 8, "2")
		subject.Notify() // renders, which changes it twice more
		// A newer state may take the place of another, and be sent by another goroutine meanwhile.
		time.Sleep(time.Minute)
		newest, state := uint32(0), ""
		for range len(p.in) {
			v := p.receive(0)
			if v.Token() != tokenOf(7) || v.Type() != message.NonConfirmable {
				t.Errorf("%v", v)
			}
			if n := p.observed(v); n > newest {
				newest, state = n, string(v.Payload())
			}
		}
		if state != "4" {
			t.Errorf("the last state is %q", state)
		}
		if v := o.non.Get(); v != 3 {
			t.Errorf("%d", v)
		}
	})
}

// State and Subject are safe for concurrent use with everything else; the last value gets
// through.
func TestObserveConcurrentChanges(t *testing.T) {
	withSources(t, nil, func(t *testing.T, s *coaptest.Server, o *sources) {
		const writers, changes = 8, 100
		var group sync.WaitGroup
		for w := range writers {
			group.Go(func() {
				for i := range changes {
					o.non.Set(w*changes + i)
					o.thing.Notify()
				}
			})
		}
		clients := make([]*rawPeer, 10)
		for i := range clients {
			clients[i] = newRawPeer(t, s)
			clients[i].send(datagram(t, message.NonConfirmable, message.GET, 1, tokenOf(7), "", observeRegister, path("non")))
		}
		group.Wait()
		synctest.Wait()
		o.non.Set(-1)
		for i, p := range clients {
			for v := p.receive(0); string(v.Payload()) != "-1"; v = p.receive(0) {
				if p.observed(v); len(p.in) == cap(p.in) {
					t.Errorf("client %d: more notifications than changes", i)
				}
			}
			p.silence(time.Minute)
		}
	})
}

// RFC 7641 §4.4: of two notifications, the later one has the newer number, also where many
// are sent in one moment, and across the point where the 24 bits are used up.
func TestObserveNumbersAscend(t *testing.T) {
	withSources(t, nil, func(t *testing.T, s *coaptest.Server, o *sources) {
		// The number is a clock of 16 ms: it starts again within 2^24 steps, 75 hours.
		const lap = 1 << 24 * 16 * time.Millisecond
		time.Sleep(lap - time.Duration(time.Now().UnixNano())%lap - 5*time.Second)
		p := newRawPeer(t, s)
		var fresh observe.Freshness
		last := p.observed(p.register(1, 7, "non"))
		fresh.Accept(time.Now(), last)
		wrapped := false
		for i := range 1000 {
			time.Sleep(time.Duration(i%3) * 10 * time.Millisecond)
			o.non.Set(i)
			n := p.observed(p.receive(0))
			if !fresh.Accept(time.Now(), n) {
				t.Fatalf("Observe %d after %d", n, last)
			}
			wrapped = wrapped || n < last
			last = n
		}
		if !wrapped {
			t.Errorf("no wrap up to %d", last)
		}
	})
}
