package coap

import (
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/motewire/coap/message"
	"github.com/motewire/coap/observe"
)

// A Subject is something observable (RFC 7641 §1.2): a route declares it by [Observable],
// the program says by Notify that its state has changed. The zero Subject is ready for
// use. Several routes may share one, and a route with wildcards has one for all its paths.
//
// The state is what the route's handler answers. After a change the handler runs once for
// each distinct request that is observing (method, options, body), not once for each
// observer: what it answers must not depend on the peer.
type Subject struct {
	mu     sync.Mutex
	shards map[*shard]bool // where there are observers
}

// Notify tells the observers that the state has changed. It returns at once; observers
// get the state that is present when their turn comes, and of several changes in quick
// succession only the last one (RFC 7641 §1.3).
func (s *Subject) Notify() {
	s.each(func(e *engine, now time.Time, r observe.Resource) { e.observers.Changed(now, r) })
}

// End ends all observations with an error response, such as message.NotFound for a
// resource that is gone (RFC 7641 §4.2). New ones may follow. A code that is no error
// panics.
func (s *Subject) End(code message.Code) {
	if code.Class() != 4 && code.Class() != 5 {
		panic("coap: End(" + code.String() + "): not an error code")
	}
	s.each(func(e *engine, now time.Time, r observe.Resource) {
		e.resources[s].final = code
		e.observers.End(now, r)
	})
}

// Drop ends all observations without a word to the clients, which find out when the last
// state's Max-Age is over and register again: as if the server had been started anew. It
// returns when they are gone; those that register meanwhile stay.
func (s *Subject) Drop() {
	for range s.dropping() {
	}
}

// dropPortion is how many observations end under one hold of the shard's lock, so that
// other requests need not wait for all.
const dropPortion = 256

// dropping ends all observations in portions and yields the size of each, without the
// lock, when it is over.
func (s *Subject) dropping() iter.Seq[int] {
	return func(yield func(int) bool) {
		for _, shard := range s.everywhere() {
			var res *observedResource
			shard.input(func(time.Time, *outbox) { res = shard.eng.retire(s) })
			for more := res != nil; more; {
				var n int
				shard.input(func(now time.Time, _ *outbox) { n, more = shard.eng.drop(now, res, dropPortion) })
				if !yield(n) {
					return
				}
			}
		}
	}
}

// everywhere returns the shards where the Subject has observers.
func (s *Subject) everywhere() []*shard {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.shards))
}

// each runs f for every shard where the Subject has observers.
func (s *Subject) each(f func(*engine, time.Time, observe.Resource)) {
	for _, shard := range s.everywhere() {
		shard.input(func(now time.Time, _ *outbox) {
			if r := shard.eng.resources[s]; r != nil && !shard.closed {
				f(&shard.eng, now, r.number)
			}
		})
	}
}

// attach and detach note where there are observers. They are called under the shard's
// lock; each calls nothing under the Subject's.
func (s *Subject) attach(to *shard) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shards == nil {
		s.shards = map[*shard]bool{}
	}
	s.shards[to] = true
}

func (s *Subject) detach(from *shard) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.shards, from)
}
