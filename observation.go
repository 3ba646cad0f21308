package coap

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/motewire/coap/message"
	"github.com/motewire/coap/observe"
	"github.com/motewire/coap/peer"
	"github.com/motewire/coap/reliability"
)

// What an observation yields beside states.
var (
	// ErrObservationEnded: the server ended the observation by an error response, which
	// is yielded with the error, and wrapped by it as [*ResponseError] (RFC 7641 §3.2).
	ErrObservationEnded = errors.New("coap: observation ended by the server")
	// ErrNotObserved: the server answered without accepting the observation, or keeps it
	// no longer; the state before this was the last (RFC 7641 §3.1).
	ErrNotObserved = errors.New("coap: not observed by the server")
	// ErrStale: Max-Age is over and the server did not answer the registration that
	// followed. The observation goes on: the client asks again, less and less often (RFC
	// 7641 §3.3.1).
	ErrStale = errors.New("coap: state is stale")
)

// closingGrace is how long Close waits for observations to be cancelled at the servers.
const closingGrace = 2 * time.Second

// Observe follows a resource: it yields the present state, then each newer one as the
// server tells of it (RFC 7641). States arrive in order; when the loop is slow it gets the
// latest, not all. Leaving the loop, or the context's end, ends the observation at the
// server too, in the background.
//
// A state that doesn't fit into one message is fetched whole before it is yielded, up to
// [Limits].BodyBytes; one that is newer ends the fetch and takes its place (RFC 7959 §2.6).
// A fetch that fails is yielded as [ErrBlockIncomplete]: that state is lost, and the next
// notification, or the registration after Max-Age, brings another.
//
// Loops of one client over the same target, with the same options, share one registration (RFC
// 7641 §3.1): each begins with the present state and ends by itself, and has a Response of its
// own. [Token] makes a registration that is not shared.
//
// An end is never silent: it is the last pair, with an error. After [ErrStale] and
// [ErrBlockIncomplete] alone the sequence goes on.
func (c *Client) Observe(ctx context.Context, url string, opts ...RequestOption) iter.Seq2[*Response, error] {
	return c.ObserveRequest(ctx, NewRequest(message.GET, url, Body{}, opts...))
}

// Observe follows a resource by DefaultClient.
func Observe(ctx context.Context, url string, opts ...RequestOption) iter.Seq2[*Response, error] {
	return DefaultClient.Observe(ctx, url, opts...)
}

// ObserveRequest is [Client.Observe] for any GET or FETCH. The request is one message: a
// body that makes it longer than [Limits].MessageBytes is yielded as [ErrTooLarge], a
// [Stream] and a [NoResponse] as [ErrOption].
func (c *Client) ObserveRequest(ctx context.Context, r *Request) iter.Seq2[*Response, error] {
	return func(yield func(*Response, error) bool) {
		var t target
		err := c.resolve(ctx, r.URL, &t)
		if err != nil {
			err = &OpError{Op: "observe", URL: r.URL, Phase: "resolve", Err: err}
		} else {
			err = c.share(ctx, &t, r, yield)
		}
		if err != nil {
			yield(nil, err)
		}
	}
}

// observeAt yields states and returns why the observation is over, nil where that was
// yielded, or the loop left. Where the network says that an address of the host can't be
// reached, it registers at the next.
func (c *Client) observeAt(ctx context.Context, t *target, r *Request, yield func(*Response, error) bool) error {
	return c.tryEach(ctx, t.addrs, "observe", r.URL, func(s *shard, to peer.Addr) error {
		o, err := c.observe(s, to, &t.uri, r)
		if err != nil {
			return &OpError{Op: "observe", URL: r.URL, Peer: to.String(), Err: err}
		}
		defer o.leave()
		return o.follow(ctx, yield)
	})
}

// A watch is the client's side of an observation in a call. The shard's lock owns it.
type watch struct {
	machine *observe.Observation
	latest  *Response // not yielded yet
	last    error     // why latest is the last; nil: it is not
	echo    []byte    // of a challenge, to be sent back with a registration; nil: none
	asked   bool      // echo was sent, and there was no state since
	news    chan struct{}
}

// deliver takes a response with the observation's token.
func (w *watch) deliver(now time.Time, c *call, r *Response) {
	stats := &c.shard.core.stats
	if echo, challenged := r.challenge(); challenged && !w.asked {
		w.echo = echo
		w.wake()
		return
	}
	sequence, observed := r.view.Observe()
	reception := w.machine.Receive(now, observe.Arrival{
		Success: r.Code.IsSuccess(), Observed: observed, Sequence: sequence, MaxAge: r.MaxAge(),
		Answer: r.view.Type() == message.Acknowledgement,
	})
	switch reception {
	case observe.Reordered, observe.Late:
		stats.stale.Add(1)
		w.wake() // it may have set another deadline
		return
	case observe.NotObserved:
		w.last = ErrNotObserved
	case observe.Error:
		w.last = fmt.Errorf("%w: %w", ErrObservationEnded, r.Err())
	case observe.Fresh:
		w.asked = false
	}
	if w.latest != nil {
		stats.conflated.Add(1)
	}
	w.latest = r
	if w.last != nil {
		c.shard.eng.cancel(now, c)
	}
	w.wake()
}

// wake has the loop look.
func (w *watch) wake() {
	select {
	case w.news <- struct{}{}:
	default:
	}
}

// An observing is a loop over an observation.
type observing struct {
	client  *Client
	shard   *shard
	call    *call
	watch   *watch
	options optionList
	request Request
	unsure  bool // the registration failed: the server may have taken it all the same
	fetch   *fetch
}

// endingBytes is how much longer than the registration the request may be that ends the
// observation, or fetches a block of a FETCH's response: by a byte of Observe, or by Block2
// in its place.
const endingBytes = 6

// observe registers.
func (c *Client) observe(s *shard, to peer.Addr, u *message.URI, r *Request) (*observing, error) {
	machine, err := observe.NewObservation(observe.ObservationConfig{}, s.core.random())
	if err != nil {
		return nil, err
	}
	o := &observing{client: c, shard: s, request: *r, options: r.options(u, to)}
	if o.options.has(message.NoResponse) {
		return nil, fmt.Errorf("%w: No-Response in an observation", ErrOption)
	}
	o.options.remove(message.Observe)
	o.options.addUint(message.Observe, 0)
	if len(r.Body.data) > s.room(to, &o.options, r)-endingBytes {
		return nil, fmt.Errorf("%w: the body of an observation, %d bytes, has to fit into one message", ErrTooLarge, len(r.Body.data))
	}
	o.watch = &watch{machine: machine, news: make(chan struct{}, 1)}
	if !c.enter() {
		return nil, ErrClosed
	}
	if err := o.register(to); err != nil {
		c.departing.Done()
		return nil, err
	}
	return o, nil
}

// register sends the registration, later ones with the token of the first.
func (o *observing) register(to peer.Addr) error {
	old := o.call
	o.call = o.shard.newCall(to)
	o.call.watch = o.watch
	if old != nil {
		o.call.replaces = old
		o.request.call.token, o.request.call.tokenSet = old.token, true
	}
	err := o.shard.begin(o.call, &o.options, &o.request, reliability.ExpectMany)
	if err == nil {
		o.shard.traceBegin(o.call.began, o.call, &o.request)
	}
	return err
}

// echo answers a challenge: by the registration again, with what it has to send back
// (RFC 9175 §2.3). Other registrations go without.
func (o *observing) echo() error {
	o.shard.mu.Lock()
	value := o.watch.echo
	if value != nil {
		o.watch.echo, o.watch.asked = nil, true
	}
	o.shard.mu.Unlock()
	if value == nil {
		return nil
	}
	o.options.remove(message.Echo)
	o.options.add(message.Echo, value)
	err := o.register(o.call.to)
	o.options.remove(message.Echo)
	if err != nil {
		return o.retry(err)
	}
	return nil
}

// follow yields states until something ends, and returns what; nil where that was yielded, or
// the loop left.
func (o *observing) follow(ctx context.Context, yield func(*Response, error) bool) error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	defer o.abandon()
	for {
		o.arm(timer)
		var err error
		select {
		case <-o.watch.news:
			if err = o.echo(); err != nil {
				break
			}
			f := o.news(ctx)
			if f == nil {
				continue
			}
			if err = o.tell(ctx, f, nil, yield); err == nil {
				continue
			}
		case failed := <-o.fetch.over():
			f := o.fetch
			o.fetch = nil
			if err = o.tell(ctx, f, failed, yield); err == nil {
				continue
			}
		case <-timer.C:
			if err = o.refresh(); err == nil {
				continue
			}
		case <-o.call.done:
			if err = o.broken(); err == nil {
				continue
			}
		case <-ctx.Done():
			err = context.Cause(ctx)
		case <-o.client.closing:
			err = ErrClosed
		case <-o.shard.done:
			err = o.shard.whyClosed()
		}
		if errors.Is(err, errLeft) {
			return nil
		}
		if err = o.failed(err); !errors.Is(err, ErrStale) {
			return err
		}
		if !yield(nil, err) {
			return nil
		}
	}
}

// failed makes an OpError of what went wrong.
func (o *observing) failed(err error) error {
	return &OpError{Op: "observe", URL: o.request.URL, Peer: o.call.to.String(), Err: err}
}

// take returns the state that is to be yielded now, and why it is the last.
func (o *observing) take() (*Response, error) {
	o.shard.mu.Lock()
	defer o.shard.mu.Unlock()
	resp := o.watch.latest
	o.watch.latest = nil
	return resp, o.watch.last
}

// arm sets the timer to the next thing that time brings.
func (o *observing) arm(timer *time.Timer) {
	o.shard.mu.Lock()
	at, ok := o.watch.machine.Deadline()
	o.shard.mu.Unlock()
	timer.Stop()
	if ok {
		timer.Reset(max(time.Until(at), 0))
	}
}

// refresh registers again where Max-Age is over without news (RFC 7641 §3.3.1).
func (o *observing) refresh() error {
	o.shard.mu.Lock()
	due := o.watch.machine.Advance(time.Now())
	o.shard.mu.Unlock()
	if !due {
		return nil
	}
	if err := o.register(o.call.to); err != nil {
		return o.retry(err)
	}
	return nil
}

// broken takes the failure of a registration's exchange.
func (o *observing) broken() error {
	o.shard.mu.Lock()
	err := o.call.err
	o.shard.mu.Unlock()
	o.shard.traceEnd(o.call, &o.request, err)
	o.call.done = nil // it tells once
	if err == nil {
		return nil
	}
	return o.retry(err)
}

// retry says what the failure of a registration means: the end, if it was the first.
func (o *observing) retry(err error) error {
	o.shard.mu.Lock()
	defer o.shard.mu.Unlock()
	if o.watch.machine.Failed(time.Now()) {
		return fmt.Errorf("%w: %w", ErrStale, err)
	}
	o.unsure = errors.Is(err, ErrTimeout) || errors.Is(err, ErrResponseTimeout) || errors.Is(err, ErrCriticalOption)
	return err
}

// leave ends the observation: here at once, at the server in the background (RFC 7641
// §3.6).
func (o *observing) leave() {
	s := o.shard
	s.mu.Lock()
	known := o.watch.machine.Cancel() || o.unsure
	s.eng.cancel(time.Now(), o.call)
	o.call.over = true
	s.mu.Unlock()
	if !known {
		o.client.departing.Done()
		return
	}
	go func() {
		defer o.client.departing.Done()
		o.deregister()
	}()
}

// maxDeregistrations bounds how often a deregistration is sent.
const maxDeregistrations = 10

// deregister asks the server to end the observation. A notification that was under way
// has the same token, and passes for the answer, but for its Observe option: then the
// request may have been lost, and goes once more.
func (o *observing) deregister() {
	o.options.remove(message.Observe)
	o.options.addUint(message.Observe, 1)
	o.request.call.token, o.request.call.tokenSet = o.call.token, true
	for range maxDeregistrations {
		resp, err := o.shard.exchange(context.Background(), o.call.to, &o.options, &o.request)
		if err != nil {
			return
		}
		if _, notification := resp.view.Observe(); !notification {
			return
		}
	}
}
