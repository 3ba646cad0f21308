package observe

// Observe values are 24 bits wide (RFC 7641 §2, §4.4).
const (
	sequenceMask = 1<<24 - 1
	sequenceHalf = 1 << 23
)

// newer reports whether a is after b in the order of RFC 7641 §3.4, for values of less
// than 128 s apart.
func newer(a, b uint32) bool {
	d := (a - b) & sequenceMask
	return d != 0 && d < sequenceHalf
}

// clockStep is what one step of an Observe value stands for, as a rule: 2^23 steps are 37
// hours, longer than any observer is left without a notification.
const clockStep = 16 // milliseconds

// clock returns the time as an Observe value.
func (r *Registry) clock() uint32 {
	return uint32((r.base.UnixMilli()+int64(r.now)/1e6)/clockStep) & sequenceMask
}

// number returns the next Observe value of an observer (RFC 7641 §4.4): the clock, so
// that values go on ascending after a restart of the server and from an observation to
// one that replaces it; or one more than the last, where the clock is not after it, so
// that any two are strictly ascending. 128 s are 8,000 steps of the clock, far from the
// 2^23 where the order would turn round; more than 65,536 notifications a second, for as
// long, are more than there are message IDs.
func (r *Registry) number(n uint32) uint32 {
	o := r.observers.at(n)
	next := r.clock()
	if !newer(next, o.sequence) {
		next = (o.sequence + 1) & sequenceMask
	}
	o.sequence = next
	return next
}
