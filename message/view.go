package message

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
)

// headerLength is the fixed part of every message (RFC 7252 §3).
const headerLength = 4

// payloadMarker ends the options where a payload follows (RFC 7252 §3).
const payloadMarker = 0xff

// The rules a datagram can break (RFC 7252 §3, §3.1, §4.1, §4.2). A [FormatError]
// wraps one of them.
var (
	ErrTruncated     = errors.New("message: truncated")
	ErrVersion       = errors.New("message: unknown version")
	ErrTokenLength   = errors.New("message: token length above 8")
	ErrOptionDelta   = errors.New("message: reserved option delta 15")
	ErrOptionLength  = errors.New("message: reserved option length 15")
	ErrOptionNumber  = errors.New("message: option number above 65535")
	ErrPayloadMarker = errors.New("message: payload marker without payload")
	ErrEmptyMessage  = errors.New("message: empty message with content")
	ErrCode          = errors.New("message: reserved code class")
	ErrType          = errors.New("message: type does not go with code")
)

// A FormatError reports the first rule that a datagram breaks.
type FormatError struct {
	// Offset is where, in bytes from the start of the datagram: 0 to its length.
	Offset int
	// Intact says that version, type and message ID could be read: a Confirmable
	// message is then answered with a Reset (RFC 7252 §4.2).
	Intact bool
	// Err is the rule: one of the sentinels of this package.
	Err error
}

// Error names the rule and the offset.
func (e *FormatError) Error() string { return fmt.Sprintf("%v at byte %d", e.Err, e.Offset) }

// Unwrap returns the rule.
func (e *FormatError) Unwrap() error { return e.Err }

// A View is a parsed message. It borrows the datagram: token, option values and
// payload alias it and are valid as long as it is unchanged. The zero View is ready
// for [View.Parse]; a View may be parsed again and again, and should be: as its error
// points into it, it lives on the heap.
type View struct {
	datagram []byte
	options  int          // offset of the first option
	payload  int          // offset of the payload marker, or the datagram's length
	high     int          // offset of the first option with a number of 64 or more, 0 for none
	before   OptionNumber // number of the option before that one, 0 for none
	present  uint64       // bit n: an option with number n < 64 is there
	repeated uint64       // bit n: it is there more than once
	illegal  uint64       // bit n: the length of one of them is out of bounds (§5.4.3)
	err      FormatError
}

// Parse checks the whole datagram and points v into it (RFC 7252 §3). After an error,
// a *[FormatError] that lives inside v until the next Parse, only Type, Code and ID may
// be asked, and these only if the error is Intact. Parse allocates nothing.
func (v *View) Parse(datagram []byte) error {
	v.datagram, v.high, v.before = datagram, 0, 0
	v.present, v.repeated, v.illegal, v.err.Err = 0, 0, 0, nil
	if len(datagram) < headerLength {
		if len(datagram) > 0 && datagram[0]>>6 != 1 {
			return v.fail(0, false, ErrVersion)
		}
		return v.fail(len(datagram), false, ErrTruncated)
	}
	if datagram[0]>>6 != 1 {
		return v.fail(0, false, ErrVersion) // §3: silently ignored
	}
	tkl := int(datagram[0] & 15)
	if code := Code(datagram[1]); code == Empty {
		return v.parseEmpty(tkl)
	} else if c := code.Class(); c == 1 || c >= 6 {
		return v.fail(1, true, ErrCode) // §12.1: reserved; §4.2, §4.3: rejected
	} else if t := v.Type(); t == Reset || t == Acknowledgement && c == 0 {
		return v.fail(1, true, ErrType) // §4.2: an ACK never carries a request, an RST nothing
	}
	if tkl > MaxTokenLength {
		return v.fail(0, true, ErrTokenLength) // §3
	}
	v.options = headerLength + tkl
	if v.options > len(datagram) {
		return v.fail(len(datagram), true, ErrTruncated)
	}
	return v.parseOptions()
}

// parseEmpty checks that an Empty message has nothing behind its ID (§4.1).
func (v *View) parseEmpty(tkl int) error {
	if tkl != 0 {
		return v.fail(0, true, ErrEmptyMessage)
	}
	if len(v.datagram) != headerLength {
		return v.fail(headerLength, true, ErrEmptyMessage)
	}
	v.options, v.payload = headerLength, headerLength
	return nil
}

// parseOptions walks the options up to the payload marker or the end (§3.1).
func (v *View) parseOptions() error {
	b, i, number := v.datagram, v.options, uint(0)
	for i < len(b) {
		start := i
		if b[i] == payloadMarker {
			if i+1 == len(b) {
				return v.fail(i, true, ErrPayloadMarker) // §3: a marker before nothing
			}
			break
		}
		delta, length := uint(b[i]>>4), uint(b[i]&15)
		i++
		if delta >= 13 || length >= 13 {
			if delta == 15 {
				return v.fail(start, true, ErrOptionDelta)
			}
			if length == 15 {
				return v.fail(start, true, ErrOptionLength)
			}
			var ok bool
			if delta, i, ok = extended(b, i, delta); !ok {
				return v.fail(len(b), true, ErrTruncated)
			}
			if length, i, ok = extended(b, i, length); !ok {
				return v.fail(len(b), true, ErrTruncated)
			}
		}
		previous := number
		number += delta
		if number > 65535 {
			return v.fail(start, true, ErrOptionNumber)
		}
		if length > uint(len(b)-i) {
			return v.fail(len(b), true, ErrTruncated)
		}
		if number < 64 {
			v.note(number, int(length))
		} else if v.high == 0 {
			v.high, v.before = start, OptionNumber(previous)
		}
		i += int(length)
	}
	v.payload = i
	return nil
}

// note keeps what the option check and the accessors want to know of an option below 64.
func (v *View) note(number uint, length int) {
	bit := uint64(1) << number
	v.repeated |= v.present & bit
	v.present |= bit
	if !lowLengths[number].allows(length) {
		v.illegal |= bit
	}
}

// extended reads the extension of an option delta or length: one byte after 13, two
// after 14 (§3.1). It reports false where b ends first.
func extended(b []byte, i int, nibble uint) (value uint, next int, ok bool) {
	switch nibble {
	case 13:
		if i >= len(b) {
			return 0, i, false
		}
		return uint(b[i]) + 13, i + 1, true
	case 14:
		if i+1 >= len(b) {
			return 0, i, false
		}
		return uint(binary.BigEndian.Uint16(b[i:])) + 269, i + 2, true
	}
	return nibble, i, true
}

func (v *View) fail(offset int, intact bool, rule error) error {
	v.options, v.payload, v.high = len(v.datagram), len(v.datagram), 0
	v.present, v.repeated, v.illegal = 0, 0, 0
	v.err = FormatError{Offset: offset, Intact: intact, Err: rule}
	return &v.err
}

// Type returns the message type.
func (v *View) Type() Type { return Type(v.datagram[0] >> 4 & 3) }

// Code returns the method or response code.
func (v *View) Code() Code { return Code(v.datagram[1]) }

// ID returns the message ID.
func (v *View) ID() ID { return ID(binary.BigEndian.Uint16(v.datagram[2:])) }

// Token returns the token as a value. An extended one is none: [View.TokenBytes] has it.
func (v *View) Token() Token {
	var t Token
	if b := v.datagram[headerLength:v.options]; len(b) <= MaxTokenLength {
		t.length = uint8(copy(t.bytes[:], b))
	}
	return t
}

// Payload returns the payload, nil where there is none. It aliases the datagram.
func (v *View) Payload() []byte {
	if v.payload >= len(v.datagram) {
		return nil
	}
	return v.datagram[v.payload+1 : len(v.datagram) : len(v.datagram)]
}

// Datagram returns the bytes that v was parsed from.
func (v *View) Datagram() []byte { return v.datagram }

// Has reports whether an option with this number is there, whatever its length.
func (v *View) Has(n OptionNumber) bool {
	if n < 64 {
		return v.present>>n&1 != 0
	}
	_, ok := v.Option(n)
	return ok
}

// Option returns the value of the first option with this number. It aliases the
// datagram. A message with several is iterated with [View.Options].
func (v *View) Option(n OptionNumber) (value []byte, ok bool) {
	if !v.mayHave(n) {
		return nil, false
	}
	for c := v.cursorFrom(n); c.next() && c.number <= n; {
		if c.number == n {
			return c.value, true
		}
	}
	return nil, false
}

// mayHave is false where it is known without looking that there is no option n.
func (v *View) mayHave(n OptionNumber) bool {
	if n < 64 {
		return v.present>>n&1 != 0
	}
	return v.high != 0
}

// Options iterates over the options in wire order, which is ascending by number. Values
// alias the datagram. Iteration cannot fail and allocates nothing.
func (v *View) Options() iter.Seq2[OptionNumber, []byte] {
	return func(yield func(OptionNumber, []byte) bool) {
		c := cursor{b: v.datagram[:v.payload], i: v.options}
		for c.next() {
			if !yield(c.number, c.value) {
				return
			}
		}
	}
}

// A cursor walks options that parseOptions has checked.
type cursor struct {
	b      []byte // datagram up to the payload marker
	i      int
	number OptionNumber
	value  []byte
}

// cursorFrom returns a cursor that meets every option with a number of n or more.
func (v *View) cursorFrom(n OptionNumber) cursor {
	if n >= 64 && v.high != 0 {
		return cursor{b: v.datagram[:v.payload], i: v.high, number: v.before}
	}
	return cursor{b: v.datagram[:v.payload], i: v.options}
}

func (c *cursor) next() bool {
	if c.i >= len(c.b) {
		return false
	}
	delta, length := uint(c.b[c.i]>>4), uint(c.b[c.i]&15)
	c.i++
	delta, c.i, _ = extended(c.b, c.i, delta)
	length, c.i, _ = extended(c.b, c.i, length)
	c.number += OptionNumber(delta)
	end := c.i + int(length)
	c.value = c.b[c.i:end:end]
	c.i = end
	return true
}
