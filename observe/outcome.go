package observe

import (
	"time"

	"github.com/motewire/coap/message"
	"github.com/motewire/coap/peer"
)

// Sent says under which message ID a notification was transmitted and, for a Confirmable
// one, in which exchange; zero for others. It reports false if the observation is over by now: the
// exchange can be cancelled. Naming the same ID again does nothing.
func (r *Registry) Sent(x Observer, id message.ID, exchange Exchange) bool {
	n, ok := r.observers.resolve(uint64(x))
	if !ok {
		if exchange == 0 {
			r.stats.Notifications++ // the last one, concluded before
		}
		return false
	}
	o := r.observers.at(n)
	replaces := o.flags&inFlight != 0 && o.exchange != 0
	if o.flags&inFlight != 0 && exchange != 0 {
		o.exchange = exchange
	}
	if r.remember(n, id) {
		r.countSent(exchange != 0, replaces)
	}
	return true
}

// countSent counts the first transmission of a notification.
func (r *Registry) countSent(confirmable, replaces bool) {
	r.stats.Notifications++
	if confirmable {
		r.stats.Confirmable++
		if replaces {
			r.stats.Superseded++
		}
	}
}

// Active reports whether an observation may be sent something: it is not over, and has not
// been sent its last notification.
func (r *Registry) Active(x Observer) bool {
	n, ok := r.observers.resolve(uint64(x))
	return ok && r.observers.at(n).flags&concluding == 0
}

// Overtaken says that a Non-confirmable notification, or one that replaces another, is not
// sent, as a newer one of the same observation goes in its place.
func (r *Registry) Overtaken() { r.stats.Conflated++ }

// Drop ends one observation of a resource without a word to its client, which learns of
// it when its Max-Age is over. It reports false when there is none left.
func (r *Registry) Drop(now time.Time, of Resource) (Removal, bool) {
	r.tick(now)
	if int(of) >= len(r.resources) {
		return Removal{}, false
	}
	res := &r.resources[of]
	n, ok := res.current.first()
	if !ok {
		n, ok = res.behind.first()
	}
	if !ok {
		return Removal{}, false
	}
	r.stats.DroppedSilently++
	return r.remove(n), true
}

// Unsent takes back a notification that the message layer refused. It is handed out
// again, with the state of that time, after Config.NonInterval; until then its client
// endpoint gets nothing.
func (r *Registry) Unsent(now time.Time, x Observer) {
	r.tick(now)
	n, ok := r.observers.resolve(uint64(x))
	if !ok {
		return
	}
	r.stats.Unsent++
	o := r.observers.at(n)
	r.hold(o.client)
	o.flags &^= concluding
	if o.flags&inFlight != 0 {
		o.flags |= urgent // so that it is Confirmable again
		r.land(n)
	}
	if o.flags&dirty == 0 {
		o.flags |= dirty
		r.enqueue(n)
	} else {
		r.stats.Conflated++
	}
	r.schedule(o.client)
}

// land ends the flight of a Confirmable notification; a newer state becomes ready.
func (r *Registry) land(n uint32) {
	o := r.observers.at(n)
	c := r.peers.at(o.client)
	o.flags &^= inFlight
	o.exchange = 0
	c.outstanding--
	if o.flags&dirty != 0 {
		r.enqueue(n)
	}
	r.schedule(o.client)
}

// Acknowledged says that a Confirmable notification has arrived. If it was the last one,
// the observation is over.
func (r *Registry) Acknowledged(now time.Time, x Observer) (Removal, bool) {
	r.tick(now)
	n, ok := r.observers.resolve(uint64(x))
	if !ok || r.observers.at(n).flags&inFlight == 0 {
		return Removal{}, false
	}
	o := r.observers.at(n)
	if o.flags&concluding != 0 {
		o.exchange = 0
		r.stats.Concluded++
		return r.remove(n), true
	}
	r.land(n)
	return Removal{}, false
}

// Ended says that the exchange with a Confirmable notification has failed. The
// observation is over (RFC 7641 §4.5).
func (r *Registry) Ended(now time.Time, x Observer, cause Cause) (Removal, bool) {
	r.tick(now)
	n, ok := r.observers.resolve(uint64(x))
	if !ok {
		return Removal{}, false
	}
	switch cause {
	case Rejected:
		r.stats.DroppedReset++
	case Unreachable:
		r.stats.DroppedNetwork++
	case TimedOut:
		r.stats.DroppedTimeout++
	}
	r.observers.at(n).exchange = 0
	return r.remove(n), true
}

// Reset says that a client endpoint has sent a Reset for a message that no exchange
// knows any more: a Non-confirmable notification, or one of some time ago. The observation
// is over if it is among the last few of it (RFC 7641 §3.6, §4.5).
func (r *Registry) Reset(now time.Time, from peer.Addr, id message.ID) (Removal, bool) {
	r.tick(now)
	if cn, ok := r.findClient(from); ok {
		if n, place := r.findID(cn, id); place >= 0 {
			r.stats.DroppedReset++
			return r.remove(n), true
		}
	}
	r.stats.UnmatchedResets++
	return Removal{}, false
}

// Deregister ends the observation of a client with a token, as a request with Observe 1
// asks for (RFC 7641 §4.1) and any other request with that token implies.
func (r *Registry) Deregister(now time.Time, from peer.Addr, token message.Token) (Removal, bool) {
	r.tick(now)
	n, ok := r.find(from, token)
	if !ok {
		return Removal{}, false
	}
	r.stats.Deregistered++
	return r.remove(n), true
}

// Conclude says that the notification just sent was the last one: an error response
// without Observe option (RFC 7641 §4.2). The observation is over at once, or, if the
// notification is Confirmable, when it is acknowledged or has failed.
func (r *Registry) Conclude(now time.Time, x Observer) (Removal, bool) {
	r.tick(now)
	n, ok := r.observers.resolve(uint64(x))
	if !ok {
		return Removal{}, false
	}
	o := r.observers.at(n)
	if o.flags&inFlight == 0 {
		r.stats.Concluded++
		return r.remove(n), true
	}
	o.flags |= concluding
	return Removal{}, false
}

// remove forgets an observer.
func (r *Registry) remove(n uint32) Removal {
	o := r.observers.at(n)
	removal := Removal{
		Observer: Observer(r.observers.handle(n)), Resource: Resource(o.resource),
		Representation: o.representation, Exchange: o.exchange,
	}
	r.dequeue(n)
	r.leave(n)
	r.forget(n)
	r.observers.unlink(&r.silence, ofSilence, n)
	r.byToken.remove(r.hash.token(o.client, o.token), n+1)
	cn := o.client
	c := r.peers.at(cn)
	if c.first == n+1 {
		c.first = 0
	}
	if o.flags&inFlight != 0 {
		c.outstanding--
	}
	r.observers.remove(n)
	if c.observations--; c.observations == 0 {
		r.removeClient(cn)
	} else {
		r.schedule(cn)
	}
	return removal
}

// removeClient forgets a client endpoint without observations.
func (r *Registry) removeClient(n uint32) {
	c := r.peers.at(n)
	r.schedule(n) // nothing is ready: not blocked
	if c.inRing {
		r.peers.unlink(&r.ring, ofRing, n)
	}
	if c.pause != noPause {
		r.peers.unlink(&r.pausing, ofPausing, n)
	}
	r.byPeer.remove(r.hash.peer(c.addr), n+1)
	r.peers.remove(n)
}
