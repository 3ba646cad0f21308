package main

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/motewire/coap/message"
)

// A part says what bytes of a datagram are.
type part uint8

const (
	headerPart part = iota
	tokenPart
	optionHeadPart // delta and length
	optionPart     // a value
	markerPart
	payloadPart
	unreadPart // what stands behind a rule that is broken
)

// A field is a run of bytes of a datagram with one meaning (RFC 7252 §3).
type field struct {
	part       part
	start, end int    // bytes of the datagram
	text       string // what they say; it holds nothing that could upset a terminal
}

// A layout is a datagram on its way into fields.
type layout struct {
	raw    []byte
	fields []field
	next   int // first byte that is in no field
	number int // of the last option
}

// fieldsOf divides a datagram into fields, without a gap, whether or not it is a message.
// Where it can't be read any further the rest is one field.
func fieldsOf(raw []byte) []field {
	l := &layout{raw: raw}
	_ = l.header() && l.token() && l.options() // each begins where the one before ended well
	if l.next < len(raw) {
		l.add(unreadPart, len(raw)-l.next, "not read")
	}
	return l.fields
}

// add ends a field that is size bytes long.
func (l *layout) add(p part, size int, format string, args ...any) {
	l.fields = append(l.fields, field{p, l.next, l.next + size, fmt.Sprintf(format, args...)})
	l.next += size
}

// header reads the four bytes that each message begins with.
func (l *layout) header() bool {
	if len(l.raw) == 0 || l.raw[0]>>6 != 1 {
		return false
	}
	first := l.raw[0]
	l.add(headerPart, 1, "version 1, %v, token length %d", message.Type(first>>4&3), first&15)
	if len(l.raw) < 4 {
		return false
	}
	code := message.Code(l.raw[1])
	l.add(headerPart, 1, "code %s", strings.TrimSpace(code.String()+" "+code.Name()))
	l.add(headerPart, 2, "message ID 0x%04x, %[1]d", binary.BigEndian.Uint16(l.raw[2:]))
	return true
}

// token reads what the header gives the length of.
func (l *layout) token() bool {
	length := int(l.raw[0] & 15)
	if length > message.MaxTokenLength || length > len(l.raw)-l.next {
		return false
	}
	if length > 0 {
		l.add(tokenPart, length, "token")
	}
	return true
}

// options reads options and payload.
func (l *layout) options() bool {
	for l.next < len(l.raw) {
		if l.raw[l.next] == 0xff {
			l.payload()
			return true
		}
		if !l.option() {
			return false
		}
	}
	return true
}

func (l *layout) payload() {
	size := len(l.raw) - l.next - 1
	l.add(markerPart, 1, "payload marker")
	if size > 0 {
		l.add(payloadPart, size, "payload, %d B", size)
	}
}

// option reads one option (§3.1).
func (l *layout) option() bool {
	at := l.next + 1
	delta, at, whole := extension(l.raw, at, l.raw[l.next]>>4)
	if !whole {
		return false
	}
	length, at, whole := extension(l.raw, at, l.raw[l.next]&15)
	if !whole || l.number+delta > 65535 {
		return false
	}
	l.number += delta
	n := message.OptionNumber(l.number)
	if length > len(l.raw)-at {
		l.add(optionHeadPart, at-l.next, "%s: %d B, of which %d are there", optionTitle(n), length, len(l.raw)-at)
		return false
	}
	value := l.raw[at : at+length]
	l.add(optionHeadPart, at-l.next, "%s: delta %d, length %d", optionTitle(n), delta, length)
	if length > 0 {
		l.add(optionPart, length, "%s", valueText(n, value))
	} else {
		l.fields[len(l.fields)-1].text += emptyText(n)
	}
	return true
}

// extension reads what follows a half-byte of 13 or 14; 15 is reserved (§3.1).
func extension(raw []byte, at int, nibble byte) (value, next int, whole bool) {
	switch {
	case nibble == 13 && at < len(raw):
		return int(raw[at]) + 13, at + 1, true
	case nibble == 14 && at+1 < len(raw):
		return int(binary.BigEndian.Uint16(raw[at:])) + 269, at + 2, true
	}
	return int(nibble), at, nibble < 13
}

func optionTitle(n message.OptionNumber) string {
	if info, assigned := n.Info(); assigned {
		return fmt.Sprintf("option %d %s", uint16(n), info.Name)
	}
	return fmt.Sprintf("option %d", uint16(n))
}

// valueText is the value for reading; what is longer than a line is cut.
func valueText(n message.OptionNumber, value []byte) string {
	text := []rune(n.FormatValue(value))
	if len(text) > 64 {
		text = append(text[:63], '…')
	}
	if !legalValue(n, value) {
		return string(text) + "  (illegal length)"
	}
	return string(text)
}

// emptyText says what a value without a byte means: zero, or nothing.
func emptyText(n message.OptionNumber) string {
	switch info, assigned := n.Info(); {
	case !legalValue(n, nil):
		return "  (illegal length)"
	case assigned && info.Format == message.UintValue:
		return ", " + n.FormatValue(nil)
	}
	return ""
}

// legalValue tells whether a value's length is within its option's bounds (§5.4.3).
func legalValue(n message.OptionNumber, value []byte) bool {
	info, _ := n.Info()
	return len(value) >= info.MinLength && len(value) <= info.MaxLength
}
