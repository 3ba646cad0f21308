package coap_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/coaptest"
	"github.com/motewire/coap/message"
)

// RFC 7641 §3.1: "A client MUST aggregate such requests and MUST NOT register more than once for
// the same target resource." Who comes later has the present state at once; who leaves leaves the
// others alone, and the last one deregisters.
func TestObserveIsShared(t *testing.T) {
	withSources(t, nil, func(t *testing.T, s *coaptest.Server, o *sources) {
		sent := tapRequests(s.Network)
		first, leave := context.WithCancel(t.Context())
		second, last := context.WithCancel(t.Context())
		defer leave()
		defer last()
		a := follow(first, s.Client(), s.URL+"/con?x=1")
		expectState(t, a, 0, "1")
		o.con.Set(2)
		expectState(t, a, 0, "2")
		b := follow(second, s.Client(), s.URL+"/con?x=1")
		expectState(t, b, 0, "2")
		o.con.Set(3)
		expectState(t, a, 0, "3")
		expectState(t, b, 0, "3")
		checkObservers(t, s, 1)
		leave()
		if u := next(t, a, 0); !errors.Is(u.err, context.Canceled) {
			t.Errorf("%+v", u)
		}
		o.con.Set(4)
		expectState(t, b, 0, "4")
		time.Sleep(time.Hour) // of registrations after Max-Age
		checkObservers(t, s, 1)
		if n := len(sent.observing(1)); n != 0 {
			t.Errorf("%d deregistrations while a loop goes on", n)
		}
		tokens := map[message.Token]bool{}
		for _, v := range sent.observing(0) {
			tokens[v.Token()] = true
		}
		if len(tokens) != 1 {
			t.Errorf("%d registrations", len(tokens))
		}
		last()
		if n := len(sent.observing(1)); n != 1 {
			t.Errorf("%d deregistrations", n)
		}
		checkObservers(t, s, 0)
		again, stop := context.WithCancel(t.Context())
		defer stop()
		expectState(t, follow(again, s.Client(), s.URL+"/con?x=1"), 0, "4")
		checkObservers(t, s, 1)
	})
}

// RFC 7641 §3.1: "The target resource is identified by all options in the request that are part
// of the Cache-Key. This includes, for example, the full request URI and the Accept Option." A
// token of the caller's choice makes a registration its own.
func TestObserveSharesWhatIsTheSame(t *testing.T) {
	mux := coap.NewMux()
	state := coap.NewState(1)
	mux.Handle("/value", state)
	withServer(t, mux, nil, func(t *testing.T, s *coaptest.Server) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		one, _ := message.MakeToken([]byte{1})
		requests := []func() *coap.Request{
			func() *coap.Request { return coap.NewRequest(message.GET, s.URL+"/value", coap.Body{}) },
			func() *coap.Request { return coap.NewRequest(message.GET, s.URL+"/value?x", coap.Body{}) },
			func() *coap.Request {
				return coap.NewRequest(message.GET, s.URL+"/value", coap.Body{}, coap.Accept(message.TextPlain))
			},
			func() *coap.Request { return coap.NewRequest(message.FETCH, s.URL+"/value", coap.Body{}) },
			func() *coap.Request { return coap.NewRequest(message.FETCH, s.URL+"/value", coap.Text("a")) },
			func() *coap.Request { return coap.NewRequest(message.FETCH, s.URL+"/value", coap.Text("b")) },
			func() *coap.Request {
				return coap.NewRequest(message.GET, s.URL+"/value", coap.Body{}, coap.Token(one))
			},
		}
		var loops sync.WaitGroup
		for i, request := range requests {
			for range 3 {
				r := request()
				if i == len(requests)-1 && s.Config.Stats().Observations.Observers == len(requests) {
					break // the token is in use
				}
				loops.Go(func() {
					for _, err := range s.Client().ObserveRequest(ctx, r) {
						if err != nil && ctx.Err() == nil {
							t.Error(i, err)
						}
					}
				})
				synctest.Wait()
			}
			checkObservers(t, s, i+1)
		}
		cancel()
		loops.Wait()
		synctest.Wait()
		checkObservers(t, s, 0)
	})
}

// A loop that is slow gets the latest state when it asks, and holds no other one up.
func TestObserveSharedWithSlowLoop(t *testing.T) {
	withSources(t, nil, func(t *testing.T, s *coaptest.Server, o *sources) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		proceed, slow := make(chan struct{}), make(chan string, 10)
		go func() {
			for resp, err := range s.Client().Observe(ctx, s.URL+"/con") {
				if err == nil {
					slow <- string(resp.Payload())
				}
				<-proceed
			}
		}()
		synctest.Wait()
		quick := follow(ctx, s.Client(), s.URL+"/con")
		expectState(t, quick, 0, "1")
		for i := 2; i < 10; i++ {
			o.con.Set(i)
			expectState(t, quick, 0, fmt.Sprint(i))
		}
		close(proceed)
		synctest.Wait()
		if a, b := <-slow, <-slow; a != "1" || b != "9" || len(slow) > 0 {
			t.Errorf("%s, then %s, and %d more", a, b, len(slow))
		}
	})
}

// What ends an observation ends all loops, with the response and the error; who asks afterwards
// registers anew. A state that is stale is so for all, and who comes then is told.
func TestObserveSharedEnds(t *testing.T) {
	withSources(t, nil, func(t *testing.T, s *coaptest.Server, o *sources) {
		a, b := follow(t.Context(), s.Client(), s.URL+"/thing"), follow(t.Context(), s.Client(), s.URL+"/thing")
		expectState(t, a, 0, "thing")
		expectState(t, b, 0, "thing")
		s.Network.Partition(s.Addr)
		for _, updates := range []<-chan update{a, b} {
			if u := next(t, updates, 5*time.Minute); !errors.Is(u.err, coap.ErrStale) {
				t.Errorf("%+v", u)
			}
		}
		c := follow(t.Context(), s.Client(), s.URL+"/thing")
		expectState(t, c, 0, "thing")
		if u := next(t, c, 0); !errors.Is(u.err, coap.ErrStale) {
			t.Errorf("%+v", u)
		}
		s.Network.Heal()
		o.code.Store(uint32(message.NotFound))
		for _, updates := range []<-chan update{a, b, c} {
			for u := range updates {
				var response *coap.ResponseError
				if errors.Is(u.err, coap.ErrStale) {
					continue
				}
				if !errors.Is(u.err, coap.ErrObservationEnded) || !errors.As(u.err, &response) || response.Code != message.NotFound {
					t.Errorf("%+v", u)
				}
			}
		}
		if n := s.Client().Stats().Messages.OpenExchanges; n != 0 {
			t.Errorf("%d exchanges open", n)
		}
	})
}

// A state in blocks is fetched once, and each loop has it whole and for itself.
func TestObserveSharedBlocks(t *testing.T) {
	subject := new(coap.Subject)
	mux := coap.NewMux()
	mux.Handle("GET /large", say(text(5000)), coap.Observable(subject))
	withServer(t, mux, nil, func(t *testing.T, s *coaptest.Server) {
		sent := tapRequests(s.Network)
		var loops, all sync.WaitGroup
		all.Add(3)
		for range 3 {
			loops.Go(func() {
				for resp, err := range s.Client().Observe(t.Context(), s.URL+"/large") {
					if err != nil {
						t.Error(err)
						return
					}
					for range 2 { // the second time nothing is left
						b, err := resp.Bytes()
						if err != nil || len(b) > 0 && string(b) != text(5000) {
							t.Errorf("%d bytes, %v", len(b), err)
						}
						clear(b)
					}
					all.Done()
					all.Wait()
					return
				}
			})
		}
		loops.Wait()
		synctest.Wait()
		sent.mu.Lock()
		defer sent.mu.Unlock()
		if n := len(sent.list); n != 1+4+1 {
			t.Errorf("%d requests", n)
		}
	})
}

// Loops come and go at every moment: each sees states in their order, and nothing is left.
func TestObserveSharedByManyLoops(t *testing.T) {
	for seed := range uint64(5) {
		withSources(t, nil, func(t *testing.T, s *coaptest.Server, o *sources) {
			var loops sync.WaitGroup
			for i := range 30 {
				loops.Go(func() {
					rng := rand.New(rand.NewPCG(seed, uint64(i)))
					for range 5 {
						time.Sleep(time.Duration(rng.IntN(3000)) * time.Millisecond)
						ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rng.IntN(3000))*time.Millisecond)
						last, left := 0, rng.IntN(10)
						for resp, err := range s.Client().Observe(ctx, s.URL+"/con") {
							if err != nil {
								if ctx.Err() == nil {
									t.Error(err)
								}
								continue
							}
							var n int
							if fmt.Sscan(string(resp.Payload()), &n); n <= last {
								t.Errorf("%d after %d", n, last)
							}
							if last = n; left == 0 {
								break
							}
							left--
							time.Sleep(time.Duration(rng.IntN(200)) * time.Millisecond)
						}
						cancel()
					}
				})
			}
			for i := range 100 {
				time.Sleep(100 * time.Millisecond)
				o.con.Set(i + 2)
				if n := s.Config.Stats().Observations.Observers; n > 2 { // one may be leaving
					t.Errorf("%d observers", n)
				}
			}
			loops.Wait()
			time.Sleep(time.Second)
			checkObservers(t, s, 0)
			if n := s.Client().Stats().Messages.OpenExchanges; n != 0 {
				t.Errorf("%d exchanges open", n)
			}
		})
	}
}
