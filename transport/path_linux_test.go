package transport

import (
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/motewire/coap/peer"
)

// The longest datagram to a peer is the MTU of the interface without the headers.
func TestPathBytes(t *testing.T) {
	text, err := os.ReadFile("/sys/class/net/lo/mtu")
	if err != nil {
		t.Skip(err)
	}
	mtu, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	settings(t, func(t *testing.T, s setting) {
		u := s.listen(t, Config{})
		to := s.at(u)
		want := min(mtu, 65535) - 48 // what IP_MTU says is at most the longest packet
		if to.Is4() {
			want = min(mtu, 65535) - 28
		}
		if n, ok := u.PathBytes(to); !ok || n != want && n != want+1 {
			t.Errorf("%d, %v; want %d", n, ok, want)
		}
		for _, none := range []string{"224.0.1.187:5683", "[ff02::fd]:5683", "127.0.0.1:0"} {
			if n, ok := u.PathBytes(peer.From(netip.MustParseAddrPort(none))); ok {
				t.Errorf("%s: %d", none, n)
			}
		}
	})
}
