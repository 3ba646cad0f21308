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
