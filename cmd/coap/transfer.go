package main

import (
	"context"
	"sync"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/message"
)

// A transfer follows the blocks of a request and its response (RFC 7959) on the wire: each
// one renews the user's patience and moves the progress bar. Its methods may be called from
// several goroutines, and on nil.
type transfer struct {
	bar *progressBar // nil: none is drawn

	mu      sync.Mutex
	limit   time.Duration
	timer   *time.Timer // ends the request; nil: something else does
	paused  bool
	sending int64 // bytes of the body with the block on its way
	total   int64 // bytes of the request's body; -1: not known
}

// impatient makes the transfer end the context when no block comes for so long.
func (t *transfer) impatient(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.limit = limit
	t.timer = time.AfterFunc(limit, func() { cancel(givenUp(limit)) })
	return ctx, func() {
		t.timer.Stop()
		cancel(nil)
	}
}

// pause stops the clock while the next block is not there to be sent.
func (t *transfer) pause() { t.wait(true) }

// resume starts the clock again.
func (t *transfer) resume() { t.wait(false) }

func (t *transfer) wait(paused bool) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.paused = paused
	t.renew()
}

// renew sets the clock back.
func (t *transfer) renew() {
	switch {
	case t.timer == nil:
	case t.paused:
		t.timer.Stop()
	default:
		t.timer.Reset(t.limit)
	}
}

// trace returns hooks that follow the blocks, and those of other too, which may be nil.
func (t *transfer) trace(other *coap.Trace) *coap.Trace {
	both := &coap.Trace{Sent: t.sent, Received: t.received}
	if other != nil {
		both.Sent = func(d coap.TraceDatagram) { t.sent(d); other.Sent(d) }
		both.Received = func(d coap.TraceDatagram) { t.received(d); other.Received(d) }
	}
	return both
}

// sent notes how far the block that is being sent reaches.
func (t *transfer) sent(d coap.TraceDatagram) {
	var v message.View
	if d.Err != nil || v.Parse(d.Bytes) != nil || !v.Code().IsRequest() {
		return
	}
	b, ok := v.Block1()
	if !ok {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if b.Num == 0 {
		t.total = -1
		if size, ok := v.Size1(); ok {
			t.total = int64(size)
		}
	}
	t.sending = int64(b.Offset()) + int64(len(v.Payload()))
}

// received notes that a block has arrived, here or there.
func (t *transfer) received(d coap.TraceDatagram) {
	var v message.View
	if d.Err != nil || v.Parse(d.Bytes) != nil || !v.Code().IsResponse() {
		return
	}
	_, up := v.Block1()
	b, down := v.Block2()
	if !up && !down {
		return
	}
	t.mu.Lock()
	t.renew()
	sending, total := t.sending, t.total
	t.mu.Unlock()
	switch {
	case t.bar == nil:
	case down && (b.More || b.Num > 0):
		size := int64(-1)
		if n, ok := v.Size2(); ok {
			size = int64(n)
		}
		t.bar.move(flowReceived, int64(b.Offset())+int64(len(v.Payload())), size)
	case up:
		t.bar.move(flowSent, sending, total)
	}
}

// rest has no bar drawn until the next block.
func (t *transfer) rest() {
	if t != nil && t.bar != nil {
		t.bar.rest()
	}
}
