package storm

import "strings"

// compose makes a well-formed message of any kind.
func (m *Mutator) compose() {
	f := &m.f
	f.clear()
	f.typ, f.id = pick[byte](m, con, con, non), m.nextID()
	f.token = m.token()
	switch m.rng.IntN(16) {
	case 0:
		m.composeEmpty()
	case 1:
		m.composeResponse()
	case 2, 3:
		m.composeObservation()
	case 4, 5, 6:
		m.composeUpload()
	case 7, 8:
		m.composeDownload()
	case 9:
		m.composeExtended()
	case 10:
		m.composeNasty()
	default:
		m.composeRequest()
	}
}

// token returns one of a few tokens, or a random one.
func (m *Mutator) token() []byte {
	if m.rng.IntN(4) > 0 {
		return []byte{0xa5, byte(m.rng.IntN(32))}
	}
	return m.noise(8)
}

// composeEmpty makes a ping, an Acknowledgement or a Reset that may hit something.
func (m *Mutator) composeEmpty() {
	m.f.typ, m.f.code, m.f.token = pick[byte](m, con, ack, rst), empty, nil
	if m.rng.IntN(2) == 0 {
		m.f.id = uint16(m.rng.Uint32())
	}
}

// composeResponse makes a response to nobody, a notification among them.
func (m *Mutator) composeResponse() {
	m.f.typ = pick[byte](m, con, non, ack)
	m.f.code = pick[byte](m, content, 0x41, 0x43, 0x44, 0x5f, 0x80, 0x84, 0x8d, 0xa0, 0xa3)
	if m.rng.IntN(2) == 0 {
		m.f.addUint(observe, m.rng.Uint32()>>8)
	}
	if m.rng.IntN(4) == 0 {
		m.f.addBlock(block2, uint32(m.rng.IntN(4)), true, uint32(m.rng.IntN(7)))
	}
	m.f.payload = append(m.f.payload, m.noise(40)...)
}

// composeRequest makes a plain request, with options that are usual.
func (m *Mutator) composeRequest() {
	f := &m.f
	f.code = pick[byte](m, get, get, post, put, 4, fetch, 6, 7, 8, 31)
	m.addPath()
	for range m.rng.IntN(3) {
		switch m.rng.IntN(10) {
		case 0:
			f.add(uriHost, []byte("node.example"))
		case 1:
			f.add(uriQuery, []byte("unit=lm"))
		case 2:
			f.addUint(accept, pick[uint32](m, 0, 40, 50, 60, 65535))
		case 3:
			f.add(eTag, append(m.noise(7), 1))
		case 4:
			f.add(ifMatch, m.noise(8))
		case 5:
			f.add(ifNoneMatch, nil)
		case 6:
			f.addUint(noResponse, pick[uint32](m, 0, 2, 8, 16, 26, 127))
		case 7:
			f.add(echo, append(m.noise(39), 1))
		case 8:
			f.addUint(hopLimit, uint32(m.rng.IntN(256)))
		default:
			f.addUint(contentFormat, uint32(m.rng.IntN(120)))
		}
	}
	if f.code != get && f.code != 4 {
		f.payload = append(f.payload, m.noise(60)...)
	}
}

func (m *Mutator) addPath() {
	if m.rng.IntN(20) > 0 {
		m.f.addPath(pick(m, m.paths...))
	}
}

// composeObservation registers, or deregisters, or tries something else (RFC 7641 §2).
func (m *Mutator) composeObservation() {
	m.f.code = pick[byte](m, get, get, get, fetch)
	m.f.addUint(observe, pick[uint32](m, 0, 0, 0, 1, 2, 1<<24-1))
	m.addPath()
}

// composeUpload makes a block of a body: of one of a few transfers that may end, or of one
// that stays half open (RFC 7959 §2.5).
func (m *Mutator) composeUpload() {
	f := &m.f
	f.code = pick[byte](m, put, post, fetch, 6)
	m.addPath()
	szx, num := uint32(m.rng.IntN(4)), uint32(m.rng.IntN(4))
	if m.rng.IntN(3) == 0 {
		num = 0
	}
	more := m.rng.IntN(3) > 0
	f.addBlock(block1, num, more, szx)
	if m.rng.IntN(3) == 0 {
		f.add(requestTag, []byte{byte(m.rng.Uint32())})
	}
	if m.rng.IntN(6) == 0 {
		f.addUint(size1, m.rng.Uint32()>>m.rng.IntN(32))
	}
	size := 16 << szx
	if !more {
		size = 1 + m.rng.IntN(size)
	}
	for i := range size {
		f.payload = append(f.payload, byte(i))
	}
}

// composeDownload asks for a block of a response (RFC 7959 §2.4).
func (m *Mutator) composeDownload() {
	m.f.code = pick[byte](m, get, get, fetch, post)
	m.addPath()
	m.f.addBlock(block2, uint32(m.rng.IntN(6)), m.rng.IntN(20) == 0, uint32(m.rng.IntN(7)))
	if m.rng.IntN(3) == 0 {
		m.f.addUint(size2, 0)
	}
}

// composeExtended has a token that only RFC 8974 knows.
func (m *Mutator) composeExtended() {
	m.composeRequest()
	m.f.token = make([]byte, pick(m, 9, 12, 13, 14, 32, 268, 269, 270))
}

// composeNasty makes a request that is well-formed and no good: a bomb of options, links or
// queries, a path that is no text or leaves the tree.
func (m *Mutator) composeNasty() {
	f := &m.f
	f.code = get
	switch m.rng.IntN(7) {
	case 0:
		for range 200 {
			f.add(uriPath, nil)
		}
	case 1:
		for range 50 {
			f.add(uriPath, []byte(pick(m, "..", ".", "a/b", "%2e%2e", "\x00", "\xff\xfe", "\u202e", "e\u0301")))
		}
	case 2:
		f.addPath(".well-known/core")
		f.add(uriQuery, []byte(pick(m, "href=*", "rt="+strings.Repeat("*", 200), "=", "rt", "a=\"b")))
	case 3:
		for range 100 {
			f.add(uriQuery, []byte("a=b&c=d"))
		}
	case 4:
		f.add(proxyURI, []byte("coap://["+strings.Repeat(":", 900)+"]/%"))
	case 5:
		m.addPath()
		f.code = post
		f.payload = append(f.payload, make([]byte, 1000+m.rng.IntN(2000))...)
	default:
		for range 100 {
			f.add(2049+2*m.rng.IntN(1000), nil)
		}
	}
}
