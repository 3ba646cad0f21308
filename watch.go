package coap

import (
	"sync/atomic"
	"time"
)

// A batch of handlers may hold up the reader for watchInterval at least, and for that and
// watchLongest at most: the watch looks again after watchInterval where it has seen one
// running, and else less and less often, as each look of its own costs as much as some
// requests.
const (
	watchInterval = time.Millisecond
	watchLongest  = 8 * time.Millisecond
)

// watchRest is after how many intervals without work the watch goes to sleep, so that
// an idle server has no wake-ups.
const watchRest = 4

// pace remembers whether a route's handler is slow: then it gets a goroutine at once
// instead of holding up the reader first.
type pace struct {
	credit   atomic.Int32
	detaches atomic.Bool // the handler has detached before
}

// slowCredit is how many quick runs in a row clear a route of being slow.
const slowCredit = 16

func (p *pace) slow() bool { return p.credit.Load() > 0 }

// lasting reports whether a request of the route may occupy more than the reader.
func (p *pace) lasting() bool { return p.slow() || p.detaches.Load() }

func (p *pace) markSlow() { p.credit.Store(slowCredit) }

// took notes how long a run of a slow route took.
func (p *pace) took(d time.Duration) {
	if d >= watchInterval {
		p.markSlow()
	} else {
		p.credit.Add(-1)
	}
}

// wakeWatch makes sure that somebody watches the reader.
func (s *shard) wakeWatch() {
	if !s.watching.Load() && s.watching.CompareAndSwap(false, true) {
		s.wake <- struct{}{} // room for one, and only we send until it rests again
	}
}

// watch looks at the reader in intervals while it serves requests, and takes its role
// away when a batch does not end.
func (s *shard) watch() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		timer.Stop()
		select {
		case <-s.wake:
		case <-s.done:
			return
		}
		if !s.watchWhileBusy(timer) {
			return
		}
	}
}

// watchWhileBusy returns true when the reader has had nothing to do for a while, false
// when the shard is closed.
func (s *shard) watchWhileBusy(timer *time.Timer) bool {
	var last, rest uint64
	interval := watchInterval
	for rest < watchRest {
		timer.Reset(interval)
		select {
		case <-timer.C:
		case <-s.done:
			return false
		}
		running := s.serving.Load()
		if running == 0 {
			rest++
			interval = min(2*interval, watchLongest)
			continue
		}
		rest, interval = 0, watchInterval
		if batch := running >> 8; batch == last {
			s.take(running)
		} else {
			last = batch
		}
	}
	s.watching.Store(false)
	if s.serving.Load() != 0 { // it began in the same moment and found us awake
		s.wakeWatch()
	}
	return true
}

// jobOf returns which job of its batch a value of serving is about.
func jobOf(running uint64) int { return int(running >> 1 & 0x7f) }

// take moves the reader's role to a new goroutine, if the handler still runs. It holds
// mu so that the handler's goroutine can't free the exchange before it is entered.
func (s *shard) take(running uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || !s.serving.CompareAndSwap(running, 0) {
		return
	}
	b, j := s.current, jobOf(running)
	x := b.exchanges[b.jobs[j]]
	x.route.pace.markSlow()
	s.core.stats.slow.Add(1)
	s.enter(x)
	s.arm(time.Now())
	b.replace(b.jobs[j], s.newExchange())
	b.jobs = append(b.jobs[:0], b.jobs[j+1:]...)
	s.goroutines.Add(1)
	go func() {
		defer s.goroutines.Done()
		s.complete(b) // what was answered before waits no longer
		if s.serve(b) {
			s.read(b)
		}
	}()
}
