package coap_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/coaptest"
	"github.com/motewire/coap/message"
)

// RFC 7252 §5.9.3.4: a detached response that is never sent becomes a 5.03 a second after
// HandlerTimeout, and its request is not held any longer. Who sends it after all is told.
func TestDetachedNeverSent(t *testing.T) {
	var log logBuffer
	responders := make(chan coap.Responder, 1)
	h := func(w coap.ResponseWriter, r *coap.Request) {
		w.WriteString("begun")
		responders <- w.Detach()
	}
	setup := func(s *coaptest.Server) {
		s.Config.Limits.HandlerTimeout = 10 * time.Second
		s.Config.Logger = log.logger()
	}
	withServer(t, coap.HandlerFunc(h), setup, func(t *testing.T, s *coaptest.Server) {
		for round := range 3 { // what was given up does not disturb what follows
			w := tap(s)
			checkResponse(t, get(t, s.Client(), s.URL), message.ServiceUnavailable, "")
			w.expect(t, "0s > CON 0.01", "0s < ACK 0.00", "11s < CON 5.03", "11s > ACK 0.00")
			if n := s.Config.Stats(); n.HandlersAway != 0 || n.Messages.PendingRequests != 0 {
				t.Errorf("%+v", n)
			}
			d := <-responders
			d.WriteString("too late")
			if err := d.Send(); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("round %d: %v", round, err)
			}
			if !panics(func() { d.Send() }) {
				t.Error("a second Send did not panic")
			}
			w.expect(t)
		}
		if n := strings.Count(log.String(), "was not sent"); n != 3 {
			t.Errorf("%d lines in the log:\n%s", n, log.String())
		}
	})
}

// Who answers when the request's context ends is in time.
func TestDetachedHeedsContext(t *testing.T) {
	h := func(w coap.ResponseWriter, r *coap.Request) {
		d, ctx := w.Detach(), r.Context()
		go func() {
			<-ctx.Done()
			d.SetCode(message.GatewayTimeout)
			if err := d.Send(); err != nil {
				t.Error(err)
			}
		}()
	}
	setup := func(s *coaptest.Server) { s.Config.Limits.HandlerTimeout = 10 * time.Second }
	withServer(t, coap.HandlerFunc(h), setup, func(t *testing.T, s *coaptest.Server) {
		checkResponse(t, get(t, s.Client(), s.URL), message.GatewayTimeout, "")
	})
}

// A negative HandlerTimeout leaves a detached response all the time it wants.
func TestDetachedWithoutTimeout(t *testing.T) {
	h := func(w coap.ResponseWriter, r *coap.Request) { sendLater(w.Detach(), 24*time.Hour) }
	setup := func(s *coaptest.Server) { s.Config.Limits.HandlerTimeout = -1 }
	withServer(t, coap.HandlerFunc(h), setup, func(t *testing.T, s *coaptest.Server) {
		p := newRawPeer(t, s)
		p.send(datagram(t, message.NonConfirmable, message.GET, 1, tokenOf(1), ""))
		if v := p.receive(25 * time.Hour); v.Code() != message.Content {
			t.Errorf("%v", v)
		}
	})
}

// What is given up heeds No-Response (RFC 7967 §2.1).
func TestDetachedNeverSentInSilence(t *testing.T) {
	h := func(w coap.ResponseWriter, _ *coap.Request) { w.Detach() }
	withServer(t, coap.HandlerFunc(h), nil, func(t *testing.T, s *coaptest.Server) {
		p := newRawPeer(t, s)
		silent := message.Option{Number: message.NoResponse, Value: []byte{16}} // 5.xx
		p.send(datagram(t, message.NonConfirmable, message.GET, 1, tokenOf(1), "", silent))
		p.silence(time.Hour)
		if n := s.Config.Stats(); n.HandlersAway != 0 || n.Messages.PendingRequests != 0 {
			t.Errorf("%+v", n)
		}
	})
}

// A handler that panics after Detach and before Send is answered with 5.00 at once.
func TestPanicAfterDetach(t *testing.T) {
	responders := make(chan coap.Responder, 1)
	h := func(w coap.ResponseWriter, r *coap.Request) {
		responders <- w.Detach()
		panic("as intended")
	}
	withServer(t, coap.HandlerFunc(h), nil, func(t *testing.T, s *coaptest.Server) {
		w := tap(s)
		checkResponse(t, get(t, s.Client(), s.URL), message.InternalServerError, "")
		w.expect(t, "0s > CON 0.01", "0s < ACK 0.00", "0s < CON 5.00", "0s > ACK 0.00")
		if err := (<-responders).Send(); err == nil {
			t.Error("sent")
		}
		w.expect(t)
		if n := s.Config.Stats(); n.HandlersAway != 0 || n.Messages.PendingRequests != 0 || n.HandlerPanics != 1 {
			t.Errorf("%+v", n)
		}
	})
}

// A panic after Send leaves the response that was sent.
func TestPanicAfterSend(t *testing.T) {
	h := func(w coap.ResponseWriter, r *coap.Request) {
		d := w.Detach()
		d.WriteString("sent")
		d.Send()
		panic("as intended")
	}
	withServer(t, coap.HandlerFunc(h), nil, func(t *testing.T, s *coaptest.Server) {
		checkResponse(t, get(t, s.Client(), s.URL), message.Content, "sent")
	})
}

// Send and the end of the patience in the same moment: one of them answers, once.
func TestDetachedSendRacesTimeout(t *testing.T) {
	h := func(w coap.ResponseWriter, r *coap.Request) {
		w.WriteString("just")
		sendLater(w.Detach(), 11*time.Second)
	}
	setup := func(s *coaptest.Server) { s.Config.Limits.HandlerTimeout = 10 * time.Second }
	withServer(t, coap.HandlerFunc(h), setup, func(t *testing.T, s *coaptest.Server) {
		for range 100 {
			p := newRawPeer(t, s)
			p.send(datagram(t, message.NonConfirmable, message.GET, 1, tokenOf(1), ""))
			if v := p.receive(time.Minute); v.Code() != message.ServiceUnavailable && string(v.Payload()) != "just" {
				t.Errorf("%v", v)
			}
			p.silence(time.Minute)
		}
		if n := s.Config.Stats(); n.HandlersAway != 0 || n.Messages.PendingRequests != 0 {
			t.Errorf("%+v", n)
		}
	})
}

// A rendering for observers that is detached ends as a request would: a panic is 5.00, what
// is never sent 5.03, and either ends the observation (RFC 7641 §4.2); the route serves the
// next one.
func TestObserveDetachedRenderingEnds(t *testing.T) {
	tests := map[string]struct {
		serve func(w coap.ResponseWriter)
		after time.Duration
		code  message.Code
	}{
		"panic": {func(w coap.ResponseWriter) { w.Detach(); panic("as intended") }, 0, message.InternalServerError},
		"never": {func(w coap.ResponseWriter) { w.Detach() }, 11 * time.Second, message.ServiceUnavailable},
		"late":  {func(w coap.ResponseWriter) { sendLater(w.Detach(), time.Minute) }, 11 * time.Second, message.ServiceUnavailable},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			setup := func(s *coaptest.Server) { s.Config.Limits.HandlerTimeout = 10 * time.Second }
			withSources(t, setup, func(t *testing.T, s *coaptest.Server, o *sources) {
				var subject coap.Subject
				var calls atomic.Int32
				s.Config.Handler.(*coap.Mux).HandleFunc("GET /thing2", func(w coap.ResponseWriter, _ *coap.Request) {
					fmt.Fprint(w, calls.Add(1))
					if calls.Load() == 2 {
						tt.serve(w)
					}
				}, coap.Observable(&subject), coap.Notifications(allNonConfirmable))
				p := newRawPeer(t, s)
				p.register(1, 7, "thing2")
				began := time.Now()
				subject.Notify()
				v := p.receive(time.Minute)
				if d := time.Since(began); v.Code() != tt.code || v.Has(message.Observe) || len(v.Payload()) > 0 || d != tt.after {
					t.Errorf("%v after %v", v, d)
				}
				checkObservers(t, s, 0)
				p.register(2, 8, "thing2")
				subject.Notify()
				p.notified(0, message.NonConfirmable, 8, "4")
				p.silence(2 * time.Minute)
			})
		})
	}
}

// A rendering that is sent when the server is closed, or after it was given up, is told so.
func TestObserveLateRenderingIsTold(t *testing.T) {
	var responder coap.Responder
	setup := func(s *coaptest.Server) { s.Config.Limits.HandlerTimeout = 10 * time.Second }
	withSources(t, setup, func(t *testing.T, s *coaptest.Server, o *sources) {
		var subject coap.Subject
		var calls atomic.Int32
		s.Config.Handler.(*coap.Mux).HandleFunc("GET /thing2", func(w coap.ResponseWriter, _ *coap.Request) {
			if calls.Add(1)%2 == 0 {
				responder = w.Detach()
			}
		}, coap.Observable(&subject), coap.Notifications(allNonConfirmable))
		p := newRawPeer(t, s)
		p.register(1, 7, "thing2")
		subject.Notify()
		p.receive(time.Minute)
		responder.WriteString("late")
		if err := responder.Send(); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		p.register(2, 7, "thing2")
		subject.Notify()
		synctest.Wait()
		s.Close()
		if err := responder.Send(); !errors.Is(err, coap.ErrClosed) {
			t.Errorf("%v", err)
		}
	})
}
