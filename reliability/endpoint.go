package reliability

import (
	"math/rand/v2"
	"time"

	"github.com/motewire/coap/message"
	"github.com/motewire/coap/peer"
)

// An Endpoint is the message layer of one local endpoint, in both roles (RFC 7252 §4,
// §5.2, §5.3). One goroutine owns it. Its inputs are the methods that take now, which
// never goes backwards; after each the owner drains Poll and arms a timer for Deadline.
// It keeps no datagram that it is given.
type Endpoint struct {
	cfg      Config
	rng      *rand.Rand
	hash     hasher
	lifetime instant // EXCHANGE_LIFETIME
	base     time.Time
	now      instant
	fetched  uint32 // what Anticipate has seen; it means nothing

	dedup    dedup         // messages received
	requests slab[inbound] // requests in hand
	owed     list          // of them, those to be acknowledged when AckDelay is over

	exchanges   slab[exchange] // outgoing messages
	byID        index          // those that an Acknowledgement or Reset may answer
	byToken     index          // those that a response may answer
	timers      timers         // retransmission and leisure, by exchange
	awaiting    list           // exchanges whose ResponseTimeout runs
	idleBuffers [][]byte
	idleBytes   int // their capacity

	peers    slab[peerState]
	byPeer   index
	reviews  list   // all peers, by review
	wakes    timers // when a queue can go on, by peer
	groupIDs idWindow

	out   outbox
	stats Stats
}

// New returns an Endpoint that knows no peer. rng must be unpredictable (ChaCha8 seeded by
// the system), as message IDs, tokens and timeouts are drawn from it, and belongs to the
// Endpoint from now on. The error wraps [ErrParams].
func New(cfg Config, rng *rand.Rand) (*Endpoint, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	e := &Endpoint{cfg: cfg, rng: rng, hash: newHasher(rng), lifetime: instant(cfg.ExchangeLifetime())}
	e.dedup = newDedup(&e.cfg, &e.hash)
	e.requests.limit, e.exchanges.limit, e.peers.limit = cfg.MaxInbound, cfg.MaxOutbound, cfg.MaxPeers
	e.byID.keep = maxIdleIDs
	e.groupIDs = idWindow{base: unicastIDs, size: multicastIDs, next: uint16(rng.UintN(multicastIDs))}
	return e, nil
}

// tick takes the time of an input over. An earlier one counts as the last.
func (e *Endpoint) tick(now time.Time) {
	if e.base.IsZero() {
		e.base = now
	}
	e.now = max(e.now, instant(now.Sub(e.base)))
	e.out.reset()
}

// expiredPerMessage is how many chunks of old records of each class a message received
// takes along: more than it adds, so that a busy endpoint needs no timer to forget.
const expiredPerMessage = 1

// Receive takes a well-formed message. multicast says that it was sent to a group. v is
// not used after Receive returns. The verdict says what is left to do for the layer
// above.
func (e *Endpoint) Receive(now time.Time, from peer.Addr, multicast bool, v *message.View) Verdict {
	e.tick(now)
	e.stats.Received++
	e.dedup.expire(e.now, expiredPerMessage)
	e.heard(from)
	// §8.1: "Such multicast requests MUST be Non-confirmable"; nothing else goes to a group.
	if multicast && (v.Type() != message.NonConfirmable || !v.Code().IsRequest()) {
		e.stats.IgnoredMulticast++
		return Verdict{}
	}
	switch v.Type() {
	case message.Acknowledgement:
		return e.receiveAcknowledgement(&from, v)
	case message.Reset:
		return e.receiveReset(from, v.ID())
	}
	if v.Code() == message.Empty {
		return e.receiveEmpty(from, v)
	}
	key := e.dedup.key(&from, v.ID(), v.Type() == message.Confirmable)
	if ref, r := e.dedup.find(e.now, key, &from, v.ID(), v.Type() == message.Confirmable); r != nil {
		return e.receiveDuplicate(multicast, v.Code().IsRequest(), ref, r)
	}
	if v.Code().IsRequest() {
		return e.receiveRequest(key, &from, multicast, v)
	}
	return e.receiveResponse(key, &from, v)
}

// Anticipate says that a datagram will be given to Receive soon. It changes nothing. Where
// it is called for each of a batch before the first is received, the memory that they need
// is fetched for all at a time instead of for one after the other, once there is too much
// of it for the processor's caches.
func (e *Endpoint) Anticipate(from *peer.Addr, datagram []byte) {
	if len(datagram) < headerLength || e.dedup.lookup.bytes < cachedBytes {
		return
	}
	id := message.ID(datagram[2])<<8 | message.ID(datagram[3])
	confirmable := message.Type(datagram[0]>>4&3) == message.Confirmable
	e.fetched += e.dedup.lookup.touch(e.dedup.key(from, id, confirmable))
}

// cachedBytes is how large a table the caches hold for sure.
const cachedBytes = 1 << 20

// receiveEmpty answers a ping (§4.3: "*": "only to elicit a Reset message").
func (e *Endpoint) receiveEmpty(from peer.Addr, v *message.View) Verdict {
	if v.Type() == message.NonConfirmable { // §4.3: MUST NOT be Empty
		e.stats.IgnoredEmpty++
		return Verdict{}
	}
	e.stats.Pings++
	e.emitEmpty(from, message.Reset, v.ID())
	return Verdict{}
}

// Malformed takes a datagram that View.Parse refused with err. It changes nothing but
// counters. A Confirmable message whose header could be read is rejected (RFC 7252
// §4.2); everything else is dropped: other types (§4.2, §4.3), unknown versions (§3),
// and what was sent to a group (§8.1).
func (e *Endpoint) Malformed(now time.Time, from peer.Addr, multicast bool, v *message.View, err *message.FormatError) {
	e.tick(now)
	e.stats.Malformed++
	if err.Intact && !multicast && v.Type() == message.Confirmable {
		e.emitEmpty(from, message.Reset, v.ID())
	}
}

// Unserved takes a well-formed request where none is served: a Confirmable one is rejected
// (RFC 7252 §4.2), unless it was sent to a group, any other ignored (§4.3). Nothing is
// remembered of it, so that requests with a forged source cannot use up the message IDs of
// that endpoint's responses.
func (e *Endpoint) Unserved(now time.Time, from peer.Addr, multicast bool, v *message.View) {
	e.tick(now)
	e.stats.Unserved++
	if !multicast && v.Type() == message.Confirmable {
		e.emitEmpty(from, message.Reset, v.ID())
	}
}

// emitEmpty sends an Empty Acknowledgement or Reset.
func (e *Endpoint) emitEmpty(to peer.Addr, t message.Type, id message.ID) {
	if t == message.Reset {
		e.stats.ResetsSent++
	} else {
		e.stats.AcknowledgementsSent++
	}
	datagram := [4]byte{1<<6 | byte(t)<<4, byte(message.Empty), byte(id >> 8), byte(id)}
	e.out.transmit(to, datagram[:], 0, 0)
}

// Advance fires every timer that is due.
func (e *Endpoint) Advance(now time.Time) {
	e.tick(now)
	e.fireOwed()
	e.fireExchanges()
	e.fireAwaiting()
	e.firePeers()
	e.dropPeers()
	if at, ok := e.dedup.deadline(); ok && at <= e.now {
		e.dedup.expire(e.now, e.dedup.records())
	}
}

// Poll returns the next event, and false when there is none. Its Datagram is valid until
// the next input.
func (e *Endpoint) Poll() (Event, bool) { return e.out.poll() }

// Deadline returns when Advance is to be called, and false while nothing is under way.
// Memory of duplicates and of peers is given back in large pieces, so that an idle
// Endpoint wakes seldom and then no more.
func (e *Endpoint) Deadline() (at time.Time, ok bool) {
	var first instant
	consider := func(at instant) {
		if !ok || at < first {
			first, ok = at, true
		}
	}
	if n, found := e.requests.first(&e.owed); found {
		consider(e.requests.at(n).ackAt)
	}
	if t, found := e.timers.next(); found {
		consider(t.at)
	}
	if n, found := e.exchanges.first(&e.awaiting); found {
		consider(e.exchanges.at(n).expires)
	}
	if t, found := e.wakes.next(); found {
		consider(t.at)
	}
	if n, found := e.peers.first(&e.reviews); found {
		consider(e.peers.at(n).review)
	}
	if at, found := e.dedup.deadline(); found {
		consider(at)
	}
	return e.base.Add(time.Duration(first)), ok
}
