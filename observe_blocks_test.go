package coap_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/blockwise"
	"github.com/motewire/coap/coaptest"
	"github.com/motewire/coap/message"
	"github.com/motewire/coap/transport/simnet"
)

// A large is an observable resource whose states take several blocks. A FETCH asks for a
// variant of them.
type large struct {
	subject coap.Subject
	mu      sync.Mutex
	number  uint64
}

// largeState is a state as bytes: its number, and some kilobytes that belong to it.
func largeState(number uint64, variant string) []byte {
	size := 2500 + int(number%5)*500
	return append(fmt.Appendf(nil, "%d %s ", number, variant), randomBody(number, size)...)
}

func (l *large) set(number uint64) {
	l.mu.Lock()
	l.number = number
	l.mu.Unlock()
	l.subject.Notify()
}

func (l *large) ServeCoAP(w coap.ResponseWriter, r *coap.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w.Write(largeState(l.number, string(r.Payload())))
}

func (l *large) mux() *coap.Mux {
	mux := coap.NewMux()
	policy := coap.Notifications(coap.NotifyPolicy{Every: 3})
	mux.Handle("GET /large", l, coap.Observable(&l.subject), policy)
	mux.Handle("FETCH /large", l, coap.Observable(&l.subject), policy)
	return mux
}

// A largeView is what a client makes of a large resource.
type largeView struct {
	client  *coap.Client
	request *coap.Request
	variant string // "" for a GET
	last    uint64
	states  int
	lost    int   // states that could not be fetched
	err     error // what can't happen
	over    chan struct{}
}

// follow observes until ctx ends. A registration that gets lost is made again.
func (v *largeView) follow(ctx context.Context) {
	defer close(v.over)
	for ctx.Err() == nil {
		for resp, err := range v.client.ObserveRequest(ctx, v.request) {
			switch {
			case errors.Is(err, coap.ErrBlockIncomplete):
				v.lost++
			case err != nil && !errors.Is(err, coap.ErrStale) && !errors.Is(err, coap.ErrTimeout) && ctx.Err() == nil:
				v.err = err
			case err == nil:
				v.take(resp)
			}
		}
	}
}

// take checks that a state is whole, of the right variant and no older than the one before,
// and that its ETag is the server's for these bytes.
func (v *largeView) take(resp *coap.Response) {
	body, err := resp.Bytes()
	var number uint64
	fmt.Sscan(string(body), &number)
	tag, _ := resp.ETag()
	if err != nil || number < v.last || !bytes.Equal(body, largeState(number, v.variant)) || tag != blockwise.ETag(body) {
		v.err = fmt.Errorf("%d bytes of state %d, ETag %v, after %d: %w", len(body), number, tag, v.last, err)
	}
	v.last = number
	v.states++
}

// RFC 7959 §2.6, RFC 7641 §1.3: observers of a representation in blocks converge on the
// last state over every kind of bad network. Each state they see is whole, with its own
// ETag, and none is older than the one before.
func TestObserveBlocksMatrix(t *testing.T) {
	seeds := uint64(10)
	if testing.Short() {
		seeds = 2
	}
	for _, loss := range []float64{0, 0.1, 0.2} {
		for _, mixed := range []float64{0, 0.2} {
			link := simnet.Link{
				Loss: loss, Duplicate: mixed, Reorder: mixed,
				Delay: 20 * time.Millisecond, Jitter: 50 * time.Millisecond, HoldBack: time.Second,
			}
			t.Run(fmt.Sprintf("loss %v mixed %v", loss, mixed), func(t *testing.T) {
				for seed := range seeds {
					coaptest.Run(t, func(t *testing.T) { observeLargeOver(t, seed, link) })
					if t.Failed() {
						t.Fatalf("seed %d", seed)
					}
				}
			})
		}
	}
}

// observeLargeOver has two clients observe a large resource by GET and two by FETCH.
func observeLargeOver(t *testing.T, seed uint64, link simnet.Link) {
	const changes = 60
	l := &large{}
	s := newSite(t, seed, func(server *coap.Server) { server.Handler = l.mux() })
	s.network.SetDefault(link)
	ctx, cancel := context.WithCancel(t.Context())
	views := make([]*largeView, 4)
	for i, variant := range []string{"", "", "one", "two"} {
		r := coap.NewRequest(message.GET, s.url("/large"), coap.Body{})
		if variant != "" {
			r = coap.NewRequest(message.FETCH, s.url("/large"), coap.Text(variant))
		}
		views[i] = &largeView{client: s.client(), request: r, variant: variant, over: make(chan struct{})}
		go views[i].follow(ctx)
	}
	for i := range changes {
		time.Sleep(time.Duration(1+i%4*4) * 300 * time.Millisecond) // shorter and longer than a fetch
		l.set(uint64(i + 1))
	}
	s.network.SetDefault(simnet.Link{})
	time.Sleep(10 * time.Minute)
	synctest.Wait()
	for i, v := range views {
		if v.last != changes || v.err != nil || v.states < changes/6 {
			t.Errorf("client %d is left with %d after %d states, %d lost, %v", i, v.last, v.states, v.lost, v.err)
		}
	}
	cancel()
	for _, v := range views {
		<-v.over
		v.client.Close()
	}
	time.Sleep(10 * time.Minute)
	if n := s.server.Stats(); n.Observations.Observers != 0 || n.Responses.Snapshots != 0 || n.Messages.OpenExchanges != 0 {
		t.Errorf("left: %+v", n)
	}
	s.close()
}

// RFC 7959 §2.6: a newer notification ends the fetch of an older state: no further block
// of that is asked for, and it is not yielded.
func TestObserveBlocksAbandoned(t *testing.T) {
	l := &large{}
	withServer(t, l.mux(), func(s *coaptest.Server) { s.Config.NotifyInterval = -1; s.Config.Limits.BlockBytes = 64 }, func(t *testing.T, s *coaptest.Server) {
		s.Network.SetDefault(simnet.Link{Delay: 50 * time.Millisecond})
		ctx, cancel := context.WithCancel(t.Context())
		v := &largeView{client: s.Client(), request: coap.NewRequest(message.GET, s.URL+"/large", coap.Body{}), over: make(chan struct{})}
		go v.follow(ctx)
		time.Sleep(10 * time.Second)
		l.set(5)
		time.Sleep(time.Second) // of the four that a fetch takes
		var asked []message.Block
		s.Network.Tap(func(r simnet.Record) {
			var m message.View
			if r.To == s.Addr && m.Parse(r.Data) == nil && m.Code().IsRequest() {
				b, _ := m.Block2()
				asked = append(asked, b)
			}
		})
		l.set(10)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		blocks := slices.Clone(asked)
		cancel()
		<-v.over
		if v.err != nil || v.last != 10 || v.states != 2 || s.Client().Stats().NotificationsConflated != 1 {
			t.Errorf("%+v, %d conflated", v, s.Client().Stats().NotificationsConflated)
		}
		// One request of the old fetch may be under way with the notification, and its answer,
		// of the new state, be there first: then one for block 0 was sent, too.
		for range 2 {
			if blocks[0].Num != 1 {
				blocks = blocks[1:]
			}
		}
		for i, b := range blocks {
			if int(b.Num) != i+1 {
				t.Fatalf("%v behind the notification", blocks)
			}
		}
	})
}

// RFC 8132 §2.4: a FETCH whose own body came in blocks observes, too, and the blocks of its
// notifications are fetched without that body (RFC 7959 §2.7).
func TestObserveFetchInBlocks(t *testing.T) {
	l := &large{}
	withServer(t, l.mux(), func(s *coaptest.Server) { s.Config.NotifyInterval = -1 }, func(t *testing.T, s *coaptest.Server) {
		p, variant := newBlockPeer(t, s), text(100)
		first := p.do(message.FETCH, "large", variant[:64], block1(0, true, 64), observeRegister)
		if expectAck(t, first, message.Continue, 0, true, 64); first.Has(message.Observe) {
			t.Errorf("%v", first)
		}
		p.ask(message.FETCH, "large", variant[64:], block1(1, false, 64), observeRegister)
		token := tokenOf(byte(p.id))
		for number := range uint64(2) {
			v := p.receive(time.Second)
			if p.observed(v); v.Token() != token {
				t.Errorf("%v", v)
			}
			if v.Type() == message.Confirmable {
				p.ack(v)
			}
			want := largeState(number, variant)
			expectPiece(t, v, message.Content, 0, true, 1024, string(want[:1024]))
			expectPiece(t, p.do(message.FETCH, "large", "", block2(1, 1024)), message.Content, 1, true, 1024, string(want[1024:2048]))
			expectPiece(t, p.do(message.FETCH, "large", "", block2(2, 1024)), message.Content, 2, len(want) > 3072, 1024, string(want[2048:min(3072, len(want))]))
			l.set(number + 1)
		}
		if n := s.Config.Stats().Observations.Observers; n != 1 {
			t.Errorf("%d observers", n)
		}
	})
	withServer(t, l.mux(), nil, func(t *testing.T, s *coaptest.Server) {
		var last error
		for _, last = range s.Client().ObserveRequest(t.Context(), coap.NewRequest(message.FETCH, s.URL+"/large", coap.Raw(make([]byte, 5000)))) {
		}
		expectError(t, last, coap.ErrTooLarge, "observe")
	})
}
