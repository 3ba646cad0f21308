package observe

import (
	"github.com/motewire/coap/message"
	"github.com/motewire/coap/peer"
)

// An Observer is the handle of an observation in a [Registry]. Zero is none. A handle is
// never used for two observations.
type Observer uint64

// Slot returns a small number that no other observation has at the same time, so that
// the owner can keep its own part of one in a slice. The slot of none is -1.
func (o Observer) Slot() int { return int(uint32(o)) - 1 }

// A Resource is the number of an observable resource, chosen by the owner from 0 up:
// tables are as long as the highest number in use.
type Resource uint32

// A Representation is the owner's number of what an observer asked for: two observers of
// a resource whose requests have the same answer (method, query, Accept …) have the same
// one. The Registry hands it back and compares it.
type Representation uint32

// An Exchange is what the owner calls a Confirmable message under way, a
// reliability.Outbound say. Zero is none.
type Exchange uint64

// An Outcome says what a registration did.
type Outcome uint8

const (
	// Refused: a limit is reached, or the resource is ending. The request is answered
	// without Observe option (RFC 7641 §4.1).
	Refused Outcome = iota
	// New: an observer was added.
	New
	// Refreshed: the same request with the same token was there (RFC 7641 §4.1).
	Refreshed
	// Replaced: the token was in use for another request, whose observation is over.
	Replaced
)

// A Registration is what [Registry.Register] did.
type Registration struct {
	Outcome  Outcome
	Observer Observer // zero if refused
	// Sequence is for the Observe option of the response (RFC 7641 §4.4).
	Sequence uint32
	// Removed is the earlier observation with this token that is over, for Replaced and
	// sometimes for Refused.
	Removed Removal
}

// A Removal is an observation that is over. The zero Removal is none.
type Removal struct {
	Observer       Observer
	Resource       Resource
	Representation Representation
	// Exchange is that of a Confirmable notification that is still unacknowledged; its
	// retransmission is to be cancelled. Zero: none.
	Exchange Exchange
}

// A Notification is to be sent now. The owner renders the present state, which is shared
// by all notifications with the same Resource, Representation and Change, and sends it
// to Peer with Token and, unless it is the last one, Sequence as Observe option.
type Notification struct {
	Observer       Observer
	Peer           peer.Addr
	Token          message.Token
	Resource       Resource
	Representation Representation
	// Change counts the calls of Changed for the resource, so that the owner knows
	// whether what it has rendered is still the present state.
	Change uint32
	// Sequence is the 24-bit value of the Observe option (RFC 7641 §4.4).
	Sequence    uint32
	Confirmable bool
	// Final: the resource is ending. The owner sends an error response without Observe
	// option, 4.04 say, and then calls Conclude (RFC 7641 §4.2).
	Final bool
	// Replaces is the exchange whose retransmission is due and carries this newer state
	// instead (RFC 7641 §4.5.2). Zero: a notification of its own.
	Replaces Exchange
}

// A Cause says why an exchange with a Confirmable notification failed.
type Cause uint8

const (
	// TimedOut: it was never acknowledged (RFC 7641 §4.5).
	TimedOut Cause = iota
	// Rejected: the client answered by a Reset (RFC 7641 §3.6).
	Rejected
	// Unreachable: the network reported that it did not arrive.
	Unreachable
)
