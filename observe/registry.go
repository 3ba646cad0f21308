package observe

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/motewire/coap/message"
	"github.com/motewire/coap/peer"
)

// An instant is a time in nanoseconds since the first input of a Registry. Tables hold
// instants, as a time.Time has a pointer.
type instant int64

// A Registry is the list of observers of a server (RFC 7641 §4.1) and decides which
// notification leaves when. One goroutine owns it; now never goes backward. Its tables
// hold no pointers.
type Registry struct {
	cfg   Config
	hash  hasher
	base  time.Time
	now   instant
	stats Stats

	observers slab[observer, [3]link]
	peers     slab[client, [2]link]
	resources []resource
	byPeer    index // clients
	byToken   index // observers
	byID      index // observers by the message IDs of their last notifications, but for clients' first

	spreading list // resources, by number, with observers that do not know of a change yet
	ring      list // clients that may be sent something now
	pausing   list // clients that were, lately, by the end of their pause
	blocked   int  // of them, those that something waits for
	silence   list // observers by the time of their last Confirmable notification
}

// Which link of a cell a list uses.
const (
	ofResource, ofReady, ofSilence = 0, 1, 2 // of observers
	ofRing, ofPausing              = 0, 1    // of clients
)

// NewRegistry returns a Registry without observers. rng must be unpredictable; it is used
// here alone, for keys of hash tables. The error wraps [ErrConfig].
func NewRegistry(cfg Config, rng *rand.Rand) (*Registry, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &Registry{cfg: cfg.withDefaults(), hash: newHasher(rng)}, nil
}

// tick takes the time of an input over. An earlier one counts as the last.
func (r *Registry) tick(now time.Time) {
	if r.base.IsZero() {
		r.base = now
	}
	r.now = max(r.now, instant(now.Sub(r.base)))
}

// An observer is an observation: a client endpoint and token (RFC 7641 §4.1).
type observer struct {
	silentSince    instant // last Confirmable notification, or registration
	exchange       Exchange
	token          message.Token
	flags          flags
	nons           uint8 // Non-confirmable notifications since the last Confirmable one
	places         places
	ids            [rememberedIDs]message.ID
	client         uint32
	resource       uint32
	representation Representation
	change         uint32 // the last change of the resource that was marked
	sequence       uint32 // the last Observe value
}

type flags uint8

const (
	// dirty: there is a newer state than the last one sent. Unless inFlight, the observer
	// is in a ready list of its client.
	dirty flags = 1 << iota
	// inFlight: a Confirmable notification is unacknowledged.
	inFlight
	// urgent: the next one must be Confirmable.
	urgent
	// concluding: the last notification is under way.
	concluding
	// inLane1: which ready list it is, while in one.
	inLane1
)

// A client is a client endpoint with at least one observation.
type client struct {
	addr        peer.Addr
	pausedUntil instant
	// ready holds the observers with something to send: lane 0 those whose notification
	// may be Non-confirmable and is paced, lane 1 Confirmable ones.
	ready        [2]list
	first        uint32 // an observer as number+1; 0: none. See indexed
	observations uint16
	outstanding  uint16 // unacknowledged notifications
	turn         uint8  // the lane that is next, if both can go
	inRing       bool
	pause        pause
	blocked      bool // counted in Registry.blocked
}

// A pause says what of a client waits; unless noPause it is in the list pausing.
type pause uint8

const (
	noPause pause = iota
	nonPause
	fullPause
)

// lane returns from which ready list the client may be sent something now, -1: none.
func (c *client) lane(nstart int) int {
	if nstart > 0 && int(c.outstanding) >= nstart || c.pause == fullPause {
		return -1
	}
	can := [2]bool{c.ready[0].head != 0 && c.pause == noPause, c.ready[1].head != 0}
	switch {
	case can[c.turn]:
		return int(c.turn)
	case can[1-c.turn]:
		return int(1 - c.turn)
	}
	return -1
}

// schedule puts a client where it belongs after any change to it.
func (r *Registry) schedule(n uint32) {
	c := r.peers.at(n)
	if !c.inRing && c.lane(r.cfg.NStart) >= 0 {
		c.inRing = true
		r.peers.push(&r.ring, ofRing, n)
	}
	blocked := c.pause != noPause && c.ready[0].head != 0 || c.pause == fullPause && c.ready[1].head != 0
	if blocked != c.blocked {
		c.blocked = blocked
		if blocked {
			r.blocked++
		} else {
			r.blocked--
		}
	}
}

// Register takes the registration of a client for a resource, a request with Observe 0
// (RFC 7641 §4.1). It comes before the state for the response is read: a change after it
// leads to a notification. One that is answered with an error, without Observe option or
// by multicast is no registration: it does not come here, or Deregister takes it back.
func (r *Registry) Register(now time.Time, from peer.Addr, token message.Token, to Resource, representation Representation) Registration {
	r.tick(now)
	var result Registration
	if n, ok := r.find(from, token); ok {
		o := r.observers.at(n)
		if o.resource == uint32(to) && o.representation == representation && o.flags&concluding == 0 {
			return r.refresh(n)
		}
		r.stats.Replaced++
		result.Outcome, result.Removed = Replaced, r.remove(n)
	}
	if !r.admits(from, to) {
		result.Outcome = Refused
		return result
	}
	if result.Outcome == Refused {
		result.Outcome = New
	}
	n := r.enter(from, token, to, representation)
	result.Observer, result.Sequence = Observer(r.observers.handle(n)), r.number(n)
	r.stats.Registered++
	return result
}

// refresh notes that a client is still interested.
func (r *Registry) refresh(n uint32) Registration {
	r.stats.Refreshed++
	r.touch(n)
	return Registration{Outcome: Refreshed, Observer: Observer(r.observers.handle(n)), Sequence: r.number(n)}
}

// admits reports whether the limits allow one more observer, and counts if not.
func (r *Registry) admits(from peer.Addr, to Resource) bool {
	if r.observers.live >= r.cfg.MaxObservers {
		r.stats.RefusedTotal++
		return false
	}
	if n, ok := r.findClient(from); ok && int(r.peers.at(n).observations) >= r.cfg.MaxPerPeer {
		r.stats.RefusedPeer++
		return false
	}
	if !r.grow(to) || r.resources[to].ending || int(r.resources[to].observers) >= r.cfg.MaxPerResource {
		r.stats.RefusedResource++
		return false
	}
	return true
}

// enter adds an observer.
func (r *Registry) enter(from peer.Addr, token message.Token, to Resource, representation Representation) uint32 {
	cn := r.client(from)
	n := r.observers.add()
	res := &r.resources[to]
	*r.observers.at(n) = observer{
		token: token, client: cn, resource: uint32(to), representation: representation,
		change: res.change, silentSince: r.now, sequence: (r.clock() - 1) & sequenceMask,
	}
	c := r.peers.at(cn)
	if c.observations++; c.first == 0 {
		c.first = n + 1
	}
	res.observers++
	r.observers.push(&res.current, ofResource, n)
	r.observers.push(&r.silence, ofSilence, n)
	r.byToken.insert(r.hash.token(cn, token), n+1)
	return n
}

// find returns the observer with a token of a client.
func (r *Registry) find(from peer.Addr, token message.Token) (uint32, bool) {
	cn, ok := r.findClient(from)
	if !ok {
		return 0, false
	}
	for p := r.byToken.find(r.hash.token(cn, token)); p.ref != 0; p.next() {
		if o := r.observers.at(p.ref - 1); o.client == cn && o.token == token {
			return p.ref - 1, true
		}
	}
	return 0, false
}

func (r *Registry) findClient(addr peer.Addr) (uint32, bool) {
	for p := r.byPeer.find(r.hash.peer(addr)); p.ref != 0; p.next() {
		if r.peers.at(p.ref-1).addr == addr {
			return p.ref - 1, true
		}
	}
	return 0, false
}

// client returns a client endpoint, made if need be.
func (r *Registry) client(addr peer.Addr) uint32 {
	if n, ok := r.findClient(addr); ok {
		return n
	}
	n := r.peers.add()
	r.peers.at(n).addr = addr
	r.byPeer.insert(r.hash.peer(addr), n+1)
	return n
}

// SetPolicy says how the notifications of a resource go from now on. The error wraps
// [ErrConfig]: an impossible policy, or a number beyond Config.MaxResources.
func (r *Registry) SetPolicy(to Resource, p Policy) error {
	if err := p.Validate(); err != nil {
		return err
	}
	if !r.grow(to) {
		return fmt.Errorf("%w: resource %d of %d", ErrConfig, to, r.cfg.MaxResources)
	}
	r.resources[to].setPolicy(p)
	return nil
}
