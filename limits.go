package coap

import (
	"fmt"
	"time"

	"github.com/motewire/coap/reliability"
)

// Params are the transmission parameters of RFC 7252 §4.8. The zero value is the RFC's.
type Params = reliability.Params

// Limits bound what peers can make an endpoint hold. Zero means the default.
type Limits struct {
	// DatagramBytes is the longest datagram received; a longer one is answered with
	// 4.13 or Reset. Default 2048.
	DatagramBytes int
	// PayloadBytes is the largest payload sent in one message (RFC 7252 §4.6).
	// Default 1152.
	PayloadBytes int
	// DedupBytes is the memory for remembered exchanges, over all sockets: a duplicate
	// is recognised while its exchange is remembered. Default 64 MiB.
	DedupBytes int
	// Handlers is how many handlers may run beside the quick ones, or wait detached,
	// at once; further requests get 5.03 with Max-Age 1. Default 10,000.
	Handlers int
	// HandlerTimeout is when a request's context ends. Default EXCHANGE_LIFETIME
	// (247 s): later nobody waits. Negative: never.
	HandlerTimeout time.Duration
	// Exchanges is how many outgoing exchanges may be open per socket. Default 65,536.
	Exchanges int
	// Observers is how many observations a server keeps, ObserversPerPeer how many of one
	// client endpoint, ObserversPerResource how many of one resource and socket; beyond, a
	// request is answered without being an observation (RFC 7641 §4.1). Defaults 131,072;
	// 1,024; as Observers.
	Observers, ObserversPerPeer, ObserversPerResource int
	// Queued is how many requests may wait for one peer (RFC 7252 §4.7). Default 1,024.
	Queued int
}

// validate refuses limits that nothing can work with.
func (l Limits) validate() error {
	for _, limit := range []struct {
		name  string
		value int
	}{
		{"DatagramBytes", l.DatagramBytes}, {"PayloadBytes", l.PayloadBytes}, {"DedupBytes", l.DedupBytes},
		{"Handlers", l.Handlers}, {"Exchanges", l.Exchanges}, {"Queued", l.Queued},
		{"Observers", l.Observers}, {"ObserversPerPeer", l.ObserversPerPeer}, {"ObserversPerResource", l.ObserversPerResource},
	} {
		if limit.value < 0 {
			return fmt.Errorf("coap: Limits.%s is negative", limit.name)
		}
	}
	return nil
}

func (l Limits) withDefaults(p Params) Limits {
	orDefault(&l.DatagramBytes, 2048)
	orDefault(&l.PayloadBytes, 1152)
	orDefault(&l.DedupBytes, 64<<20)
	orDefault(&l.Observers, 1<<17)
	orDefault(&l.Handlers, 10_000)
	orDefault(&l.HandlerTimeout, p.WithDefaults().ExchangeLifetime())
	return l
}

func orDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}
