package observe

// slabChunk is chosen so that a chunk fills whole pages of memory.
const slabChunk = 1024

// A link holds the neighbours of a cell in a list, as number+1; 0: none.
type link struct{ prev, succ uint32 }

// A linkSet is how many lists a cell can be in at once.
type linkSet interface{ [2]link | [3]link }

// A slab holds values without pointers in numbered cells that never move. A number is
// given again after its value was freed, a generation is not. Memory goes back when the
// last value is freed.
type slab[T any, L linkSet] struct {
	chunks []*[slabChunk]cell[T, L]
	free   list
	next   uint32 // cells from here on were never used
	live   int
	issued uint32 // the generation given last
}

type cell[T any, L linkSet] struct {
	value      T
	links      L
	generation uint32 // 0: free
}

// A list chains cells of one slab, in one of their links. The zero list is empty.
type list struct{ head, tail uint32 } // number+1, 0: none

// add takes a cell with the zero value.
func (s *slab[T, L]) add() (n uint32) {
	if s.free.head != 0 {
		n = s.free.head - 1
		s.unlink(&s.free, 0, n)
	} else {
		n = s.next
		s.next++
		if int(n/slabChunk) == len(s.chunks) {
			s.chunks = append(s.chunks, new([slabChunk]cell[T, L]))
		}
	}
	if s.issued++; s.issued == 0 {
		s.issued = 1
	}
	s.cell(n).generation = s.issued
	s.live++
	return n
}

// remove frees a cell, which is in no list.
func (s *slab[T, L]) remove(n uint32) {
	*s.cell(n) = cell[T, L]{}
	if s.live--; s.live > 0 {
		s.push(&s.free, 0, n)
		return
	}
	if len(s.chunks) > 1 {
		s.chunks = append([]*[slabChunk]cell[T, L](nil), s.chunks[0])
	}
	if len(s.chunks) > 0 {
		clear(s.chunks[0][:min(s.next, slabChunk)])
	}
	s.free, s.next = list{}, 0
}

func (s *slab[T, L]) cell(n uint32) *cell[T, L] { return &s.chunks[n/slabChunk][n%slabChunk] }

func (s *slab[T, L]) at(n uint32) *T { return &s.cell(n).value }

// handle returns what names the value in cell n for ever.
func (s *slab[T, L]) handle(n uint32) uint64 {
	return uint64(s.cell(n).generation)<<32 | uint64(n+1)
}

// resolve returns the cell that a handle names, false if its value was freed.
func (s *slab[T, L]) resolve(handle uint64) (n uint32, ok bool) {
	n = uint32(handle) - 1
	if uint32(handle) == 0 || n >= s.next || s.cell(n).generation != uint32(handle>>32) {
		return 0, false
	}
	return n, true
}

// push appends a cell to a list that uses link k.
func (s *slab[T, L]) push(l *list, k int, n uint32) {
	s.cell(n).links[k] = link{prev: l.tail}
	if l.tail != 0 {
		s.cell(l.tail - 1).links[k].succ = n + 1
	} else {
		l.head = n + 1
	}
	l.tail = n + 1
}

// unlink takes a cell out of the list that it is in.
func (s *slab[T, L]) unlink(l *list, k int, n uint32) {
	at := s.cell(n).links[k]
	if at.prev != 0 {
		s.cell(at.prev - 1).links[k].succ = at.succ
	} else {
		l.head = at.succ
	}
	if at.succ != 0 {
		s.cell(at.succ - 1).links[k].prev = at.prev
	} else {
		l.tail = at.prev
	}
	s.cell(n).links[k] = link{}
}

// splice appends all of a list to another one and leaves it empty.
func (s *slab[T, L]) splice(to, from *list, k int) {
	if from.head == 0 {
		return
	}
	if to.tail == 0 {
		*to = *from
	} else {
		s.cell(to.tail - 1).links[k].succ = from.head
		s.cell(from.head - 1).links[k].prev = to.tail
		to.tail = from.tail
	}
	*from = list{}
}

// first returns the oldest cell of a list.
func (l *list) first() (n uint32, ok bool) { return l.head - 1, l.head != 0 }
