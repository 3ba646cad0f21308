package reliability

// Stats are the counters of an [Endpoint] since New and, at the end, what it holds now.
// Names are stable.
type Stats struct {
	Received  uint64 // messages given to Receive
	Malformed uint64 // datagrams given to Malformed
	Unserved  uint64 // requests given to Unserved
	Requests  uint64 // handed up as new
	Responses uint64 // handed up
	Pings     uint64 // Empty Confirmable messages, answered by a Reset

	DuplicatesConfirmable    uint64 // Confirmable messages seen before
	DuplicatesNonConfirmable uint64 // Non-confirmable messages seen before
	RepliesRepeated          uint64 // piggybacked responses sent again to a duplicate

	AcknowledgementsReceived uint64 // that matched an exchange
	ResetsReceived           uint64 // that matched an exchange or a request in hand
	IgnoredAcknowledgements  uint64 // that matched nothing, or had another token
	IgnoredResets            uint64 // that matched nothing here
	IgnoredMulticast         uint64 // anything but a Non-confirmable request, to a group
	IgnoredEmpty             uint64 // Empty Non-confirmable messages
	UnexpectedResponses      uint64 // Confirmable or Non-confirmable, no token matched

	AcknowledgementsSent uint64 // Empty ones
	ResetsSent           uint64
	Transmissions        uint64 // first transmissions of messages with an own message ID
	Retransmissions      uint64

	Timeouts         uint64 // exchanges that ended without Acknowledgement
	ResponseTimeouts uint64 // exchanges that ended without response
	Unreachable      uint64 // exchanges that ended by a report of the transport

	OverloadInbound uint64 // requests not taken: MaxInbound
	OverloadDedup   uint64 // requests not taken: DedupBytes full of requests in hand
	NotRemembered   uint64 // responses delivered without a record for the same reason
	RepliesUnstored uint64 // replies that found no room
	RepliesWaived   uint64 // replies not stored as RespondOptions.NoStore allowed
	RequestsAgain   uint64 // duplicates handed up as Requests, for want of a stored reply
	ResponsesLost   uint64 // separate and Non-confirmable responses not sent: limits, message IDs
	Refused         uint64 // by Send: limits

	EvictedNonConfirmable uint64 // records that went before their time, by class
	EvictedIdempotent     uint64
	EvictedNonIdempotent  uint64

	// What is there now.
	PendingRequests int // in the hands of the layer above
	OpenExchanges   int // outgoing, waiting ones included
	Remembered      int // messages in the table of duplicates
	RememberedBytes int // memory of that table
	Peers           int // peers with message IDs in use
}

// Stats returns the counters and what the Endpoint holds.
func (e *Endpoint) Stats() Stats {
	s := e.stats
	s.EvictedNonConfirmable = e.dedup.evicted[nonConfirmable]
	s.EvictedIdempotent = e.dedup.evicted[idempotent]
	s.EvictedNonIdempotent = e.dedup.evicted[nonIdempotent]
	s.PendingRequests = e.requests.live
	s.OpenExchanges = e.exchanges.live
	s.Remembered = e.dedup.records()
	s.RememberedBytes = e.dedup.bytes()
	s.Peers = e.peers.live
	return s
}
