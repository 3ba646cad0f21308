package reliability

import (
	"bytes"
	"time"

	"github.com/motewire/coap/message"
	"github.com/motewire/coap/peer"
)

// matchAddr returns the endpoint that a response must come from (§5.3.2 rule 1), for a
// multicast request any: "only the token MUST match" (§8.2).
func matchAddr(to peer.Addr) peer.Addr {
	if to.IsMulticast() {
		return peer.Addr{}
	}
	return to.Remote()
}

// findToken returns the exchange with a token towards an endpoint.
func (e *Endpoint) findToken(hash uint32, addr peer.Addr, token message.Token) (uint32, bool) {
	for p := e.byToken.find(hash); p.ref != 0; p.next() {
		if x := e.exchanges.at(p.ref - 1); x.token == token && matchAddr(x.to) == addr {
			return p.ref - 1, true
		}
	}
	return 0, false
}

// findRequest returns the exchange that a response answers. One whose request was not
// transmitted yet can't be meant.
func (e *Endpoint) findRequest(from peer.Addr, token message.Token) (uint32, bool) {
	if e.byToken.bytes == 0 {
		return 0, false
	}
	addr := from.Remote()
	n, ok := e.findToken(e.hash.token(&addr, token), addr, token)
	if !ok {
		addr = peer.Addr{} // a multicast request
		n, ok = e.findToken(e.hash.token(&addr, token), addr, token)
	}
	return n, ok && e.exchanges.at(n).phase >= unacknowledged
}

// findID returns the exchange with a message ID towards a peer (§4.4).
func (e *Endpoint) findID(addr peer.Addr, id message.ID) (uint32, bool) {
	if e.byID.bytes == 0 {
		return 0, false
	}
	for p := e.byID.find(e.hash.id(&addr, id)); p.ref != 0; p.next() {
		if x := e.exchanges.at(p.ref - 1); x.id == id && x.to.Remote() == addr {
			return p.ref - 1, true
		}
	}
	return 0, false
}

// mapID lets an exchange be found by its message ID. An older one that still has the ID
// is past its lifetime.
func (e *Endpoint) mapID(n uint32) {
	x := e.exchanges.at(n)
	if x.to.IsMulticast() {
		return
	}
	if old, ok := e.findID(x.to.Remote(), x.id); ok {
		e.unmapID(old)
	}
	x.hasID, x.idHash = true, e.hash.id(&x.to, x.id)
	e.byID.insert(x.idHash, n+1)
}

func (e *Endpoint) unmapID(n uint32) {
	if x := e.exchanges.at(n); x.hasID {
		x.hasID = false
		e.byID.remove(x.idHash, n+1)
	}
}

// receiveAcknowledgement ends retransmission (§4.2) and may carry the response (§5.2.1).
func (e *Endpoint) receiveAcknowledgement(from *peer.Addr, v *message.View) Verdict {
	n, ok := e.findID(from.Remote(), v.ID())
	if ok {
		x := e.exchanges.at(n)
		// §5.2.2: "MUST stop retransmitting its response on any matching Acknowledgement
		// (silently ignoring any Response Code or payload)".
		if v.Code() == message.Empty || x.expect == ExpectNothing {
			if x.phase == unacknowledged {
				e.stats.AcknowledgementsReceived++
				e.acknowledged(n)
				return Verdict{}
			}
		} else if x.confirmable && x.token == v.Token() {
			// §5.3.2: "the Message ID of the Confirmable request and the Acknowledgement MUST
			// match, and the tokens of the response and original request MUST match".
			e.stats.AcknowledgementsReceived++
			return e.deliver(n)
		}
	}
	// §4.2: rejected "by silently ignoring it".
	e.stats.IgnoredAcknowledgements++
	return Verdict{}
}

// acknowledged notes that the peer has the message of an exchange.
func (e *Endpoint) acknowledged(n uint32) {
	x := e.exchanges.at(n)
	pn := x.peer
	if !x.internal {
		e.out.push(Event{Kind: Acknowledged, Peer: x.to, Outbound: e.handle(n), Attempt: x.attempts})
	}
	if x.expect == ExpectNothing {
		e.close(n)
	} else {
		e.leave(n)
		e.awaitResponse(n)
	}
	e.pump(pn)
}

// deliver hands a response up. Whatever it came in, the request has arrived (§4.2: "it is
// clear to the requester that only the ACK was lost").
func (e *Endpoint) deliver(n uint32) Verdict {
	e.stats.Responses++
	x := e.exchanges.at(n)
	pn := x.peer
	verdict := Verdict{Kind: Response, Outbound: e.handle(n)}
	switch {
	case x.expect == ExpectOne:
		e.close(n)
	case x.phase != answered:
		e.leave(n)
		e.unmapID(n)
		x.phase = answered
	default:
		return verdict
	}
	e.pump(pn)
	return verdict
}

// receiveResponse takes a response in a message of its own (§5.2.2, §5.2.3).
func (e *Endpoint) receiveResponse(key uint32, from *peer.Addr, v *message.View) Verdict {
	n, expected := e.findRequest(*from, v.Token())
	confirmable := v.Type() == message.Confirmable
	if !expected {
		e.stats.UnexpectedResponses++
		// §5.3.2: "In case a message carrying a response is unexpected [...], the response is
		// rejected". RFC 7641 §3.6: a notification that nobody waits for too, whatever its
		// type, so that the server stops. A copy is rejected like this one and needs no memory,
		// which would let forged responses use up the message IDs of true ones.
		if confirmable || v.Has(message.Observe) {
			e.emitEmpty(*from, message.Reset, v.ID())
		}
		return Verdict{}
	}
	f := silent
	if confirmable {
		f = acknowledged
	}
	if _, r := e.dedup.insert(e.now, classOf(v), key, f); r != nil {
		r.from.Assign(from)
		r.id = v.ID()
	} else {
		e.stats.NotRemembered++
	}
	if f == acknowledged {
		e.emitEmpty(*from, message.Acknowledgement, v.ID())
	}
	return e.deliver(n)
}

// RejectResponse turns the Acknowledgement of a Confirmable response that Receive has
// just handed up into a Reset, as an unrecognized critical option asks for (RFC 7252
// §5.4.1). It must come before the next Poll; later it does nothing.
func (e *Endpoint) RejectResponse(now time.Time, from peer.Addr, id message.ID) {
	e.tick(now)
	if !e.out.reject(from, id) {
		return
	}
	e.stats.AcknowledgementsSent--
	e.stats.ResetsSent++
	if _, r := e.dedup.find(e.now, e.dedup.key(&from, id, true), &from, id, true); r != nil {
		e.dedup.settle(r, rejected)
	}
}

// receiveReset ends what the peer rejects (§4.2, §4.3).
func (e *Endpoint) receiveReset(from peer.Addr, id message.ID) Verdict {
	if n, ok := e.findID(from.Remote(), id); ok {
		if x := e.exchanges.at(n); x.phase == unacknowledged || !x.confirmable {
			e.stats.ResetsReceived++
			e.fail(n, ErrReset, nil)
			return Verdict{}
		}
	}
	if _, r := e.dedup.find(e.now, e.dedup.key(&from, id, true), &from, id, true); r != nil && r.fate == promised {
		e.stats.ResetsReceived++
		return Verdict{Kind: InboundReset, Inbound: Inbound(e.requests.handle(r.link - 1))}
	}
	e.stats.IgnoredResets++
	return Verdict{Kind: ResetSeen}
}

// Unreachable takes the transport's report that a datagram did not arrive. datagram is
// its beginning, as far as it is known: the exchange whose message begins so ends with
// [ErrUnreachable] and cause (RFC 7252 §4.2: "check the information about the original
// datagram"). Where its header is not known, every exchange with a message to that peer
// that was not acknowledged ends.
func (e *Endpoint) Unreachable(now time.Time, to peer.Addr, datagram []byte, cause error) {
	e.tick(now)
	if len(datagram) < headerLength {
		e.unreachablePeer(to.Remote(), cause)
		return
	}
	if message.Type(datagram[0]>>4&3) >= message.Acknowledgement {
		return
	}
	id := message.ID(datagram[2])<<8 | message.ID(datagram[3])
	n, ok := e.findID(to.Remote(), id)
	if !ok {
		return
	}
	x := e.exchanges.at(n)
	k := min(len(datagram), len(x.datagram))
	if x.phase != unacknowledged && x.confirmable || !bytes.Equal(datagram[:k], x.datagram[:k]) {
		return
	}
	e.unreachable(n, cause)
}

func (e *Endpoint) unreachable(n uint32, cause error) {
	e.stats.Unreachable++
	e.fail(n, ErrUnreachable, cause)
}

// unreachablePeer ends every exchange with a message on its way to a peer, but none that
// the queue lets go meanwhile.
func (e *Endpoint) unreachablePeer(addr peer.Addr, cause error) {
	pn, ok := e.findPeer(e.hash.remote(&addr, 0), addr)
	if !ok {
		return
	}
	p := e.peers.at(pn)
	requests := e.awaiting.length
	for left := p.flight.length; left > 0; left-- {
		n, _ := e.exchanges.first(&p.flight)
		e.unreachable(n, cause)
	}
	n, ok := e.exchanges.first(&e.awaiting)
	for left := requests; ok && left > 0; left-- {
		next, more := e.exchanges.after(n)
		if x := e.exchanges.at(n); x.peer == pn && !x.confirmable {
			e.unreachable(n, cause)
		}
		n, ok = next, more
	}
}
