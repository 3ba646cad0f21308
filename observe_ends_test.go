package coap_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/coaptest"
	"github.com/motewire/coap/message"
	"github.com/motewire/coap/transport/simnet"
)

// withRawServer runs f beside a client that has begun to observe a raw server, whose request
// is v.
func withRawServer(t *testing.T, f func(t *testing.T, p *rawPeer, c *coap.Client, v *message.View, updates <-chan update)) {
	t.Helper()
	coaptest.Run(t, func(t *testing.T) {
		n := simnet.New(1)
		p, url := rawServer(t, n)
		c := &coap.Client{Listen: coaptest.Listen(n)}
		ctx, cancel := context.WithCancel(t.Context())
		updates := follow(ctx, c, url)
		f(t, p, c, p.receive(0), updates)
		cancel()
		for range updates {
		}
		c.Close()
		p.conn.Close()
	})
}

// over fails unless the next update is an error, and the last.
func over(t *testing.T, updates <-chan update, want error) {
	t.Helper()
	if u := next(t, updates, 0); !errors.Is(u.err, want) || u.value != "" {
		t.Errorf("got %q, %v; want %v", u.value, u.err, want)
	}
	for u := range updates {
		t.Errorf("then %q, %v", u.value, u.err)
	}
}

// A registration that is rejected, or can't arrive, ends the observation, and there is
// nothing to be ended at the server.
func TestObserveRegistrationRejected(t *testing.T) {
	withRawServer(t, func(t *testing.T, p *rawPeer, c *coap.Client, v *message.View, updates <-chan update) {
		p.reply(datagram(t, message.Reset, message.Empty, v.ID(), message.Token{}, ""))
		over(t, updates, coap.ErrReset)
		over(t, follow(t.Context(), c, "coap://10.99.99.99/value"), coap.ErrUnreachable)
		p.silence(5 * time.Minute)
	})
}

// unknown is a critical option that the client does not recognize.
var unknown = message.Option{Number: message.OSCORE, Value: []byte{1}}

// RFC 7252 §5.4.1: a response with an unrecognized critical option is rejected. The first one
// fails the registration, which the server has taken: it is cancelled.
func TestObserveCriticalOptionInTheFirst(t *testing.T) {
	withRawServer(t, func(t *testing.T, p *rawPeer, c *coap.Client, v *message.View, updates <-chan update) {
		number := message.Option{Number: message.Observe, Value: []byte{1}}
		p.reply(datagram(t, message.Acknowledgement, message.Content, v.ID(), v.Token(), "one", number, unknown))
		over(t, updates, coap.ErrCriticalOption)
		end := p.receive(0)
		if p.observed(end) != 1 || !sameBut(v, end) {
			t.Errorf("%v, want %v with Observe 1", end, v)
		}
		p.reply(datagram(t, message.Acknowledgement, message.Content, end.ID(), v.Token(), "one"))
		synctest.Wait()
		p.notify(message.Confirmable, 5, v.Token(), 2, "late")
		if r := p.receive(0); r.Type() != message.Reset || r.ID() != 5 {
			t.Errorf("%v, want a Reset", r)
		}
	})
}

// The same for a notification: the server ends the observation on the Reset, which is said,
// and the client registers again when the state it has is no longer fresh.
func TestObserveCriticalOptionInANotification(t *testing.T) {
	for _, typ := range []message.Type{message.Confirmable, message.NonConfirmable} {
		withRawServer(t, func(t *testing.T, p *rawPeer, c *coap.Client, v *message.View, updates <-chan update) {
			p.notify(message.Acknowledgement, v.ID(), v.Token(), 1, "one")
			expectState(t, updates, 0, "one")
			number := message.Option{Number: message.Observe, Value: []byte{2}}
			p.reply(datagram(t, typ, message.Content, 5, v.Token(), "two", number, unknown))
			if u := next(t, updates, 0); !errors.Is(u.err, coap.ErrStale) || !errors.Is(u.err, coap.ErrCriticalOption) {
				t.Errorf("got %q, %v", u.value, u.err)
			}
			if typ == message.NonConfirmable { // is rejected by the next one's Reset
				p.notify(message.NonConfirmable, 5+1, v.Token(), 3, "three")
			}
			if r := p.receive(0); r.Type() != message.Reset {
				t.Errorf("%v, want a Reset", r)
			}
			again := p.receive(75 * time.Second)
			if !sameBut(v, again) || p.observed(again) != 0 {
				t.Errorf("%v, want %v again", again, v)
			}
			p.notify(message.Acknowledgement, again.ID(), v.Token(), 4, "four")
			expectState(t, updates, 0, "four")
			p.notify(message.NonConfirmable, 7, v.Token(), 5, "five")
			expectState(t, updates, 0, "five")
		})
	}
}

// RFC 7641 §2, RFC 7252 §5.4.3: an Observe option of more than three bytes is one that is not
// recognized. What has no other is the last state.
func TestObserveNumberTooLong(t *testing.T) {
	withRawServer(t, func(t *testing.T, p *rawPeer, c *coap.Client, v *message.View, updates <-chan update) {
		p.notify(message.Acknowledgement, v.ID(), v.Token(), 1, "one")
		expectState(t, updates, 0, "one")
		long := message.Option{Number: message.Observe, Value: []byte{0, 0, 0, 2}}
		p.reply(datagram(t, message.NonConfirmable, message.Content, 5, v.Token(), "two", long))
		expectState(t, updates, 0, "two")
		over(t, updates, coap.ErrNotObserved)
	})
}

// The request of an observation is one message, and so are those that fetch its blocks and end
// it. What does not fit leaves nothing at the server.
func TestObserveRequestIsOneMessage(t *testing.T) {
	l := &large{}
	withServer(t, l.mux(), func(s *coaptest.Server) { s.Config.NotifyInterval = -1 }, func(t *testing.T, s *coaptest.Server) {
		observed := 0
		for size := 1100; size <= 1152; size++ {
			variant := strings.Repeat("x", size)
			r := coap.NewRequest(message.FETCH, s.URL+"/large", coap.Raw([]byte(variant)))
			for resp, err := range s.Client().ObserveRequest(t.Context(), r) {
				if err != nil {
					expectError(t, err, coap.ErrTooLarge, "one message")
					break
				}
				body, err := resp.Bytes()
				if observed++; err != nil || !bytes.Equal(body, largeState(0, variant)) {
					t.Errorf("%d bytes: a state of %d, %v", size, len(body), err)
				}
				break
			}
			synctest.Wait()
			checkObservers(t, s, 0)
		}
		if observed < 10 || observed > 45 {
			t.Errorf("%d of the requests did fit", observed)
		}
		for name, r := range map[string]*coap.Request{
			"Stream":      coap.NewRequest(message.FETCH, s.URL+"/large", coap.Stream(bytes.NewReader(nil), message.TextPlain)),
			"No-Response": coap.NewRequest(message.GET, s.URL+"/large", coap.Body{}, coap.NoResponse(coap.NoSuccess|coap.NoClientError|coap.NoServerError)),
		} {
			for resp, err := range s.Client().ObserveRequest(t.Context(), r) {
				if resp != nil || !errors.Is(err, coap.ErrOption) {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
	})
}
