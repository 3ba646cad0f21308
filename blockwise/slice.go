package blockwise

import "github.com/motewire/coap/message"

// DefaultBlockSize is the block size in bytes where nothing else is said.
const DefaultBlockSize = 1024

// A Wish is what a request says about the response's body (RFC 7959 §2.4, §4). The zero
// Wish is that of a request which says nothing.
type Wish struct {
	Block message.Block // Block2; M is ignored
	Asked bool          // Block2 was there
	Size2 bool          // Size2 was there
}

// WishOf returns the wish of a request. A Block2 of illegal length is for the option
// check, not for this package (RFC 7252 §5.4.3).
func WishOf(v *message.View) Wish {
	b, asked := v.Block2()
	return Wish{Block: b, Asked: asked, Size2: v.Has(message.Size2)}
}

// Later reports whether the request asks for another block than the first.
func (w Wish) Later() bool { return w.Asked && w.Block.Num > 0 }

// A Slice is the part of a body that goes into one response.
type Slice struct {
	Start, End int           // the payload is body[Start:End]
	Block2     message.Block // the option, where Blockwise
	Blockwise  bool          // Block2 goes into the response, and ETag should (§2.4)
	Size2      bool          // Size2 with the length of the body should (§4)
}

// More reports whether the body goes on behind the slice.
func (s Slice) More() bool { return s.Block2.More }

// Slice chooses the block that answers a request, from a body of total bytes. The block
// begins where the request says, whatever its size, and is of the size asked for or the
// server's own, szx, whichever is smaller (§2.3, §2.4). Where the length is not known
// yet, total is any number of bytes that are known to be there, as long as that is more
// than the block asked for needs: NUM+1 blocks and a byte.
//
// It reports false for what is answered with 4.00: the reserved SZX 7 (§2.2), or a block
// that begins at or behind the end of the body.
func (w Wish) Slice(total int, szx uint8) (s Slice, ok bool) {
	szx = min(szx, message.MaxSZX)
	if !w.Asked {
		w.Block = message.Block{SZX: szx}
	} else if !w.Block.Valid() {
		return Slice{}, false
	}
	s.Start = w.Block.Offset()
	if s.Start >= total && w.Block.Num > 0 {
		return Slice{}, false
	}
	szx = min(szx, w.Block.SZX)
	for s.Start>>(szx+4) > message.MaxBlockNum {
		szx++ // NUM has 20 bits, and fits with the SZX that was asked for
	}
	s.End = min(s.Start+16<<szx, total)
	s.Block2 = message.Block{Num: uint32(s.Start >> (szx + 4)), More: s.End < total, SZX: szx}
	s.Blockwise = w.Asked || s.Block2.More
	s.Size2 = w.Size2 || s.Block2.More && s.Start == 0
	return s, true
}

// SZXWithin returns the size exponent of the largest block that fits into so many bytes,
// and 0, which is 16 bytes, where none does.
func SZXWithin(room int) uint8 {
	szx := uint8(message.MaxSZX)
	for szx > 0 && 16<<szx > room {
		szx--
	}
	return szx
}
