package observe

import "github.com/motewire/coap/message"

// rememberedIDs is how many message IDs of its last notifications an observer remembers,
// so that a late Reset still ends it.
const rememberedIDs = 4

// idRef is what the index holds: the observer and the place of the ID.
func idRef(n uint32, place int) uint32 { return n<<2 | uint32(place) + 1 }

// findID returns the observer that a message ID towards a client belongs to, and its
// place there; -1: none.
func (r *Registry) findID(cn uint32, id message.ID) (n uint32, place int) {
	c := r.peers.at(cn)
	if c.first != 0 {
		n = c.first - 1
		o := r.observers.at(n)
		for place := range o.ids {
			if o.places.known(place) && o.ids[place] == id {
				return n, place
			}
		}
		if c.observations == 1 {
			return 0, -1
		}
	}
	for p := r.byID.find(r.hash.id(cn, id)); p.ref != 0; p.next() {
		n, place = (p.ref-1)>>2, int((p.ref-1)&(rememberedIDs-1))
		if o := r.observers.at(n); o.client == cn && o.ids[place] == id {
			return n, place
		}
	}
	return 0, -1
}

// places says which message IDs of an observer are known, a bit each, and, above them,
// the place of the next.
type places uint8

func (p places) known(place int) bool { return p&(1<<place) != 0 }

func (p places) next() int { return int(p >> rememberedIDs) }

// last returns the place before next.
func (p places) last() int { return (p.next() + rememberedIDs - 1) % rememberedIDs }

// taken returns p with the next place known and the one after it next.
func (p places) taken() places {
	known := p&(1<<rememberedIDs-1) | 1<<p.next()
	return known | places((p.next()+1)%rememberedIDs)<<rememberedIDs
}

// remember notes a message ID and reports whether it is not the observer's last one already.
// Whoever had it before did so longer ago than it lives.
func (r *Registry) remember(n uint32, id message.ID) bool {
	o := r.observers.at(n)
	if m, place := r.findID(o.client, id); place >= 0 {
		if m == n && place == o.places.last() {
			return false
		}
		r.forgetID(m, place)
	}
	place := o.places.next()
	r.forgetID(n, place)
	o.ids[place], o.places = id, o.places.taken()
	if r.indexed(n) {
		r.byID.insert(r.hash.id(o.client, id), idRef(n, place))
	}
	return true
}

// indexed reports whether byID has the message IDs of an observer. Those of its client's
// first one are found there: most clients have no other, and an index of all of them would
// cost more than all else that a notification does here.
func (r *Registry) indexed(n uint32) bool {
	return r.peers.at(r.observers.at(n).client).first != n+1
}

func (r *Registry) forgetID(n uint32, place int) {
	if o := r.observers.at(n); o.places.known(place) {
		o.places &^= 1 << place
		if r.indexed(n) {
			r.byID.remove(r.hash.id(o.client, o.ids[place]), idRef(n, place))
		}
	}
}

// forget forgets all message IDs of an observer.
func (r *Registry) forget(n uint32) {
	for place := range rememberedIDs {
		r.forgetID(n, place)
	}
}
