package message

import (
	"math/bits"
	"slices"
)

// An OptionSet is a set of option numbers: those that an endpoint recognizes. The zero
// OptionSet is empty. It is a value; a copy shares nothing that changes.
type OptionSet struct {
	low  uint64         // bit n: number n < 64
	high []OptionNumber // the others, ascending, never written after With
}

// NewOptionSet returns the set of these numbers.
func NewOptionSet(numbers ...OptionNumber) OptionSet { return OptionSet{}.With(numbers...) }

// With returns the set that has these numbers as well.
func (s OptionSet) With(numbers ...OptionNumber) OptionSet {
	high := slices.Clone(s.high)
	for _, n := range numbers {
		if n < 64 {
			s.low |= 1 << n
		} else if at, found := slices.BinarySearch(high, n); !found {
			high = slices.Insert(high, at, n)
		}
	}
	s.high = high
	return s
}

// Has reports whether n is in the set.
func (s *OptionSet) Has(n OptionNumber) bool {
	if n < 64 {
		return s.low>>n&1 != 0
	}
	return slices.Contains(s.high, n)
}

// The critical options are those with an odd number (RFC 7252 §5.4.6).
const criticalBits = 0xaaaa_aaaa_aaaa_aaaa

// UnrecognizedCritical returns the lowest critical option that must not be processed: it
// is not in the recognized set, its length is outside its bounds (RFC 7252 §5.4.3), or it
// is repeated though not repeatable (§5.4.5). A Confirmable request with one is answered
// with 4.02; any other message with one is rejected (§5.4.1).
func (v *View) UnrecognizedCritical(recognized *OptionSet) (n OptionNumber, found bool) {
	if bad := v.unprocessable(recognized) & criticalBits; bad != 0 {
		return OptionNumber(bits.TrailingZeros64(bad)), true
	}
	if v.high == 0 {
		return 0, false
	}
	return v.unprocessableHigh(recognized, true)
}

// IgnoredElective returns the lowest elective option that is passed over, for the same
// reasons as those of [View.UnrecognizedCritical]; the rest of the message stands (RFC 7252 §5.4.1).
func (v *View) IgnoredElective(recognized *OptionSet) (n OptionNumber, found bool) {
	if bad := v.unprocessable(recognized) &^ criticalBits; bad != 0 {
		return OptionNumber(bits.TrailingZeros64(bad)), true
	}
	if v.high == 0 {
		return 0, false
	}
	return v.unprocessableHigh(recognized, false)
}

// unprocessable works on what Parse noted about the numbers below 64.
func (v *View) unprocessable(recognized *OptionSet) uint64 {
	return v.present&^recognized.low | v.repeated&^lowRepeatable | v.illegal
}

// unprocessableHigh walks the options from number 64 on.
func (v *View) unprocessableHigh(recognized *OptionSet, critical bool) (OptionNumber, bool) {
	c := v.cursorFrom(64)
	previous := OptionNumber(0)
	for c.next() {
		n := c.number
		again := n == previous
		previous = n
		if n.Critical() != critical {
			continue
		}
		if !recognized.Has(n) || !legalLength(n, len(c.value)) || again && !repeatable(n) {
			return n, true
		}
	}
	return 0, false
}

func repeatable(n OptionNumber) bool {
	info, _ := n.Info()
	return info.Repeatable
}
