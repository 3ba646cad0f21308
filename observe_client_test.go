package coap_test

import (
	"context"
	"errors"
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

// An update is what a loop over an observation got.
type update struct {
	value string
	err   error
	at    time.Time
}

// follow observes in the background. Ending ctx ends it, and closes the channel.
func follow(ctx context.Context, c *coap.Client, url string) <-chan update {
	updates := make(chan update, 1000)
	go func() {
		defer close(updates)
		for resp, err := range c.Observe(ctx, url) {
			u := update{err: err, at: time.Now()}
			if resp != nil {
				u.value = string(resp.Payload())
			}
			updates <- u
		}
	}()
	return updates
}

// next returns the next update, which must come within d.
func next(t *testing.T, updates <-chan update, d time.Duration) update {
	t.Helper()
	select {
	case u, ok := <-updates:
		if !ok {
			t.Fatal("the observation is over")
		}
		return u
	case <-time.After(max(d, 1)):
		t.Fatalf("nothing came within %v", d)
	}
	return update{}
}

// expectState fails unless the next update is a state.
func expectState(t *testing.T, updates <-chan update, d time.Duration, want string) {
	t.Helper()
	if u := next(t, updates, d); u.err != nil || u.value != want {
		t.Fatalf("got %q, %v; want %q", u.value, u.err, want)
	}
}

// requests collects the requests that a network carries.
type requests struct {
	mu   sync.Mutex
	list []*message.View
}

func tapRequests(n *simnet.Network) *requests {
	r := &requests{}
	n.Tap(func(record simnet.Record) {
		v := new(message.View)
		if v.Parse(append([]byte(nil), record.Data...)) == nil && v.Code().IsRequest() {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.list = append(r.list, v)
		}
	})
	return r
}

// observing returns the requests with a value of Observe.
func (r *requests) observing(value uint32) (list []*message.View) {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, v := range r.list {
		if got, ok := v.Observe(); ok && got == value {
			list = append(list, v)
		}
	}
	return list
}

// RFC 7641 §3.6: leaving the loop, or the context's end, deregisters with the token and the
// options of the registration, in the background.
func TestObserveLeavingDeregisters(t *testing.T) {
	for name, leave := range map[string]func(cancel func()) bool{
		"break":   func(func()) bool { return false },
		"context": func(cancel func()) bool { cancel(); return true },
	} {
		t.Run(name, func(t *testing.T) {
			withSources(t, nil, func(t *testing.T, s *coaptest.Server, o *sources) {
				s.Network.SetDefault(simnet.Link{Delay: time.Second})
				sent := tapRequests(s.Network)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				var last error
				var left time.Time
				for _, err := range s.Client().Observe(ctx, s.URL+"/non?unit=C&x=1", coap.Accept(message.TextPlain)) {
					last, left = err, time.Now()
					if err != nil || !leave(cancel) {
						break
					}
				}
				if d := time.Since(left); d != 0 {
					t.Errorf("the loop took %v to end", d)
				}
				if name == "context" && !errors.Is(last, context.Canceled) {
					t.Errorf("ended by %v", last)
				}
				time.Sleep(time.Minute)
				first, end := sent.observing(0), sent.observing(1)
				if len(first) != 1 || len(end) != 1 || !sameBut(first[0], end[0]) {
					t.Errorf("registered by %v, deregistered by %v", first, end)
				}
				checkObservers(t, s, 0)
				if n := s.Client().Stats().Messages; n.OpenExchanges != 0 {
					t.Errorf("%+v", n)
				}
			})
		})
	}
}

// A FETCH is observed like a GET, and ended with its body (RFC 8132 §2.4).
func TestObserveFetch(t *testing.T) {
	value := coap.NewState(1)
	mux := coap.NewMux()
	var subject coap.Subject
	mux.HandleFunc("FETCH /value", func(w coap.ResponseWriter, r *coap.Request) {
		fmt.Fprintf(w, "%s=%d", r.Payload(), value.Get())
	}, coap.Observable(&subject))
	withServer(t, mux, nil, func(t *testing.T, s *coaptest.Server) {
		sent := tapRequests(s.Network)
		for _, body := range []string{"a", "b"} {
			value.Set(1)
			var got []string
			for resp, err := range s.Client().ObserveRequest(t.Context(), coap.NewRequest(message.FETCH, s.URL+"/value", coap.Text(body))) {
				if err != nil {
					t.Fatal(err)
				}
				if got = append(got, string(resp.Payload())); len(got) == 2 {
					break
				}
				value.Set(2)
				subject.Notify()
			}
			if fmt.Sprint(got) != fmt.Sprintf("[%s=1 %s=2]", body, body) {
				t.Errorf("got %v", got)
			}
		}
		first, end := sent.observing(0), sent.observing(1)
		if len(first) != 2 || len(end) != 2 || !sameBut(first[0], end[0]) || !sameBut(first[1], end[1]) {
			t.Errorf("registered by %v, deregistered by %v", first, end)
		}
		checkObservers(t, s, 0)
	})
}

// RFC 7641 §3.3.1: Max-Age (60 s) plus 5 to 15 s without news, and the client registers again,
// with the same token. So it survives a server that has forgotten it.
func TestObserveRegistersAgainAfterMaxAge(t *testing.T) {
	coaptest.Run(t, func(t *testing.T) {
		value := coap.NewState(1)
		mux := coap.NewMux()
		mux.Handle("GET /value", value)
		s := newSite(t, 1, func(server *coap.Server) { server.Handler = mux })
		sent := tapRequests(s.network)
		c := s.client()
		ctx, cancel := context.WithCancel(t.Context())
		updates := follow(ctx, c, s.url("/value"))
		expectState(t, updates, 0, "1")
		registered := time.Now()

		s.close()
		s.start()
		value.Set(2)
		u := next(t, updates, 2*time.Minute)
		if d := u.at.Sub(registered); u.err != nil || u.value != "2" || d < 65*time.Second || d > 75*time.Second {
			t.Errorf("got %q, %v after %v", u.value, u.err, d)
		}
		value.Set(3)
		expectState(t, updates, 0, "3")
		if list := sent.observing(0); len(list) != 2 || !sameBut(list[0], list[1]) {
			t.Errorf("registrations: %v", list)
		}
		cancel()
		for range updates {
		}
		synctest.Wait()
		if n := s.server.Stats().Observations.Observers; n != 0 {
			t.Errorf("%d observers left", n)
		}
		c.Close()
		s.close()
	})
}

// A server that can't be reached makes the state stale, which is said once for every attempt;
// when it is back the observation goes on.
func TestObserveStale(t *testing.T) {
	coaptest.Run(t, func(t *testing.T) {
		value := coap.NewState(1)
		mux := coap.NewMux()
		mux.Handle("GET /value", value)
		s := newSite(t, 1, func(server *coap.Server) { server.Handler = mux })
		c := s.client()
		ctx, cancel := context.WithCancel(t.Context())
		updates := follow(ctx, c, s.url("/value"))
		expectState(t, updates, 0, "1")
		began := time.Now()
		s.network.Partition(s.addr)
		value.Set(2)
		for i := range 3 {
			u := next(t, updates, 15*time.Minute)
			if !errors.Is(u.err, coap.ErrStale) || !errors.Is(u.err, coap.ErrTimeout) || errors.Is(u.err, coap.ErrObservationEnded) {
				t.Fatalf("update %d: %q, %v", i, u.value, u.err)
			}
			if d := u.at.Sub(began); i == 0 && (d < (60+5+45)*time.Second || d > (60+15+93)*time.Second) {
				t.Errorf("stale after %v", d)
			}
		}
		s.network.Heal()
		expectState(t, updates, 10*time.Minute, "2")
		value.Set(3)
		expectState(t, updates, time.Second, "3")
		cancel()
		for range updates {
		}
		c.Close()
		s.close()
	})
}

// The end of an observation is an event: the last pair says why.
func TestObserveEnds(t *testing.T) {
	tests := []struct {
		name    string
		path    string
		after   func(s *coaptest.Server, o *sources)
		want    error
		deletes int // requests with Observe 1
	}{
		{"not observable", "/plain", nil, coap.ErrNotObserved, 0},
		{"not found", "/nothing", nil, coap.ErrObservationEnded, 0},
		{"End", "/thing", func(_ *coaptest.Server, o *sources) { o.thing.End(message.NotFound) }, coap.ErrObservationEnded, 0},
		{"the handler fails", "/thing", func(_ *coaptest.Server, o *sources) {
			o.code.Store(uint32(message.Forbidden))
			o.thing.Notify()
		}, coap.ErrObservationEnded, 0},
		{"Close", "/thing", func(s *coaptest.Server, _ *sources) { go s.Client().Close() }, coap.ErrClosed, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			withSources(t, nil, func(t *testing.T, s *coaptest.Server, o *sources) {
				sent := tapRequests(s.Network)
				var last error
				states := 0
				for resp, err := range s.Client().Observe(t.Context(), s.URL+tt.path) {
					if last = err; err != nil {
						if resp != nil && resp.Err() == nil {
							t.Errorf("%v with %v", resp.Code, err)
						}
						continue
					}
					if states++; tt.after != nil {
						tt.after(s, o)
					}
				}
				if !errors.Is(last, tt.want) {
					t.Errorf("%d states, then %v", states, last)
				}
				time.Sleep(5 * time.Minute)
				if n := len(sent.observing(1)); n != tt.deletes {
					t.Errorf("%d deregistrations", n)
				}
				checkObservers(t, s, 0)
			})
		})
	}
}

// A registration that is never answered fails after 93 s at most, and is cancelled: a server
// that got it only late, and could not say so, has no orphan.
func TestObserveRegistrationTimesOut(t *testing.T) {
	withSources(t, nil, func(t *testing.T, s *coaptest.Server, _ *sources) {
		c := newClient(t, s, nil)
		c.Listen = func(ctx context.Context, network string) (conn transport.Conn, err error) {
			conn, err = coaptest.Listen(s.Network)(ctx, network)
			if err == nil { // requests arrive, answers don't
				s.Network.SetLink(s.Addr, conn.LocalAddr(), simnet.Link{Loss: 1})
			}
			return conn, err
		}
		sent := tapRequests(s.Network)
		began := time.Now()
		var last error
		for _, err := range c.Observe(t.Context(), s.URL+"/non") {
			last = err
		}
		if d := time.Since(began); !errors.Is(last, coap.ErrTimeout) || d < 45*time.Second || d > 93*time.Second {
			t.Errorf("%v after %v", last, d)
		}
		synctest.Wait()
		checkObservers(t, s, 0)
		if n := len(sent.observing(1)); n == 0 {
			t.Error("no deregistration")
		}
		time.Sleep(2 * time.Minute)
	})
}

// Close waits for deregistrations, and 2 s at most.
func TestObserveCloseWaits(t *testing.T) {
	withSources(t, nil, func(t *testing.T, s *coaptest.Server, _ *sources) {
		s.Network.SetDefault(simnet.Link{Delay: 500 * time.Millisecond})
		c := newClient(t, s, nil)
		updates := follow(t.Context(), c, s.URL+"/non")
		expectState(t, updates, 2*time.Second, "1")
		began := time.Now()
		c.Close()
		if d := time.Since(began); d != time.Second {
			t.Errorf("Close took %v, the round trip 1 s", d)
		}
		checkObservers(t, s, 0)
		if u := <-updates; !errors.Is(u.err, coap.ErrClosed) {
			t.Errorf("ended by %v", u.err)
		}

		c = newClient(t, s, nil)
		updates = follow(t.Context(), c, s.URL+"/non")
		expectState(t, updates, 2*time.Second, "1")
		s.Network.Partition(s.Addr)
		began = time.Now()
		c.Close()
		if d := time.Since(began); d != 2*time.Second {
			t.Errorf("Close took %v", d)
		}
		if _, err := c.Get(t.Context(), s.URL+"/non"); !errors.Is(err, coap.ErrClosed) {
			t.Errorf("%v", err)
		}
		for _, err := range c.Observe(t.Context(), s.URL+"/non") {
			if !errors.Is(err, coap.ErrClosed) {
				t.Errorf("%v", err)
			}
		}
	})
}

// A loop that is slow gets the latest state, and a counter tells of the others.
func TestObserveSlowConsumer(t *testing.T) {
	withSources(t, nil, func(t *testing.T, s *coaptest.Server, o *sources) {
		var got []string
		for resp, err := range s.Client().Observe(t.Context(), s.URL+"/non") {
			if err != nil {
				t.Fatal(err)
			}
			if got = append(got, string(resp.Payload())); len(got) == 2 {
				break
			}
			for i := range 10 {
				o.non.Set(i + 2)
				time.Sleep(time.Second)
			}
		}
		if fmt.Sprint(got) != "[1 11]" {
			t.Errorf("got %v", got)
		}
		if n := s.Client().Stats().NotificationsConflated; n != 9 {
			t.Errorf("%d conflated", n)
		}
	})
}

// A rawServer is a raw peer that a client observes.
func rawServer(t *testing.T, n *simnet.Network) (*rawPeer, string) {
	at := netip.MustParseAddrPort("10.9.9.9:5683")
	return rawPeerOn(t, n, at, at), "coap://10.9.9.9/value"
}

// notify sends a message with a token and an Observe number.
func (p *rawPeer) notify(typ message.Type, id message.ID, token message.Token, number byte, payload string) {
	p.t.Helper()
	p.reply(datagram(p.t, typ, message.Content, id, token, payload, message.Option{Number: message.Observe, Value: []byte{number}}))
}

// RFC 7641 §3.2, §3.4, §3.5, §3.6: a Confirmable notification is acknowledged, an older one
// than the last is not yielded, and after the end every one is answered by a Reset.
func TestObserveClientOnTheWire(t *testing.T) {
	coaptest.Run(t, func(t *testing.T) {
		n := simnet.New(1)
		p, url := rawServer(t, n)
		c := &coap.Client{Listen: coaptest.Listen(n)}
		ctx, cancel := context.WithCancel(t.Context())
		updates := follow(ctx, c, url)
		request := p.receive(0)
		token := request.Token()
		if p.observed(request) != 0 {
			t.Errorf("%v", request)
		}
		p.notify(message.Acknowledgement, request.ID(), token, 10, "ten")
		expectState(t, updates, 0, "ten")
		p.notify(message.Confirmable, 1, token, 12, "twelve")
		if v := p.receive(0); v.Type() != message.Acknowledgement || v.ID() != 1 {
			t.Errorf("%v", v)
		}
		expectState(t, updates, 0, "twelve")
		p.notify(message.Confirmable, 2, token, 11, "eleven")
		if v := p.receive(0); v.Type() != message.Acknowledgement || v.ID() != 2 {
			t.Errorf("%v", v)
		}
		p.notify(message.NonConfirmable, 3, token, 9, "nine")
		p.notify(message.NonConfirmable, 4, token, 13, "thirteen")
		expectState(t, updates, 0, "thirteen")
		if stats := c.Stats(); stats.NotificationsStale != 2 {
			t.Errorf("%d stale", stats.NotificationsStale)
		}

		cancel()
		end := p.receive(0)
		if p.observed(end) != 1 || !sameBut(request, end) {
			t.Errorf("%v, want %v with Observe 1", end, request)
		}
		p.reply(datagram(t, message.Acknowledgement, message.Content, end.ID(), token, "bye"))
		synctest.Wait()
		p.notify(message.Confirmable, 5, token, 14, "late")
		if v := p.receive(0); v.Type() != message.Reset || v.ID() != 5 {
			t.Errorf("%v, want a Reset", v)
		}
		p.notify(message.NonConfirmable, 6, token, 15, "late")
		if v := p.receive(0); v.Type() != message.Reset || v.ID() != 6 {
			t.Errorf("%v, want a Reset", v)
		}
		c.Close()
		p.conn.Close()
	})
}

// RFC 7641 §3.4, §4.4: a server that was started again counts from anywhere; its answer to the
// registration is the present state, piggybacked or separate.
func TestObserveServerCountsAnew(t *testing.T) {
	for name, separate := range map[string]bool{"piggybacked": false, "separate": true} {
		t.Run(name, func(t *testing.T) {
			coaptest.Run(t, func(t *testing.T) {
				n := simnet.New(1)
				p, url := rawServer(t, n)
				c := &coap.Client{Listen: coaptest.Listen(n)}
				ctx, cancel := context.WithCancel(t.Context())
				updates := follow(ctx, c, url)
				v := p.receive(0)
				p.notify(message.Acknowledgement, v.ID(), v.Token(), 100, "old")
				expectState(t, updates, 0, "old")
				id := message.ID(1)
				asked := 0
				for ; len(updates) == 0; synctest.Wait() {
					asked++
					v = p.receive(75 * time.Second) // registers again
					if !separate {
						p.notify(message.Acknowledgement, v.ID(), v.Token(), 1, "new")
						continue
					}
					p.reply(datagram(t, message.Acknowledgement, message.Empty, v.ID(), message.Token{}, ""))
					p.notify(message.Confirmable, id, v.Token(), byte(id), "new")
					p.receive(0)
					id++
				}
				expectState(t, updates, 0, "new")
				if !separate && asked != 1 || asked > 5 {
					t.Errorf("asked %d times", asked)
				}
				cancel()
				for range updates {
				}
				c.Close()
				p.conn.Close()
			})
		})
	}
}
