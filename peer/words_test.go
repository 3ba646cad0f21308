package peer_test

import (
	"net/netip"
	"testing"

	"github.com/motewire/coap/peer"
)

// Every part of an Addr is in its words: two that differ have different ones.
func TestWordsTellAddrsApart(t *testing.T) {
	base := peer.From(netip.MustParseAddrPort("[fe80::1]:5683"))
	addrs := []peer.Addr{
		base,
		peer.From(netip.MustParseAddrPort("[fe80::2]:5683")),
		peer.From(netip.MustParseAddrPort("[fe81::1]:5683")),
		peer.From(netip.MustParseAddrPort("[fe80::1]:5684")),
		base.WithScope(1),
		base.WithLocal(netip.MustParseAddr("fe80::3")),
		base.WithLocal(netip.MustParseAddr("10.0.0.1")),
	}
	seen := map[[5]uint64]peer.Addr{}
	for _, a := range addrs {
		hi, lo, localHi, localLo, rest := a.Words()
		key := [5]uint64{hi, lo, localHi, localLo, rest}
		if b, ok := seen[key]; ok {
			t.Errorf("%v and %v have the same words", a, b)
		}
		seen[key] = a
	}
}
