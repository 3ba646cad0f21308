package coap_test

import (
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/coaptest"
	"github.com/motewire/coap/message"
)

// RFC 8516 §3: to who sends "more often than the server is capable or willing to handle, the
// server SHOULD respond to the request(s) with the response code 4.29", and "The Max-Age option
// is used to indicate the number of seconds after which the server assumes it is OK for the
// client to retry the request".
func TestRateLimit(t *testing.T) {
	var runs atomic.Int32
	h := coap.HandlerFunc(func(w coap.ResponseWriter, _ *coap.Request) {
		runs.Add(1)
		w.WriteString("ok")
	})
	withServer(t, h, func(s *coaptest.Server) {
		s.Config.RateLimit = coap.RateLimit{Peer: coap.Rate{PerSecond: 0.1, Burst: 2}, Prefix: coap.Rate{PerSecond: 1, Burst: 5}}
	}, func(t *testing.T, s *coaptest.Server) {
		at := func(addr string) func(want message.Code) *message.View {
			p, id := rawPeerOn(t, s.Network, netip.MustParseAddrPort(addr), s.Addr), message.ID(0)
			return func(want message.Code) *message.View {
				t.Helper()
				id++
				p.send(datagram(t, message.Confirmable, message.GET, id, tokenOf(1), ""))
				v := p.receive(0)
				if v.Code() != want {
					t.Errorf("%s: %v, want %v", addr, v, want)
				}
				return v
			}
		}
		a, b, c, far := at("192.0.2.1:1001"), at("192.0.2.1:1002"), at("192.0.2.200:1001"), at("192.0.3.1:1001")
		a(message.Content)
		a(message.Content)
		v := a(message.TooManyRequests)
		if age, ok := v.MaxAge(); !ok || age != 10*time.Second || len(v.Payload()) > 0 {
			t.Errorf("%v", v)
		}
		time.Sleep(300 * time.Millisecond)
		if age, _ := a(message.TooManyRequests).MaxAge(); age != 10*time.Second {
			t.Errorf("9.7 s are told as %v", age)
		}
		b(message.Content)
		b(message.Content)
		c(message.Content)
		c(message.TooManyRequests) // its network has had five
		far(message.Content)
		time.Sleep(8700 * time.Millisecond)
		c(message.Content)
		a(message.TooManyRequests)
		time.Sleep(time.Second)
		a(message.Content)
		a(message.TooManyRequests)
		if got := s.Config.Stats(); runs.Load() != 8 || got.RateLimited != 5 {
			t.Errorf("%d runs, %d limited", runs.Load(), got.RateLimited)
		}
	})
}

// A duplicate is no further request.
func TestRateLimitAndDuplicates(t *testing.T) {
	withServer(t, say("ok"), func(s *coaptest.Server) {
		s.Config.RateLimit.Peer = coap.Rate{PerSecond: 0.01}
	}, func(t *testing.T, s *coaptest.Server) {
		p := newRawPeer(t, s)
		for range 5 {
			p.send(datagram(t, message.Confirmable, message.GET, 1, tokenOf(1), ""))
			if v := p.receive(0); v.Code() != message.Content {
				t.Errorf("%v", v)
			}
		}
	})
}

// RFC 8516 §3: "The server SHOULD rate-limit 4.29 replies": a thousand a second. Who is within
// his rate is served all the same.
func TestRefusalsAreRateLimited(t *testing.T) {
	withServer(t, say("ok"), func(s *coaptest.Server) {
		s.Config.RateLimit.Peer = coap.Rate{PerSecond: 1}
	}, func(t *testing.T, s *coaptest.Server) {
		flooder, polite := rawPeerOn(t, s.Network, netip.MustParseAddrPort("192.0.2.1:1001"), s.Addr), newRawPeer(t, s)
		for id, want := range []int{1 + 1000, 1 + 1000, 0} {
			answered := 0
			for i := range 1500 {
				if want > 0 {
					flooder.send(datagram(t, message.NonConfirmable, message.GET, message.ID(id*1500+i), tokenOf(1), ""))
				}
				synctest.Wait()
				for len(flooder.in) > 0 {
					<-flooder.in
					answered++
				}
			}
			if answered != want {
				t.Errorf("second %d: %d answers, want %d", id, answered, want)
			}
			polite.send(datagram(t, message.Confirmable, message.GET, message.ID(id), tokenOf(2), ""))
			if v := polite.receive(0); v.Code() != message.Content {
				t.Errorf("%v", v)
			}
			time.Sleep(time.Second)
		}
		if got := s.Config.Stats().RateLimited; got != 2*1499 {
			t.Errorf("%d limited", got)
		}
	})
}
