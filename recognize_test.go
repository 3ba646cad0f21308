package coap_test

import (
	"testing"

	"github.com/motewire/coap"
	"github.com/motewire/coap/coaptest"
	"github.com/motewire/coap/message"
)

// RFC 7252 §5.4.1: "Unrecognized options of class "critical" that occur in a Confirmable
// request MUST cause the return of a 4.02 (Bad Option) response." What is recognized is
// what the server implements and what its program adds; the registry does not count.
func TestRecognize(t *testing.T) {
	const own, oscore = message.OptionNumber(65001), message.OptionNumber(9)
	handler := coap.HandlerFunc(func(w coap.ResponseWriter, r *coap.Request) {
		for n, value := range r.Message().Options() {
			if n == own {
				w.Write(value)
			}
		}
	})
	tests := []struct {
		name      string
		recognize []message.OptionNumber
		option    message.OptionNumber
		want      message.Code
	}{
		{"unknown", nil, own, message.BadOption},
		{"added", []message.OptionNumber{own}, own, message.Content},
		{"another one added", []message.OptionNumber{65003}, own, message.BadOption},
		{"registered, not implemented", nil, oscore, message.BadOption},
		{"registered, added", []message.OptionNumber{oscore}, oscore, message.Content},
	}
	for _, test := range tests {
		setup := func(s *coaptest.Server) { s.Config.Recognize = test.recognize }
		withServer(t, handler, setup, func(t *testing.T, s *coaptest.Server) {
			resp := get(t, s.Client(), s.URL, coap.Option(test.option, []byte("x")))
			if resp.Code != test.want {
				t.Errorf("%s: %v, want %v", test.name, resp.Code, test.want)
			}
			if test.option == own && test.want == message.Content && string(resp.Payload()) != "x" {
				t.Errorf("%s: the handler saw %q", test.name, resp.Payload())
			}
		})
	}
}
