package reliability

import (
	"github.com/motewire/coap/message"
	"github.com/motewire/coap/peer"
)

// A class is a kind of message with one lifetime and one place in the order in which
// records are given up where memory ends.
type class uint8

const (
	nonConfirmable class = iota // Non-confirmable messages: NON_LIFETIME
	idempotent                  // Confirmable ones that may be handled twice without harm
	nonIdempotent               // other Confirmable ones
	classes
)

// classOf sorts a message by what a second handling would do (RFC 7252 §5.1, RFC 8132
// §2). A method nobody knows counts as not idempotent, a response as idempotent.
func classOf(v *message.View) class {
	if v.Type() == message.NonConfirmable {
		return nonConfirmable
	}
	c := v.Code()
	if !c.IsRequest() || c == message.GET || c == message.PUT || c == message.DELETE || c == message.FETCH {
		return idempotent
	}
	return nonIdempotent
}

// A fate is what has become of a remembered message, and so what a duplicate gets.
type fate uint8

const (
	pending      fate = iota // in hand, nothing was sent yet: nothing
	promised                 // in hand, Empty Acknowledgement sent: the same again
	acknowledged             // Empty Acknowledgement: the same again
	rejected                 // Reset: the same again
	replied                  // piggybacked response: the stored copy
	silent                   // nothing
	repeatable               // reply not stored: handled again
)

// A record is one remembered message (RFC 7252 §4.5). It holds no pointer.
type record struct {
	from    peer.Addr
	expires instant
	link    uint32 // in hand: Inbound slot+1; replied: block of the reply
	offset  uint16 // of the reply in its block
	length  uint16
	id      message.ID
	class   class
	fate    fate
	hash    uint32 // under which the index has it
}

func (r *record) inHand() bool { return r.fate <= promised }

const (
	chunkRecords = 255
	chunkBytes   = 16 << 10 // memory of one recordChunk, with what the allocator adds
)

// A recordChunk is a piece of a record log.
type recordChunk struct {
	records [chunkRecords]record
	head, n int32   // records[head:n] are alive
	next    uint32  // number of the chunk behind, 0: none
	until   instant // when the last of them expires
}

// A recordLog is a queue of records in order of arrival, which is the order in which
// they expire: every class has one lifetime.
type recordLog struct {
	head, tail uint32 // chunk numbers, 0: none
	records    int
	inHand     int
	lifetime   instant
}

// A dedup remembers messages and the replies to them within a budget of memory. It is
// an index by (peer, message ID, Confirmable or not) into one record log per class;
// replies lie in a store of their own. Expiry follows the logs, chunk by chunk.
//
// Where the budget ends, whole chunks of old records go before their time: from the
// log of Non-confirmable messages or that of idempotent Confirmable ones, whichever is
// longer; from the log of others only where these two are empty. A message still in
// hand is never forgotten: if no other is left, a new one is not taken.
type dedup struct {
	hash    *hasher
	index   index
	chunks  []*recordChunk // by number; number 0 is none
	unused  []uint32       // numbers without a chunk
	spare   []*recordChunk
	logs    [classes]recordLog
	replies replyStore
	budget  int
	evicted [classes]uint64
}

func newDedup(cfg *Config, hash *hasher) dedup {
	d := dedup{hash: hash, budget: cfg.DedupBytes}
	d.logs[nonConfirmable].lifetime = instant(cfg.NonLifetime())
	d.logs[idempotent].lifetime = instant(cfg.ExchangeLifetime())
	d.logs[nonIdempotent].lifetime = instant(cfg.ExchangeLifetime())
	return d
}

// key is the hash of what identifies a message. Type is part of it, as the copies of one
// message are of one type.
func (d *dedup) key(from *peer.Addr, id message.ID, confirmable bool) uint32 {
	extra := uint64(id) << 1
	if confirmable {
		extra |= 1
	}
	return d.hash.local(from, extra)
}

// find returns the record of a message, nil if there is none or its lifetime is over.
// The record moves with the next insert, reserve or expiry.
func (d *dedup) find(now instant, key uint32, from peer.Addr, id message.ID, confirmable bool) (uint32, *record) {
	for p := d.index.find(key); p.ref != 0; p.next() {
		r := d.at(p.ref)
		if r.id == id && r.from == from && (r.class != nonConfirmable) == confirmable && now < r.expires {
			return p.ref, r
		}
	}
	return 0, nil
}

func (d *dedup) at(ref uint32) *record { return &d.chunks[ref>>8].records[ref&0xff] }

// inHand returns the record of the request in slot link-1, nil if it has expired. ref is
// where it was first.
func (d *dedup) inHand(now instant, ref uint32, from peer.Addr, id message.ID, confirmable bool, link uint32) *record {
	if ref>>8 < uint32(len(d.chunks)) && d.chunks[ref>>8] != nil {
		if r := d.at(ref); r.inHand() && r.link == link && r.id == id && r.from == from {
			return r
		}
	}
	if _, r := d.find(now, d.key(&from, id, confirmable), from, id, confirmable); r != nil && r.inHand() && r.link == link {
		return r
	}
	return nil
}

// insert remembers a message that is not in the table, under its key as hash. It returns false where the budget
// is used up by messages in hand.
func (d *dedup) insert(now instant, r record) (uint32, bool) {
	l := &d.logs[r.class]
	if !d.fits(l) {
		if !d.makeRoom(chunkBytes, func() bool { return len(d.spare) > 0 || d.fits(l) }) {
			return 0, false
		}
		if !d.fits(l) {
			d.extend(l)
		}
	}
	c := d.chunks[l.tail]
	r.expires = now + l.lifetime
	c.records[c.n] = r
	c.until = max(c.until, r.expires)
	ref := l.tail<<8 | uint32(c.n)
	c.n++
	l.records++
	if r.inHand() {
		l.inHand++
	}
	d.index.insert(r.hash, ref)
	return ref, true
}

// fits reports whether a log has room without a new chunk.
func (d *dedup) fits(l *recordLog) bool { return l.tail != 0 && d.chunks[l.tail].n < chunkRecords }

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
func (d *dedup) reserve(c class, n int) bool {
	if n > len(replyBlock{}.data) {
		return false
	}
	if d.replies.fits(c, n) {
		return true
	}
	if !d.makeRoom(blockBytes, func() bool { return len(d.replies.spare) > 0 || d.replies.fits(c, n) }) {
		return false
	}
	if !d.replies.fits(c, n) {
		d.replies.extend(c)
	}
	return true
}

// expire forgets up to limit records of each class whose lifetime is over.
func (d *dedup) expire(now instant, limit int) {
	for c := range d.logs {
		l := &d.logs[c]
		for i := 0; i < limit && l.head != 0; i++ {
			c := d.chunks[l.head]
			if c.records[c.head].expires > now {
				break
			}
			d.drop(l, l.head<<8|uint32(c.head))
			if c.head++; c.head == c.n {
				d.free(d.shift(l))
			}
		}
	}
}

// deadline returns when the oldest chunk of some log can go as a whole: an idle endpoint
// wakes once per chunk, not once per record.
func (d *dedup) deadline() (at instant, ok bool) {
	for c := range d.logs {
		if n := d.logs[c].head; n != 0 && (!ok || d.chunks[n].until < at) {
			at, ok = d.chunks[n].until, true
		}
	}
	return at, ok
}

// drop takes a record out of the index and lets its reply go.
func (d *dedup) drop(l *recordLog, ref uint32) {
	r := d.at(ref)
	if r.fate == replied {
		d.replies.drop(r.class, r.link)
	}
	d.index.remove(r.hash, ref)
	l.records--
	d.settle(r, silent) // nobody in hand may find it here again
}

// bytes returns the memory of everything remembered.
func (d *dedup) bytes() int {
	chunks := len(d.chunks) - len(d.unused) + len(d.spare)
	if len(d.chunks) > 0 {
		chunks-- // number 0
	}
	return chunks*chunkBytes + d.replies.bytes() + d.index.bytes
}

// records returns how many messages are remembered.
func (d *dedup) records() (n int) {
	for c := range d.logs {
		n += d.logs[c].records
	}
	return n
}

// maxEvictions bounds the work for one message where the budget ends.
const maxEvictions = 32

// makeRoom evicts old records until n bytes more are within the budget, or until ready
// says that they are not needed: evicting has left enough for use again.
func (d *dedup) makeRoom(n int, ready func() bool) bool {
	for range maxEvictions {
		if d.bytes()+n <= d.budget || ready() {
			return true
		}
		if len(d.spare)+len(d.replies.spare) > 0 { // of the other kind
			d.spare, d.replies.spare = nil, nil
			continue
		}
		l := d.victim()
		if l == nil {
			return false
		}
		d.evict(l)
	}
	return d.bytes()+n <= d.budget || ready()
}

// victim returns the log whose oldest chunk goes first, nil if every record is in hand.
func (d *dedup) victim() *recordLog {
	done := func(c class) int { return d.logs[c].records - d.logs[c].inHand }
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
func (d *dedup) evict(l *recordLog) {
	n := d.shift(l)
	c := d.chunks[n]
	kept := int32(0)
	for i := c.head; i < c.n; i++ {
		r := &c.records[i]
		if !r.inHand() {
			d.evicted[r.class]++
			d.drop(l, n<<8|uint32(i))
			continue
		}
		if i != kept {
			d.index.replace(r.hash, n<<8|uint32(i), n<<8|uint32(kept))
			c.records[kept] = *r
			r.fate = silent // as in drop
		}
		kept++
	}
	if c.head, c.n = 0, kept; kept == 0 {
		d.free(n)
		return
	}
	d.append(l, n)
}

// shift takes the oldest chunk out of a log.
func (d *dedup) shift(l *recordLog) uint32 {
	n := l.head
	if l.head = d.chunks[n].next; l.head == 0 {
		l.tail = 0
	}
	d.chunks[n].next = 0
	return n
}

// append puts a chunk at the end of a log.
func (d *dedup) append(l *recordLog, n uint32) {
	if l.tail == 0 {
		l.head = n
	} else {
		d.chunks[l.tail].next = n
	}
	l.tail = n
}

// extend puts an empty chunk at the end of a log.
func (d *dedup) extend(l *recordLog) {
	if len(d.chunks) == 0 {
		d.chunks = append(d.chunks, nil)
	}
	var c *recordChunk
	if k := len(d.spare); k > 0 {
		c, d.spare = d.spare[k-1], d.spare[:k-1]
	} else {
		c = new(recordChunk)
	}
	n := uint32(len(d.chunks))
	if k := len(d.unused); k > 0 {
		n, d.unused = d.unused[k-1], d.unused[:k-1]
		d.chunks[n] = c
	} else {
		d.chunks = append(d.chunks, c)
	}
	d.append(l, n)
}

// free takes back a chunk that is in no log. Some are kept for use; all go when nothing
// is remembered any more.
func (d *dedup) free(n uint32) {
	c := d.chunks[n]
	c.head, c.n, c.next, c.until = 0, 0, 0, 0
	d.chunks[n] = nil
	d.unused = append(d.unused, n)
	if inUse := len(d.chunks) - len(d.unused); len(d.spare) < 2+inUse/8 {
		d.spare = append(d.spare, c)
	}
	if d.records() == 0 {
		d.chunks, d.unused, d.spare = nil, nil, nil
		d.replies.release()
	}
}
