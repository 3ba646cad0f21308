package coap

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/motewire/coap/blockwise"
	"github.com/motewire/coap/message"
)

// An intake is a handler that reads the request's body as it arrives. Each block's request
// is answered when the handler has read the block: that holds a fast client back, and
// nothing but the newest block is held.
//
// The shard's lock owns it, but for x, which is the handler's until that returns.
type intake struct {
	shard    *shard
	transfer blockwise.Transfer
	x        *exchange     // the handler's request and response, without an exchange of its own
	block    *exchange     // the request with the newest block, not answered yet; nil: none
	buf      []byte        // that block
	unread   []byte        // of buf
	last     bool          // no block comes after it
	err      error         // why none comes although it was not the last
	news     chan struct{} // gets a value when there is something to read
	replied  bool          // the handler has returned
	limit    *time.Timer   // of the handler's time, once no block is awaited; nil: it has not begun
	timedOut bool          // HandlerTimeout is over
	late     chan struct{} // closed when a detached response is not waited for any more
}

// takeIn takes a block of a body that its handler reads as it arrives. It reports whether
// the body is whole in this one message.
func (e *engine) takeIn(x *exchange) (whole bool) {
	x.received = e.assembler.Stream(x.began, x.peer, &x.view, x.route.limit(x))
	switch r := &x.received; r.Outcome {
	case blockwise.Whole:
		return true
	case blockwise.Continue, blockwise.Complete:
		if r.Started && !e.startIntake(x) {
			return false
		}
		if r.Outcome == blockwise.Complete {
			e.commit(x)
		}
		x.ahead = true
	default:
		e.reply(x)
	}
	return false
}

// startIntake runs the handler of a body that begins.
func (e *engine) startIntake(x *exchange) bool {
	s := e.shard
	if s.core.handlers.Load() >= int64(s.core.limits.Handlers) {
		s.core.stats.shed.Add(1)
		e.assembler.End(x.received.Transfer)
		x.unavailable()
		return false
	}
	in := &intake{shard: s, transfer: x.received.Transfer, x: s.newExchange(), news: make(chan struct{}, 1), late: make(chan struct{})}
	in.x.adopt(bytes.Clone(x.view.Datagram()), x.route)
	in.x.peer, in.x.intake = x.peer, in
	e.intakes[in.transfer] = in
	s.core.handlers.Add(1)
	s.goroutines.Add(1)
	go func() {
		defer s.goroutines.Done()
		x, _ := in.x.perform()
		in.finish(x)
	}()
	return true
}

// await has a request wait until the handler has read its block. Where the response is there
// already, the piece of it that is wanted is read.
func (x *exchange) await() {
	x.shard.input(func(time.Time, *outbox) {
		if in := x.shard.eng.intakes[x.received.Transfer]; in != nil {
			in.offer(x)
		} else {
			x.incomplete() // it ended in between
		}
	})
	if !x.detached {
		x.read()
	}
}

// offer takes the request with a block. What was read before is answered at once.
func (in *intake) offer(x *exchange) {
	r := &x.received
	switch {
	case in.replied:
		in.skip(x)
		return
	case r.Outcome == blockwise.Continue && len(r.Chunk) == 0 && in.block == nil:
		x.code = message.Continue
		return
	case in.block != nil && len(r.Chunk) > 0: // the client did not wait for its turn
		in.end()
		in.fail(blockwise.ErrIncomplete)
		x.incomplete()
		return
	case in.block != nil: // the same block again: whoever sent it waits for this response
		in.block.fate = drop
		in.shard.eng.overdue = append(in.shard.eng.overdue, in.block)
	}
	if len(r.Chunk) > 0 {
		in.buf = append(in.buf[:0], r.Chunk...)
		in.unread = in.buf
	}
	if in.block, in.last = x, r.Outcome == blockwise.Complete; in.last {
		in.limitTime(in.shard.core.limits.HandlerTimeout)
	}
	x.leave()
	in.shard.enter(x)
	in.wake()
}

// skip answers a block that comes after the handler has returned: with the response, where
// that is an error or the block is the last.
func (in *intake) skip(x *exchange) {
	if in.x.code.IsSuccess() && x.received.Outcome == blockwise.Continue {
		x.code = message.Continue
		return
	}
	in.respond(x)
}

// respond makes the handler's response the one of a block's request. That is the end.
func (in *intake) respond(x *exchange) {
	x.response, in.x.response = in.x.response, x.response
	in.end()
}

// end forgets an intake: no further block is taken.
func (in *intake) end() {
	e := &in.shard.eng
	e.assembler.End(in.transfer)
	delete(e.intakes, in.transfer)
	if in.replied {
		in.x.unref()
	}
}

// limitTime begins the handler's time, under mu: no block is awaited any more. Up to there
// the transfer's idle time-out is the limit.
func (in *intake) limitTime(d time.Duration) {
	if in.shard.core.limits.HandlerTimeout > 0 && !in.replied && in.limit == nil {
		in.limit = time.AfterFunc(d, in.timeOut)
	}
}

// timeOut ends the context of a handler, and a second later the wait for its response where
// it has detached.
func (in *intake) timeOut() {
	in.shard.mu.Lock()
	defer in.shard.mu.Unlock()
	if in.replied {
		return
	}
	in.timedOut = true
	if in.x.cancel != nil {
		in.x.cancel(context.DeadlineExceeded)
	}
	in.limit = time.AfterFunc(sendGrace, func() { close(in.late) })
}

// wake has the reader look.
func (in *intake) wake() {
	select {
	case in.news <- struct{}{}:
	default:
	}
}

// fail tells the reader that the rest of the body will not come.
func (in *intake) fail(err error) {
	if in == nil || in.err != nil {
		return
	}
	e := &in.shard.eng
	if e.intakes[in.transfer] == in {
		in.end()
	}
	in.err, in.unread, in.x.ended = fmt.Errorf("%w: %w", io.ErrUnexpectedEOF, err), nil, true
	in.limitTime(0)
	if in.x.cancel != nil {
		in.x.cancel(in.err)
	}
	if in.block != nil {
		in.block.incomplete()
		e.overdue = append(e.overdue, in.block)
		in.block = nil
	}
	in.wake()
}

// Read is the handler's.
func (in *intake) Read(p []byte) (int, error) {
	for len(p) > 0 {
		n, done, err := in.take(p)
		if done != nil {
			in.proceed(done)
		}
		if n > 0 || err != nil {
			return n, err
		}
		<-in.news
	}
	return 0, nil
}

// take reads what is here. done is the request with a block that was read to its end.
func (in *intake) take(p []byte) (n int, done *exchange, err error) {
	in.shard.mu.Lock()
	defer in.shard.mu.Unlock()
	switch n = copy(p, in.unread); {
	case n > 0:
		if in.unread = in.unread[n:]; len(in.unread) == 0 && !in.last {
			done, in.block = in.block, nil
		}
	case in.err != nil:
		err = in.err
	case in.last:
		err = io.EOF
	}
	return n, done, err
}

// proceed asks the client for the next block.
func (in *intake) proceed(x *exchange) {
	x.code = message.Continue
	x.finish()
	in.shard.late(x)
}

// finish gives the handler's response, which with has, to the request that waits, or to one
// that is to come.
func (in *intake) finish(with *exchange) {
	with.decideCode()
	in.shard.core.handlers.Add(-1)
	var x *exchange
	in.shard.input(func(time.Time, *outbox) {
		in.x, in.replied = with, true
		if in.limit != nil {
			in.limit.Stop()
		}
		if in.err != nil {
			in.x.unref()
			return
		}
		x, in.block, in.unread = in.block, nil, nil
		if x != nil && (in.last || !in.x.code.IsSuccess()) {
			in.respond(x)
		}
	})
	switch {
	case x == nil:
	case x.received.Outcome == blockwise.Continue && x.code == 0:
		in.proceed(x)
	default:
		x.answer()
	}
}

// answer sends the response of an exchange that has left its batch. Reading it is the
// program's code, like the handler.
func (x *exchange) answer() {
	read := false
	defer func() {
		if v := recover(); !read {
			x.notePanic(v)
			x.forsake()
			x.SetCode(message.InternalServerError)
		}
		x.finish()
		x.shard.late(x)
	}()
	x.read()
	read = true
}
