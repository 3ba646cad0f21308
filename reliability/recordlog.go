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
	hash    uint32 // under which the lookup has it
}

func (r *record) inHand() bool { return r.fate <= promised }

// is reports whether r remembers a message: its peer, ID and type, since the copies of one
// message are of one type.
func (r *record) is(from *peer.Addr, id message.ID, confirmable bool) bool {
	return r.id == id && (r.class != nonConfirmable) == confirmable && r.from == *from
}

const (
	chunkRecords = 256
	chunkBytes   = 16 << 10 // memory of one recordChunk
)

// A recordChunk is a piece of a record log.
type recordChunk [chunkRecords]record

// A recordLog is a queue of records in order of arrival, which is the order in which
// they expire: every class has one lifetime. Records are numbered as they come. They leave
// by the chunk.
type recordLog struct {
	ring        []ringChunk // a power of two; number n is in chunk n/chunkRecords modulo that
	first, next uint32      // the numbers remembered; first begins a chunk, and so does next where there are none
	inHand      int
	lifetime    instant
}

// A ringChunk is a chunk in its place, nil where there is none.
type ringChunk struct {
	records *recordChunk
	until   instant // when the last of them expires
}

// records returns how many there are.
func (l *recordLog) records() int { return int(l.next - l.first) }

// fits reports whether a log has room without a new chunk.
func (l *recordLog) fits() bool { return l.next%chunkRecords != 0 }

// chunk returns the one that record n is in.
func (l *recordLog) chunk(n uint32) *ringChunk {
	return &l.ring[n/chunkRecords&uint32(len(l.ring)-1)]
}

// at returns record n, nil where it has left the log.
func (l *recordLog) at(n uint32) *record {
	if n-l.first >= l.next-l.first {
		return nil
	}
	return &l.chunk(n).records[n%chunkRecords]
}

// append puts a record with the contents of old memory at the end, where there is room, to
// be filled in place: a copy would wait for its parts to be written.
func (l *recordLog) append(expires instant) (n uint32, r *record) {
	n = l.next
	c := l.chunk(n)
	c.until = max(c.until, expires)
	l.next++
	return n, &c.records[n%chunkRecords]
}

// extend gives a full log one more chunk.
func (l *recordLog) extend(c *recordChunk) {
	if l.records() == len(l.ring)*chunkRecords {
		ring := make([]ringChunk, max(1, 2*len(l.ring)))
		for n := l.first; n != l.next; n += chunkRecords {
			ring[n/chunkRecords&uint32(len(ring)-1)] = *l.chunk(n)
		}
		l.ring = ring
	}
	*l.chunk(l.next) = ringChunk{records: c}
}

// shift takes the oldest chunk off, of which the first n were in use.
func (l *recordLog) shift() (c *recordChunk, n int) {
	n = min(chunkRecords, l.records())
	old := l.chunk(l.first)
	c, old.records = old.records, nil
	l.first += chunkRecords
	if n < chunkRecords { // it was the newest too
		l.next = l.first
	}
	return c, n
}

// until returns when the oldest chunk can go, and false where there is none.
func (l *recordLog) until() (at instant, ok bool) {
	if l.first == l.next {
		return 0, false
	}
	return l.chunk(l.first).until, true
}

// recordLogs are the logs of all classes. A reference names a record in them: its class + 1
// in the upper two bits, its number modulo 1<<30 below. It is never 0.
type recordLogs [classes]recordLog

const refBits = 30

func refOf(c class, n uint32) uint32 { return uint32(c+1)<<refBits | n&(1<<refBits-1) }

// number returns the number in the log of its class that a reference must mean: the next
// from the first on.
func (l *recordLogs) number(ref uint32) (*recordLog, uint32) {
	log := &l[ref>>refBits-1]
	return log, log.first + (ref-log.first)&(1<<refBits-1)
}

// at returns the record that ref names, nil where it has left its log.
func (l *recordLogs) at(ref uint32) *record {
	log, n := l.number(ref)
	return log.at(n)
}

// alive reports whether ref names a record. One that left its log a billion records ago
// may seem alive, and is another.
func (l *recordLogs) alive(ref uint32) bool {
	log, n := l.number(ref)
	return n-log.first < log.next-log.first
}
