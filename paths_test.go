package coap_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/coaptest"
	"github.com/motewire/coap/message"
	"github.com/motewire/coap/transport"
	"github.com/motewire/coap/transport/simnet"
)

// refusals counts the datagrams that were too long for a link, and knows the length of the
// longest that was not.
type refusals struct {
	mu         sync.Mutex
	n, longest int
}

func watchLink(n *simnet.Network) *refusals {
	r := &refusals{}
	n.Tap(func(rec simnet.Record) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if rec.Fate == simnet.TooLong {
			r.n++
		} else {
			r.longest = max(r.longest, len(rec.Data))
		}
	})
	return r
}

// echoing answers with the request's body.
func echoing(w coap.ResponseWriter, r *coap.Request) {
	w.SetBody(coap.Bytes(r.Payload(), message.OctetStream))
}

// Blocks are made for the path's MTU from the first one on where the system knows it,
// whatever options go with them (RFC 7252 §4.6).
func TestPathNarrow(t *testing.T) {
	for _, mtu := range []int{90, 300, 600, 1000, 1100} {
		withServer(t, coap.HandlerFunc(echoing), nil, func(t *testing.T, s *coaptest.Server) {
			s.Network.SetDefault(simnet.Link{MTU: mtu, Delay: 10 * time.Millisecond})
			link, want := watchLink(s.Network), randomBody(1, 5000)
			resp, err := newClient(t, s, nil).Post(t.Context(), s.URL, coap.Raw(want), coap.Option(message.URIQuery, []byte("a=long+option")))
			if err != nil {
				t.Fatalf("MTU %d: %v", mtu, err)
			}
			expectBytes(t, resp, want)
			if link.n > 0 || link.longest > mtu || link.longest < mtu/3 {
				t.Errorf("MTU %d: %d refused, the longest has %d bytes", mtu, link.n, link.longest)
			}
		})
	}
}

// mute is a Conn that doesn't know paths.
type mute struct{ transport.Conn }

func muted(listen func(context.Context, string) (transport.Conn, error)) func(context.Context, string) (transport.Conn, error) {
	return func(ctx context.Context, network string) (transport.Conn, error) {
		conn, err := listen(ctx, network)
		return mute{conn}, err
	}
}

// Where it does not know, and where the path becomes narrower under way, a block that is
// refused is cut anew, and so are all after it: those of the client, and those of the server
// once the client has asked again. A request of one message that is refused goes in blocks.
func TestPathBecomesNarrow(t *testing.T) {
	for name, silent := range map[string]bool{"known": false, "unknown": true} {
		t.Run(name, func(t *testing.T) {
			withServer(t, coap.HandlerFunc(echoing), nil, func(t *testing.T, s *coaptest.Server) {
				s.Network.SetDefault(simnet.Link{Delay: 10 * time.Millisecond})
				c := newClient(t, s, func(c *coap.Client) {
					if silent {
						c.Listen = muted(c.Listen)
					}
				})
				link, want := watchLink(s.Network), randomBody(1, 5000)
				time.AfterFunc(30*time.Millisecond, func() { s.Network.SetDefault(simnet.Link{MTU: 300, Delay: 10 * time.Millisecond}) })
				resp, err := c.Post(t.Context(), s.URL, coap.Raw(want))
				if err != nil {
					t.Fatal(err)
				}
				expectBytes(t, resp, want)
				first := link.n
				if first == 0 || first > 3 {
					t.Errorf("%d datagrams were refused", first)
				}
				if resp, err = c.Post(t.Context(), s.URL, coap.Raw(want[:1000])); err != nil {
					t.Fatal(err)
				}
				expectBytes(t, resp, want[:1000])
				if link.n != first {
					t.Errorf("then %d more", link.n-first)
				}
			})
		})
	}
}

// A request that fitted into one message is sent in blocks when the path refuses it.
func TestPathRefusesOneMessage(t *testing.T) {
	withServer(t, coap.HandlerFunc(echoing), nil, func(t *testing.T, s *coaptest.Server) {
		s.Network.SetDefault(simnet.Link{MTU: 300, Delay: 10 * time.Millisecond})
		link, want := watchLink(s.Network), randomBody(1, 900)
		resp, err := newClient(t, s, nil).Post(t.Context(), s.URL, coap.Raw(want))
		if err != nil {
			t.Fatal(err)
		}
		if expectBytes(t, resp, want); link.n != 1 {
			t.Errorf("%d refused", link.n)
		}
	})
}

// The server's later blocks become smaller where the path does: a block that was refused is
// made anew when the client asks again.
func TestPathNarrowsDownload(t *testing.T) {
	want := randomBody(1, 5000)
	h := coap.HandlerFunc(func(w coap.ResponseWriter, _ *coap.Request) { w.Write(want) })
	withServer(t, h, nil, func(t *testing.T, s *coaptest.Server) {
		s.Network.SetDefault(simnet.Link{Delay: 10 * time.Millisecond})
		link := watchLink(s.Network)
		time.AfterFunc(30*time.Millisecond, func() { s.Network.SetDefault(simnet.Link{MTU: 300, Delay: 10 * time.Millisecond}) })
		resp := get(t, s.Client(), s.URL)
		if expectBytes(t, resp, want); link.n != 1 {
			t.Errorf("%d refused", link.n)
		}
	})
}

// A request that may have arrived is not sent again when its retransmission is refused: the
// handler runs once.
func TestPathRefusesRetransmission(t *testing.T) {
	runs := 0
	h := coap.HandlerFunc(func(w coap.ResponseWriter, _ *coap.Request) { runs++ })
	withServer(t, h, nil, func(t *testing.T, s *coaptest.Server) {
		s.Network.SetDefault(simnet.Link{Loss: 1})
		var conn *simnet.Conn
		c := newClient(t, s, func(c *coap.Client) {
			listen := c.Listen
			c.Listen = func(ctx context.Context, network string) (transport.Conn, error) {
				inner, err := listen(ctx, network)
				conn = inner.(*simnet.Conn)
				s.Network.SetLink(conn.LocalAddr(), s.Addr, simnet.Link{})
				return inner, err
			}
		})
		time.AfterFunc(time.Second, func() { s.Network.SetLink(conn.LocalAddr(), s.Addr, simnet.Link{MTU: 300}) })
		_, err := c.Post(t.Context(), s.URL, coap.Raw(make([]byte, 900)))
		if expectError(t, err, coap.ErrUnreachable, "(2 sent)"); runs != 1 {
			t.Errorf("%d runs", runs)
		}
	})
}
