package blockwise

import (
	"bytes"
	"io"
	"time"

	"github.com/motewire/coap/message"
	"github.com/motewire/coap/peer"
)

// A Snapshot is a finished response, of which a client fetches one block after the other.
type Snapshot struct {
	Code message.Code
	// Options are those of every block: all but Observe, ETag, Block1, Block2 and Size2.
	Options []message.Option
	// ETag goes into every block (RFC 7959 §2.4). The zero Tag, which is no ETag: none.
	ETag message.Tag
	// Body is the whole body. It is nil where there is a Content.
	Body []byte
	// Content stands for a body that is read block by block; nil: it is Body. When the
	// Snapshot goes, Store.Poll gives it back to be closed.
	Content io.Closer
}

// bytes returns the memory that a Snapshot is charged for.
func (s *Snapshot) bytes() int {
	n := len(s.Body)
	for _, o := range s.Options {
		n += optionBytes + len(o.Value)
	}
	return n
}

const optionBytes = 32 // a message.Option without its value

// A Store keeps responses of which later blocks will be asked for, so that all blocks of
// a transfer are of one representation and a handler runs once. They are kept apart like
// uploads: by peer, method, cache key and Request-Tag. One goroutine owns it. now must
// never go backwards.
type Store struct {
	cfg                     StoreConfig
	kept                    table[kept]
	notified, notifiedBytes int // of the notifications among kept
	gone                    []io.Closer
	scratch                 []byte
	stats                   StoreStats
}

type kept struct {
	snapshot Snapshot
	request  []byte // body of a FETCH, which is part of its cache key (RFC 8132 §2)
	notified bool   // it came by KeepNotified
}

// NewStore returns an empty Store. Its error wraps ErrConfig.
func NewStore(cfg StoreConfig) (*Store, error) {
	cfg, err := cfg.resolve()
	if err != nil {
		return nil, err
	}
	return &Store{cfg: cfg, kept: newTable[kept]()}, nil
}

// Keep takes the response to a request, in place of an older one. body is the request's,
// nil where it has none. The Store owns what the Snapshot points to: nobody may write to
// it any more; of body it makes a copy where it needs one. Keep reports false where the
// response is larger than all there is room for, and is not kept.
func (s *Store) Keep(now time.Time, from peer.Addr, v *message.View, body []byte, snapshot Snapshot) bool {
	s.scratch = AppendKey(s.scratch[:0], v)
	k := kept{snapshot: snapshot}
	if v.Code() == message.FETCH {
		k.request = bytes.Clone(body)
	}
	return s.keep(now, from, s.scratch, k)
}

// KeepNotified is Keep for a notification of which the first block is sent, where the
// request is no longer at hand: registration is what AppendKey made of it, body was its.
// Without this, the other blocks could be those of an older state (RFC 7959 §2.6).
//
// Notifications take a quarter of the room at most, and push nothing out: beyond that one
// is not kept, only what it replaces goes.
func (s *Store) KeepNotified(now time.Time, from peer.Addr, registration, body []byte, snapshot Snapshot) bool {
	k := kept{snapshot: snapshot, notified: true}
	if len(body) > 0 {
		k.request = bytes.Clone(body)
	}
	return s.keep(now, from, registration, k)
}

func (s *Store) keep(now time.Time, from peer.Addr, rest []byte, k kept) bool {
	s.Advance(now)
	if e := s.kept.find(from, rest); e != nil {
		s.stats.Replaced++
		s.remove(e)
	}
	size := entryBytes + len(rest) + len(k.request) + k.snapshot.bytes()
	if size > s.cfg.MaxBytes || k.notified && s.crowdedByNotifications(from, size) {
		s.stats.Refused++
		return false
	}
	if full := s.kept.crowded(from, s.cfg.MaxSnapshotsPerPeer, s.cfg.MaxSnapshots); full != nil {
		s.evict(full)
	}
	for s.kept.all.bytes+size > s.cfg.MaxBytes {
		s.evict(s.kept.all.oldest)
	}
	e := s.kept.add(now, key{from, string(rest)})
	e.value = k
	s.kept.charge(e, size)
	if k.notified {
		s.notified++
		s.notifiedBytes += size
	}
	s.stats.Kept++
	return true
}

// crowdedByNotifications reports whether there is no room for one more of so many bytes.
func (s *Store) crowdedByNotifications(from peer.Addr, size int) bool {
	return s.notified >= max(s.cfg.MaxSnapshots/4, 1) || s.notifiedBytes+size > s.cfg.MaxBytes/4 ||
		s.kept.crowded(from, s.cfg.MaxSnapshotsPerPeer, s.cfg.MaxSnapshots) != nil || s.kept.all.bytes+size > s.cfg.MaxBytes
}

func (s *Store) evict(e *entry[kept]) {
	s.stats.Evicted++
	s.remove(e)
}

func (s *Store) remove(e *entry[kept]) {
	if e.value.notified {
		s.notified--
		s.notifiedBytes -= e.bytes
	}
	if c := e.value.snapshot.Content; c != nil {
		s.gone = append(s.gone, c)
	}
	s.kept.remove(e)
}

// Clear gives up every response.
func (s *Store) Clear() {
	for e := s.kept.all.oldest; e != nil; e = s.kept.all.oldest {
		s.remove(e)
	}
}

// Poll returns a Content that is no longer needed, to be closed by the caller; nil when
// there is none.
func (s *Store) Poll() io.Closer {
	if len(s.gone) == 0 {
		return nil
	}
	c := s.gone[0]
	if s.gone = s.gone[1:]; len(s.gone) == 0 {
		s.gone = nil
	}
	return c
}

// Find returns the response that was kept for requests like this one. body is that of the
// request; a later request of a FETCH may leave it out (RFC 7959 §2.7), and with another
// one it is another request. What the Snapshot points to must not be changed, and stays as
// it is.
func (s *Store) Find(now time.Time, from peer.Addr, v *message.View, body []byte) (Snapshot, bool) {
	s.Advance(now)
	s.scratch = AppendKey(s.scratch[:0], v)
	e := s.kept.find(from, s.scratch)
	if e == nil || v.Code() == message.FETCH && len(body) > 0 && !bytes.Equal(body, e.value.request) {
		s.stats.Missed++
		return Snapshot{}, false
	}
	s.kept.touch(now, e)
	s.stats.Found++
	return e.value.snapshot, true
}

// Repeatable reports whether a handler may run again for a later block: GET and FETCH. A
// later block of any other method whose response is gone gets 4.08.
func Repeatable(method message.Code) bool {
	return method == message.GET || method == message.FETCH
}

// Advance gives up the responses whose time has come.
func (s *Store) Advance(now time.Time) {
	for e := s.kept.due(now, s.cfg.Lifetime); e != nil; e = s.kept.due(now, s.cfg.Lifetime) {
		s.stats.Expired++
		s.remove(e)
	}
}

// Deadline returns when to call Advance, and false where nothing is kept.
func (s *Store) Deadline() (at time.Time, ok bool) {
	if e := s.kept.all.oldest; e != nil {
		return e.used.Add(s.cfg.Lifetime), true
	}
	return time.Time{}, false
}
