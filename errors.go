package coap

import (
	"errors"
	"fmt"
	"strings"

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
	// ErrUnreachable: the network said that the message did not arrive.
	ErrUnreachable = reliability.ErrUnreachable
	// ErrMessageIDsExhausted: all message IDs towards the peer are in use and the
	// context ended before one became free (RFC 7252 §4.4).
	ErrMessageIDsExhausted = errors.New("coap: message IDs exhausted")
	// ErrTooLarge: the message does not fit into a datagram, or a body exceeds a limit.
	ErrTooLarge = errors.New("coap: too large")
	// ErrCriticalOption: the response has a critical option that the client does not
	// recognize, and was rejected (RFC 7252 §5.4.1).
	ErrCriticalOption = errors.New("coap: unrecognized critical option in the response")
	// ErrClosed: the client or server was closed.
	ErrClosed = errors.New("coap: closed")
	// ErrURL: the request's URL can't be used.
	ErrURL = errors.New("coap: unusable URL")
)

// An OpError says which request failed, where, and how far it had come.
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
	var x *reliability.ExchangeError
	if errors.As(e.Err, &x) {
		e.appendEnd(&b, x)
	} else {
		e.appendPhase(&b)
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	return b.String()
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
