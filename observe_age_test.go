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

// RFC 7641 §4.3.1: Max-Age in a notification is true when it leaves, also where it had to
// wait for its turn.
func TestObserveMaxAgeIsHonest(t *testing.T) {
	start := time.Now()
	var renderings atomic.Int32
	var subject coap.Subject
	mux := coap.NewMux()
	mux.HandleFunc("GET /thing", func(w coap.ResponseWriter, _ *coap.Request) {
		renderings.Add(1)
		w.SetMaxAge(time.Minute - time.Since(start)) // fresh until one minute after the start
		fmt.Fprint(w, renderings.Load())
	}, coap.Observable(&subject), coap.Notifications(allNonConfirmable))
	paced := func(s *coaptest.Server) { s.Config.NotifyInterval = 20 * time.Second }
	withServer(t, mux, paced, func(t *testing.T, s *coaptest.Server) {
		start = time.Now()
		p, other := newRawPeer(t, s), newRawPeer(t, s)
		p.register(1, 7, "thing")
		subject.Notify()
		p.receive(time.Second)
		time.Sleep(5 * time.Second)
		other.register(1, 8, "thing")
		subject.Notify() // other is told at once, p after the pause
		if v := other.receive(time.Second); age(t, v) != 55*time.Second {
			t.Errorf("Max-Age %v after 5 s, want 55 s", age(t, v))
		}
		if v := p.receive(20 * time.Second); age(t, v) != 40*time.Second {
			t.Errorf("Max-Age %v after 20 s, want 40 s", age(t, v))
		}
	})
}

func age(t *testing.T, v *message.View) time.Duration {
	t.Helper()
	d, ok := v.MaxAge()
	if !ok {
		t.Fatalf("%v has no Max-Age", v)
	}
	return d
}
