package coap_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/coaptest"
	"github.com/motewire/coap/message"
	"github.com/motewire/coap/transport/simnet"
)

// observed is a server with an observable number.
func observed(value int, setup func(*coaptest.Server)) (*coap.State[int], *coaptest.Server) {
	state := coap.NewState(value)
	mux := coap.NewMux()
	mux.Handle("GET /value", state, coap.Notifications(coap.NotifyPolicy{Every: 3}))
	s := coaptest.NewUnstartedServer(mux)
	s.Config.NotifyInterval = -1
	if setup != nil {
		setup(s)
	}
	s.Start()
	return state, s
}

// RFC 7641 §1.2: the client gets the present state, then a notification for each change.
func TestObserveFollowsChanges(t *testing.T) {
	coaptest.Run(t, func(t *testing.T) {
		state, s := observed(1, nil)
		defer s.Close()
		want := 1
		for resp, err := range s.Client().Observe(t.Context(), s.URL+"/value") {
			if err != nil {
				t.Fatal(err)
			}
			if got := string(resp.Payload()); got != fmt.Sprint(want) {
				t.Fatalf("got %s, want %d", got, want)
			}
			if want++; want > 10 {
				break
			}
			state.Set(want)
		}
		synctest.Wait()
		if n := s.Config.Stats().Observations; n.Observers != 0 || n.Deregistered != 1 {
			t.Errorf("after the loop: %+v", n)
		}
	})
}

// RFC 7641 §1.3: eventual consistency. Whatever is lost, when changes stop every observer
// gets the last state, and nobody an older one after a newer.
func TestObserveConvergesUnderLoss(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			coaptest.Run(t, func(t *testing.T) {
				state, s := observed(0, nil)
				defer s.Close()
				s.Network.SetDefault(simnet.Link{Loss: 0.2, Duplicate: 0.1, Reorder: 0.2, Delay: 20 * time.Millisecond, Jitter: 200 * time.Millisecond})
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				const last = 50
				go func() {
					for i := range last {
						time.Sleep(300 * time.Millisecond)
						state.Set(i + 1)
					}
				}()
				newest := -1
				for resp, err := range s.Client().Observe(ctx, s.URL+"/value") {
					if err != nil {
						t.Fatalf("seed %d: %v at %d", seed, err, newest)
					}
					var got int
					fmt.Sscan(string(resp.Payload()), &got)
					if got < newest {
						t.Fatalf("seed %d: %d after %d", seed, got, newest)
					}
					if newest = got; newest == last {
						break
					}
				}
				if newest != last {
					t.Errorf("seed %d: ended at %d", seed, newest)
				}
			})
		})
	}
}

// RFC 7641 §3.1: a server that does not accept answers without Observe option.
func TestObserveOfWhatIsNotObservable(t *testing.T) {
	coaptest.Run(t, func(t *testing.T) {
		mux := coap.NewMux()
		mux.HandleFunc("GET /hello", func(w coap.ResponseWriter, _ *coap.Request) { w.WriteString("hello") })
		s := coaptest.NewServer(mux)
		defer s.Close()
		var states int
		var last error
		for resp, err := range s.Client().Observe(t.Context(), s.URL+"/hello") {
			if last = err; err == nil && string(resp.Payload()) == "hello" {
				states++
			}
		}
		if states != 1 || !errors.Is(last, coap.ErrNotObserved) {
			t.Errorf("%d states, then %v", states, last)
		}
	})
}

// RFC 7641 §4.2: an error notification ends the observation on both sides.
func TestObserveEndsByError(t *testing.T) {
	coaptest.Run(t, func(t *testing.T) {
		var subject coap.Subject
		mux := coap.NewMux()
		mux.HandleFunc("GET /thing", func(w coap.ResponseWriter, _ *coap.Request) { w.WriteString("here") }, coap.Observable(&subject))
		s := coaptest.NewServer(mux)
		defer s.Close()
		var last error
		for resp, err := range s.Client().Observe(t.Context(), s.URL+"/thing") {
			if last = err; err == nil {
				subject.End(message.NotFound)
			} else if resp == nil || resp.Code != message.NotFound {
				t.Errorf("ended with %v", resp)
			}
		}
		var code *coap.ResponseError
		if !errors.Is(last, coap.ErrObservationEnded) || !errors.As(last, &code) || code.Code != message.NotFound {
			t.Errorf("ended by %v", last)
		}
		synctest.Wait()
		if n := s.Config.Stats().Observations.Observers; n != 0 {
			t.Errorf("%d observers left", n)
		}
	})
}
