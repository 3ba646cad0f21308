package coap_test

import (
	"io"
	"testing"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/coaptest"
	"github.com/motewire/coap/message"
)

// lateHandler counts how often it runs, and answers after ten seconds.
type lateHandler struct{ runs int }

func (h *lateHandler) ServeCoAP(w coap.ResponseWriter, r *coap.Request) {
	h.runs++
	io.Copy(io.Discard, r.BodyReader())
	time.Sleep(10 * time.Second)
	w.WriteString("done")
}

// sentAgain sends the last block of a body three times under message IDs and tokens of their
// own, and returns these. Each is acknowledged.
func (p *blockPeer) sentAgain(options ...message.Option) (tokens []message.Token) {
	p.t.Helper()
	expectAck(p.t, p.do(message.PUT, "x", text(64), append(options, block1(0, true, 64))...), message.Continue, 0, true, 64)
	for range 3 {
		p.ask(message.PUT, "x", "end", append(options, block1(1, false, 64))...)
		tokens = append(tokens, tokenOf(byte(p.id)))
		if v := p.receive(3 * time.Second); v.Type() != message.Acknowledgement || v.Code() != message.Empty || v.ID() != p.id {
			p.t.Fatalf("%v, want the Acknowledgement of %v", v, p.id)
		}
	}
	return tokens
}

// separate takes a Confirmable response and acknowledges it.
func (p *blockPeer) separate() *message.View {
	p.t.Helper()
	v := p.receive(20 * time.Second)
	p.send(datagram(p.t, message.Acknowledgement, message.Empty, v.ID(), message.Token{}, ""))
	return v
}

// While the handler runs, the last block again waits for the response as well: the first
// request gets it and the newest. It runs once, whether it reads the body as it arrives or
// not.
func TestServerRepeatedWhileRunning(t *testing.T) {
	for name, opts := range map[string][]coap.RouteOption{"whole": nil, "streamed": {coap.StreamBody()}} {
		t.Run(name, func(t *testing.T) {
			h, mux := &lateHandler{}, coap.NewMux()
			mux.Handle("PUT /x", h, opts...)
			withServer(t, mux, nil, func(t *testing.T, s *coaptest.Server) {
				p := newBlockPeer(t, s)
				tokens := p.sentAgain()
				for _, token := range []message.Token{tokens[0], tokens[2]} {
					v := p.separate()
					if expectAck(t, v, message.Changed, 1, false, 64); string(v.Payload()) != "done" || v.Token() != token {
						t.Errorf("%v, want token %v", v, token)
					}
				}
				p.silence(time.Minute)
				v := p.do(message.PUT, "x", "end", block1(1, false, 64))
				if expectAck(t, v, message.Changed, 1, false, 64); string(v.Payload()) != "done" || h.runs != 1 {
					t.Errorf("%v after %d runs", v, h.runs)
				}
				if n := s.Config.Stats(); n.HandlersAway != 0 || n.Messages.PendingRequests != 0 {
					t.Errorf("%+v", n)
				}
			})
		})
	}
}

// Where the client wants no success told, the last block again is acknowledged alone.
func TestServerRepeatedWithoutResponse(t *testing.T) {
	h := &lateHandler{}
	withServer(t, h, nil, func(t *testing.T, s *coaptest.Server) {
		p := newBlockPeer(t, s)
		silent := uintOption(message.NoResponse, 2)
		p.sentAgain(silent)
		p.silence(time.Minute)
		if v := p.do(message.PUT, "x", "end", silent, block1(1, false, 64)); v.Code() != message.Empty || h.runs != 1 {
			t.Errorf("%v after %d runs", v, h.runs)
		}
	})
}

// A detached response that is never sent is 5.03 to both, and is not held any longer.
func TestServerRepeatedGivenUp(t *testing.T) {
	h := coap.HandlerFunc(func(w coap.ResponseWriter, r *coap.Request) { w.Detach() })
	setup := func(s *coaptest.Server) { s.Config.Limits.HandlerTimeout = 10 * time.Second }
	withServer(t, h, setup, func(t *testing.T, s *coaptest.Server) {
		p := newBlockPeer(t, s)
		tokens := p.sentAgain()
		for _, token := range []message.Token{tokens[0], tokens[2]} {
			if v := p.separate(); v.Code() != message.ServiceUnavailable || v.Token() != token {
				t.Errorf("%v, want token %v", v, token)
			}
		}
		if n := s.Config.Stats(); n.HandlersAway != 0 || n.Messages.PendingRequests != 0 {
			t.Errorf("%+v", n)
		}
	})
}

// The response of a handler may be read as blocks are asked for.
func TestServerRepeatedStream(t *testing.T) {
	h := coap.HandlerFunc(func(w coap.ResponseWriter, r *coap.Request) {
		time.Sleep(10 * time.Second)
		w.SetBody(coap.Stream(&struct{ io.Reader }{&countedText{n: 100}}, message.OctetStream))
	})
	withServer(t, h, nil, func(t *testing.T, s *coaptest.Server) {
		p := newBlockPeer(t, s)
		small := block2(0, 64)
		p.sentAgain(small)
		for range 2 {
			v := p.separate()
			expectAck(t, v, message.Changed, 1, false, 64)
			expectPiece(t, v, message.Changed, 0, true, 64, text(64))
		}
		expectPiece(t, p.do(message.PUT, "x", "", block2(1, 64)), message.Changed, 1, false, 64, text(100)[64:])
	})
}

// countedText reads n bytes of text.
type countedText struct{ at, n int }

func (c *countedText) Read(b []byte) (int, error) {
	if c.at == c.n {
		return 0, io.EOF
	}
	n := copy(b, text(c.n)[c.at:])
	c.at += n
	return n, nil
}
