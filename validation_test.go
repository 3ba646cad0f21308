package coap_test

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/coaptest"
	"github.com/motewire/coap/message"
)

// long is a body of more than any request in these tests has a claim to.
var long = bytes.Repeat([]byte("0123456789abcdef"), 200)

// A validated is a server with something of every kind to answer.
type validated struct {
	*coaptest.Server
	state *coap.State[int]
	runs  atomic.Int32 // of handlers
}

// withValidation runs f beside a server with a mode of address validation.
func withValidation(t *testing.T, mode coap.AddressValidation, setup func(*coaptest.Server), f func(t *testing.T, s *validated)) {
	t.Helper()
	v := &validated{state: coap.NewState(1)}
	withServer(t, v.mux(), func(s *coaptest.Server) {
		s.Config.AddressValidation = mode
		s.Config.NotifyInterval = -1
		if setup != nil {
			setup(s)
		}
	}, func(t *testing.T, s *coaptest.Server) {
		v.Server = s
		f(t, v)
	})
}

func (v *validated) mux() *coap.Mux {
	mux := coap.NewMux()
	handle := func(pattern string, h coap.HandlerFunc) {
		mux.HandleFunc(pattern, func(w coap.ResponseWriter, r *coap.Request) {
			v.runs.Add(1)
			h(w, r)
		})
	}
	answer := func(w coap.ResponseWriter, _ *coap.Request) {
		w.SetContentFormat(message.OctetStream)
		w.Write(long)
	}
	for _, method := range []string{"GET", "POST", "PUT", "DELETE", "FETCH", "PATCH", "IPATCH"} {
		handle(method+" /long", answer)
		handle(method+" /short", say("ok"))
	}
	handle("GET /slow", slow(time.Minute, string(long)))
	handle("GET /later", func(w coap.ResponseWriter, _ *coap.Request) {
		d := w.Detach()
		go func() {
			time.Sleep(time.Second)
			d.Write(long)
			d.Send()
		}()
	})
	handle("POST /later", slow(time.Second, "no more than a few bytes"))
	handle("GET /stream", func(w coap.ResponseWriter, _ *coap.Request) {
		w.SetBody(coap.Stream(io.MultiReader(bytes.NewReader(long)), message.OctetStream))
	})
	handle("POST /created", func(w coap.ResponseWriter, _ *coap.Request) { w.SetLocation("/" + strings.Repeat("created/", 30)) })
	handle("GET /error", func(w coap.ResponseWriter, _ *coap.Request) {
		coap.Error(w, message.InternalServerError, strings.Repeat("a long story ", 20))
	})
	mux.Handle("GET /state", v.state)
	return mux
}

// forgeries are requests as somebody may send them in the name of another.
func forgeries(t *testing.T) map[string][]byte {
	all := map[string][]byte{
		"ping":      {0x40, 0, 0, 9},
		"junk":      {0x4f, 1, 0, 9, 1},
		"nothing":   {0x40, 1, 0, 9},
		"no option": datagram(t, message.Confirmable, message.GET, 9, tokenOf(1), ""),
	}
	for _, typ := range []message.Type{message.Confirmable, message.NonConfirmable} {
		for _, token := range []message.Token{{}, tokenOf(1), eightBytes} {
			request := func(code message.Code, payload, name string, options ...message.Option) {
				d := datagram(t, typ, code, 9, token, payload, append(options, path(name))...)
				all[fmt.Sprintf("%v %v /%s %d %d", typ, code, name, token.Len(), len(all))] = d
			}
			for code := message.GET; code <= message.IPATCH; code++ {
				for _, payload := range []string{"", "x", strings.Repeat("x", 100)} {
					request(code, payload, "long")
					request(code, payload, "short")
				}
			}
			for _, name := range []string{"slow", "later", "stream", "error", "missing", "state"} {
				request(message.GET, "", name)
			}
			request(message.POST, "", "later")
			request(message.POST, "", "created")
			request(message.GET, "", "state", observeRegister)
			all[fmt.Sprint("discovery", len(all))] = datagram(t, typ, message.GET, 9, token, "", path(".well-known"), path("core"))
			all[fmt.Sprint("option", len(all))] = datagram(t, typ, message.GET, 9, token, "", path("x"), message.Option{Number: 65001})
			all[fmt.Sprint("block", len(all))] = datagram(t, typ, message.GET, 9, token, "", path("long"),
				message.Option{Number: message.Block2, Value: []byte{0x16}})
			all[fmt.Sprint("upload", len(all))] = datagram(t, typ, message.POST, 9, token, strings.Repeat("x", 16), path("long"),
				message.Option{Number: message.Block1, Value: []byte{0x08}})
			all[fmt.Sprint("forged", len(all))] = datagram(t, typ, message.GET, 9, token, "", path("long"),
				message.Option{Number: message.Echo, Value: []byte("deadbeef")})
		}
	}
	return all
}

// RFC 9175 §2.4: "don't send more than three times the number of bytes received until the
// peer's address is confirmed", be it by retransmissions or notifications. Whose address it is
// never answers.
func TestNobodyIsFloodedByForgeries(t *testing.T) {
	for _, mode := range []coap.AddressValidation{coap.EchoLarge, coap.EchoAlways} {
		for name, request := range forgeries(t) {
			withValidation(t, mode, nil, func(t *testing.T, s *validated) {
				checkFlood(t, s, fmt.Sprint(mode, " ", name), request, 3*len(request))
			})
		}
	}
}

// RFC 7252 §11.3: without a challenge, a block has 16 bytes or more, with a token and what
// describes it, and an observer gets what it gets.
func TestSmallBlocksAreSmall(t *testing.T) {
	for name, request := range forgeries(t) {
		var v message.View
		if v.Parse(request) == nil && (v.Has(message.Observe) || strings.Contains(name, "created")) {
			continue
		}
		withValidation(t, coap.SmallBlocks, nil, func(t *testing.T, s *validated) {
			floor := 4 + v.Token().Len() + len("ETag 9 bytes") + len("CF BLOCK") + len("\xff") + 16
			checkFlood(t, s, name, request, max(3*len(request), floor))
		})
	}
}

// checkFlood has a peer send one request, and counts what comes for it in ten minutes.
func checkFlood(t *testing.T, s *validated, name string, request []byte, most int) {
	t.Helper()
	p := newRawPeer(t, s.Server)
	p.send(request)
	for i := range 10 {
		time.Sleep(time.Minute)
		s.state.Set(2 + i)
	}
	bytes := 0
	for len(p.in) > 0 {
		bytes += len(<-p.in)
	}
	if bytes > most {
		t.Errorf("%s: %d bytes for one request of %d", name, bytes, len(request))
	}
}

// RFC 9175 §2.3: "Upon receiving a 4.01 (Unauthorized) response with the Echo option, the
// client SHOULD resend the original request". What a caller sees is as ever, whatever the mode,
// and handlers run as often as the mode says.
func TestClientAnswersChallenges(t *testing.T) {
	for _, mode := range []coap.AddressValidation{coap.AddressValidationOff, coap.SmallBlocks, coap.EchoLarge, coap.EchoAlways} {
		for _, test := range []struct {
			method message.Code
			path   string
			body   []byte
			want   string
			runs   int32 // under EchoLarge; else 1
		}{
			{message.GET, "/long", nil, string(long), 2},
			{message.GET, "/short", nil, "ok", 1},
			{message.GET, "/stream", nil, string(long), 2},
			{message.GET, "/later", nil, string(long), 2},
			{message.FETCH, "/long", []byte("q"), string(long), 2},
			{message.FETCH, "/long", long, string(long), 1},
			{message.POST, "/long", []byte("q"), string(long), 1},
			{message.PUT, "/long", long, string(long), 1},
			{message.POST, "/later", nil, "no more than a few bytes", 1},
		} {
			withValidation(t, mode, nil, func(t *testing.T, s *validated) {
				c := newClient(t, s.Server, nil)
				r := coap.NewRequest(test.method, s.URL+test.path, coap.Raw(test.body))
				resp, err := c.Do(t.Context(), r)
				if err != nil {
					t.Fatalf("%d: %v %s: %v", mode, test.method, test.path, err)
				}
				got, err := resp.Bytes()
				if err != nil || string(got) != test.want {
					t.Errorf("%d: %v %s: %v, %d bytes, %v", mode, test.method, test.path, resp.Code, len(got), err)
				}
				want := int32(1)
				if mode == coap.EchoLarge {
					want = test.runs
				}
				if n := s.runs.Load(); n != want {
					t.Errorf("%d: %v %s: %d runs, want %d", mode, test.method, test.path, n, want)
				}
			})
		}
	}
}

// RFC 7641 §7: an observation is registered for who receives at its address, and the client
// goes on with it when it is challenged again.
func TestObservationIsChallenged(t *testing.T) {
	for _, mode := range []coap.AddressValidation{coap.EchoLarge, coap.EchoAlways} {
		withValidation(t, mode, nil, func(t *testing.T, s *validated) {
			next := 1
			for resp, err := range newClient(t, s.Server, nil).Observe(t.Context(), s.URL+"/state") {
				if err != nil {
					t.Fatal(err)
				}
				if got := string(resp.Payload()); got != fmt.Sprint(next) {
					t.Errorf("%s, want %d", got, next)
				}
				if next++; next == 5 {
					break
				}
				if next == 3 { // until Max-Age is over, and the address no longer verified
					time.Sleep(20 * time.Minute)
				}
				s.state.Set(next)
			}
			if n := s.Config.Stats().Challenges; n < 1 || n > 3 {
				t.Errorf("%d challenges", n)
			}
		})
	}
}

// A registration that is challenged ends nothing: somebody else may have sent it.
func TestChallengeKeepsObservation(t *testing.T) {
	withValidation(t, coap.EchoLarge, nil, func(t *testing.T, s *validated) {
		p := newRawPeer(t, s.Server)
		register := func(id message.ID, options ...message.Option) *message.View {
			options = append([]message.Option{observeRegister, path("state")}, options...)
			p.send(datagram(t, message.Confirmable, message.GET, id, tokenOf(1), "", options...))
			return p.receive(0)
		}
		echo, _ := register(1).Echo()
		if v := register(2, message.Option{Number: message.Echo, Value: echo}); v.Code() != message.Content || !v.Has(message.Observe) {
			t.Fatalf("registered: %v", v)
		}
		time.Sleep(time.Hour)
		if v := register(3); v.Code() != message.Unauthorized {
			t.Fatalf("again: %v", v)
		}
		s.state.Set(2)
		if v := p.receive(0); string(v.Payload()) != "2" {
			t.Errorf("notified: %v", v)
		}
	})
}

// Only what changed hands at the address verifies it: not a forged value, not one from
// another address, not one that is too old; and then for a time.
func TestEchoByHand(t *testing.T) {
	withValidation(t, coap.EchoAlways, nil, func(t *testing.T, s *validated) {
		p, q := newRawPeer(t, s.Server), newRawPeer(t, s.Server)
		id := message.ID(0)
		ask := func(p *rawPeer, echo []byte) *message.View {
			id++
			options := []message.Option{path("short")}
			if echo != nil {
				options = append(options, message.Option{Number: message.Echo, Value: echo})
			}
			p.send(datagram(t, message.Confirmable, message.GET, id, tokenOf(1), "", options...))
			return p.receive(0)
		}
		challenged := func(why string, v *message.View) []byte {
			t.Helper()
			echo, ok := v.Echo()
			if v.Code() != message.Unauthorized || !ok || len(v.Payload()) > 0 {
				t.Errorf("%s: %v", why, v)
			}
			return bytes.Clone(echo)
		}
		echo := challenged("first", ask(p, nil))
		challenged("forged", ask(p, []byte("forged!!")))
		challenged("empty", ask(p, []byte{}))
		challenged("of another", ask(q, echo))
		if v := ask(p, echo); v.Code() != message.Content {
			t.Errorf("answered: %v", v)
		}
		if v := ask(p, nil); v.Code() != message.Content {
			t.Errorf("remembered: %v", v)
		}
		challenged("another", ask(q, nil))
		time.Sleep(240 * time.Second)
		if v := ask(p, nil); v.Code() != message.Content {
			t.Errorf("remembered for its time: %v", v)
		}
		time.Sleep(2 * 247 * time.Second)
		challenged("forgotten", ask(p, nil))
		challenged("too old", ask(p, echo))
		if n := s.runs.Load(); n != 3 {
			t.Errorf("%d runs", n)
		}
	})
}

// A challenge is no answer, which No-Response would keep away: it asks for the request again.
func TestChallengeDespiteNoResponse(t *testing.T) {
	withValidation(t, coap.EchoAlways, nil, func(t *testing.T, s *validated) {
		resp, err := newClient(t, s.Server, nil).Get(t.Context(), s.URL+"/short", coap.NoResponse(coap.NoClientError))
		if err != nil {
			t.Fatal(err)
		}
		checkResponse(t, resp, message.Content, "ok")
	})
}
