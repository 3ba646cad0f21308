package coap

import (
	"bytes"
	"context"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/motewire/coap/blockwise"
	"github.com/motewire/coap/message"
	"github.com/motewire/coap/observe"
	"github.com/motewire/coap/peer"
	"github.com/motewire/coap/reliability"
)

type peerAddr = peer.Addr

// poison makes freed receive buffers unreadable, so that tests find a stray alias.
var poison = false

// An exchange is one received datagram and, where that is a request, all that serving it
// takes. Exchanges are used again; a slot of a batch owns one while the datagram is
// handled in place, and the goroutine of a slow handler takes it along.
type exchange struct {
	response   // what the handler said so far
	divided    // of bodies larger than a message
	unverified // of addresses that may be forged

	shard     *shard
	buf       []byte // receive buffer
	view      message.View
	peer      peer.Addr
	multicast bool
	duplicate bool
	truncated bool          // only header and token arrived
	wait      time.Duration // after which the peer may ask again; 0: it may now
	silent    bool          // it is not even told so
	inbound   reliability.Inbound
	began     time.Time

	route *route
	req   Request
	out   []byte // the encoded response; empty: there is none
	fate  fate

	// observer and sequence are of a registration (RFC 7641 §4.1); zero: none.
	observer observe.Observer
	sequence uint32
	observes *representation // what it observes, as long as it is among the observers
	// sentHere is closed when a detached response is sent that has no exchange of its own:
	// it is rendered for observers, or goes with the last block of a body. Nil: it has one.
	sentHere chan struct{}
	intake   *intake // what the handler reads the request's body from; nil: it is whole

	detached bool // the handler may return before the response is there
	// refs counts who still uses a detached exchange: its handler and its Responder.
	refs atomic.Int32
	sent bool          // Send was called
	over atomic.Uint32 // an ending: how the detached response ended
	// panicking: the handler of an exchange with sentHere panicked.
	panicking bool

	// Owned by the shard's lock.
	counted  bool                    // runs beside the reader
	ended    bool                    // the message layer has its fate
	cancel   context.CancelCauseFunc // of the request's context, once there is one
	unwanted bool                    // the peer has reset the exchange
	expiry   *time.Timer             // gives a detached response up
}

// fate is how an exchange ends.
type fate uint8

const (
	respond fate = iota // out is sent
	drop                // nothing is sent but the Acknowledgement owed
	reject              // Reset, or silence (RFC 7252 §4.2, §4.3)
)

// maxIdlePayload is how many bytes for a response's payload an exchange keeps for the next.
const maxIdlePayload = 16 << 10

// clear makes x ready for the next datagram.
func (x *exchange) clear() {
	x.response.reset()
	if cap(x.payload) > maxIdlePayload {
		x.payload = nil
	}
	x.req = Request{}
	x.route, x.inbound, x.out, x.fate = nil, 0, x.out[:0], respond
	x.multicast, x.duplicate, x.truncated, x.detached, x.sent = false, false, false, false, false
	x.counted, x.observer, x.observes, x.sentHere, x.intake = false, 0, nil, nil, nil
	x.divided, x.unverified, x.wait, x.silent = divided{}, unverified{}, 0, false
	x.refs.Store(0)
	x.over.Store(pending)
	x.panicking, x.ended, x.unwanted, x.cancel, x.expiry = false, false, false, nil, nil
	if poison {
		for i := range x.buf {
			x.buf[i] = 0xdb
		}
	}
}

// prepare checks what the core decides about a request and finds its route. It reports
// whether a handler has to run; else the answer is there. The order is 4.02, 5.05, 4.04,
// 4.05; the rest is the route's.
func (x *exchange) prepare() bool {
	n := x.shard.core
	x.req.Method, x.req.view, x.req.x = x.view.Code(), &x.view, x
	if x.truncated {
		x.SetCode(message.RequestEntityTooLarge) // §4.6
		return false
	}
	if limit := n.limits.TokenBytes; x.view.Extended() && len(x.view.TokenBytes()) > limit {
		Error(x, message.BadRequest, "the token is too long") // RFC 8974 §2.2.2
		return false
	}
	if number, found := x.view.UnrecognizedCritical(&n.recognized); found {
		x.badOption(number)
		return false
	}
	if x.view.Has(message.ProxyURI) || x.view.Has(message.ProxyScheme) {
		x.SetCode(message.ProxyingNotSupported) // §5.10.2
		return false
	}
	if value, ok := x.view.Option(message.HopLimit); ok && !legalHopLimit(value) {
		Error(x, message.BadRequest, "Hop-Limit is not 1 to 255")
		return false
	}
	if reserved(&x.view) {
		Error(x, message.BadRequest, "reserved block size")
		return false
	}
	if n.draining.Load() && !later(&x.view) {
		x.unavailable()
		return false
	}
	if x.wait > 0 {
		x.tooMany()
		return false
	}
	if x.suspect() {
		return false
	}
	if n.mux == nil {
		x.route = &n.bare
	} else {
		route, code := n.mux.find(x.req.Method, &x.view, &x.req.match)
		if code != 0 {
			x.SetCode(code)
			return false
		}
		x.route, x.req.pattern = route, route.pattern
	}
	if x.flooding() {
		return false
	}
	if later(&x.view) && !x.multicast && !x.shard.resume(x) {
		return false
	}
	if n.handlers.Load() >= int64(n.limits.Handlers) && x.route.pace.lasting() {
		n.stats.shed.Add(1)
		x.unavailable()
		return false
	}
	return true
}

// legalHopLimit reports whether Hop-Limit is from 1 to 255, be it with leading zeros (RFC 7252
// §3.2). RFC 8768 §3 has 4.00 for anything else, though a value of two bytes is of an illegal
// length, and would be ignored (RFC 7252 §5.4.3).
func legalHopLimit(value []byte) bool {
	value = bytes.TrimLeft(value, "\x00")
	return len(value) == 1
}

// badOption answers a request with an unrecognized critical option: 4.02 to a
// Confirmable one, rejection of a Non-confirmable one (RFC 7252 §5.4.1).
func (x *exchange) badOption(number message.OptionNumber) {
	if x.view.Type() != message.Confirmable {
		x.fate = reject
		return
	}
	Error(x, message.BadOption, "unrecognized critical option "+number.String())
}

// unavailable sheds load (RFC 7252 §5.9.3.4).
func (x *exchange) unavailable() {
	x.Reset()
	x.SetCode(message.ServiceUnavailable)
	x.SetMaxAge(time.Second)
}

// handle runs the handler. A panic becomes 5.00 and a line in the log, and so does
// runtime.Goexit, which no recovery can stop.
func (x *exchange) handle() {
	returned := false
	defer func() {
		if v := recover(); v != nil {
			x.panicked(v)
		} else if !returned {
			x.panicked("runtime.Goexit")
		}
	}()
	x.serve()
	returned = true
}

func (x *exchange) serve() {
	switch {
	case x.multicast && !x.route.multicast:
		x.fate = drop // §8.2: not meant for groups
	case x.recalled:
		x.read()
	case x.repeats:
		x.join()
	case x.ahead:
		x.await()
	case x.checked() && x.whole():
		x.route.handler.ServeCoAP(x, &x.req)
		if !x.detached {
			x.readBody()
		}
	case x.ahead:
		x.await()
	}
}

// checked reports whether the route's declarations let the request pass; else it is
// answered.
func (x *exchange) checked() bool {
	if x.intake != nil {
		return true // with the first block
	}
	code := x.route.precheck(x, &x.req)
	if code != 0 {
		x.SetCode(code)
	}
	return code == 0
}

// whole reports whether the request's body is here; else it is the first block of one, which
// is answered or waits.
func (x *exchange) whole() bool {
	b, ok := x.view.Block1()
	return !ok || b.Num > 0 || x.sentHere != nil || x.shard.begins(x)
}

// panicked makes a panic of the handler 5.00.
func (x *exchange) panicked(v any) {
	x.notePanic(v)
	switch {
	case !x.detached:
		x.Reset()
		x.SetCode(message.InternalServerError)
	case x.sentHere != nil:
		x.panicking = true
	default:
		x.shard.giveUp(x.inbound, failed)
	}
}

// notePanic counts a panic and logs it.
func (x *exchange) notePanic(v any) {
	x.shard.core.stats.panics.Add(1)
	if log := x.shard.core.logger; log != nil {
		log.Error("coap: handler panicked", "panic", v, "peer", x.peer.String(),
			"method", x.req.Method.String(), "path", x.req.Path(), "stack", string(debug.Stack()))
	}
}

// unref gives up one use of an exchange that has left its batch; the last one frees it.
func (x *exchange) unref() {
	if x.refs.Add(-1) > 0 {
		return
	}
	n := x.shard.core
	x.clear()
	n.exchanges.put(x)
}

// finish turns what the handler said into the datagram that answers.
func (x *exchange) finish() {
	if x.fate != respond {
		return
	}
	x.conclude()
	if !x.challenging && suppressed(&x.view, x.multicast, x.code, len(x.payload)) {
		if x.fate = drop; x.received.Outcome == blockwise.Complete {
			x.retain() // or the last block again would find nothing
		}
		return
	}
	if x.observer != 0 && x.code.IsSuccess() {
		x.setUint(message.Observe, x.sequence) // RFC 7641 §4.1
	}
	x.write()
	if x.allowance > 0 && len(x.out) > x.allowance {
		x.curtail()
	}
	x.retain()
}

// write encodes the response with the options that say which piece of it this is.
func (x *exchange) write() {
	x.describe()
	x.encode(x.view.Token())
}

// conclude decides what the response is.
func (x *exchange) conclude() {
	x.decideCode()
	x.options.remove(message.Observe) // the core's business
	x.divide()
	if !x.recalled {
		x.validate()
	}
}

// decideCode gives a response that has no code the method's usual one.
func (x *exchange) decideCode() {
	if x.code == 0 {
		x.code = defaultCode(x.req.Method)
	}
}

// validate applies Accept and ETag to the finished response of a GET or FETCH: 4.06 for
// another format than was asked for (RFC 7252 §5.10.4), 2.03 where the client has the
// representation already (§5.10.6.2).
func (x *exchange) validate() {
	if x.code != message.Content || x.req.Method != message.GET && x.req.Method != message.FETCH {
		return
	}
	if accept, ok := x.view.Accept(); ok {
		if format, ok := x.contentFormat(); ok && format != accept {
			x.notAcceptable()
			return
		}
	}
	if !x.view.Has(message.ETag) {
		return
	}
	value, ok := x.options.value(message.ETag)
	tag, err := message.MakeTag(value)
	if !ok || err != nil {
		return
	}
	for offered := range x.view.ETags() {
		if offered == tag {
			x.drop()
			x.code, x.piece = message.Valid, blockwise.Slice{}
			x.options.remove(message.ContentFormat)
			return
		}
	}
}

func (x *exchange) notAcceptable() {
	x.Reset()
	x.code, x.piece = message.NotAcceptable, blockwise.Slice{}
}

// contentFormat returns the format that the handler set.
func (x *exchange) contentFormat() (message.Format, bool) {
	value, ok := x.options.value(message.ContentFormat)
	var f message.Format
	for _, b := range value {
		f = f<<8 | message.Format(b)
	}
	return f, ok
}

// suppressed reports whether the client wants no response of this class (RFC 7967 §2.1),
// or a group's member has nothing useful to say (RFC 7252 §8.2): an error, or an empty
// representation.
func suppressed(request *message.View, multicast bool, code message.Code, payloadBytes int) bool {
	if code == message.Continue {
		return false // it answers a block, not the request
	}
	if classes, ok := request.NoResponse(); ok {
		return classes>>(code.Class()-1)&1 != 0
	}
	return multicast && (!code.IsSuccess() || code == message.Content && payloadBytes == 0)
}

// encode writes the response with the request's token; the message layer fills in type
// and message ID.
func (x *exchange) encode(token message.Token) {
	e := x.begin(x.out[:0], x.code, token)
	x.options.encode(&e)
	out, err := e.Finish(x.fragment())
	if wrong := x.options.check(); wrong != nil {
		err = wrong
	}
	if err != nil { // an option too long or a path with dots: the handler's mistake
		x.shard.core.logError("coap: response", err)
		x.code = message.InternalServerError
		e = x.begin(x.out[:0], x.code, token)
		out, _ = e.Finish(nil)
	}
	x.out = out
}

// begin starts a response. Where the request has an extended token, that is the token.
func (x *exchange) begin(dst []byte, code message.Code, token message.Token) message.Encoder {
	if x.view.Extended() {
		return message.AppendExtendedHeader(dst, message.NonConfirmable, code, 0, x.view.TokenBytes())
	}
	return message.AppendHeader(dst, message.NonConfirmable, code, 0, token)
}

// Detach makes the exchange outlive its handler.
func (x *exchange) Detach() Responder {
	if x.detached {
		panic("coap: Detach called twice")
	}
	x.detached = true
	if x.sentHere != nil {
		return x
	}
	x.route.pace.detaches.Store(true)
	x.leave()
	x.shard.acknowledge(x)
	return x
}

// leave makes an exchange leave its batch: its handler and another one use it.
func (x *exchange) leave() {
	x.detached = true
	x.refs.Store(2)
}

// Send sends a detached response.
func (x *exchange) Send() error {
	if x.sent || !x.detached {
		panic("coap: Send called twice or without Detach")
	}
	x.sent = true
	if !x.over.CompareAndSwap(pending, sent) {
		err := x.unsendable()
		x.drop()
		if x.sentHere == nil {
			x.shard.released(x, false)
		}
		return err
	}
	x.readBody()
	if x.sentHere != nil {
		close(x.sentHere)
		return nil
	}
	x.finish()
	return x.shard.late(x)
}

// context returns the request's context, made on its first use.
func (x *exchange) context() context.Context {
	if x.req.ctx != nil {
		return x.req.ctx
	}
	n := x.shard.core
	ctx, cancel := context.WithCancelCause(n.ctx)
	if t := n.limits.HandlerTimeout; t > 0 && x.intake == nil {
		var stop context.CancelFunc
		ctx, stop = context.WithDeadlineCause(ctx, x.began.Add(t), context.DeadlineExceeded)
		_ = stop // the parent's cancel, which always comes, releases it
	}
	x.req.ctx = ctx
	x.shard.mu.Lock()
	defer x.shard.mu.Unlock()
	x.cancel = cancel
	switch {
	case x.ended:
		cancel(errAnswered)
	case x.unwanted:
		cancel(ErrReset)
	case x.intake != nil && x.intake.timedOut:
		cancel(context.DeadlineExceeded)
	}
	return ctx
}
