package storm

import "encoding/binary"

// A verdict is what may answer a datagram, by the RFCs alone.
type verdict uint8

const (
	silence    verdict = iota // nothing ever
	rejection                 // a Reset with its message ID, at once
	answer                    // an Acknowledgement with its message ID
	mayRespond                // no Acknowledgement nor Reset; a response may come
	mayReset                  // nothing, or a Reset with its message ID
)

// A datagramInfo is what the oracle makes of a datagram.
type datagramInfo struct {
	verdict  verdict
	typ      byte
	id       uint16
	token    string // of a request that may be answered
	request  bool   // well-formed
	observes bool   // has an Observe option
	remember bool   // its message ID is remembered (RFC 7252 §4.5)
}

// judge says what may answer a datagram that comes to a server, or to a client that serves
// nothing and has not asked for it. longest is how many bytes of a datagram it takes in.
func judge(d []byte, toGroup, serves bool, longest int) (info datagramInfo) {
	// RFC 7252 §3: "Messages with unknown version numbers MUST be silently ignored."
	if len(d) < 4 || d[0]>>6 != 1 {
		return info
	}
	info.typ, info.id = d[0]>>4&3, binary.BigEndian.Uint16(d[2:])
	class, tkl := d[1]>>5, int(d[0]&15)
	if info.typ >= ack { // §4.2: they are never answered, right or wrong
		return info
	}
	malformed := class == 1 || class >= 6 || tkl > 8 || len(d) < 4+tkl || d[1] == empty && len(d) != 4
	long := len(d) > longest
	if !malformed && d[1] != empty && (!long || class != 0) {
		var ok bool
		info.observes, ok = walk(d[4+tkl:])
		malformed = !ok || long
	}
	switch {
	case toGroup && (info.typ == con || malformed || class != 0 || d[1] == empty): // §8.1
		return info
	case malformed, d[1] == empty: // §4.2, §4.3: rejected; a Non-confirmable one silently
		if info.typ == con {
			info.verdict = rejection
		}
		return info
	}
	info.remember = true
	switch {
	case class == 0:
		info.request, info.token = true, string(d[4:4+tkl])
		switch {
		case info.typ == non:
			info.verdict = mayRespond
		case serves:
			info.verdict = answer
		default:
			info.verdict = rejection
		}
		if !serves && info.typ == non {
			info.verdict = silence
		}
	case info.typ == con:
		info.verdict = rejection // §5.3.2: a response that nobody waits for
	case info.observes:
		info.verdict = mayReset // RFC 7641 §3.6
	}
	return info
}

// walk goes over the options and says whether one is Observe, and whether they and the
// payload are well-formed (RFC 7252 §3.1).
func walk(b []byte) (observes, ok bool) {
	number := 0
	for len(b) > 0 {
		if b[0] == 0xff {
			return observes, len(b) > 1 // §3: "processed as a message format error"
		}
		delta, length := int(b[0]>>4), int(b[0]&15)
		b = b[1:]
		if delta, b, ok = widen(delta, b); !ok {
			return false, false
		}
		if length, b, ok = widen(length, b); !ok || length > len(b) {
			return false, false
		}
		if number += delta; number > 65535 {
			return false, false
		}
		observes = observes || number == observe
		b = b[length:]
	}
	return observes, true
}

// widen reads what follows a delta or length of 13 or 14.
func widen(v int, b []byte) (int, []byte, bool) {
	switch {
	case v == 13 && len(b) >= 1:
		return 13 + int(b[0]), b[1:], true
	case v == 14 && len(b) >= 2:
		return 269 + int(binary.BigEndian.Uint16(b)), b[2:], true
	}
	return v, b, v < 13
}
