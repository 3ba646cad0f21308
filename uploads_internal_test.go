package coap

import (
	"net/netip"
	"testing"
	"time"

	"github.com/motewire/coap/peer"
)

// Nothing is kept of uploads that are over, nor of the given up once their time is.
func TestUploadsForget(t *testing.T) {
	var u uploads
	now := time.Unix(0, 0)
	at := func(n int) peer.Addr {
		return peer.From(netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, 1}), uint16(n)))
	}
	for n := range 100 {
		u.begin(now, at(n))
		u.end(at(n), time.Time{})
	}
	if len(u.peers) != 0 || u.stale != nil {
		t.Errorf("%d peers, %d stale", len(u.peers), len(u.stale))
	}
	for n := range 100 {
		for range 3 {
			u.begin(now, at(n))
			u.end(at(n), now.Add(time.Minute))
		}
		now = now.Add(time.Second)
	}
	if len(u.peers) > 61 || len(u.stale) > 3*61 {
		t.Errorf("%d peers, %d stale", len(u.peers), len(u.stale))
	}
	now = now.Add(time.Minute)
	if _, tagged := u.begin(now, at(99)); tagged {
		t.Error("a tag for what is over")
	}
	u.end(at(99), time.Time{})
	if len(u.peers) != 0 || u.stale != nil {
		t.Errorf("%d peers, %d stale", len(u.peers), len(u.stale))
	}
}
