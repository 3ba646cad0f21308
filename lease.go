package coap

import (
	"context"
	"sync/atomic"

	"github.com/motewire/coap/transport"
)

// A transfer waits for one response after the other. To hand each one over from the
// goroutine that reads the socket takes longer than all else that a client does for it, as
// the scheduler wakes another thread each time. So a transfer may have the reader's role:
// while it waits its goroutine reads the socket itself, for all calls of the shard. It has
// the role for as long as it runs no code of the program.

// leasing is how the reader's role of a shard is lent.
type leasing struct {
	state    atomic.Uint32        // one of the states below
	granted  chan *batch          // from the reader to who asked
	returned chan *batch          // and back
	reading  atomic.Pointer[call] // for which the role is used at the moment
}

const (
	unlent uint32 = iota
	asked         // the reader is to lend its role when it has handled a batch
	lent
)

// A lease is the reader's role in the hands of one goroutine, or its wish to have it.
type lease struct {
	shard *shard
	batch *batch      // nil: it has not got the role yet
	stop  func() bool // the context's interruption
}

// borrow asks for the reader's role; nil where it can't be had. It is given back by end.
func (s *shard) borrow(ctx context.Context) *lease {
	conn, ok := s.conn.(transport.Interrupter)
	if !ok || s.eng.serves || !s.leasing.state.CompareAndSwap(unlent, asked) {
		return nil
	}
	return &lease{shard: s, stop: context.AfterFunc(ctx, conn.Interrupt)}
}

// lend gives the reader's role away where somebody has asked for it, and waits until it is
// back. It returns the batch to go on with.
func (s *shard) lend(b *batch) *batch {
	if s.leasing.state.Load() != asked || !s.leasing.state.CompareAndSwap(asked, lent) {
		return b
	}
	s.leasing.granted <- b
	return <-s.leasing.returned
}

// end gives the role back.
func (l *lease) end() {
	if l == nil || l.stop == nil {
		return
	}
	l.stop()
	l.stop = nil
	role := &l.shard.leasing
	if role.state.CompareAndSwap(asked, unlent) {
		return
	}
	if l.batch == nil {
		l.batch = <-role.granted
	}
	role.state.Store(unlent)
	role.returned <- l.batch
	l.batch = nil
}

// await waits for the end of a call as the reader. It reports false where there is something
// else to be told: the context's end, or the shard's.
func (l *lease) await(ctx context.Context, c *call) (done bool) {
	if l == nil || l.stop == nil {
		return false
	}
	s := l.shard
	if l.batch == nil {
		select {
		case l.batch = <-s.leasing.granted:
		case <-c.done:
			return true
		case <-ctx.Done():
			return false
		case <-s.done:
			return false
		}
	}
	for {
		n, over, err := l.read(ctx, c)
		switch {
		case over:
			return true
		case err != nil: // the reader will find out as well
			l.end()
			return false
		case n == 0 && ctx.Err() != nil:
			return false
		}
		l.batch.own(n)
		s.process(l.batch, n)
	}
}

// read reads a batch unless the call is over. Whoever ends it interrupts the reading.
func (l *lease) read(ctx context.Context, c *call) (n int, over bool, err error) {
	s := l.shard
	s.leasing.reading.Store(c)
	defer s.leasing.reading.Store(nil)
	select {
	case <-c.done:
		return 0, true, nil
	default:
	}
	if ctx.Err() != nil {
		return 0, false, nil
	}
	n, err = s.conn.ReadBatch(l.batch.packets[:])
	return n, false, err
}

// wake wakes the caller of a call that is over, which is the caller's alone from then on.
func (c *call) wake() {
	s := c.shard
	c.done <- struct{}{}
	if s.leasing.reading.Load() == c {
		s.conn.(transport.Interrupter).Interrupt()
	}
}
