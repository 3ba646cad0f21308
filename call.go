package coap

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/motewire/coap/message"
	"github.com/motewire/coap/peer"
	"github.com/motewire/coap/reliability"
)

// A call is an outgoing request and the goroutine that waits for it. The shard's lock
// owns it until it is done; then its caller does, and nobody else knows it any more.
type call struct {
	outbound reliability.Outbound
	shard    *shard
	to       peer.Addr
	done     chan struct{} // gets one value when the call is over
	over     bool

	resp     *Response
	err      error
	token    message.Token
	began    time.Time // given to the message layer
	first    time.Time // first transmission
	ended    time.Time
	attempts int
	acked    bool
	// ackSuffices says that the acknowledgement ends the call: no response is wanted.
	ackSuffices bool

	// recognized are the critical options that the response may have: the core's, the
	// client's and those of the request.
	recognized *message.OptionSet

	// group, for a request to many, takes the responses in turn.
	group chan *Response
	// watch, for an observation, takes them.
	watch *watch
	// replaces is the call whose token this one takes over.
	replaces *call
}

func (c *call) transmitted(now time.Time, attempt int) {
	if c.attempts == 0 {
		c.first = now
	}
	c.attempts = max(c.attempts+1, attempt)
}

// acknowledge notes that the request arrived.
func (c *call) acknowledge(now time.Time) {
	c.acked = true
	if c.ackSuffices {
		c.shard.eng.cancel(now, c)
		c.end(now, emptyResponse(), nil)
	}
}

// deliver takes a response.
func (c *call) deliver(now time.Time, r *Response) {
	r.RTT, r.Attempts = now.Sub(c.first), c.attempts
	if c.watch != nil {
		c.watch.deliver(now, c, r)
		return
	}
	if c.group != nil {
		select {
		case c.group <- r:
		default: // the caller is slow: it is told by the counter
			c.shard.core.stats.groupDropped.Add(1)
		}
		return
	}
	c.end(now, r, nil)
}

// end ends the call. Its caller wakes once what is owed to the peer has left.
func (c *call) end(now time.Time, r *Response, err error) {
	if c.over {
		return
	}
	c.over, c.ended, c.resp, c.err = true, now, r, err
	if i := c.outbound.Slot(); i >= 0 && i < len(c.shard.eng.calls) && c.shard.eng.calls[i] == c {
		c.shard.eng.calls[i] = nil
	}
	c.shard.eng.ended = append(c.shard.eng.ended, c)
}

// phase says what the call waits for.
func (c *call) phase() string {
	switch {
	case c.attempts == 0:
		return "send"
	case c.acked:
		return "response"
	}
	return "acknowledgement"
}

// allClasses is the value of No-Response that wants no response at all (RFC 7967 §2.1).
const allClasses = NoSuccess | NoClientError | NoServerError

func emptyResponse() *Response {
	e := message.AppendHeader(nil, message.Acknowledgement, message.Empty, 0, message.Token{})
	b, _ := e.Finish(nil) // an Empty message can't be refused
	var v message.View
	_ = v.Parse(b)
	return newResponse(&v, peer.Addr{})
}

// exchange sends a request as one message to a peer and waits for its response. A challenge is
// answered by the same request with the Echo value that it has, once (RFC 9175 §2.3).
func (s *shard) exchange(ctx context.Context, to peer.Addr, options *optionList, r *Request) (*Response, error) {
	resp, err := s.exchangeOnce(ctx, to, options, r)
	if err != nil || options.has(message.Echo) {
		return resp, err
	}
	echo, challenged := resp.challenge()
	if !challenged {
		return resp, nil
	}
	var echoing optionList
	echoing.set(options)
	echoing.add(message.Echo, echo)
	echoed, err := s.exchangeOnce(ctx, to, &echoing, r)
	if errors.Is(err, ErrTooLarge) { // a message that has no room for it
		return resp, nil
	}
	return echoed, err
}

// challenge returns the Echo value of a response that asks for the request again with it.
func (r *Response) challenge() (echo []byte, ok bool) {
	if r.Code != message.Unauthorized {
		return nil, false
	}
	return r.view.Echo()
}

// exchangeOnce sends a request as one message and waits for the response to it.
func (s *shard) exchangeOnce(ctx context.Context, to peer.Addr, options *optionList, r *Request) (*Response, error) {
	c := s.newCall(to)
	err := context.Cause(ctx)
	if err == nil {
		err = s.begin(c, options, r, reliability.ExpectOne)
	}
	if err != nil {
		return nil, c.failed(r, err)
	}
	s.traceBegin(c.began, c, r)
	done, err := s.wait(ctx, c, r.call.lease)
	if err != nil {
		err = c.failed(r, err)
	}
	s.traceEnd(c, r, err)
	resp := c.resp
	if done {
		*c = call{done: c.done}
		s.core.calls.put(c)
	}
	return resp, err
}

// newCall returns a call to a peer, in the room of one that is done where there is one.
func (s *shard) newCall(to peer.Addr) *call {
	c := s.core.calls.get()
	if c.done == nil {
		c.done = make(chan struct{}, 1)
	}
	c.shard, c.to = s, to
	return c
}

// begin encodes a request and gives it to the message layer.
func (s *shard) begin(c *call, options *optionList, r *Request, expect reliability.Expect) error {
	if err := r.oneMessage(); err != nil {
		return err
	}
	if c.to.IsMulticast() && options.has(message.ETag) {
		return fmt.Errorf("%w: an ETag in a request to a group", ErrOption) // RFC 7252 §8.2.1
	}
	c.recognized = s.core.recognizing(options)
	unanswered := false // nothing comes back, not even an Acknowledgement
	if value, ok := options.value(message.NoResponse); ok && len(value) == 1 && value[0]&allClasses == allClasses {
		c.ackSuffices, unanswered = true, r.call.nonConfirmable
	}
	if unanswered {
		expect = reliability.ExpectNothing
	}
	out := s.core.outboxes.get()
	defer s.core.outboxes.put(out)
	s.mu.Lock()
	err := s.send(c, options, r, expect, out)
	if err == nil && unanswered {
		c.end(c.began, emptyResponse(), nil)
		s.eng.release(out)
	}
	s.sending.Add(1)
	s.mu.Unlock()
	s.flush(out)
	return err
}

// send encodes into the shard's scratch buffer, under its lock.
func (s *shard) send(c *call, options *optionList, r *Request, expect reliability.Expect, out *outbox) error {
	if s.closed {
		return s.whyClosed()
	}
	now := time.Now()
	c.began, c.token = now, r.call.token
	if !r.call.tokenSet {
		c.token = s.eng.ep.NewToken(c.to)
	}
	e := message.AppendHeader(s.eng.scratch[:0], message.Confirmable, r.Method, 0, c.token)
	options.encode(&e)
	datagram, err := e.Finish(r.Body.data)
	if err != nil {
		return err
	}
	s.eng.scratch = datagram
	if len(datagram) > s.core.limits.MessageBytes-s.core.extraBytes {
		return ErrTooLarge
	}
	if c.replaces != nil { // in one step, so that no notification comes in between
		s.eng.cancel(now, c.replaces)
		c.replaces.over, c.replaces = true, nil
	}
	x, err := s.eng.ep.Send(now, c.to, datagram, reliability.SendOptions{
		Confirmable: !r.call.nonConfirmable, Expect: expect, Token: c.token,
		ResponseTimeout: r.call.patience,
	})
	if err != nil {
		return err
	}
	s.eng.open(x, c)
	s.eng.drain(now, out)
	s.arm(now)
	return nil
}

// ping sends an Empty Confirmable message, which the peer answers by a Reset (RFC 7252
// §4.3), and returns the round-trip time.
func (s *shard) ping(ctx context.Context, to peer.Addr) (time.Duration, error) {
	c := s.newCall(to)
	r := &Request{Method: message.Empty}
	r.call.tokenSet = true // §4.1: an Empty message has no token
	err := s.begin(c, &optionList{}, r, reliability.ExpectNothing)
	if err == nil {
		_, err = s.wait(ctx, c, nil)
	}
	switch {
	case errors.Is(err, ErrReset):
		return c.ended.Sub(c.first), nil
	case err == nil: // acknowledged: odd, but it lives
		return c.ended.Sub(c.first), nil
	}
	return 0, c.failed(r, err)
}

// wait waits for the end of a call, of its context or of the shard. Only a call that is
// done is the caller's alone: of one that was left, an outbox may still tell the end.
func (s *shard) wait(ctx context.Context, c *call, l *lease) (done bool, err error) {
	if l.await(ctx, c) {
		return true, c.err
	}
	select {
	case <-c.done:
		return true, c.err
	case <-ctx.Done():
	case <-s.done:
	}
	defer s.core.signalIdle()
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.over { // it ended in the same moment
		return false, c.err
	}
	s.eng.cancel(time.Now(), c)
	c.over = true
	if ctx.Err() == nil {
		return false, s.whyClosed()
	}
	err = context.Cause(ctx)
	if c.attempts == 0 && s.eng.ep.IDsExhausted(time.Now(), c.to) {
		err = fmt.Errorf("%w: %w", ErrMessageIDsExhausted, err)
	}
	return false, err
}

// failed says how far a request had come.
func (c *call) failed(r *Request, err error) error {
	op := &OpError{Op: r.Method.Name(), URL: r.URL, Peer: c.to.String(), Err: err}
	if r.Method == message.Empty {
		op.Op = "ping"
	}
	if c.outbound != 0 {
		op.Attempts, op.Phase = c.attempts, c.phase()
	}
	return op
}
