package observe

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// A State is where an [Observation] stands.
type State uint8

const (
	// Registering: the first request is under way.
	Registering State = iota
	// Established: the server has accepted, and the last state is fresh.
	Established
	// Stale: Max-Age is over without news (RFC 7641 §3.3.1).
	Stale
	// Over: nothing more is to come.
	Over
)

// ObservationConfig holds the parameters of an [Observation]. The zero value is the
// RFC's.
type ObservationConfig struct {
	// MinGrace and MaxGrace bound the random time for which a client waits beyond Max-Age
	// before it registers again (RFC 7641 §3.3.1). Default 5 s and 15 s.
	MinGrace, MaxGrace time.Duration
	// MaxRetry bounds the time between registrations that fail one after the other, which
	// doubles from the grace time. Default 5 min.
	MaxRetry time.Duration
}

// An Observation is a client's side of one observation. One goroutine owns it; now never
// goes backward.
type Observation struct {
	cfg   ObservationConfig
	rng   *rand.Rand
	fresh Freshness
	state State
	asked bool // a registration request is under way, and nothing fresh came since
	doubt bool // asked, but something came that may have been the answer

	staleAt time.Time // Established: when Max-Age is over
	askAt   time.Time // Established and Stale, not asked or in doubt: when to register again
	retry   time.Duration
}

// NewObservation returns an Observation whose first registration request the owner sends
// now. rng draws the grace times and may be shared. The error wraps [ErrConfig].
func NewObservation(cfg ObservationConfig, rng *rand.Rand) (*Observation, error) {
	cfg.MinGrace = orDefault(cfg.MinGrace, 5*time.Second)
	cfg.MaxGrace = orDefault(cfg.MaxGrace, max(15*time.Second, cfg.MinGrace))
	cfg.MaxRetry = orDefault(cfg.MaxRetry, 5*time.Minute)
	if cfg.MinGrace < 0 || cfg.MaxGrace < cfg.MinGrace || cfg.MaxRetry < 0 {
		return nil, fmt.Errorf("%w: %+v", ErrConfig, cfg)
	}
	return &Observation{cfg: cfg, rng: rng, asked: true}, nil
}

// State returns where the observation stands.
func (o *Observation) State() State { return o.state }

// An Arrival is a response with the observation's token, as far as it concerns an
// Observation.
type Arrival struct {
	// Success: the response code is 2.xx.
	Success bool
	// Observed: there is an Observe option, whose value is Sequence.
	Observed bool
	Sequence uint32
	// MaxAge is how long the state is fresh from now on (RFC 7252 §5.10.5).
	MaxAge time.Duration
	// Answer: this is certainly the response to the latest registration request and no
	// notification, as it is piggybacked on its Acknowledgement.
	Answer bool
}

// A Reception says what an [Arrival] is.
type Reception uint8

const (
	// Fresh: the present state, for the user.
	Fresh Reception = iota
	// Reordered: older than what the user has (RFC 7641 §3.4), or the same once more.
	Reordered
	// NotObserved: a state for the user, and the last: the server has not accepted, or
	// has removed the client from its list of observers (RFC 7641 §3.1, §4.1).
	NotObserved
	// Error: an error response ends the observation (RFC 7641 §3.2).
	Error
	// Late: the observation is over. A Confirmable message is to be answered by a Reset,
	// so that the server learns of it (RFC 7641 §3.6).
	Late
)

// Receive takes a response.
func (o *Observation) Receive(now time.Time, a Arrival) Reception {
	switch {
	case o.state == Over:
		return Late
	case !a.Success:
		o.state = Over
		return Error
	case !a.Observed:
		o.state = Over
		return NotObserved
	}
	// A server that was started again may count from anywhere. Where nothing fresh
	// came since the request, its answer has nothing to be compared with.
	if a.Answer && o.asked {
		o.fresh.Reset()
	}
	if !o.fresh.Accept(now, a.Sequence) {
		o.doubtful(now)
		return Reordered
	}
	o.asked, o.doubt = false, false
	o.state, o.retry = Established, 0
	o.staleAt = now.Add(max(0, a.MaxAge))
	o.askAt = o.staleAt.Add(o.grace())
	return Fresh
}

// doubtful takes a response that is older by its number. It is a notification from before the
// registration request, or the answer to it, in a message of its own, of a server that
// counts anew: nothing else may follow then. So the request is sent again after a while, until
// the last fresh response is so long ago that numbers don't count (RFC 7641 §3.4).
func (o *Observation) doubtful(now time.Time) {
	if o.state == Stale && o.asked && !o.doubt {
		o.doubt = true
		o.askAt = now.Add(o.backOff())
	}
}

// grace draws the time to wait beyond Max-Age (RFC 7641 §3.3.1).
func (o *Observation) grace() time.Duration {
	return o.cfg.MinGrace + time.Duration(o.rng.Int64N(int64(o.cfg.MaxGrace-o.cfg.MinGrace)+1))
}

// backOff returns the time to wait after a registration that failed.
func (o *Observation) backOff() time.Duration {
	if o.retry == 0 {
		o.retry = o.grace()
	} else {
		o.retry *= 2
	}
	o.retry = min(o.retry, max(o.cfg.MaxRetry, o.cfg.MinGrace))
	return o.retry
}

// Failed says that a registration request has failed: time-out, Reset, or a report of
// the network. It reports whether the observation goes on: the first registration ends it,
// and as the server may have got it nevertheless, the owner sends the request with
// Observe 1; a later one is tried again after a while, and the state in hand is stale
// meanwhile, unless a notification has come since.
func (o *Observation) Failed(now time.Time) bool {
	switch {
	case o.state == Over:
		return false
	case o.state == Registering:
		o.state = Over
		return false
	case o.asked:
		o.asked, o.doubt = false, false
		o.askAt = now.Add(o.backOff())
	}
	return true
}

// Advance takes the passing of time. It reports whether the owner is to send a
// registration request now, with the same token and options as the first (RFC 7641
// §3.3.1).
func (o *Observation) Advance(now time.Time) (register bool) {
	if o.state == Established && !now.Before(o.staleAt) {
		o.state = Stale
	}
	if o.state != Stale || o.asked && !o.doubt || now.Before(o.askAt) {
		return false
	}
	o.asked, o.doubt = true, false
	return true
}

// Deadline returns when Advance is to be called, and false while there is nothing to
// wait for but responses.
func (o *Observation) Deadline() (at time.Time, ok bool) {
	switch {
	case o.state == Established:
		return o.staleAt, true
	case o.state == Stale && (!o.asked || o.doubt):
		return o.askAt, true
	}
	return time.Time{}, false
}

// Cancel ends the observation from this side. It reports whether the server may have the
// client in its list of observers, so that a request with Observe 1 and the same token
// and options is to be sent (RFC 7641 §3.6).
func (o *Observation) Cancel() (deregister bool) {
	deregister = o.state != Over
	o.state = Over
	return deregister
}
