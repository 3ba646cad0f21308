package coap

import (
	"encoding/json"

	"github.com/motewire/coap/message"
)

// A Body is a payload with its Content-Format. The zero Body is no payload.
type Body struct {
	data      []byte
	format    message.Format
	formatted bool
	err       error
}

// Text is a text/plain;charset=utf-8 body.
func Text(s string) Body { return Bytes([]byte(s), message.TextPlain) }

// Bytes is a body of the given Content-Format. It holds b, which must not change until
// the request is over.
func Bytes(b []byte, format message.Format) Body {
	return Body{data: b, format: format, formatted: true}
}

// Raw is a body without a Content-Format, whose meaning the peer has to know (RFC 7252
// §5.5.1).
func Raw(b []byte) Body { return Body{data: b} }

// JSON is v as an application/json body. A value that can't be encoded makes the request
// fail with the encoder's error.
func JSON(v any) Body {
	b, err := json.Marshal(v)
	return Body{data: b, format: message.AppJSON, formatted: true, err: err}
}

// ContentFormat returns the Content-Format, if the body has one.
func (b Body) ContentFormat() (message.Format, bool) { return b.format, b.formatted }

// Bytes returns the body, which may be what it was made of.
func (b Body) Bytes() ([]byte, error) { return b.data, b.err }

// Len returns the payload's length in bytes.
func (b Body) Len() int { return len(b.data) }
