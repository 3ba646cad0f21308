package reliability

// A lookup finds records by hash: an index from which nothing is taken out. A reference
// whose record has left its log is dead and keeps its slot until the segment is rebuilt, in
// its place, because its free slots are used up. So a record is forgotten without a look
// at its slot, which with a million records would have to come from outside the caches.
type lookup struct {
	segments [indexSegments]lookupSegment
	living   []slot // of the segment being rebuilt
	bytes    int    // memory of all slots
}

// A lookupSegment counts in used the dead as well.
type lookupSegment struct {
	segment
	live int // references put in and not forgotten
}

// minLookupSlots is the smallest size of a segment in use.
const minLookupSlots = 16

// find starts a probe for a hash; dead references are among what it finds.
func (x *lookup) find(hash uint32) probe { return x.segments[hash>>24].find(hash) }

// touch reads the slot where a probe for a hash starts.
func (x *lookup) touch(hash uint32) uint32 {
	s := &x.segments[hash>>24]
	if len(s.slots) == 0 {
		return 0
	}
	return s.slots[hash&uint32(len(s.slots)-1)].tag
}

// insert adds the reference of a record in a log.
func (x *lookup) insert(hash uint32, ref uint32, logs *recordLogs) {
	s := &x.segments[hash>>24]
	if (s.used+1)*4 > len(s.slots)*3 {
		x.rebuild(s, logs)
	}
	s.put(slot{hash, ref})
	s.used++
	s.live++
}

// forget notes that a reference under hash has died.
func (x *lookup) forget(hash uint32, logs *recordLogs) {
	s := &x.segments[hash>>24]
	s.live--
	if n := len(s.slots); s.live*8 < n && n > minLookupSlots {
		x.rebuild(s, logs)
	}
}

// rebuild takes the dead out of a segment, and makes it larger where less than half of it
// would then be free, or smaller where less than an eighth is in use: the next time comes
// after as many insertions as a quarter of its slots, at least.
func (x *lookup) rebuild(s *lookupSegment, logs *recordLogs) {
	x.living = x.living[:0]
	for _, o := range s.slots {
		if o.ref != 0 && logs.alive(o.ref) {
			x.living = append(x.living, o)
		}
	}
	switch n := len(s.slots); {
	case s.live*2 >= n:
		x.resize(s, max(minLookupSlots, 2*n))
	case s.live*8 < n && n > minLookupSlots:
		x.resize(s, n/2)
	default:
		clear(s.slots)
	}
	for _, o := range x.living {
		s.put(o)
	}
	s.used = len(x.living)
}

func (x *lookup) resize(s *lookupSegment, n int) {
	x.bytes += (n - len(s.slots)) * slotBytes
	s.slots = make([]slot, n)
}
