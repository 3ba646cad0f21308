package peer_test

import (
	"fmt"
	"net/netip"

	"github.com/motewire/coap/peer"
)

// An IPv4 address and its IPv4-mapped form are one peer.
func ExampleFrom() {
	a := peer.From(netip.MustParseAddrPort("192.0.2.1:5683"))
	b := peer.From(netip.MustParseAddrPort("[::ffff:192.0.2.1]:5683"))
	fmt.Println(a == b, a)
	// Output: true 192.0.2.1:5683
}
