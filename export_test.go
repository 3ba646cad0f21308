package coap

import (
	"iter"
	"math/rand/v2"
	"sync"
)

// Dropping is Drop in its portions.
func (s *Subject) Dropping() iter.Seq[int] { return s.dropping() }

// Poison has receive buffers overwritten where they are given back, in all tests.
func Poison() { poison = true }

// Foretell has a client or server draw tokens, message IDs and back-off from a seed.
func (c *Client) Foretell(seed uint64) { c.entropy = foretold(seed) }

// Foretell is that of a server.
func (s *Server) Foretell(seed uint64) { s.entropy = foretold(seed) }

func foretold(seed uint64) func([]byte) {
	var mu sync.Mutex
	rng := rand.New(rand.NewPCG(seed, 0))
	return func(b []byte) {
		mu.Lock()
		defer mu.Unlock()
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
	}
}

// Closing is how many streams of responses are to be closed.
func (s *Server) Closing() (n int) {
	for _, shard := range s.shards {
		shard.mu.Lock()
		n += len(shard.eng.closing)
		shard.mu.Unlock()
	}
	return n
}
