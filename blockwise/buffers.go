package blockwise

const (
	minBuffer    = 2 << 10 // bytes of the smallest buffer
	spareBuffers = 16      // how many are kept for use
	spareBytes   = 1 << 20 // how many bytes they have in all
)

// buffers keeps a few buffers that bodies were assembled in for the next ones.
type buffers struct {
	spare [][]byte
	bytes int
}

// take returns an empty buffer for n bytes: the smallest spare one that does and has no
// more than most, or a new one.
func (b *buffers) take(n, most int) []byte {
	best := -1
	for i, s := range b.spare {
		if cap(s) >= n && cap(s) <= most && (best < 0 || cap(s) < cap(b.spare[best])) {
			best = i
		}
	}
	if best < 0 {
		return make([]byte, 0, n)
	}
	s := b.spare[best]
	b.drop(best)
	return s
}

// give takes a buffer back. Smaller ones go to make room for it, as a body that grows
// needs one that is large enough rather than several that are not.
func (b *buffers) give(s []byte) {
	if cap(s) < minBuffer || cap(s) > spareBytes {
		return
	}
	for b.bytes+cap(s) > spareBytes || len(b.spare) == spareBuffers {
		i := b.smallest()
		if cap(b.spare[i]) >= cap(s) {
			return
		}
		b.drop(i)
	}
	b.spare = append(b.spare, s[:0])
	b.bytes += cap(s)
}

func (b *buffers) smallest() int {
	best := 0
	for i, s := range b.spare {
		if cap(s) < cap(b.spare[best]) {
			best = i
		}
	}
	return best
}

func (b *buffers) drop(i int) {
	last := len(b.spare) - 1
	b.bytes -= cap(b.spare[i])
	b.spare[i] = b.spare[last]
	b.spare[last] = nil
	b.spare = b.spare[:last]
}
