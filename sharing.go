package coap

import (
	"bytes"
	"context"
	"sync"

	"github.com/motewire/coap/message"
)

// A sharing is one observation for all loops of a client over the same target: "A client MUST
// aggregate such requests and MUST NOT register more than once for the same target resource"
// (RFC 7641 §3.1). It follows the resource on a goroutine of its own, tells each loop, and waits
// until the first of them wants more: where all are slow, it is as slow.
type sharing struct {
	client *Client
	key    string // empty: it is not shared
	cancel context.CancelFunc
	done   chan struct{} // closed behind the end of the observation
	ctx    context.Context

	mu    sync.Mutex // owns the rest, and what the loops were told
	loops map[*watcher]struct{}
	last  []*telling // the present state, and what was said of it since
	ended bool
}

// A watcher is one loop over an observation.
type watcher struct {
	news chan struct{} // has a value where told is not empty
	told []*telling
	busy *telling // what the loop is at
}

// A telling is a pair for a loop to yield; over: err is how the loop ends, nil: without a word.
type telling struct {
	resp *Response
	err  error
	over bool
	seen *latch
}

// A latch is a channel that several may close.
type latch struct {
	once sync.Once
	c    chan struct{}
}

func newLatch() *latch { return &latch{c: make(chan struct{})} }

func (l *latch) open() { l.once.Do(func() { close(l.c) }) }

// join has a loop take part in the observation of a target, which begins where there is none.
func (c *Client) join(ctx context.Context, t *target, r *Request) (*sharing, *watcher) {
	w := &watcher{news: make(chan struct{}, 1)}
	key := sharingKey(t, r)
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.sharings[key]; s != nil && s.admit(w) {
		return s, w
	}
	s := &sharing{client: c, key: key, done: make(chan struct{}), loops: map[*watcher]struct{}{w: {}}}
	s.ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	if key != "" {
		if c.sharings == nil {
			c.sharings = map[string]*sharing{}
		}
		c.sharings[key] = s
	}
	own := *r
	own.Body.data = bytes.Clone(r.Body.data)
	go func() {
		defer close(s.done)
		s.end(c.observeAt(s.ctx, t, &own, s.tell))
	}()
	return s, w
}

// sharingKey is what two observations have in common that are of the same target: "all options
// in the request that are part of the Cache-Key" (RFC 7641 §3.1), method, body, and addresses.
// It is empty for one that has to have a token of its caller's choice.
func sharingKey(t *target, r *Request) string {
	if r.call.tokenSet || r.Body.stream != nil {
		return ""
	}
	options := r.options(&t.uri, t.addrs[0])
	e := message.AppendHeader(nil, message.Confirmable, r.Method, 0, message.Token{})
	options.encode(&e)
	b, err := e.Finish(r.Body.data)
	if err != nil {
		return ""
	}
	for _, a := range t.addrs {
		b = append(b, a.String()...)
	}
	return string(b)
}

// admit adds a loop, which is told the present state; false where there will be no other.
func (s *sharing) admit(w *watcher) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return false
	}
	s.loops[w] = struct{}{}
	for _, told := range s.last {
		w.add(told)
	}
	return true
}

// part takes a loop out. The last one ends the observation.
func (s *sharing) part(w *watcher) {
	c := s.client
	c.mu.Lock()
	s.mu.Lock()
	delete(s.loops, w)
	last := len(s.loops) == 0
	if last {
		s.ended = true
		if c.sharings[s.key] == s {
			delete(c.sharings, s.key)
		}
	}
	w.finish()
	for _, told := range w.told {
		told.seen.open()
	}
	s.mu.Unlock()
	c.mu.Unlock()
	if last {
		s.cancel()
		<-s.done
	}
}

// tell gives a pair to all loops, and returns when one of them is through with it, be it that it
// left; false where nobody is left.
func (s *sharing) tell(resp *Response, err error) bool {
	told := &telling{resp: resp, err: err, seen: newLatch()}
	s.mu.Lock()
	if resp != nil {
		s.last = s.last[:0]
	}
	s.last = append(s.last, told)
	if len(s.last) > 2 { // a state, and the last that was said of it
		s.last = append(s.last[:1], told)
	}
	for w := range s.loops {
		w.add(told)
	}
	s.mu.Unlock()
	select {
	case <-told.seen.c:
		return s.ctx.Err() == nil
	case <-s.ctx.Done():
		return false
	}
}

// end tells all loops why the observation is over; nil: they know.
func (s *sharing) end(err error) {
	c := s.client
	c.mu.Lock()
	defer c.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	if c.sharings[s.key] == s {
		delete(c.sharings, s.key)
	}
	for w := range s.loops {
		w.add(&telling{err: err, over: true, seen: newLatch()})
	}
}

// add puts a pair behind those that wait, or a state in their place.
func (w *watcher) add(told *telling) {
	if told.resp != nil {
		w.told = w.told[:0]
	}
	w.told = append(w.told, told)
	select {
	case w.news <- struct{}{}:
	default:
	}
}

// finish says that the loop is through with what it was given.
func (w *watcher) finish() {
	if w.busy != nil {
		w.busy.seen.open()
		w.busy = nil
	}
}

// next returns the next pair for a loop, nil: none is there.
func (s *sharing) next(w *watcher) *telling {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.finish()
	if len(w.told) == 0 {
		return nil
	}
	told := w.told[0]
	w.told = w.told[1:]
	w.busy = told
	return told
}

// share yields what an observation tells until it ends, and returns why; nil where that was
// yielded, or the loop left.
func (c *Client) share(ctx context.Context, t *target, r *Request, yield func(*Response, error) bool) error {
	s, w := c.join(ctx, t, r)
	defer s.part(w)
	for {
		told := s.next(w)
		if told == nil {
			select {
			case <-w.news:
			case <-ctx.Done():
				return &OpError{Op: "observe", URL: r.URL, Peer: t.addrs[0].String(), Err: context.Cause(ctx)}
			}
			continue
		}
		if told.over {
			return told.err
		}
		if !yield(told.resp.share(), told.err) {
			return nil
		}
	}
}

// share returns a Response for one of several loops, which may do with it what it likes.
func (r *Response) share() *Response {
	if r == nil {
		return nil
	}
	own := newResponse(&r.view, r.peer)
	own.RTT, own.Attempts = r.RTT, r.Attempts
	if r.rest != nil {
		own.rest = &remainder{block: r.rest.block, err: r.rest.err} // which is copied when it is read
	}
	return own
}
