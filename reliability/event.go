package reliability

import (
	"github.com/motewire/coap/message"
	"github.com/motewire/coap/peer"
)

// Inbound is the handle of a request that is being handled. Zero is none. A handle is
// never used for two requests.
type Inbound uint64

// Outbound is the handle of an outgoing exchange. Zero is none. A handle is never used
// for two exchanges.
type Outbound uint64

// Slot returns a small number that no other open exchange has, so that the layer above
// can keep its own part of an exchange in a slice. It is used again once the exchange
// has ended and the events about it have been polled. The slot of none is -1.
func (x Outbound) Slot() int { return int(uint32(x)) - 1 }

// Slot returns a small number that no other request in hand has. The slot of none is -1.
func (x Inbound) Slot() int { return int(uint32(x)) - 1 }

// A VerdictKind says what a received message is to the layer above.
type VerdictKind uint8

const (
	// Handled: nothing. An Empty message, a duplicate, something rejected or ignored.
	Handled VerdictKind = iota
	// Request: a new request. Exactly one Respond, Drop or Reject for Inbound must follow.
	Request
	// Response: the message answers Outbound, which is over unless it was sent with
	// ExpectMany.
	Response
	// ResetSeen: a Reset that belongs to no open exchange. Who sent a Non-confirmable
	// message with this ID to that peer, a notification say, may know it.
	ResetSeen
	// InboundReset: a Reset for the Empty Acknowledgement of request Inbound: nobody
	// waits for the response any more. It must still be ended by Respond, Drop or Reject.
	InboundReset
	// Overload: a new request was not taken, as a limit of Config is reached. Nothing is
	// remembered, so that a retransmission gets another chance.
	Overload
)

// A Verdict is what [Endpoint.Receive] makes of a message. It has no more fields than the
// compiler keeps in registers: copies of it would wait for every write before them.
type Verdict struct {
	Kind VerdictKind
	// Duplicate: the message was seen before (RFC 7252 §4.5). A Request may be one, if
	// its reply was not stored.
	Duplicate bool
	Inbound   Inbound  // for Request and InboundReset
	Outbound  Outbound // for Response
}

// Expect says what is to come after a message that was sent.
type Expect uint8

const (
	// ExpectNothing: a ping, an answer, a notification. A Confirmable one is over when it
	// is acknowledged, reset or given up, a Non-confirmable one once it was transmitted.
	ExpectNothing Expect = iota
	// ExpectOne: a request with one response.
	ExpectOne
	// ExpectMany: a request with any number of responses, to an observed resource or to a
	// multicast group. It stays open until it is cancelled; ResponseTimeout applies up to
	// the first response.
	ExpectMany
)

// An EventKind says what an [Event] is about.
type EventKind uint8

const (
	// Transmit: Datagram is to be sent to Peer, from Peer's local address where it has
	// one.
	Transmit EventKind = iota
	// Acknowledged: the peer has Outbound's message. A response is still to come, if one
	// is expected; else the exchange is over.
	Acknowledged
	// Ended: Outbound has failed, Err says how.
	Ended
)

// An Event is what an [Endpoint] wants of its owner.
type Event struct {
	Kind EventKind
	Peer peer.Addr
	// Datagram is valid until the next input.
	Datagram []byte
	// Outbound is the exchange concerned, zero where the Endpoint acts by itself:
	// Acknowledgements, Resets, replies to duplicates, separate responses.
	Outbound Outbound
	// Attempt is 1 for a first transmission, 2 and more for retransmissions, 0 for
	// messages that are never retransmitted by a timer of their own: Acknowledgements,
	// Resets and repeated replies.
	Attempt int
	// Err is an *ExchangeError, for Ended.
	Err error
}

// A queuedEvent is an Event whose datagram lies in the arena, which may still move.
type queuedEvent struct {
	Event
	offset, length int
}

// maxIdleArena is how much memory for events is kept from one input to the next.
const maxIdleArena = 1 << 20

// An outbox holds the events that nobody has polled yet, oldest first, and the bytes
// of their datagrams. Bytes stay where they are until the first input after the last
// event was polled.
type outbox struct {
	events []queuedEvent
	polled int // events before it were handed out
	arena  []byte
}

// reset makes room for the events of a new input, if all earlier ones were polled.
func (o *outbox) reset() {
	if o.polled < len(o.events) {
		return
	}
	clear(o.events) // lets go of errors
	o.events, o.polled = o.events[:0], 0
	o.arena = o.arena[:0]
	if cap(o.arena) > maxIdleArena {
		o.arena, o.events = nil, nil
	}
}

// transmit queues a copy of datagram.
func (o *outbox) transmit(to peer.Addr, datagram []byte, x Outbound, attempt int) {
	o.events = append(o.events, queuedEvent{
		Event:  Event{Kind: Transmit, Peer: to, Outbound: x, Attempt: attempt},
		offset: len(o.arena), length: len(datagram),
	})
	o.arena = append(o.arena, datagram...)
}

func (o *outbox) push(ev Event) {
	o.events = append(o.events, queuedEvent{Event: ev})
}

// forget takes back what was not polled about an exchange.
func (o *outbox) forget(x Outbound) {
	kept := o.events[:o.polled]
	for _, ev := range o.events[o.polled:] {
		if ev.Outbound != x {
			kept = append(kept, ev)
		}
	}
	clear(o.events[len(kept):])
	o.events = kept
}

// reject makes a Reset of the Empty Acknowledgement for a message, if it was not polled.
func (o *outbox) reject(to peer.Addr, id message.ID) bool {
	want := [headerLength]byte{1<<6 | byte(message.Acknowledgement)<<4, 0, byte(id >> 8), byte(id)}
	for i := len(o.events) - 1; i >= o.polled; i-- {
		q := &o.events[i]
		if q.Kind == Transmit && q.Peer == to && string(o.arena[q.offset:q.offset+q.length]) == string(want[:]) {
			o.arena[q.offset] = 1<<6 | byte(message.Reset)<<4
			return true
		}
	}
	return false
}

func (o *outbox) poll() (Event, bool) {
	if o.polled == len(o.events) {
		return Event{}, false
	}
	q := &o.events[o.polled]
	o.polled++
	if q.Kind == Transmit {
		q.Datagram = o.arena[q.offset : q.offset+q.length : q.offset+q.length]
	}
	return q.Event, true
}
