package coap_test

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/coaptest"
	"github.com/motewire/coap/message"
)

// What real peers do against the RFCs, as testdata/captures/README.md lists it, and that
// our side survives it. Each peer is played by hand.

// withPeer runs f beside a server, as a source of clients, and an odd peer's URL.
func withPeer(t *testing.T, f func(t *testing.T, c *coap.Client, odd *rawPeer, url string)) {
	t.Helper()
	withServer(t, say("sane"), nil, func(t *testing.T, s *coaptest.Server) {
		odd := newRawPeer(t, s)
		c := newClient(t, s, func(c *coap.Client) { c.Params.NStart = -1 })
		f(t, c, odd, "coap://"+odd.conn.LocalAddr().String())
		checkResponse(t, get(t, c, s.URL), message.Content, "sane") // the client is none the worse
	})
}

// answer has a peer answer each message of one kind from now on.
func (p *rawPeer) answer(reply func(v *message.View) []byte) {
	go func() {
		for b := range p.in {
			var v message.View
			if v.ParseExtended(b) != nil || v.Code() == message.Empty {
				continue
			}
			if d := reply(&v); d != nil {
				p.reply(d)
			}
		}
	}()
	p.t.Cleanup(func() { close(p.in) })
}

// s06: CoAP-simple answers 4.04 with an ACK that has no token. RFC 7252 §5.3.2 asks for
// the token, so that is no response, and the client goes on until it gives up.
func TestAcknowledgementWithoutToken(t *testing.T) {
	seen := slices.ContainsFunc(captured(t, "s06"), func(d []byte) bool { return d[0] == 0x60 && d[1] == byte(message.NotFound) })
	if !seen {
		t.Error("s06 has no such message")
	}
	withPeer(t, func(t *testing.T, c *coap.Client, odd *rawPeer, url string) {
		odd.answer(func(v *message.View) []byte {
			return datagram(t, message.Acknowledgement, message.NotFound, v.ID(), message.Token{}, "")
		})
		_, err := c.Get(t.Context(), url)
		expectError(t, err, coap.ErrTimeout, "(5 sent)")
		_, err = c.Get(timeout(t, time.Minute), url, coap.NonConfirmable)
		expectError(t, err, context.DeadlineExceeded)
	})
}

// s05: CoAP-simple, as a client, answers a NON response with an ACK 4.04.
func TestAcknowledgementOfNonConfirmable(t *testing.T) {
	withServer(t, say("hello"), nil, func(t *testing.T, s *coaptest.Server) {
		p := newRawPeer(t, s)
		p.send(datagram(t, message.NonConfirmable, message.GET, 1, tokenOf(1), "",
			message.Option{Number: message.URIHost, Value: []byte(s.Addr.Addr().String())}))
		v := p.receive(0)
		if string(v.Payload()) != "hello" {
			t.Errorf("%v", v)
		}
		p.send(datagram(t, message.Acknowledgement, message.NotFound, v.ID(), message.Token{}, ""))
		p.silence(time.Minute)
	})
}

// s05: node-coap encodes Content-Format 0 in one zero byte (RFC 7252 §3.2: "A recipient
// MUST be prepared to process values with leading zero bytes").
func TestLongZero(t *testing.T) {
	withPeer(t, func(t *testing.T, c *coap.Client, odd *rawPeer, url string) {
		odd.answer(func(v *message.View) []byte {
			return datagram(t, message.Acknowledgement, message.Content, v.ID(), v.Token(), "22.5",
				message.Option{Number: message.ContentFormat, Value: []byte{0}})
		})
		if format, ok := get(t, c, url).ContentFormat(); format != message.TextPlain || !ok {
			t.Errorf("%v, %t", format, ok)
		}
	})
}

// s01, s05, s19: libcoap and node-coap repeat the request's message ID in a NON response,
// also in answer to a group, so that all members use the same.
func TestMessageIDRepeated(t *testing.T) {
	withPeer(t, func(t *testing.T, c *coap.Client, odd *rawPeer, url string) {
		odd.answer(func(v *message.View) []byte {
			return datagram(t, message.NonConfirmable, message.Content, v.ID(), v.Token(), "odd")
		})
		for range 3 {
			checkResponse(t, get(t, c, url, coap.NonConfirmable), message.Content, "odd")
			checkResponse(t, get(t, c, url), message.Content, "odd") // s34: and no ACK at all
		}
	})
}

func TestMessageIDRepeatedInGroup(t *testing.T) {
	withServer(t, nil, nil, func(t *testing.T, s *coaptest.Server) {
		group := netip.MustParseAddrPort("224.0.1.187:5683")
		for _, at := range []string{"10.7.7.1:5683", "10.7.7.2:5683", "10.7.7.3:5683"} {
			p := rawPeerOn(t, s.Network, netip.MustParseAddrPort(at), group)
			if err := p.conn.JoinGroup(group.Addr(), nil); err != nil {
				t.Fatal(err)
			}
			p.answer(func(v *message.View) []byte { // twice, under two message IDs
				p.reply(datagram(t, message.NonConfirmable, message.Content, v.ID()+1, v.Token(), at))
				return datagram(t, message.NonConfirmable, message.Content, v.ID(), v.Token(), at)
			})
		}
		var heard []string
		for resp, err := range s.Client().Group(t.Context(), "coap://224.0.1.187/.well-known/core") {
			if err != nil {
				t.Fatal(err)
			}
			if at := resp.Peer().String(); string(resp.Payload()) != at || slices.Contains(heard, at) {
				t.Errorf("%q from %s", resp.Payload(), at)
			}
			heard = append(heard, resp.Peer().String())
		}
		if len(heard) != 3 {
			t.Errorf("heard %v", heard)
		}
	})
}

// s34: node-coap refuses a CON FETCH by NON 4.15 without token and without ACK. Nothing
// says which request it means; the client retransmits to the end.
func TestRefusalWithoutToken(t *testing.T) {
	withPeer(t, func(t *testing.T, c *coap.Client, odd *rawPeer, url string) {
		odd.answer(func(v *message.View) []byte {
			return datagram(t, message.NonConfirmable, message.UnsupportedContentFormat, v.ID(), message.Token{}, "")
		})
		_, err := c.Fetch(t.Context(), url, coap.Raw([]byte("q")))
		expectError(t, err, coap.ErrTimeout, "(5 sent)")
	})
}

// s30: aiocoap sends a representation above any size agreed on in one message. What does
// not fit the receive buffer is not taken for whole; a Confirmable one is reset (RFC 7252
// §4.2), and the call ends with an error.
func TestResponseAboveTheBuffer(t *testing.T) {
	long := strings.Repeat("x", 3000)
	withPeer(t, func(t *testing.T, c *coap.Client, odd *rawPeer, url string) {
		resets := make(chan message.ID, 100)
		go func() {
			for b := range odd.in {
				var v message.View
				switch err := v.Parse(b); {
				case err != nil:
					t.Error(err)
				case v.Type() == message.Reset:
					resets <- v.ID()
				case v.Type() == message.Confirmable:
					odd.reply(datagram(t, message.Confirmable, message.Content, 0, v.Token(), long))
				}
			}
		}()
		_, err := c.Get(timeout(t, time.Minute), url)
		expectError(t, err, context.DeadlineExceeded)
		synctest.Wait()
		if len(resets) == 0 || <-resets != 0 {
			t.Error("no Reset of message ID 0")
		}
		close(odd.in)
	})
	withPeer(t, func(t *testing.T, c *coap.Client, odd *rawPeer, url string) {
		odd.answer(func(v *message.View) []byte {
			return datagram(t, message.Acknowledgement, message.Content, v.ID(), v.Token(), long)
		})
		_, err := c.Get(t.Context(), url)
		if err == nil {
			t.Error("a response cut short was taken for whole")
		}
	})
}

// s17: go-coap retransmits at a constant interval. Its duplicates get the same answer, and
// the handler runs once.
func TestConstantRetransmission(t *testing.T) {
	runs := 0
	h := coap.HandlerFunc(func(w coap.ResponseWriter, _ *coap.Request) { runs++; w.WriteString("once") })
	withServer(t, h, nil, func(t *testing.T, s *coaptest.Server) {
		p := newRawPeer(t, s)
		var first []byte
		for i := range 10 {
			p.send(datagram(t, message.Confirmable, message.POST, 1, tokenOf(1), ""))
			v := p.receive(0)
			if i == 0 {
				first = v.Datagram()
			}
			if string(v.Datagram()) != string(first) {
				t.Errorf("answer %d is %x, was %x", i, v.Datagram(), first)
			}
			time.Sleep(4 * time.Second)
		}
		if runs != 1 {
			t.Errorf("the handler ran %d times", runs)
		}
	})
}

// s03: peers serve requests with unknown critical options. Ours may ask them so, and takes
// the answer even where it repeats the option it was asked with.
func TestCriticalOptionServed(t *testing.T) {
	withPeer(t, func(t *testing.T, c *coap.Client, odd *rawPeer, url string) {
		odd.answer(func(v *message.View) []byte {
			return datagram(t, message.Acknowledgement, message.Content, v.ID(), v.Token(), "ok",
				message.Option{Number: 65001, Value: []byte{1}})
		})
		checkResponse(t, get(t, c, url, coap.Option(65001, []byte{1})), message.Content, "ok")
		// RFC 7252 §5.4.1: one that the request did not have "MUST cause the response to be
		// rejected".
		_, err := c.Get(t.Context(), url)
		expectError(t, err, coap.ErrCriticalOption)
	})
}
