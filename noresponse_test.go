package coap_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/coaptest"
	"github.com/motewire/coap/message"
)

// answersWith is a Mux with a path for each class of responses.
func answersWith(opts ...coap.RouteOption) *coap.Mux {
	mux := coap.NewMux()
	for name, code := range map[string]message.Code{
		"2": message.Content, "4": message.Forbidden, "5": message.InternalServerError,
	} {
		mux.HandleFunc("GET /"+name, func(w coap.ResponseWriter, _ *coap.Request) {
			w.SetCode(code)
			w.WriteString("said")
		}, opts...)
	}
	return mux
}

// noResponseTests are values of the option, and the classes of which responses come.
var noResponseTests = []struct {
	value    []byte
	answered string
}{
	{nil, "245"}, {[]byte{0}, "245"}, {[]byte{2}, "45"}, {[]byte{8}, "25"}, {[]byte{16}, "24"},
	{[]byte{10}, "5"}, {[]byte{18}, "4"}, {[]byte{24}, "2"}, {[]byte{26}, ""},
	{[]byte{26 | 1 | 4 | 32 | 64 | 128}, ""}, {[]byte{1 | 4 | 32 | 64 | 128}, "245"}, // bits that mean nothing
	{[]byte{0, 26}, "245"}, // too long: ignored
}

// RFC 7967 §2.1: each bit suppresses a class of responses. A Confirmable request is
// acknowledged even so, a Non-confirmable one gets nothing then.
func TestNoResponseClasses(t *testing.T) {
	withServer(t, answersWith(), nil, func(t *testing.T, s *coaptest.Server) {
		p, id := newRawPeer(t, s), message.ID(0)
		for _, test := range noResponseTests {
			for _, class := range []string{"2", "4", "5"} {
				id++
				wanted := strings.Contains(test.answered, class)
				option := message.Option{Number: message.NoResponse, Value: test.value}
				p.send(datagram(t, message.Confirmable, message.GET, id, tokenOf(1), "", path(class), option))
				v := p.receive(time.Second)
				if v.Type() != message.Acknowledgement || v.ID() != id || (v.Code() != message.Empty) != wanted {
					t.Errorf("No-Response %x, CON, %s.xx: %v", test.value, class, v)
				}
				id++
				p.send(datagram(t, message.NonConfirmable, message.GET, id, tokenOf(1), "", path(class), option))
				if !wanted {
					p.silence(time.Minute)
				} else if v := p.receive(0); v.Type() != message.NonConfirmable || string(v.Payload()) != "said" {
					t.Errorf("No-Response %x, NON, %s.xx: %v", test.value, class, v)
				}
			}
		}
	})
}

// RFC 7967 §2.1: in a request to a group the option takes the place of RFC 7252 §8.2, which
// suppresses errors: what it does not name is answered.
func TestNoResponseInAGroup(t *testing.T) {
	group := netip.MustParseAddrPort("224.0.1.187:5683")
	member := func(s *coaptest.Server) { s.Config.Groups = []coap.Group{{Addr: group.Addr()}} }
	withServer(t, answersWith(coap.Multicast()), member, func(t *testing.T, s *coaptest.Server) {
		p := rawPeerOn(t, s.Network, netip.MustParseAddrPort("10.8.8.8:4000"), group)
		for i, test := range []struct {
			class    string
			option   []message.Option
			answered bool
		}{
			{"2", nil, true}, {"4", nil, false}, {"5", nil, false},
			{"4", []message.Option{{Number: message.NoResponse}}, true},
			{"5", []message.Option{{Number: message.NoResponse, Value: []byte{2}}}, true},
			{"2", []message.Option{{Number: message.NoResponse, Value: []byte{2}}}, false},
		} {
			options := append([]message.Option{path(test.class)}, test.option...)
			p.send(datagram(t, message.NonConfirmable, message.GET, message.ID(i), tokenOf(byte(i)), "", options...))
			if !test.answered {
				p.silence(time.Minute)
			} else if v := p.receive(6 * time.Second); v.Token() != tokenOf(byte(i)) || string(v.Payload()) != "said" {
				t.Errorf("%d: %v", i, v)
			}
		}
	})
}

// The same from the client's side: who asks a group for what went wrong hears of it, and who asks
// for nothing does not wait (RFC 7967 §2.1: "the client endpoint SHOULD cease listening").
func TestGroupWithNoResponse(t *testing.T) {
	group := netip.MustParseAddr("224.0.1.187")
	member := func(s *coaptest.Server) { s.Config.Groups = []coap.Group{{Addr: group}} }
	withServer(t, answersWith(coap.Multicast()), member, func(t *testing.T, s *coaptest.Server) {
		const all = coap.NoSuccess | coap.NoClientError | coap.NoServerError
		for _, test := range []struct {
			class   string
			unasked uint8
			answers int
			takes   time.Duration
		}{
			{"2", coap.NoSuccess, 0, 7 * time.Second}, {"4", coap.NoSuccess, 1, 7 * time.Second},
			{"5", coap.NoSuccess, 1, 7 * time.Second}, {"5", coap.NoServerError, 0, 7 * time.Second},
			{"2", all, 0, 0}, {"4", all, 0, 0}, {"5", all, 0, 0},
		} {
			w, began, answers := tap(s), time.Now(), 0
			for resp, err := range s.Client().Group(t.Context(), "coap://224.0.1.187/"+test.class, coap.NoResponse(test.unasked)) {
				if err != nil || string(resp.Payload()) != "said" {
					t.Errorf("%+v: %v, %v", test, resp, err)
				}
				answers++
			}
			if answers != test.answers || time.Since(began) != test.takes {
				t.Errorf("%+v: %d answers in %v", test, answers, time.Since(began))
			}
			time.Sleep(10 * time.Second)
			if lines := w.take(); len(lines) != 1+test.answers || !strings.HasSuffix(lines[0], "> NON 0.01") {
				t.Errorf("%+v: %q", test, lines)
			}
		}
		if n := s.Client().Stats().Messages.OpenExchanges; n != 0 {
			t.Errorf("%d exchanges open", n)
		}
	})
}

// RFC 8516 §3: a 4.29 says by Max-Age when to come back; the client does not repeat the
// request of itself, and hands both to its caller.
func TestTooManyRequests(t *testing.T) {
	busy := coap.HandlerFunc(func(w coap.ResponseWriter, _ *coap.Request) {
		coap.Error(w, message.TooManyRequests, "slow down")
		w.SetMaxAge(30 * time.Second)
	})
	withServer(t, busy, nil, func(t *testing.T, s *coaptest.Server) {
		w := tap(s)
		resp := get(t, s.Client(), s.URL)
		checkResponse(t, resp, message.TooManyRequests, "slow down")
		var failed *coap.ResponseError
		if !errors.As(resp.Err(), &failed) || failed.RetryAfter != 30*time.Second || resp.RetryAfter() != 30*time.Second {
			t.Errorf("after %v, error %+v", resp.RetryAfter(), failed)
		}
		time.Sleep(time.Hour)
		w.expect(t, "0s > CON 0.01", "0s < ACK 4.29")
	})
}

// RFC 8516 §4: "If the 4.29 response does not contain a Max-Age option, the default value (60
// seconds [...]) is assumed"; RFC 7252 §5.9.3.4: so does 5.03 tell when to retry, and no other.
func TestRetryAfter(t *testing.T) {
	for _, test := range []struct {
		code message.Code
		age  []message.Option
		want time.Duration
	}{
		{message.TooManyRequests, nil, time.Minute},
		{message.TooManyRequests, []message.Option{{Number: message.MaxAge, Value: []byte{7}}}, 7 * time.Second},
		{message.TooManyRequests, []message.Option{{Number: message.MaxAge}}, 0},
		{message.ServiceUnavailable, []message.Option{{Number: message.MaxAge, Value: []byte{7}}}, 7 * time.Second},
		{message.ServiceUnavailable, nil, time.Minute},
		{message.Content, []message.Option{{Number: message.MaxAge, Value: []byte{7}}}, 0},
		{message.NotFound, nil, 0},
	} {
		resp, err := coap.ParseResponse(datagram(t, message.Acknowledgement, test.code, 1, tokenOf(1), "", test.age...))
		if err != nil || resp.RetryAfter() != test.want {
			t.Errorf("%v %v: %v, want %v, %v", test.code, test.age, resp.RetryAfter(), test.want, err)
		}
	}
}
