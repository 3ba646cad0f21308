// Package message turns bytes into CoAP messages and back (RFC 7252 §3).
//
// A [View] is a parsed message that borrows the datagram it was parsed from; an
// [Encoder] appends a message to a slice of the caller. Neither allocates, for any
// input. The package also holds what the bytes mean: the registries of codes,
// options and Content-Formats (§12), and coap and coaps URIs (§6).
//
// It imports the standard library alone and knows no socket, clock or goroutine.
//
// # Long tokens
//
// A token has 0 to 8 bytes; a greater token length is [ErrTokenLength], and [Token] the
// value that tables are keyed by. Who admits extended tokens (RFC 8974 §2.1) parses with
// [View.ParseExtended], takes [View.TokenBytes], and echoes these with
// [AppendExtendedHeader]: that is all that a server does with a token.
package message

import (
	"encoding/hex"
)

// Type is the message type, two bits of the header (RFC 7252 §3).
type Type uint8

// The four message types (RFC 7252 §4.2, §4.3).
const (
	Confirmable     Type = 0 // asks for an Acknowledgement
	NonConfirmable  Type = 1 // does not
	Acknowledgement Type = 2 // acknowledges a Confirmable message by its ID
	Reset           Type = 3 // says that a message could not be processed
)

// String returns the RFC's abbreviation: CON, NON, ACK or RST.
func (t Type) String() string {
	return [...]string{"CON", "NON", "ACK", "RST"}[t&3]
}

// ID is a message ID: it pairs Acknowledgement and Reset with the message they answer
// and tells duplicates (RFC 7252 §4.4). It is not the [Token].
type ID uint16

// MaxTokenLength is the longest token of RFC 7252 in bytes (§3).
const MaxTokenLength = 8

// Token matches a response to its request (RFC 7252 §5.3.1): 0 to 8 bytes, opaque to
// all but the client. It is a comparable value, fit for a map key. The zero Token is
// the empty one.
type Token struct {
	bytes  [MaxTokenLength]byte // zero beyond length
	length uint8
}

// MakeToken copies b into a Token. It returns [ErrTokenLength] when b is longer than
// [MaxTokenLength].
func MakeToken(b []byte) (Token, error) {
	var t Token
	if len(b) > MaxTokenLength {
		return t, ErrTokenLength
	}
	t.length = uint8(copy(t.bytes[:], b))
	return t, nil
}

// Len returns the length in bytes, 0 to 8.
func (t Token) Len() int { return int(t.length) }

// Append appends the token's bytes to dst.
func (t Token) Append(dst []byte) []byte { return append(dst, t.bytes[:t.length]...) }

// String returns the token in lower-case hex.
func (t Token) String() string { return hex.EncodeToString(t.bytes[:t.length]) }
