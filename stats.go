package coap

import (
	"reflect"

	"github.com/motewire/coap/reliability"
)

// Stats are counters since the start, and what is held now. Names are stable; the value
// marshals to JSON, ready for expvar.Func.
type Stats struct {
	// Messages are the message layer's.
	Messages reliability.Stats
	// Requests were given to handlers or answered by the core.
	Requests uint64
	// HandlerPanics were answered by 5.00.
	HandlerPanics uint64
	// Shed requests were answered by 5.03 because Limits.Handlers were busy.
	Shed uint64
	// SlowHandlers took the reader's goroutine along.
	SlowHandlers uint64
	// GroupResponsesDropped came faster than the loop over a group took them.
	GroupResponsesDropped uint64
	// HandlersAway is how many handlers run beside the quick ones, or wait detached, now.
	HandlersAway int64
}

// sum adds up the counters of shards.
func (n *core) sum(shards []*shard) Stats {
	s := Stats{
		Requests:              n.stats.requests.Load(),
		HandlerPanics:         n.stats.panics.Load(),
		Shed:                  n.stats.shed.Load(),
		SlowHandlers:          n.stats.slow.Load(),
		GroupResponsesDropped: n.stats.groupDropped.Load(),
		HandlersAway:          n.handlers.Load(),
	}
	total := reflect.ValueOf(&s.Messages).Elem()
	for _, shard := range shards {
		shard.mu.Lock()
		one := reflect.ValueOf(shard.eng.ep.Stats())
		shard.mu.Unlock()
		for i := range total.NumField() {
			if f := total.Field(i); f.CanUint() {
				f.SetUint(f.Uint() + one.Field(i).Uint())
			} else {
				f.SetInt(f.Int() + one.Field(i).Int())
			}
		}
	}
	return s
}
