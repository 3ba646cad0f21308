package reliability

import (
	"github.com/motewire/coap/message"
	"github.com/motewire/coap/peer"
)

// A dedup remembers messages and the replies to them within a budget of memory: records in
// a log per class, a lookup of them by (peer, message ID, Confirmable or not), and a store
// of replies. Expiry follows the logs, chunk by chunk.
//
// Where the budget ends, whole chunks of old records go before their time: from the
// log of Non-confirmable messages or that of idempotent Confirmable ones, whichever is
// longer; from the log of others only where these two are empty. A message still in
// hand is never forgotten: if no other is left, a new one is not taken.
type dedup struct {
	hash    *hasher
	lookup  lookup
	logs    recordLogs
	chunks  int // in the logs and spare
	spare   []*recordChunk
	moving  []record // in hand, of a chunk being evicted
	replies replyStore
	budget  int64
	due     instant // no chunk can go before
	evicted [classes]uint64
}

// maxBudget is the memory of as many records as references tell apart.
const maxBudget int64 = chunkBytes / chunkRecords << refBits

func newDedup(cfg *Config, hash *hasher) dedup {
	d := dedup{hash: hash, budget: min(int64(cfg.DedupBytes), maxBudget)}
	d.logs[nonConfirmable].lifetime = instant(cfg.NonLifetime())
	d.logs[idempotent].lifetime = instant(cfg.ExchangeLifetime())
	d.logs[nonIdempotent].lifetime = instant(cfg.ExchangeLifetime())
	return d
}

// neighbours is how many message IDs in a row have hashes that differ in the last bits alone,
// so that their slots are neighbours: who counts its IDs up, as most do, has the memory of the
// next one's slot fetched with its own. With more of them chains of full slots grow long.
const neighbours = 4

// key is the hash of what identifies a message.
func (d *dedup) key(from *peer.Addr, id message.ID, confirmable bool) uint32 {
	extra := uint64(id) / neighbours << 1
	if confirmable {
		extra |= 1
	}
	return d.hash.local(from, extra) ^ uint32(id)%neighbours
}

// find returns the record of a message, nil if there is none or its lifetime is over.
// The record moves with the next insert, reserve or expiry.
func (d *dedup) find(now instant, key uint32, from *peer.Addr, id message.ID, confirmable bool) (uint32, *record) {
	for p := d.lookup.find(key); p.ref != 0; p.next() {
		if r := d.logs.at(p.ref); r != nil && r.is(from, id, confirmable) && now < r.expires {
			return p.ref, r
		}
	}
	return 0, nil
}

// inHand returns the record of request x in slot link-1, nil if it has expired. No other
// record in hand has that link.
func (d *dedup) inHand(now instant, x *inbound, link uint32) *record {
	if r := d.logs.at(x.record); r != nil && r.inHand() && r.link == link {
		return r
	}
	confirmable := x.typ == message.Confirmable // eviction has moved it, or it is gone
	_, r := d.find(now, d.key(&x.from, x.id, confirmable), &x.from, x.id, confirmable)
	if r != nil && r.inHand() && r.link == link {
		return r
	}
	return nil
}

// insert remembers a message that is not in the table, under its key. The caller sets what
// identifies it, and link; r is nil where the budget is used up by messages in hand.
func (d *dedup) insert(now instant, c class, key uint32, f fate) (ref uint32, r *record) {
	l := &d.logs[c]
	if !l.fits() {
		if !d.makeRoom(now, chunkBytes, func() bool { return len(d.spare) > 0 || l.fits() }) {
			return 0, nil
		}
	}
	ref, r = d.append(c, key, now+l.lifetime)
	r.fate = f
	if r.inHand() {
		l.inHand++
	}
	return ref, r
}

// append puts a record at the end of a log, with a new chunk if need be.
func (d *dedup) append(c class, key uint32, expires instant) (ref uint32, r *record) {
	l := &d.logs[c]
	if !l.fits() {
		l.extend(d.newChunk())
		d.due = min(d.due, expires)
	}
	n, r := l.append(expires)
	r.expires, r.class, r.hash = expires, c, key
	ref = refOf(c, n)
	d.lookup.insert(key, ref, &d.logs)
	return ref, r
}

// settle gives a record its fate.
func (d *dedup) settle(r *record, f fate) {
	l := &d.logs[r.class]
	if r.inHand() {
		l.inHand--
	}
	r.fate = f
	if r.inHand() {
		l.inHand++
	}
}

// reply stores the reply to a request in hand and settles its record. The caller has
// reserved room for it.
func (d *dedup) reply(r *record, datagram []byte) {
	d.settle(r, replied)
	r.link, r.offset = d.replies.append(r.class, datagram)
	r.length = uint16(len(datagram))
}

// stored returns the reply that belongs to a record. It is valid until the next insert,
// reserve or expiry.
func (d *dedup) stored(r *record) []byte {
	return d.replies.blocks[r.link].data[r.offset : int(r.offset)+int(r.length)]
}

// reserve makes room for a reply of n bytes, and reports whether there is any.
func (d *dedup) reserve(now instant, c class, n int) bool {
	if n > len(replyBlock{}.data) {
		return false
	}
	if d.replies.fits(c, n) {
		return true
	}
	if !d.makeRoom(now, blockBytes, func() bool { return len(d.replies.spare) > 0 || d.replies.fits(c, n) }) {
		return false
	}
	if !d.replies.fits(c, n) {
		d.replies.extend(c)
	}
	return true
}

// expire forgets up to limit chunks of each class whose last record's lifetime is over.
func (d *dedup) expire(now instant, limit int) {
	if now < d.due {
		return
	}
	for c := range d.logs {
		l := &d.logs[c]
		for range limit {
			if at, ok := l.until(); !ok || at > now {
				break
			}
			d.drop(l)
		}
	}
	var ok bool
	if d.due, ok = d.deadline(); !ok {
		d.due = never
	}
}

// deadline returns when the oldest chunk of some log can go: an idle endpoint wakes once
// per chunk, not once per record.
func (d *dedup) deadline() (at instant, ok bool) {
	for c := range d.logs {
		if until, found := d.logs[c].until(); found && (!ok || until < at) {
			at, ok = until, true
		}
	}
	return at, ok
}

// drop forgets the oldest chunk of a log.
func (d *dedup) drop(l *recordLog) {
	c, n := l.shift()
	for i := range c[:n] {
		d.forget(l, &c[i])
	}
	d.free(c)
}

// forget lets go what belongs to a record that has left its log.
func (d *dedup) forget(l *recordLog, r *record) {
	if r.fate == replied {
		d.replies.drop(r.class, r.link)
	}
	if r.inHand() {
		l.inHand--
	}
	d.lookup.forget(r.hash, &d.logs)
}

// bytes returns the memory of everything remembered.
func (d *dedup) bytes() int { return d.chunks*chunkBytes + d.replies.bytes() + d.lookup.bytes }

// records returns how many messages are remembered.
func (d *dedup) records() (n int) {
	for c := range d.logs {
		n += d.logs[c].records()
	}
	return n
}

// maxEvictions bounds the work for one message where the budget ends.
const maxEvictions = 32

// makeRoom evicts old records until n bytes more are within the budget, or until they are
// not needed: ready says that evicting has left enough for use again.
func (d *dedup) makeRoom(now instant, n int, ready func() bool) bool {
	for range maxEvictions {
		if d.affords(n) || ready() && d.affords(0) {
			return true
		}
		if len(d.spare)+len(d.replies.spare) > 0 { // of the other kind, or the budget is exceeded
			d.chunks -= len(d.spare)
			d.spare, d.replies.spare = nil, nil
			continue
		}
		l := d.victim()
		if l == nil {
			return false
		}
		d.evict(now, l)
	}
	return d.affords(n) || ready()
}

// affords reports whether n bytes more are within the budget.
func (d *dedup) affords(n int) bool { return int64(d.bytes())+int64(n) <= d.budget }

// victim returns the log whose oldest chunk goes first, nil if every record is in hand.
func (d *dedup) victim() *recordLog {
	done := func(c class) int { return d.logs[c].records() - d.logs[c].inHand }
	v := nonConfirmable
	if done(idempotent) > done(v) {
		v = idempotent
	}
	if done(v) == 0 {
		v = nonIdempotent
	}
	if done(v) == 0 {
		return nil
	}
	return &d.logs[v]
}

// evict forgets the oldest chunk of a log, but for what is still in hand: that moves to
// the end of the log.
func (d *dedup) evict(now instant, l *recordLog) {
	c, n := l.shift()
	d.moving = d.moving[:0]
	for i := range c[:n] {
		r := &c[i]
		d.forget(l, r)
		if r.inHand() {
			d.moving = append(d.moving, *r)
		} else if now < r.expires {
			d.evicted[r.class]++
		}
	}
	d.spare = append(d.spare, c)
	for i := range d.moving {
		m := &d.moving[i]
		_, r := d.append(m.class, m.hash, m.expires)
		*r = *m
		l.inHand++
	}
}

// newChunk returns an empty chunk.
func (d *dedup) newChunk() (c *recordChunk) {
	if k := len(d.spare); k > 0 {
		c, d.spare = d.spare[k-1], d.spare[:k-1]
		return c
	}
	d.chunks++
	return new(recordChunk)
}

// free takes back a chunk that is in no log. Some are kept for use; all go when nothing
// is remembered any more.
func (d *dedup) free(c *recordChunk) {
	if inUse := d.chunks - len(d.spare); len(d.spare) < 2+inUse/8 {
		d.spare = append(d.spare, c)
	} else {
		d.chunks--
	}
	if d.records() > 0 {
		return
	}
	d.chunks, d.spare, d.moving, d.lookup = 0, nil, nil, lookup{}
	for c := range d.logs {
		d.logs[c].ring = nil
	}
	d.replies.release()
}
