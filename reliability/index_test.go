package reliability

import "testing"

// An index that fills and empties again and again takes no memory for it, and holds no more
// than it is to keep.
func TestIndexKeepsWhatABurstNeeds(t *testing.T) {
	const burst = 10_000
	x := index{keep: maxIdleIDs}
	round := func() {
		for i := range uint32(burst) {
			x.insert(i*0x9e3779b1, i+1)
		}
		for i := range uint32(burst) {
			x.remove(i*0x9e3779b1, i+1)
		}
	}
	if n := testing.AllocsPerRun(10, round); n != 0 {
		t.Errorf("%v allocations", n)
	}
	spare := 0
	for i, list := range x.spare {
		spare += len(list) * minSegmentSlots << i * slotBytes
	}
	if x.bytes != 0 || spare != x.spareBytes || spare > maxIdleIDs {
		t.Errorf("%d bytes in use, %d to spare, counted %d", x.bytes, spare, x.spareBytes)
	}

	x = index{}
	round()
	if x.bytes != 0 || x.spareBytes == 0 || x.spareBytes > minSpareBytes {
		t.Errorf("without keep: %d bytes in use, %d to spare", x.bytes, x.spareBytes)
	}
}
