package reliability

const slabChunk = 256

// A slab holds values in numbered cells that never move, up to a limit. A number is
// given again after its value was freed; a handle never is. Cells can be chained into
// lists, each into one at a time. Chunks whose cells are all free go back to the system,
// but for one.
type slab[T any] struct {
	chunks []*slabCells[T] // nil: given back
	unused []uint32        // numbers of those
	empty  int             // chunks with all cells free
	free   list
	live   int
	limit  int
	issued uint32 // handles given so far: the generation of the last one
}

type slabCells[T any] struct {
	cells [slabChunk]cell[T]
	live  int
}

type cell[T any] struct {
	value      T
	generation uint32 // 0: free
	prev, succ uint32 // neighbours in a list as number+1, 0: none
}

// A list chains cells of one slab: first in, first out. The zero list is empty.
type list struct {
	head, tail uint32 // number+1, 0: none
	length     int
}

// full reports whether add would fail.
func (s *slab[T]) full() bool { return s.live >= s.limit }

// add takes a cell with the zero value and returns its number, and false at the limit.
func (s *slab[T]) add() (n uint32, ok bool) {
	if s.full() {
		return 0, false
	}
	if s.free.head == 0 {
		s.grow()
	}
	n = s.free.tail - 1 // the one freed last is warm
	s.unlink(&s.free, n)
	if c := s.chunks[n/slabChunk]; c.live == 0 {
		s.empty--
	}
	s.chunks[n/slabChunk].live++
	if s.issued++; s.issued == 0 {
		s.issued = 1
	}
	s.cell(n).generation = s.issued
	s.live++
	return n, true
}

// grow adds a chunk of free cells.
func (s *slab[T]) grow() {
	i := uint32(len(s.chunks))
	if k := len(s.unused); k > 0 {
		i, s.unused = s.unused[k-1], s.unused[:k-1]
	} else {
		s.chunks = append(s.chunks, nil)
	}
	s.chunks[i] = new(slabCells[T])
	s.empty++
	for n := uint32(slabChunk); n > 0; n-- {
		s.push(&s.free, i*slabChunk+n-1)
	}
}

// remove frees a cell, which is in no list.
func (s *slab[T]) remove(n uint32) {
	*s.cell(n) = cell[T]{}
	s.push(&s.free, n)
	s.live--
	i := n / slabChunk
	if s.chunks[i].live--; s.chunks[i].live > 0 {
		return
	}
	if s.empty == 0 {
		s.empty = 1 // kept for use
		return
	}
	for n := range uint32(slabChunk) {
		s.unlink(&s.free, i*slabChunk+n)
	}
	s.chunks[i] = nil
	s.unused = append(s.unused, i)
}

func (s *slab[T]) cell(n uint32) *cell[T] { return &s.chunks[n/slabChunk].cells[n%slabChunk] }

func (s *slab[T]) at(n uint32) *T { return &s.cell(n).value }

// handle returns what names the value in cell n for ever.
func (s *slab[T]) handle(n uint32) uint64 {
	return uint64(s.cell(n).generation)<<32 | uint64(n+1)
}

// resolve returns the cell that a handle names, false if its value was freed.
func (s *slab[T]) resolve(handle uint64) (n uint32, ok bool) {
	n = uint32(handle) - 1
	if i := n / slabChunk; uint32(handle) == 0 || i >= uint32(len(s.chunks)) || s.chunks[i] == nil {
		return 0, false
	}
	return n, s.cell(n).generation == uint32(handle>>32)
}

// push appends a cell to a list.
func (s *slab[T]) push(l *list, n uint32) {
	c := s.cell(n)
	c.prev, c.succ = l.tail, 0
	if l.tail != 0 {
		s.cell(l.tail - 1).succ = n + 1
	} else {
		l.head = n + 1
	}
	l.tail = n + 1
	l.length++
}

// unlink takes a cell out of the list that it is in.
func (s *slab[T]) unlink(l *list, n uint32) {
	c := s.cell(n)
	if c.prev != 0 {
		s.cell(c.prev - 1).succ = c.succ
	} else {
		l.head = c.succ
	}
	if c.succ != 0 {
		s.cell(c.succ - 1).prev = c.prev
	} else {
		l.tail = c.prev
	}
	c.prev, c.succ = 0, 0
	l.length--
}

// first returns the oldest cell of a list.
func (s *slab[T]) first(l *list) (n uint32, ok bool) { return l.head - 1, l.head != 0 }

// after returns the cell behind n in its list.
func (s *slab[T]) after(n uint32) (next uint32, ok bool) {
	succ := s.cell(n).succ
	return succ - 1, succ != 0
}
