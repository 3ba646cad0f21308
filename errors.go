package coap

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/motewire/coap/blockwise"
	"github.com/motewire/coap/message"
	"github.com/motewire/coap/reliability"
)

// What a request can fail by. The errors that come back wrap one of these and say more:
// use errors.Is.
var (
	// ErrTimeout: a Confirmable message was retransmitted to the end and not
	// acknowledged (RFC 7252 §4.2).
	ErrTimeout = reliability.ErrTimeout
	// ErrReset: the peer rejected the message (RFC 7252 §4.2).
	ErrReset = reliability.ErrReset
	// ErrResponseTimeout: the request arrived, or was Non-confirmable, and no response
	// came (RFC 7252 §5.2.2).
	ErrResponseTimeout = reliability.ErrResponseTimeout
	// ErrUnreachable: the network said that the message did not arrive, or this host would
	// not send it. errors.Is finds the system's error, too.
	ErrUnreachable = reliability.ErrUnreachable
	// ErrMessageIDsExhausted: all message IDs towards the peer are in use and the
	// context ended before one became free (RFC 7252 §4.4).
	ErrMessageIDsExhausted = errors.New("coap: message IDs exhausted")
	// ErrTooLarge: the message exceeds [Limits].MessageBytes, or a body its limit or what
	// 2**20 blocks hold. [Response.Err] of a 4.13 wraps it too.
	ErrTooLarge = blockwise.ErrTooLarge
	// ErrBlockIncomplete: blocks of a body are missing and can't be had (RFC 7959 §2.9.2).
	// [Response.Err] of a 4.08 wraps it too.
	ErrBlockIncomplete = blockwise.ErrIncomplete
	// ErrETagChanged: the representation changed while its blocks were fetched, so that
	// they don't fit together (RFC 7959 §2.4).
	ErrETagChanged = blockwise.ErrETagChanged
	// ErrBlockProtocol: the peer broke a rule of RFC 7959.
	ErrBlockProtocol = blockwise.ErrProtocol
	// ErrStreamUsed: the body is a [Stream] that was sent before.
	ErrStreamUsed = errors.New("coap: Stream was sent before")
	// ErrOption: a [RequestOption] has a value that can't be sent.
	ErrOption = errors.New("coap: impossible option")
	// ErrCriticalOption: the response has a critical option that the client does not
	// recognize, and was rejected (RFC 7252 §5.4.1).
	ErrCriticalOption = errors.New("coap: unrecognized critical option in the response")
	// ErrClosed: the client or server was closed, or its socket is beyond use, which the
	// error then says; a client opens another one for its next request.
	ErrClosed = errors.New("coap: closed")
	// ErrURL: the request's URL can't be used.
	ErrURL = errors.New("coap: unusable URL")
)

// An OpError says which request failed, where, and how far it had come. Where one of
// several blocks failed, it wraps a [*blockwise.Error] that names the block.
type OpError struct {
	Op       string // the method, or "ping"
	URL      string // what was asked, empty where the peer was addressed itself
	Peer     string // address and port, empty before it was known
	Attempts int    // transmissions of the request
	Phase    string // what it waited for: "resolve", "send", "acknowledgement", "response"
	Err      error
}

// Error tells all that is known on one line.
func (e *OpError) Error() string {
	var b strings.Builder
	b.WriteString("coap: ")
	b.WriteString(e.Op)
	if e.URL != "" {
		b.WriteString(" " + e.URL)
	}
	if e.Peer != "" && !strings.Contains(e.URL, e.Peer) {
		b.WriteString(" at " + e.Peer)
	}
	var block *blockwise.Error
	if errors.As(e.Err, &block) {
		fmt.Fprintf(&b, ": block %v, byte %d", block.Block, block.Offset)
	}
	var x *reliability.ExchangeError
	if errors.As(e.Err, &x) {
		e.appendEnd(&b, x)
		return b.String()
	}
	e.appendPhase(&b)
	if block != nil {
		appendBlock(&b, block)
	} else {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	return b.String()
}

// appendBlock tells why a block failed; which one it was has been said.
func appendBlock(b *strings.Builder, block *blockwise.Error) {
	fmt.Fprintf(b, ": %s", strings.TrimPrefix(block.Err.Error(), "blockwise: "))
	if block.Want != "" || block.Got != "" {
		fmt.Fprintf(b, ": want %s, got %s", block.Want, block.Got)
	}
}

// appendEnd tells what the message layer said, without what was said before.
func (e *OpError) appendEnd(b *strings.Builder, x *reliability.ExchangeError) {
	fmt.Fprintf(b, ": %s (%d sent)", strings.TrimPrefix(x.Err.Error(), "reliability: "), x.Attempts)
	if x.Cause != nil {
		fmt.Fprintf(b, ": %v", x.Cause)
	}
}

func (e *OpError) appendPhase(b *strings.Builder) {
	switch e.Phase {
	case "", "resolve": // the cause says it
	case "send":
		b.WriteString(": waiting to be sent")
	default:
		fmt.Fprintf(b, ": waiting for %s (%d sent)", e.Phase, e.Attempts)
	}
}

// Unwrap returns the cause.
func (e *OpError) Unwrap() error { return e.Err }

// A ResponseError is a 4.xx or 5.xx response made an error by [Response.Err].
type ResponseError struct {
	Code       message.Code
	Diagnostic string // the diagnostic payload, where there is one (RFC 7252 §5.5.2)
	// RetryAfter is how long not to send a similar request, see [Response.RetryAfter].
	RetryAfter time.Duration
}

// Error names the code and the diagnostic payload.
func (e *ResponseError) Error() string {
	text := "coap: " + e.Code.String()
	if name := e.Code.Name(); name != "" {
		text += " " + name
	}
	if e.Diagnostic != "" {
		text += ": " + fmt.Sprintf("%q", e.Diagnostic)
	}
	return text
}

// Is reports that a 4.08 is ErrBlockIncomplete and a 4.13 ErrTooLarge.
func (e *ResponseError) Is(target error) bool {
	return target == ErrBlockIncomplete && e.Code == message.RequestEntityIncomplete ||
		target == ErrTooLarge && e.Code == message.RequestEntityTooLarge
}
