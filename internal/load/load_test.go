package load

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/coaptest"
	"github.com/motewire/coap/message"
	"github.com/motewire/coap/transport"
	"github.com/motewire/coap/transport/simnet"
)

var path = message.Option{Number: message.URIPath, Value: []byte("x")}

// against makes load on a server in virtual time.
func against(t *testing.T, h coap.Handler, cfg Config, f func(t *testing.T, s *coaptest.Server, g *Generator)) {
	t.Helper()
	coaptest.Run(t, func(t *testing.T) {
		s := coaptest.NewServer(h)
		defer s.Close()
		cfg.To = s.Addr
		if cfg.Options == nil && cfg.Mix == nil {
			cfg.Options = []message.Option{path}
		}
		cfg.Listen = listenOn(s)
		g, err := New(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer g.Close()
		g.sleep = time.Sleep
		f(t, s, g)
		synctest.Wait()
	})
}

// listenOn opens source ports on the network of a server.
func listenOn(s *coaptest.Server) func(context.Context) (transport.Conn, error) {
	return func(context.Context) (transport.Conn, error) {
		return s.Network.Listen(netip.AddrPortFrom(netip.IPv4Unspecified(), 0))
	}
}

func run(t *testing.T, g *Generator, d time.Duration, requests int) *Result {
	t.Helper()
	r, err := g.Run(t.Context(), d, requests)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

var answer = coap.HandlerFunc(func(w coap.ResponseWriter, _ *coap.Request) { w.WriteString("x") })

func TestClosedLoop(t *testing.T) {
	for _, nonConfirmable := range []bool{false, true} {
		t.Run(fmt.Sprint(nonConfirmable), func(t *testing.T) {
			against(t, answer, Config{Ports: 3, Window: 5, NonConfirmable: nonConfirmable}, func(t *testing.T, _ *coaptest.Server, g *Generator) {
				for range 2 { // the second run uses the same ports
					r := run(t, g, 0, 1000)
					if r.Sent != 1000 || r.Answered != 1000 || r.InTime != 1000 || r.Code(message.Content) != 1000 || r.Latency.Count() != 1000 {
						t.Errorf("%d sent, %d answered, %d by 2.05", r.Sent, r.Answered, r.Code(message.Content))
					}
					if n := r.Retransmissions + r.TimedOut + r.Unanswered + r.Strays + r.Malformed; n != 0 {
						t.Errorf("%+v", r)
					}
				}
			})
		})
	}
}

// No more than the window is under way from one port.
func TestWindow(t *testing.T) {
	var mu sync.Mutex
	now, most := 0, 0
	h := coap.HandlerFunc(func(coap.ResponseWriter, *coap.Request) {
		mu.Lock()
		now++
		most = max(most, now)
		mu.Unlock()
		time.Sleep(10 * time.Millisecond)
		mu.Lock()
		now--
		mu.Unlock()
	})
	against(t, h, Config{Ports: 2, Window: 4}, func(t *testing.T, _ *coaptest.Server, g *Generator) {
		if r := run(t, g, time.Second, 0); most != 8 || r.Answered != r.Sent {
			t.Errorf("%d at once, want 8; %d of %d answered", most, r.Answered, r.Sent)
		}
	})
}

// The open loop sends at its rate, whatever the server does, and counts latency from when
// a request was due.
func TestOpenLoop(t *testing.T) {
	h := coap.HandlerFunc(func(coap.ResponseWriter, *coap.Request) { time.Sleep(3 * time.Second) })
	against(t, h, Config{Ports: 2, Rate: 50, Drain: 10 * time.Second}, func(t *testing.T, _ *coaptest.Server, g *Generator) {
		r := run(t, g, 10*time.Second, 0)
		if r.Sent < 500 || r.Sent > 501 || r.Answered != r.Sent || r.Separate != r.Sent {
			t.Errorf("%d sent, %d answered, %d separately; want 500", r.Sent, r.Answered, r.Separate)
		}
		if p := r.Latency.Quantile(0.5); p < 3*time.Second || p > 3100*time.Millisecond {
			t.Errorf("median latency %v, want 3 s", p)
		}
		if r.InTime >= r.Answered || r.Retransmissions != 0 {
			t.Errorf("%d answers in time, %d retransmissions", r.InTime, r.Retransmissions)
		}
	})
}

// RFC 7252 §4.4: "The same Message ID MUST NOT be reused (in communicating with the same
// endpoint) within the EXCHANGE_LIFETIME".
func TestMessageIDsAreNotUsedAgain(t *testing.T) {
	type key struct {
		port uint16
		id   message.ID
	}
	seen := map[key]bool{}
	ports := map[uint16]bool{}
	against(t, answer, Config{Window: 64}, func(t *testing.T, s *coaptest.Server, g *Generator) {
		var mu sync.Mutex
		s.Network.Tap(func(r simnet.Record) {
			if r.To != s.Addr {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			k := key{r.From.Port(), message.ID(r.Data[2])<<8 | message.ID(r.Data[3])}
			if seen[k] {
				t.Errorf("%+v again", k)
			}
			seen[k], ports[k.port] = true, true
		})
		const requests = 140_000
		if r := run(t, g, 0, requests); r.Answered != requests || len(seen) != requests || len(ports) != 3 {
			t.Errorf("%d answered, %d different messages, from %d ports", r.Answered, len(seen), len(ports))
		}
	})
}

// Lost requests are sent again with growing waits, and given up in the end (§4.2).
func TestRetransmission(t *testing.T) {
	against(t, answer, Config{Drain: 100 * time.Second}, func(t *testing.T, s *coaptest.Server, g *Generator) {
		s.Network.SetDefault(simnet.Link{Loss: 1})
		began := time.Now()
		r := run(t, g, 0, 1)
		if r.Retransmissions != 4 || r.TimedOut != 1 || r.Answered != 0 {
			t.Errorf("%d sent again, %d timed out", r.Retransmissions, r.TimedOut)
		}
		if took := time.Since(began); took < 62*time.Second || took > 94*time.Second {
			t.Errorf("took %v, want 62 to 93 s", took)
		}
	})
}

// Notifications are taken, and the observations go on.
func TestObserving(t *testing.T) {
	state := coap.NewState("a")
	mux := coap.NewMux()
	mux.Handle("GET /x", state)
	register := []message.Option{{Number: message.Observe}, path}
	against(t, mux, Config{Window: 8, Observing: true, Options: register}, func(t *testing.T, s *coaptest.Server, g *Generator) {
		run(t, g, 0, 8)
		before := g.Heard()
		for _, value := range []string{"b", "c"} {
			state.Set(value)
			time.Sleep(time.Minute)
		}
		if n := g.Heard() - before; n != 16 || len(g.SourcePorts()) != 1 {
			t.Errorf("%d notifications to 8 observers of one endpoint", n)
		}
		if n := s.Config.Stats().Observations.Observers; n != 8 {
			t.Errorf("%d observers are left of 8", n)
		}
	})
}

// What is acknowledged is not sent again, however long the response takes (§5.2.2).
func TestAcknowledged(t *testing.T) {
	h := coap.HandlerFunc(func(coap.ResponseWriter, *coap.Request) { time.Sleep(40 * time.Second) })
	against(t, h, Config{Drain: time.Hour}, func(t *testing.T, _ *coaptest.Server, g *Generator) {
		if r := run(t, g, 0, 1); r.TimedOut != 1 || r.Retransmissions != 0 {
			t.Errorf("%d timed out, %d sent again", r.TimedOut, r.Retransmissions)
		}
	})
}

func TestRefusedConfigs(t *testing.T) {
	to := netip.MustParseAddrPort("127.0.0.1:5683")
	for _, cfg := range []Config{
		{}, {To: to, Ports: -1}, {To: to, Window: 1 << 16}, {To: to, Rate: -1},
		{To: to, Ports: 2, Sources: 1}, {To: netip.MustParseAddrPort("[::1]:5683"), Sources: 1},
		{To: to, Options: []message.Option{{Number: 11}, {Number: 3}}},
	} {
		if g, err := New(t.Context(), cfg); err == nil {
			g.Close()
			t.Errorf("%+v is accepted", cfg)
		}
	}
}
