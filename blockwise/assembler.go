package blockwise

import (
	"time"

	"github.com/motewire/coap/message"
	"github.com/motewire/coap/peer"
)

// entryBytes is what a transfer is charged for besides its key and its buffer.
const entryBytes = 256

// An Assembler puts the blocks of request bodies together, for all peers of a server
// (RFC 7959 §2.5). Blocks have to come in order; what was taken may come again. Bodies
// are kept apart by peer, method, cache key and Request-Tag. One goroutine owns it. now
// must never go backwards.
type Assembler struct {
	cfg     Config
	szx     uint8
	live    table[transfer]
	done    table[finished]
	buffers buffers
	streams map[Transfer]*entry[transfer]
	issued  Transfer // the newest one
	events  []Ended
	scratch []byte // for the key of the request in hand
	stats   Stats
}

// NewAssembler returns an empty Assembler. Its error wraps ErrConfig.
func NewAssembler(cfg Config) (*Assembler, error) {
	cfg, err := cfg.resolve()
	if err != nil {
		return nil, err
	}
	a := &Assembler{cfg: cfg, live: newTable[transfer](), done: newTable[finished]()}
	a.szx, _ = message.SZXForSize(cfg.BlockSize)
	a.streams = map[Transfer]*entry[transfer]{}
	return a, nil
}

// Receive takes a request. limit is the largest body in bytes that its route accepts, 0
// for Config.MaxBody; it is never more than half of Config.MaxBytesPerPeer.
func (a *Assembler) Receive(now time.Time, from peer.Addr, v *message.View, limit int) Result {
	return a.receive(now, from, v, limit, false)
}

// Stream is Receive for a route that reads the body as it arrives: each Continue and the
// Complete carry the next piece instead of the whole at the end. As nothing is kept but
// the newest block, a limit may exceed MaxBytesPerPeer. A stream that does not come to its
// Complete ends with an event.
func (a *Assembler) Stream(now time.Time, from peer.Addr, v *message.View, limit int) Result {
	return a.receive(now, from, v, limit, true)
}

func (a *Assembler) receive(now time.Time, from peer.Addr, v *message.View, limit int, stream bool) Result {
	a.Advance(now)
	if limit <= 0 {
		limit = a.cfg.MaxBody
	}
	if !stream {
		limit = min(limit, a.cfg.MaxBytesPerPeer/2)
	}
	payload := v.Payload()
	b, blockwise := v.Block1()
	if !blockwise {
		if len(payload) > limit {
			return a.refuse(Result{Outcome: TooLarge, Size1: limit})
		}
		return Result{Outcome: Whole, Body: payload}
	}
	a.stats.Blocks++
	if !b.Valid() {
		return a.refuse(Result{Outcome: Bad}) // §2.2: SZX 7 "MUST lead to a 4.00"
	}
	r := Result{Blockwise: true, Block1: message.Block{Num: b.Num, SZX: b.SZX}}
	// §2.3: "The block size implied by SZX MUST match the size of the payload in bytes, if
	// the M bit is set."
	if b.More && len(payload) != b.Size() {
		r.Outcome = Bad
		return a.refuse(r)
	}
	a.scratch = AppendKey(a.scratch[:0], v)
	e := a.live.find(from, a.scratch)
	size1, _ := v.Size1()
	if b.Offset()+len(payload) > limit || int64(size1) > int64(limit) {
		if e != nil {
			a.end(e, ErrTooLarge)
		}
		r.Outcome, r.Size1 = TooLarge, limit
		return a.refuse(r)
	}
	r.Block1.SZX = min(b.SZX, a.szx) // §2.3: the size that we prefer
	switch {
	case b.Num == 0 && !b.More:
		a.forget(from, e)
		r.Outcome, r.Body = Whole, payload
		return r
	case b.Num == 0 && (e == nil || !e.value.only(payload)):
		e = a.begin(now, from, e, stream)
		e.value.ifNoneMatch = v.Has(message.IfNoneMatch)
		r.Started = stream
	case e == nil:
		return a.repeated(from, b, payload, r)
	}
	return a.extend(now, e, b, payload, limit, r)
}

// refuse counts a request that is answered with an error.
func (a *Assembler) refuse(r Result) Result {
	switch r.Outcome {
	case Incomplete:
		a.stats.Incomplete++
	case TooLarge:
		a.stats.TooLarge++
	case Bad:
		a.stats.Bad++
	case Busy:
		a.stats.Busy++
	}
	return r
}

// forget gives up what is there of a body that the client sends anew, in hand as e, or
// finished. §2.5: "Starting a new block-wise sequence of requests to the same resource
// (before an old sequence from the same endpoint was finished) simply overwrites the
// context the server may still be keeping."
func (a *Assembler) forget(from peer.Addr, e *entry[transfer]) {
	if e != nil {
		a.stats.Restarted++
		a.end(e, ErrRestarted)
	}
	if d := a.done.find(from, a.scratch); d != nil {
		a.done.remove(d)
	}
}

// begin makes a transfer in place of the old one, if there is one.
func (a *Assembler) begin(now time.Time, from peer.Addr, old *entry[transfer], stream bool) *entry[transfer] {
	k := key{from: from}
	if old != nil {
		k.rest = old.key.rest
	} else {
		k.rest = string(a.scratch)
	}
	a.forget(from, old)
	if full := a.live.crowded(from, a.cfg.MaxTransfersPerPeer, a.cfg.MaxTransfers); full != nil {
		a.stats.Evicted++
		a.end(full, ErrEvicted)
	}
	a.stats.Started++
	e := a.live.add(now, k)
	a.live.charge(e, entryBytes+len(k.rest))
	if stream {
		a.issued++
		e.value.stream = a.issued
		a.streams[a.issued] = e
	}
	return e
}
