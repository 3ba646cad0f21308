package blockwise

import (
	"encoding/binary"

	"github.com/motewire/coap/message"
	"github.com/motewire/coap/peer"
)

// A key names a transfer: the peer, and the request's method and options to the byte.
type key struct {
	from peer.Addr
	rest string
}

// AppendKey appends to dst what makes two requests parts of one transfer, besides the peer: the
// method, and every option that is part of the cache key (RFC 7252 §5.6), Request-Tag
// among them (RFC 9175 §3.3: absent and empty differ). Tokens and message IDs are not.
func AppendKey(dst []byte, v *message.View) []byte {
	dst = append(dst, byte(v.Code()))
	for n, value := range v.Options() {
		if !identifies(n) {
			continue
		}
		dst = binary.BigEndian.AppendUint16(dst, uint16(n))
		dst = binary.AppendUvarint(dst, uint64(len(value)))
		dst = append(dst, value...)
	}
	return dst
}

// identifies reports whether an option tells one transfer from another.
func identifies(n message.OptionNumber) bool {
	switch n {
	case message.Block1, message.Block2, message.Size1, message.Size2:
		return false // they differ from block to block
	case message.Observe:
		return false // RFC 7959 §2.6: later blocks are fetched without it
	case message.IfNoneMatch:
		return false // RFC 7959 §2.10: on block 0 only
	case message.NoResponse:
		return false // RFC 7967 §2.1: the blocks before the last one need their 2.31
	}
	return n.Unsafe() || !n.NoCacheKey() // RFC 7252 §5.4.2
}
