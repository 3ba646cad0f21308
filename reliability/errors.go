package reliability

import (
	"errors"
	"fmt"

	"github.com/motewire/coap/peer"
)

// Why an outgoing exchange ended without success. An [ExchangeError] wraps one of them.
var (
	// ErrTimeout: MaxRetransmit retransmissions and no Acknowledgement (RFC 7252 §4.2).
	ErrTimeout = errors.New("reliability: no acknowledgement")
	// ErrReset: the peer answered by a Reset message. To a ping this is success
	// (RFC 7252 §4.2, §4.3).
	ErrReset = errors.New("reliability: reset by peer")
	// ErrResponseTimeout: no response within Config.ResponseTimeout.
	ErrResponseTimeout = errors.New("reliability: no response")
	// ErrUnreachable: the network reported that the message did not arrive
	// (RFC 7252 §4.2).
	ErrUnreachable = errors.New("reliability: unreachable")
)

// What [Endpoint.Send] refuses.
var (
	ErrMulticastConfirmable = errors.New("reliability: confirmable message to a multicast group")
	ErrTooManyExchanges     = errors.New("reliability: too many open exchanges")
	ErrTooManyPeers         = errors.New("reliability: too many peers")
	ErrQueueFull            = errors.New("reliability: too many messages wait for the peer")
	ErrTokenInUse           = errors.New("reliability: token in use towards the peer")
	ErrDatagram             = errors.New("reliability: not a message to send")
)

// An ExchangeError says how an outgoing exchange failed. errors.Is finds both Err and
// Cause.
type ExchangeError struct {
	Peer     peer.Addr
	Attempts int   // transmissions of the message, the first one included
	Err      error // ErrTimeout, ErrReset, ErrResponseTimeout or ErrUnreachable
	Cause    error // what the transport reported, for ErrUnreachable; else nil
}

// Error names what happened, the number of transmissions and the peer.
func (e *ExchangeError) Error() string {
	times := "transmissions"
	if e.Attempts == 1 {
		times = "transmission"
	}
	text := fmt.Sprintf("%v after %d %s to %v", e.Err, e.Attempts, times, e.Peer)
	if e.Cause != nil {
		text += ": " + e.Cause.Error()
	}
	return text
}

// Unwrap returns Err and, where there is one, Cause.
func (e *ExchangeError) Unwrap() []error {
	if e.Cause == nil {
		return []error{e.Err}
	}
	return []error{e.Err, e.Cause}
}
