package coap

import (
	"bytes"
	"io"
	"time"

	"github.com/motewire/coap/blockwise"
	"github.com/motewire/coap/message"
)

// transfers is the server's side of block-wise transfer (RFC 7959) in an engine.
type transfers struct {
	assembler *blockwise.Assembler
	responses *blockwise.Store
	intakes   map[blockwise.Transfer]*intake // handlers that read a body as it arrives
	// committing are the requests with a body in blocks whose handlers have not ended.
	committing []*exchange
	overdue    []*exchange // outside of any batch, to be answered
	closing    []io.Closer // contents that nobody asks for any more
}

// divided is what block-wise transfer adds to the exchange of one request.
type divided struct {
	received  blockwise.Result   // what became of the request's block
	assembled []byte             // the request's body, where it came in several blocks
	ahead     bool               // the request's block is for a handler that reads it
	commits   bool               // it is among the engine's committing
	repeats   bool               // the request's block ends a body whose handler runs already
	repeat    *exchange          // the newest request that repeats this one; nil: none
	piece     blockwise.Slice    // of the response's body, that goes into this message
	snapshot  blockwise.Snapshot // the whole response, where it was kept or is to be
	recalled  bool               // snapshot was kept, and is the response
	keep      bool               // snapshot is to be kept
}

// reserved reports whether a request has a block size that must be answered by 4.00
// (RFC 7959 §2.2).
func reserved(v *message.View) bool {
	b1, _ := v.Block1()
	b2, _ := v.Block2()
	return !b1.Valid() || !b2.Valid()
}

// later reports whether a request goes on with a transfer: it has a later block of a
// body, or wants one of a response.
func later(v *message.View) bool {
	b1, _ := v.Block1()
	b2, _ := v.Block2()
	return b1.Num > 0 || b2.Num > 0
}

// resume goes on with a transfer, whose first request was checked. It reports whether
// there is something to be served; else the answer is there.
func (s *shard) resume(x *exchange) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b1, _ := x.view.Block1(); b1.Num > 0 && !s.eng.assemble(x) {
		return x.ahead || x.repeats || x.snapshot.Content != nil
	}
	if b2, _ := x.view.Block2(); b2.Num > 0 {
		if s.eng.recall(x, x.req.Payload()) {
			return x.snapshot.Content != nil
		}
		if !x.repeatable() {
			x.incomplete()
			return false
		}
	}
	return true
}

// repeatable reports whether the handler may run again for a later block of a response that
// is gone. A FETCH without payload may be one whose body came in blocks (RFC 7959 §2.7):
// what it asked for is gone as well.
func (x *exchange) repeatable() bool {
	return blockwise.Repeatable(x.req.Method) && (x.req.Method != message.FETCH || len(x.req.Payload()) > 0)
}

// begins takes the first block of a body. It reports whether the handler has to run.
func (s *shard) begins(x *exchange) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.eng.assemble(x)
}

// assemble takes a block of a request's body (RFC 7959 §2.5). It reports whether the whole
// is there; else the request is answered, or waits for a handler to read the block.
func (e *engine) assemble(x *exchange) bool {
	if x.route.streams {
		return e.takeIn(x)
	}
	x.received = e.assembler.Receive(x.began, x.peer, &x.view, x.route.limit(x))
	switch x.received.Outcome {
	case blockwise.Whole:
		return true
	case blockwise.Complete:
		x.assembled = x.received.Body
		e.commit(x)
		return true
	}
	e.reply(x)
	return false
}

// reply answers a block that doesn't make a body whole. The last block of a body that was
// whole before is answered like the first time.
func (e *engine) reply(x *exchange) {
	r := &x.received
	switch {
	case r.Outcome != blockwise.Repeated:
		x.code = r.Outcome.Code()
		if r.MaxAge > 0 {
			x.SetMaxAge(r.MaxAge)
		}
		if r.Outcome == blockwise.TooLarge {
			x.setUint(message.Size1, uint32(r.Size1))
		}
	case e.recall(x, nil):
	case e.committed(x) != nil:
		x.repeats = true
	default:
		x.incomplete()
	}
}

// incomplete answers a request for what is no longer there (RFC 7959 §2.9.2).
func (x *exchange) incomplete() {
	Error(x, message.RequestEntityIncomplete, "what was there of the transfer is gone")
}

// recall makes the response that was kept for this request the response.
func (e *engine) recall(x *exchange, body []byte) bool {
	snapshot, found := e.responses.Find(x.began, x.peer, &x.view, body)
	if !found {
		return false
	}
	x.snapshot, x.recalled = snapshot, true
	x.code = snapshot.Code
	for _, o := range snapshot.Options {
		x.options.add(o.Number, o.Value)
	}
	if snapshot.ETag.Len() > 0 {
		var tag [message.MaxTagLength]byte
		x.options.add(message.ETag, snapshot.ETag.Append(tag[:0]))
	}
	return true
}

// settle is called when the message layer has the answer: it keeps what later requests may
// ask for, and gives back what isn't needed any more.
func (e *engine) settle(now time.Time, x *exchange) {
	if x.keep && (e.shard.closed || !e.responses.Keep(now, x.peer, &x.view, x.req.Payload(), x.snapshot)) && x.snapshot.Content != nil {
		e.closing = append(e.closing, x.snapshot.Content)
	}
	if x.assembled != nil {
		e.assembler.Recycle(x.assembled)
		x.assembled = nil
	}
	e.uncommit(x, message.RequestEntityIncomplete)
}

// advanceTransfers gives up the transfers whose time has come.
func (e *engine) advanceTransfers(now time.Time) {
	e.assembler.Advance(now)
	e.responses.Advance(now)
}

// drainTransfers tells the readers of bodies that no longer arrive, takes the contents that
// nobody asks for any more, and answers what waited for either.
func (e *engine) drainTransfers(now time.Time, out *outbox) {
	for ended, ok := e.assembler.Poll(); ok; ended, ok = e.assembler.Poll() {
		e.intakes[ended.Transfer].fail(ended.Err)
	}
	for c := e.responses.Poll(); c != nil; c = e.responses.Poll() {
		e.closing = append(e.closing, c)
	}
	for _, x := range e.overdue {
		x.finish()
		if e.end(now, x) {
			out.copy(x.peer, x.out, 0)
		}
		e.leaves(x)
	}
	out.overdue = append(out.overdue, e.overdue...)
	clear(e.overdue)
	e.overdue = e.overdue[:0]
}

// closeTransfers ends all transfers with the shard.
func (e *engine) closeTransfers() {
	for _, in := range e.intakes {
		in.fail(ErrClosed)
	}
	e.responses.Clear()
	out := new(outbox)
	e.drainTransfers(time.Now(), out) // nothing is sent any more
	if len(out.overdue) > 0 {
		e.shard.goroutines.Add(1)
		go func() {
			defer e.shard.goroutines.Done()
			e.shard.part(out)
		}()
	}
	closing := e.closing
	e.closing = nil // handlers that are still running end later, and drain again
	e.shard.closeAll(closing)
}

// transferDeadline returns when advanceTransfers is to be called, and false for never.
func (e *engine) transferDeadline() (at time.Time, ok bool) {
	at, ok = e.assembler.Deadline()
	if next, found := e.responses.Deadline(); found && (!ok || next.Before(at)) {
		return next, true
	}
	return at, ok
}

// body returns the response's body as far as it is here.
func (x *exchange) body() []byte {
	if x.recalled {
		return x.snapshot.Body
	}
	return x.payload
}

// blockRoom is what Block1, Block2, Size2, Observe and the payload marker take of a message.
const blockRoom = 24

// szx is the size exponent of the greatest block that fits into a message beside the
// response's other options (RFC 7252 §4.6), and passes the path to the client in one piece.
// long says that the body may take more than one.
func (x *exchange) szx(long bool) uint8 {
	s := x.shard
	e := x.begin(x.out[:0], x.code, x.view.Token())
	x.options.encode(&e)
	most := s.messageBytes(x.peer)
	if long && !x.recalled && !x.wish().Later() { // or the client goes on with what it has got
		if bytes, narrow := s.measure(x.peer); narrow {
			most = min(most, bytes)
		}
	}
	room := min(s.core.limits.BlockBytes, most-e.Len()-blockRoom)
	if x.shortens() {
		room = min(room, x.spare(e.Len(), true))
	}
	return blockwise.SZXWithin(room)
}

// wish is what the request wants of the response's body. An error that fits into a message is
// told whole, and one that came up under way is told from its start.
func (x *exchange) wish() blockwise.Wish {
	w := blockwise.WishOf(&x.view)
	if x.code.IsSuccess() || x.recalled || !w.Later() && len(x.payload) > x.shard.core.undivided {
		return w
	}
	return blockwise.Wish{}
}

// divide chooses the piece of the body that goes into this message: the block that was asked
// for, or the first one of a body longer than that (RFC 7959 §2.4).
func (x *exchange) divide() {
	if x.source() != nil {
		return // read chose
	}
	body, w := x.body(), x.wish()
	x.piece = blockwise.Slice{End: len(body)}
	if !w.Asked && !w.Size2 && len(body) <= x.undivided() {
		return
	}
	piece, ok := w.Slice(len(body), x.szx(len(body) > x.shard.core.undivided))
	if !ok {
		x.beyond()
		return
	}
	piece.Size2 = piece.Size2 && (w.Size2 || !x.shortens())
	x.piece = piece
	if piece.Blockwise && !x.options.has(message.ETag) && len(body) > 0 {
		x.setTag(blockwise.ETag(body))
	}
}

// undivided is how many bytes of body go without being divided, unless the client asks.
func (x *exchange) undivided() int {
	n := min(x.shard.core.undivided, x.shard.messageBytes(x.peer)/2)
	if !x.shortens() || !x.code.IsSuccess() {
		return n
	}
	e := x.begin(x.out[:0], x.code, x.view.Token())
	x.options.encode(&e)
	return min(n, x.spare(e.Len(), false))
}

func (x *exchange) setTag(tag message.Tag) {
	var value [message.MaxTagLength]byte
	x.options.add(message.ETag, tag.Append(value[:0]))
}

// beyond answers the wish for a block behind the end of the body.
func (x *exchange) beyond() {
	x.forsake()
	Error(x, message.BadRequest, "there is no such block")
	x.piece = blockwise.Slice{End: len(x.payload)}
}

// forsake drops the response, also one that was kept.
func (x *exchange) forsake() {
	x.Reset()
	x.recalled, x.snapshot = false, blockwise.Snapshot{}
}

// retain decides whether the response is kept: where further blocks of it will be asked
// for, and where it answers the last block of a body, which may come again.
func (x *exchange) retain() {
	if x.keep = !x.recalled && (x.piece.More() || x.received.Outcome == blockwise.Complete); !x.keep {
		return
	}
	x.snapshot = x.snapshotOf()
	if x.content != nil {
		x.snapshot.Content, x.content = x.content, nil
	}
}

// snapshotOf copies the response.
func (x *exchange) snapshotOf() blockwise.Snapshot {
	s := blockwise.Snapshot{Code: x.code}
	for i := range x.options.n {
		switch o := x.options.at(i); o.number {
		case message.ETag:
			s.ETag, _ = message.MakeTag(o.bytes()) // the encoder refuses a tag that is too long
		case message.Observe, message.Block1, message.Block2, message.Size2:
		default:
			s.Options = append(s.Options, message.Option{Number: o.number, Value: bytes.Clone(o.bytes())})
		}
	}
	if x.content == nil {
		s.Body = bytes.Clone(x.payload)
	}
	return s
}

// describe adds the options that say which piece of which body this is. Every response to a
// request with Block1 has it too (RFC 7959 §2.3).
func (x *exchange) describe() {
	if x.piece.Blockwise {
		x.setUint(message.Block2, x.piece.Block2.Encode())
	}
	if size, known := x.size(); x.piece.Size2 && known {
		x.setUint(message.Size2, uint32(size))
	}
	if b, ok := x.view.Block1(); ok && x.sentHere == nil {
		if x.received.Blockwise {
			b = x.received.Block1
		}
		b.More = x.code == message.Continue
		x.setUint(message.Block1, b.Encode())
	}
}

// storedBytes is up to which length replies are remembered for duplicates in any case.
const storedBytes = 128

// recuttable reports whether a duplicate of the request may be answered from the response
// that is kept, so that the reply needn't be remembered, too (RFC 7252 §4.5).
func (x *exchange) recuttable() bool {
	return x.recalled && x.snapshot.Content == nil && len(x.out) > storedBytes && blockwise.Repeatable(x.req.Method)
}

// size is the length of the response's body in bytes, as far as it is known.
func (x *exchange) size() (bytes int64, known bool) {
	if c := x.source(); c != nil {
		return c.size, c.size >= 0
	}
	return int64(len(x.body())), true
}

// fragment is what goes into the message.
func (x *exchange) fragment() []byte {
	if x.source() != nil {
		return x.payload
	}
	return x.body()[x.piece.Start:x.piece.End]
}

// part tells of the requests that were answered outside of any batch, and frees them.
func (s *shard) part(out *outbox) {
	for _, x := range out.overdue {
		s.traceAnswered(time.Now(), x)
		x.unref()
	}
}

// closeAll closes contents on a goroutine of its own, as that is the program's code.
func (s *shard) closeAll(contents []io.Closer) {
	if len(contents) == 0 {
		return
	}
	s.goroutines.Add(1)
	go func() {
		defer s.goroutines.Done()
		for _, c := range contents {
			if err := c.Close(); err != nil {
				s.core.logError("coap: close of a response's body", err)
			}
		}
	}()
}
