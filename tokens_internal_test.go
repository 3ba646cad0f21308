package coap

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/motewire/coap/message"
)

// What extend made longer shorten makes what it was, and of what was cut, as in a report of the
// network, a beginning of it; of another client's tokens it makes nothing.
func TestShortenUndoesExtend(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{9, 10, 12, 13, 14, 100, 268, 269, 270, 570} {
		x, other := newExtension(n, rng), newExtension(n, rng)
		for k := range message.MaxTokenLength + 1 {
			token, _ := message.MakeToken([]byte("abcdefgh")[:k])
			e := message.AppendHeader(nil, message.Confirmable, message.PUT, 0x1234, token)
			e.Option(message.URIPath, []byte("path"))
			short, _ := e.Finish([]byte("payload"))
			long := bytes.Clone(x.extend(short))
			var v message.View
			if err := v.ParseExtended(long); err != nil || len(v.TokenBytes()) != n || string(v.Payload()) != "payload" {
				t.Fatalf("%d bytes around %d: %v, %v", n, k, &v, err)
			}
			if again, ok := x.shorten(long); !ok || !bytes.Equal(again, short) {
				t.Errorf("%d bytes around %d: %x, want %x", n, k, again, short)
			}
			for cut := range long {
				if again, ok := x.shorten(long[:cut]); ok && !bytes.HasPrefix(short, again) {
					t.Errorf("%d bytes around %d, cut to %d: %x", n, k, cut, again)
				} else if !ok && cut > headerBytes+lengthBytes(n)+k {
					t.Errorf("%d bytes around %d, cut to %d: nothing", n, k, cut)
				}
			}
			if _, ok := other.shorten(long); ok && n > k+2 {
				t.Errorf("%d bytes around %d: another client takes it", n, k)
			}
		}
	}
}

// Who sends no extended tokens pays nothing, who does no allocation.
func TestExtensionAllocations(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	datagram := []byte{0x44, 1, 0, 1, 1, 2, 3, 4}
	for _, n := range []int{0, 20} {
		x := newExtension(n, rng)
		long := bytes.Clone(x.extend(datagram))
		if got := testing.AllocsPerRun(100, func() {
			x.extend(datagram)
			x.shorten(long)
		}); got > 0 {
			t.Errorf("tokens of %d bytes: %v allocations", n, got)
		}
	}
}
