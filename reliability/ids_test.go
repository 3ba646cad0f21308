package reliability

import (
	"fmt"
	"testing"
	"time"

	"github.com/motewire/coap/message"
	"pgregory.net/rapid"
)

// RFC 7252 §4.4: "The same Message ID MUST NOT be reused (in communicating with the same
// endpoint) within the EXCHANGE_LIFETIME".
func TestMessageIDsAreNotReusedInTheirLifetime(t *testing.T) {
	b := newBench(t, Config{MaxQueued: 10})
	note := encode(0, message.Content, 0, "t", "p")
	used := map[message.ID]time.Time{}
	sent := 0
	check := func() {
		for _, ev := range b.events() {
			id := idOf(ev.Datagram)
			if at, ok := used[id]; ok && b.now.Sub(at) < 247*time.Second {
				t.Fatalf("message ID %d again after %v", id, b.now.Sub(at))
			}
			if id >= unicastIDs {
				t.Fatalf("message ID %d is one for groups", id)
			}
			used[id] = b.now
			sent++
		}
	}
	for i := range unicastIDs {
		b.send(alice, note, SendOptions{})
		check()
		if i%100 == 0 {
			b.pass(100 * time.Millisecond)
		}
	}
	if sent != unicastIDs || !b.e.IDsExhausted(b.now, alice) || b.e.IDsExhausted(b.now, bob) {
		t.Fatalf("%d sent, exhausted: %v", sent, b.e.IDsExhausted(b.now, alice))
	}
	for range 10 { // these wait
		b.send(alice, note, SendOptions{})
	}
	if _, err := b.e.Send(b.now, alice, note, SendOptions{}); err != ErrQueueFull {
		t.Errorf("eleventh: %v", err)
	}
	x := b.request(alice, encode(message.NonConfirmable, message.GET, 1, "t", ""))
	if b.e.Respond(b.now, x, encode(0, message.Content, 0, "t", "p"), RespondOptions{}) {
		t.Error("a response without message ID")
	}
	check()
	if sent != unicastIDs {
		t.Fatal("sent without message ID")
	}
	for range 30 {
		at, ok := b.e.Deadline()
		if !ok || sent > unicastIDs {
			break
		}
		b.now = at
		b.e.Advance(b.now)
		check()
	}
	if sent != unicastIDs+10 || b.now.Sub(epochStart) > 300*time.Second {
		t.Errorf("%d sent after %v", sent, b.now.Sub(epochStart))
	}
	if s := b.e.Stats(); s.ResponsesLost != 1 || s.Refused != 1 {
		t.Errorf("counters %+v", s)
	}
}

// RFC 7252 §4.4: "It is strongly recommended that the initial value of the variable [...]
// be randomized". One counter for all peers would give many observers the same ID.
func TestMessageIDsStartAtRandom(t *testing.T) {
	b := newBench(t, Config{})
	seen := map[message.ID]int{}
	for i := range 1000 {
		b.send(numbered(i), encode(0, message.Content, 0, "t", "p"), SendOptions{})
		seen[idOf(b.transmitted())]++
	}
	if len(seen) < 980 {
		t.Errorf("%d message IDs for 1000 peers", len(seen))
	}
}

// RFC 7252 §8.1: "the sender MUST avoid using a Message ID that is also still active from
// this endpoint with any unicast endpoint that might receive the multicast message."
func TestMulticastHasItsOwnMessageIDs(t *testing.T) {
	b := newBench(t, Config{MaxOutbound: 3000, MaxQueued: 3000})
	seen := map[message.ID]bool{}
	for i := range 2000 {
		b.send(group, encode(0, message.GET, 0, fmt.Sprint(i), ""), SendOptions{Expect: ExpectMany})
		for _, ev := range b.events() {
			if id := idOf(ev.Datagram); id < unicastIDs || seen[id] {
				t.Fatalf("message ID %d", id)
			}
			seen[idOf(ev.Datagram)] = true
		}
	}
	if len(seen) != multicastIDs {
		t.Errorf("%d sent at once, want %d", len(seen), multicastIDs)
	}
}

// The window of IDs agrees with a map of all IDs ever taken.
func TestIDWindowAgreesWithAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.IntRange(1, 20).Draw(t, "size")
		w := idWindow{size: uint16(size), base: 100}
		last := map[message.ID]int64{} // epoch in which it was taken
		epoch := int64(0)
		for range rapid.IntRange(1, 100).Draw(t, "steps") {
			epoch += int64(rapid.SampledFrom([]int{0, 0, 0, 1, 1, 3, 8, 9, 50}).Draw(t, "epochs"))
			free := size
			for _, at := range last {
				if epoch-at <= idEpochs {
					free--
				}
			}
			id, ok := w.take(epoch)
			if ok != (free > 0) {
				t.Fatalf("epoch %d: %d of %d free, take = %v", epoch, free, size, ok)
			}
			if !ok {
				continue
			}
			if at, used := last[id]; used && epoch-at <= idEpochs {
				t.Fatalf("epoch %d: ID %d again after %d epochs", epoch, id, epoch-at)
			}
			if id < 100 || int(id) >= 100+size {
				t.Fatalf("ID %d", id)
			}
			last[id] = epoch
		}
	})
}
