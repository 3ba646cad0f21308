package observe

import "time"

// freshAfter is when a notification is fresh whatever its number (RFC 7641 §3.4).
const freshAfter = 128 * time.Second

// A Freshness tells whether a notification is newer than all before it (RFC 7641 §3.4).
// The zero Freshness has seen none.
type Freshness struct {
	at       time.Time
	sequence uint32
	seen     bool
}

// Accept reports whether a notification with an Observe value that arrived at now is
// newer than the last one accepted, and remembers it if so. Of the value the lower 24
// bits count.
func (f *Freshness) Accept(now time.Time, sequence uint32) bool {
	sequence &= sequenceMask
	if f.seen && !newer(sequence, f.sequence) && now.Sub(f.at) <= freshAfter {
		return false
	}
	*f = Freshness{at: now, sequence: sequence, seen: true}
	return true
}

// Reset forgets what was accepted: any next notification is fresh.
func (f *Freshness) Reset() { *f = Freshness{} }
