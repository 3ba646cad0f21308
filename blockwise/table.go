package blockwise

import (
	"time"

	"github.com/motewire/coap/peer"
)

// spareEntries is how many unused entries a table keeps for use.
const spareEntries = 64

// A table holds values by key, in the order of their last use: as all have the same
// lifetime, that is also the order in which they expire.
type table[T any] struct {
	entries map[key]*entry[T]
	all     list[T]
	peers   map[peer.Addr]*list[T]
	spare   []*entry[T]
	peak    int // most entries since the maps were made
}

// An entry is a value in a table.
type entry[T any] struct {
	key   key
	value T
	used  time.Time // last
	bytes int       // charged for it: see table.charge
	peer  *list[T]
	links [2]links[T]
}

// links chain an entry into a list of one of these orders.
type links[T any] struct{ older, newer *entry[T] }

const (
	ofAll = iota
	ofPeer
)

// A list is the entries of a table, or of one peer, from the longest unused on.
type list[T any] struct {
	order          int
	oldest, newest *entry[T]
	length         int
	bytes          int // sum over the entries
}

func newTable[T any]() table[T] {
	return table[T]{entries: map[key]*entry[T]{}, peers: map[peer.Addr]*list[T]{}}
}

// find returns the entry of a transfer, nil if there is none. It allocates nothing.
func (t *table[T]) find(from peer.Addr, rest []byte) *entry[T] {
	return t.entries[key{from, string(rest)}]
}

// add makes an entry with the zero value. There is none with this key.
func (t *table[T]) add(now time.Time, k key) *entry[T] {
	e := t.take()
	e.key, e.used = k, now
	t.entries[k] = e
	if e.peer = t.peers[k.from]; e.peer == nil {
		e.peer = &list[T]{order: ofPeer}
		t.peers[k.from] = e.peer
	}
	t.all.push(e)
	e.peer.push(e)
	t.peak = max(t.peak, len(t.entries))
	return e
}

func (t *table[T]) take() *entry[T] {
	n := len(t.spare)
	if n == 0 {
		return new(entry[T])
	}
	e := t.spare[n-1]
	t.spare = t.spare[:n-1]
	return e
}

// touch makes an entry the newest.
func (t *table[T]) touch(now time.Time, e *entry[T]) {
	e.used = now
	if t.all.newest != e {
		t.all.remove(e)
		t.all.push(e)
	}
	if e.peer.newest != e {
		e.peer.remove(e)
		e.peer.push(e)
	}
}

// charge sets how many bytes an entry is charged for.
func (t *table[T]) charge(e *entry[T], bytes int) {
	t.all.bytes += bytes - e.bytes
	e.peer.bytes += bytes - e.bytes
	e.bytes = bytes
}

// remove takes an entry out; it must not be used afterwards.
func (t *table[T]) remove(e *entry[T]) {
	t.charge(e, 0)
	t.all.remove(e)
	e.peer.remove(e)
	if e.peer.length == 0 {
		delete(t.peers, e.key.from)
	}
	delete(t.entries, e.key)
	if len(t.entries) == 0 && t.peak > 1024 {
		t.entries, t.peers, t.peak = map[key]*entry[T]{}, map[peer.Addr]*list[T]{}, 0 // maps don't shrink
	}
	*e = entry[T]{}
	if len(t.spare) < spareEntries {
		t.spare = append(t.spare, e)
	}
}

// due returns an entry that was not used for the lifetime, nil if there is none.
func (t *table[T]) due(now time.Time, lifetime time.Duration) *entry[T] {
	if e := t.all.oldest; e != nil && now.Sub(e.used) >= lifetime {
		return e
	}
	return nil
}

// crowded returns the entry that has to go before another one of this peer can come,
// nil if there is room.
func (t *table[T]) crowded(from peer.Addr, perPeer, total int) *entry[T] {
	if p := t.peers[from]; p != nil && p.length >= perPeer {
		return p.oldest
	}
	if t.all.length >= total {
		return t.all.oldest
	}
	return nil
}

func (l *list[T]) push(e *entry[T]) {
	e.links[l.order] = links[T]{older: l.newest}
	if l.newest != nil {
		l.newest.links[l.order].newer = e
	} else {
		l.oldest = e
	}
	l.newest = e
	l.length++
}

func (l *list[T]) remove(e *entry[T]) {
	at := e.links[l.order]
	if at.older != nil {
		at.older.links[l.order].newer = at.newer
	} else {
		l.oldest = at.newer
	}
	if at.newer != nil {
		at.newer.links[l.order].older = at.older
	} else {
		l.newest = at.older
	}
	e.links[l.order] = links[T]{}
	l.length--
}
