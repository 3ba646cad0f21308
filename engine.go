package coap

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/motewire/coap/message"
	"github.com/motewire/coap/peer"
	"github.com/motewire/coap/reliability"
	"github.com/motewire/coap/transport"
)

// An engine joins the protocol layers of one socket. Like them it knows no socket, clock,
// goroutine or lock: its shard owns it, passes time in and carries out what comes back.
type engine struct {
	ep *reliability.Endpoint
	observation
	transfers
	shard *shard
	uploads
	verifier verifier
	limiter  limiter
	tokens   extension
	calls    []*call // outgoing exchanges by their slot
	ended    []*call // calls that are over, to be woken by way of the next outbox
	// running holds the requests that left their batch, so that a Reset or Shutdown
	// finds them.
	running map[reliability.Inbound]*exchange
	serves  bool   // requests are served; else they are rejected
	scratch []byte // for encoding what is sent
	key     []byte // for comparing requests
}

// receive takes one packet into x and reports whether it is a request to be served.
func (e *engine) receive(now time.Time, p *transport.Packet, x *exchange) bool {
	datagram := p.Buf[:p.N]
	x.duplicate = false
	if p.Err != nil {
		e.shard.tooLong(now, p)
		if unreachable(p.Err) {
			e.undelivered(now, p)
		}
		return false
	}
	if p.Truncated {
		return e.truncated(now, p, x)
	}
	if err := e.parse(&x.view, datagram); err != nil {
		e.malformed(now, p, x, err)
		return false
	}
	return e.dispatch(now, p, x)
}

// parse parses a message, a request with an extended token only where the server admits
// these, a response with one where this client sends them, which then knows no others (RFC
// 8974 §2.1).
func (e *engine) parse(v *message.View, datagram []byte) error {
	err := v.Parse(datagram)
	switch {
	case err == nil:
		return e.tokens.refuse(v)
	case !errors.Is(err, message.ErrTokenLength):
	case e.tokens.parseResponse(v, datagram):
		return nil
	case e.serves && e.shard.core.limits.TokenBytes > message.MaxTokenLength && v.Code().IsRequest():
		return v.ParseExtended(datagram)
	default:
		err = v.Parse(datagram)
	}
	return err
}

// undelivered takes the report that a datagram, or what there is of it, did not arrive.
func (e *engine) undelivered(now time.Time, p *transport.Packet) {
	datagram := p.Buf[:p.N]
	if short, ok := e.tokens.shorten(datagram); ok {
		datagram = short
	}
	e.ep.Unreachable(now, p.Peer, datagram, p.Err)
}

// unreachable reports whether an error report says that nothing gets through to the peer.
// Time Exceeded, Source Quench and Packet Too Big don't: RFC 7252 §4.2 has the first two
// ignored, and the last one is for the system's path MTU discovery.
func unreachable(err error) bool {
	var d *transport.DeliveryError
	if !errors.As(err, &d) || !d.Reporter.IsValid() {
		return true
	}
	const unreachable4, tooBig4, unreachable6 = 3, 4, 1
	if d.Reporter.Is4() {
		return d.Type == unreachable4 && d.Code != tooBig4
	}
	return d.Type == unreachable6
}

// lostHere reports whether a datagram that this host refused to send counts as lost on the
// way, so that it is sent again as far as it is Confirmable. A refusal for want of room is no
// worse than a router's; and an interface that is down says nothing about a client: who
// observes goes on once it is up. Whoever waits for a response is told at once.
func lostHere(err error, datagram []byte) bool {
	confirmable, code := datagram[0]>>4&3 == byte(message.Confirmable), message.Code(datagram[1])
	if code.IsResponse() {
		return true
	}
	var d *transport.DeliveryError
	return confirmable && errors.As(err, &d) && d.Transient()
}

// dispatch hands a well-formed message to the message layer.
func (e *engine) dispatch(now time.Time, p *transport.Packet, x *exchange) bool {
	if !e.serves && x.view.Code().IsRequest() {
		e.ep.Unserved(now, p.Peer, p.Multicast, &x.view)
		return false
	}
	verdict := e.ep.Receive(now, p.Peer, p.Multicast, &x.view)
	x.duplicate = verdict.Duplicate
	switch verdict.Kind {
	case reliability.Request:
		x.peer, x.multicast, x.inbound, x.began = p.Peer, p.Multicast, verdict.Inbound, now
		if e.shard.core.validation != AddressValidationOff {
			e.screen(now, x)
		}
		if e.limiter.limits() {
			x.wait, x.silent = e.limiter.admit(now, p.Peer)
		}
		if registers(&x.view) {
			e.registering = true // prepare sees to it, as it knows the route
		} else if e.observing > 0 && !p.Multicast && !later(&x.view) && !x.view.Extended() {
			e.deregister(now, x) // RFC 7959 §2.6: what fetches later blocks is no registration
		}
		return true
	case reliability.Response:
		e.response(now, p, x, e.call(verdict.Outbound))
	case reliability.InboundReset:
		if late := e.running[verdict.Inbound]; late != nil {
			late.unwanted = true
			if late.cancel != nil {
				late.cancel(ErrReset)
			}
		}
	case reliability.ResetSeen:
		if e.observing > 0 {
			removal, _ := e.observers.Reset(now, p.Peer, x.view.ID())
			e.removed(now, removal)
		}
	case reliability.Handled, reliability.Overload:
	}
	return false
}

// response gives a response to the call that waits for it. One with an unrecognized
// critical option is rejected (RFC 7252 §5.4.1).
func (e *engine) response(now time.Time, p *transport.Packet, x *exchange, c *call) {
	if c == nil {
		return
	}
	if number, found := x.view.UnrecognizedCritical(c.recognized); found {
		e.ep.RejectResponse(now, p.Peer, x.view.ID())
		if c.group == nil {
			e.cancel(now, c) // a notification that follows is rejected, too
			c.end(now, nil, fmt.Errorf("%w: %v", ErrCriticalOption, number))
		}
		return
	}
	c.deliver(now, newResponse(&x.view, p.Peer))
}

func (e *engine) malformed(now time.Time, p *transport.Packet, x *exchange, err error) {
	if format, ok := err.(*message.FormatError); ok {
		e.ep.Malformed(now, p.Peer, p.Multicast, &x.view, format)
	}
}

// truncated takes a datagram longer than the receive buffer. What there is of it is not
// taken for the whole: a request whose header and token arrived is answered 4.13
// (RFC 7252 §4.6), anything else Confirmable with a Reset.
func (e *engine) truncated(now time.Time, p *transport.Packet, x *exchange) bool {
	end := min(p.N, 4+int(p.Buf[0]&15))
	if err := x.view.Parse(p.Buf[:end]); err != nil {
		e.malformed(now, p, x, err)
		return false
	}
	if !x.view.Code().IsRequest() {
		e.malformed(now, p, x, &message.FormatError{Offset: p.N, Intact: true, Err: message.ErrTruncated})
		return false
	}
	if !e.dispatch(now, p, x) {
		return false
	}
	x.truncated = true
	return true
}

// end gives the message layer the fate of a request. It reports whether x.out is to be
// sent by the caller.
func (e *engine) end(now time.Time, x *exchange) (transmit bool) {
	if e.serves {
		e.settle(now, x)
	}
	e.over(x)
	if x.observer != 0 && e.observers.Active(x.observer) {
		if x.fate == respond && x.code.IsSuccess() {
			x.observes.promise(x)
		} else {
			e.deregister(now, x) // RFC 7641 §4.1: an error is no registration
		}
	}
	switch x.fate {
	case drop:
		e.ep.Drop(now, x.inbound)
	case reject:
		e.ep.Reject(now, x.inbound)
	case respond:
		return e.ep.Respond(now, x.inbound, x.out, reliability.RespondOptions{
			NonConfirmable: x.allowance > 0, NoStore: x.recuttable(),
		})
	}
	return false
}

// over says that a request is not in hand any more.
func (e *engine) over(x *exchange) {
	x.ended = true
	if x.cancel != nil {
		x.cancel(errAnswered)
	}
	if x.expiry != nil {
		x.expiry.Stop()
	}
	delete(e.running, x.inbound)
}

// call returns the open call of an outgoing exchange.
func (e *engine) call(x reliability.Outbound) *call {
	if i := x.Slot(); i >= 0 && i < len(e.calls) {
		if c := e.calls[i]; c != nil && c.outbound == x {
			return c
		}
	}
	return nil
}

// open enters a call for its outgoing exchange.
func (e *engine) open(x reliability.Outbound, c *call) {
	for x.Slot() >= len(e.calls) {
		e.calls = append(e.calls, nil)
	}
	e.calls[x.Slot()], c.outbound = c, x
}

// cancel ends a call whose caller is gone, or who has what it wanted.
func (e *engine) cancel(now time.Time, c *call) {
	if e.call(c.outbound) == c {
		e.ep.Cancel(now, c.outbound)
		e.calls[c.outbound.Slot()] = nil
	}
}

// advance fires the timers that are due.
func (e *engine) advance(now time.Time) {
	e.ep.Advance(now)
	if e.observing > 0 {
		e.observers.Advance(now)
	}
	if e.serves {
		e.advanceTransfers(now)
	}
}

// deadline returns when advance is to be called next. Notifications that are being sent
// need no timer.
func (e *engine) deadline(notifying bool) (at time.Time, ok bool) {
	at, ok = e.ep.Deadline()
	if e.serves {
		if next, found := e.transferDeadline(); found && (!ok || next.Before(at)) {
			at, ok = next, true
		}
	}
	if e.observing == 0 || notifying {
		return at, ok
	}
	if next, found := e.observers.Deadline(); found && (!ok || next.Before(at)) {
		return next, true
	}
	return at, ok
}

// drain takes what the layers want sent into out and wakes the callers that it concerns.
func (e *engine) drain(now time.Time, out *outbox) {
	if e.serves {
		e.drainTransfers(now, out)
	}
	for {
		ev, ok := e.ep.Poll()
		if !ok {
			e.polled()
			e.release(out)
			return
		}
		if n := e.noteOf(ev.Outbound); n != nil {
			e.noted(now, n, ev, out)
			continue
		}
		c := e.call(ev.Outbound)
		switch ev.Kind {
		case reliability.Transmit:
			out.copy(ev.Peer, e.tokens.extend(ev.Datagram), ev.Attempt)
			if c != nil {
				c.transmitted(now, ev.Attempt)
			}
		case reliability.Acknowledged:
			if c != nil {
				c.acknowledge(now)
			}
		case reliability.Ended:
			if c != nil {
				c.end(now, nil, ev.Err)
			}
		}
	}
}

// release hands the calls that are over to an outbox.
func (e *engine) release(out *outbox) {
	out.ended = append(out.ended, e.ended...)
	clear(e.ended)
	e.ended = e.ended[:0]
	out.closing = append(out.closing, e.closing...)
	clear(e.closing)
	e.closing = e.closing[:0]
}

// An outbox collects the datagrams of one WriteBatch, and the calls whose callers wake
// after it: one that closes its client, or ends its program, must not keep an
// Acknowledgement from leaving.
type outbox struct {
	packets  []transport.Packet
	attempts []int
	arena    []byte // what copy has copied
	ended    []*call
	closing  []io.Closer
	overdue  []*exchange // answered outside of any batch
}

// add takes a datagram that stays as it is until the outbox is flushed.
func (o *outbox) add(to peer.Addr, datagram []byte, attempt int) {
	o.packets = append(o.packets, transport.Packet{Buf: datagram, N: len(datagram), Peer: to})
	o.attempts = append(o.attempts, attempt)
}

// copy takes a copy of a datagram.
func (o *outbox) copy(to peer.Addr, datagram []byte, attempt int) {
	start := len(o.arena)
	o.arena = append(o.arena, datagram...) // a moved arena leaves earlier packets theirs
	o.add(to, o.arena[start:len(o.arena):len(o.arena)], attempt)
}

// reset empties the outbox behind its WriteBatch, and wakes the callers.
func (o *outbox) reset() {
	for _, c := range o.ended {
		c.wake()
	}
	clear(o.packets)
	clear(o.ended)
	clear(o.closing)
	clear(o.overdue)
	o.packets, o.attempts, o.arena = o.packets[:0], o.attempts[:0], o.arena[:0]
	o.ended, o.closing, o.overdue = o.ended[:0], o.closing[:0], o.overdue[:0]
}
