package coap

import (
	"sync"
	"sync/atomic"
	"time"
)

// A batch of handlers may hold up the reader for watchInterval at least, and for that and
// watchLongest at most: the watch looks again after watchInterval where it has seen one
// running, and else after watchLongest, as each look costs as much as some requests.
const (
	watchInterval = time.Millisecond
	watchLongest  = 8 * time.Millisecond
)

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

// A readerWatch looks at the readers of all shards of a core in intervals while they serve
// requests, and takes the role of one away whose batch does not end. It is one for all, and
// goes on as long as requests come, since a timer that fires or is set wakes threads.
type readerWatch struct {
	awake atomic.Bool
	timer *time.Timer // to the next look, while it is awake

	mu     sync.Mutex // owns all below
	shards []*shard
	seen   []uint64 // of each shard, its serving at the last look
}

// add has a shard watched.
func (w *readerWatch) add(s *shard) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer == nil {
		w.timer = time.AfterFunc(time.Hour, w.look)
		w.timer.Stop()
	}
	w.shards, w.seen = append(w.shards, s), append(w.seen, 0)
}

// wake makes sure that somebody watches the readers.
func (w *readerWatch) wake() {
	if !w.awake.Load() && w.awake.CompareAndSwap(false, true) {
		w.timer.Reset(watchInterval)
	}
}

// look looks at each reader once. Where nothing was served since the last time, it was the
// last one until a reader wakes the watch: an idle server has no wake-ups.
func (w *readerWatch) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	served, running := false, false
	for i, s := range w.shards {
		now := s.serving.Load()
		served = served || now != w.seen[i]
		if now&1 != 0 && !s.over() {
			running = true
			if now>>8 == w.seen[i]>>8 {
				s.take(now)
			}
		}
		w.seen[i] = now
	}
	switch {
	case running:
		w.timer.Reset(watchInterval)
	case served:
		w.timer.Reset(watchLongest)
	default:
		w.rest()
	}
}

// rest has the watch wait until it is woken. A reader that began in the same moment has
// found it awake.
func (w *readerWatch) rest() {
	w.awake.Store(false)
	for i, s := range w.shards {
		if s.serving.Load() != w.seen[i] {
			w.wake()
		}
	}
}

// jobOf returns which job of its batch a value of serving is about.
func jobOf(running uint64) int { return int(running >> 1 & 0x7f) }

// take moves the reader's role to a new goroutine, if the handler still runs. It holds
// mu so that the handler's goroutine can't free the exchange before it is entered.
func (s *shard) take(running uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || !s.serving.CompareAndSwap(running, running&^1) {
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
