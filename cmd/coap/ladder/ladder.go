// Package ladder makes conversations of captured datagrams: what answers what, what is
// sent again, and which exchanges belong together. It draws them as ladder diagrams in
// text and as pictures, and counts.
//
// A [Tracker] takes the datagrams in the order of a capture. Responses are matched with
// requests by token, Acknowledgements and Resets with messages by message ID (RFC 7252
// §4.2, §5.3.2). An observation with its notifications is one conversation (RFC 7641), a
// transfer in blocks as well (RFC 7959), and every other exchange one of its own.
package ladder

import (
	"net/netip"
	"time"

	"github.com/motewire/coap/message"
)

// exchangeLifetime is how long a message ID names one message (RFC 7252 §4.8.2), with the
// default transmission parameters.
const exchangeLifetime = 247 * time.Second

// hasty is the time below which a repeated Confirmable message is taken for a duplicate
// that the network made. No endpoint sends again so soon: ACK_TIMEOUT is 2 s, and where
// it has been tuned hardly below a second (RFC 7252 §4.8.1).
const hasty = 400 * time.Millisecond

// A Datagram is one of a capture.
type Datagram struct {
	Frame    int           // of the capture, from 1
	At       time.Duration // since the first frame
	From, To netip.AddrPort
	Raw      []byte // kept, not copied
}

// A Kind says what a message does in its conversation.
type Kind uint8

// The kinds.
const (
	Request         Kind = iota
	Response             // the first one to a request
	Notification         // a further one of an observation
	FurtherResponse      // a further one otherwise: of another member of a group, or one too many
	Acknowledgement      // an Empty one
	Reset
	Ping      // an Empty Confirmable message
	Malformed // no message
)

var kindNames = [...]string{
	"request", "response", "notification", "further response", "empty acknowledgement", "reset", "ping", "malformed",
}

// String names the kind.
func (k Kind) String() string { return kindNames[k] }

// A Fate says whether a datagram is new.
type Fate uint8

// The fates.
const (
	New       Fate = iota
	Resent         // sent again by its sender, for want of an Acknowledgement (RFC 7252 §4.2)
	Duplicate      // by the network
	Again          // the same answer as before, to what came again (RFC 7252 §4.5)
)

// A Step is a datagram in its conversation.
type Step struct {
	Datagram
	View         message.View // of what is not malformed
	Err          error        // why it is malformed
	Kind         Kind
	Fate         Fate
	Repeats      int           // how often it was there before, as far as Fate counts it
	After        time.Duration // since what it answers, or what it repeats, was first there
	Answers      *Step         // the request of a response, the message of an ACK or RST; nil: not in the capture
	Separate     bool          // a response in a message of its own to a Confirmable request (RFC 7252 §5.2.2)
	Conversation *Conversation
}

// A Conversation is what belongs together between two endpoints.
type Conversation struct {
	Number         int // from 1, by the first datagram
	Client, Server netip.AddrPort
	Title          string // what is asked: method and path, or what there is instead
	Steps          []*Step
	Observes       bool // a request of it asked to observe
	Blocks         bool // a message of it has a block option

	restartable bool // the last response asked for the transfer to begin anew
}

// fromClient tells the direction of a step.
func (c *Conversation) fromClient(s *Step) bool { return s.From == c.Client }

// count returns how many new steps of a kind there are.
func (c *Conversation) count(k Kind) (n int) {
	for _, s := range c.Steps {
		if s.Kind == k && s.Fate == New {
			n++
		}
	}
	return n
}

// confirmable tells whether a step waits for an Acknowledgement.
func (s *Step) confirmable() bool {
	return s.Kind != Malformed && s.View.Type() == message.Confirmable
}
