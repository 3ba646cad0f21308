package coap

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"time"

	"github.com/motewire/coap/peer"
)

// echoBytes is the length of an Echo value (RFC 9175 §2.2.1 allows 1 to 40): a MAC of 64 bits,
// so that a challenge is no longer than three times nearly any request.
const echoBytes = 8

// verifier knows which client endpoints have shown that they receive at their addresses
// (RFC 9175 §2.4). An Echo value is a MAC over the endpoint, under a key that is drawn at
// random for each period: nothing is kept of a challenge. Endpoints that have answered one
// are remembered, in two tables without pointers that are dropped in turn. The shard's lock
// owns it.
type verifier struct {
	period time.Duration
	limit  int // endpoints that are remembered
	began  time.Time
	// macs and known are of this period, and of the one before; nil: nothing.
	macs  [2]hash.Hash
	known [2]map[peer.Addr]struct{}
	in    [5 * 8]byte
	sum   []byte
}

// advance begins the period that now is in. What is of a period is good until the end of the
// next.
func (v *verifier) advance(now time.Time) {
	switch since := now.Sub(v.began); {
	case v.macs[0] != nil && since < v.period:
		return
	case v.macs[0] != nil && since < 2*v.period:
		v.began = v.began.Add(v.period)
		v.macs[1] = v.macs[0]
	default:
		v.began, v.macs[1], v.known[0] = now, nil, nil
	}
	v.macs[0] = newMAC()
	v.age()
}

// newMAC returns a MAC with a key of its own.
func newMAC() hash.Hash {
	var key [sha256.Size]byte
	rand.Read(key[:]) // never fails
	return hmac.New(sha256.New, key[:])
}

// age makes room: what was remembered before the last time is forgotten.
func (v *verifier) age() {
	v.known[0], v.known[1] = nil, v.known[0]
}

// challenge appends the Echo value for an endpoint.
func (v *verifier) challenge(now time.Time, p *peer.Addr, dst []byte) []byte {
	v.advance(now)
	return append(dst, v.value(v.macs[0], p)...)
}

// value returns the Echo value under a key; it is valid until the next call.
func (v *verifier) value(mac hash.Hash, p *peer.Addr) []byte {
	hi, lo, localHi, localLo, rest := p.Words()
	b := v.in[:0]
	for _, word := range [...]uint64{hi, lo, localHi, localLo, rest} {
		b = binary.BigEndian.AppendUint64(b, word)
	}
	mac.Reset()
	mac.Write(b)
	v.sum = mac.Sum(v.sum[:0])
	return v.sum[:echoBytes]
}

// verified reports whether an endpoint is known to receive at its address.
func (v *verifier) verified(now time.Time, p *peer.Addr) bool {
	v.advance(now)
	_, ok := v.known[0][*p]
	if !ok {
		_, ok = v.known[1][*p]
	}
	return ok
}

// verify takes an Echo value, and reports whether it is one that the endpoint was given in this
// period or the one before. The comparison takes the same time wherever they differ.
func (v *verifier) verify(now time.Time, p *peer.Addr, echo []byte) bool {
	v.advance(now)
	for _, mac := range v.macs {
		if mac != nil && hmac.Equal(echo, v.value(mac, p)) {
			v.remember(p)
			return true
		}
	}
	return false
}

// remember takes an endpoint into the newer table. When that has its share of the limit, the
// older one goes, and its endpoints are challenged again.
func (v *verifier) remember(p *peer.Addr) {
	if len(v.known[0]) >= max(v.limit/2, 1) {
		v.age()
	}
	if v.known[0] == nil {
		v.known[0] = map[peer.Addr]struct{}{}
	}
	v.known[0][*p] = struct{}{}
}
