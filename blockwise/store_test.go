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
	s.KeepNotified(epoch, peerNumber(1), registration, []byte("a"), Snapshot{Code: message.Content, Body: body(2, 100)})
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

// §2.4: free to be discarded "after a period of EXCHANGE_LIFETIME [...] after the last access to
// the state", and kept no longer.
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

// Notifications push out nobody: beyond a quarter of the room they are not kept.
func TestStoreNotifications(t *testing.T) {
	s := mustStore(t, StoreConfig{MaxSnapshots: 12, MaxBytes: 40_000})
	notify := func(client, n int) bool {
		registration := AppendKey(nil, get(t, message.GET, nil, path("x")))
		return s.KeepNotified(epoch, peerNumber(client), registration, nil, Snapshot{Body: body(client, n)})
	}
	v := get(t, message.GET, nil, path("y"))
	s.Keep(epoch, peerNumber(9), v, nil, Snapshot{Body: body(1, 100)})
	for client, want := range []bool{true, true, true, false} {
		if notify(client, 100) != want {
			t.Errorf("client %d: kept %t", client, !want)
		}
	}
	if !notify(0, 200) || notify(1, 10_000) || !notify(3, 100) {
		t.Error("the bound on entries or bytes does not hold")
	}
	if _, ok := s.Find(epoch, peerNumber(1), get(t, message.GET, nil, path("x")), nil); ok {
		t.Error("the older notification is still there")
	}
	if n := s.Stats(); n.Evicted != 0 || n.Refused != 2 || n.Snapshots != 4 {
		t.Errorf("%+v", n)
	}
	s.Clear()
	if n := s.Stats(); n.SnapshotBytes != 0 || n.Snapshots != 0 || s.notified != 0 || s.notifiedBytes != 0 {
		t.Errorf("%+v, %d notifications of %d bytes", n, s.notified, s.notifiedBytes)
	}
}

type closer int

func (closer) Close() error { return nil }

// A Content comes back once, however its snapshot goes.
func TestStoreContents(t *testing.T) {
	s := mustStore(t, StoreConfig{MaxSnapshotsPerPeer: 2})
	keep := func(now time.Time, resource string, c closer) {
		s.Keep(now, peerNumber(1), get(t, message.GET, nil, path(resource)), nil, Snapshot{Content: c})
	}
	want := func(contents ...closer) {
		t.Helper()
		for _, c := range contents {
			if got := s.Poll(); got != c {
				t.Errorf("content %v came back, want %v", got, c)
			}
		}
		if got := s.Poll(); got != nil {
			t.Errorf("content %v came back", got)
		}
	}
	keep(epoch, "a", 1)
	keep(epoch, "a", 2)
	want(1)
	keep(epoch, "b", 3)
	keep(epoch, "c", 4)
	want(2)
	s.Advance(epoch.Add(exchangeLifetime))
	want(3, 4)
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
