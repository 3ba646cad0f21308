package reliability

import (
	"encoding/binary"
	"time"

	"github.com/motewire/coap/message"
	"github.com/motewire/coap/peer"
)

// A phase is where an outgoing exchange stands, and so which list or timer has it.
type phase uint8

const (
	created        phase = iota // none
	waiting                     // list waiting of the peer
	leisurely                   // timer: a response to a multicast request, until its moment
	unacknowledged              // timer and list flight of the peer: a Confirmable message
	sent                        // list awaiting: acknowledged or Non-confirmable, no response yet
	unanswered                  // timer and list flight: sent, with a ResponseTimeout of its own
	answered                    // none: more responses may come until it is cancelled
)

// An exchange is an outgoing message and what is expected after it.
type exchange struct {
	to          peer.Addr
	datagram    []byte // from freeBuffer
	peer        uint32
	token       message.Token
	id          message.ID
	phase       phase
	expect      Expect
	confirmable bool
	limited     bool   // a request or ping: counts against NSTART and PROBING_RATE
	internal    bool   // the layer above has no handle: a response that we send by ourselves
	hasID       bool   // in byID
	step        int8   // which timeout comes next: 1 up to MaxRetransmit+1
	attempts    int    // transmissions
	tokenHash   uint32 // under which byToken has it, if a response is expected
	idHash      uint32 // under which byID has it, if hasID

	first   instant // first transmission
	timeout instant // the first one; of a Non-confirmable message: SendOptions.ResponseTimeout
	expires instant // phase sent: when ResponseTimeout is over
}

// SendOptions say how a message goes and what is to come after it.
type SendOptions struct {
	// Confirmable retransmits it until it is acknowledged (RFC 7252 §4.2).
	Confirmable bool
	Expect      Expect
	// Token is that of the datagram; needed unless Expect is ExpectNothing.
	Token message.Token
	// ResponseTimeout is how long a Non-confirmable message waits for its response. 0 is
	// Config.ResponseTimeout.
	ResponseTimeout time.Duration
}

// NewToken draws a token of eight random bytes that is not in use towards a peer, so
// that nobody off the path can guess it (RFC 7252 §5.3.1).
func (e *Endpoint) NewToken(to peer.Addr) message.Token {
	for {
		var b [message.MaxTokenLength]byte
		binary.LittleEndian.PutUint64(b[:], e.rng.Uint64())
		token, _ := message.MakeToken(b[:])
		addr := matchAddr(to)
		if _, used := e.findToken(e.hash.token(&addr, token), addr, token); !used {
			return token
		}
	}
}

// Send sends an encoded message, whose type and message ID it chooses; datagram is
// copied. The message is transmitted by an event as soon as NStart, ProbingRate and the
// message IDs allow, and waits in the peer's queue until then. The exchange ends by a
// Verdict (ExpectOne), by an event Acknowledged (ExpectNothing, Confirmable) or Ended,
// silently on transmission (ExpectNothing, Non-confirmable), or by Cancel.
//
// A ping is an Empty Confirmable message of four bytes that expects nothing; the peer is
// alive when it ends with [ErrReset] or is acknowledged. A message to a multicast group is
// Non-confirmable and its responses come from any address (§8.1, §8.2).
//
// Errors: [ErrDatagram] where datagram is no message to send so, or its token is not
// o.Token; [ErrMulticastConfirmable]; [ErrTokenInUse]; [ErrTooManyExchanges],
// [ErrTooManyPeers] and [ErrQueueFull] at the limits of Config.
func (e *Endpoint) Send(now time.Time, to peer.Addr, datagram []byte, o SendOptions) (Outbound, error) {
	e.tick(now)
	if err := checkSend(to, datagram, o); err != nil {
		return 0, err
	}
	var hash uint32
	if o.Expect != ExpectNothing {
		addr := matchAddr(to)
		hash = e.hash.token(&addr, o.Token)
		if _, used := e.findToken(hash, addr, o.Token); used {
			return 0, ErrTokenInUse
		}
	}
	n, err := e.open(to, datagram, o, hash)
	if err != nil {
		e.stats.Refused++
		return 0, err
	}
	x := e.exchanges.at(n)
	x.limited = o.Expect != ExpectNothing || message.Code(datagram[1]) == message.Empty
	p := e.peers.at(x.peer)
	handle := e.handle(n)
	if ok, _ := e.admits(p, x); ok && (p.waiting.length == 0 || !x.limited) {
		e.start(n)
		return handle, nil
	}
	if p.waiting.length >= e.cfg.MaxQueued {
		e.close(n)
		e.stats.Refused++
		return 0, ErrQueueFull
	}
	x.phase = waiting
	e.exchanges.push(&p.waiting, n)
	e.pump(x.peer)
	return handle, nil
}

// open makes an exchange that is not yet under way. tokenHash is that of a token which a
// response will have.
func (e *Endpoint) open(to peer.Addr, datagram []byte, o SendOptions, tokenHash uint32) (uint32, error) {
	if e.exchanges.full() {
		return 0, ErrTooManyExchanges
	}
	pn, ok := e.peerOf(to)
	if !ok {
		return 0, ErrTooManyPeers
	}
	n, _ := e.exchanges.add()
	x := e.exchanges.at(n)
	x.to, x.peer = to, pn
	x.confirmable, x.expect, x.token = o.Confirmable, o.Expect, o.Token
	x.datagram, x.timeout = append(e.freeBuffer(), datagram...), instant(o.ResponseTimeout)
	if x.expect != ExpectNothing {
		x.tokenHash = tokenHash
		e.byToken.insert(x.tokenHash, n+1)
	}
	e.peers.at(pn).open++
	return n, nil
}

// respondReliably sends a Confirmable response by itself (§5.2.2).
func (e *Endpoint) respondReliably(to peer.Addr, datagram []byte) {
	n, err := e.open(to, datagram, SendOptions{Confirmable: true}, 0)
	if err != nil {
		e.stats.ResponsesLost++
		return
	}
	x := e.exchanges.at(n)
	x.internal = true
	if ok, _ := e.admits(e.peers.at(x.peer), x); !ok {
		e.stats.ResponsesLost++
		e.close(n)
		return
	}
	e.start(n)
}

// respondAtLeisure sends the response to a multicast request at "a random point of time
// within the chosen leisure period" (§8.2).
func (e *Endpoint) respondAtLeisure(to peer.Addr, datagram []byte) {
	n, err := e.open(to, datagram, SendOptions{}, 0)
	if err != nil {
		e.stats.ResponsesLost++
		return
	}
	x := e.exchanges.at(n)
	x.internal, x.phase = true, leisurely
	e.timers.set(n, e.now+instant(e.rng.Int64N(int64(e.cfg.DefaultLeisure)+1)))
}

// handle returns what the layer above calls an exchange.
func (e *Endpoint) handle(n uint32) Outbound {
	if e.exchanges.at(n).internal {
		return 0
	}
	return Outbound(e.exchanges.handle(n))
}

// start transmits the message of an exchange for the first time. It was admitted.
func (e *Endpoint) start(n uint32) {
	x := e.exchanges.at(n)
	p := e.peers.at(x.peer)
	x.id, _ = e.window(p).take(e.epoch())
	typ := message.NonConfirmable
	if x.confirmable {
		typ = message.Confirmable
	}
	writeHeader(x.datagram, typ, x.id)
	x.first = e.now
	e.stats.Transmissions++
	e.transmit(n)
	switch {
	case x.confirmable:
		e.await(n)
	case x.expect == ExpectNothing:
		x.phase = created
		e.close(n)
	default:
		e.mapID(n)
		e.awaitResponse(n)
	}
}

// transmit sends the message of an exchange once.
func (e *Endpoint) transmit(n uint32) {
	x := e.exchanges.at(n)
	x.attempts++
	if x.limited && !x.confirmable {
		e.charge(e.peers.at(x.peer), len(x.datagram))
	}
	attempt := x.attempts
	if x.internal && !x.confirmable {
		attempt = 0
	}
	e.out.transmit(x.to, x.datagram, e.handle(n), attempt)
}

// await starts the retransmission of a Confirmable message (§4.2: "the initial timeout
// is set to a random duration [...] between ACK_TIMEOUT and (ACK_TIMEOUT *
// ACK_RANDOM_FACTOR)").
func (e *Endpoint) await(n uint32) {
	x := e.exchanges.at(n)
	spread := int64(float64(e.cfg.AckTimeout) * (e.cfg.AckRandomFactor - 1))
	x.timeout = instant(e.cfg.AckTimeout) + instant(e.rng.Int64N(spread+1))
	x.phase, x.step = unacknowledged, 1
	e.mapID(n)
	p := e.peers.at(x.peer)
	if x.limited {
		p.outstanding++
	}
	e.exchanges.push(&p.flight, n)
	e.timers.set(n, x.due())
}

// due returns when the timeout of the current step is over: after 1, 3, 7, 15 … times
// the first one, as each is double the one before (§4.2).
func (x *exchange) due() instant { return x.first + x.timeout*(1<<x.step-1) }

// fireExchanges retransmits and gives up what is due.
func (e *Endpoint) fireExchanges() {
	for {
		t, ok := e.timers.next()
		if !ok || t.at > e.now {
			return
		}
		switch e.exchanges.at(t.n).phase { //nolint:exhaustive // no other phase has a timer
		case leisurely:
			e.endLeisure(t.n)
		case unanswered:
			e.neverAnswered(t.n)
		default:
			e.timeOut(t.n)
		}
	}
}

// endLeisure sends a response whose moment has come.
func (e *Endpoint) endLeisure(n uint32) {
	x := e.exchanges.at(n)
	e.timers.stop(n)
	x.phase = created
	if ok, _ := e.admits(e.peers.at(x.peer), x); !ok {
		e.stats.ResponsesLost++
		e.close(n)
		return
	}
	e.start(n)
}

// timeOut retransmits a Confirmable message or gives it up (§4.2).
func (e *Endpoint) timeOut(n uint32) {
	x := e.exchanges.at(n)
	last := int8(e.cfg.retransmissions() + 1)
	if x.step >= last {
		e.stats.Timeouts++
		e.fail(n, ErrTimeout, nil)
		return
	}
	// §4.2: "the entire sequence of (re-)transmissions MUST stay in the envelope of
	// MAX_TRANSMIT_SPAN [...], even if that means a sender may miss an opportunity".
	if e.now > x.first+instant(e.cfg.MaxTransmitSpan()) {
		x.step = last
		e.timers.set(n, x.due())
		return
	}
	x.step++
	e.stats.Retransmissions++
	e.transmit(n)
	// §4.2: "may catch up on the next one. However, the minimum spacing before another
	// retransmission is ACK_TIMEOUT".
	e.timers.set(n, max(x.due(), e.now+instant(e.cfg.AckTimeout)))
}

// Replace gives a Confirmable message that expects nothing and is not acknowledged yet
// other content, and transmits it under a new message ID; retransmission counter and
// timeout stay as they are (RFC 7641 §4.5.2: a newer state takes the place of an older
// one). From now on an Acknowledgement of the old ID means nothing. datagram is copied. It
// reports false, and does nothing, where x is no such message or no message ID is free.
func (e *Endpoint) Replace(now time.Time, x Outbound, datagram []byte) bool {
	e.tick(now)
	n, ok := e.exchanges.resolve(uint64(x))
	if !ok || len(datagram) < headerLength {
		return false
	}
	ex := e.exchanges.at(n)
	if ex.phase != unacknowledged || ex.expect != ExpectNothing {
		return false
	}
	id, ok := e.window(e.peers.at(ex.peer)).take(e.epoch())
	if !ok {
		return false
	}
	e.unmapID(n)
	ex.id, ex.datagram = id, append(ex.datagram[:0], datagram...)
	writeHeader(ex.datagram, message.Confirmable, id)
	e.mapID(n)
	e.out.transmit(ex.to, ex.datagram, e.handle(n), ex.attempts)
	return true
}

// awaitResponse starts ResponseTimeout.
func (e *Endpoint) awaitResponse(n uint32) {
	x := e.exchanges.at(n)
	if !x.confirmable && x.timeout > 0 {
		x.phase = unanswered
		e.exchanges.push(&e.peers.at(x.peer).flight, n)
		e.timers.set(n, e.now+x.timeout)
		return
	}
	x.phase = sent
	x.expires = e.now + instant(e.cfg.ResponseTimeout)
	e.exchanges.push(&e.awaiting, n)
}

// fireAwaiting ends the exchanges whose response never came.
func (e *Endpoint) fireAwaiting() {
	for {
		n, ok := e.exchanges.first(&e.awaiting)
		if !ok || e.exchanges.at(n).expires > e.now {
			return
		}
		e.neverAnswered(n)
	}
}

// neverAnswered ends an exchange whose response did not come in time.
func (e *Endpoint) neverAnswered(n uint32) {
	e.stats.ResponseTimeouts++
	e.fail(n, ErrResponseTimeout, nil)
}

// Cancel ends an exchange: no retransmission, no event and no response follow. It does
// nothing if x is over.
func (e *Endpoint) Cancel(now time.Time, x Outbound) {
	e.tick(now)
	if x == 0 {
		return
	}
	e.out.forget(x)
	if n, ok := e.exchanges.resolve(uint64(x)); ok {
		pn := e.exchanges.at(n).peer
		e.close(n)
		e.pump(pn)
	}
}

// fail ends an exchange with an error.
func (e *Endpoint) fail(n uint32, reason, cause error) {
	x := e.exchanges.at(n)
	pn := x.peer
	if !x.internal {
		err := &ExchangeError{Peer: x.to, Attempts: x.attempts, Err: reason, Cause: cause}
		e.out.push(Event{Kind: Ended, Peer: x.to, Outbound: e.handle(n), Attempt: x.attempts, Err: err})
	}
	e.close(n)
	e.pump(pn)
}

// leave takes an exchange out of the list and the timer that its phase has it in.
func (e *Endpoint) leave(n uint32) {
	x := e.exchanges.at(n)
	p := e.peers.at(x.peer)
	switch x.phase {
	case waiting:
		e.exchanges.unlink(&p.waiting, n)
	case leisurely:
		e.timers.stop(n)
	case unacknowledged:
		e.timers.stop(n)
		e.exchanges.unlink(&p.flight, n)
		if x.limited {
			p.outstanding--
		}
	case unanswered:
		e.timers.stop(n)
		e.exchanges.unlink(&p.flight, n)
	case sent:
		e.exchanges.unlink(&e.awaiting, n)
	case created, answered:
	}
	x.phase = created
}

// close frees an exchange. The peer's queue may go on then: see pump.
func (e *Endpoint) close(n uint32) {
	e.leave(n)
	e.unmapID(n)
	x := e.exchanges.at(n)
	if x.expect != ExpectNothing {
		e.byToken.remove(x.tokenHash, n+1)
	}
	e.peers.at(x.peer).open--
	e.keepBuffer(x.datagram)
	e.exchanges.remove(n)
}

// What is kept for the next burst of Confirmable messages, notifications say.
const (
	maxIdleBytes  = 1 << 20 // of buffers in all
	maxIdleBuffer = 2048
	maxIdleIDs    = 1 << 19 // bytes of the index of message IDs: those of some 15,000 messages
)

// freeBuffer returns an empty buffer for a datagram.
func (e *Endpoint) freeBuffer() []byte {
	if k := len(e.idleBuffers); k > 0 {
		b := e.idleBuffers[k-1]
		e.idleBuffers = e.idleBuffers[:k-1]
		e.idleBytes -= cap(b)
		return b[:0]
	}
	return nil
}

// keepBuffer takes a buffer back, unless it is large or there are enough.
func (e *Endpoint) keepBuffer(b []byte) {
	if cap(b) <= maxIdleBuffer && e.idleBytes+cap(b) <= maxIdleBytes {
		e.idleBuffers = append(e.idleBuffers, b)
		e.idleBytes += cap(b)
	}
}
