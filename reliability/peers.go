package reliability

import (
	"time"

	"github.com/motewire/coap/message"
	"github.com/motewire/coap/peer"
)

// probingBurst is how many bytes go to a silent peer before PROBING_RATE slows them.
const probingBurst = 4096

// A peerState is what sending to a peer needs: message IDs in use, the queue, and what
// counts against NSTART and PROBING_RATE. It goes when no exchange is open, all IDs are
// out of use and the peer was silent for long enough that its burst is whole again.
type peerState struct {
	addr        peer.Addr // without the local address
	ids         idWindow  // not for groups, which share one
	open        int32     // exchanges of any kind
	outstanding int32     // unacknowledged ones that count against NSTART (§4.7)
	waiting     list      // exchanges not sent yet
	flight      list      // messages under way: exchanges in phase unacknowledged and unanswered
	rested      instant   // when the burst is whole again; in the past: it is
	review      instant   // when to look whether the state can go
}

// peerOf returns the state of a peer, made if need be; false at MaxPeers.
func (e *Endpoint) peerOf(to peer.Addr) (uint32, bool) {
	addr := to.Remote()
	hash := e.hash.remote(&addr, 0)
	if n, ok := e.findPeer(hash, addr); ok {
		return n, true
	}
	n, ok := e.peers.add()
	if !ok {
		return 0, false
	}
	p := e.peers.at(n)
	p.addr = addr
	p.ids = idWindow{size: unicastIDs, next: uint16(e.rng.UintN(unicastIDs)), epoch: e.epoch()}
	e.byPeer.insert(hash, n+1)
	e.reviewLater(n)
	return n, true
}

func (e *Endpoint) findPeer(hash uint32, addr peer.Addr) (uint32, bool) {
	for p := e.byPeer.find(hash); p.ref != 0; p.next() {
		if e.peers.at(p.ref-1).addr == addr {
			return p.ref - 1, true
		}
	}
	return 0, false
}

// reviewLater puts a peer at the end of the queue for dropPeers, due after one lifetime.
// Times are rounded up, so that many peers go in one wake-up.
func (e *Endpoint) reviewLater(n uint32) {
	step := e.lifetime/idEpochs + 1
	at := e.now + e.lifetime
	e.peers.at(n).review = at + step - at%step
	e.peers.push(&e.reviews, n)
}

// dropPeers forgets peers that nothing is under way to.
func (e *Endpoint) dropPeers() {
	for {
		n, ok := e.peers.first(&e.reviews)
		if !ok || e.peers.at(n).review > e.now {
			return
		}
		e.peers.unlink(&e.reviews, n)
		if p := e.peers.at(n); p.open > 0 || p.ids.live(e.epoch()) > 0 || p.rested > e.now {
			e.reviewLater(n)
			continue
		}
		e.byPeer.remove(e.hash.remote(&e.peers.at(n).addr, 0), n+1)
		e.peers.remove(n)
	}
}

// epoch numbers the parts of a message ID's lifetime.
func (e *Endpoint) epoch() int64 { return int64(e.now / e.epochLength()) }

func (e *Endpoint) epochLength() instant { return e.lifetime/idEpochs + 1 }

// window returns where the message IDs towards a peer come from.
func (e *Endpoint) window(p *peerState) *idWindow {
	if p.addr.IsMulticast() {
		return &e.groupIDs
	}
	return &p.ids
}

// takeID returns the next message ID for a response outside any exchange; false where
// none is free or there are too many peers.
func (e *Endpoint) takeID(to peer.Addr) (message.ID, bool) {
	n, ok := e.peerOf(to)
	if !ok {
		return 0, false
	}
	return e.window(e.peers.at(n)).take(e.epoch())
}

// IDsExhausted reports whether all message IDs towards a peer are in use, so that a
// message would wait (RFC 7252 §4.4). A client may then use another source port.
func (e *Endpoint) IDsExhausted(now time.Time, to peer.Addr) bool {
	e.tick(now)
	addr := to.Remote()
	n, ok := e.findPeer(e.hash.remote(&addr, 0), addr)
	if !ok {
		return false
	}
	w := e.window(e.peers.at(n))
	return w.live(e.epoch()) >= int(w.size)
}

// heard notes that a peer is not silent: its burst is whole again (§4.7).
func (e *Endpoint) heard(from peer.Addr) {
	if e.peers.live == 0 {
		return
	}
	addr := from.Remote()
	n, ok := e.findPeer(e.hash.remote(&addr, 0), addr)
	if !ok || e.peers.at(n).rested == 0 {
		return
	}
	e.peers.at(n).rested = 0
	e.pump(n)
}

// probingCost is how long PROBING_RATE takes for n bytes.
func (e *Endpoint) probingCost(n int) instant {
	return instant(n) * instant(time.Second) / instant(e.cfg.ProbingRate)
}

// charge counts n bytes to a peer that may be silent.
func (e *Endpoint) charge(p *peerState, n int) {
	if e.cfg.ProbingRate > 0 && !p.addr.IsMulticast() {
		p.rested = max(p.rested, e.now) + e.probingCost(n)
	}
}

// probe returns when n bytes may go to a peer that does not answer; the past for now.
func (e *Endpoint) probe(p *peerState, n int) instant {
	if e.cfg.ProbingRate <= 0 || p.addr.IsMulticast() {
		return 0
	}
	return p.rested - e.probingCost(probingBurst-min(n, probingBurst))
}
