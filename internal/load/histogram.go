package load

import (
	"math"
	"math/bits"
	"time"
)

const (
	subBits = 7  // 128 buckets per power of two: an error below 0.8 %
	maxBits = 40 // longer than 2^40 ns, 18 minutes, is counted as that
	sub     = 1 << subBits
	buckets = (maxBits-subBits)*sub + sub
)

// A Histogram counts durations in buckets whose width grows with the duration. The zero
// Histogram is empty.
type Histogram struct {
	counts   [buckets]uint64
	n        uint64
	sum      time.Duration
	min, max time.Duration
}

// Record counts a duration; a negative one counts as 0.
func (h *Histogram) Record(d time.Duration) {
	d = max(d, 0)
	h.counts[bucketOf(d)]++
	if h.n == 0 || d < h.min {
		h.min = d
	}
	h.max = max(h.max, d)
	h.n++
	h.sum += d
}

// bucketOf returns the bucket of a duration: the number of low bits that it leaves out,
// and the bits above.
func bucketOf(d time.Duration) int {
	v := min(uint64(d), 1<<maxBits-1)
	shift := max(bits.Len64(v)-subBits-1, 0)
	return shift*sub + int(v>>shift)
}

// highest returns the longest duration of a bucket.
func highest(bucket int) time.Duration {
	if bucket < 2*sub {
		return time.Duration(bucket)
	}
	shift := bucket/sub - 1
	return time.Duration((bucket%sub+sub+1)<<shift - 1)
}

// Quantile returns the duration that a share q of the recorded ones does not exceed, 0
// where there is none.
func (h *Histogram) Quantile(q float64) time.Duration {
	rank := max(uint64(math.Ceil(q*float64(h.n))), 1)
	seen := uint64(0)
	for i, n := range h.counts {
		if seen += n; n > 0 && seen >= rank {
			return max(min(highest(i), h.max), h.min)
		}
	}
	return h.max
}

// AtMost returns how many of the recorded durations do not exceed d, but for the width of
// a bucket.
func (h *Histogram) AtMost(d time.Duration) (n uint64) {
	if d >= h.max {
		return h.n
	}
	for i := range h.counts[:bucketOf(max(d, 0))+1] {
		n += h.counts[i]
	}
	return n
}

// Count returns how many durations were recorded.
func (h *Histogram) Count() uint64 { return h.n }

// Min, Max and Mean are exact; 0 where nothing was recorded.
func (h *Histogram) Min() time.Duration { return h.min }

// Max returns the longest duration.
func (h *Histogram) Max() time.Duration { return h.max }

// Mean returns the mean.
func (h *Histogram) Mean() time.Duration {
	if h.n == 0 {
		return 0
	}
	return h.sum / time.Duration(h.n)
}

// Add adds what another histogram has recorded.
func (h *Histogram) Add(o *Histogram) {
	if o.n == 0 {
		return
	}
	for i, n := range o.counts {
		h.counts[i] += n
	}
	if h.n == 0 || o.min < h.min {
		h.min = o.min
	}
	h.max = max(h.max, o.max)
	h.n += o.n
	h.sum += o.sum
}
