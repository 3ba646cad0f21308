package reliability

// blockBytes is the memory of one replyBlock. One holds the largest datagram of UDP.
const blockBytes = 64 << 10

// A replyBlock is a piece of the memory for replies.
type replyBlock struct {
	live int32 // replies whose records are alive
	fill int32
	data [blockBytes - 8]byte
}

// A replyStore holds the replies of remembered requests. Each class fills its own
// blocks, one after the other; a block is free when the records of all its replies are
// gone, and as these go in the order in which they came, so do the blocks.
type replyStore struct {
	blocks  []*replyBlock // by number; number 0 is none
	unused  []uint32      // numbers without a block
	spare   []*replyBlock
	current [classes]uint32 // the block that is being filled, 0: none
}

// fits reports whether a reply of n bytes has room without a new block.
func (s *replyStore) fits(c class, n int) bool {
	k := s.current[c]
	return k != 0 && n <= len(s.blocks[k].data)-int(s.blocks[k].fill)
}

// append copies a reply, for which there is room, and says where it is.
func (s *replyStore) append(c class, reply []byte) (block uint32, offset uint16) {
	b := s.blocks[s.current[c]]
	offset = uint16(b.fill)
	b.fill += int32(copy(b.data[b.fill:], reply))
	b.live++
	return s.current[c], offset
}

// drop lets one reply of a block go, and the block with its last.
func (s *replyStore) drop(c class, n uint32) {
	b := s.blocks[n]
	if b.live--; b.live > 0 {
		return
	}
	if b.fill = 0; s.current[c] != n {
		s.free(n)
	}
}

// extend starts a new block for a class.
func (s *replyStore) extend(c class) {
	if old := s.current[c]; old != 0 && s.blocks[old].live == 0 {
		s.blocks[old].fill = 0
		return
	}
	if len(s.blocks) == 0 {
		s.blocks = append(s.blocks, nil)
	}
	var b *replyBlock
	if k := len(s.spare); k > 0 {
		b, s.spare = s.spare[k-1], s.spare[:k-1]
	} else {
		b = new(replyBlock)
	}
	n := uint32(len(s.blocks))
	if k := len(s.unused); k > 0 {
		n, s.unused = s.unused[k-1], s.unused[:k-1]
		s.blocks[n] = b
	} else {
		s.blocks = append(s.blocks, b)
	}
	s.current[c] = n
}

func (s *replyStore) free(n uint32) {
	b := s.blocks[n]
	s.blocks[n] = nil
	s.unused = append(s.unused, n)
	if inUse := len(s.blocks) - len(s.unused); len(s.spare) < 1+inUse/8 {
		s.spare = append(s.spare, b)
	}
}

// release gives all memory back, when no reply is alive.
func (s *replyStore) release() { *s = replyStore{} }

func (s *replyStore) bytes() int {
	blocks := len(s.blocks) - len(s.unused) + len(s.spare)
	if len(s.blocks) > 0 {
		blocks-- // number 0
	}
	return blocks * blockBytes
}
