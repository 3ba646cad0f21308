package observe

// Stats are the counters of a [Registry] since [NewRegistry] and, at the end, what it
// holds now. Names are stable.
type Stats struct {
	Registered uint64 // new observations, replacing ones included
	Refreshed  uint64 // registrations repeated with the same token and request
	Replaced   uint64 // observations whose token came with another request

	RefusedTotal    uint64 // registrations not taken: MaxObservers
	RefusedPeer     uint64 // MaxPerPeer
	RefusedResource uint64 // MaxPerResource, MaxResources, or the resource is ending

	Notifications uint64 // transmitted, each counted once, replacing ones included
	Confirmable   uint64 // of them, Confirmable
	Superseded    uint64 // of them, in place of a retransmission
	Conflated     uint64 // states that an observer was never sent, as a newer one took their place
	Unsent        uint64 // notifications that the message layer refused, to be sent later

	Deregistered    uint64 // observations that ended by a request of the client, or its error response
	DroppedReset    uint64 // by a Reset
	DroppedTimeout  uint64 // by a notification that was never acknowledged
	DroppedNetwork  uint64 // by a report of the network
	DroppedSilently uint64 // by Drop
	Concluded       uint64 // by a last notification
	UnmatchedResets uint64 // Resets that belong to no notification remembered

	// What is there now.
	Observers int
	Peers     int // client endpoints with observations
}

// Stats returns the counters and what the Registry holds.
func (r *Registry) Stats() Stats {
	s := r.stats
	s.Observers, s.Peers = r.observers.live, r.peers.live
	return s
}
