package reliability

import "github.com/motewire/coap/message"

// Message IDs from 0 up go to single peers, those above them to multicast groups: "the
// sender MUST avoid using a Message ID that is also still active from this endpoint with
// any unicast endpoint that might receive the multicast message" (RFC 7252 §8.1).
const (
	unicastIDs   = 65536 - multicastIDs
	multicastIDs = 1024
)

// idEpochs is into how many parts the lifetime of a message ID is divided. An ID stays
// in use for its own part and all of idEpochs more, so never less than a lifetime.
const idEpochs = 8

// An idWindow hands out message IDs in ascending order, from a random start and around,
// and none again before its lifetime is over (RFC 7252 §4.4). It counts how many were
// taken in each part of the lifetime instead of remembering every ID.
type idWindow struct {
	next  uint16
	base  uint16 // IDs are base up to base+size-1
	size  uint16
	used  [idEpochs + 1]uint16 // by epoch modulo its length
	epoch int64                // the last one seen
}

// advance lets IDs go whose lifetime is over at epoch.
func (w *idWindow) advance(epoch int64) {
	for range min(epoch-w.epoch, int64(len(w.used))) {
		w.epoch++
		w.used[w.epoch%int64(len(w.used))] = 0
	}
	w.epoch = epoch
}

// live returns how many IDs are in use at epoch.
func (w *idWindow) live(epoch int64) (n int) {
	w.advance(epoch)
	for _, used := range w.used {
		n += int(used)
	}
	return n
}

// take returns the next ID, or false if all are in use.
func (w *idWindow) take(epoch int64) (message.ID, bool) {
	if w.live(epoch) >= int(w.size) {
		return 0, false
	}
	id := w.base + w.next
	if w.next++; w.next == w.size {
		w.next = 0
	}
	w.used[epoch%int64(len(w.used))]++
	return message.ID(id), true
}
