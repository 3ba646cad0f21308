package coap

import (
	"encoding/json"
	"io"

	"github.com/motewire/coap/message"
)

// A Body is what a request carries, of any length, with its Content-Format. What doesn't
// fit into one message is sent in blocks (RFC 7959). The zero Body is no payload.
type Body struct {
	data      []byte
	stream    *stream // nil: data is the body
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

// Bytes returns the body, which may be what it was made of. A [Stream] is read to its end.
func (b Body) Bytes() ([]byte, error) {
	if b.stream == nil {
		return b.data, b.err
	}
	if err := b.claim(); err != nil {
		return nil, err
	}
	return io.ReadAll(b.stream.reader)
}

// Len returns the body's length in bytes, -1 for a [Stream] that doesn't tell.
func (b Body) Len() int {
	if b.stream != nil {
		return int(sizeOf(b.stream.reader))
	}
	return len(b.data)
}
