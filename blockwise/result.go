package blockwise

import (
	"time"

	"github.com/motewire/coap/message"
)

// An Outcome is what became of a request that was given to an [Assembler].
type Outcome uint8

// The outcomes. Whole and Complete give a body to the handler; the others are answered
// as the package comment says.
const (
	// Whole: the body is in this one message, with Block1 or without.
	Whole Outcome = iota
	// Complete: this was the last block. Body is the whole, or Chunk the end of a stream.
	Complete
	// Continue: the block is taken, or was before; the next one is awaited (§2.9.1).
	Continue
	// Repeated: the last block of a body that was complete already. It is recognised for
	// Config.IdleTimeout, until the client begins another body.
	Repeated
	// Incomplete: an earlier block is missing, was not the same, or is no longer there
	// (§2.9.2).
	Incomplete
	// TooLarge: the body is above the limit (§2.9.3). What was there of it is gone. Block1
	// repeats the block size, as a smaller one, which would be a hint, does not help.
	TooLarge
	// Bad: the reserved SZX 7, or M is set and the payload is not a block (§2.2, §2.3).
	Bad
	// Busy: no memory for the block now. The transfer stays as it was.
	Busy
)

var outcomes = [...]struct {
	name string
	code message.Code
}{
	Whole:      {"Whole", message.Empty},
	Complete:   {"Complete", message.Empty},
	Continue:   {"Continue", message.Continue},
	Repeated:   {"Repeated", message.Empty},
	Incomplete: {"Incomplete", message.RequestEntityIncomplete},
	TooLarge:   {"TooLarge", message.RequestEntityTooLarge},
	Bad:        {"Bad", message.BadRequest},
	Busy:       {"Busy", message.ServiceUnavailable},
}

// String returns the outcome's name.
func (o Outcome) String() string { return outcomes[o].name }

// Code returns the code of the response that answers the request at once, and 0 for
// Whole, Complete and Repeated, where that is not known here.
func (o Outcome) Code() message.Code { return outcomes[o].code }

// busyMaxAge is how long a client is to wait when there is no memory for its block.
const busyMaxAge = 5 * time.Second

// A Transfer names an upload that is read as it arrives. It is never given twice; zero
// names none.
type Transfer uint64

// A Result says what became of a request, and what goes into the response. It is a value;
// the response may be sent at any later time.
type Result struct {
	Outcome Outcome

	// Blockwise says that Block1 goes into the response, also into the final one of
	// Whole, Complete and Repeated (§2.3).
	Blockwise bool
	Block1    message.Block
	// Size1 is the limit in bytes where the body is TooLarge.
	Size1 int
	// MaxAge says when to come again where the Outcome is Busy.
	MaxAge time.Duration

	// Body is the whole body: of Whole it aliases the datagram, of Complete it is the
	// caller's, who may give it to Assembler.Recycle. Nil for a stream.
	Body []byte

	// Transfer names the stream of which Chunk is the next piece, Offset bytes from the
	// start. Chunk aliases the datagram; it is empty where the block was taken before.
	Transfer Transfer
	Chunk    []byte
	Offset   int
	// Started says that the stream begins with this block.
	Started bool

	// IfNoneMatch says of a Complete body that block 0 came with that option: it is checked
	// again now (§2.10).
	IfNoneMatch bool
}

// An Ended event says that a stream ended before its last block. The reader of the body
// gets an error, never the end of the body.
type Ended struct {
	Transfer Transfer
	Err      error // ErrIncomplete, ErrTooLarge, ErrRestarted, ErrExpired or ErrEvicted
}
