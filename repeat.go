package coap

import (
	"bytes"
	"slices"
	"time"

	"github.com/motewire/coap/blockwise"
	"github.com/motewire/coap/message"
)

// The last block of a body comes again, under a new message ID and often with a new token,
// when its client has given up to wait for the response. The handler must not run twice:
// while it runs, the newest such request waits for its response, too.

// commit notes that a handler is about to get, or has got, the whole of a body.
func (e *engine) commit(x *exchange) {
	x.commits = true
	e.committing = append(e.committing, x)
}

// committed returns the request whose last block x repeats and whose handler still runs;
// nil: there is none.
func (e *engine) committed(x *exchange) *exchange {
	e.key = blockwise.AppendKey(e.key[:0], &x.view)
	n := len(e.key)
	for _, other := range e.committing {
		e.key = blockwise.AppendKey(e.key[:n], &other.view)
		if other.peer == x.peer && bytes.Equal(e.key[:n], e.key[n:]) {
			return other
		}
	}
	return nil
}

// uncommit is called when what a request with a body does is done. Where the request was
// repeated, the response that was kept goes there as well; code is for where none was.
func (e *engine) uncommit(x *exchange, code message.Code) {
	if !x.commits {
		return
	}
	i := slices.Index(e.committing, x)
	e.committing = slices.Delete(e.committing, i, i+1)
	y := x.repeat
	if y == nil {
		return
	}
	if x.repeat = nil; !e.recall(y, nil) {
		y.SetCode(code)
	}
	e.shard.goroutines.Add(1)
	go func() {
		defer e.shard.goroutines.Done()
		y.answer()
	}()
}

// join has a request that repeats another one wait for the response to that. It may be there
// by now.
func (x *exchange) join() {
	x.shard.input(func(time.Time, *outbox) { x.shard.eng.join(x) })
	if !x.detached {
		x.read()
	}
}

func (e *engine) join(x *exchange) {
	if e.recall(x, nil) {
		return
	}
	running := e.committed(x)
	if running == nil {
		x.incomplete()
		return
	}
	if older := running.repeat; older != nil { // its client waits for this one
		older.fate = drop
		e.overdue = append(e.overdue, older)
	}
	running.repeat = x
	x.leave()
	e.shard.enter(x)
}
