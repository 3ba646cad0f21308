package storm

import "encoding/binary"

// alter changes a field of the message.
func (m *Mutator) alter() {
	f := &m.f
	switch m.rng.IntN(14) {
	case 0:
		f.typ = byte(m.rng.IntN(4))
	case 1:
		f.code = byte(m.rng.Uint32())
	case 2: // of a reserved class (RFC 7252 §12.1)
		f.code = pick[byte](m, 1, 6, 7)<<5 | byte(m.rng.IntN(32))
	case 3:
		f.version = byte(m.rng.IntN(4))
	case 4:
		f.tkl = m.rng.IntN(16)
	case 5:
		f.token = make([]byte, pick(m, 0, 1, 7, 8))
	case 6: // at the borders of delta and length
		f.add(pick(m, 12, 13, 14, 268, 269, 270, 65535), make([]byte, pick(m, 0, 12, 13, 14, 268, 269, 270)))
	case 7:
		if n := len(f.options); n > 0 {
			o := f.options[m.rng.IntN(n)]
			f.add(o.number, o.value)
		}
	case 8: // unknown: critical or elective, by its lowest bit (RFC 7252 §5.4.6)
		f.add(65000+m.rng.IntN(600), m.noise(9)) // or above all numbers
	case 9:
		m.alterBlock()
	case 10:
		f.add(observe, m.noise(4))
	case 11:
		m.alterOption()
	case 12:
		f.marker, f.payload = true, f.payload[:0]
	default:
		f.id = pick(m, 0, 1, 0xffff, m.id, m.id-1)
	}
}

// alterBlock adds a block option at its extremes, or with a value that is none.
func (m *Mutator) alterBlock() {
	number := pick(m, block1, block2)
	if m.rng.IntN(4) == 0 {
		m.f.add(number, m.noise(5))
		return
	}
	num := pick[uint32](m, 0, 1, 1<<20-1, 1<<19, m.rng.Uint32()>>12)
	m.f.addBlock(number, num, m.rng.IntN(2) == 0, uint32(m.rng.IntN(8)))
}

// alterOption has an option lie about itself.
func (m *Mutator) alterOption() {
	if len(m.f.options) == 0 {
		return
	}
	o := &m.f.options[m.rng.IntN(len(m.f.options))]
	switch m.rng.IntN(4) {
	case 0:
		o.lie = pick(m, -1, 1, 2, 12, 13, 255, 65535)
	case 1:
		o.header = 0xf0 | byte(m.rng.IntN(15)) // reserved delta, not the payload marker
	case 2:
		o.header = byte(m.rng.IntN(15))<<4 | 15 // reserved length
	default:
		o.value = m.noise(300)
	}
}

// damage changes what was encoded behind start: cuts it, splices another message into it,
// turns bits, or adds to it.
func (m *Mutator) damage(dst []byte, start int) []byte {
	d := dst[start:]
	switch m.rng.IntN(5) {
	case 0:
		return dst[:start+m.rng.IntN(len(d)+1)]
	case 1:
		if m.sent.used > 0 {
			other := m.sent.pick(m.rng)
			return append(dst[:start+m.rng.IntN(len(d)+1)], other[m.rng.IntN(len(other)+1):]...)
		}
	case 2:
		return append(dst, m.noise(20)...)
	case 3:
		if len(d) >= 4 {
			binary.BigEndian.PutUint32(d[m.rng.IntN(len(d)-3):], m.rng.Uint32())
		}
	default:
		for range 1 + m.rng.IntN(4) {
			if len(d) > 0 {
				d[m.rng.IntN(len(d))] ^= 1 << m.rng.IntN(8)
			}
		}
	}
	return dst
}
