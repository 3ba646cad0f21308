package simnet

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"hash/fnv"
	"math/rand/v2"
	"time"

	"github.com/motewire/coap/peer"
)

// maxDatagram is the longest datagram that UDP over IPv4 carries, in bytes.
const maxDatagram = 65507

// A Link says what happens to datagrams in one direction between two addresses. The zero
// Link is perfect. Loss, Duplicate and Reorder are probabilities: what is not above 0
// never happens, 1 and above always.
type Link struct {
	// Loss is the probability that a datagram never arrives.
	Loss float64
	// Duplicate is the probability that a datagram that is not lost arrives twice, each
	// time with a jitter of its own.
	Duplicate float64
	// Reorder is the probability that a datagram is held back by HoldBack, so that
	// those sent within that time overtake it.
	Reorder float64
	// HoldBack is the extra delay of a reordered datagram; 0: Delay + Jitter, or 10 ms
	// where both are 0.
	HoldBack time.Duration
	// Delay is how long a datagram travels.
	Delay time.Duration
	// Jitter is the bound of an extra delay that is random, evenly spread over
	// [0, Jitter). Datagrams sent closer together than that can overtake each other.
	Jitter time.Duration
	// MTU is the longest datagram that passes, in bytes of payload: a longer one is
	// refused to its sender with syscall.EMSGSIZE. 0 stands for 65,507, what UDP can
	// carry.
	MTU int
}

func (l *Link) mtu() int {
	if l.MTU <= 0 {
		return maxDatagram
	}
	return l.MTU
}

// delay returns how long a datagram travels that drew the jitter, in [0, 1).
func (l *Link) delay(jitter float64, reordered bool) time.Duration {
	d := max(l.Delay, 0) + time.Duration(jitter*float64(max(l.Jitter, 0)))
	if reordered {
		d += l.holdBack()
	}
	return d
}

func (l *Link) holdBack() time.Duration {
	switch usual := l.Delay + l.Jitter; {
	case l.HoldBack > 0:
		return l.HoldBack
	case usual > 0:
		return usual
	}
	return 10 * time.Millisecond
}

// A pair is one direction between two addresses.
type pair struct{ from, to peer.Addr }

// A link is the state of a pair.
type link struct {
	own  *Link // nil: the network's default
	rng  rand.PCG
	sent uint64 // datagrams so far
}

// link returns the state of a pair, made on first use.
func (n *Network) link(from, to peer.Addr) *link {
	key := pair{from, to}
	l := n.links[key]
	if l == nil {
		l = &link{}
		l.rng.Seed(n.seed, key.hash())
		n.links[key] = l
	}
	return l
}

// hash is the same in every run.
func (p pair) hash() uint64 {
	h := fnv.New64a()
	for _, a := range [...]peer.Addr{p.from, p.to} {
		ip := a.Bytes()
		h.Write(ip[:])
		var rest [6]byte
		binary.BigEndian.PutUint32(rest[:], a.Scope())
		binary.BigEndian.PutUint16(rest[4:], a.Port())
		h.Write(rest[:])
	}
	return h.Sum64()
}

// The luck of one datagram: numbers in [0, 1).
type luck struct{ loss, duplicate, reorder, jitter, jitterOfCopy float64 }

// draw takes the same number of values for each datagram, whatever the Link, so that a
// datagram's luck depends on its number alone.
func (l *link) draw() luck {
	f := func() float64 { return float64(l.rng.Uint64()>>11) / (1 << 53) }
	return luck{loss: f(), duplicate: f(), reorder: f(), jitter: f(), jitterOfCopy: f()}
}

// compare orders addresses: any order serves, as long as it is always the same.
func compare(a, b peer.Addr) int {
	x, y := a.Bytes(), b.Bytes()
	return cmp.Or(
		bytes.Compare(x[:], y[:]),
		cmp.Compare(a.Port(), b.Port()),
		cmp.Compare(a.Scope(), b.Scope()),
	)
}
