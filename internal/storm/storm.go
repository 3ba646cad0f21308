// Package storm makes hostile CoAP datagrams for tests and soak runs: well-formed messages of
// all kinds of exchanges, and what becomes of them when fields are changed, lengths lie,
// messages are cut, spliced and sent again, and message IDs and tokens that were overheard
// are taken up. It encodes by itself, as most of what it makes no encoder would.
package storm

import (
	"bytes"
	"math/rand/v2"
)

// A Mutator makes datagrams, the same ones for the same seed, calls and datagrams overheard.
// One goroutine owns it.
type Mutator struct {
	rng   *rand.Rand
	paths []string
	id    uint16

	sent  ring // by this Mutator, for replays and splices
	heard ring // of a victim, for spoofs
	f     fields
}

// New returns a Mutator whose requests are mostly for these paths, with segments that are
// separated by slashes.
func New(seed uint64, paths ...string) *Mutator {
	m := &Mutator{rng: rand.New(rand.NewPCG(seed, 0x5707)), paths: paths}
	m.id = uint16(m.rng.Uint32())
	return m
}

// Next appends the next datagram to dst. It may be empty, and has 4,000 bytes at most.
func (m *Mutator) Next(dst []byte) []byte {
	start := len(dst)
	switch luck := m.rng.IntN(100); {
	case luck < 8 && m.sent.used > 0:
		dst = append(dst, m.sent.pick(m.rng)...)
		if luck < 4 && len(dst) >= start+4 { // another message of the same content
			m.putID(dst[start+2:], m.nextID())
		}
	case luck < 20 && m.heard.used > 0:
		m.spoof(m.heard.pick(m.rng))
		dst = m.f.append(dst)
	default:
		m.compose()
		for m.rng.IntN(100) < 55 {
			m.alter()
		}
		dst = m.f.append(dst)
	}
	if m.rng.IntN(100) < 15 {
		dst = m.damage(dst, start)
	}
	dst = dst[:min(len(dst), start+maxDatagram)] // what is spliced again and again grows
	m.sent.put(dst[start:])
	return dst
}

// maxDatagram is the longest that Next makes, in bytes.
const maxDatagram = 4000

// Overhear takes a datagram that a victim has sent, whose message ID and token spoofed
// messages take up from now on.
func (m *Mutator) Overhear(datagram []byte) {
	if len(datagram) >= 4 {
		m.heard.put(datagram)
	}
}

// nextID returns the next message ID, now and then any.
func (m *Mutator) nextID() uint16 {
	m.id++
	if m.rng.IntN(50) == 0 {
		m.id = uint16(m.rng.Uint32())
	}
	return m.id
}

func (m *Mutator) putID(b []byte, id uint16) { b[0], b[1] = byte(id>>8), byte(id) }

// pick returns one of several values.
func pick[T any](m *Mutator, from ...T) T { return from[m.rng.IntN(len(from))] }

// noise returns up to n random bytes, valid until the next message.
func (m *Mutator) noise(n int) []byte {
	b := make([]byte, m.rng.IntN(n+1))
	for i := range b {
		b[i] = byte(m.rng.Uint32())
	}
	return b
}

// A ring remembers the last datagrams.
type ring struct {
	kept [64][]byte
	used int
	next int
}

func (r *ring) put(datagram []byte) {
	r.kept[r.next] = append(r.kept[r.next][:0], datagram...)
	r.next = (r.next + 1) % len(r.kept)
	r.used = min(r.used+1, len(r.kept))
}

func (r *ring) pick(rng *rand.Rand) []byte { return r.kept[rng.IntN(r.used)] }

// spoof composes what pretends to belong to an exchange of which a datagram was overheard:
// an Acknowledgement, a Reset, a response with the token or one that is nearly it, or the
// request again.
func (m *Mutator) spoof(overheard []byte) {
	f := &m.f
	f.clear()
	f.id = uint16(overheard[2])<<8 | uint16(overheard[3])
	n := min(4+int(overheard[0]&15), len(overheard))
	token := bytes.Clone(overheard[4:n])
	switch m.rng.IntN(6) {
	case 0:
		f.typ = ack
		return
	case 1:
		f.typ = rst
		return
	case 2: // a piggybacked response of which the token is a guess
		f.typ, f.code, f.token = ack, content, m.guess(token)
	case 3:
		f.typ, f.code, f.token, f.id = non, content, m.guess(token), m.nextID()
	case 4:
		f.typ, f.code, f.token, f.id = con, content, m.guess(token), m.nextID()
	default:
		f.typ, f.code, f.token = pick[byte](m, con, non), get, token
		f.addPath(pick(m, m.paths...))
		return
	}
	if m.rng.IntN(3) == 0 {
		f.addUint(observe, m.rng.Uint32()>>8)
	}
	f.payload = append(f.payload, "spoofed"...)
}

// guess returns a token like another one, but never the same.
func (m *Mutator) guess(token []byte) []byte {
	switch {
	case len(token) == 0:
		return []byte{byte(m.rng.Uint32())}
	case m.rng.IntN(3) == 0:
		return token[:len(token)-1]
	case m.rng.IntN(2) == 0 && len(token) < 8:
		return append(token, 0)
	}
	token[m.rng.IntN(len(token))] ^= 1 << m.rng.IntN(8)
	return token
}
