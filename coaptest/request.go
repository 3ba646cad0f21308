package coaptest

import (
	"fmt"
	"strings"

	"github.com/motewire/coap"
	"github.com/motewire/coap/message"
)

// origin stands for the server of a target that is a path: a literal address of RFC 5737
// on the default port, so that no Uri-Host and no Uri-Port is sent (RFC 7252 §6.4).
const origin = "coap://192.0.2.1"

// NewRequest returns a request as a handler gets it. target is a path, with a query or
// not ("/lamps/7?unit=lm"), or a whole coap URI. The request is Confirmable, has no token
// unless the [coap.Token] option sets one, and belongs to no exchange: its Peer is
// nobody. Input that makes no message panics, as it is the test's mistake.
func NewRequest(method message.Code, target string, body coap.Body, opts ...coap.RequestOption) *coap.Request {
	if strings.HasPrefix(target, "/") {
		target = origin + target
	}
	datagram, err := coap.NewRequest(method, target, body, opts...).AppendBinary(nil)
	if err != nil {
		panic(fmt.Errorf("coaptest: NewRequest: %w", err))
	}
	r, err := coap.ParseRequest(datagram)
	if err != nil {
		panic(fmt.Errorf("coaptest: NewRequest: %w", err))
	}
	return r
}
