package coap_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/motewire/coap"
	"github.com/motewire/coap/message"
)

var eightBytes, _ = message.MakeToken([]byte("12345678"))

// RFC 9175 §2.3: "the client SHOULD resend the original request with the addition of an Echo
// option with the received Echo option value": to the byte, and all else as it was.
func TestClientEchoes(t *testing.T) {
	withPeer(t, func(t *testing.T, c *coap.Client, odd *rawPeer, url string) {
		var first []byte
		odd.answer(func(v *message.View) []byte {
			echo, ok := v.Echo()
			if !ok {
				first = append([]byte(nil), v.Datagram()...)
				return datagram(t, message.Acknowledgement, message.Unauthorized, v.ID(), v.Token(), "",
					message.Option{Number: message.Echo, Value: eightBytes.Append(nil)})
			}
			var plain message.View
			if err := plain.Parse(first); err != nil || string(echo) != "12345678" || string(v.Payload()) != string(plain.Payload()) ||
				v.Code() != plain.Code() || v.ID() == plain.ID() || v.Type() != plain.Type() || options(v) != options(&plain) {
				t.Errorf("%v, then %v", &plain, v)
			}
			return datagram(t, message.Acknowledgement, message.Changed, v.ID(), v.Token(), "done")
		})
		resp, err := c.Post(t.Context(), url+"/a?b=c", coap.Text("payload"))
		if err != nil {
			t.Fatal(err)
		}
		checkResponse(t, resp, message.Changed, "done")
	})
}

// options prints the options of a message but Echo.
func options(v *message.View) (text string) {
	for n, value := range v.Options() {
		if n != message.Echo {
			text += fmt.Sprintf("%v=%x ", n, value)
		}
	}
	return text
}

// A server that is never content is not asked a third time.
func TestChallengesWithoutEnd(t *testing.T) {
	withPeer(t, func(t *testing.T, c *coap.Client, odd *rawPeer, url string) {
		var asked atomic.Int32
		odd.answer(func(v *message.View) []byte {
			asked.Add(1)
			return datagram(t, message.Acknowledgement, message.Unauthorized, v.ID(), v.Token(), "",
				message.Option{Number: message.Echo, Value: []byte{byte(asked.Load())}})
		})
		if resp := get(t, c, url); resp.Code != message.Unauthorized || asked.Load() != 2 {
			t.Errorf("%v after %d requests", resp.Code, asked.Load())
		}
		for resp, err := range c.Observe(t.Context(), url) {
			if resp == nil || resp.Code != message.Unauthorized || err == nil || asked.Load() != 4 {
				t.Errorf("observation: %v, %v after %d requests", resp, err, asked.Load())
			}
		}
	})
}
