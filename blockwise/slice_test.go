package blockwise

import (
	"testing"

	"github.com/motewire/coap/message"
)

// §2.3, §2.4: the size is the smaller one of both wishes, the place is the byte that was
// asked for; what cannot be is 4.00.
func TestSlice(t *testing.T) {
	block := func(num uint32, size int) Wish {
		szx, ok := message.SZXForSize(size)
		if !ok {
			szx = 7
		}
		return Wish{Asked: true, Block: message.Block{Num: num, SZX: szx, More: true}}
	}
	for _, c := range []struct {
		name  string
		wish  Wish
		total int
		own   int
		want  string // "" for 4.00
		start int
		end   int
		size2 bool
	}{
		{"small, not asked", Wish{}, 64, 64, "-", 0, 64, false},
		{"empty, not asked", Wish{}, 0, 64, "-", 0, 0, false},
		{"large, not asked", Wish{}, 65, 64, "0/1/64", 0, 64, true},
		{"Size2 of a small one", Wish{Size2: true}, 5, 64, "-", 0, 5, true},
		{"empty", block(0, 16), 0, 64, "0/0/16", 0, 0, false},
		{"small", block(0, 1024), 5, 64, "0/0/64", 0, 5, false},
		{"smaller wish", block(0, 32), 100, 64, "0/1/32", 0, 32, true},
		{"larger wish", block(0, 128), 100, 64, "0/1/64", 0, 64, true},
		{"later block", block(1, 32), 100, 64, "1/1/32", 32, 64, false},
		{"later block, larger wish", block(1, 128), 300, 32, "4/1/32", 128, 160, false},
		{"last block", block(3, 32), 100, 64, "3/0/32", 96, 100, false},
		{"last block, exactly", block(3, 32), 128, 64, "3/0/32", 96, 128, false},
		{"beyond the end", block(4, 32), 128, 64, "", 0, 0, false},
		{"far beyond the end", block(message.MaxBlockNum, 1024), 128, 64, "", 0, 0, false},
		{"block 1 of nothing", block(1, 32), 0, 64, "", 0, 0, false},
		{"reserved SZX", block(0, 0), 100, 64, "", 0, 0, false},
		{"NUM fits no smaller size", block(1<<19, 1024), 1 << 30, 16, "524288/1/1024", 1 << 29, 1<<29 + 1024, false},
		{"NUM fits half the size", block(1<<19-1, 1024), 1 << 30, 16, "1048574/1/512", 1<<29 - 1024, 1<<29 - 512, false},
	} {
		szx, _ := message.SZXForSize(c.own)
		s, ok := c.wish.Slice(c.total, szx)
		got := ""
		if ok {
			got = "-"
			if s.Blockwise {
				got = s.Block2.String()
			}
		}
		if got != c.want || s.Start != c.start || s.End != c.end || s.Size2 != c.size2 {
			t.Errorf("%s: %s, %d to %d, Size2 %t; want %s, %d to %d, %t", c.name, got, s.Start, s.End, s.Size2, c.want, c.start, c.end, c.size2)
		}
	}
}

// Where the length is not known, a byte more than the block needs is as good.
func TestSliceOfUnknownLength(t *testing.T) {
	for num := range uint32(3) {
		w := Wish{Asked: true, Block: message.Block{Num: num, SZX: 1}}
		known, _ := w.Slice(int(num+1)*32+1, 6)
		whole, _ := w.Slice(1000, 6)
		if known != whole {
			t.Errorf("block %d: %+v, %+v", num, known, whole)
		}
	}
}

func TestSZXWithin(t *testing.T) {
	for room, want := range map[int]uint8{-1: 0, 15: 0, 16: 0, 31: 0, 32: 1, 1023: 5, 1024: 6, 9999: 6} {
		if got := SZXWithin(room); got != want {
			t.Errorf("%d bytes: %d, want %d", room, got, want)
		}
	}
}
