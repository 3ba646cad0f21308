package reliability

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// ErrParams is wrapped by every error about an impossible [Params] or [Config].
var ErrParams = errors.New("reliability: impossible parameters")

// maxLifetime bounds the derived times, so that no sum of durations can overflow.
const maxLifetime = 365 * 24 * time.Hour

// Params are the transmission parameters of RFC 7252 §4.8. The zero value means the
// RFC's defaults, field by field. Every endpoint that is talked to must use the same
// values, as lifetimes derive from them (§4.8.1).
type Params struct {
	// AckTimeout is the shortest time before the first retransmission (default 2 s).
	AckTimeout time.Duration
	// AckRandomFactor times AckTimeout is the longest one (default 1.5, at least 1).
	AckRandomFactor float64
	// MaxRetransmit is how often a Confirmable message is sent again (default 4;
	// negative: never).
	MaxRetransmit int
	// NStart is how many interactions with one peer may be outstanding at once
	// (default 1; negative: any number) (§4.7).
	NStart int
	// DefaultLeisure is the span in which a multicast request is answered at a random
	// moment (default 5 s; negative: none, the answer goes at once) (§8.2).
	DefaultLeisure time.Duration
	// ProbingRate is how many bytes per second go to a peer that does not answer
	// (default 1; negative: any number) (§4.7).
	ProbingRate int
	// MaxLatency is the longest time a datagram is under way (default 100 s; negative:
	// none).
	MaxLatency time.Duration
	// ProcessingDelay is the longest time from a Confirmable message to its
	// Acknowledgement (default AckTimeout; negative: none).
	ProcessingDelay time.Duration
}

// WithDefaults returns p with the RFC's default in every field that is zero
// (RFC 7252 §4.8, Table 2 and §4.8.2).
func (p Params) WithDefaults() Params {
	p.AckTimeout = orDefault(p.AckTimeout, 2*time.Second)
	p.AckRandomFactor = orDefault(p.AckRandomFactor, 1.5)
	p.MaxRetransmit = orDefault(p.MaxRetransmit, 4)
	p.NStart = orDefault(p.NStart, 1)
	p.DefaultLeisure = orDefault(p.DefaultLeisure, 5*time.Second)
	p.ProbingRate = orDefault(p.ProbingRate, 1)
	p.MaxLatency = orDefault(p.MaxLatency, 100*time.Second)
	p.ProcessingDelay = orDefault(p.ProcessingDelay, p.AckTimeout)
	return p
}

func orDefault[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

// Validate refuses values that no endpoint can work with: a timeout that is not
// positive, a random factor below 1 (RFC 7252 §4.8.1), and times so long that an
// exchange would outlive a year. The error wraps [ErrParams] and names the field.
func (p Params) Validate() error {
	p = p.WithDefaults()
	if p.AckTimeout < time.Millisecond {
		return fmt.Errorf("%w: AckTimeout %v is below 1ms", ErrParams, p.AckTimeout)
	}
	// §4.8.1: ACK_RANDOM_FACTOR MUST NOT be decreased below 1.0.
	if !(p.AckRandomFactor >= 1 && p.AckRandomFactor <= 1000) {
		return fmt.Errorf("%w: AckRandomFactor %v is not between 1 and 1000", ErrParams, p.AckRandomFactor)
	}
	if p.MaxRetransmit > 30 {
		return fmt.Errorf("%w: MaxRetransmit %d is above 30", ErrParams, p.MaxRetransmit)
	}
	if p.DefaultLeisure > maxLifetime {
		return fmt.Errorf("%w: DefaultLeisure %v is above a year", ErrParams, p.DefaultLeisure)
	}
	if p.MaxLatency > maxLifetime || p.ProcessingDelay > maxLifetime {
		return fmt.Errorf("%w: MaxLatency or ProcessingDelay is above a year", ErrParams)
	}
	wait := float64(p.AckTimeout) * math.Exp2(float64(p.retransmissions()+1)) * p.AckRandomFactor
	if wait > float64(maxLifetime) {
		return fmt.Errorf("%w: %d retransmissions from %v on take above a year", ErrParams, p.MaxRetransmit, p.AckTimeout)
	}
	return nil
}

func (p Params) retransmissions() int { return max(0, p.MaxRetransmit) }

// backoff returns AckTimeout * (2^n - 1) * AckRandomFactor.
func (p Params) backoff(n int) time.Duration {
	return time.Duration(float64(p.AckTimeout) * float64(uint64(1)<<n-1) * p.AckRandomFactor)
}

// MaxTransmitSpan is the longest time from the first transmission of a Confirmable
// message to its last (MAX_TRANSMIT_SPAN, RFC 7252 §4.8.2): 45 s by default.
func (p Params) MaxTransmitSpan() time.Duration {
	p = p.WithDefaults()
	return p.backoff(p.retransmissions())
}

// MaxTransmitWait is the longest time from the first transmission of a Confirmable
// message to giving it up (MAX_TRANSMIT_WAIT, RFC 7252 §4.8.2): 93 s by default.
func (p Params) MaxTransmitWait() time.Duration {
	p = p.WithDefaults()
	return p.backoff(p.retransmissions() + 1)
}

// MaxRTT is the longest round trip (MAX_RTT, RFC 7252 §4.8.2): 202 s by default.
func (p Params) MaxRTT() time.Duration {
	p = p.WithDefaults()
	return 2*max(0, p.MaxLatency) + max(0, p.ProcessingDelay)
}

// ExchangeLifetime is the time from the first transmission of a Confirmable message
// until no Acknowledgement is expected any more and its message ID can be used again
// (EXCHANGE_LIFETIME, RFC 7252 §4.8.2): 247 s by default. It is never shorter than
// MaxTransmitWait, which the RFC's short formula takes for granted.
func (p Params) ExchangeLifetime() time.Duration {
	return max(p.MaxTransmitSpan()+p.MaxRTT(), p.MaxTransmitWait())
}

// NonLifetime is the time for which the message ID of a Non-confirmable message is
// remembered (NON_LIFETIME, RFC 7252 §4.8.2): 145 s by default.
func (p Params) NonLifetime() time.Duration {
	return p.MaxTransmitSpan() + max(0, p.WithDefaults().MaxLatency)
}
