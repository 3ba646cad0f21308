package coap

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// A fetch gets the blocks behind a first one that was notified, beside the loop over the
// observation, which may hear of a newer state meanwhile (RFC 7959 §2.6).
type fetch struct {
	resp   *Response
	last   error // why resp is the last; nil: it is not
	cancel context.CancelFunc
	done   chan error // gets one value
}

// errLeft ends an observation without a word.
var errLeft = errors.New("coap: the loop was left")

// news returns the state that is to be yielded now, nil where there is none or it has to
// be fetched first.
func (o *observing) news(ctx context.Context) *fetch {
	resp, last := o.take()
	if resp == nil {
		return nil
	}
	if o.abandon() { // RFC 7959 §2.6: what is older
		o.shard.core.stats.conflated.Add(1)
	}
	if !resp.partial() {
		return &fetch{resp: resp, last: last}
	}
	o.begin(ctx, resp, last)
	return nil
}

// tell yields a state, or that it could not be fetched. It returns why the observation is
// over; nil: it goes on.
func (o *observing) tell(ctx context.Context, f *fetch, failed error, yield func(*Response, error) bool) error {
	resp := f.resp
	switch {
	case failed != nil && ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(failed, ErrClosed):
		return ErrClosed
	case errors.Is(f.last, ErrObservationEnded):
		yield(resp, o.failed(f.last))
		return errLeft
	case failed != nil:
		resp, failed = nil, o.failed(fmt.Errorf("%w: %w", ErrBlockIncomplete, failed))
	}
	if !yield(resp, failed) {
		return errLeft
	}
	return f.last
}

// begin fetches the rest of a state, with requests of their own tokens and without
// Observe.
func (o *observing) begin(ctx context.Context, resp *Response, last error) {
	ctx, cancel := context.WithCancel(ctx)
	o.shard.attach(ctx, &o.options, &o.request, resp)
	f := &fetch{resp: resp, last: last, cancel: cancel, done: make(chan error, 1)}
	o.fetch = f
	go func() {
		defer cancel()
		f.done <- resp.hold()
	}()
}

// over returns what tells the end of a fetch. f may be nil.
func (f *fetch) over() <-chan error {
	if f == nil {
		return nil
	}
	return f.done
}

// abandon ends the fetch, and reports whether there was one.
func (o *observing) abandon() bool {
	if o.fetch == nil {
		return false
	}
	o.fetch.cancel()
	o.fetch = nil
	return true
}

// hold fetches the whole body, so that reading it takes no more requests.
func (r *Response) hold() error {
	body, err := r.Bytes()
	r.rest = &remainder{block: body, err: io.EOF}
	var op *OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}
