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
	"github.com/motewire/coap/transport/simnet"
)

// RFC 7641 §1.3: eventual consistency. Over every kind of bad network, with a server that
// starts again meanwhile or not: when changes stop and the network heals, every observer
// holds the last state; nobody receives an older state after a newer one; and nothing is
// left when the observations have ended.
func TestObserveMatrix(t *testing.T) {
	seeds := uint64(30)
	if testing.Short() {
		seeds = 5
	}
	for _, loss := range []float64{0, 0.1, 0.3} {
		for _, duplicate := range []float64{0, 0.2} {
			for _, reorder := range []float64{0, 0.3} {
				for _, restart := range []bool{false, true} {
					link := simnet.Link{
						Loss: loss, Duplicate: duplicate, Reorder: reorder,
						Delay: 20 * time.Millisecond, Jitter: 100 * time.Millisecond, HoldBack: time.Second,
					}
					t.Run(fmt.Sprintf("loss %v duplicate %v reorder %v restart %v", loss, duplicate, reorder, restart), func(t *testing.T) {
						for seed := range seeds {
							coaptest.Run(t, func(t *testing.T) { observeOver(t, seed, link, restart) })
							if t.Failed() {
								t.Fatalf("seed %d", seed)
							}
						}
					})
				}
			}
		}
	}
}

// observeOver has three clients observe a value that changes for a minute over a link.
func observeOver(t *testing.T, seed uint64, link simnet.Link, restart bool) {
	const changes = 100
	value := coap.NewState(0)
	mux := coap.NewMux()
	mux.Handle("GET /value", value, coap.Notifications(coap.NotifyPolicy{Every: 3}))
	s := newSite(t, seed, func(server *coap.Server) { server.Handler = mux })
	s.network.SetDefault(link)
	ctx, cancel := context.WithCancel(t.Context())
	views := make([]*view, 3)
	for i := range views {
		views[i] = &view{client: s.client(), over: make(chan struct{})}
		go views[i].follow(ctx, s.url("/value"))
	}
	for i := range changes {
		time.Sleep(600 * time.Millisecond)
		value.Set(i + 1)
		if restart && i == changes/2 {
			s.close()
			s.start()
		}
	}
	s.network.SetDefault(simnet.Link{})
	time.Sleep(10 * time.Minute) // the longest pause between two registrations is 5
	synctest.Wait()
	for i, v := range views {
		if v.last != changes || v.err != nil {
			t.Errorf("client %d is left with %d, %v", i, v.last, v.err)
		}
	}
	cancel()
	for _, v := range views {
		<-v.over
	}
	synctest.Wait()
	stats := s.server.Stats()
	if o := stats.Observations; o.Observers != 0 || o.Peers != 0 {
		t.Errorf("%+v", o)
	}
	// What is left retransmits to the server until it is answered.
	time.Sleep(5 * time.Minute)
	if n := s.server.Stats().Messages; n.OpenExchanges != 0 || n.PendingRequests != 0 {
		t.Errorf("server: %+v", n)
	}
	for _, v := range views {
		if n := v.client.Stats().Messages; n.OpenExchanges != 0 || n.PendingRequests != 0 {
			t.Errorf("client: %+v", n)
		}
		v.client.Close()
	}
	s.close()
}

// A view is what a client makes of a value that only grows.
type view struct {
	client *coap.Client
	last   int
	err    error // what can't happen
	over   chan struct{}
}

// follow observes until ctx ends. A registration that gets lost is made again.
func (v *view) follow(ctx context.Context, url string) {
	defer close(v.over)
	for ctx.Err() == nil {
		for resp, err := range v.client.Observe(ctx, url) {
			if err != nil {
				if !errors.Is(err, coap.ErrStale) && !errors.Is(err, coap.ErrTimeout) && ctx.Err() == nil {
					v.err = err
				}
				continue
			}
			var value int
			if _, err := fmt.Sscan(string(resp.Payload()), &value); err != nil || value < v.last {
				v.err = fmt.Errorf("%q after %d", resp.Payload(), v.last)
			}
			v.last = value
		}
	}
}
