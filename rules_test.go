package coap_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/motewire/coap"
	"github.com/motewire/coap/coaptest"
	"github.com/motewire/coap/message"
	"github.com/motewire/coap/transport/simnet"
)

// RFC 7252 §5.8: "A request with an unrecognized or unsupported Method Code MUST generate a
// 4.05 (Method Not Allowed) piggybacked response." As corrected, that is piggybacked for a
// Confirmable request and Non-confirmable for a Non-confirmable one, whatever the path.
func TestUnknownMethods(t *testing.T) {
	withServer(t, rules(), nil, func(t *testing.T, s *coaptest.Server) {
		p := newRawPeer(t, s)
		for detail := message.IPATCH.Detail() + 1; detail < 32; detail++ {
			for i, segment := range []string{"silent", "nothing"} {
				id, method := message.ID(detail)*4+message.ID(i), message.MakeCode(0, detail)
				p.send(datagram(t, message.Confirmable, method, id, tokenOf(detail), "x", path(segment)))
				if v := p.receive(0); v.Type() != message.Acknowledgement || v.Code() != message.MethodNotAllowed ||
					v.ID() != id || v.Token() != tokenOf(detail) {
					t.Errorf("CON %v /%s: %v", method, segment, v)
				}
				p.send(datagram(t, message.NonConfirmable, method, id+2, tokenOf(detail), "x", path(segment)))
				if v := p.receive(0); v.Type() != message.NonConfirmable || v.Code() != message.MethodNotAllowed ||
					v.Token() != tokenOf(detail) {
					t.Errorf("NON %v /%s: %v", method, segment, v)
				}
			}
		}
		p.silence(time.Minute)
	})
}

// RFC 7252 §6.4, §6.5, as clarified: a path of one empty segment is the same as none, any
// other empty segment makes another path, a trailing one included.
func TestEmptyPathSegments(t *testing.T) {
	mux := coap.NewMux()
	for _, pattern := range []string{"/{$}", "/a", "/a/{$}", "/a/{x}/b"} {
		mux.Handle(pattern, say(pattern))
	}
	withServer(t, mux, nil, func(t *testing.T, s *coaptest.Server) {
		p := newRawPeer(t, s)
		for i, test := range []struct {
			segments []string
			want     string
		}{
			{nil, "/{$}"},
			{[]string{""}, "/{$}"},
			{[]string{"", ""}, ""},
			{[]string{"a"}, "/a"},
			{[]string{"a", ""}, "/a/{$}"},
			{[]string{"a", "", ""}, ""},
			{[]string{"", "a"}, ""},
			{[]string{"a", "", "b"}, ""}, // no value of a wildcard is empty
			{[]string{"a", "c", "b"}, "/a/{x}/b"},
		} {
			var options []message.Option
			for _, segment := range test.segments {
				options = append(options, path(segment))
			}
			p.send(datagram(t, message.Confirmable, message.GET, message.ID(i), tokenOf(1), "", options...))
			v := p.receive(0)
			if want := test.want != ""; string(v.Payload()) != test.want || (v.Code() == message.Content) != want {
				t.Errorf("%q: %v %q, want %q", test.segments, v.Code(), v.Payload(), test.want)
			}
		}
	})
}

// RFC 7252 §5.10.5, as clarified: Max-Age counts from the reception of the response, how
// long that ever took.
func TestMaxAgeCountsFromReception(t *testing.T) {
	handler := coap.HandlerFunc(func(w coap.ResponseWriter, _ *coap.Request) {
		time.Sleep(30 * time.Second)
		w.SetMaxAge(90 * time.Second)
	})
	withServer(t, handler, nil, func(t *testing.T, s *coaptest.Server) {
		s.Network.SetDefault(simnet.Link{Delay: time.Second})
		if resp := get(t, s.Client(), s.URL); resp.MaxAge() != 90*time.Second || resp.RTT < 30*time.Second {
			t.Errorf("Max-Age %v after %v", resp.MaxAge(), resp.RTT)
		}
	})
}

// RFC 7252 §5.5.2: "This diagnostic message MUST be encoded using UTF-8 [...], more
// specifically using Net-Unicode form". Those of the core say what is wrong.
func TestDiagnosticsAreText(t *testing.T) {
	withServer(t, rules(), nil, func(t *testing.T, s *coaptest.Server) {
		for _, o := range []coap.RequestOption{
			coap.Option(65001, []byte{0xff}), coap.Option(9, []byte("\xff")), coap.IfMatch([]byte{0xff}),
			coap.Option(message.HopLimit, []byte{0}), coap.Option(message.Block2, []byte{7}),
		} {
			resp := get(t, s.Client(), s.URL+"/silent", o)
			_, described := resp.ContentFormat()
			text := resp.Payload()
			if resp.Code.IsSuccess() || described || len(text) == 0 || !utf8.Valid(text) || bytes.ContainsFunc(text, func(r rune) bool { return r < ' ' }) {
				t.Errorf("%v %q", resp.Code, text)
			}
		}
	})
}

// RFC 7252 §5.10.7: "The value of a Location-Path Option MUST NOT be "." or ".."."
func TestDotSegmentsAreNotSent(t *testing.T) {
	handler := coap.HandlerFunc(func(w coap.ResponseWriter, r *coap.Request) {
		w.SetCode(message.Created)
		w.AddOption(message.LocationPath, r.Payload())
	})
	withServer(t, handler, nil, func(t *testing.T, s *coaptest.Server) {
		for segment, want := range map[string]message.Code{
			".": message.InternalServerError, "..": message.InternalServerError, "...": message.Created, "": message.Created, ".a": message.Created,
		} {
			resp, err := s.Client().Post(t.Context(), s.URL, coap.Text(segment))
			if err != nil {
				t.Fatal(err)
			}
			if resp.Code != want || want == message.Created && resp.Location() != "/"+segment || want != message.Created && resp.Location() != "" {
				t.Errorf("Location-Path %q: %v %q, want %v", segment, resp.Code, resp.Location(), want)
			}
		}
	})
}

// RFC 7252 §8.2.1: "A GET request to a multicast group MUST NOT contain an ETag option."
func TestNoETagToAGroup(t *testing.T) {
	withServer(t, say("hello"), nil, func(t *testing.T, s *coaptest.Server) {
		w := tap(s)
		const url = "coap://224.0.1.187/a"
		for _, err := range s.Client().Group(t.Context(), url, coap.ETag([]byte{1})) {
			if !errors.Is(err, coap.ErrOption) || !strings.Contains(err.Error(), "ETag") {
				t.Errorf("Group: %v", err)
			}
		}
		if _, err := s.Client().Get(t.Context(), url, coap.NonConfirmable, coap.ETag([]byte{1})); !errors.Is(err, coap.ErrOption) {
			t.Errorf("Get: %v", err)
		}
		w.expect(t)
	})
}

// RFC 7252 §5.5: "If a Method or Response Code is not defined to have a payload, then a
// sender MUST NOT include one, and a recipient MUST ignore it."
func TestPayloadWithoutMeaningIsIgnored(t *testing.T) {
	mux := rules()
	mux.Handle("/value", say("value"), coap.Consumes(message.AppJSON))
	withServer(t, mux, nil, func(t *testing.T, s *coaptest.Server) {
		p := newRawPeer(t, s)
		xml := message.Option{Number: message.ContentFormat, Value: []byte{byte(message.AppXML)}}
		for i, method := range []message.Code{message.GET, message.DELETE} {
			p.send(datagram(t, message.Confirmable, method, message.ID(i), tokenOf(1), "ignored", path("value"), xml))
			if v := p.receive(0); !v.Code().IsSuccess() || string(v.Payload()) != "value" {
				t.Errorf("%v: %v", method, v)
			}
		}
	})
	withPeer(t, func(t *testing.T, c *coap.Client, odd *rawPeer, url string) {
		odd.answer(func(v *message.View) []byte {
			return datagram(t, message.Acknowledgement, message.Valid, v.ID(), v.Token(), "ignored")
		})
		if resp := get(t, c, url, coap.ETag([]byte{1})); resp.Code != message.Valid || resp.Err() != nil {
			t.Errorf("%v", resp.Message())
		}
	})
}

// RFC 7252 §5.9.2.2: "The client SHOULD NOT repeat the request without first improving its
// authentication status", §5.9.2.3: "SHOULD NOT repeat the request without modification".
func TestErrorsAreNotRepeated(t *testing.T) {
	withServer(t, rules(), nil, func(t *testing.T, s *coaptest.Server) {
		w := tap(s)
		get(t, s.Client(), s.URL+"/error")
		w.expect(t, "0s > CON 0.01", "0s < ACK 4.01")
		get(t, s.Client(), s.URL+"/hello", coap.Option(65001, nil))
		time.Sleep(time.Hour)
		w.expect(t, "0s > CON 0.01", "0s < ACK 4.02")
	})
}

// RFC 7252 §5.10.6.1: "The ETag Option MUST NOT occur more than once in a response."
func TestOneETagInAResponse(t *testing.T) {
	handler := coap.HandlerFunc(func(w coap.ResponseWriter, _ *coap.Request) {
		w.SetETag([]byte{1})
		w.SetETag([]byte{2})
		w.WriteString(strings.Repeat("x", 3000))
	})
	withServer(t, handler, nil, func(t *testing.T, s *coaptest.Server) {
		n := 0
		for tag := range get(t, s.Client(), s.URL).Message().ETags() {
			if n++; tag.String() != "02" {
				t.Errorf("ETag %v", tag)
			}
		}
		if n != 1 {
			t.Errorf("%d ETags", n)
		}
	})
}

// RFC 7252 §7.1: "The CoAP default port number 5683 MUST be supported by a server that
// offers resources for resource discovery"; §6.1: it is the one of a URI without port.
func TestDefaultPort(t *testing.T) {
	withServer(t, say("here"), nil, func(t *testing.T, s *coaptest.Server) {
		if coap.DefaultPort != 5683 || s.Addr.Port() != coap.DefaultPort {
			t.Fatalf("the server is at %v", s.Addr)
		}
		host := s.Addr.Addr().String()
		checkResponse(t, get(t, s.Client(), "coap://"+host), message.Content, "here")
		checkResponse(t, get(t, s.Client(), "coap://"+host+":/"), message.Content, "here")
	})
}

// RFC 7959 §2.1: "Either Block option MUST NOT occur more than once in a single message."
// What comes after the first is unrecognized, and critical (RFC 7252 §5.4.5).
func TestBlockOptionTwice(t *testing.T) {
	withServer(t, rules(), nil, func(t *testing.T, s *coaptest.Server) {
		p := newRawPeer(t, s)
		for i, n := range []message.OptionNumber{message.Block1, message.Block2} {
			block := message.Option{Number: n, Value: []byte{2}}
			p.send(datagram(t, message.Confirmable, message.PUT, message.ID(i), tokenOf(1), "x", path("silent"), block, block))
			if v := p.receive(0); v.Code() != message.BadOption || !strings.Contains(string(v.Payload()), n.String()) {
				t.Errorf("%v twice: %v %q", n, v, v.Payload())
			}
		}
	})
}

// RFC 8768 §3: "This value MUST be between 1 and 255 inclusive. CoAP requests received with a
// Hop-Limit option set to '0' or greater than '255' MUST be rejected by a CoAP server/proxy
// using 4.00 (Bad Request)." Of several the first counts, as the option is elective (RFC 7252
// §5.4.5).
func TestHopLimit(t *testing.T) {
	withServer(t, rules(), nil, func(t *testing.T, s *coaptest.Server) {
		for _, test := range []struct {
			values []string
			want   message.Code
		}{
			{nil, message.Content},
			{[]string{"\x01"}, message.Content},
			{[]string{"\x10"}, message.Content},
			{[]string{"\xff"}, message.Content},
			{[]string{"\x00\x05"}, message.Content},
			{[]string{"\x05", "\x00"}, message.Content},
			{[]string{""}, message.BadRequest},
			{[]string{"\x00"}, message.BadRequest},
			{[]string{"\x00\x00"}, message.BadRequest},
			{[]string{"\x01\x00"}, message.BadRequest},
			{[]string{"\x00", "\x05"}, message.BadRequest},
		} {
			var opts []coap.RequestOption
			for _, v := range test.values {
				opts = append(opts, coap.Option(message.HopLimit, []byte(v)))
			}
			if resp := get(t, s.Client(), s.URL+"/hello", opts...); resp.Code != test.want {
				t.Errorf("%q: %v %s", test.values, resp.Code, resp.Payload())
			}
		}
	})
}
