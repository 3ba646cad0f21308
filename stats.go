package coap

import (
	"reflect"

	"github.com/motewire/coap/blockwise"
	"github.com/motewire/coap/observe"
	"github.com/motewire/coap/reliability"
	"github.com/motewire/coap/transport"
)

// Stats are counters since the start, and what is held now. Names are stable; the value
// marshals to JSON, ready for expvar.Func.
type Stats struct {
	// Messages are the message layer's.
	Messages reliability.Stats
	// Observations are the server's side of RFC 7641.
	Observations observe.Stats
	// Uploads and Responses are the server's side of RFC 7959.
	Uploads   blockwise.Stats
	Responses blockwise.StoreStats
	// Requests were given to handlers or answered by the core.
	Requests uint64
	// HandlerPanics were answered by 5.00.
	HandlerPanics uint64
	// Shed requests were answered by 5.03 because Limits.Handlers were busy.
	Shed uint64
	// Challenges were answered in place of a request, for Server.AddressValidation.
	Challenges uint64
	// RateLimited requests were answered by 4.29 for Server.RateLimit, or dropped.
	RateLimited uint64
	// SlowHandlers took the reader's goroutine along.
	SlowHandlers uint64
	// GroupResponsesDropped came faster than the loop over a group took them.
	GroupResponsesDropped uint64
	// NotificationsStale came to this client behind newer ones, NotificationsConflated were
	// overtaken by newer ones before the loop over the observation took them.
	NotificationsStale, NotificationsConflated uint64
	// ReceiveDrops are datagrams that the system dropped because a socket's receive buffer
	// was full: they arrived and nobody saw them. 0 where the system does not tell.
	ReceiveDrops uint64
	// HandlersAway is how many handlers run beside the quick ones, or wait detached, now.
	HandlersAway int64
}

// sum adds up the counters of shards.
func (n *core) sum(shards []*shard) Stats {
	s := Stats{
		HandlerPanics:          n.stats.panics.Load(),
		Shed:                   n.stats.shed.Load(),
		Challenges:             n.stats.challenges.Load(),
		RateLimited:            n.stats.limited.Load(),
		SlowHandlers:           n.stats.slow.Load(),
		GroupResponsesDropped:  n.stats.groupDropped.Load(),
		NotificationsStale:     n.stats.stale.Load(),
		NotificationsConflated: n.stats.conflated.Load(),
		HandlersAway:           n.handlers.Load(),
	}
	for _, shard := range shards {
		shard.mu.Lock()
		messages := shard.eng.ep.Stats()
		var observations observe.Stats
		var uploads blockwise.Stats
		var responses blockwise.StoreStats
		if shard.eng.serves {
			observations = shard.eng.observers.Stats()
			uploads, responses = shard.eng.assembler.Stats(), shard.eng.responses.Stats()
		}
		shard.mu.Unlock()
		if c, ok := shard.conn.(transport.DropCounter); ok {
			n, _ := c.ReceiveDrops()
			s.ReceiveDrops += n
		}
		s.Requests += shard.requests.Load()
		addFields(&s.Messages, &messages)
		addFields(&s.Observations, &observations)
		addFields(&s.Uploads, &uploads)
		addFields(&s.Responses, &responses)
	}
	return s
}

// addFields adds every counter of one to that of the same name in total.
func addFields[T any](total, one *T) {
	t, o := reflect.ValueOf(total).Elem(), reflect.ValueOf(one).Elem()
	for i := range t.NumField() {
		if f := t.Field(i); f.CanUint() {
			f.SetUint(f.Uint() + o.Field(i).Uint())
		} else {
			f.SetInt(f.Int() + o.Field(i).Int())
		}
	}
}
