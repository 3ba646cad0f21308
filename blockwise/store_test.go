package blockwise

import (
	"bytes"
	"testing"
	"time"

	"github.com/motewire/coap/message"
)

func get(t tb, code message.Code, payload []byte, options ...message.Option) *message.View {
	t.Helper()
	return parse(t, message.Message{Code: code, Options: options, Payload: payload})
}

// §2.3, §2.4: the size is the smaller one of both wishes, the place is the byte that was
// asked for; what cannot be is 4.00.
func TestSlice(t *testing.T) {
	block := func(num uint32, size int) Wish {
		szx, ok := message.SZXForSize(size)
		if !ok {
			szx = 7
		}
		return Wish{Asked: true, Block: message.Block{Num: num, SZX: szx, More: true}}
	}
	for _, c := range []struct {
		name  string
		wish  Wish
		total int
		own   int
		want  string // "" for 4.00
		start int
		end   int
		size2 bool
	}{
		{"small, not asked", Wish{}, 64, 64, "-", 0, 64, false},
		{"empty, not asked", Wish{}, 0, 64, "-", 0, 0, false},
		{"large, not asked", Wish{}, 65, 64, "0/1/64", 0, 64, true},
		{"Size2 of a small one", Wish{Size2: true}, 5, 64, "-", 0, 5, true},
		{"empty", block(0, 16), 0, 64, "0/0/16", 0, 0, false},
		{"small", block(0, 1024), 5, 64, "0/0/64", 0, 5, false},
		{"smaller wish", block(0, 32), 100, 64, "0/1/32", 0, 32, true},
		{"larger wish", block(0, 128), 100, 64, "0/1/64", 0, 64, true},
		{"later block", block(1, 32), 100, 64, "1/1/32", 32, 64, false},
		{"later block, larger wish", block(1, 128), 300, 32, "4/1/32", 128, 160, false},
		{"last block", block(3, 32), 100, 64, "3/0/32", 96, 100, false},
		{"last block, exactly", block(3, 32), 128, 64, "3/0/32", 96, 128, false},
		{"beyond the end", block(4, 32), 128, 64, "", 0, 0, false},
		{"far beyond the end", block(message.MaxBlockNum, 1024), 128, 64, "", 0, 0, false},
		{"block 1 of nothing", block(1, 32), 0, 64, "", 0, 0, false},
		{"reserved SZX", block(0, 0), 100, 64, "", 0, 0, false},
		{"NUM fits no smaller size", block(1<<19, 1024), 1 << 30, 16, "524288/1/1024", 1 << 29, 1<<29 + 1024, false},
		{"NUM fits half the size", block(1<<19-1, 1024), 1 << 30, 16, "1048574/1/512", 1<<29 - 1024, 1<<29 - 512, false},
	} {
		szx, _ := message.SZXForSize(c.own)
		s, ok := c.wish.Slice(c.total, szx)
		got := ""
		if ok {
			got = "-"
			if s.Blockwise {
				got = s.Block2.String()
			}
		}
		if got != c.want || s.Start != c.start || s.End != c.end || s.Size2 != c.size2 {
			t.Errorf("%s: %s, %d to %d, Size2 %t; want %s, %d to %d, %t", c.name, got, s.Start, s.End, s.Size2, c.want, c.start, c.end, c.size2)
		}
	}
}

// Where the length is not known, a byte more than the block needs is as good.
func TestSliceOfUnknownLength(t *testing.T) {
	for num := range uint32(3) {
		w := Wish{Asked: true, Block: message.Block{Num: num, SZX: 1}}
		known, _ := w.Slice(int(num+1)*32+1, 6)
		whole, _ := w.Slice(1000, 6)
		if known != whole {
			t.Errorf("block %d: %+v, %+v", num, known, whole)
		}
	}
}

func TestSZXWithin(t *testing.T) {
	for room, want := range map[int]uint8{-1: 0, 15: 0, 16: 0, 31: 0, 32: 1, 1023: 5, 1024: 6, 9999: 6} {
		if got := SZXWithin(room); got != want {
			t.Errorf("%d bytes: %d, want %d", room, got, want)
		}
	}
}

// A response is kept for its request, whatever blocks are asked for, and for no other.
func TestStore(t *testing.T) {
	s := mustStore(t, StoreConfig{})
	first := get(t, message.GET, nil, path("x"), uintOption(message.Observe, 0))
	kept := Snapshot{Code: message.Content, Body: body(1, 100), ETag: ETag(body(1, 100))}
	if !s.Keep(epoch, peerNumber(1), first, nil, kept) {
		t.Fatal("not kept")
	}
	later := get(t, message.GET, nil, path("x"), blockOption(message.Block2, 1, false, 32), uintOption(message.Size2, 0))
	if got, ok := s.Find(epoch, peerNumber(1), later, nil); !ok || &got.Body[0] != &kept.Body[0] || got.ETag != kept.ETag {
		t.Errorf("%+v, %t", got, ok)
	}
	if _, ok := s.Find(epoch, peerNumber(2), later, nil); ok {
		t.Error("found for another peer")
	}
	for _, other := range []*message.View{
		get(t, message.POST, nil, path("x")), get(t, message.GET, nil, path("y")),
		get(t, message.GET, nil, path("x"), message.Option{Number: message.RequestTag}),
	} {
		if _, ok := s.Find(epoch, peerNumber(1), other, nil); ok {
			t.Errorf("found for %v", other)
		}
	}
	if n := s.Stats(); n.Kept != 1 || n.Found != 1 || n.Missed != 4 || n.Snapshots != 1 || n.SnapshotBytes < 100 {
		t.Errorf("%+v", n)
	}
}

// RFC 8132 §2: the body of a FETCH is part of what it asks for; later requests may come
// without it (RFC 7959 §2.7).
func TestStoreFetch(t *testing.T) {
	s := mustStore(t, StoreConfig{})
	request := func(b string) (*message.View, []byte) { return get(t, message.FETCH, []byte(b), path("x")), []byte(b) }
	v, b := request("a")
	s.Keep(epoch, peerNumber(1), v, b, Snapshot{Code: message.Content, Body: body(1, 100)})
	b[0] = 'z' // it belongs to the caller
	s.Keep(epoch, peerNumber(1), get(t, message.POST, nil, path("x")), nil, Snapshot{Code: message.Changed})
	post := get(t, message.POST, []byte("any"), path("x"))
	if _, ok := s.Find(epoch, peerNumber(1), post, post.Payload()); !ok {
		t.Error("the body of a POST counts")
	}
	for text, want := range map[string]bool{"a": true, "": true, "b": false, "z": false} {
		v, b := request(text)
		if _, ok := s.Find(epoch, peerNumber(1), v, b); ok != want {
			t.Errorf("%q: %t", text, ok)
		}
	}
	registration := AppendKey(nil, v)
	s.KeepNotified(epoch, peerNumber(1), registration, Snapshot{Code: message.Content, Body: body(2, 100)})
	v, b = request("a")
	if got, ok := s.Find(epoch, peerNumber(1), v, b); !ok || !bytes.Equal(got.Body, body(2, 100)) {
		t.Error("the notification is not found")
	}
	v, _ = request("b")
	s.Keep(epoch, peerNumber(1), v, nil, Snapshot{Code: message.Content})
	v, b = request("a")
	if _, ok := s.Find(epoch, peerNumber(1), v, b); ok {
		t.Error("the newer one took over the body of the older one")
	}
}

// §2.4: kept "after a period of EXCHANGE_LIFETIME after the last access", not longer.
func TestStoreLifetime(t *testing.T) {
	s, now := mustStore(t, StoreConfig{}), epoch
	if _, ok := s.Deadline(); ok {
		t.Error("deadline of nothing")
	}
	v := get(t, message.POST, nil, path("x"))
	s.Keep(now, peerNumber(1), v, nil, Snapshot{Body: body(1, 9)})
	for range 3 {
		now = now.Add(exchangeLifetime - 1)
		if _, ok := s.Find(now, peerNumber(1), v, nil); !ok {
			t.Fatal("gone too early")
		}
	}
	if at, ok := s.Deadline(); !ok || !at.Equal(now.Add(exchangeLifetime)) {
		t.Errorf("deadline %v, %t", at, ok)
	}
	if _, ok := s.Find(now.Add(exchangeLifetime), peerNumber(1), v, nil); ok {
		t.Error("still there")
	}
	if n := s.Stats(); n.Snapshots != 0 || n.SnapshotBytes != 0 || n.Expired != 1 {
		t.Errorf("%+v", n)
	}
}

// At each of its bounds the Store gives up what was not asked for for longest.
func TestStoreLimits(t *testing.T) {
	s := mustStore(t, StoreConfig{MaxSnapshots: 3, MaxSnapshotsPerPeer: 2, MaxBytes: 3000})
	now := epoch
	keep := func(client int, resource string, n int) bool {
		now = now.Add(time.Second)
		return s.Keep(now, peerNumber(client), get(t, message.GET, nil, path(resource)), nil, Snapshot{Body: body(1, n)})
	}
	has := func(want string) {
		t.Helper()
		got := ""
		for _, resource := range []string{"a", "b", "c", "d"} {
			for client := range 3 {
				if s.kept.find(peerNumber(client), AppendKey(nil, get(t, message.GET, nil, path(resource)))) != nil {
					got += resource
				}
			}
		}
		if got != want {
			t.Errorf("has %q, want %q", got, want)
		}
	}
	keep(1, "a", 10)
	keep(1, "b", 10)
	keep(1, "b", 20)
	has("ab")
	keep(1, "c", 10)
	has("bc")
	keep(2, "a", 10)
	has("abc")
	keep(2, "d", 10) // evicts 1 b
	has("acd")
	keep(0, "b", 2400) // evicts for count, then for bytes
	has("bd")
	if keep(0, "b", 2900) {
		t.Error("kept more than there is room for")
	}
	has("d")
	if n := s.Stats(); n.Evicted != 4 || n.Refused != 1 || n.Replaced != 2 || n.Snapshots != 1 {
		t.Errorf("%+v", n)
	}
	s.Advance(now.Add(exchangeLifetime))
	if n := s.Stats(); n.SnapshotBytes != 0 || len(s.kept.peers) != 0 {
		t.Errorf("%+v", n)
	}
}

// The label of a body never changes.
func TestETag(t *testing.T) {
	if got := ETag(nil).String(); got != "e3b0c44298fc1c14" { // SHA-256 of nothing
		t.Error(got)
	}
	if ETag([]byte("a")) == ETag([]byte("b")) {
		t.Error("equal")
	}
}

func TestRepeatable(t *testing.T) {
	for code := message.GET; code <= message.IPATCH; code++ {
		if Repeatable(code) != (code == message.GET || code == message.FETCH) {
			t.Error(code)
		}
	}
}
