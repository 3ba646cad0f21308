package coap

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/motewire/coap/peer"
	"github.com/motewire/coap/transport"
)

// A shard is one socket and its state. The goroutine that reads the socket owns the
// state while it holds mu, and runs quick handlers in place, without mu; every other
// goroutine takes mu for its call. No user code runs under mu.
//
// A handler that does not return within about watchInterval keeps its goroutine and its
// exchange; the role of the reader, with what is left of the batch, moves to another
// goroutine (watch.go).
type shard struct {
	core *core
	conn transport.Conn
	done chan struct{} // closed by close

	paths   paths
	leasing leasing

	mu     sync.Mutex // owns all below, down to the blank line
	eng    engine
	timer  *time.Timer
	armed  time.Time // when timer fires; zero: it does not
	closed bool
	// notifying says that a goroutine sends notifications.
	notifying bool
	cause     error // why the socket is beyond use; nil where the shard was closed

	// serving says which handler runs in place, or ran last, as sequence<<8 | job<<1 | runs.
	// The reader sets it and clears the bit for runs when the handler has returned; the watch
	// clears it to take the reader's role. Whoever cleared it owns the batch.
	serving  atomic.Uint64
	current  *batch // of the reader; published by serving
	sequence uint64 // of the reader: counts batches

	requests atomic.Uint64 // counted here, as processors don't share what they write

	// sending counts outboxes between unlock and the end of their flush: Shutdown must
	// not close the socket under them.
	sending    atomic.Int32
	goroutines sync.WaitGroup
}

// batchSize is how many datagrams one system call may bring.
const batchSize = 64

// A batch is what a reader works on: packets and, by the same index, their exchanges.
type batch struct {
	packets   [batchSize]transport.Packet
	exchanges [batchSize]*exchange
	jobs      []int // indexes of requests whose handlers are to run
	answers   []int // indexes of requests that are answered
	out       outbox
	// registering says that there is a registration among the requests (RFC 7641 §4.1):
	// then they are given to the list of observers in their order.
	registering bool
}

func (s *shard) newBatch() *batch {
	b := &batch{jobs: make([]int, 0, batchSize), answers: make([]int, 0, batchSize)}
	for i := range b.exchanges {
		b.replace(i, s.newExchange())
	}
	return b
}

// replace gives slot i another exchange; the one that was there has gone away.
func (b *batch) replace(i int, x *exchange) {
	b.exchanges[i] = x
	b.packets[i] = transport.Packet{Buf: x.buf}
}

// own makes the exchanges of n packets that were read the owners of the buffers in their
// slots, since reading may have exchanged them. The others stay as they are, as to touch all
// of them for one datagram costs more than to parse it.
func (b *batch) own(n int) {
	for i, x := range b.exchanges[:n] {
		x.buf = b.packets[i].Buf
	}
}

func (s *shard) newExchange() *exchange {
	x := s.core.exchanges.get()
	if x.buf == nil {
		x.buf = make([]byte, s.core.limits.DatagramBytes)
	}
	x.shard = s
	return x
}

// start begins reading.
func (s *shard) start() {
	s.timer = time.AfterFunc(time.Hour, s.tick)
	s.timer.Stop()
	if s.eng.serves {
		s.core.watch.add(s)
	}
	s.goroutines.Add(1)
	go func() {
		defer s.goroutines.Done()
		s.read(s.newBatch())
	}()
}

// read reads until the socket is closed or the role of the reader is lost.
func (s *shard) read(b *batch) {
	for {
		n, err := s.conn.ReadBatch(b.packets[:])
		if err != nil {
			s.broken(err)
			return
		}
		b.own(n)
		if !s.process(b, n) {
			return
		}
		b = s.lend(b)
	}
}

// broken ends a shard whose socket can't be read: it was closed with the shard, or is
// beyond use.
func (s *shard) broken(err error) {
	s.mu.Lock()
	beyondUse := !s.closed
	if beyondUse {
		s.cause = err
	}
	s.mu.Unlock()
	if beyondUse {
		s.core.logError("coap: socket", err)
		s.close()
	}
}

// whyClosed returns ErrClosed, and why the socket was beyond use, if it was. The caller
// holds mu or knows that done is closed.
func (s *shard) whyClosed() error {
	if s.cause == nil {
		return ErrClosed
	}
	return fmt.Errorf("%w: the socket is beyond use: %w", ErrClosed, s.cause)
}

// process handles n packets. It reports false when the reader's role has been taken.
func (s *shard) process(b *batch, n int) bool {
	b.jobs = b.jobs[:0]
	s.mu.Lock()
	now := time.Now()
	for i := range n {
		s.eng.ep.Anticipate(&b.packets[i].Peer, b.packets[i].Buf[:b.packets[i].N])
	}
	for i := range n {
		if s.eng.receive(now, &b.packets[i], b.exchanges[i]) {
			b.jobs = append(b.jobs, i)
		}
	}
	b.registering, s.eng.registering = s.eng.registering, false
	s.eng.drain(now, &b.out)
	if len(b.jobs) == 0 {
		s.arm(now)
	}
	s.sending.Add(1)
	s.mu.Unlock()
	s.traceReceived(now, b, n)
	s.flush(&b.out)
	s.prepare(b)
	return s.serve(b)
}

// prepare answers the requests of a batch that need no handler; the others stay jobs.
func (s *shard) prepare(b *batch) {
	s.requests.Add(uint64(len(b.jobs)))
	jobs := b.jobs
	b.jobs = b.jobs[:0]
	for _, i := range jobs {
		x := b.exchanges[i]
		s.traceArrived(x)
		served := x.prepare()
		if b.registering {
			s.observe(x)
		}
		if served {
			b.jobs = append(b.jobs, i)
			continue
		}
		x.finish()
		b.answers = append(b.answers, i)
	}
}

// serve runs the handlers of a batch and sends what is answered. It reports false when
// the watch has taken the reader's role.
func (s *shard) serve(b *batch) bool {
	s.sequence++
	s.current = b
	var x *exchange
	var running uint64
	returned := false
	defer func() {
		if !returned {
			s.exited(b, x, running)
		}
	}()
	for j, i := range b.jobs {
		x = b.exchanges[i]
		if x.route.pace.slow() {
			b.replace(i, s.newExchange())
			s.away(x)
			continue
		}
		running = s.sequence<<8 | uint64(j)<<1 | 1
		s.serving.Store(running)
		s.core.watch.wake()
		x.handle()
		answered := !x.detached
		if answered {
			x.finish()
		}
		if !s.serving.CompareAndSwap(running, running&^1) {
			returned = true
			s.released(x, answered) // the batch has gone on without us
			return false
		}
		if answered {
			b.answers = append(b.answers, i)
			continue
		}
		b.replace(i, s.newExchange())
		x.unref()
	}
	returned = true
	s.complete(b)
	return true
}

// exited is called on a goroutine that ends because the handler of x, running, called
// runtime.Goexit, as a test's FailNow does. What the goroutine had to do goes on in
// another one.
func (s *shard) exited(b *batch, x *exchange, running uint64) {
	answered := !x.detached
	if answered {
		x.finish()
	}
	if !s.serving.CompareAndSwap(running, running&^1) {
		s.released(x, answered)
		return
	}
	j := jobOf(running)
	b.replace(b.jobs[j], s.newExchange())
	b.jobs = append(b.jobs[:0], b.jobs[j+1:]...)
	s.goroutines.Add(1)
	go func() {
		defer s.goroutines.Done()
		s.released(x, answered)
		if s.serve(b) {
			s.read(b)
		}
	}()
}

// released ends what a goroutine had to do with an exchange outside a batch.
func (s *shard) released(x *exchange, answered bool) {
	if answered {
		s.late(x)
		return
	}
	s.mu.Lock() // take may still look at x
	defer s.mu.Unlock()
	x.unref()
}

// away serves a request of a slow route on a goroutine of its own.
func (s *shard) away(x *exchange) {
	s.mu.Lock()
	s.enter(x)
	s.arm(time.Now()) // the Acknowledgement may become due
	s.mu.Unlock()
	s.goroutines.Add(1)
	go func() {
		defer s.goroutines.Done()
		began := time.Now()
		defer func() { // also where the handler ends the goroutine
			x.route.pace.took(time.Since(began))
			answered := !x.detached
			if answered {
				x.finish()
			}
			s.released(x, answered)
		}()
		x.handle()
	}()
}

// enter notes an exchange among those that run beside the reader, under mu.
func (s *shard) enter(x *exchange) {
	if x.ended || x.counted {
		return
	}
	x.counted = true
	s.eng.running[x.inbound] = x
	s.core.handlers.Add(1)
}

// leaves is called when an exchange that was entered is over.
func (e *engine) leaves(x *exchange) {
	if x.counted {
		e.shard.core.handlers.Add(-1)
	}
}

// input is an input to the shard from any goroutine but the reader's: f runs under mu,
// what it leads to is sent after it.
func (s *shard) input(f func(now time.Time, out *outbox)) {
	out := s.core.outboxes.get()
	s.mu.Lock()
	now := time.Now()
	f(now, out)
	s.eng.drain(now, out)
	s.arm(now)
	s.sending.Add(1)
	s.mu.Unlock()
	s.flush(out)
	s.core.outboxes.put(out)
}

// acknowledge sends the Empty Acknowledgement of a detached exchange.
func (s *shard) acknowledge(x *exchange) {
	s.input(func(now time.Time, _ *outbox) {
		s.enter(x)
		s.expireLater(now, x)
		s.eng.ep.Acknowledge(now, x.inbound)
	})
}

// complete sends the answers of a batch and frees its exchanges.
func (s *shard) complete(b *batch) {
	if len(b.answers) == 0 {
		return
	}
	s.mu.Lock()
	now := time.Now()
	for _, i := range b.answers {
		if x := b.exchanges[i]; s.eng.end(now, x) {
			b.out.add(x.peer, x.out, 0)
		}
	}
	s.eng.drain(now, &b.out)
	s.arm(now)
	s.sending.Add(1)
	s.mu.Unlock()
	s.flush(&b.out)
	for _, i := range b.answers {
		s.traceAnswered(now, b.exchanges[i])
		b.exchanges[i].clear()
	}
	b.answers = b.answers[:0]
}

// late sends the answer of an exchange that has left its batch, and frees it.
func (s *shard) late(x *exchange) error {
	var err error
	s.input(func(now time.Time, out *outbox) {
		if s.closed {
			err = ErrClosed
		}
		if s.eng.end(now, x) {
			out.add(x.peer, x.out, 0)
		}
		s.eng.leaves(x)
	})
	s.traceAnswered(time.Now(), x)
	x.unref()
	return err
}

// tick fires the timers of the layers.
func (s *shard) tick() {
	s.input(func(now time.Time, _ *outbox) {
		s.armed = time.Time{}
		if !s.closed {
			s.eng.advance(now)
		}
	})
}

// arm sets the timer if the layers' next deadline is before it. A deadline that has
// moved away costs an early tick instead of a reset for every request.
func (s *shard) arm(now time.Time) {
	s.wakeNotifier(now)
	at, ok := s.eng.deadline(s.notifying)
	if !ok || s.closed || !s.armed.IsZero() && !at.Before(s.armed) {
		return
	}
	s.armed = at
	s.timer.Reset(max(at.Sub(now), 0))
}

// flush sends an outbox. What the system refuses is given to the layers like a report
// of the network.
func (s *shard) flush(out *outbox) {
	if len(out.packets) > 0 {
		_, err := s.conn.WriteBatch(out.packets)
		s.traceSent(out)
		if err == nil {
			s.refused(out)
		}
	}
	s.part(out)
	s.closeAll(slices.Clone(out.closing))
	out.reset()
	s.sending.Add(-1)
	s.core.signalIdle()
}

func (s *shard) refused(out *outbox) {
	for i := range out.packets {
		if out.packets[i].Err != nil {
			s.unreachable(out.packets[i:])
			return
		}
	}
}

// unreachable tells the layers of packets that did not leave.
func (s *shard) unreachable(packets []transport.Packet) {
	s.input(func(now time.Time, _ *outbox) {
		for i := range packets {
			p := &packets[i]
			if p.Err == nil {
				continue
			}
			s.tooLong(now, p)
			if !lostHere(p.Err, p.Buf[:p.N]) {
				s.eng.undelivered(now, p)
			}
		}
	})
}

// close ends the shard: socket, calls, contexts. It does not wait for goroutines.
func (s *shard) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.closed = true
	s.timer.Stop()
	close(s.done)
	for subject := range s.eng.resources {
		subject.detach(s)
	}
	for _, x := range s.eng.running {
		if x.cancel != nil {
			x.cancel(ErrClosed)
		}
		if x.expiry != nil {
			x.expiry.Stop()
		}
	}
	if s.eng.serves {
		s.eng.closeTransfers()
	}
	if err := s.conn.Close(); err != nil && s.cause == nil {
		s.core.logError("coap: close", err)
	}
}

// over reports whether the shard is closed.
func (s *shard) over() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

// idle reports whether no request is in hand, nothing unacknowledged or on its way out,
// and nobody observing.
func (s *shard) idle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := s.eng.ep.Stats()
	return s.closed || stats.PendingRequests == 0 && stats.OpenExchanges == 0 && s.eng.observing == 0 && len(s.eng.intakes) == 0 && s.sending.Load() == 0
}

// exhausted reports whether no message ID is free towards a peer.
func (s *shard) exhausted(to peer.Addr) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.eng.ep.IDsExhausted(time.Now(), to)
}

// abandon ends a call whose caller has left.
func (s *shard) abandon(c *call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !c.over {
		s.eng.cancel(time.Now(), c)
		c.over = true
	}
}
