package reliability

import (
	"fmt"
	"math"
	"time"
)

// Config holds the parameters and limits of an [Endpoint]. The zero value is ready for
// use: the RFC's parameters and the limits named below.
type Config struct {
	Params

	// AckDelay is how long a Confirmable request may be handled before it is
	// acknowledged by an Empty message, which makes its response a separate one
	// (RFC 7252 §5.2.2). Default 100 ms; never more than half of AckTimeout, so that the
	// Acknowledgement is there before the client retransmits; negative: at once.
	AckDelay time.Duration
	// ResponseTimeout is how long a request that was acknowledged, or is
	// Non-confirmable, waits for its response. Default ExchangeLifetime.
	ResponseTimeout time.Duration

	// DedupBytes is the memory for remembered messages and their replies, with all
	// tables (default 64 MiB, at least 256 KiB, at most 64 GiB are used). Where it is used
	// up, the oldest records go before their time, in the order that the package comment
	// states. While tables grow it may be exceeded by an eighth.
	DedupBytes int
	// MaxInbound is how many requests may be in the hands of the layer above at once
	// (default 65,536). A request beyond it is not taken: [Overload].
	MaxInbound int
	// MaxOutbound is how many outgoing exchanges may be open at once, waiting ones and
	// separate responses included (default 65,536). Send then returns
	// [ErrTooManyExchanges]; a separate response is dropped and counted.
	MaxOutbound int
	// MaxQueued is how many of them may wait for one peer (default 1,024). Send then
	// returns [ErrQueueFull].
	MaxQueued int
	// MaxPeers is to how many peers messages with own IDs may be under way at once, or have
	// been within about ten minutes (default 1,048,576, of some 160 bytes each). A peer that
	// only gets piggybacked responses does not count. Send then returns [ErrTooManyPeers]; a response that is not
	// piggybacked is dropped and counted.
	MaxPeers int
}

const (
	defaultAckDelay   = 100 * time.Millisecond
	defaultDedupBytes = 64 << 20
	minDedupBytes     = 256 << 10
)

// Validate refuses impossible values; see [Params.Validate]. The error wraps
// [ErrParams].
func (c Config) Validate() error {
	if err := c.Params.Validate(); err != nil {
		return err
	}
	for _, limit := range []struct {
		name  string
		value int
		max   int
	}{
		{"DedupBytes", c.DedupBytes, math.MaxInt},
		{"MaxInbound", c.MaxInbound, 1 << 30},
		{"MaxOutbound", c.MaxOutbound, 1 << 30},
		{"MaxQueued", c.MaxQueued, 1 << 30},
		{"MaxPeers", c.MaxPeers, 1 << 30},
	} {
		if limit.value < 0 || limit.value > limit.max {
			return fmt.Errorf("%w: %s %d is not between 0 and %d", ErrParams, limit.name, limit.value, limit.max)
		}
	}
	if c.DedupBytes != 0 && c.DedupBytes < minDedupBytes {
		return fmt.Errorf("%w: DedupBytes %d is below %d", ErrParams, c.DedupBytes, minDedupBytes)
	}
	if c.ResponseTimeout < 0 || c.ResponseTimeout > maxLifetime {
		return fmt.Errorf("%w: ResponseTimeout %v is not between 0 and a year", ErrParams, c.ResponseTimeout)
	}
	return nil
}

// withDefaults returns c with every zero field resolved.
func (c Config) withDefaults() Config {
	c.Params = c.Params.WithDefaults()
	c.AckDelay = min(orDefault(c.AckDelay, defaultAckDelay), c.AckTimeout/2)
	c.ResponseTimeout = orDefault(c.ResponseTimeout, c.ExchangeLifetime())
	c.DedupBytes = orDefault(c.DedupBytes, defaultDedupBytes)
	c.MaxInbound = orDefault(c.MaxInbound, 65536)
	c.MaxOutbound = orDefault(c.MaxOutbound, 65536)
	c.MaxQueued = orDefault(c.MaxQueued, 1024)
	c.MaxPeers = orDefault(c.MaxPeers, 1<<20)
	return c
}
