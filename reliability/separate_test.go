package reliability

import (
	"testing"
	"time"

	"github.com/motewire/coap/message"
)

// RFC 7252 §5.2.3: "an endpoint MUST be prepared to receive [...] a Confirmable response in
// reply to a Non-confirmable request."
func TestConfirmableResponseToANonConfirmableRequest(t *testing.T) {
	b := newBench(t, Config{})
	x := b.send(alice, encode(0, message.GET, 0, "t", ""), SendOptions{Expect: ExpectOne})
	b.transmitted()
	response := encode(message.Confirmable, message.Content, 0xad7b, "t", "p")
	if v := b.receive(alice, response); v != (Verdict{Kind: Response, Outbound: x}) {
		t.Errorf("%+v", v)
	}
	b.want(empty(message.Acknowledgement, 0xad7b))
}

// RFC 7252 §5.2.2: "The server MUST stop retransmitting its response on any matching
// Acknowledgement (silently ignoring any Response Code or payload) or Reset message."
func TestWhateverAcknowledgesEndsASeparateResponse(t *testing.T) {
	for name, answer := range map[string]func(message.ID) []byte{
		"Acknowledgement": func(id message.ID) []byte { return empty(message.Acknowledgement, id) },
		"response":        func(id message.ID) []byte { return encode(message.Acknowledgement, message.Content, id, "t", "p") },
		"Reset":           func(id message.ID) []byte { return empty(message.Reset, id) },
	} {
		b := newBench(t, Config{Params: exact})
		x := b.request(alice, encode(message.Confirmable, message.GET, 9, "t", ""))
		b.e.Acknowledge(b.now, x)
		b.want(empty(message.Acknowledgement, 9))
		b.e.Respond(b.now, x, encode(0, message.Content, 0, "t", "separate"), RespondOptions{})
		separate := b.transmitted()
		b.pass(2 * time.Second)
		b.want(separate)
		if v := b.receive(alice, answer(idOf(separate))); v.Kind == Response || v.Kind == Request {
			t.Errorf("%s: %+v", name, v)
		}
		for _, m := range b.run(time.Hour) {
			if m.Kind == Transmit {
				t.Errorf("%s: sent %x", name, m.Datagram)
			}
		}
	}
}
