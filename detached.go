package coap

import (
	"context"
	"fmt"
	"time"

	"github.com/motewire/coap/message"
	"github.com/motewire/coap/reliability"
)

// sendGrace is how long after its request's context has ended a detached response may
// still be sent: enough for a goroutine that heeds the context to say so.
const sendGrace = time.Second

// errTooLate is what Send returns for a response that was given up.
var errTooLate = fmt.Errorf("coap: response too late: %w", context.DeadlineExceeded)

// An ending says what ended a detached response: who brings it about has the last word.
type ending = uint32

const (
	pending ending = iota
	sent           // Send
	failed         // its handler panicked: 5.00
	tooLate        // HandlerTimeout is over: 5.03 (RFC 7252 §5.9.3.4)
	shut           // the shard was closed
)

// codeOf returns what is answered in place of a response that ended so.
func codeOf(how ending) message.Code {
	if how == failed {
		return message.InternalServerError
	}
	return message.ServiceUnavailable
}

// unsendable returns what Send says where something else was first.
func (x *exchange) unsendable() error {
	switch x.over.Load() {
	case tooLate:
		return errTooLate
	case shut:
		return ErrClosed
	}
	return errAnswered
}

// patience returns how long from now on a detached response is waited for; false: for ever.
// Where the handler reads a body as it arrives, which takes its time, the intake knows.
func (x *exchange) patience(now time.Time) (time.Duration, bool) {
	t := x.shard.core.limits.HandlerTimeout
	return max(x.began.Add(t+sendGrace).Sub(now), 0), t > 0 && x.intake == nil
}

// expireLater gives a detached exchange its end, under mu.
func (s *shard) expireLater(now time.Time, x *exchange) {
	if d, bounded := x.patience(now); bounded && !x.ended && !s.closed {
		inbound := x.inbound
		x.expiry = time.AfterFunc(d, func() { s.giveUp(inbound, tooLate) })
	}
}

// giveUp answers a request whose detached response has not been sent. The exchange stays
// with its Responder, which may be writing to it.
func (s *shard) giveUp(inbound reliability.Inbound, how ending) {
	var x *exchange
	s.input(func(now time.Time, out *outbox) {
		x = s.eng.running[inbound]
		if x == nil || s.closed || !x.over.CompareAndSwap(pending, how) {
			x = nil
			return
		}
		x.refs.Add(1) // for the trace
		s.eng.replaceResponse(now, x, codeOf(how), out)
		s.eng.leaves(x)
	})
	if x == nil {
		return
	}
	if how == tooLate {
		s.core.logError("coap: detached response was not sent", errTooLate)
	}
	s.traceOver(time.Now(), x, codeOf(how))
	s.released(x, false)
}

// replaceResponse ends a request by an error response in place of its handler's.
func (e *engine) replaceResponse(now time.Time, x *exchange, code message.Code, out *outbox) {
	e.over(x)
	e.uncommit(x, code) // its Responder may still read the body: that is not recycled
	if x.observer != 0 && e.observers.Active(x.observer) {
		e.deregister(now, x) // RFC 7641 §4.1: an error is no registration
	}
	if suppressed(&x.view, x.multicast, code, 0) {
		e.ep.Drop(now, x.inbound)
		return
	}
	encoder := x.begin(e.scratch[:0], code, x.view.Token())
	e.scratch, _ = encoder.Finish(nil)
	if e.ep.Respond(now, x.inbound, e.scratch, reliability.RespondOptions{NonConfirmable: x.allowance > 0}) {
		out.copy(x.peer, e.scratch, 0)
	}
}

// awaitSend waits until a detached response without an exchange of its own is over.
func (x *exchange) awaitSend() ending {
	if x.panicking && x.over.CompareAndSwap(pending, failed) {
		return failed
	}
	var late <-chan time.Time
	var overdue <-chan struct{}
	if x.intake != nil {
		overdue = x.intake.late
	} else if d, bounded := x.patience(time.Now()); bounded {
		timer := time.NewTimer(d)
		defer timer.Stop()
		late = timer.C
	}
	how := sent
	select {
	case <-x.sentHere:
		return sent
	case <-late:
		how = tooLate
	case <-overdue:
		how = tooLate
	case <-x.shard.done:
		how = shut
	}
	if x.over.CompareAndSwap(pending, how) {
		return how
	}
	<-x.sentHere // Send was first
	return sent
}

// abandon leaves an exchange without an exchange of its own to its Responder, which may
// still use it. It returns another one in its place, with an error response.
func (x *exchange) abandon(how ending) *exchange {
	s := x.shard
	s.mu.Lock()
	x.ended = true
	cancel := x.cancel
	s.mu.Unlock()
	if cancel != nil {
		cancel(errAnswered)
	}
	if how == tooLate {
		s.core.logError("coap: detached rendering was not sent", errTooLate)
	}
	y := s.newExchange()
	y.adopt(x.view.Datagram(), x.route)
	y.peer, y.intake, y.began, y.code = x.peer, x.intake, x.began, codeOf(how)
	return y
}
