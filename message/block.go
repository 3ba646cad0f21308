package message

import (
	"errors"
	"fmt"
)

// Limits of a Block option (RFC 7959 §2.2).
const (
	MaxBlockNum = 1<<20 - 1 // the greatest NUM
	MaxSZX      = 6         // the greatest SZX, 1024 bytes; 7 is reserved
)

// ErrBlock is what an [Encoder] returns for a [Block] that is not valid.
var ErrBlock = errors.New("message: block number above 1048575 or size exponent above 6")

// A Block is the value of a Block1 or Block2 option (RFC 7959 §2.2).
type Block struct {
	Num  uint32 // block number, counted in blocks of Size bytes, up to MaxBlockNum
	More bool   // further blocks follow
	SZX  uint8  // size exponent: 0 to 6 for blocks of 16 to 1024 bytes
}

// DecodeBlock splits an option's value. SZX may come out as 7: see [Block.Valid].
func DecodeBlock(value uint32) Block {
	return Block{Num: value >> 4, More: value&8 != 0, SZX: uint8(value & 7)}
}

// Encode returns the option's value. It is meaningful for a valid Block.
func (b Block) Encode() uint32 {
	value := b.Num<<4 | uint32(b.SZX&7)
	if b.More {
		value |= 8
	}
	return value
}

// Valid reports whether NUM fits its 20 bits and SZX is not the reserved 7, which a
// request must not carry: it leads to 4.00 (RFC 7959 §2.2).
func (b Block) Valid() bool { return b.Num <= MaxBlockNum && b.SZX <= MaxSZX }

// Size returns the block size in bytes, 2**(SZX+4), and 0 for a reserved SZX.
func (b Block) Size() int {
	if b.SZX > MaxSZX {
		return 0
	}
	return 16 << b.SZX
}

// Offset returns where in the body the block starts, in bytes: less than 2**30.
func (b Block) Offset() int { return int(b.Num) * b.Size() }

// String returns NUM/M/SIZE, the notation of RFC 7959 §3, such as "3/1/128".
func (b Block) String() string {
	more := 0
	if b.More {
		more = 1
	}
	if b.SZX > MaxSZX {
		return fmt.Sprintf("%d/%d/reserved", b.Num, more)
	}
	return fmt.Sprintf("%d/%d/%d", b.Num, more, b.Size())
}

// SZXForSize returns the size exponent of a block size in bytes: one of 16, 32, 64, 128,
// 256, 512, 1024. It reports false for any other.
func SZXForSize(size int) (szx uint8, ok bool) {
	for szx = 0; szx <= MaxSZX; szx++ {
		if size == 16<<szx {
			return szx, true
		}
	}
	return 0, false
}
