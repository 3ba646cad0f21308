package observe

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// RFC 7641 §3.4: (V1 < V2 and V2 - V1 < 2^23) or (V1 > V2 and V1 - V2 > 2^23) or
// T2 > T1 + 128 seconds.
func TestFreshness(t *testing.T) {
	for _, c := range []struct {
		v1, v2 uint32
		after  time.Duration
		want   bool
	}{
		{1, 2, 0, true},
		{2, 1, 0, false},
		{5, 5, 0, false},
		{0, 1<<23 - 1, 0, true},
		{0, 1 << 23, 0, false},
		{0, 1<<23 + 1, 0, false},
		{1 << 23, 0, 0, false},
		{1<<23 + 1, 0, 0, true},
		{1<<24 - 1, 0, 0, true},
		{1<<24 - 1, 1, time.Second, true},
		{0, 1<<24 - 1, time.Second, false},
		{2, 1, 128 * time.Second, false},
		{2, 1, 128*time.Second + 1, true},
		{5, 5, 129 * time.Second, true},
		{1, 1<<24 + 1, 0, false}, // more than 24 bits are not looked at
	} {
		var f Freshness
		if !f.Accept(epoch, c.v1) {
			t.Fatal("the first is fresh")
		}
		if got := f.Accept(epoch.Add(c.after), c.v2); got != c.want {
			t.Errorf("%d, %v later %d: %v", c.v1, c.after, c.v2, got)
		}
		f.Reset()
		if !f.Accept(epoch, c.v1) {
			t.Error("not fresh after Reset")
		}
	}
}

// A notification that is not accepted leaves no trace: neither value nor time.
func TestFreshnessAgreesWithTheFormula(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var f Freshness
		now, v1, t1, first := epoch, int64(0), epoch, true
		for range 50 {
			now = now.Add(time.Duration(rapid.Int64Range(0, 100).Draw(t, "s")) * time.Second)
			v2 := rapid.OneOf(rapid.Int64Range(0, 1<<24-1), rapid.Just((v1+1)%(1<<24)), rapid.Just((v1+1<<23)%(1<<24)), rapid.Just((v1+1<<24-1)%(1<<24))).Draw(t, "v2")
			want := first || v1 < v2 && v2-v1 < 1<<23 || v1 > v2 && v1-v2 > 1<<23 || now.After(t1.Add(128*time.Second))
			if got := f.Accept(now, uint32(v2)); got != want {
				t.Fatalf("%d at %v, %d at %v: %v", v1, t1, v2, now, got)
			}
			if want {
				v1, t1, first = v2, now, false
			}
		}
	})
}
