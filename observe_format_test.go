package coap_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/coaptest"
	"github.com/motewire/coap/message"
)

// RFC 7641 §4.2: notifications have the Content-Format of the initial response. A server that
// can't go on with it sends 4.06 and removes the observer.
func TestObserveKeepsTheFormat(t *testing.T) {
	var format atomic.Int32 // below 0: none is named
	var subject coap.Subject
	mux := coap.NewMux()
	mux.HandleFunc("GET /x", func(w coap.ResponseWriter, _ *coap.Request) {
		if f := format.Load(); f >= 0 {
			w.SetContentFormat(message.Format(f))
		}
		w.WriteString("x")
	}, coap.Observable(&subject), coap.Notifications(allNonConfirmable))
	setup := func(s *coaptest.Server) { s.Config.NotifyInterval = -1 }
	withServer(t, mux, setup, func(t *testing.T, s *coaptest.Server) {
		p := newRawPeer(t, s)
		for i, test := range []struct{ first, then int32 }{
			{int32(message.AppJSON), int32(message.AppCBOR)}, {int32(message.AppJSON), -1}, {-1, int32(message.TextPlain)},
			{int32(message.AppCBOR), int32(message.AppJSON)},
		} {
			format.Store(test.first)
			p.register(message.ID(i), 7, "x")
			subject.Notify()
			p.notified(0, message.NonConfirmable, 7, "x")
			format.Store(test.then)
			subject.Notify()
			v := p.receive(0)
			if v.Code() != message.NotAcceptable || v.Has(message.Observe) || v.Has(message.ContentFormat) || v.Payload() != nil {
				t.Errorf("%d, then %d: %v", test.first, test.then, v)
			}
			if v.Type() == message.Confirmable {
				p.ack(v)
			}
			checkObservers(t, s, 0)
			subject.Notify()
			p.silence(time.Minute)
		}
	})
}

// RFC 7641 §4.3.2: a client that registers with the ETags of what it has stored is notified
// by 2.03 where one of these is the present state again.
func TestObserveValidNotification(t *testing.T) {
	var state atomic.Int32
	var subject coap.Subject
	mux := coap.NewMux()
	mux.HandleFunc("GET /x", func(w coap.ResponseWriter, _ *coap.Request) {
		w.SetETag([]byte{byte(state.Load()) + 1})
		w.WriteString("x")
	}, coap.Observable(&subject), coap.Notifications(allNonConfirmable))
	setup := func(s *coaptest.Server) { s.Config.NotifyInterval = -1 }
	withServer(t, mux, setup, func(t *testing.T, s *coaptest.Server) {
		p := newRawPeer(t, s)
		stored := message.Option{Number: message.ETag, Value: []byte{2}}
		p.observed(p.ask(message.GET, 1, 7, observeRegister, path("x"), stored))
		for _, test := range []struct {
			state   int32
			code    message.Code
			payload string
		}{{1, message.Valid, ""}, {2, message.Content, "x"}, {1, message.Valid, ""}} {
			state.Store(test.state)
			subject.Notify()
			v := p.notified(0, message.NonConfirmable, 7, test.payload)
			if tag, ok := v.ETag(); v.Code() != test.code || !ok || tag.String() != fmt.Sprintf("%02x", test.state+1) {
				t.Errorf("state %d: %v", test.state, v)
			}
		}
	})
}
