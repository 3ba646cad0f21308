package reliability

import (
	"testing"

	"pgregory.net/rapid"
)

// The heap agrees with a map of what is due when.
func TestTimersAgreeWithAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var h timers
		model := map[uint32]instant{}
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			n := uint32(rapid.IntRange(0, 30).Draw(t, "n"))
			if rapid.IntRange(0, 2).Draw(t, "op") == 0 {
				h.stop(n)
				delete(model, n)
			} else {
				at := instant(rapid.IntRange(0, 50).Draw(t, "at"))
				h.set(n, at)
				model[n] = at
			}
			first, ok := h.next()
			if ok != (len(model) > 0) || len(h.heap) != len(model) {
				t.Fatalf("%d timers, want %d", len(h.heap), len(model))
			}
			if ok && model[first.n] != first.at {
				t.Fatalf("timer %+v, want %v", first, model[first.n])
			}
			for _, at := range model {
				if at < first.at {
					t.Fatalf("first is %v, there is %v", first.at, at)
				}
			}
		}
	})
}

// Handles stay unique, lists keep their order, and all memory but one chunk goes back.
func TestSlabAgreesWithAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := slab[int]{limit: 400}
		var l list
		var order []uint64
		issued := map[uint64]bool{}
		for i := range rapid.IntRange(1, 600).Draw(t, "steps") {
			if rapid.IntRange(0, 3).Draw(t, "op") > 0 {
				n, ok := s.add()
				if ok != (len(order) < 400) {
					t.Fatalf("add = %v with %d of 400", ok, len(order))
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
		if len(s.chunks) > 1 {
			t.Errorf("%d chunks for nothing", len(s.chunks))
		}
	})
}
