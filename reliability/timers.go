package reliability

import "math"

// An instant is a time in nanoseconds since the first input of an Endpoint. Tables hold
// instants, as a time.Time has a pointer.
type instant int64

// maxIdleTimers is for how many timers memory is kept while none is set: 320 KiB.
const maxIdleTimers = 1 << 14

// never is after everything.
const never = instant(math.MaxInt64)

// A timer is due at a time and belongs to a cell of a slab.
type timer struct {
	at instant
	n  uint32
}

// timers is a heap of at most one timer per cell: for times that are not in the order
// in which they were set.
type timers struct {
	heap []timer
	pos  []int32 // by cell number: place in heap + 1, 0: none
}

// set starts the timer of cell n, or moves it.
func (t *timers) set(n uint32, at instant) {
	for int(n) >= len(t.pos) {
		t.pos = append(t.pos, 0)
	}
	if i := t.pos[n]; i != 0 {
		t.heap[i-1].at = at
		t.up(int(i - 1))
		t.down(int(t.pos[n] - 1))
		return
	}
	t.heap = append(t.heap, timer{at, n})
	t.pos[n] = int32(len(t.heap))
	t.up(len(t.heap) - 1)
}

// stop removes the timer of cell n, if it has one.
func (t *timers) stop(n uint32) {
	if int(n) >= len(t.pos) || t.pos[n] == 0 {
		return
	}
	i, last := int(t.pos[n]-1), len(t.heap)-1
	t.swap(i, last)
	t.heap = t.heap[:last]
	t.pos[n] = 0
	if i < last {
		moved := t.heap[i].n
		t.up(i)
		t.down(int(t.pos[moved] - 1))
	}
	if last == 0 && cap(t.heap) > maxIdleTimers {
		*t = timers{}
	}
}

// next returns the earliest timer.
func (t *timers) next() (timer, bool) {
	if len(t.heap) == 0 {
		return timer{}, false
	}
	return t.heap[0], true
}

func (t *timers) swap(i, j int) {
	t.heap[i], t.heap[j] = t.heap[j], t.heap[i]
	t.pos[t.heap[i].n], t.pos[t.heap[j].n] = int32(i+1), int32(j+1)
}

func (t *timers) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if t.heap[parent].at <= t.heap[i].at {
			return
		}
		t.swap(i, parent)
		i = parent
	}
}

func (t *timers) down(i int) {
	for {
		child := 2*i + 1
		if child >= len(t.heap) {
			return
		}
		if child+1 < len(t.heap) && t.heap[child+1].at < t.heap[child].at {
			child++
		}
		if t.heap[i].at <= t.heap[child].at {
			return
		}
		t.swap(i, child)
		i = child
	}
}
