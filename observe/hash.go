package observe

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

func (h *hasher) peer(a peer.Addr) uint64 {
	ip, local := a.Bytes(), a.LocalBytes()
	x := fold(binary.BigEndian.Uint64(ip[:8])^h.key[0], binary.BigEndian.Uint64(ip[8:])^h.key[1])
	y := fold(binary.BigEndian.Uint64(local[:8])^h.key[2], binary.BigEndian.Uint64(local[8:])^h.key[3])
	return fold(x^h.key[4], y^uint64(a.Scope())<<16^uint64(a.Port())^h.key[5])
}

// token hashes a token of the peer in cell n.
func (h *hasher) token(n uint32, token message.Token) uint64 {
	var b [message.MaxTokenLength]byte
	token.Append(b[:0])
	x := fold(binary.LittleEndian.Uint64(b[:])^h.key[0], uint64(n)<<8^uint64(token.Len())^h.key[1])
	return fold(x^h.key[2], h.key[3])
}

// id hashes a message ID towards the peer in cell n.
func (h *hasher) id(n uint32, id message.ID) uint64 {
	return fold(fold(uint64(n)<<16^uint64(id)^h.key[4], h.key[5])^h.key[0], h.key[1])
}

func fold(x, y uint64) uint64 {
	hi, lo := bits.Mul64(x, y)
	return hi ^ lo
}
