package observe

import (
	"errors"
	"fmt"
	"time"
)

// ErrConfig is what [NewRegistry] and [NewObservation] return for impossible values.
var ErrConfig = errors.New("observe: impossible configuration")

// A Type says in which messages the notifications of a resource go (RFC 7641 §4.5).
type Type uint8

const (
	// Auto: Non-confirmable, with a Confirmable one in between as [Policy] says.
	Auto Type = iota
	// Confirmable: every notification is.
	Confirmable
	// NonConfirmable: none is, but for the one in [Config.MaxSilence].
	NonConfirmable
)

// A Policy says how the notifications of a resource go.
type Policy struct {
	Type Type
	// Every n makes each n-th notification to an observer Confirmable. For Auto alone;
	// default 5, at most 255, negative: no counting.
	Every int
	// Interval makes a notification Confirmable if the last Confirmable one is so long
	// ago. For Auto alone; default: only Config.MaxSilence.
	Interval time.Duration
}

// Config holds the parameters and limits of a [Registry]. The zero value is ready for
// use.
type Config struct {
	// NStart is how many Confirmable notifications to a client endpoint may be
	// unacknowledged at once, over all its observations; while they are, it gets no
	// others (RFC 7641 §4.5.1, RFC 7252 §4.7). Default 1, negative: no limit.
	NStart int
	// NonInterval is the time between two Non-confirmable notifications to a client
	// endpoint (RFC 7641 §4.5.1). No round-trip times are measured, so the default is the
	// 3 s that the RFC gives for that case; negative: no limit.
	NonInterval time.Duration
	// MaxSilence is after how long without a Confirmable notification an observer gets
	// one, whether or not the state has changed, so that one that went away is found out
	// (RFC 7641 §4.5). Default 24 h, which is also the longest the RFC allows.
	MaxSilence time.Duration
	// Policy is that of resources without one of their own; see [Registry.SetPolicy].
	Policy Policy

	// MaxObservers limits the observations in total (default 131,072).
	MaxObservers int
	// MaxPerPeer limits those of one client endpoint (default 1,024, at most 65,535).
	MaxPerPeer int
	// MaxPerResource limits those of one resource (default: MaxObservers).
	MaxPerResource int
	// MaxResources limits the numbers of resources (default 1,048,576): the table of
	// resources is as long as the highest one in use.
	MaxResources int
}

const (
	defaultNonInterval = 3 * time.Second // RFC 7641 §4.5.1
	defaultMaxSilence  = 24 * time.Hour  // RFC 7641 §4.5
	defaultEvery       = 5
	// holdTime is how long a notification that could not be sent waits where
	// notifications are not paced.
	holdTime = time.Second
)

// Validate refuses impossible values. The error wraps [ErrConfig].
func (c Config) Validate() error {
	for _, limit := range []struct {
		name  string
		value int
	}{
		{"MaxObservers", c.MaxObservers}, {"MaxPerPeer", c.MaxPerPeer},
		{"MaxPerResource", c.MaxPerResource}, {"MaxResources", c.MaxResources},
	} {
		if limit.value < 0 || limit.value > 1<<28 {
			return fmt.Errorf("%w: %s %d is not between 0 and 2^28", ErrConfig, limit.name, limit.value)
		}
	}
	if c.MaxPerPeer > 1<<16-1 {
		return fmt.Errorf("%w: MaxPerPeer %d is above 65,535", ErrConfig, c.MaxPerPeer)
	}
	if c.NStart > 1<<15 {
		return fmt.Errorf("%w: NStart %d is above 32,768", ErrConfig, c.NStart)
	}
	// RFC 7641 §4.5: a Confirmable notification at least every 24 hours.
	if c.MaxSilence < 0 || c.MaxSilence > defaultMaxSilence {
		return fmt.Errorf("%w: MaxSilence %v is not between 0 and 24 h", ErrConfig, c.MaxSilence)
	}
	return c.Policy.Validate()
}

// Validate refuses impossible values. The error wraps [ErrConfig].
func (p Policy) Validate() error {
	if p.Type > NonConfirmable || p.Every > 255 || p.Interval < 0 {
		return fmt.Errorf("%w: policy %+v", ErrConfig, p)
	}
	return nil
}

// withDefaults returns c with every zero field resolved.
func (c Config) withDefaults() Config {
	c.NStart = orDefault(c.NStart, 1)
	c.NonInterval = orDefault(c.NonInterval, defaultNonInterval)
	c.MaxSilence = orDefault(c.MaxSilence, defaultMaxSilence)
	c.MaxObservers = orDefault(c.MaxObservers, 1<<17)
	c.MaxPerPeer = orDefault(c.MaxPerPeer, 1024)
	c.MaxPerResource = orDefault(c.MaxPerResource, c.MaxObservers)
	c.MaxResources = orDefault(c.MaxResources, 1<<20)
	return c
}

func orDefault[T comparable](value, def T) T {
	var zero T
	if value == zero {
		return def
	}
	return value
}
