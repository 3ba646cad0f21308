package message

import (
	"encoding/binary"
	"errors"
)

// MaxOptionLength is the longest value that an option can carry on the wire: an
// extended length of 65,535 above 269 (RFC 7252 §3.1).
const MaxOptionLength = 65535 + 269

// What an [Encoder] refuses beyond what a decoder refuses.
var (
	ErrOptionOrder   = errors.New("message: options not in ascending order")
	ErrOptionTooLong = errors.New("message: option value too long")
)

// An Encoder appends one message to a slice of the caller (RFC 7252 §3). Options go in
// ascending order; the first error sticks and Finish returns it. It allocates only
// where the slice must grow.
type Encoder struct {
	buf  []byte
	last OptionNumber
	code Code
	err  error
}

// AppendHeader starts a message behind dst with its header and token.
func AppendHeader(dst []byte, t Type, c Code, id ID, token Token) Encoder {
	e := Encoder{code: c}
	switch class := c.Class(); {
	case t > Reset:
		e.err = ErrType
	case class == 1 || class >= 6:
		e.err = ErrCode
	case c == Empty && token.length != 0:
		e.err = ErrEmptyMessage
	case c != Empty && (t == Reset || t == Acknowledgement && class == 0):
		e.err = ErrType
	}
	dst = append(dst, 1<<6|byte(t&3)<<4|token.length, byte(c), byte(id>>8), byte(id))
	e.buf = append(dst, token.bytes[:token.length]...)
	return e
}

// Option appends an option. Equal numbers may follow each other; a smaller one is
// ErrOptionOrder.
func (e *Encoder) Option(n OptionNumber, value []byte) {
	if !e.optionHeader(n, len(value)) {
		return
	}
	e.buf = append(e.buf, value...)
}

// OptionString appends an option with a string value.
func (e *Encoder) OptionString(n OptionNumber, value string) {
	if !e.optionHeader(n, len(value)) {
		return
	}
	e.buf = append(e.buf, value...)
}

// OptionUint appends an option with an unsigned integer in its shortest form, which for
// zero is empty (RFC 7252 §3.2).
func (e *Encoder) OptionUint(n OptionNumber, value uint32) {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], value)
	i := 0
	for i < 4 && b[i] == 0 {
		i++
	}
	e.Option(n, b[i:])
}

// OptionTag appends an ETag, If-Match or Request-Tag option.
func (e *Encoder) OptionTag(n OptionNumber, tag Tag) { e.Option(n, tag.bytes[:tag.length]) }

// OptionBlock appends a Block1 or Block2 option. A Block that is not valid is [ErrBlock].
func (e *Encoder) OptionBlock(n OptionNumber, b Block) {
	if !b.Valid() && e.err == nil {
		e.err = ErrBlock
	}
	e.OptionUint(n, b.Encode())
}

// Len returns the length in bytes of what the slice holds so far.
func (e *Encoder) Len() int { return len(e.buf) }

// optionHeader appends delta and length in their shortest form (§3.1).
func (e *Encoder) optionHeader(n OptionNumber, length int) bool {
	switch {
	case e.err != nil:
		return false
	case e.code == Empty:
		e.err = ErrEmptyMessage
		return false
	case n < e.last:
		e.err = ErrOptionOrder
		return false
	case length > MaxOptionLength:
		e.err = ErrOptionTooLong
		return false
	}
	delta := int(n - e.last)
	e.last = n
	if delta < 13 && length < 13 {
		e.buf = append(e.buf, byte(delta<<4|length))
		return true
	}
	e.buf = append(e.buf, nibble(delta)<<4|nibble(length))
	e.buf = appendExtended(e.buf, delta)
	e.buf = appendExtended(e.buf, length)
	return true
}

// nibble returns the four bits that stand for v in an option header.
func nibble(v int) byte {
	switch {
	case v < 13:
		return byte(v)
	case v < 269:
		return 13
	}
	return 14
}

func appendExtended(b []byte, v int) []byte {
	switch {
	case v < 13:
		return b
	case v < 269:
		return append(b, byte(v-13))
	}
	return binary.BigEndian.AppendUint16(b, uint16(v-269))
}

// Finish appends the payload, behind a marker where it is not empty, and returns the
// slice that AppendHeader was given, longer by one message. After an error the slice is
// nil.
func (e *Encoder) Finish(payload []byte) ([]byte, error) {
	if e.err != nil {
		return nil, e.err
	}
	if len(payload) == 0 {
		return e.buf, nil
	}
	if e.code == Empty {
		return nil, ErrEmptyMessage
	}
	e.buf = append(e.buf, payloadMarker)
	return append(e.buf, payload...), nil
}
