package reliability

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"testing"
	"time"
	"unsafe"

	"github.com/motewire/coap/message"
	"github.com/motewire/coap/peer"
	"pgregory.net/rapid"
)

// numbered returns the n-th of many peers.
func numbered(n int) peer.Addr {
	ip := netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})
	return peer.From(netip.AddrPortFrom(ip, 40000)).WithLocal(netip.AddrFrom4([4]byte{192, 0, 2, 9}))
}

// serve receives a request and answers it with a payload, so that the reply has 20 bytes
// with an 8-byte payload and a 7-byte token.
func (b *bench) serve(from peer.Addr, v *message.View, reply []byte) Verdict {
	verdict := b.e.Receive(b.now, from, false, v)
	if verdict.Kind == Request {
		b.e.Respond(b.now, verdict.Inbound, reply, RespondOptions{})
	}
	return verdict
}

func parse(t testing.TB, datagram []byte) *message.View {
	t.Helper()
	v := new(message.View)
	if err := v.Parse(datagram); err != nil {
		t.Fatal(err)
	}
	return v
}

func heapBytes() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// A million remembered exchanges take at most 128 bytes each, with the reply, and
// nothing when their lifetime is over.
func TestMemoryOfAMillionExchanges(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a second and 128 MB")
	}
	const n = 1_000_000
	b := newBench(t, Config{DedupBytes: 1 << 30})
	v := parse(t, encode(message.Confirmable, message.POST, 1, "1234567", ""))
	reply := encode(0, message.Changed, 0, "1234567", "12345678")
	if len(reply) != 20 {
		t.Fatalf("reply of %d bytes", len(reply))
	}
	before := heapBytes()
	for i := range n {
		if verdict := b.serve(numbered(i), v, reply); verdict.Kind != Request {
			t.Fatalf("request %d: %+v", i, verdict)
		}
	}
	grown := heapBytes() - before
	s := b.e.Stats()
	t.Logf("%d bytes of heap, %d counted per exchange", grown/n, s.RememberedBytes/n)
	if s.Remembered != n || grown > 128*n || s.RememberedBytes > 128*n || s.RememberedBytes < grown*9/10 {
		t.Errorf("%d exchanges take %d bytes of heap, %d counted", s.Remembered, grown, s.RememberedBytes)
	}
	for i := range n {
		if i%999 == 0 && b.serve(numbered(i), v, reply) != (Verdict{Duplicate: true}) {
			t.Fatalf("request %d is forgotten", i)
		}
	}
	b.events()
	if all := b.run(248 * time.Second); len(all) != 0 {
		t.Errorf("events %+v", all)
	}
	if s := b.e.Stats(); s.Remembered != 0 || s.RememberedBytes != 0 {
		t.Errorf("left behind: %+v", s)
	}
	if _, ok := b.e.Deadline(); ok {
		t.Error("an idle endpoint has a deadline")
	}
	if left := heapBytes() - before; left > n {
		t.Errorf("%d bytes left behind", left)
	}
	runtime.KeepAlive(b)
}

// A client that came once leaves nothing behind when its lifetime is over.
func TestNothingIsLeftBehind(t *testing.T) {
	b := newBench(t, Config{})
	for i := range 1000 {
		typ := message.Type(i % 2)
		v := parse(t, encode(typ, message.Code(1+i%7), message.ID(i), "1234567", ""))
		b.serve(numbered(i), v, encode(0, message.Changed, 0, "1234567", "12345678"))
		b.events()
		b.pass(time.Millisecond)
	}
	for i := range 100 { // separate responses and rejected ones
		from := numbered(i)
		x := b.request(from, encode(message.Confirmable, message.POST, message.ID(2000+i), "t", ""))
		b.e.Acknowledge(b.now, x)
		b.e.Respond(b.now, x, encode(0, message.Changed, 0, "t", ""), RespondOptions{})
		for _, ev := range b.events() {
			if i%2 == 0 && ev.Attempt == 1 {
				b.receive(from, empty(message.Acknowledgement, idOf(ev.Datagram)))
			}
		}
		b.receive(from, encode(message.Confirmable, message.Content, message.ID(3000+i), "no", ""))
	}
	wakes := 0
	for {
		at, ok := b.e.Deadline()
		if !ok {
			break
		}
		if wakes++; wakes > 1000 {
			t.Fatal("the endpoint never falls asleep")
		}
		b.now = at
		b.e.Advance(b.now)
		b.events()
	}
	if d := b.now.Sub(epochStart); d > 15*time.Minute {
		t.Errorf("asleep after %v", d)
	}
	s := b.e.Stats()
	if s.Remembered+s.RememberedBytes+s.Peers+s.OpenExchanges+s.PendingRequests != 0 {
		t.Errorf("left behind: %+v", s)
	}
	for name, x := range map[string]*index{"peers": &b.e.byPeer, "ids": &b.e.byID, "tokens": &b.e.byToken} {
		if x.bytes != 0 {
			t.Errorf("index of %s: %d bytes", name, x.bytes)
		}
	}
}

// The budget counts chunks as the allocator sees them.
func TestChunkSizes(t *testing.T) {
	if n := unsafe.Sizeof(recordChunk{}); n != chunkBytes {
		t.Errorf("a chunk of records has %d bytes, want %d", n, chunkBytes)
	}
	if n := unsafe.Sizeof(replyBlock{}); n != blockBytes {
		t.Errorf("a block of replies has %d bytes, want %d", n, blockBytes)
	}
}

// At the budget the oldest records go first: idempotent and Non-confirmable ones, then
// the others, never one in hand.
func TestEvictionOrder(t *testing.T) {
	b := newBench(t, Config{DedupBytes: minDedupBytes})
	reply := encode(0, message.Changed, 0, "1234567", "12345678")
	get := parse(t, encode(message.Confirmable, message.GET, 1, "1234567", ""))
	non := parse(t, encode(message.NonConfirmable, message.POST, 2, "1234567", ""))
	post := parse(t, encode(message.Confirmable, message.POST, 3, "1234567", ""))
	slow := b.request(bob, encode(message.Confirmable, message.GET, 4, "t", ""))
	for i := range 300 {
		b.serve(numbered(i), post, reply)
	}
	for i := range 5000 {
		b.serve(numbered(i), get, reply)
	}
	s := b.e.Stats()
	if s.EvictedIdempotent == 0 || s.EvictedNonIdempotent != 0 || s.RememberedBytes > minDedupBytes+1024 {
		t.Fatalf("after GETs: %+v", s)
	}
	for i := range 5000 {
		b.serve(numbered(i), non, reply)
	}
	s = b.e.Stats()
	if s.EvictedNonConfirmable == 0 || s.EvictedNonIdempotent != 0 {
		t.Fatalf("after NONs: %+v", s)
	}
	if v := b.serve(numbered(4999), non, reply); !v.Duplicate {
		t.Error("the newest NON is gone")
	}
	if v := b.serve(numbered(0), post, reply); !v.Duplicate {
		t.Error("the oldest POST is gone")
	}
	for i := range 10000 {
		b.serve(numbered(i), post, reply)
		b.events()
	}
	s = b.e.Stats()
	if s.EvictedNonIdempotent == 0 || s.RememberedBytes > minDedupBytes+8192 {
		t.Fatalf("after POSTs: %+v", s)
	}
	if v := b.receive(bob, encode(message.Confirmable, message.GET, 4, "t", "")); !v.Duplicate {
		t.Error("a request in hand was forgotten")
	}
	if !b.e.Respond(b.now, slow, encode(0, message.Content, 0, "t", "slow"), RespondOptions{}) {
		t.Error("not piggybacked")
	}
	b.events()
	b.receive(bob, encode(message.Confirmable, message.GET, 4, "t", ""))
	b.want(encode(message.Acknowledgement, message.Content, 4, "t", "slow"))
}

// Where all memory is taken by requests in hand, a new one is not taken.
func TestOverloadOfRequestsInHand(t *testing.T) {
	b := newBench(t, Config{DedupBytes: minDedupBytes})
	v := parse(t, encode(message.Confirmable, message.POST, 3, "t", ""))
	var open []Inbound
	for i := range 10000 {
		verdict := b.e.Receive(b.now, numbered(i), false, v)
		if verdict.Kind == Overload {
			break
		}
		open = append(open, verdict.Inbound)
	}
	if len(open) < 1000 || len(open) > 4096 {
		t.Fatalf("%d requests taken", len(open))
	}
	for i := range open {
		if got := b.e.Receive(b.now, numbered(i), false, v); got != (Verdict{Duplicate: true}) {
			t.Fatalf("request %d in hand: %+v", i, got)
		}
	}
	if v := b.e.Receive(b.now, bob, false, v); v != (Verdict{Kind: Overload}) {
		t.Errorf("one more: %+v", v)
	}
	b.want()
	for _, x := range open { // no room for replies: at most once
		b.e.Respond(b.now, x, encode(0, message.Changed, 0, "t", "p"), RespondOptions{})
	}
	s := b.e.Stats()
	if s.RepliesUnstored == 0 || s.OverloadDedup != 2 || s.PendingRequests != 0 {
		t.Errorf("counters %+v", s)
	}
	if v := b.e.Receive(b.now, bob, false, v); v.Kind != Request {
		t.Errorf("after the answers: %+v", v)
	}
}

// Old records behind many requests in hand are found step by step, within the budget.
func TestBudgetBehindRequestsInHand(t *testing.T) {
	const budget = 1 << 20
	b := newBench(t, Config{DedupBytes: budget})
	v := parse(t, encode(message.Confirmable, message.POST, 3, "t", ""))
	const inHand = 40 * chunkRecords // more chunks than one message may evict
	for i := range inHand {
		if x := b.e.Receive(b.now, numbered(i), false, v); x.Kind != Request {
			t.Fatalf("request %d: %+v", i, x)
		}
	}
	taken, refused := 0, 0
	for i := range 20_000 {
		if x := b.serve(numbered(inHand+i), v, encode(0, message.Changed, 0, "t", "p")); x.Kind == Overload {
			refused++
		} else {
			taken++
		}
		if s := b.e.Stats(); s.RememberedBytes > budget*9/8 || s.PendingRequests != inHand {
			t.Fatalf("after %d: %+v", i, s)
		}
	}
	if s := b.e.Stats(); refused == 0 || taken < 10_000 || s.EvictedNonIdempotent == 0 {
		t.Errorf("%d taken, %d refused: %+v", taken, refused, s)
	}
	for i := range inHand {
		if x := b.e.Receive(b.now, numbered(i), false, v); x != (Verdict{Duplicate: true}) {
			t.Fatalf("request %d in hand: %+v", i, x)
		}
	}
}

// A busy endpoint forgets without Advance.
func TestMessagesReceivedExpireOldRecords(t *testing.T) {
	b := newBench(t, Config{})
	reply := encode(0, message.Content, 0, "t", "p")
	for i := range 100_000 {
		b.serve(alice, parse(t, encode(message.Confirmable, message.GET, message.ID(i), "t", "")), reply)
		b.now = b.now.Add(10 * time.Millisecond)
	}
	if s := b.e.Stats(); s.Remembered > 24_700+chunkRecords {
		t.Errorf("%d remembered of 247 s with 100 a second", s.Remembered)
	}
}

func TestOverloadOfMaxInbound(t *testing.T) {
	b := newBench(t, Config{MaxInbound: 2})
	get := func(id message.ID) Verdict {
		return b.receive(alice, encode(message.Confirmable, message.GET, id, "t", ""))
	}
	x := get(1)
	get(2)
	if v := get(3); v != (Verdict{Kind: Overload}) {
		t.Errorf("third: %+v", v)
	}
	b.e.Drop(b.now, x.Inbound)
	if v := get(3); v.Kind != Request || v.Duplicate {
		t.Errorf("third, retransmitted: %+v", v)
	}
}

// A handler that outlives the record of its request can still answer.
func TestRequestInHandForLongerThanItsLifetime(t *testing.T) {
	b := newBench(t, Config{})
	x := b.request(alice, encode(message.Confirmable, message.POST, 1, "t", ""))
	b.run(300 * time.Second)
	again := b.request(alice, encode(message.Confirmable, message.POST, 1, "t", ""))
	b.events()
	if b.e.Respond(b.now, x, encode(0, message.Changed, 0, "t", "old"), RespondOptions{}) {
		t.Error("piggybacked after 300 s")
	}
	if d := b.transmitted(); d[0]>>4&3 != byte(message.Confirmable) {
		t.Errorf("answered by %x", d)
	}
	if v := b.receive(alice, encode(message.Confirmable, message.POST, 1, "t", "")); v != (Verdict{Duplicate: true}) {
		t.Errorf("the second is no longer in hand: %+v", v)
	}
	if !b.e.Respond(b.now, again, encode(0, message.Changed, 0, "t", "new"), RespondOptions{}) {
		t.Error("second not piggybacked")
	}
}

// The index agrees with a map under any insertions and removals, colliding ones too.
func TestIndexAgreesWithAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var x index
		model := map[uint32]uint32{}
		hash := rapid.Custom(func(t *rapid.T) uint32 {
			return uint32(rapid.IntRange(0, 2).Draw(t, "segment"))<<24 | uint32(rapid.IntRange(0, 40).Draw(t, "tag"))
		})
		next := uint32(1)
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			h := hash.Draw(t, "hash")
			switch rapid.IntRange(0, 2).Draw(t, "op") {
			case 0, 1:
				x.insert(h, next)
				model[next] = h
				next++
			case 2:
				for ref, mh := range model {
					if mh == h {
						x.remove(h, ref)
						delete(model, ref)
						break
					}
				}
				x.remove(h, next+1000) // not there
			}
			for ref, mh := range model {
				found := 0
				for p := x.find(mh); p.ref != 0; p.next() {
					if p.ref == ref {
						found++
					}
					if model[p.ref] != mh {
						t.Fatalf("probe of %x found %d of %x", mh, p.ref, model[p.ref])
					}
				}
				if found != 1 {
					t.Fatalf("reference %d found %d times", ref, found)
				}
			}
		}
		bytes := 0
		for i := range x.segments {
			bytes += len(x.segments[i].slots) * slotBytes
		}
		if bytes != x.bytes {
			t.Errorf("%d bytes counted, %d used", x.bytes, bytes)
		}
		for ref, h := range model {
			x.remove(h, ref)
		}
		if x.bytes != 0 {
			t.Errorf("%d bytes in an empty index", x.bytes)
		}
	})
}

// Peers spread over the segments and slots of an index, whatever differs between them.
func TestHashSpreads(t *testing.T) {
	h := newHasher(newRand(7))
	for name, hash := range map[string]func(i int) uint32{
		"address": func(i int) uint32 { a := numbered(i); return h.id(&a, 1) },
		"id":      func(i int) uint32 { return h.id(&alice, message.ID(i)) },
		"port": func(i int) uint32 {
			a := peer.From(netip.AddrPortFrom(alice.AddrPort().Addr(), uint16(i)))
			return h.id(&a, 1)
		},
		"local": func(i int) uint32 {
			a := alice.WithLocal(numbered(i).AddrPort().Addr())
			return h.local(&a, 1)
		},
		"token": func(i int) uint32 { return h.token(&alice, mustToken(fmt.Sprint(i))) },
	} {
		const n = 1 << 16
		var segments [256]int
		tags := map[uint32]bool{}
		for i := range n {
			segments[hash(i)>>24]++
			tags[hash(i)] = true
		}
		for i, k := range segments {
			if k < n/256/2 || k > n/256*2 {
				t.Errorf("%s: segment %d has %d of %d", name, i, k, n)
			}
		}
		if len(tags) < n-10 {
			t.Errorf("%s: %d tags for %d keys", name, len(tags), n)
		}
	}
}

// Every table agrees with its gauges after random traffic at the edge of the budget.
func TestDedupAgreesWithAMap(t *testing.T) {
	type key struct {
		from peer.Addr
		id   message.ID
	}
	rng := rand.New(rand.NewPCG(1, 2))
	b := newBench(t, Config{DedupBytes: 1 << 20})
	seen := map[key]time.Time{}
	repeated := 0
	for range 200_000 {
		k := key{numbered(rng.IntN(50)), message.ID(rng.IntN(1000))}
		v := parse(t, encode(message.Confirmable, message.GET, k.id, "t", ""))
		verdict := b.serve(k.from, v, encode(0, message.Content, 0, "t", fmt.Sprint(k)))
		at, known := seen[k]
		known = known && b.now.Sub(at) < 247*time.Second
		if verdict.Duplicate && !known {
			t.Fatalf("%v is no duplicate", k)
		}
		if verdict.Duplicate {
			repeated++
			b.want(encode(message.Acknowledgement, message.Content, k.id, "t", fmt.Sprint(k)))
		} else if verdict.Kind == Request {
			seen[k] = b.now
		}
		b.now = b.now.Add(time.Duration(rng.IntN(20)) * time.Millisecond)
		if s := b.e.Stats(); s.RememberedBytes > 1<<20*9/8 {
			t.Fatalf("%d bytes", s.RememberedBytes)
		}
	}
	s := b.e.Stats()
	if repeated < 1000 || s.EvictedIdempotent == 0 || s.RepliesRepeated != uint64(repeated) {
		t.Errorf("%d duplicates, counters %+v", repeated, s)
	}
}

// Exactly what is within its lifetime is recognized, while the table grows, shrinks and
// has dead references in it; and it is as large as its records need.
func TestLookupForgets(t *testing.T) {
	const lifetime = 247 * time.Second
	rng := rand.New(rand.NewPCG(3, 4))
	b := newBench(t, Config{DedupBytes: 1 << 30})
	get := parse(t, encode(message.Confirmable, message.GET, 1, "t", ""))
	reply := encode(0, message.Content, 0, "t", "p")
	seen := map[int]time.Time{}
	for phase, perSecond := range []int{100, 1, 400, 400, 20, 2} {
		for range min(perSecond, 100) * 300 { // 300 s and less
			from := rng.IntN(400_000)
			at, known := seen[from]
			known = known && b.now.Sub(at) < lifetime
			if v := b.serve(numbered(from), get, reply); v.Duplicate != known {
				t.Fatalf("phase %d: client %d: %+v, known: %v", phase, from, v, known)
			}
			if !known {
				seen[from] = b.now
			}
			b.now = b.now.Add(time.Second / time.Duration(perSecond))
			b.events()
		}
		live, slots := 0, 0
		for i := range b.e.dedup.lookup.segments {
			s := &b.e.dedup.lookup.segments[i]
			live += s.live
			slots += len(s.slots)
		}
		records := b.e.Stats().Remembered
		if live != records || slots*slotBytes != b.e.dedup.lookup.bytes || slots > 8*records+indexSegments*minLookupSlots {
			t.Errorf("phase %d: %d live of %d slots for %d records", phase, live, slots, records)
		}
	}
	b.run(2 * lifetime)
	if x := &b.e.dedup.lookup; x.bytes != 0 || b.e.Stats().Remembered != 0 {
		t.Errorf("%d bytes are left for %d records", x.bytes, b.e.Stats().Remembered)
	}
}

// Anticipation changes nothing, whatever it is given.
func TestAnticipateChangesNothing(t *testing.T) {
	b := newBench(t, Config{})
	for i := range 100_000 {
		b.serve(numbered(i), parse(t, encode(message.Confirmable, message.GET, 1, "t", "")), encode(0, message.Content, 0, "t", "p"))
	}
	if b.e.dedup.lookup.bytes < cachedBytes {
		t.Fatalf("a table of %d bytes is too small for this test", b.e.dedup.lookup.bytes)
	}
	before := b.e.Stats()
	for i := range 10 {
		b.e.Anticipate(&alice, make([]byte, i))
	}
	if after := b.e.Stats(); after != before {
		t.Errorf("from %+v to %+v", before, after)
	}
}

// The guarantee at the budget: as long as the others have room, no request that must not
// run twice is forgotten in its lifetime, whatever idempotent ones come; and of these, the
// newest are remembered. What is gone before its time is counted.
func TestGuaranteeAtTheBudget(t *testing.T) {
	const budget, perExchange = 2 << 20, 112
	b := newBench(t, Config{DedupBytes: budget})
	post := parse(t, encode(message.Confirmable, message.POST, 1, "1234567", ""))
	get := parse(t, encode(message.Confirmable, message.GET, 2, "1234567", ""))
	non := parse(t, encode(message.NonConfirmable, message.GET, 3, "1234567", ""))
	reply := func(i int) []byte { return encode(0, message.Content, 0, "1234567", fmt.Sprintf("%08d", i)) }
	const posts, getsPerPost = 2000, 20
	gets := 0
	for i := range posts {
		b.serve(numbered(i), post, reply(i))
		for range getsPerPost {
			b.serve(numbered(gets), get, reply(gets))
			b.serve(numbered(gets), non, reply(gets))
			gets++
		}
		b.now = b.now.Add(240 * time.Second / posts)
	}
	b.events()
	s := b.e.Stats()
	if s.EvictedNonIdempotent != 0 || s.EvictedIdempotent == 0 || s.EvictedNonConfirmable == 0 {
		t.Fatalf("counters %+v", s)
	}
	gone := s.EvictedIdempotent + s.EvictedNonConfirmable
	if uint64(s.Remembered)+gone != s.Received { // no lifetime was long enough to end
		t.Errorf("%d remembered and %d evicted of %d", s.Remembered, gone, s.Received)
	}
	for i := range posts {
		if v := b.serve(numbered(i), post, nil); v != (Verdict{Duplicate: true}) {
			t.Fatalf("POST %d of %d: %+v", i, posts, v)
		}
		want := reply(i)
		writeHeader(want, message.Acknowledgement, 1)
		b.want(want)
	}
	// Two classes share what the third leaves.
	newest := (budget/perExchange - posts) / 2 * 3 / 4
	for i := gets - newest; i < gets; i++ {
		if v := b.serve(numbered(i), get, nil); v != (Verdict{Duplicate: true}) {
			t.Fatalf("GET %d of the %d newest: %+v", i-gets+newest, newest, v)
		}
	}
	if s.RememberedBytes > budget*9/8 {
		t.Errorf("%d bytes", s.RememberedBytes)
	}
}
