package reliability

import (
	"testing"

	"pgregory.net/rapid"
)

// Handles stay unique, lists keep their order, and all memory but one chunk goes back.
func TestSlabAgreesWithAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := slab[int]{limit: 900}
		var l list
		var order []uint64
		issued := map[uint64]bool{}
		for i := range rapid.IntRange(1, 1500).Draw(t, "steps") {
			if rapid.IntRange(0, 3).Draw(t, "op") > 0 {
				n, ok := s.add()
				if ok != (len(order) < 900) {
					t.Fatalf("add = %v with %d of 900", ok, len(order))
				}
				if !ok {
					continue
				}
				*s.at(n) = i
				h := s.handle(n)
				if issued[h] {
					t.Fatalf("handle %x again", h)
				}
				issued[h] = true
				order = append(order, h)
				s.push(&l, n)
			} else if len(order) > 0 {
				k := rapid.IntRange(0, len(order)-1).Draw(t, "which")
				n, ok := s.resolve(order[k])
				if !ok {
					t.Fatalf("handle %x is gone", order[k])
				}
				s.unlink(&l, n)
				s.remove(n)
				if _, ok := s.resolve(order[k]); ok {
					t.Fatalf("handle %x still there", order[k])
				}
				order = append(order[:k:k], order[k+1:]...)
			}
		}
		inUse := map[uint64]bool{}
		for _, h := range order {
			inUse[(h&0xffffffff-1)/slabChunk] = true
		}
		if kept := len(s.chunks) - len(s.unused); kept > len(inUse)+1 {
			t.Fatalf("%d chunks, %d in use", kept, len(inUse))
		}
		n, ok := s.first(&l)
		for _, h := range order {
			if !ok || s.handle(n) != h {
				t.Fatal("list is out of order")
			}
			n, ok = s.after(n)
		}
		if ok || l.length != len(order) || s.live != len(order) {
			t.Fatalf("%d in the list, %d alive, want %d", l.length, s.live, len(order))
		}
		for _, h := range order {
			n, _ := s.resolve(h)
			s.unlink(&l, n)
			s.remove(n)
		}
		if kept := len(s.chunks) - len(s.unused); kept > 1 {
			t.Errorf("%d chunks for nothing", kept)
		}
	})
}

// One value that stays does not hold the memory of all that went.
func TestSlabGivesChunksBack(t *testing.T) {
	s := slab[[100]byte]{limit: 5000}
	rng := newRand(3)
	for range 3 {
		var all []uint32
		for range 5000 {
			n, ok := s.add()
			if !ok {
				break
			}
			all = append(all, n)
		}
		if s.live != 5000 || len(s.chunks)-len(s.unused) != 20 {
			t.Fatalf("%d values in %d chunks", s.live, len(s.chunks)-len(s.unused))
		}
		rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		for _, n := range all {
			if s.live > 1 {
				s.remove(n)
			}
		}
		if kept := len(s.chunks) - len(s.unused); kept > 2 || s.free.length != kept*slabChunk-1 {
			t.Fatalf("%d chunks and %d free cells for one value", kept, s.free.length)
		}
	}
}
