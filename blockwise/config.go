package blockwise

import (
	"fmt"
	"math/bits"
	"time"

	"github.com/motewire/coap/message"
)

// exchangeLifetime is EXCHANGE_LIFETIME with the default parameters (RFC 7252 §4.8.2).
const exchangeLifetime = 247 * time.Second

// Config holds the limits of an [Assembler]. Zero means the default.
type Config struct {
	// BlockSize is the block size in bytes that clients are asked to use: a power of two
	// from 16 to 1024. Default 1024.
	BlockSize int
	// MaxBody is the largest body in bytes, where a call names no limit. Default 1 MiB.
	MaxBody int
	// MaxTransfers is how many bodies may be unfinished at once, and how many finished
	// ones are remembered. Default 1,024.
	MaxTransfers int
	// MaxTransfersPerPeer is the same for one peer. Default 64.
	MaxTransfersPerPeer int
	// MaxBytes is the memory for unfinished bodies, with what it takes to keep them, at
	// least twice MaxBody. Default 64 MiB.
	MaxBytes int
	// MaxBytesPerPeer is the same for one peer, at least twice MaxBody. Default 4 MiB, or that.
	MaxBytesPerPeer int
	// IdleTimeout is how long a transfer is kept after its last block. Default 247 s,
	// EXCHANGE_LIFETIME (RFC 7959 §2.5).
	IdleTimeout time.Duration
}

// resolve returns the configuration with its defaults, and refuses impossible values.
func (c Config) resolve() (Config, error) {
	orDefault(&c.BlockSize, DefaultBlockSize)
	orDefault(&c.MaxBody, 1<<20)
	orDefault(&c.MaxTransfers, 1024)
	orDefault(&c.MaxTransfersPerPeer, 64)
	orDefault(&c.MaxBytes, max(64<<20, 2*c.MaxBody))
	orDefault(&c.MaxBytesPerPeer, min(max(4<<20, 2*c.MaxBody), c.MaxBytes))
	orDefault(&c.IdleTimeout, exchangeLifetime)
	if _, ok := message.SZXForSize(c.BlockSize); !ok {
		return c, fmt.Errorf("%w: BlockSize %d", ErrConfig, c.BlockSize)
	}
	if c.MaxBody < 0 || c.MaxTransfers < 0 || c.MaxTransfersPerPeer < 0 || c.IdleTimeout < 0 {
		return c, fmt.Errorf("%w: negative limit", ErrConfig)
	}
	if most := min(c.MaxBytes, c.MaxBytesPerPeer); most/2 < max(c.MaxBody, minBuffer) {
		return c, fmt.Errorf("%w: MaxBytes or MaxBytesPerPeer %d is less than twice MaxBody %d", ErrConfig, most, c.MaxBody)
	}
	return c, nil
}

// StoreConfig holds the limits of a [Store]. Zero means the default.
type StoreConfig struct {
	// MaxSnapshots is how many responses are kept at once. Default 1,024.
	MaxSnapshots int
	// MaxSnapshotsPerPeer is the same for one peer. Default 64.
	MaxSnapshotsPerPeer int
	// MaxBytes is the memory for all of them. Default 64 MiB.
	MaxBytes int
	// Lifetime is how long a response is kept after it was last asked for. Default 247 s,
	// EXCHANGE_LIFETIME (RFC 7959 §2.4).
	Lifetime time.Duration
}

// resolve is that of Config.
func (c StoreConfig) resolve() (StoreConfig, error) {
	orDefault(&c.MaxSnapshots, 1024)
	orDefault(&c.MaxSnapshotsPerPeer, 64)
	orDefault(&c.MaxBytes, 64<<20)
	orDefault(&c.Lifetime, exchangeLifetime)
	if c.MaxSnapshots < 0 || c.MaxSnapshotsPerPeer < 0 || c.MaxBytes < 0 || c.Lifetime < 0 {
		return c, fmt.Errorf("%w: negative limit", ErrConfig)
	}
	return c, nil
}

func orDefault[T int | time.Duration](v *T, def T) {
	if *v == 0 {
		*v = def
	}
}

// roundUp returns the next power of two.
func roundUp(n int) int { return 1 << bits.Len(uint(n-1)) }
