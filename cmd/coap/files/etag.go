package files

import (
	"crypto/sha256"
	"encoding/binary"
	"io/fs"

	"github.com/motewire/coap"
	"github.com/motewire/coap/message"
)

// tagOf returns the ETag of a file.
func tagOf(info fs.FileInfo) message.Tag {
	b := binary.BigEndian.AppendUint64(nil, uint64(info.Size()))
	b = binary.BigEndian.AppendUint64(b, uint64(info.ModTime().UnixNano()))
	return hashOf(appendIdentity(b, info))
}

// hashOf returns an ETag that is a function of the bytes.
func hashOf(b []byte) message.Tag {
	sum := sha256.Sum256(b)
	tag, _ := message.MakeTag(sum[:message.MaxTagLength]) // not too long
	return tag
}

// meets reports whether the preconditions of a request hold for a target (RFC 7252
// §5.10.8). tag is not looked at where that doesn't exist.
func meets(r *coap.Request, exists bool, tag message.Tag) bool {
	if exists && r.IfNoneMatch() {
		return false
	}
	if !r.Message().Has(message.IfMatch) {
		return true
	}
	for wanted := range r.Message().IfMatch() {
		if exists && (wanted.Len() == 0 || wanted == tag) {
			return true
		}
	}
	return false
}

func setTag(w coap.ResponseWriter, tag message.Tag) { w.SetETag(tag.Append(nil)) }
