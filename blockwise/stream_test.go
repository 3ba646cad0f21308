package blockwise

import (
	"bytes"
	"errors"
	"testing"

	"github.com/motewire/coap/message"
)

// Of a stream, nothing is known of blocks before the newest.
func TestStreamOlderBlock(t *testing.T) {
	b, up := newBench(t, Config{}), body(1, 200)
	b.stream = true
	for n := range 3 {
		b.want(b.block(up, n), Continue)
	}
	b.want(b.block(up, 1), Incomplete)
	b.want(b.block(up, 3), Continue)
	if _, ok := b.a.Poll(); ok {
		t.Error("an older block ended the stream")
	}
}

// A stream gives each piece once, and its reader hears of every end but the last block.
func TestStream(t *testing.T) {
	b, up := newBench(t, Config{}), body(1, 100)
	b.stream = true
	var got []byte
	var s Transfer
	for _, num := range []int{0, 0, 1, 1, 2, 2, 3} {
		r := b.block(up, num)
		if r.Started != (s == 0) || s != 0 && r.Transfer != s || len(r.Chunk) > 0 && r.Offset != len(got) || r.Body != nil {
			t.Fatalf("block %d: %+v", num, r)
		}
		s = r.Transfer
		got = append(got, r.Chunk...)
		b.want(r, map[bool]Outcome{false: Continue, true: Complete}[num == 3])
	}
	if !bytes.Equal(got, up) {
		t.Error("another body")
	}
	b.want(b.block(up, 3), Repeated)
	if ev, ok := b.a.Poll(); ok {
		t.Errorf("event %v", ev)
	}
	b.wantEmpty()
}

// The ways in which a stream ends before its time.
func TestStreamEnds(t *testing.T) {
	up := body(1, 100)
	for name, c := range map[string]struct {
		act  func(b *bench)
		want error
	}{
		"restart": {func(b *bench) { b.want(b.block(body(2, 100), 0), Continue) }, ErrRestarted},
		"single":  {func(b *bench) { b.want(b.put(up[:9], blockOption(message.Block1, 0, false, 32)), Whole) }, ErrRestarted},
		"gap":     {func(b *bench) { b.want(b.block(up, 3), Incomplete) }, ErrIncomplete},
		"large":   {func(b *bench) { b.want(b.block(up, 2, uintOption(message.Size1, 2<<20)), TooLarge) }, ErrTooLarge},
		"idle":    {func(b *bench) { b.a.Advance(b.now.Add(exchangeLifetime)) }, ErrExpired},
		"evicted": {func(b *bench) { b.want(b.block(up, 0, path("y")), Continue) }, ErrEvicted},
		"ended":   {func(b *bench) { b.a.End(1); b.a.End(1); b.want(b.block(up, 2), Incomplete) }, nil},
		"foreign": {func(b *bench) { b.want(b.block(body(2, 100), 1), Incomplete); b.want(b.block(up, 0), Continue) }, ErrRestarted},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, Config{MaxTransfers: 1})
			b.stream = true
			s := b.block(up, 0).Transfer
			b.block(up, 1)
			c.act(b)
			ev, ok := b.a.Poll()
			if ok != (c.want != nil) || ok && (ev.Transfer != s || !errors.Is(ev.Err, c.want)) {
				t.Errorf("%+v, %t, want %v", ev, ok, c.want)
			}
			if ev, ok = b.a.Poll(); ok {
				t.Errorf("a second event %+v", ev)
			}
		})
	}
}

// A stream may be larger than all memory for bodies.
func TestStreamNeedsOneBlock(t *testing.T) {
	b := newBench(t, Config{MaxBody: 2 << 10, MaxBytes: 4 << 10})
	b.stream, b.limit = true, 1<<20
	up := body(1, 64<<10)
	for n := range len(up) / 1024 {
		r := b.put(up[n*1024:n*1024+1024], blockOption(message.Block1, n, n < 63, 1024))
		if !bytes.Equal(r.Chunk, up[n*1024:n*1024+1024]) {
			t.Fatalf("block %d: %v", n, r.Outcome)
		}
		if s := b.a.Stats(); s.TransferBytes > 4<<10 {
			t.Fatalf("%d bytes", s.TransferBytes)
		}
	}
	b.wantEmpty()
}
