package ladder

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/motewire/coap/message"
)

// blockOptions are those of RFC 7959 and RFC 9177.
var blockOptions = []message.OptionNumber{message.Block1, message.Block2, message.QBlock1, message.QBlock2}

// continued returns the conversation that a request goes on with: a further block of a
// transfer, a transfer that begins anew with smaller blocks (4.13, RFC 7959 §2.9.3), or
// the renewal or the end of an observation. nil: none.
func (t *Tracker) continued(s *Step, server netip.AddrPort) *Conversation {
	if before := t.requests[tokenKey{s.From, server, s.View.Token()}]; before != nil && before.Conversation.Observes &&
		target(before) == target(s) && s.View.Has(message.Observe) {
		return before.Conversation
	}
	c := t.targets[target(s)]
	if c == nil {
		return nil
	}
	first, blocks := true, false
	for _, n := range blockOptions {
		if value, ok := s.View.Option(n); ok {
			blocks = true
			first = first && number(value) == 0
		}
	}
	if blocks && (c.Blocks && !first || c.restartable) {
		return c
	}
	return nil
}

// number is the NUM of a block option's value.
func number(value []byte) uint32 {
	var n uint32
	for _, octet := range value {
		n = n<<8 | uint32(octet)
	}
	return message.DecodeBlock(n).Num
}

// target is what a request asks for, and who asks whom: requests of one transfer have it
// in common.
func target(s *Step) string {
	var b strings.Builder
	fmt.Fprint(&b, s.From, s.To, s.View.Code())
	for n, value := range s.View.Options() {
		switch n {
		case message.URIHost, message.URIPort, message.URIPath, message.URIQuery, message.ProxyURI, message.ProxyScheme:
			fmt.Fprintf(&b, " %d=%q", n, value)
		}
	}
	return b.String()
}
