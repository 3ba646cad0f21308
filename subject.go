package coap

import (
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
// state's Max-Age is over and register again: as if the server had been started anew.
func (s *Subject) Drop() {
	s.each(func(e *engine, now time.Time, r observe.Resource) {
		for {
			removal, ok := e.observers.Drop(now, r)
			if !ok {
				return
			}
			e.removed(now, removal)
		}
	})
}

// each runs f for every shard where the Subject has observers.
func (s *Subject) each(f func(*engine, time.Time, observe.Resource)) {
	s.mu.Lock()
	shards := make([]*shard, 0, len(s.shards))
	for shard := range s.shards {
		shards = append(shards, shard)
	}
	s.mu.Unlock()
	for _, shard := range shards {
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
