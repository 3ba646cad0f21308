package script

import (
	"math"
	"math/rand/v2"
	"time"
)

// A signal is what a sensor measures.
type signal interface {
	// next returns the value at a time since the start, and ok false where there is none
	// any more. Times ascend.
	next(at time.Duration, rng *rand.Rand) (value any, ok bool)
}

// A constant is always the same: a number or a text.
type constant struct{ value any }

func (c constant) next(time.Duration, *rand.Rand) (any, bool) { return c.value, true }

// A ramp goes from one value to another one in a time.
type ramp struct {
	from, to float64
	over     time.Duration
	then     string // "repeat", "return" (to and fro) or "stay"
}

func (r ramp) next(at time.Duration, _ *rand.Rand) (any, bool) {
	turns := at.Seconds() / r.over.Seconds()
	share := turns - math.Floor(turns)
	switch {
	case r.then == "stay" && turns >= 1:
		share = 1
	case r.then == "return" && math.Mod(math.Floor(turns), 2) == 1:
		share = 1 - share
	}
	return r.from + (r.to-r.from)*share, true
}

// A sine swings about a mean.
type sine struct {
	mean, amplitude float64
	period, phase   time.Duration // phase: how far into a period it starts
}

func (s sine) next(at time.Duration, _ *rand.Rand) (any, bool) {
	turns := (at + s.phase).Seconds() / s.period.Seconds()
	return s.mean + s.amplitude*math.Sin(2*math.Pi*turns), true
}

// A walk takes random steps and turns back at its bounds.
type walk struct {
	value, step, least, most float64
	begun                    bool
}

func (w *walk) next(_ time.Duration, rng *rand.Rand) (any, bool) {
	if !w.begun {
		w.begun = true
		return w.value, true
	}
	w.value += (2*rng.Float64() - 1) * w.step
	switch {
	case w.value < w.least:
		w.value = min(2*w.least-w.value, w.most)
	case w.value > w.most:
		w.value = max(2*w.most-w.value, w.least)
	}
	return w.value, true
}

// A record is a series of values from a file.
type record struct {
	values []string
	times  []time.Duration // of the values, since the start; nil: one in each interval
	again  bool            // from the start, behind the last one
	n      int             // values that were taken, where there are no times
}

func (r *record) next(at time.Duration, _ *rand.Rand) (any, bool) {
	if r.times == nil {
		n := r.n
		if r.again {
			n %= len(r.values)
		}
		if n >= len(r.values) {
			return r.values[len(r.values)-1], false
		}
		r.n++
		return r.values[n], true
	}
	last := r.times[len(r.times)-1]
	over := at > last
	if r.again && over {
		if round := last + (last-r.times[0])/time.Duration(max(len(r.times)-1, 1)); round > 0 {
			at %= round
		}
	}
	i := 0
	for i+1 < len(r.times) && r.times[i+1] <= at {
		i++
	}
	return r.values[i], r.again || !over
}
