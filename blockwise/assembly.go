package blockwise

import (
	"bytes"
	"time"

	"github.com/motewire/coap/message"
	"github.com/motewire/coap/peer"
)

// A transfer is an unfinished body: all that has come of it, or in a stream the newest
// block, by which a duplicate is recognised.
type transfer struct {
	stream      Transfer // 0: none
	ifNoneMatch bool     // came with block 0
	base        int      // where body begins, in bytes: 0 unless it is a stream
	body        []byte
}

// received returns how many bytes have come.
func (t *transfer) received() int { return t.base + len(t.body) }

// only reports whether nothing but this first block has come.
func (t *transfer) only(payload []byte) bool { return t.base == 0 && bytes.Equal(t.body, payload) }

// fits returns the bytes of a block that are new, and false where the block leaves a gap,
// differs from what has come, or ends the body before the end of that. In a stream older
// blocks than the newest cannot be compared, and count as different.
func (t *transfer) fits(b message.Block, payload []byte) (fresh []byte, ok bool) {
	at := b.Offset() - t.base
	if at < 0 || at > len(t.body) {
		return nil, false
	}
	known := t.body[at:]
	overlap := min(len(known), len(payload))
	if !bytes.Equal(known[:overlap], payload[:overlap]) || !b.More && overlap < len(known) {
		return nil, false
	}
	return payload[overlap:], true
}

// extend takes a block into its transfer.
func (a *Assembler) extend(now time.Time, e *entry[transfer], b message.Block, payload []byte, limit int, r Result) Result {
	t := &e.value
	fresh, ok := t.fits(b, payload)
	if !ok {
		if t.stream != 0 && b.Offset() > t.received() {
			a.end(e, ErrIncomplete)
		}
		// §2.5: "If not all previous blocks are available at the server at the time of
		// processing the final block, the transfer fails and error code 4.08 [...] MUST be
		// returned", and may be for any other block.
		r.Outcome = Incomplete
		return a.refuse(r)
	}
	r.Transfer, r.Offset = t.stream, b.Offset()+len(payload)-len(fresh)
	if t.stream != 0 {
		r.Chunk = fresh
	}
	if b.More && len(fresh) == 0 { // brings nothing, and keeps nothing alive
		a.stats.Duplicates++
		r.Outcome, r.Block1.More = Continue, true
		return r
	}
	if !a.take(now, e, b, payload, fresh, limit) {
		r = Result{Outcome: Busy, Blockwise: true, Block1: r.Block1, MaxAge: busyMaxAge}
		if t.received() == 0 {
			a.stats.Started--
			a.end(e, nil)
		}
		return a.refuse(r)
	}
	if !b.More {
		return a.complete(now, e, b, payload, r)
	}
	a.live.touch(now, e)
	r.Outcome, r.Block1.More = Continue, true
	return r
}

// take appends to the body, or replaces the newest block of a stream. It reports false
// where there is no memory.
func (a *Assembler) take(now time.Time, e *entry[transfer], b message.Block, payload, fresh []byte, limit int) bool {
	t := &e.value
	if t.stream == 0 {
		if !a.reserve(now, e, len(t.body)+len(fresh), limit) {
			return false
		}
		t.body = append(t.body, fresh...)
		return true
	}
	if !b.More {
		return true // nothing comes after it
	}
	if !a.reserve(now, e, len(payload), limit) {
		return false
	}
	t.base, t.body = b.Offset(), append(t.body[:0], payload...)
	return true
}

// reserve makes room for a body of n bytes, which is up to the limit.
func (a *Assembler) reserve(now time.Time, e *entry[transfer], n, limit int) bool {
	t := &e.value
	old := t.body
	if n <= cap(old) {
		return true
	}
	size := min(roundUp(max(n, minBuffer)), max(n, limit))
	if size > a.cfg.MaxBytesPerPeer-e.peer.bytes+cap(old) {
		return false
	}
	for size > a.cfg.MaxBytes-a.live.all.bytes+cap(old) {
		if !a.displace(now, e) {
			return false
		}
	}
	most := min(a.cfg.MaxBytes-a.live.all.bytes, a.cfg.MaxBytesPerPeer-e.peer.bytes) + cap(old)
	t.body = append(a.buffers.take(size, most), old...)
	a.live.charge(e, e.bytes+cap(t.body)-cap(old))
	a.buffers.give(old)
	return true
}

// stalledAfter is how long a transfer may go without progress before another one may have
// its memory: the first two retransmissions of a block come earlier (RFC 7252 §4.2).
const stalledAfter = 10 * time.Second

// displace gives up the transfer that was without progress for longest, other than e, and
// reports false where none is stalled. Who sends a block now and then can't hold the memory
// that others need, while those that get on are not given up for newcomers.
func (a *Assembler) displace(now time.Time, e *entry[transfer]) bool {
	oldest := a.live.all.oldest
	if oldest == e {
		oldest = e.links[ofAll].newer
	}
	if oldest == nil || now.Sub(oldest.used) < stalledAfter {
		return false
	}
	a.stats.Evicted++
	a.end(oldest, ErrEvicted)
	return true
}

// complete hands the body over and remembers its last block.
func (a *Assembler) complete(now time.Time, e *entry[transfer], b message.Block, payload []byte, r Result) Result {
	a.stats.Completed++
	k, body := e.key, e.value.body
	r.IfNoneMatch = e.value.ifNoneMatch
	if e.value.stream == 0 {
		r.Body, e.value.body = body, nil
	} else {
		delete(a.streams, e.value.stream)
		e.value.stream = 0
	}
	a.end(e, nil)
	if full := a.done.crowded(k.from, a.cfg.MaxTransfersPerPeer, a.cfg.MaxTransfers); full != nil {
		a.done.remove(full)
	}
	d := a.done.add(now, k)
	d.value = finished{b, len(payload), ETag(payload)}
	r.Outcome = Complete
	return r
}

// finished is what is remembered of a body: its last block.
type finished struct {
	block  message.Block
	length int
	label  message.Tag // ETag of the block's payload
}

// repeated answers a block above 0 of a body that is not there: 4.08, unless it is the last
// block of one that was handed over, as its client sends when the response was lost.
func (a *Assembler) repeated(from peer.Addr, b message.Block, payload []byte, r Result) Result {
	if d := a.done.find(from, a.scratch); d != nil && d.value == (finished{b, len(payload), ETag(payload)}) {
		a.stats.Repeated++
		r.Outcome = Repeated
		return r
	}
	r.Outcome = Incomplete
	return a.refuse(r)
}

// end removes a transfer. Where it is a stream, err is told to its reader.
func (a *Assembler) end(e *entry[transfer], err error) {
	if s := e.value.stream; s != 0 {
		delete(a.streams, s)
		if err != nil {
			a.events = append(a.events, Ended{s, err})
		}
	}
	a.buffers.give(e.value.body)
	a.live.remove(e)
}

// End gives up a stream whose reader wants no more of it. There is no event; further
// blocks get 4.08. A stream that has ended is left alone.
func (a *Assembler) End(s Transfer) {
	if e := a.streams[s]; e != nil {
		a.stats.Abandoned++
		a.end(e, nil)
	}
}

// Recycle takes back the Body of a Complete result, which its caller no longer uses, as
// memory for another one.
func (a *Assembler) Recycle(body []byte) { a.buffers.give(body) }

// Advance gives up the transfers whose time has come.
func (a *Assembler) Advance(now time.Time) {
	for e := a.live.due(now, a.cfg.IdleTimeout); e != nil; e = a.live.due(now, a.cfg.IdleTimeout) {
		a.stats.Expired++
		a.end(e, ErrExpired)
	}
	for d := a.done.due(now, a.cfg.IdleTimeout); d != nil; d = a.done.due(now, a.cfg.IdleTimeout) {
		a.done.remove(d)
	}
}

// Deadline returns when to call Advance, and false where nothing is kept.
func (a *Assembler) Deadline() (at time.Time, ok bool) {
	if e := a.live.all.oldest; e != nil {
		at, ok = e.used.Add(a.cfg.IdleTimeout), true
	}
	if d := a.done.all.oldest; d != nil {
		if expiry := d.used.Add(a.cfg.IdleTimeout); !ok || expiry.Before(at) {
			at, ok = expiry, true
		}
	}
	return at, ok
}

// Poll returns the next event, and false when there is none.
func (a *Assembler) Poll() (Ended, bool) {
	if len(a.events) == 0 {
		return Ended{}, false
	}
	ev := a.events[0]
	if a.events = a.events[1:]; len(a.events) == 0 {
		a.events = nil
	}
	return ev, true
}
