package load

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// A quantile is the exact one of the recorded durations, but for the width of a bucket.
func TestQuantile(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{1, 2, 3, 10, 999, 1000, 20_000} {
		var h Histogram
		var all []time.Duration
		for range n {
			d := time.Duration(rng.Uint64() >> (25 + rng.IntN(38)))
			h.Record(d)
			all = append(all, d)
		}
		slices.Sort(all)
		for _, q := range []float64{0, 0.5, 0.9, 0.99, 0.999, 1} {
			want := all[max(0, min(n-1, int(float64(n)*q+0.999999)-1))]
			got := h.Quantile(q)
			if got < want || float64(got) > float64(want)*1.008+1 {
				t.Errorf("%v of %d: %v, want %v", q, n, got, want)
			}
		}
		half := all[n/2]
		if got, want := h.AtMost(half), uint64(n/2+1); got < want || h.AtMost(half-half/100-2) > want || h.AtMost(all[n-1]) != uint64(n) {
			t.Errorf("%d of %d are at most %v, want %d", got, n, half, want)
		}
		if h.Min() != all[0] || h.Max() != all[n-1] || h.Count() != uint64(n) {
			t.Errorf("%d: min %v, max %v, count %d", n, h.Min(), h.Max(), h.Count())
		}
	}
}

func TestHistogramAdd(t *testing.T) {
	var a, b, sum Histogram
	for i := range 1000 {
		d := time.Duration(i*i) * time.Microsecond
		if i%3 == 0 {
			a.Record(d)
		} else {
			b.Record(d)
		}
		sum.Record(d)
	}
	a.Add(&b)
	a.Add(new(Histogram))
	if a != sum {
		t.Error("two parts are not the whole")
	}
}

func TestHistogramExtremes(t *testing.T) {
	var h Histogram
	h.Record(-time.Second)
	h.Record(1 << 62)
	if h.Min() != 0 || h.Max() != 1<<62 || h.Quantile(0.5) != 0 {
		t.Errorf("%v, %v, %v", h.Min(), h.Max(), h.Quantile(0.5))
	}
}
