package observe

const (
	indexSegments   = 256
	minSegmentSlots = 8
)

// A slot of an index: ref is what was put in, 0 where the slot is free.
type slot struct {
	tag uint32 // lower half of the hash
	ref uint32
}

// An index finds references by hash. It is an open-addressing table with linear probing
// in segments that grow and shrink one by one, in steps small enough that between half
// and seven eighths of the slots are in use. It holds no keys: who asks compares the key
// behind a reference. The zero index is empty.
type index struct {
	segments [indexSegments]segment
}

type segment struct {
	slots []slot
	used  int
}

// A probe walks the references whose hash is likely the wanted one.
type probe struct {
	slots []slot
	tag   uint32
	pos   int
	ref   uint32 // 0: no more
}

func home(tag uint32, slots int) int { return int(uint64(tag) * uint64(slots) >> 32) }

// find starts a probe for a hash:
//
//	for p := x.find(hash); p.ref != 0; p.next() { … }
func (x *index) find(hash uint64) probe {
	s := &x.segments[hash>>56]
	if s.used == 0 {
		return probe{}
	}
	p := probe{slots: s.slots, tag: uint32(hash), pos: home(uint32(hash), len(s.slots)) - 1}
	p.next()
	return p
}

func (p *probe) next() {
	for {
		if p.pos++; p.pos == len(p.slots) {
			p.pos = 0
		}
		s := p.slots[p.pos]
		if s.ref == 0 || s.tag == p.tag {
			p.ref = s.ref
			return
		}
	}
}

// insert adds a reference, which is not 0. The same hash may be there already.
func (x *index) insert(hash uint64, ref uint32) {
	s := &x.segments[hash>>56]
	if (s.used+1)*8 > len(s.slots)*7 {
		s.resize(max(minSegmentSlots, len(s.slots)+len(s.slots)/4))
	}
	s.put(slot{uint32(hash), ref})
	s.used++
}

func (s *segment) put(n slot) {
	pos := home(n.tag, len(s.slots))
	for s.slots[pos].ref != 0 {
		if pos++; pos == len(s.slots) {
			pos = 0
		}
	}
	s.slots[pos] = n
}

// remove takes out a reference that was inserted under hash.
func (x *index) remove(hash uint64, ref uint32) {
	p := x.find(hash)
	for p.ref != ref {
		if p.ref == 0 {
			return
		}
		p.next()
	}
	s := &x.segments[hash>>56]
	s.vacate(p.pos)
	s.used--
	if n := len(s.slots); s.used*2 < n && n > minSegmentSlots {
		s.resize(max(minSegmentSlots, n*3/4))
	}
}

// vacate frees a slot and moves later ones of its chain back, so that no tombstone is
// needed.
func (s *segment) vacate(hole int) {
	n := len(s.slots)
	behind := func(from, to int) int { // steps forward from one position to another
		if to < from {
			return to - from + n
		}
		return to - from
	}
	for pos := (hole + 1) % n; s.slots[pos].ref != 0; pos = (pos + 1) % n {
		if behind(home(s.slots[pos].tag, n), pos) >= behind(hole, pos) {
			s.slots[hole] = s.slots[pos]
			hole = pos
		}
	}
	s.slots[hole] = slot{}
}

// resize gives a segment n slots.
func (s *segment) resize(n int) {
	old := s.slots
	s.slots = make([]slot, n)
	for _, o := range old {
		if o.ref != 0 {
			s.put(o)
		}
	}
}
