package coap_test

import (
	"bytes"
	"errors"
	"maps"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/coaptest"
	"github.com/motewire/coap/message"
	"github.com/motewire/coap/transport/simnet"
)

func tokensOf(n int) func(*coap.Client) { return func(c *coap.Client) { c.TokenBytes = n } }

// tokenLengths collects how long the tokens of requests and of responses are on a network, and
// fails where one comes twice, or a message is too long.
func tokenLengths(t *testing.T, s *coaptest.Server) func() map[int]bool {
	var mu sync.Mutex
	lengths, ids := map[int]bool{}, map[string]message.ID{}
	s.Network.Tap(func(r simnet.Record) {
		mu.Lock()
		defer mu.Unlock()
		var v message.View
		if err := v.ParseExtended(r.Data); err != nil || len(r.Data) > 1152 {
			t.Errorf("%d bytes, %v", len(r.Data), err)
		} else if token := string(v.TokenBytes()); v.Code() != message.Empty {
			lengths[len(token)] = true
			if id, used := ids[token]; v.Code().IsRequest() && used && id != v.ID() {
				t.Errorf("token %.10x of %v and %v", token, id, v.ID())
			} else if v.Code().IsRequest() {
				ids[token] = v.ID()
			}
		}
	})
	return func() map[int]bool {
		mu.Lock()
		defer mu.Unlock()
		return maps.Clone(lengths)
	}
}

// RFC 8974 §2.1: a client that was told to sends extended tokens with whatever it asks, and
// knows the responses by them: piggybacked and separate ones, blocks, and after losses.
func TestClientSendsExtendedTokens(t *testing.T) {
	for _, n := range []int{8, 9, 12, 13, 14, 100, 268, 269, 300} {
		mux := rules()
		mux.Handle("GET /slow", slow(10*time.Second, "late"))
		mux.Handle("GET /large", say(text(5000)))
		mux.Handle("PUT /put", &stored{})
		mux.HandleFunc("POST /put", func(w coap.ResponseWriter, r *coap.Request) { w.Write(r.Payload()) })
		withServer(t, mux, admitting(300), func(t *testing.T, s *coaptest.Server) {
			lengths, c := tokenLengths(t, s), newClient(t, s, tokensOf(n))
			for _, loss := range []float64{0, 0.2} {
				s.Network.SetDefault(simnet.Link{Loss: loss, Delay: 50 * time.Millisecond})
				checkResponse(t, get(t, c, s.URL+"/hello"), message.Content, "hello")
				checkResponse(t, get(t, c, s.URL+"/slow"), message.Content, "late")
				if b, err := get(t, c, s.URL+"/large").Bytes(); err != nil || string(b) != text(5000) {
					t.Errorf("%d bytes, %v", len(b), err)
				}
				resp, err := c.Post(t.Context(), s.URL+"/put", coap.Text(text(3000)))
				if err != nil {
					t.Fatal(err)
				}
				if b, err := resp.Bytes(); err != nil || string(b) != text(3000) {
					t.Errorf("%d bytes, %v", len(b), err)
				}
			}
			s.Network.SetDefault(simnet.Link{})
			checkResponse(t, get(t, c, s.URL+"/hello", coap.NonConfirmable), message.Content, "hello")
			if _, err := c.Ping(t.Context(), s.URL); err != nil {
				t.Error(err)
			}
			if admits, err := c.ExtendedTokens(t.Context(), s.URL); err != nil || !admits {
				t.Errorf("%t, %v", admits, err)
			}
			if got := lengths(); len(got) != 1 || !got[n] {
				t.Errorf("tokens of %v bytes, want %d", got, n)
			}
			short, _ := message.MakeToken([]byte{1, 2})
			checkResponse(t, get(t, c, s.URL+"/hello", coap.Token(short)), message.Content, "hello")
			checkResponse(t, get(t, c, s.URL+"/hello", coap.Token(message.Token{})), message.Content, "hello")
		})
	}
}

// RFC 8974 §2.2.2: who does not know extended tokens rejects the request; who admits no token of
// this length answers 4.00, and who can't at the time 5.03. The question is "a GET request in a
// Confirmable message that includes only an If-None-Match option".
func TestExtendedTokensAreFoundOut(t *testing.T) {
	for _, limit := range []int{8, 9, 20} {
		withServer(t, rules(), admitting(limit), func(t *testing.T, s *coaptest.Server) {
			c := newClient(t, s, tokensOf(20))
			admits, err := c.ExtendedTokens(t.Context(), s.URL+"/hello")
			if err != nil || admits != (limit == 20) {
				t.Errorf("limit %d: %t, %v", limit, admits, err)
			}
			resp, err := c.Get(t.Context(), s.URL+"/hello")
			switch {
			case limit == 8 && !errors.Is(err, coap.ErrReset), limit > 8 && err != nil:
				t.Errorf("limit %d: %v", limit, err)
			case limit == 9 && resp.Code != message.BadRequest, limit == 20 && resp.Code != message.Content:
				t.Errorf("limit %d: %v", limit, resp.Code)
			}
		})
	}
	for _, code := range []message.Code{message.ServiceUnavailable, message.PreconditionFailed} {
		withLongTokens(t, func(t *testing.T, c *coap.Client, odd *rawPeer, url string) {
			odd.answer(func(v *message.View) []byte {
				if v.Type() != message.Confirmable || v.Code() != message.GET || len(v.Datagram()) != 4+1+20+1 || !v.Has(message.IfNoneMatch) {
					t.Errorf("%v", v)
				}
				return extended(t, message.Acknowledgement, code, v.ID(), v.TokenBytes(), "")
			})
			var busy *coap.ResponseError
			admits, err := c.ExtendedTokens(t.Context(), url+"/path?query")
			if code == message.ServiceUnavailable && (admits || !errors.As(err, &busy) || busy.Code != code) ||
				code != message.ServiceUnavailable && (!admits || err != nil) {
				t.Errorf("%v: %t, %v", code, admits, err)
			}
		})
	}
}

// withLongTokens runs f with a client of tokens of 20 bytes and a peer that is odd.
func withLongTokens(t *testing.T, f func(*testing.T, *coap.Client, *rawPeer, string)) {
	t.Helper()
	coaptest.Run(t, func(t *testing.T) {
		n := simnet.New(1)
		at := netip.MustParseAddrPort("10.9.9.9:5683")
		c := &coap.Client{Listen: coaptest.Listen(n), TokenBytes: 20}
		defer c.Close()
		f(t, c, rawPeerOn(t, n, at, at), "coap://10.9.9.9")
	})
}

// A response has the token of its request, to the byte: what is like it is no response, and is
// rejected where it is Confirmable (RFC 7252 §4.2, §5.3.2).
func TestExtendedTokenMatchesWhole(t *testing.T) {
	withLongTokens(t, func(t *testing.T, c *coap.Client, odd *rawPeer, url string) {
		type result struct {
			resp *coap.Response
			err  error
		}
		done := make(chan result, 1)
		go func() {
			resp, err := c.Get(t.Context(), url)
			done <- result{resp, err}
		}()
		var request message.View
		if err := request.ParseExtended(<-odd.in); err != nil {
			t.Fatal(err)
		}
		token := request.TokenBytes()
		var wrong [][]byte
		for i := range token {
			w := bytes.Clone(token)
			w[i] ^= 0x10
			wrong = append(wrong, w)
		}
		for n := range token {
			wrong = append(wrong, token[:n])
		}
		wrong = append(wrong, append(bytes.Clone(token), 0), token[1:9], bytes.Repeat([]byte{9}, 20))
		for i, w := range wrong {
			odd.reply(extended(t, message.Confirmable, message.Content, message.ID(1000+i), w, "forged"))
			if v := odd.receive(0); v.Type() != message.Reset || v.ID() != message.ID(1000+i) {
				t.Errorf("token %x: %v", w, v)
			}
		}
		odd.reply(extended(t, message.Confirmable, message.Content, 1, token, "true"))
		if v := odd.receive(0); v.Type() != message.Acknowledgement || v.ID() != 1 {
			t.Errorf("%v", v)
		}
		if got := <-done; got.err != nil || string(got.resp.Payload()) != "true" {
			t.Errorf("%+v", got)
		}
	})
}

// What the network says of a request with an extended token ends its call, be it that little of
// the message is quoted.
func TestExtendedTokenUnreachable(t *testing.T) {
	coaptest.Run(t, func(t *testing.T) {
		n := simnet.New(1)
		c := &coap.Client{Listen: coaptest.Listen(n), TokenBytes: 20}
		defer c.Close()
		began := time.Now()
		if _, err := c.Get(t.Context(), "coap://10.9.9.9"); !errors.Is(err, coap.ErrUnreachable) || time.Since(began) > time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

func TestImpossibleTokenBytes(t *testing.T) {
	coaptest.Run(t, func(t *testing.T) {
		for _, n := range []int{-1, 1, 7, 577, 1 << 20} {
			c := &coap.Client{Listen: coaptest.Listen(simnet.New(1)), TokenBytes: n}
			if _, err := c.Get(t.Context(), "coap://10.9.9.9"); err == nil {
				t.Errorf("%d: no error", n)
			}
			c.Close()
		}
	})
}
