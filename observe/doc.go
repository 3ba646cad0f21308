// Package observe is the part of RFC 7641 that needs memory: who observes what and which
// notification leaves when, in a server, and which notification is fresh and when to ask
// again, in a client.
//
// A [Registry] and an [Observation] are state machines without sockets, goroutines and
// clocks. They see no message either: their owner parses, renders and encodes.
//
// # Server
//
// A change of a resource is a mark, not a message. Registry.Changed notes it in constant
// time; Poll goes through the observers and hands out those that may be sent something
// now, one notification each, of the state that is present then. States in between are
// skipped, never queued (RFC 7641 §4.5.2). What Poll heeds:
//
//   - At most NStart Confirmable notifications to a client endpoint are unacknowledged,
//     over all its observations; while they are it gets nothing else (§4.5.1). A client
//     endpoint is a [peer.Addr], its local address included: another address of ours is
//     another endpoint, which the client may use the same token towards.
//   - Non-confirmable ones to a client endpoint keep NonInterval apart (§4.5.1).
//   - Client endpoints take turns, the observations of one too, and so do resources with
//     a change to be told. One that can't be sent anything is in none of these queues.
//   - Some notifications are Confirmable, as the resource's [Policy] says, and each
//     observer gets one in MaxSilence (§4.5).
//
// How an owner joins a Registry and a message layer such as reliability.Endpoint, all in
// the goroutine that owns both, and draining the message layer after each step:
//
//   - A GET or FETCH with Observe 0, not by multicast, for an observable resource:
//     Register, then render the response with the Sequence it returned. If the response
//     is an error: Deregister. Observe 1, or no Observe: Deregister.
//   - The application says that a resource has changed: Changed.
//   - After any input Poll until there is nothing, or until a batch is full: render the
//     state, or take what was rendered for the same Resource, Representation and Change;
//     encode; Endpoint.Send with ExpectNothing. Keep the Observer under the slot of the
//     Outbound. If Send fails: Unsent. If the state is an error, or Final: Conclude.
//   - Event Transmit: Sent, with the message ID in the datagram.
//   - Event Acknowledged: Acknowledged. Event Ended: Ended, with its cause.
//   - Verdict ResetSeen: Reset, with the peer and message ID.
//   - Before a retransmission: Supersede. If it has something, that is encoded and
//     transmitted in place of the old message, in the same exchange, with a new message
//     ID and with counter and timeout kept (§4.5.2); then Sent. From then on only an
//     Acknowledgement of the new message ID ends the exchange.
//   - Each Removal: let go of what Representation stands for; cancel its Exchange.
//   - Arm a timer for Deadline; then Advance, and Poll again.
//
// # Client
//
// A [Freshness] puts notifications into order (§3.4). An [Observation] has one and knows
// besides how long the last state is fresh, when to register again (§3.3.1) and when all
// is over. A response to a registration and a notification go the same way: Receive says
// whether it is for the user. Its owner sends a registration request whenever Advance
// says so, always with the same token and options; calls Failed where that request or
// its exchange fails; and on Cancel sends the request with Observe 1.
package observe
