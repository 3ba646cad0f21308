package main

import (
	"bytes"
	"errors"
	"strconv"
	"strings"

	"github.com/motewire/coap/message"
)

// A dissection is what a datagram says, whether or not an endpoint accepts it.
type dissection struct {
	view      message.View
	kind      message.Type
	code      message.Code
	malformed *message.FormatError // nil: a message
	laidOut   bool                 // view has token, options and payload
}

// dissect takes a datagram apart. One that is laid out as a message and is refused for its
// code or its type (RFC 7252 §4.1 to §4.3, §12.1) is malformed and shows its parts
// nevertheless.
func dissect(raw []byte) (m dissection) {
	err := m.view.Parse(raw)
	if err == nil {
		m.kind, m.code, m.laidOut = m.view.Type(), m.view.Code(), true
		return m
	}
	var format *message.FormatError
	if !errors.As(err, &format) {
		format = &message.FormatError{Err: err}
	}
	m.malformed = &message.FormatError{Offset: format.Offset, Intact: format.Intact, Err: format.Err}
	if !errors.Is(err, message.ErrCode) && !errors.Is(err, message.ErrType) && !errors.Is(err, message.ErrEmptyMessage) {
		return m
	}
	m.kind, m.code = m.view.Type(), m.view.Code()
	m.laidOut = m.view.Parse(asRequest(raw)) == nil
	return m
}

// asRequest returns a copy of a datagram with the code and the type of a request, which
// any layout goes with.
func asRequest(raw []byte) []byte {
	b := bytes.Clone(raw)
	b[0] = b[0]&^0x30 | byte(message.Confirmable)<<4
	b[1] = byte(message.GET)
	return b
}

// ruleText names the rule that a datagram breaks, without the package's name.
func ruleText(e *message.FormatError) string {
	return strings.TrimPrefix(e.Err.Error(), "message: ")
}

// fullRuleText names rule and byte.
func fullRuleText(e *message.FormatError) string {
	return ruleText(e) + " at byte " + strconv.Itoa(e.Offset)
}
