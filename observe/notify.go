package observe

import "time"

// mark notes that an observer has not got the present state.
func (r *Registry) mark(n uint32) {
	o := r.observers.at(n)
	switch {
	case o.flags&concluding != 0:
	case o.flags&dirty == 0:
		o.flags |= dirty
		if o.flags&inFlight == 0 {
			r.enqueue(n)
		}
	default:
		r.stats.Conflated++
	}
}

// enqueue puts a dirty observer among those that are ready.
func (r *Registry) enqueue(n uint32) {
	o := r.observers.at(n)
	c := r.peers.at(o.client)
	lane := 0
	o.flags &^= inLane1
	if r.confirmable(o) {
		lane, o.flags = 1, o.flags|inLane1
	}
	r.observers.push(&c.ready[lane], ofReady, n)
	r.schedule(o.client)
}

// dequeue takes an observer out of those that are ready, if it is among them.
func (r *Registry) dequeue(n uint32) {
	o := r.observers.at(n)
	if o.flags&(dirty|inFlight) != dirty {
		return
	}
	lane := 0
	if o.flags&inLane1 != 0 {
		lane = 1
	}
	r.observers.unlink(&r.peers.at(o.client).ready[lane], ofReady, n)
}

// stepsPerInput bounds what one input does beside its own, so that a change that concerns
// a hundred thousand observers does not hold up its owner.
const stepsPerInput = 1024

// Poll returns the next notification that may leave now, and false when there is none.
// It is fair: client endpoints take turns, and so do the observations of one. It does a
// bounded amount of work: where it looked at many observers in vain there may be more,
// and Deadline is not after now.
//
// When the owner has given the notification to the message layer, it calls Sent with
// each message ID that it is transmitted under; for a last one it also calls Conclude.
// If the message layer refuses it, Unsent takes it back.
func (r *Registry) Poll(now time.Time) (Notification, bool) {
	r.tick(now)
	r.release()
	for range stepsPerInput {
		cn, ok := r.ring.first()
		if !ok {
			if !r.spread() {
				return Notification{}, false
			}
			continue
		}
		r.peers.unlink(&r.ring, ofRing, cn)
		c := r.peers.at(cn)
		c.inRing = false
		lane := c.lane(r.cfg.NStart)
		if lane < 0 {
			continue // what made it ready is gone
		}
		c.turn = uint8(1 - lane)
		n, _ := c.ready[lane].first()
		result := r.emit(n, cn)
		r.schedule(cn)
		return result, true
	}
	return Notification{}, false
}

// emit hands out the notification of an observer that is ready.
func (r *Registry) emit(n, cn uint32) Notification {
	o, c := r.observers.at(n), r.peers.at(cn)
	confirmable := o.flags&inLane1 != 0 || r.confirmable(o)
	r.dequeue(n)
	if confirmable {
		o.flags |= inFlight
		c.outstanding++
		r.touch(n)
	} else {
		o.count()
		r.pace(cn)
	}
	return r.notification(n, confirmable)
}

// notification describes the present state for an observer.
func (r *Registry) notification(n uint32, confirmable bool) Notification {
	o := r.observers.at(n)
	if o.flags&dirty != 0 && r.catchUp(n) {
		r.stats.Conflated++
	}
	o.flags &^= dirty
	res := &r.resources[o.resource]
	return Notification{
		Observer: Observer(r.observers.handle(n)), Peer: r.peers.at(o.client).addr, Token: o.token,
		Resource: Resource(o.resource), Representation: o.representation, Change: res.change,
		Sequence: r.number(n), Confirmable: confirmable, Final: res.ending,
	}
}

// touch notes that an observer was sent a Confirmable notification or has registered.
func (r *Registry) touch(n uint32) {
	o := r.observers.at(n)
	o.flags &^= urgent
	o.silentSince, o.nons = r.now, 0
	r.observers.unlink(&r.silence, ofSilence, n)
	r.observers.push(&r.silence, ofSilence, n)
}

// Supersede is called when the retransmission of a Confirmable notification is due. If
// there is a newer state it returns the notification to transmit in its place, under a
// new message ID and with the retransmission counter and timeout of the old one, and
// false if the old one is to be repeated as it is (RFC 7641 §4.5.2).
func (r *Registry) Supersede(now time.Time, x Observer) (Notification, bool) {
	r.tick(now)
	n, ok := r.observers.resolve(uint64(x))
	if !ok {
		return Notification{}, false
	}
	o := r.observers.at(n)
	if o.flags&inFlight == 0 || o.flags&concluding != 0 {
		return Notification{}, false
	}
	if o.flags&dirty == 0 {
		if !r.catchUp(n) {
			return Notification{}, false
		}
		o.flags |= dirty
	}
	result := r.notification(n, true)
	result.Replaces = o.exchange
	return result, true
}
