package reliability

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"

	"github.com/motewire/coap/message"
	"github.com/motewire/coap/peer"
)

// A hasher turns keys into hashes that a peer cannot foretell, as the key words are
// secret: nobody can fill one chain of an index on purpose.
type hasher struct {
	key [6]uint64
}

func newHasher(rng *rand.Rand) (h hasher) {
	for i := range h.key {
		h.key[i] = rng.Uint64()
	}
	return h
}

// peer hashes an address together with 64 bits more.
func (h *hasher) peer(a peer.Addr, extra uint64) uint64 {
	ip, local := a.Bytes(), a.LocalBytes()
	x := fold(binary.BigEndian.Uint64(ip[:8])^h.key[0], binary.BigEndian.Uint64(ip[8:])^h.key[1])
	y := fold(binary.BigEndian.Uint64(local[:8])^h.key[2], binary.BigEndian.Uint64(local[8:])^h.key[3])
	z := fold(uint64(a.Scope())<<16^uint64(a.Port())^h.key[4], extra^h.key[5])
	return fold(x^h.key[4], y^z^h.key[2])
}

// id hashes an address with a message ID.
func (h *hasher) id(a peer.Addr, id message.ID) uint64 { return h.peer(a, uint64(id)) }

// token hashes an address with a whole token.
func (h *hasher) token(a peer.Addr, token message.Token) uint64 {
	var b [message.MaxTokenLength]byte
	return h.peer(a, binary.LittleEndian.Uint64(extend(token.Append(b[:0])))+uint64(token.Len()))
}

// extend returns the eight bytes of which b is the beginning.
func extend(b []byte) []byte { return b[:message.MaxTokenLength] }

func fold(x, y uint64) uint64 {
	hi, lo := bits.Mul64(x, y)
	return hi ^ lo
}
