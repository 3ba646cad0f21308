package blockwise

import (
	"fmt"
	"testing"
	"time"

	"github.com/motewire/coap/message"
)

// fuzzSeed is a script of FuzzAssembler: a whole upload of one peer between two of others.
func fuzzSeed() (script []byte) {
	for num := range byte(4) {
		for client := range byte(3) {
			script = append(script, client, num<<4|8, 16)
		}
	}
	return append(script, 0, 4<<4, 3, 1, 4<<4, 16, 1, 4<<4, 16, 0x87, 0, 0, 2, 7, 9)
}

// FuzzAssembler feeds an Assembler with sequences of blocks of several peers, with
// restarts, gaps, foreign blocks and steps of time. Whatever is handed over is a sequence
// of blocks that its peer sent in that order, beginning with block 0; memory stays within
// the limits and goes back to zero.
func FuzzAssembler(f *testing.F) {
	f.Add(fuzzSeed())
	f.Fuzz(func(t *testing.T, script []byte) {
		a := mustAssembler(t, Config{BlockSize: 64, MaxBody: 3 << 10, MaxBytes: 7 << 10, MaxTransfers: 5, MaxTransfersPerPeer: 2})
		now := epoch
		streams := map[Transfer]int{} // bytes so far
		for ; len(script) >= 3; script = script[3:] {
			op, block, n := script[0], uint32(script[1]), int(script[2])
			if op&0x80 != 0 {
				now = now.Add(time.Duration(op&0x7f) * 10 * time.Second)
				continue
			}
			client, seed, stream := int(op&3), int(op>>4&3), op&4 != 0
			b := message.DecodeBlock(block)
			resource := fmt.Sprint(client, op>>6, stream)
			if b.More && b.Valid() && n < 250 {
				n = b.Size() // else it is most often Bad
			}
			whole := fuzzBody(seed)
			payload := whole[min(b.Offset(), len(whole)):min(b.Offset()+n, len(whole))]
			v := get(t, message.PUT, payload, uintOption(message.Block1, block), path(resource))
			receive := a.Receive
			if stream {
				receive = a.Stream
			}
			r := receive(now, peerNumber(client), v, 0)
			if stream && (r.Outcome == Continue || r.Outcome == Complete) && len(r.Chunk) > 0 {
				if r.Offset != streams[r.Transfer] || r.Started != (r.Offset == 0) {
					t.Fatalf("a chunk at %d after %d bytes", r.Offset, streams[r.Transfer])
				}
				streams[r.Transfer] += len(r.Chunk)
			}
			if r.Outcome == Complete && !stream {
				checkHandedOver(t, r.Body, b, len(payload))
				a.Recycle(r.Body)
			}
			for _, ok := a.Poll(); ok; _, ok = a.Poll() {
			}
			checkAssembler(t, a)
		}
		a.Advance(now.Add(exchangeLifetime))
		checkEmpty(t, a)
	})
}

// fuzzBody returns one of four bodies in which each 16 bytes tell where they are.
func fuzzBody(seed int) []byte {
	b := make([]byte, 4<<10)
	for i := range b {
		b[i] = byte(i>>4) ^ byte(i>>12)
		if i%16 == 0 {
			b[i] = byte(seed)
		}
	}
	return b
}

// checkHandedOver checks that a body has no gap: each byte is where it belongs, and the
// end is that of the last block.
func checkHandedOver(t *testing.T, body []byte, last message.Block, n int) {
	t.Helper()
	if len(body) != last.Offset()+n {
		t.Fatalf("%d bytes, but the last block ends at %d", len(body), last.Offset()+n)
	}
	for i, c := range body {
		if i%16 == 0 && c > 3 || i%16 != 0 && c != byte(i>>4)^byte(i>>12) {
			t.Fatalf("byte %d is %d", i, c)
		}
	}
}
