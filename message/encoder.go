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
	last uint32 // number of the last option; closed: none may follow
	code Code
	err  refusal
}

// closed lies above all option numbers, so that one comparison tells both what is out of
// order and what may not be at all.
const closed = 1 << 16

// A refusal is the index of an error in refusals, 0 for none.
type refusal uint8

const (
	refusedType refusal = iota + 1
	refusedCode
	refusedEmpty
	refusedOrder
	refusedLength
	refusedBlock
	refusedToken
)

var refusals = [...]error{
	refusedType: ErrType, refusedCode: ErrCode, refusedEmpty: ErrEmptyMessage,
	refusedOrder: ErrOptionOrder, refusedLength: ErrOptionTooLong, refusedBlock: ErrBlock,
	refusedToken: ErrTokenLength,
}

// AppendHeader starts a message behind dst with its header and token. What lies behind
// dst up to its capacity is overwritten, also beyond the end of the message.
func AppendHeader(dst []byte, t Type, c Code, id ID, token Token) Encoder {
	var last uint32
	var err refusal
	if c == Empty {
		if last = closed; token.length != 0 || t > Reset {
			err = refuseHeader(t, c, token)
		}
	} else if t > Acknowledgement || usual>>(c.Class()<<2|uint8(t))&1 == 0 {
		last, err = closed, refuseHeader(t, c, token)
	}
	n := len(dst)
	if cap(dst)-n < headerLength+MaxTokenLength {
		dst = append(dst, 1<<6|byte(t&3)<<4|token.length, byte(c), byte(id>>8), byte(id))
		return Encoder{append(dst, token.bytes[:token.length]...), last, c, err}
	}
	b := (*[headerLength + MaxTokenLength]byte)(dst[n : n+headerLength+MaxTokenLength])
	first := 1<<6 | uint32(t&3)<<4 | uint32(token.length)
	binary.BigEndian.PutUint32(b[:], first<<24|uint32(c)<<16|uint32(id))
	copy(b[headerLength:], token.bytes[:]) // all of it: a copy of known length is cheaper
	return Encoder{dst[:n+headerLength+int(token.length)], last, c, err}
}

// usual has bit class<<2|type of what a message with a code other than Empty may be
// (§4.2, §12.1): a request that is no Acknowledgement, or a response; neither a Reset.
const usual = 3 | 7<<8 | 7<<12 | 7<<16 | 7<<20

// refuseHeader says what is wrong with a header that is not usual.
func refuseHeader(t Type, c Code, token Token) refusal {
	switch class := c.Class(); {
	case t > Reset:
		return refusedType
	case class == 1 || class >= 6:
		return refusedCode
	case c == Empty && token.length != 0:
		return refusedEmpty
	case c != Empty:
		return refusedType
	}
	return 0
}

// refuse notes the first error.
func (e *Encoder) refuse(r refusal) {
	if e.err == 0 {
		e.err = r
	}
	e.last = closed
}

// Option appends an option. Equal numbers may follow each other; a smaller one is
// ErrOptionOrder.
func (e *Encoder) Option(n OptionNumber, value []byte) {
	delta := uint32(n) - e.last // far above 269 where n is smaller
	i := len(e.buf)
	if delta >= 269 || len(value) >= 13 || cap(e.buf)-i <= shortOption {
		e.longOption(n, value)
		return
	}
	e.last = uint32(n)
	room := e.buf[i : i+1+shortOption]
	head := byte(delta)<<4 | byte(len(value))
	end := i + 1 + len(value)
	if delta >= 13 {
		room[0], head = 13<<4|byte(len(value)), byte(delta-13)
		room = room[1:]
		end++
	}
	b := (*[shortOption]byte)(room)
	b[0] = head
	switch k := len(value); { // a copy of known length needs no call
	case k >= 8:
		*(*[8]byte)(b[1:]) = [8]byte(value)
		*(*[4]byte)(b[k-3 : k+1]) = [4]byte(value[k-4:])
	case k >= 4:
		*(*[4]byte)(b[1:]) = [4]byte(value)
		*(*[4]byte)(b[k-3 : k+1]) = [4]byte(value[k-4:])
	case k >= 2:
		*(*[2]byte)(b[1:]) = [2]byte(value)
		b[k] = value[k-1]
	case k == 1:
		b[1] = value[0]
	}
	e.buf = e.buf[:end]
}

// longOption is Option for what is long, far from the one before, or without room.
func (e *Encoder) longOption(n OptionNumber, value []byte) {
	if e.header(n, len(value)) {
		e.buf = append(e.buf, value...)
	}
}

// shortOption is the length of the longest option whose header is one byte.
const shortOption = 1 + 12

// OptionString appends an option with a string value.
func (e *Encoder) OptionString(n OptionNumber, value string) {
	if e.header(n, len(value)) {
		e.buf = append(e.buf, value...)
	}
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
	if !b.Valid() {
		e.refuse(refusedBlock)
	}
	e.OptionUint(n, b.Encode())
}

// Len returns the length in bytes of what the slice holds so far.
func (e *Encoder) Len() int { return len(e.buf) }

// header appends delta and length of an option in their shortest form (§3.1). It reports
// whether the option is not refused.
func (e *Encoder) header(n OptionNumber, length int) bool {
	delta := uint32(n) - e.last
	if delta > 65535 || length > MaxOptionLength {
		e.refuseOption(n)
		return false
	}
	e.last = uint32(n)
	if delta < 13 && length < 13 {
		e.buf = append(e.buf, byte(delta)<<4|byte(length))
		return true
	}
	b := append(e.buf, nibble(int(delta))<<4|nibble(length))
	e.buf = appendExtended(appendExtended(b, int(delta)), length)
	return true
}

// refuseOption says what is wrong with an option; an earlier error sticks.
func (e *Encoder) refuseOption(n OptionNumber) {
	switch {
	case e.code == Empty:
		e.refuse(refusedEmpty)
	case uint32(n) < e.last:
		e.refuse(refusedOrder) // or an error has closed e
	default:
		e.refuse(refusedLength)
	}
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
	if e.err != 0 || len(payload) != 0 {
		return e.finish(payload)
	}
	return e.buf, nil
}

func (e *Encoder) finish(payload []byte) ([]byte, error) {
	if e.err == 0 && e.code == Empty {
		e.err = refusedEmpty
	}
	if e.err != 0 {
		return nil, refusals[e.err]
	}
	return append(append(e.buf, payloadMarker), payload...), nil
}
