package reliability

import "math/bits"

const (
	indexSegments   = 256
	minSegmentSlots = 8
	slotBytes       = 8
	spareSizes      = 10 // sizes of segments that are kept for use
	minSpareBytes   = 16 * minSegmentSlots * slotBytes
)

// A slot of an index: ref is what was put in, 0 where the slot is free.
type slot struct {
	tag uint32 // the hash
	ref uint32
}

// An index finds references by hash. It is an open-addressing table with linear probing
// in segments that grow and shrink one by one, so that no operation ever walks the whole
// table; it holds no pointer per entry and no keys: who asks compares the key behind a
// reference. The upper eight bits of a hash choose the segment, the lower ones the slot. The zero index is empty. An index that has become empty holds no memory but
// what is kept for use.
type index struct {
	segments   [indexSegments]segment
	spare      [spareSizes][][]slot // free slots, minSegmentSlots<<i of them each
	spareBytes int
	keep       int // how many bytes may be spare; 0: minSpareBytes
	bytes      int // memory of all slots but the spare ones
}

type segment struct {
	slots []slot // a power of two of them, or none
	used  int
}

// A probe walks the references whose hash is likely the wanted one.
type probe struct {
	slots []slot
	tag   uint32
	pos   uint32
	ref   uint32 // 0: no more
}

// find starts a probe for a hash:
//
//	for p := x.find(hash); p.ref != 0; p.next() { … }
func (x *index) find(hash uint32) probe { return x.segments[hash>>24].find(hash) }

func (s *segment) find(hash uint32) probe {
	if s.used == 0 {
		return probe{}
	}
	p := probe{slots: s.slots, tag: hash, pos: hash - 1}
	p.next()
	return p
}

func (p *probe) next() {
	mask := uint32(len(p.slots) - 1)
	for {
		p.pos++
		s := p.slots[p.pos&mask]
		if s.ref == 0 || s.tag == p.tag {
			p.ref = s.ref
			return
		}
	}
}

// insert adds a reference, which is not 0. The same hash may be there already.
func (x *index) insert(hash uint32, ref uint32) {
	s := &x.segments[hash>>24]
	if (s.used+1)*4 > len(s.slots)*3 {
		x.resize(s, max(minSegmentSlots, len(s.slots)*2))
	}
	s.put(slot{hash, ref})
	s.used++
}

func (s *segment) put(n slot) {
	mask := uint32(len(s.slots) - 1)
	pos := n.tag & mask
	for s.slots[pos].ref != 0 {
		pos = (pos + 1) & mask
	}
	s.slots[pos] = n
}

// remove takes out a reference that was inserted under hash.
func (x *index) remove(hash uint32, ref uint32) {
	s := &x.segments[hash>>24]
	p := x.find(hash)
	for p.ref != ref {
		if p.ref == 0 {
			return
		}
		p.next()
	}
	s.vacate(p.pos & uint32(len(s.slots)-1))
	s.used--
	switch n := len(s.slots); {
	case s.used == 0:
		x.resize(s, 0)
	case s.used*8 < n && n > minSegmentSlots:
		x.resize(s, n/2)
	}
}

// vacate frees a slot and moves later ones of its chain back, so that no tombstone is
// needed.
func (s *segment) vacate(hole uint32) {
	mask := uint32(len(s.slots) - 1)
	for pos := (hole + 1) & mask; s.slots[pos].ref != 0; pos = (pos + 1) & mask {
		home := s.slots[pos].tag & mask
		if (pos-home)&mask >= (pos-hole)&mask {
			s.slots[hole] = s.slots[pos]
			hole = pos
		}
	}
	s.slots[hole] = slot{}
}

// resize gives a segment n slots.
func (x *index) resize(s *segment, n int) {
	old := s.slots
	x.bytes += (n - len(old)) * slotBytes
	s.slots = x.slots(n)
	for _, o := range old {
		if o.ref != 0 {
			s.put(o)
		}
	}
	x.recycle(old)
}

// sizeOf returns which list of spare slots n of them belong to.
func sizeOf(n int) int { return bits.Len(uint(n)/minSegmentSlots) - 1 }

// recycle keeps slots for use, unless there are enough.
func (x *index) recycle(s []slot) {
	i := sizeOf(len(s))
	if i < 0 || i >= spareSizes || x.spareBytes+len(s)*slotBytes > max(x.keep, minSpareBytes) {
		return
	}
	clear(s)
	x.spare[i] = append(x.spare[i], s)
	x.spareBytes += len(s) * slotBytes
}

// slots returns n free slots.
func (x *index) slots(n int) []slot {
	if n == 0 {
		return nil
	}
	if i := sizeOf(n); i < spareSizes {
		if k := len(x.spare[i]); k > 0 {
			s := x.spare[i][k-1]
			x.spare[i] = x.spare[i][:k-1]
			x.spareBytes -= n * slotBytes
			return s
		}
	}
	return make([]slot, n)
}
