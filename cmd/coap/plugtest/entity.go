package plugtest

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"

	"github.com/motewire/coap"
	"github.com/motewire/coap/message"
)

// An entity is a stored representation.
type entity struct {
	body   []byte
	format message.Format
}

// entityOf copies the body of a request, which says what it is.
func entityOf(r *coap.Request, format message.Format) entity {
	return entity{body: bytes.Clone(r.Payload()), format: format}
}

// tag returns the ETag, a function of body and format.
func (e entity) tag() message.Tag {
	h := sha256.New()
	h.Write(binary.BigEndian.AppendUint16(nil, uint16(e.format)))
	h.Write(e.body)
	tag, _ := message.MakeTag(h.Sum(nil)[:message.MaxTagLength]) // not too long
	return tag
}

// write makes the entity the response's payload.
func (e entity) write(w coap.ResponseWriter) {
	w.SetContentFormat(e.format)
	w.Write(e.body)
}

// meets reports whether the preconditions of a request hold for a target (RFC 7252
// §5.10.8). tag is its ETag, the zero Tag where it has none.
func meets(r *coap.Request, tag message.Tag, exists bool) bool {
	if exists && r.IfNoneMatch() {
		return false
	}
	v := r.Message()
	if !v.Has(message.IfMatch) {
		return true
	}
	for wanted := range v.IfMatch() {
		if exists && (wanted == tag || wanted.Len() == 0) {
			return true
		}
	}
	return false
}

// noFormat is the diagnostic payload for a body that does not say what it is.
const noFormat = "Content-Format is missing"
