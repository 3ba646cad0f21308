package coap

import (
	"time"

	"github.com/motewire/coap/blockwise"
	"github.com/motewire/coap/message"
)

// AddressValidation says what a server does against being used to flood others: a request
// whose source address is forged brings the answer to somebody who did not ask, and a short
// one may bring a long answer (RFC 7252 §11.3). An address is verified when its client has
// sent back, in an Echo option, a value that was sent there (RFC 9175 §2.4). [Client] does
// that by itself.
//
// Unless it is off, an address that is not verified gets, of any one request, no more than
// three times its bytes in UDP payload, and a separate response to it is Non-confirmable, as
// retransmissions would count as well.
type AddressValidation uint8

const (
	// AddressValidationOff answers everybody alike. It is the default, as most clients in the
	// field don't know Echo.
	AddressValidationOff AddressValidation = iota
	// SmallBlocks challenges nobody, and keeps every answer short: a body goes in blocks that
	// are small enough, which every client of RFC 7959 copes with, and an error without its
	// payload. Blocks have at least 16 bytes: a very short request may get more than three
	// times its length by that. Nor are notifications kept short. Use EchoLarge against both.
	SmallBlocks
	// EchoLarge answers 4.01 with an Echo option in place of an answer that is too long, and
	// to a registration for Observe. The answer to GET and FETCH is known when the handler has
	// run; it runs again for the repeated request, as these methods are safe. That to any other
	// method, to a request with a body in blocks, and to a group, is kept short as by
	// SmallBlocks instead, and where 16 bytes are too many it is the code alone: nothing runs
	// twice, and clients that send and ask for little need not know Echo.
	EchoLarge
	// EchoAlways answers 4.01 with an Echo option to every request before anything runs for
	// it. A request to a group is not answered.
	EchoAlways
)

// amplification is how many bytes may answer one byte from an address that is not verified
// (RFC 9175 §2.4).
const amplification = 3

// An unverified is what an exchange has to heed whose client's address is not verified.
type unverified struct {
	allowance   int  // bytes that may answer; 0: the address is verified, or it doesn't matter
	challenging bool // the response is a challenge
}

// screen finds out, under the shard's lock, what may answer a request.
func (e *engine) screen(now time.Time, x *exchange) {
	if e.shard.core.validation != SmallBlocks {
		if e.verifier.verified(now, &x.peer) {
			return
		}
		if echo, ok := x.view.Echo(); ok && e.verifier.verify(now, &x.peer, echo) {
			return
		}
	}
	n := len(x.view.Datagram())
	x.allowance = amplification * n
	if x.view.Type() == message.Confirmable { // it may be acknowledged before
		x.allowance -= headerBytes
	}
}

// challenge answers that the request is to come again with an Echo option (RFC 9175 §2.3).
// What was going to be the response is dropped. It takes the shard's lock, under which only
// responses to blocks of a body are finished, and these are not challenged.
func (x *exchange) challenge() {
	s := x.shard
	s.core.stats.challenges.Add(1)
	x.forsake()
	x.piece, x.challenging = blockwise.Slice{}, true
	x.SetCode(message.Unauthorized)
	var value [echoBytes]byte
	s.mu.Lock()
	echo := s.eng.verifier.challenge(time.Now(), &x.peer, value[:0])
	s.mu.Unlock()
	x.AddOption(message.Echo, echo)
}

// suspect reports whether a request is challenged before its handler runs, and its route is
// looked for.
func (x *exchange) suspect() bool {
	if x.allowance == 0 || x.shard.core.validation != EchoAlways {
		return false
	}
	if x.multicast {
		x.fate = drop
	} else {
		x.challenge()
	}
	return true
}

// flooding reports whether a request is challenged as it would be a registration: one
// forged request would bring many notifications.
func (x *exchange) flooding() bool {
	if x.allowance == 0 || x.shard.core.validation == SmallBlocks || x.multicast ||
		x.route.subject == nil || !registers(&x.view) || !whole(&x.view) {
		return false
	}
	x.challenge()
	return true
}

// again reports whether the request may run again after a challenge.
func (x *exchange) again() bool {
	m := x.req.Method
	return x.shard.core.validation != SmallBlocks && !x.multicast && !x.view.Has(message.Block1) &&
		(x.recalled || m == message.GET || m == message.FETCH)
}

// shortens reports whether the response's body goes in blocks that are small enough.
func (x *exchange) shortens() bool { return x.allowance > 0 && !x.again() }

// spare returns how many bytes of payload the response may have whose options take it to
// length bytes so far. blocks: it is a block.
func (x *exchange) spare(length int, blocks bool) int {
	n := x.allowance - length - len("\xff")
	if x.observer != 0 {
		n -= 1 + 3
	}
	if !blocks {
		return n
	}
	n -= 2 + 3 // Block2
	if !x.options.has(message.ETag) {
		n -= 1 + message.MaxTagLength
	}
	if x.view.Has(message.Block1) {
		n -= 2 + 3
	}
	if x.view.Has(message.Size2) {
		n -= 1 + 4
	}
	return n
}

// curtail makes a response shorter that is too long for an address that is not verified.
func (x *exchange) curtail() {
	if x.challenging { // it asked with next to nothing
		x.fate = reject
		return
	}
	if code := x.code; !code.IsSuccess() { // RFC 7252 §5.5.2: the payload is for humans
		x.replace(code)
		if len(x.out) <= x.allowance {
			return
		}
	}
	switch {
	case x.shard.core.validation == SmallBlocks:
	case x.again():
		x.challenge()
		if x.write(); len(x.out) > x.allowance {
			x.fate = reject
		}
	default:
		code := x.code
		x.Reset()
		x.replace(code)
	}
}

// replace makes the response one without payload.
func (x *exchange) replace(code message.Code) {
	x.drop()
	x.options.remove(message.ContentFormat)
	x.code, x.piece, x.recalled, x.snapshot = code, blockwise.Slice{}, false, blockwise.Snapshot{}
	x.write()
}
