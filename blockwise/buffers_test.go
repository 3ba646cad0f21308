package blockwise

import (
	"fmt"
	"testing"

	"github.com/motewire/coap/message"
)

// Spare buffers stay within their bounds, and larger ones push out smaller ones.
func TestBuffers(t *testing.T) {
	var b buffers
	b.give(nil)
	b.give(make([]byte, 0, minBuffer-1))
	b.give(make([]byte, 0, spareBytes+1))
	if len(b.spare) != 0 {
		t.Fatal("kept what is too small or too large")
	}
	for range spareBuffers {
		b.give(make([]byte, 9, minBuffer))
	}
	b.give(make([]byte, 0, minBuffer))
	b.give(make([]byte, 0, 2*minBuffer))
	if len(b.spare) != spareBuffers || b.bytes != (spareBuffers+1)*minBuffer {
		t.Fatalf("%d buffers, %d bytes", len(b.spare), b.bytes)
	}
	for _, c := range []struct{ n, most, want int }{
		{1, 1 << 30, minBuffer}, {minBuffer + 1, 1 << 30, 2 * minBuffer}, {9999, 1 << 30, 9999}, {10, minBuffer - 1, 10},
	} {
		if s := b.take(c.n, c.most); len(s) != 0 || cap(s) != c.want {
			t.Errorf("take(%d, %d): %d of %d bytes", c.n, c.most, len(s), cap(s))
		}
	}
	b.give(make([]byte, 0, spareBytes))
	if len(b.spare) != 1 || b.bytes != spareBytes {
		t.Errorf("%d buffers, %d bytes", len(b.spare), b.bytes)
	}
	b.give(make([]byte, 0, spareBytes))
	if len(b.spare) != 1 {
		t.Error("a second one of the greatest size is kept")
	}
}

// A table that was large gives its memory back when it is empty.
func TestTableShrinks(t *testing.T) {
	a := mustAssembler(t, Config{MaxTransfers: 3000, MaxTransfersPerPeer: 3000})
	for i := range 3000 {
		v := get(t, message.PUT, body(1, 16), path(fmt.Sprint(i)), blockOption(message.Block1, 0, true, 16))
		a.Receive(epoch, peerNumber(i), v, 0)
	}
	if a.live.peak != 3000 {
		t.Fatal(a.live.peak)
	}
	a.Advance(epoch.Add(exchangeLifetime))
	if a.live.peak != 0 || len(a.live.spare) != spareEntries {
		t.Errorf("peak %d, %d spare entries", a.live.peak, len(a.live.spare))
	}
	checkEmpty(t, a)
}
