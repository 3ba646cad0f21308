package coap

import (
	"errors"
	"time"

	"github.com/motewire/coap/message"
	"github.com/motewire/coap/observe"
)

// NotifyPolicy says in which messages the notifications of a route go (RFC 7641 §4.5).
type NotifyPolicy = observe.Policy

// A NotifyType is the Type of a [NotifyPolicy].
type NotifyType = observe.Type

const (
	// NotifyAuto: Non-confirmable messages, with a Confirmable one in between as Every and
	// Interval of the policy say. This is the zero value.
	NotifyAuto = observe.Auto
	// NotifyConfirmable: every notification is Confirmable. An observer that acknowledges
	// slowly gets the last state, not each of them (RFC 7641 §4.5.1).
	NotifyConfirmable = observe.Confirmable
	// NotifyNonConfirmable: none is, but for one a day, by which a client that is gone is
	// found out (RFC 7641 §4.5).
	NotifyNonConfirmable = observe.NonConfirmable
)

// causeOf says why the exchange with a notification failed.
func causeOf(err error) observe.Cause {
	switch {
	case errors.Is(err, ErrReset):
		return observe.Rejected
	case errors.Is(err, ErrUnreachable):
		return observe.Unreachable
	}
	return observe.TimedOut
}

// observe enters the client of a request among the observers, or takes it out.
func (s *shard) observe(x *exchange) {
	if x.multicast || x.challenging || !whole(&x.view) || x.view.Extended() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if x.route != nil && x.route.subject != nil && registers(&x.view) {
		s.eng.register(x.began, x)
	} else if s.eng.observing > 0 {
		s.eng.deregister(x.began, x)
	}
}

// wakeNotifier makes sure, under mu, that somebody sends the notifications that are due.
// Rendering is the handler's work and can't be done here.
func (s *shard) wakeNotifier(now time.Time) {
	if s.notifying || s.closed || !s.eng.notificationsDue(now) {
		return
	}
	s.notifying = true
	s.goroutines.Add(1)
	go func() {
		defer s.goroutines.Done()
		for s.notifySome() {
		}
	}()
}

func (e *engine) notificationsDue(now time.Time) bool {
	if len(e.superseding) > 0 {
		return true
	}
	if e.observing == 0 {
		return false
	}
	at, ok := e.observers.Deadline()
	return ok && !at.After(now)
}

// notifySome sends a batch of notifications and has rendered what the others lack. It
// reports whether there may be more.
func (s *shard) notifySome() (more bool) {
	var stale []*representation
	s.input(func(now time.Time, _ *outbox) {
		if s.closed {
			s.notifying = false
			return
		}
		stale, more = s.eng.gather(now, nil)
		s.notifying = more
	})
	if len(stale) > 0 {
		s.renderAll(stale)
	}
	return more
}

// renderAll has representations rendered, each by itself: a slow handler delays no other.
// It waits a moment for those that were quick the last time, so that the next
// notifications have their state ready and need not wait in a list.
func (s *shard) renderAll(stale []*representation) {
	quick, done := 0, make(chan struct{}, len(stale))
	for _, rep := range stale {
		if !rep.slow {
			quick++
		}
		s.goroutines.Add(1)
		go func(slow bool) {
			defer s.goroutines.Done()
			s.rerender(rep)
			if !slow {
				done <- struct{}{}
			}
		}(rep.slow)
	}
	if quick == 0 {
		return
	}
	moment := time.NewTimer(watchInterval)
	defer moment.Stop()
	for range quick {
		select {
		case <-done:
		case <-moment.C:
			return
		}
	}
}

// rerender renders a representation until it shows the last change.
func (s *shard) rerender(rep *representation) {
	for again := true; again; {
		s.mu.Lock()
		change, promised := rep.begin(), rep.promised
		s.mu.Unlock()
		x := s.render(rep, promised)
		if x == nil {
			return // the shard is closed
		}
		s.input(func(now time.Time, _ *outbox) {
			rep.code, rep.observeAt = x.code, x.observeAt()
			rep.at, rep.dated = x.began, x.options.has(message.MaxAge)
			rep.slow = now.Sub(x.began) >= watchInterval
			rep.body = append(rep.body[:0], x.out[headerBytes:]...)
			rep.snapshot = x.snapshot
			again = s.eng.rendered(now, rep, change) && !s.closed
		})
		x.unref()
	}
}

// headerBytes is the length of a message's header (RFC 7252 §3).
const headerBytes = 4

// render runs the handler for the request of a representation and encodes what it answers,
// without a token and with a place for the Observe number. It returns nil where the shard
// was closed before the answer was there.
func (s *shard) render(rep *representation, promised contentType) *exchange {
	x := s.newExchange()
	x.adopt(rep.request, rep.route)
	x.assembled = rep.payload
	x, how := x.perform()
	if how == shut {
		return nil
	}
	if x.cancel != nil {
		x.cancel(errAnswered)
	}
	x.conclude()
	if !promised.keptBy(x) {
		x.notAcceptable() // RFC 7641 §4.2
	}
	if x.code.IsSuccess() {
		x.options.add(message.Observe, []byte{0xff, 0xff, 0xff})
	}
	if x.piece.More() {
		x.snapshot = x.snapshotOf() // RFC 7959 §2.6: the client fetches the other blocks
	}
	x.describe()
	x.encode(message.Token{})
	return x
}

// adopt makes x serve a copy of a request that has no exchange of its own.
func (x *exchange) adopt(request []byte, rt *route) {
	_ = x.view.Parse(request) // it parsed when it was received
	x.began, x.route = time.Now(), rt
	x.req.Method, x.req.view, x.req.x, x.req.pattern = x.view.Code(), &x.view, x, rt.pattern
	if m := x.shard.core.mux; m != nil {
		m.find(x.req.Method, &x.view, &x.req.match)
	}
	x.sentHere = make(chan struct{})
	x.refs.Store(1)
}

// perform runs the handler and waits for its response. It returns the exchange that has it:
// another one with an error where a detached response was not sent, as its Responder may
// still use x.
func (x *exchange) perform() (*exchange, ending) {
	handled := make(chan struct{})
	go func() { // whatever the handler does to its goroutine, this one goes on
		defer close(handled)
		x.handle()
	}()
	<-handled
	if !x.detached {
		return x, sent
	}
	how := x.awaitSend()
	if how != sent {
		x = x.abandon(how)
	}
	return x, how
}

// readBody reads what is needed of a response that is a stream, on the goroutine that made it:
// the piece that was asked for, or all of it for observers. That for an intake is read when the
// request is known that it answers.
func (x *exchange) readBody() {
	switch {
	case x.sentHere == nil:
		x.read()
	case x.intake == nil && x.content != nil:
		x.absorb()
	}
}

// absorb reads all of a body that would be read block by block.
func (x *exchange) absorb() {
	body, err := x.content.whole(x.shard.core.limits.BodyBytes)
	if x.drop(); err != nil {
		x.shard.core.logError("coap: body of a notification", err)
		x.Reset()
		x.code = message.InternalServerError
		return
	}
	x.payload = append(x.payload, body...)
}

// observeAt returns where in the message behind the header the Observe option begins.
func (x *exchange) observeAt() int {
	e := message.AppendHeader(nil, message.NonConfirmable, x.code, 0, message.Token{})
	for i := range x.options.n {
		if o := x.options.at(i); o.number < message.Observe {
			o.encode(&e)
		}
	}
	return e.Len() - headerBytes
}
