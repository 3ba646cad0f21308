package reliability

import (
	"time"

	"github.com/motewire/coap/message"
	"github.com/motewire/coap/peer"
)

// An inbound is a request in the hands of the layer above.
type inbound struct {
	from      peer.Addr
	record    uint32  // where its record was first
	ackAt     instant // when the Empty Acknowledgement goes, if in list owed
	id        message.ID
	typ       message.Type
	multicast bool
	owed      bool // Confirmable and not acknowledged yet; in list owed
}

// receiveRequest takes a new request.
func (e *Endpoint) receiveRequest(key uint32, from *peer.Addr, multicast bool, v *message.View) Verdict {
	if e.requests.full() {
		e.stats.OverloadInbound++
		return Verdict{Kind: Overload}
	}
	n, _ := e.requests.add()
	ref, r := e.dedup.insert(e.now, classOf(v), key, pending)
	if r == nil {
		e.requests.remove(n)
		e.stats.OverloadDedup++
		return Verdict{Kind: Overload}
	}
	r.from.Assign(from)
	r.id, r.link = v.ID(), n+1
	return e.handUp(n, ref, r, from, multicast)
}

// handUp gives request n to the layer above and starts AckDelay. Its record is r, to be
// found at ref.
func (e *Endpoint) handUp(n, ref uint32, r *record, from *peer.Addr, multicast bool) Verdict {
	e.stats.Requests++
	x := e.requests.at(n)
	x.from.Assign(from)
	x.record, x.id, x.multicast = ref, r.id, multicast
	if r.class == nonConfirmable {
		x.typ, x.owed = message.NonConfirmable, false
	} else {
		x.typ, x.owed, x.ackAt = message.Confirmable, true, e.now+instant(max(0, e.cfg.AckDelay))
		e.requests.push(&e.owed, n)
		if e.cfg.AckDelay < 0 {
			e.acknowledge(n)
		}
	}
	return Verdict{Kind: Request, Inbound: Inbound(e.requests.handle(n))}
}

// receiveDuplicate does what §4.5 asks for a message that was seen before. request says that
// it is one: who sends something else under the message ID of a request gets no more than a
// copy would.
func (e *Endpoint) receiveDuplicate(multicast, request bool, ref uint32, r *record) Verdict {
	if r.class == nonConfirmable {
		e.stats.DuplicatesNonConfirmable++
	} else {
		e.stats.DuplicatesConfirmable++
	}
	switch r.fate {
	case promised, acknowledged:
		// §5.2.2: "another Empty Acknowledgement is sent".
		e.emitEmpty(r.from, message.Acknowledgement, r.id)
	case rejected:
		e.emitEmpty(r.from, message.Reset, r.id)
	case replied:
		e.stats.RepliesRepeated++
		e.out.transmit(r.from, e.dedup.stored(r), 0, 0)
	case repeatable:
		if request {
			return e.repeatRequest(multicast, ref, r)
		}
	case pending, silent:
	}
	return Verdict{Duplicate: true}
}

// repeatRequest hands a request up again whose reply was not stored (§4.5: "a server
// might relax the requirement to answer all retransmissions of an idempotent request
// with the same response").
func (e *Endpoint) repeatRequest(multicast bool, ref uint32, r *record) Verdict {
	n, ok := e.requests.add()
	if !ok {
		e.stats.OverloadInbound++
		return Verdict{Kind: Overload, Duplicate: true}
	}
	r.link = n + 1
	e.dedup.settle(r, pending)
	e.stats.RequestsAgain++
	verdict := e.handUp(n, ref, r, &r.from, multicast)
	verdict.Duplicate = true
	return verdict
}

// InboundType returns the message type of a request in hand, and false if x is over.
func (e *Endpoint) InboundType(x Inbound) (t message.Type, ok bool) {
	n, ok := e.requests.resolve(uint64(x))
	if !ok {
		return 0, false
	}
	return e.requests.at(n).typ, true
}

// recordOf returns the record of a request in hand, nil if its lifetime is over.
func (e *Endpoint) recordOf(n uint32) *record {
	x := e.requests.at(n)
	return e.dedup.inHand(e.now, x, n+1)
}

// settle gives the record of a request in hand its fate.
func (e *Endpoint) settle(n uint32, f fate) {
	if r := e.recordOf(n); r != nil {
		e.dedup.settle(r, f)
	}
}

// over ends a request in hand; its record stays.
func (e *Endpoint) over(n uint32) {
	if e.requests.at(n).owed {
		e.requests.unlink(&e.owed, n)
	}
	e.requests.remove(n)
}

// acknowledge sends the Empty Acknowledgement that is owed for a request.
func (e *Endpoint) acknowledge(n uint32) {
	x := e.requests.at(n)
	if !x.owed {
		return
	}
	e.requests.unlink(&e.owed, n)
	x.owed = false
	e.settle(n, promised)
	e.emitEmpty(x.from, message.Acknowledgement, x.id)
}

// fireOwed acknowledges the requests that have been in hand for AckDelay (§5.2.2: "time
// out an acknowledgement timer").
func (e *Endpoint) fireOwed() {
	for {
		n, ok := e.requests.first(&e.owed)
		if !ok || e.requests.at(n).ackAt > e.now {
			return
		}
		e.acknowledge(n)
	}
}

// RespondOptions say how a response goes.
type RespondOptions struct {
	// NonConfirmable sends a separate response as a Non-confirmable message (RFC 7252
	// §5.2.2).
	NonConfirmable bool
	// Confirmable sends the response to a Non-confirmable request as a Confirmable
	// message (§5.2.3), unless the request came by multicast.
	Confirmable bool
	// NoStore: the reply need not be remembered, since handling the request again does no
	// harm: it is a GET or FETCH, say, with a reply that is long. A duplicate is a Request
	// again (§4.5), whose reply is an Acknowledgement of the same message ID. It concerns
	// piggybacked replies alone.
	NoStore bool
}

// Respond answers a request in hand, which is then over. datagram is a whole message
// with the request's token; Respond writes type and message ID into its header. The
// response is piggybacked on the Acknowledgement as long as that was not sent; else it
// is a separate one, Confirmable as the request was. The response to a Non-confirmable
// request is Non-confirmable; that to a multicast request leaves at a random moment
// within DefaultLeisure (RFC 7252 §5.2, §8.2).
//
// It reports true where the caller is to transmit datagram now. Otherwise the Endpoint
// has copied it and transmits it by events, or there is nothing to send: the request is
// over already, or a limit or the message IDs are used up, which is counted.
func (e *Endpoint) Respond(now time.Time, x Inbound, datagram []byte, o RespondOptions) (transmit bool) {
	e.tick(now)
	n, ok := e.requests.resolve(uint64(x))
	if !ok || len(datagram) < headerLength {
		return false
	}
	if e.requests.at(n).owed {
		e.piggyback(n, datagram, o)
		return true
	}
	r := *e.requests.at(n)
	if r.typ == message.Confirmable {
		e.settle(n, acknowledged)
	} else {
		e.settle(n, silent)
	}
	e.over(n)
	confirmable := !o.NonConfirmable
	if r.typ == message.NonConfirmable {
		confirmable = o.Confirmable
	}
	if r.multicast && e.cfg.DefaultLeisure > 0 {
		e.respondAtLeisure(r.from, datagram)
		return false
	}
	if confirmable && !r.multicast {
		e.respondReliably(r.from, datagram)
		return false
	}
	return e.respondOnce(r.from, datagram)
}

// unstored returns the fate of a request whose reply finds no room: at most once for what
// must not run twice, at least once for the rest.
func unstored(c class) fate {
	if c == idempotent {
		return repeatable
	}
	return silent
}

// piggyback makes the response an Acknowledgement and remembers it (§5.2.1).
func (e *Endpoint) piggyback(n uint32, datagram []byte, o RespondOptions) {
	writeHeader(datagram, message.Acknowledgement, e.requests.at(n).id)
	if r := e.recordOf(n); r != nil {
		e.keepReply(n, r, datagram, o)
	}
	e.over(n)
}

// keepReply stores the piggybacked response to request n, whose record is r, for
// duplicates.
func (e *Endpoint) keepReply(n uint32, r *record, datagram []byte, o RespondOptions) {
	class := r.class
	switch {
	case o.NoStore:
		e.stats.RepliesWaived++
		e.dedup.settle(r, repeatable)
	case e.dedup.replies.fits(class, len(datagram)):
		e.dedup.reply(r, datagram)
	case e.dedup.reserve(e.now, class, len(datagram)):
		if r = e.recordOf(n); r != nil { // it may have moved
			e.dedup.reply(r, datagram)
		}
	default:
		e.stats.RepliesUnstored++
		e.settle(n, unstored(class))
	}
}

// respondOnce makes the response a Non-confirmable message (§5.2.3).
func (e *Endpoint) respondOnce(to peer.Addr, datagram []byte) bool {
	id, ok := e.takeID(to)
	if !ok {
		e.stats.ResponsesLost++
		return false
	}
	e.stats.Transmissions++
	writeHeader(datagram, message.NonConfirmable, id)
	return true
}

// Acknowledge sends the Empty Acknowledgement for a request now, if it is still owed:
// the response will be a separate one (RFC 7252 §5.2.2: "A server may also immediately
// send an acknowledgement if it knows in advance that there will be no piggybacked
// response").
func (e *Endpoint) Acknowledge(now time.Time, x Inbound) {
	e.tick(now)
	if n, ok := e.requests.resolve(uint64(x)); ok {
		e.acknowledge(n)
	}
}

// Drop ends a request in hand without a response. A Confirmable one is acknowledged if
// it was not yet, and so are its duplicates.
func (e *Endpoint) Drop(now time.Time, x Inbound) {
	e.tick(now)
	n, ok := e.requests.resolve(uint64(x))
	if !ok {
		return
	}
	e.acknowledge(n)
	if e.requests.at(n).typ == message.Confirmable {
		e.settle(n, acknowledged)
	} else {
		e.settle(n, silent)
	}
	e.over(n)
}

// Reject ends a request in hand that cannot be processed (RFC 7252 §4.2, §4.3, §5.4.1):
// a Confirmable one gets a Reset, and so do its duplicates, unless it was acknowledged
// already; a Non-confirmable one gets nothing.
func (e *Endpoint) Reject(now time.Time, x Inbound) {
	e.tick(now)
	n, ok := e.requests.resolve(uint64(x))
	if !ok {
		return
	}
	switch r := e.requests.at(n); {
	case r.owed:
		e.settle(n, rejected)
		e.emitEmpty(r.from, message.Reset, r.id)
	case r.typ == message.Confirmable:
		e.settle(n, acknowledged)
	default:
		e.settle(n, silent)
	}
	e.over(n)
}
