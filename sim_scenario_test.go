package coap_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/transport/simnet"
)

// A simScenario is all that a seed decides: the network, what goes wrong, and the work.
type simScenario struct {
	seed     uint64
	up, down simnet.Link // from clients to the server and back
	mtuKnown bool        // the endpoints' limits fit the links
	refusals bool

	params           coap.Params
	responseTimeout  time.Duration
	ackDelay         time.Duration
	notifyInterval   time.Duration
	policy           coap.NotifyPolicy
	ownBlock, blocks int // block sizes of clients and server

	partition, restart, move, stall simFault

	clients   int
	plans     []simPlan
	observers []simObserver
	pauses    []time.Duration // between changes of the state
}

// A simFault lasts from one moment to another; none where until is 0. A move is over at
// once.
type simFault struct{ from, until time.Duration }

func (f simFault) happens() bool { return f.until > 0 }

func (f simFault) String() string {
	if !f.happens() {
		return "none"
	}
	return fmt.Sprintf("%v to %v", f.from, f.until)
}

// A simPlan is one call.
type simPlan struct {
	client   int
	at       time.Duration
	kind     simKind
	non      bool
	up, down int           // bytes of the bodies
	slow     time.Duration // how long the handler takes
	detach   bool          // and how
	deadline time.Duration // of the call's context; 0: none
	cancel   bool          // it is cancelled then
}

type simKind int

const (
	simPost   simKind = iota // POST /work: bodies both ways
	simGet                   // GET /doc
	simStream                // PUT /stream: the caller's body is a Stream, and the handler reads it as it arrives
	simSource                // GET /source: the response is a Stream
	simPing
)

// A simObserver follows one resource.
type simObserver struct {
	client int
	at     time.Duration
	path   string
}

// The network is bad, and states change, until simHealed; calls begin before simWork.
const (
	simWork    = 60 * time.Second
	simHealed  = 150 * time.Second
	simBlocks  = 12 // at most, of a body
	simMinBody = 8
)

func newScenario(seed uint64) *simScenario {
	r := &simRand{rand.New(rand.NewPCG(seed, 1))}
	s := &simScenario{seed: seed, refusals: r.chance(0.5)}
	s.drawNetwork(r)
	s.drawFaults(r)
	s.params.NStart = pick(r, 0, 0, 4, -1, -1)
	s.params.ProbingRate = pick(r, 0, -1, -1, -1)
	s.responseTimeout = pick(r, 0, 60*time.Second)
	s.ackDelay = pick(r, 0, 0, -1, time.Second)
	s.notifyInterval = pick[time.Duration](r, 0, -1)
	s.policy = pick(r, coap.NotifyPolicy{}, coap.NotifyPolicy{Every: 2}, allConfirmable, allNonConfirmable)
	s.ownBlock, s.blocks = 16<<r.IntN(7), 16<<r.IntN(7)
	s.clients = 1 + r.IntN(3)
	for client := range s.clients {
		for range 2 + r.IntN(7) {
			s.plans = append(s.plans, s.newPlan(r, client))
		}
		for range r.IntN(3) {
			s.observers = append(s.observers, simObserver{client, r.upTo(simWork), pick(r, "/number", "/number", "/page")})
		}
	}
	for at := time.Duration(0); at < simHealed; {
		pause := pick(r, r.upTo(time.Second), r.upTo(20*time.Second))
		s.pauses = append(s.pauses, pause)
		at += pause
	}
	return s
}

func (s *simScenario) drawNetwork(r *simRand) {
	s.up = r.link()
	s.down = s.up
	if r.chance(0.5) {
		s.down = r.link() // asymmetric
	}
	if r.chance(0.2) {
		s.up.MTU = 150 + r.IntN(1200)
		s.down.MTU = s.up.MTU
		s.mtuKnown = r.chance(0.7)
	}
}

func (s *simScenario) drawFaults(r *simRand) {
	if r.chance(0.2) {
		s.partition = r.fault(60 * time.Second)
	}
	if r.chance(0.15) {
		s.restart = r.fault(20 * time.Second)
	}
	if r.chance(0.15) {
		s.move = r.fault(1)
	}
	if r.chance(0.1) {
		s.stall = r.fault(20 * time.Second)
	}
}

func (s *simScenario) newPlan(r *simRand, client int) simPlan {
	block := min(s.ownBlock, s.blocks)
	p := simPlan{
		client: client, at: r.upTo(simWork), non: r.chance(0.25),
		kind: pick(r, simPost, simPost, simPost, simPost, simGet, simStream, simSource, simPing),
		down: simMinBody,
	}
	long := func() int { return simMinBody + r.IntN(block*simBlocks) }
	switch p.kind {
	case simPost:
		if r.chance(0.3) {
			p.up = long()
		}
		if r.chance(0.3) {
			p.down = long()
		}
		if r.chance(0.3) {
			p.slow, p.detach = r.upTo(10*time.Second), r.chance(0.5)
		}
	case simGet, simSource:
		p.down = long()
	case simStream:
		p.up = long()
	case simPing:
		p.non = false
	}
	// At PROBING_RATE a Non-confirmable message may wait for hours.
	if r.chance(0.25) || p.non && s.params.ProbingRate == 0 {
		p.deadline, p.cancel = r.upTo(60*time.Second), r.chance(0.3)
	}
	return p
}

// calm reports whether nothing can get lost.
func (s *simScenario) calm() bool {
	return s.up.Loss == 0 && s.down.Loss == 0 && !s.narrow() && !s.forgetful() &&
		!s.partition.happens() && !s.stall.happens()
}

// narrow reports whether messages may be too long for a link.
func (s *simScenario) narrow() bool { return s.up.MTU > 0 && !s.mtuKnown }

// forgetful reports whether the server may not know a client again.
func (s *simScenario) forgetful() bool { return s.restart.happens() || s.move.happens() }

func (s *simScenario) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "up %+v\ndown %+v\nMTU known %v, refusals %v\n", s.up, s.down, s.mtuKnown, s.refusals)
	fmt.Fprintf(&b, "partition %v, restart %v, move %v, stall %v\n", s.partition, s.restart, s.move, s.stall)
	fmt.Fprintf(&b, "NSTART %d, PROBING_RATE %d, response timeout %v, ACK delay %v, notifications %+v every %v, blocks %d and %d\n",
		s.params.NStart, s.params.ProbingRate, s.responseTimeout, s.ackDelay, s.policy, s.notifyInterval, s.ownBlock, s.blocks)
	for n, p := range s.plans {
		fmt.Fprintf(&b, "call %d: %v\n", n, p)
	}
	for i, o := range s.observers {
		fmt.Fprintf(&b, "observer %d: %+v\n", i, o)
	}
	return b.String()
}

// String names the call.
func (p simPlan) String() string {
	type plain simPlan // without String
	return fmt.Sprintf("%s %+v", p.kind, plain(p))
}

func (k simKind) String() string {
	return [...]string{"POST /work", "GET /doc", "PUT /stream", "GET /source", "ping"}[k]
}

// A simRand draws scenarios.
type simRand struct{ *rand.Rand }

func (r *simRand) chance(p float64) bool { return r.Float64() < p }

// upTo returns a moment that no other event is likely to share.
func (r *simRand) upTo(d time.Duration) time.Duration { return 1 + time.Duration(r.Int64N(int64(d))) }

func (r *simRand) fault(longest time.Duration) simFault {
	from := r.upTo(simWork)
	return simFault{from, from + r.upTo(longest)}
}

func (r *simRand) link() simnet.Link {
	const longest = 5 * time.Second
	l := simnet.Link{
		Loss:      pick(r, 0, 0, r.Float64()/5, r.Float64()/2),
		Duplicate: pick(r, 0, r.Float64()/2),
		Reorder:   pick(r, 0, r.Float64()/2),
		Delay:     pick(r, 0, r.upTo(50*time.Millisecond), r.upTo(time.Second), r.upTo(longest)),
	}
	l.Jitter = pick(r, 0, r.upTo(l.Delay+1), r.upTo(longest-l.Delay+1))
	return l
}

func pick[T any](r *simRand, from ...T) T { return from[r.IntN(len(from))] }
