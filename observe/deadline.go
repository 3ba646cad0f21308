package observe

import "time"

// pauseTime is how long a client endpoint waits after a Non-confirmable notification, the
// same for all, so that the list pausing is in the order of time.
func (r *Registry) pauseTime() instant {
	if r.cfg.NonInterval > 0 {
		return instant(r.cfg.NonInterval)
	}
	return instant(holdTime)
}

// pace makes a client wait for its next Non-confirmable notification (RFC 7641 §4.5.1).
func (r *Registry) pace(n uint32) {
	if r.cfg.NonInterval > 0 {
		r.suspend(n, nonPause)
	}
}

// hold makes a client wait for its next notification of any kind.
func (r *Registry) hold(n uint32) {
	r.suspend(n, fullPause)
}

func (r *Registry) suspend(n uint32, p pause) {
	c := r.peers.at(n)
	if c.pause != noPause {
		r.peers.unlink(&r.pausing, ofPausing, n)
	}
	c.pause, c.pausedUntil = max(c.pause, p), r.now+r.pauseTime()
	r.peers.push(&r.pausing, ofPausing, n)
}

// release ends pauses and silences that are over, a bounded number of them: of the others
// Deadline tells.
func (r *Registry) release() {
	for range stepsPerInput {
		n, ok := r.pausing.first()
		if !ok || r.peers.at(n).pausedUntil > r.now {
			break
		}
		r.peers.unlink(&r.pausing, ofPausing, n)
		c := r.peers.at(n)
		c.pause = noPause
		r.schedule(n)
	}
	for range stepsPerInput {
		n, ok := r.silence.first()
		if !ok || r.now-r.observers.at(n).silentSince < instant(r.cfg.MaxSilence) {
			break
		}
		r.rouse(n)
	}
}

// rouse makes an observer get a Confirmable notification of the present state.
func (r *Registry) rouse(n uint32) {
	r.touch(n)
	o := r.observers.at(n)
	if o.flags&(inFlight|concluding) != 0 {
		return // one is under way
	}
	r.dequeue(n)
	o.flags |= dirty | urgent
	r.enqueue(n)
}

// Advance is called when the deadline has come; then there may be something to Poll.
func (r *Registry) Advance(now time.Time) {
	r.tick(now)
	r.release()
}

// coalesce bounds how often pauses wake the owner: it is told of deadlines rounded up to
// this, or to a sixteenth of the pause.
const coalesce = instant(16 * time.Millisecond)

// Deadline returns when Advance is to be called: at once while Poll has something, and
// false while there are no observers.
func (r *Registry) Deadline() (at time.Time, ok bool) {
	if r.ring.head != 0 || r.spreading.head != 0 {
		return r.base.Add(time.Duration(r.now)), true
	}
	var first instant
	if n, found := r.silence.first(); found {
		first, ok = roundUp(r.observers.at(n).silentSince+instant(r.cfg.MaxSilence), instant(r.cfg.MaxSilence)), true
	}
	if n, found := r.pausing.first(); found && r.blocked > 0 {
		first = min(first, roundUp(r.peers.at(n).pausedUntil, r.pauseTime()))
	}
	return r.base.Add(time.Duration(first)), ok
}

// roundUp rounds a time for something of some length up.
func roundUp(at, length instant) instant {
	step := max(1, min(coalesce, length/16))
	return (at + step - 1) / step * step
}
