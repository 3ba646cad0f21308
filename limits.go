package coap

import (
	"errors"
	"fmt"
	"time"

	"github.com/motewire/coap/blockwise"
	"github.com/motewire/coap/message"
	"github.com/motewire/coap/reliability"
)

// Params are the transmission parameters of RFC 7252 §4.8. The zero value is the RFC's.
type Params = reliability.Params

// Limits bound what peers can make an endpoint hold. Zero means the default.
type Limits struct {
	// DatagramBytes is the longest datagram received; a longer one is answered with
	// 4.13 or Reset. Default 2048.
	DatagramBytes int
	// TokenBytes is the longest token of a request that a server admits. Above the default
	// of 8, those of RFC 8974 are echoed; a longer one than this gets 4.00 then, where
	// without it is a message format error. A request with a token above 8 bytes observes
	// nothing: it is answered like one without Observe.
	TokenBytes int
	// MessageBytes is the longest message sent (RFC 7252 §4.6): blocks are made small
	// enough for it with the options beside, and smaller where the path to the peer takes
	// less. That is what the [transport.PathSizer] behind the socket says when a transfer
	// begins, on Linux the MTU of the interface or of the path, and again for ten minutes
	// when a message was too long. Default 1152.
	MessageBytes int
	// BlockBytes is the largest block sent or asked for (RFC 7959 §2.2): a power of two
	// from 16 to 1024. Default 1024.
	BlockBytes int
	// BodyBytes is the longest body held in memory: of a request at a server, where a route
	// has no [BodyLimit], of a response at whoever asked. Default 1 MiB for requests, 64 MiB
	// for responses.
	BodyBytes int
	// Transfers is how many unfinished request bodies a server holds, of how many finished
	// ones it knows the last block again, and how many responses it holds of which further
	// blocks may be asked for; TransfersPerPeer is how many of each are of one client
	// endpoint. The one that was idle for longest goes first. Defaults 1,024; 64.
	Transfers, TransfersPerPeer int
	// TransferBytes is the memory for unfinished request bodies, and as much again for
	// responses of which further blocks may be asked for, a quarter of which notifications
	// may take; TransferBytesPerPeer is the share of one client endpoint in the former. At
	// the limit an upload goes that has stood still for 10 s, else a block gets 5.03; a
	// response goes and its later blocks get 4.08 or are made anew. Each socket has an equal part, and room for two bodies of BodyBytes at least. At
	// least twice BodyBytes. Defaults 64 MiB, 4 MiB, or that.
	TransferBytes, TransferBytesPerPeer int
	// TransferTimeout is how long a transfer is kept without a further block. Default
	// EXCHANGE_LIFETIME (247 s).
	TransferTimeout time.Duration
	// DedupBytes is the memory for remembered exchanges, over all sockets: a duplicate
	// is recognised while its exchange is remembered. Default 64 MiB.
	DedupBytes int
	// Handlers is how many handlers may run beside the quick ones, or wait detached,
	// at once; further requests get 5.03 with Max-Age 1. Default 10,000.
	Handlers int
	// HandlerTimeout is when a request's context ends, counted from its last block where the
	// handler reads the body as it arrives ([StreamBody]). Default EXCHANGE_LIFETIME
	// (247 s): later nobody waits. A detached response that is not sent a second after
	// it is given up, and the request answered with 5.03 (RFC 7252 §5.9.3.4). Negative:
	// never.
	HandlerTimeout time.Duration
	// Exchanges is how many outgoing exchanges may be open per socket. Default 65,536.
	Exchanges int
	// Observers is how many observations a server keeps, ObserversPerPeer how many of one
	// client endpoint, ObserversPerResource how many of one resource and socket; beyond, a
	// request is answered without being an observation (RFC 7641 §4.1). Defaults 131,072;
	// 1,024; as Observers.
	Observers, ObserversPerPeer, ObserversPerResource int
	// VerifiedPeers is how many client endpoints a server remembers as verified, where
	// Server.AddressValidation challenges them; beyond, the older half of them is challenged
	// again. Default 65,536.
	VerifiedPeers int
	// VerifiedTimeout is after what time a server challenges a verified client endpoint again,
	// and how long the Echo value of a challenge is good; either may be up to twice that.
	// Default EXCHANGE_LIFETIME (247 s).
	VerifiedTimeout time.Duration
	// RatePeers is for how many client endpoints, and as many networks, a server remembers how
	// often they have asked, where Server.RateLimit bounds that; beyond, those who did not ask for
	// the longest time begin anew. Default 65,536.
	RatePeers int
	// Queued is how many requests may wait for one peer (RFC 7252 §4.7). Default 1,024.
	Queued int
}

// validate refuses limits that nothing can work with.
func (l Limits) validate() error {
	for _, limit := range []struct {
		name  string
		value int
	}{
		{"DatagramBytes", l.DatagramBytes}, {"TokenBytes", l.TokenBytes}, {"MessageBytes", l.MessageBytes}, {"DedupBytes", l.DedupBytes},
		{"BodyBytes", l.BodyBytes}, {"Transfers", l.Transfers}, {"TransfersPerPeer", l.TransfersPerPeer},
		{"TransferBytes", l.TransferBytes}, {"TransferBytesPerPeer", l.TransferBytesPerPeer},
		{"Handlers", l.Handlers}, {"Exchanges", l.Exchanges}, {"Queued", l.Queued},
		{"Observers", l.Observers}, {"ObserversPerPeer", l.ObserversPerPeer}, {"ObserversPerResource", l.ObserversPerResource},
		{"VerifiedPeers", l.VerifiedPeers}, {"RatePeers", l.RatePeers},
	} {
		if limit.value < 0 {
			return fmt.Errorf("coap: Limits.%s is negative", limit.name)
		}
	}
	if l.VerifiedTimeout < 0 {
		return errors.New("coap: Limits.VerifiedTimeout is negative")
	}
	if _, ok := message.SZXForSize(l.BlockBytes); !ok && l.BlockBytes != 0 {
		return fmt.Errorf("coap: Limits.BlockBytes is %d, not a power of two from 16 to 1024", l.BlockBytes)
	}
	return nil
}

func (l Limits) withDefaults(p Params) Limits {
	orDefault(&l.DatagramBytes, 2048)
	orDefault(&l.TokenBytes, message.MaxTokenLength)
	orDefault(&l.MessageBytes, 1152)
	orDefault(&l.BlockBytes, blockwise.DefaultBlockSize)
	orDefault(&l.BodyBytes, 1<<20)
	orDefault(&l.Transfers, 1024)
	orDefault(&l.TransferBytes, max(64<<20, 2*l.BodyBytes))
	orDefault(&l.TransferBytesPerPeer, min(max(4<<20, 2*l.BodyBytes), l.TransferBytes))
	orDefault(&l.TransferTimeout, p.WithDefaults().ExchangeLifetime())
	orDefault(&l.DedupBytes, 64<<20)
	orDefault(&l.Observers, 1<<17)
	orDefault(&l.VerifiedPeers, 1<<16)
	orDefault(&l.RatePeers, 1<<16)
	orDefault(&l.VerifiedTimeout, p.WithDefaults().ExchangeLifetime())
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
