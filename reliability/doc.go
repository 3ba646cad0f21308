// Package reliability is the message layer of CoAP with the matching of responses to
// requests (RFC 7252 §4, §5.2, §5.3): it retransmits, acknowledges, rejects and
// deduplicates messages, assigns message IDs and tokens, and holds back what a peer is
// not yet to get.
//
// An [Endpoint] is a state machine without sockets, goroutines and clocks. Datagrams,
// calls of the layer above and the passing of time go in; datagrams to send, news about
// exchanges and the next deadline come out. After any input its owner drains Poll and
// arms one timer for Deadline.
//
// # Duplicates
//
// Every Confirmable message is remembered for EXCHANGE_LIFETIME, every Non-confirmable
// one for NON_LIFETIME, under the peer, the local address it came to, its message ID and
// whether it is Confirmable (§4.5). A duplicate of a Confirmable one gets the same
// Acknowledgement or Reset byte for byte, one of a Non-confirmable one gets nothing, and
// neither is handed up again, with these exceptions: the reply was not to be stored
// (RespondOptions.NoStore), or it found no room and the request is idempotent; then a
// duplicate is a Request again. Memory for all this is bounded by Config.DedupBytes.
// Where it ends, the oldest records go before their time, those of Non-confirmable and
// of idempotent Confirmable messages first, those of others only where no such record
// is left, and that of a request still in hand never. So a handler runs once while the
// budget holds; counters say when it did not.
//
// # Sending
//
// Requests and pings to a peer go in order. They wait while NStart Confirmable ones are
// unacknowledged (§4.7), while all message IDs are in use, or, where they are
// Non-confirmable, while the peer is silent and PROBING_RATE is used up beyond a burst of
// 4,096 bytes; Confirmable ones pass these. There are 64,512 message IDs per
// EXCHANGE_LIFETIME and peer, and 1,024 for all multicast groups together, as the two
// must not overlap (§8.1). A Non-confirmable request waits for its place in the same
// queue, but occupies none once it is sent. Requests to a group do not count towards
// PROBING_RATE, since no group ever answers under its own address. Answers and other
// messages that expect nothing are held back by the message IDs alone.
//
// A piggybacked response must match message ID and token; one with the right ID and
// another token is ignored, and retransmission goes on (§5.3.2). Any response with the
// right token ends retransmission, also where it overtakes the Acknowledgement (§5.2.2).
package reliability
