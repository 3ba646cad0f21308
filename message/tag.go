package message

import (
	"encoding/hex"
	"errors"
)

// MaxTagLength is the longest ETag or Request-Tag in bytes (RFC 7252 §5.10.6,
// RFC 9175 §3.2.1).
const MaxTagLength = 8

// ErrTagLength is what [MakeTag] returns for a value that is too long.
var ErrTagLength = errors.New("message: tag longer than 8 bytes")

// Tag is the value of an ETag, If-Match or Request-Tag option: 0 to 8 opaque bytes. It is
// a comparable value, fit for a map key. The zero Tag is the empty one, which is legal in
// If-Match and Request-Tag alone.
type Tag struct {
	bytes  [MaxTagLength]byte // zero beyond length
	length uint8
}

// MakeTag copies b into a Tag. It returns [ErrTagLength] when b is longer than
// [MaxTagLength].
func MakeTag(b []byte) (Tag, error) {
	var t Tag
	if len(b) > MaxTagLength {
		return t, ErrTagLength
	}
	t.length = uint8(copy(t.bytes[:], b))
	return t, nil
}

// Len returns the length in bytes, 0 to 8.
func (t Tag) Len() int { return int(t.length) }

// Append appends the tag's bytes to dst.
func (t Tag) Append(dst []byte) []byte { return append(dst, t.bytes[:t.length]...) }

// String returns the tag in lower-case hex.
func (t Tag) String() string { return hex.EncodeToString(t.bytes[:t.length]) }
