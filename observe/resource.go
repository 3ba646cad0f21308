package observe

import (
	"math"
	"time"
)

// A resource is something observable. Its observers are in one of two lists: those in
// behind have not been told of the last change, o.change differs from change.
type resource struct {
	interval        instant // Policy.Interval; 0: none
	current, behind list
	observers       uint32
	waiting         uint32 // length of behind
	change          uint32 // counts the calls of Changed
	next            uint32 // neighbour in Registry.spreading as number+1
	every           uint8  // Policy.Every; 0: no counting
	typ             Type
	spreading       bool
	ending          bool
}

func (res *resource) setPolicy(p Policy) {
	res.typ, res.interval = p.Type, instant(p.Interval)
	res.every = uint8(max(0, orDefault(p.Every, defaultEvery)))
}

// grow makes the table of resources long enough, false at MaxResources.
func (r *Registry) grow(to Resource) bool {
	if uint64(to) >= uint64(r.cfg.MaxResources) {
		return false
	}
	for int(to) >= len(r.resources) {
		r.resources = append(r.resources, resource{})
		r.resources[len(r.resources)-1].setPolicy(r.cfg.Policy)
	}
	return true
}

// Changed says that the state of a resource is another one now. It takes the same time
// for any number of observers: Poll tells them one after the other.
func (r *Registry) Changed(now time.Time, to Resource) {
	r.tick(now)
	if r.grow(to) {
		r.changed(uint32(to))
	}
}

func (r *Registry) changed(n uint32) {
	res := &r.resources[n]
	r.stats.Conflated += uint64(res.waiting)
	res.change++
	res.waiting = res.observers
	r.observers.splice(&res.behind, &res.current, ofResource)
	if res.observers > 0 && !res.spreading {
		r.pushSpreading(n)
	}
}

// End says that a resource is no more, or not observable any more. Each observer gets a
// last notification (RFC 7641 §4.2) as the congestion control allows; until all are gone
// the resource takes no registration. Without observers it does nothing.
func (r *Registry) End(now time.Time, to Resource) {
	r.tick(now)
	if uint64(to) < uint64(len(r.resources)) && r.resources[to].observers > 0 {
		r.resources[to].ending = true
		r.changed(uint32(to))
	}
}

// EndAll is End for every resource, as for a shutdown.
func (r *Registry) EndAll(now time.Time) {
	for n := range r.resources {
		r.End(now, Resource(n))
	}
}

func (r *Registry) pushSpreading(n uint32) {
	r.resources[n].spreading, r.resources[n].next = true, 0
	if l := &r.spreading; l.tail != 0 {
		r.resources[l.tail-1].next = n + 1
		l.tail = n + 1
	} else {
		*l = list{n + 1, n + 1}
	}
}

func (r *Registry) popSpreading() uint32 {
	l := &r.spreading
	n := l.head - 1
	if l.head = r.resources[n].next; l.head == 0 {
		l.tail = 0
	}
	r.resources[n].spreading = false
	return n
}

// spread tells one observer of one resource that there was a change, in turns. It
// reports whether there is anything to be told.
func (r *Registry) spread() bool {
	for r.spreading.head != 0 {
		n := r.popSpreading()
		on, ok := r.resources[n].behind.first()
		if !ok {
			continue // they have heard of it otherwise, or are gone
		}
		r.catchUp(on)
		r.mark(on)
		if r.resources[n].waiting > 0 {
			r.pushSpreading(n)
		}
		return true
	}
	return false
}

// catchUp takes an observer out of those that are behind and reports whether it was.
func (r *Registry) catchUp(n uint32) bool {
	o := r.observers.at(n)
	res := &r.resources[o.resource]
	if o.change == res.change {
		return false
	}
	r.observers.unlink(&res.behind, ofResource, n)
	r.observers.push(&res.current, ofResource, n)
	o.change = res.change
	res.waiting--
	return true
}

// leave takes an observer out of its resource.
func (r *Registry) leave(n uint32) {
	o := r.observers.at(n)
	res := &r.resources[o.resource]
	if o.change == res.change {
		r.observers.unlink(&res.current, ofResource, n)
	} else {
		r.observers.unlink(&res.behind, ofResource, n)
		res.waiting--
	}
	if res.observers--; res.observers == 0 {
		res.ending = false
	}
}

// confirmable reports whether the next notification to an observer is to be Confirmable
// (RFC 7641 §4.5).
func (r *Registry) confirmable(o *observer) bool {
	res := &r.resources[o.resource]
	if o.flags&urgent != 0 {
		return true
	}
	switch res.typ {
	case Confirmable:
		return true
	case NonConfirmable:
		return false
	case Auto:
	}
	return res.ending || res.every > 0 && int(o.nons)+1 >= int(res.every) || res.interval > 0 && r.now-o.silentSince >= res.interval
}

// count adds a Non-confirmable notification.
func (o *observer) count() { o.nons = min(o.nons, math.MaxUint8-1) + 1 }
