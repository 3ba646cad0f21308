package coap_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/coaptest"
	"github.com/motewire/coap/message"
)

// extended encodes a request with a token of any length.
func extended(t *testing.T, typ message.Type, code message.Code, id message.ID, token []byte, payload string, options ...message.Option) []byte {
	t.Helper()
	e := message.AppendExtendedHeader(nil, typ, code, id, token)
	for _, o := range options {
		e.Option(o.Number, o.Value)
	}
	b, err := e.Finish([]byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// receiveExtended returns the next message, which must echo a token.
func (p *rawPeer) receiveExtended(d time.Duration, token []byte) *message.View {
	p.t.Helper()
	v := new(message.View)
	select {
	case b := <-p.in:
		if err := v.ParseExtended(b); err != nil || !bytes.Equal(v.TokenBytes(), token) {
			p.t.Fatalf("%.60x: %v, want token %x", b, err, token)
		}
	case <-time.After(max(d, 1)):
		p.t.Fatal("nothing came")
	}
	return v
}

func admitting(n int) func(*coaptest.Server) {
	return func(s *coaptest.Server) {
		s.Config.Limits.TokenBytes, s.Config.NotifyInterval = n, -1
	}
}

// RFC 8974 §2.1: a server that admits extended tokens echoes them in whatever it answers.
func TestExtendedTokensAreEchoed(t *testing.T) {
	mux := rules()
	mux.Handle("GET /slow", slow(10*time.Second, "late"))
	mux.Handle("GET /large", say(text(2000)))
	mux.Handle("PUT /put", &stored{})
	mux.HandleFunc("GET /detached", func(w coap.ResponseWriter, r *coap.Request) {
		d, r := w.Detach(), r.Clone()
		go func() {
			time.Sleep(time.Minute)
			d.WriteString(r.Path())
			d.Send()
		}()
	})
	mux.HandleFunc("GET /bad", func(w coap.ResponseWriter, _ *coap.Request) { w.AddOption(message.LocationPath, []byte("..")) })
	withServer(t, mux, admitting(300), func(t *testing.T, s *coaptest.Server) {
		p, id := newRawPeer(t, s), message.ID(0)
		ask := func(code message.Code, token []byte, payload string, options ...message.Option) *message.View {
			id++
			p.send(extended(t, message.Confirmable, code, id, token, payload, options...))
			v := p.receiveExtended(0, token)
			if v.Type() != message.Acknowledgement || v.ID() != id {
				t.Errorf("%v", v)
			}
			return v
		}
		for _, n := range []int{0, 8, 9, 12, 13, 14, 268, 269, 300} {
			token := bytes.Repeat([]byte{byte(n)}, n)
			for name, want := range map[string]message.Code{"hello": message.Content, "nothing": message.NotFound, "bad": message.InternalServerError} {
				if v := ask(message.GET, token, "", path(name)); v.Code() != want {
					t.Errorf("%d bytes, /%s: %v", n, name, v)
				}
			}
			first := ask(message.GET, token, "", path("large"))
			b, _ := first.Block2()
			if len(first.Datagram()) > 1152 || !b.More || len(first.Payload()) != b.Size() {
				t.Errorf("%d bytes: %d, %v", n, len(first.Datagram()), b)
			}
			if v := ask(message.PUT, token, text(64), path("put"), block1(0, true, 64)); v.Code() != message.Continue {
				t.Errorf("%d bytes: %v", n, v)
			}
			id++
			p.send(extended(t, message.NonConfirmable, message.GET, id, token, "", path("hello")))
			if v := p.receiveExtended(0, token); v.Type() != message.NonConfirmable || string(v.Payload()) != "hello" {
				t.Errorf("%d bytes: %v", n, v)
			}
			for name, payload := range map[string]string{"slow": "late", "detached": "/detached"} {
				id++
				p.send(extended(t, message.Confirmable, message.GET, id, token, "", path(name)))
				if v := p.receive(time.Second); v.Code() != message.Empty {
					t.Errorf("%v", v)
				}
				v := p.receiveExtended(time.Hour, token)
				if p.ack(v); v.Type() != message.Confirmable || string(v.Payload()) != payload {
					t.Errorf("%d bytes, /%s: %v", n, name, v)
				}
			}
		}
	})
}

// RFC 8974 §2.2.2: a token that is too long "MUST NOT" make the server reject the message:
// "if the server will never be able to handle the request (e.g., because the token is too
// large), it SHOULD return a 4.00 (Bad Request) response." Without support it is rejected.
func TestExtendedTokensTooLong(t *testing.T) {
	withServer(t, rules(), admitting(20), func(t *testing.T, s *coaptest.Server) {
		p, token := newRawPeer(t, s), []byte(strings.Repeat("t", 21))
		p.send(extended(t, message.Confirmable, message.GET, 1, token, "", path("hello")))
		if v := p.receiveExtended(0, token); v.Code() != message.BadRequest || v.Type() != message.Acknowledgement {
			t.Errorf("%v", v)
		}
		p.send([]byte{0x4f, 1, 0, 2})                                            // reserved
		p.send(extended(t, message.Confirmable, message.Content, 3, token, "p")) // no request
		for id := message.ID(2); id <= 3; id++ {
			if v := p.receive(0); v.Type() != message.Reset || v.ID() != id {
				t.Errorf("%v", v)
			}
		}
	})
	withServer(t, rules(), nil, func(t *testing.T, s *coaptest.Server) {
		p := newRawPeer(t, s)
		p.send(extended(t, message.Confirmable, message.GET, 1, make([]byte, 9), "", path("hello")))
		if v := p.receive(0); v.Type() != message.Reset || v.ID() != 1 {
			t.Errorf("%v", v)
		}
	})
}

// An observation has a token of up to 8 bytes: a registration with a longer one is answered
// without Observe (RFC 7641 §4.1), and ends nobody's observation.
func TestExtendedTokensObserveNothing(t *testing.T) {
	o, mux := newSources()
	withServer(t, mux, admitting(100), func(t *testing.T, s *coaptest.Server) {
		p, token := newRawPeer(t, s), make([]byte, 9)
		p.send(datagram(t, message.Confirmable, message.GET, 1, message.Token{}, "", observeRegister, path("non")))
		p.observed(p.receive(0))
		for id, option := range []message.Option{observeRegister, observeDeregister} {
			p.send(extended(t, message.Confirmable, message.GET, message.ID(id)+2, token, "", option, path("non")))
			if v := p.receiveExtended(0, token); v.Has(message.Observe) || v.Code() != message.Content {
				t.Errorf("%v", v)
			}
			checkObservers(t, s, 1)
		}
		o.non.Set(2)
		p.observed(p.receive(0))
		p.silence(time.Minute)
	})
}
