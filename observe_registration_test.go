package coap_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/coaptest"
	"github.com/motewire/coap/message"
)

// RFC 7641 §4.1: a registration whose endpoint and token are in the list already replaces
// or updates the entry: there is one.
func TestObserveRegistersAgain(t *testing.T) {
	withSources(t, nil, func(t *testing.T, s *coaptest.Server, o *sources) {
		p := newRawPeer(t, s)
		first := p.observed(p.register(1, 7, "non"))
		if again := p.observed(p.register(2, 7, "non")); again <= first {
			t.Errorf("Observe %d after %d", again, first)
		}
		stats := checkObservers(t, s, 1).Observations
		if stats.Registered != 1 || stats.Refreshed != 1 {
			t.Errorf("%+v", stats)
		}
		o.non.Set(2)
		p.notified(0, message.NonConfirmable, 7, "2")
		p.silence(time.Minute)
	})
}

// RFC 7641 §4.1: the same, for another request with that token. What it asked for before
// is observed no longer, whatever comes of the new one.
func TestObserveTokenIsReused(t *testing.T) {
	for name, to := range map[string]string{
		"another resource": "con", "not observable": "plain", "not found": "nothing",
	} {
		t.Run(name, func(t *testing.T) {
			withSources(t, nil, func(t *testing.T, s *coaptest.Server, o *sources) {
				p := newRawPeer(t, s)
				p.register(1, 7, "non")
				p.ask(message.GET, 2, 7, observeRegister, path(to))
				o.non.Set(2)
				p.silence(time.Second)
				if to != "con" {
					checkObservers(t, s, 0)
					return
				}
				o.con.Set(2)
				p.ack(p.notified(0, message.Confirmable, 7, "2"))
				checkObservers(t, s, 1)
			})
		})
	}
}

// The same token is another client's as well.
func TestObserveTokenBelongsToEndpoint(t *testing.T) {
	withSources(t, nil, func(t *testing.T, s *coaptest.Server, o *sources) {
		a, b := newRawPeer(t, s), newRawPeer(t, s)
		a.register(1, 7, "non")
		b.register(1, 7, "non")
		b.ask(message.GET, 2, 7, observeDeregister, path("non"))
		o.non.Set(2)
		a.notified(0, message.NonConfirmable, 7, "2")
		b.silence(time.Second)
	})
}

// RFC 7641 §3.6, §4.1, §4.5: what a client does to end an observation.
func TestObserveEndsByClient(t *testing.T) {
	// change gives p a notification of another state.
	change := func(p *rawPeer, o *sources, to string) *message.View {
		if to == "con" {
			o.con.Set(o.con.Get() + 1)
			return p.notified(0, message.Confirmable, 7, fmt.Sprint(o.con.Get()))
		}
		o.non.Set(o.non.Get() + 1)
		return p.notified(0, message.NonConfirmable, 7, fmt.Sprint(o.non.Get()))
	}
	tests := []struct {
		name, to string
		end      func(p *rawPeer, o *sources)
		counter  func(coap.Stats) uint64
	}{
		{"Observe 1", "non", func(p *rawPeer, _ *sources) {
			if _, ok := p.ask(message.GET, 2, 7, observeDeregister, path("non")).Observe(); ok {
				p.t.Error("the answer to a deregistration has an Observe option")
			}
		}, func(s coap.Stats) uint64 { return s.Observations.Deregistered }},
		{"GET without Observe", "non", func(p *rawPeer, _ *sources) {
			p.ask(message.GET, 2, 7, path("non"))
		}, func(s coap.Stats) uint64 { return s.Observations.Deregistered }},
		{"Reset to Confirmable", "con", func(p *rawPeer, o *sources) {
			p.reset(change(p, o, "con").ID())
		}, func(s coap.Stats) uint64 { return s.Observations.DroppedReset }},
		{"late Reset to Confirmable", "con", func(p *rawPeer, o *sources) {
			v := change(p, o, "con")
			p.ack(v)
			p.ack(change(p, o, "con"))
			p.reset(v.ID())
		}, func(s coap.Stats) uint64 { return s.Observations.DroppedReset }},
		{"Reset to Non-confirmable", "non", func(p *rawPeer, o *sources) {
			p.reset(change(p, o, "non").ID())
		}, func(s coap.Stats) uint64 { return s.Observations.DroppedReset }},
		{"late Reset to Non-confirmable", "non", func(p *rawPeer, o *sources) {
			v := change(p, o, "non")
			change(p, o, "non")
			change(p, o, "non")
			p.reset(v.ID())
		}, func(s coap.Stats) uint64 { return s.Observations.DroppedReset }},
		{"no Acknowledgement", "con", func(p *rawPeer, o *sources) {
			v := change(p, o, "con")
			for range 4 {
				if again := p.receive(40 * time.Second); again.ID() != v.ID() {
					p.t.Errorf("message ID %d, want %d again", again.ID(), v.ID())
				}
			}
			time.Sleep(33 * time.Second)
		}, func(s coap.Stats) uint64 { return s.Observations.DroppedTimeout }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			withSources(t, nil, func(t *testing.T, s *coaptest.Server, o *sources) {
				p := newRawPeer(t, s)
				p.register(1, 7, tt.to)
				tt.end(p, o)
				synctest.Wait()
				if n := tt.counter(checkObservers(t, s, 0)); n != 1 {
					t.Errorf("the counter says %d", n)
				}
				o.non.Set(100)
				o.con.Set(100)
				p.silence(time.Hour)
			})
		})
	}
}

// RFC 7641 §4.1: a notification that is under way when its observation ends is not sent again.
func TestObserveEndStopsRetransmission(t *testing.T) {
	withSources(t, nil, func(t *testing.T, s *coaptest.Server, o *sources) {
		p := newRawPeer(t, s)
		p.register(1, 7, "con")
		o.con.Set(2)
		p.notified(0, message.Confirmable, 7, "2")
		p.ask(message.GET, 2, 7, observeDeregister, path("con"))
		p.silence(time.Hour)
		if n := s.Config.Stats().Messages; n.OpenExchanges != 0 || n.Retransmissions != 0 {
			t.Errorf("%+v", n)
		}
	})
}

// RFC 7641 §4.2: what a server says when it ends an observation: an error code, and no
// Observe option.
func TestObserveEndsByServer(t *testing.T) {
	tests := []struct {
		name string
		end  func(t *testing.T, s *coaptest.Server, o *sources)
		want message.Code
		typ  message.Type
	}{
		{"the handler fails", func(_ *testing.T, _ *coaptest.Server, o *sources) {
			o.code.Store(uint32(message.Forbidden))
			o.thing.Notify()
		}, message.Forbidden, message.NonConfirmable},
		{"End", func(_ *testing.T, _ *coaptest.Server, o *sources) { o.thing.End(message.NotFound) }, message.NotFound, message.NonConfirmable},
		{"Shutdown", func(t *testing.T, s *coaptest.Server, _ *sources) {
			if err := s.Config.Shutdown(context.Background()); err != nil {
				t.Error(err)
			}
		}, message.ServiceUnavailable, message.NonConfirmable},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			withSources(t, nil, func(t *testing.T, s *coaptest.Server, o *sources) {
				p := newRawPeer(t, s)
				p.register(1, 7, "thing")
				tt.end(t, s, o)
				v := p.receive(0)
				if _, ok := v.Observe(); ok || v.Code() != tt.want || v.Type() != tt.typ || v.Token() != tokenOf(7) {
					t.Errorf("%v", v)
				}
				checkObservers(t, s, 0)
				o.code.Store(0)
				o.thing.Notify()
				p.silence(time.Hour)
			})
		})
	}
}

// After an End new registrations are taken.
func TestObserveAfterEnd(t *testing.T) {
	withSources(t, nil, func(t *testing.T, s *coaptest.Server, o *sources) {
		p := newRawPeer(t, s)
		p.register(1, 7, "thing")
		o.thing.End(message.NotFound)
		p.receive(0)
		p.register(2, 8, "thing")
		o.thing.Notify()
		p.notified(0, message.NonConfirmable, 8, "thing")
	})
}

// Shutdown sends the last notification of Confirmable observations reliably, and does not
// wait for a dead client longer than its context says.
func TestObserveShutdownWaitsForAcknowledgement(t *testing.T) {
	withSources(t, nil, func(t *testing.T, s *coaptest.Server, _ *sources) {
		alive, dead := newRawPeer(t, s), newRawPeer(t, s)
		alive.register(1, 7, "con")
		dead.register(1, 7, "con")
		began := time.Now()
		done := make(chan error)
		go func() { done <- s.Config.Shutdown(timeout(t, 10*time.Second)) }()
		v := alive.receive(0)
		if _, ok := v.Observe(); ok || v.Code() != message.ServiceUnavailable || v.Type() != message.Confirmable {
			t.Errorf("%v", v)
		}
		alive.ack(v)
		if err := <-done; err != context.DeadlineExceeded {
			t.Error(err)
		}
		if d := time.Since(began); d != 10*time.Second {
			t.Errorf("after %v", d)
		}
		alive.silence(time.Minute)
	})
}

// RFC 7641 §2, §4.1: what is no registration is answered like a request without Observe.
func TestObserveIsIgnored(t *testing.T) {
	long := func(value ...byte) message.Option { return message.Option{Number: message.Observe, Value: value} }
	tests := []struct {
		name    string
		method  message.Code
		options []message.Option
		want    message.Code
	}{
		{"POST", message.POST, []message.Option{observeRegister, path("non")}, message.Changed},
		{"four bytes of zero", message.GET, []message.Option{long(0, 0, 0, 0), path("non")}, message.Content},
		{"many bytes", message.GET, []message.Option{long(bytes.Repeat([]byte{0}, 300)...), path("non")}, message.Content},
		{"Observe 2", message.GET, []message.Option{long(2), path("non")}, message.Content},
		{"not observable", message.GET, []message.Option{observeRegister, path("plain")}, message.Content},
		{"not found", message.GET, []message.Option{observeRegister, path("nothing")}, message.NotFound},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			withSources(t, nil, func(t *testing.T, s *coaptest.Server, o *sources) {
				p := newRawPeer(t, s)
				v := p.ask(tt.method, 1, 7, tt.options...)
				if _, ok := v.Observe(); ok || v.Code() != tt.want {
					t.Errorf("%v", v)
				}
				checkObservers(t, s, 0)
				o.non.Set(5)
				p.silence(time.Minute)
			})
		})
	}
}

// RFC 7641 §4.1: only a success is a registration.
func TestObserveErrorIsNoRegistration(t *testing.T) {
	withSources(t, nil, func(t *testing.T, s *coaptest.Server, o *sources) {
		o.code.Store(uint32(message.Forbidden))
		p := newRawPeer(t, s)
		if v := p.ask(message.GET, 1, 7, observeRegister, path("thing")); v.Code() != message.Forbidden || v.Has(message.Observe) {
			t.Errorf("%v", v)
		}
		checkObservers(t, s, 0)
	})
}

// RFC 7641 §4.1: a server that can't take any more observers answers without Observe.
func TestObserveLimits(t *testing.T) {
	tests := []struct {
		name    string
		limits  coap.Limits
		counter func(coap.Stats) uint64
		same    bool // the second registration is the same client's
	}{
		{"in total", coap.Limits{Observers: 1}, func(s coap.Stats) uint64 { return s.Observations.RefusedTotal }, false},
		{"of a client", coap.Limits{ObserversPerPeer: 1}, func(s coap.Stats) uint64 { return s.Observations.RefusedPeer }, true},
		{"of a resource", coap.Limits{ObserversPerResource: 1}, func(s coap.Stats) uint64 { return s.Observations.RefusedResource }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			withSources(t, func(s *coaptest.Server) { s.Config.Limits = tt.limits }, func(t *testing.T, s *coaptest.Server, o *sources) {
				first, second := newRawPeer(t, s), newRawPeer(t, s)
				if tt.same {
					second = first
				}
				first.register(1, 7, "non")
				v := second.ask(message.GET, 2, 8, observeRegister, path("non"))
				if v.Code() != message.Content || v.Has(message.Observe) {
					t.Errorf("%v", v)
				}
				if n := tt.counter(checkObservers(t, s, 1)); n != 1 {
					t.Errorf("the counter says %d", n)
				}
				o.non.Set(2)
				first.notified(0, message.NonConfirmable, 7, "2")
				second.silence(time.Minute)
				// A place that became free is taken again.
				first.ask(message.GET, 3, 7, observeDeregister, path("non"))
				second.register(4, 8, "non")
			})
		})
	}
}

// One client's registrations are bounded, and so is what they make the server hold.
func TestObserveFloodOfRegistrations(t *testing.T) {
	if testing.Short() {
		t.Skip("a million requests")
	}
	withSources(t, nil, func(t *testing.T, s *coaptest.Server, _ *sources) {
		p := newRawPeer(t, s)
		total, burst := unlessRace(1_000_000, 50_000), 500
		for sent := 0; sent < total; sent += burst {
			if sent > 0 && sent%50_000 == 0 {
				time.Sleep(time.Hour) // message IDs are forgotten
			}
			var flood [][]byte
			for i := range burst {
				var token [4]byte
				binary.BigEndian.PutUint32(token[:], uint32(sent+i))
				tok, _ := message.MakeToken(token[:])
				flood = append(flood, datagram(t, message.NonConfirmable, message.GET, message.ID(sent+i), tok, "", observeRegister, path("non")))
			}
			p.send(flood...)
			for range burst {
				p.receive(0)
			}
		}
		stats := checkObservers(t, s, 1024).Observations
		if stats.RefusedPeer != uint64(total-1024) || stats.Peers != 1 {
			t.Errorf("%+v", stats)
		}
	})
}

// A Reset from elsewhere, or for a message that was never sent, ends nothing.
func TestObserveForgedReset(t *testing.T) {
	withSources(t, nil, func(t *testing.T, s *coaptest.Server, o *sources) {
		p, forger := newRawPeer(t, s), newRawPeer(t, s)
		p.register(1, 7, "non")
		p.register(2, 8, "con")
		o.non.Set(2)
		o.con.Set(2)
		for range 2 {
			v := p.receive(0)
			forger.reset(v.ID())
			p.reset(v.ID() + 1000)
			if v.Type() == message.Confirmable {
				p.ack(v)
			}
		}
		synctest.Wait()
		checkObservers(t, s, 2)
		o.non.Set(3)
		p.notified(0, message.NonConfirmable, 7, "3")
	})
}

// A registration and its end that arrive together are served in their order.
func TestObserveDeregistrationBehindRegistration(t *testing.T) {
	withSources(t, nil, func(t *testing.T, s *coaptest.Server, o *sources) {
		p := newRawPeer(t, s)
		p.send(
			datagram(t, message.Confirmable, message.GET, 1, tokenOf(7), "", observeRegister, path("non")),
			datagram(t, message.Confirmable, message.GET, 2, tokenOf(7), "", observeDeregister, path("non")),
		)
		p.receive(0)
		p.receive(0)
		checkObservers(t, s, 0)
		o.non.Set(2)
		p.silence(time.Minute)
		// And the other way round.
		p.register(3, 7, "non")
		p.send(
			datagram(t, message.Confirmable, message.GET, 4, tokenOf(7), "", observeDeregister, path("non")),
			datagram(t, message.Confirmable, message.GET, 5, tokenOf(7), "", observeRegister, path("non")),
		)
		p.receive(0)
		p.receive(0)
		checkObservers(t, s, 1)
	})
}

// RFC 7641 §3.6: a Reset ends an observation whichever of many Non-confirmable notifications,
// sent together, it answers; and each is counted.
func TestObserveResetToEachOfABatch(t *testing.T) {
	withSources(t, nil, func(t *testing.T, s *coaptest.Server, o *sources) {
		const observers = 100
		p := newRawPeer(t, s)
		for token := range byte(observers) {
			p.register(message.ID(token), token, "non")
		}
		o.non.Set(2)
		var ids []message.ID
		for range observers {
			ids = append(ids, p.receive(0).ID())
		}
		if n := s.Config.Stats().Observations.Notifications; n != observers {
			t.Errorf("%d notifications counted, want %d", n, observers)
		}
		for i, id := range ids {
			p.reset(id)
			synctest.Wait()
			checkObservers(t, s, observers-1-i)
		}
		if n := s.Config.Stats().Observations; n.DroppedReset != observers || n.UnmatchedResets != 0 {
			t.Errorf("%+v", n)
		}
	})
}
