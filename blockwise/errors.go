package blockwise

import (
	"errors"
	"fmt"

	"github.com/motewire/coap/message"
)

// How a transfer ends before its time. An [Error] and an [Ended] carry one of them.
var (
	// ErrIncomplete says that blocks are missing and cannot be had: 4.08 and the like.
	ErrIncomplete = errors.New("blockwise: transfer incomplete")
	// ErrTooLarge says that the body exceeds a limit, or what 2**20 blocks can hold.
	ErrTooLarge = errors.New("blockwise: too large")
	// ErrETagChanged says that the representation changed under way, too often.
	ErrETagChanged = errors.New("blockwise: representation changed")
	// ErrProtocol says that the peer broke a rule of RFC 7959.
	ErrProtocol = errors.New("blockwise: protocol violation")
	// ErrRestarted says that the client began the same upload again.
	ErrRestarted = errors.New("blockwise: upload restarted")
	// ErrExpired says that no block came for Config.IdleTimeout.
	ErrExpired = errors.New("blockwise: transfer timed out")
	// ErrEvicted says that another transfer took the place of this one, or its memory.
	ErrEvicted = errors.New("blockwise: transfer evicted")
	// ErrConfig is wrapped by what constructors return for impossible values.
	ErrConfig = errors.New("blockwise: impossible configuration")
)

// An Error says where a client's transfer failed.
type Error struct {
	Block  message.Block // the one under way
	Offset int           // in the body, in bytes: where that block begins
	Want   string        // what was expected, "" where there is nothing to compare
	Got    string        // what came instead
	Err    error         // the cause: a sentinel of this package, or what the caller had
}

// Error names cause, block and offset.
func (e *Error) Error() string {
	s := fmt.Sprintf("%v at block %v, byte %d", e.Err, e.Block, e.Offset)
	if e.Want != "" || e.Got != "" {
		s += fmt.Sprintf(": want %s, got %s", e.Want, e.Got)
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }
