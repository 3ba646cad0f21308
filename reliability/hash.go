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
	key [8]uint64
}

func newHasher(rng *rand.Rand) (h hasher) {
	for i := range h.key {
		h.key[i] = rng.Uint64()
	}
	return h
}

// local hashes an address, local part included, together with 64 bits more.
func (h *hasher) local(a *peer.Addr, extra uint64) uint32 {
	_, _, hi, lo, _ := a.Words()
	return h.remote(a, extra^fold(hi^h.key[6], lo^h.key[7]))
}

// remote hashes the remote part of an address together with 64 bits more.
func (h *hasher) remote(a *peer.Addr, extra uint64) uint32 {
	hi, lo, _, _, rest := a.Words()
	x := fold(hi^h.key[0], lo^h.key[1])
	y := fold(rest^h.key[2], extra^h.key[3])
	return uint32(fold(x^h.key[4], y^h.key[5]))
}

// id hashes an endpoint with a message ID.
func (h *hasher) id(a *peer.Addr, id message.ID) uint32 { return h.remote(a, uint64(id)) }

// token hashes an endpoint with a whole token.
func (h *hasher) token(a *peer.Addr, token message.Token) uint32 {
	var b [message.MaxTokenLength]byte
	return h.remote(a, binary.LittleEndian.Uint64(extend(token.Append(b[:0])))+uint64(token.Len()))
}

// extend returns the eight bytes of which b is the beginning.
func extend(b []byte) []byte { return b[:message.MaxTokenLength] }

func fold(x, y uint64) uint64 {
	hi, lo := bits.Mul64(x, y)
	return hi ^ lo
}
