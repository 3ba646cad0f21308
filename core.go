package coap

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	mathrand "math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/motewire/coap/blockwise"
	"github.com/motewire/coap/message"
	"github.com/motewire/coap/observe"
	"github.com/motewire/coap/reliability"
	"github.com/motewire/coap/transport"
)

// errAnswered is the cause of a context that ended because the response was sent.
var errAnswered = errors.New("coap: exchange is over")

// implemented are the options that the core acts on, or hands to handlers with their
// meaning intact. Any other critical option is unrecognized (RFC 7252 §5.4.1).
var implemented = []message.OptionNumber{
	message.IfMatch, message.URIHost, message.ETag, message.IfNoneMatch, message.URIPort,
	message.LocationPath, message.URIPath, message.ContentFormat, message.MaxAge,
	message.URIQuery, message.HopLimit, message.Accept, message.LocationQuery,
	message.Block2, message.Block1, message.Size2, message.Size1,
	message.ProxyURI, message.ProxyScheme, message.NoResponse,
}

// A core is what the shards of one server or client share: configuration that does not
// change while they run, and counters.
type core struct {
	params     Params
	limits     Limits
	responses  int // how many bytes of a response's body are held at this end
	timing     timing
	logger     *slog.Logger
	trace      *Trace
	recognized message.OptionSet
	validation AddressValidation
	rates      RateLimit
	tokenBytes int // of the tokens that are sent; up to 8: as they are drawn
	extraBytes int // by which a message is longer for that on the wire

	mux  *Mux  // the server's handler, where it is a Mux
	bare route // else the one route around it
	ctx  context.Context
	stop context.CancelCauseFunc

	watch     readerWatch
	draining  atomic.Bool
	handlers  atomic.Int64  // running beside the quick ones, or detached
	idle      chan struct{} // gets a value when a request ends while draining
	undivided int           // bytes: no body up to this length is divided unless the client asks
	entropy   func([]byte)  // in place of crypto/rand, so that a test can be run again; nil: it isn't
	stats     coreStats
	outboxes  pool[outbox]
	exchanges pool[exchange]
	calls     pool[call]
}

// timing are the message layer's delays that are no parameters of RFC 7252 §4.8.
type timing struct{ ackDelay, response, notify time.Duration }

// coreStats are the counters that belong to no layer below.
type coreStats struct {
	panics, shed, groupDropped, slow, stale, conflated, challenges, limited atomic.Uint64
}

// newCore resolves the configuration. handler is nil for a client that serves nothing.
func newCore(params Params, limits Limits, handler Handler, recognize []message.OptionNumber) (*core, error) {
	if err := errors.Join(params.Validate(), limits.validate()); err != nil {
		return nil, err
	}
	n := &core{params: params, limits: limits.withDefaults(params), idle: make(chan struct{}, 1)}
	n.responses = limits.BodyBytes // whose default is that of requests
	orDefault(&n.responses, 64<<20)
	n.undivided = min(n.limits.BlockBytes, n.limits.MessageBytes/2)
	n.recognized = message.NewOptionSet(implemented...).With(recognize...)
	if m, ok := handler.(*Mux); ok {
		n.mux = m
	} else {
		// What is not a Mux decides itself about preconditions and groups.
		n.bare.handler, n.bare.preconditions, n.bare.multicast = handler, true, true
	}
	n.ctx, n.stop = context.WithCancelCause(context.Background())
	return n, nil
}

// recognizing returns what critical options are recognized in the response to a request
// with these options: who sends one knows it.
func (n *core) recognizing(options *optionList) *message.OptionSet {
	recognized := &n.recognized
	for i := range options.n {
		if number := options.at(i).number; number.Critical() && !recognized.Has(number) {
			with := recognized.With(number)
			recognized = &with
		}
	}
	return recognized
}

func (n *core) logError(text string, err error) {
	if n.logger != nil {
		n.logger.Error(text, "err", err)
	}
}

// signalIdle lets Shutdown look again.
func (n *core) signalIdle() {
	if n.draining.Load() {
		select {
		case n.idle <- struct{}{}:
		default:
		}
	}
}

// endpoint makes the message layer of one of so many shards.
func (n *core) endpoint(shards int) (*reliability.Endpoint, error) {
	return reliability.New(reliability.Config{
		Params:   n.params,
		AckDelay: n.timing.ackDelay, ResponseTimeout: n.timing.response,
		DedupBytes:  n.limits.DedupBytes / shards,
		MaxOutbound: n.limits.Exchanges,
		MaxQueued:   n.limits.Queued,
	}, n.random())
}

// newObservation makes the list of observers of one of so many shards.
func (n *core) newObservation(shards int) (observation, error) {
	registry, err := observe.NewRegistry(observe.Config{
		NStart: n.params.NStart, NonInterval: n.timing.notify,
		MaxObservers: share(n.limits.Observers, shards),
		MaxPerPeer:   n.limits.ObserversPerPeer, MaxPerResource: n.limits.ObserversPerResource,
	}, n.random())
	return observation{
		observers: registry,
		resources: map[*Subject]*observedResource{},
		byKey:     map[string]*representation{},
	}, err
}

// newTransfers makes the tables of block-wise transfer of one of so many shards.
func (n *core) newTransfers(shards int) (transfers, error) {
	l := &n.limits
	bytes := max(share(l.TransferBytes, shards), min(2*l.BodyBytes, l.TransferBytes))
	assembler, err := blockwise.NewAssembler(blockwise.Config{
		BlockSize: l.BlockBytes, MaxBody: l.BodyBytes, IdleTimeout: l.TransferTimeout,
		MaxTransfers: share(l.Transfers, shards), MaxTransfersPerPeer: l.TransfersPerPeer,
		MaxBytes: bytes, MaxBytesPerPeer: min(l.TransferBytesPerPeer, bytes),
	})
	if err != nil {
		return transfers{}, err
	}
	responses, err := blockwise.NewStore(blockwise.StoreConfig{
		MaxSnapshots: share(l.Transfers, shards), MaxSnapshotsPerPeer: l.TransfersPerPeer,
		MaxBytes: bytes, Lifetime: l.TransferTimeout,
	})
	return transfers{assembler: assembler, responses: responses, intakes: map[blockwise.Transfer]*intake{}}, err
}

// share is what one of so many shards has of a limit.
func share(limit, shards int) int { return (limit + shards - 1) / shards }

// uniqueTag returns an ETag that no other representation has.
func (n *core) uniqueTag() message.Tag {
	var b [message.MaxTagLength]byte
	n.fill(b[:])
	tag, _ := message.MakeTag(b[:])
	return tag
}

// random returns a source that nobody can foretell.
func (n *core) random() *mathrand.Rand {
	var seed [32]byte
	n.fill(seed[:])
	return mathrand.New(mathrand.NewChaCha8(seed))
}

// fill fills b with what nobody can foretell.
func (n *core) fill(b []byte) {
	if n.entropy != nil {
		n.entropy(b)
		return
	}
	rand.Read(b) // never fails
}

// newShard starts a shard on a socket.
func (n *core) newShard(conn transport.Conn, shards int, serves bool) (*shard, error) {
	ep, err := n.endpoint(shards)
	if err != nil {
		return nil, err
	}
	s := &shard{core: n, conn: conn, done: make(chan struct{})}
	s.leasing.granted, s.leasing.returned = make(chan *batch, 1), make(chan *batch, 1)
	s.eng = engine{ep: ep, shard: s, running: map[reliability.Inbound]*exchange{}, serves: serves}
	s.eng.tokens = newExtension(n.tokenBytes, n.random())
	if serves {
		if s.eng.observation, err = n.newObservation(shards); err != nil {
			return nil, err
		}
		if s.eng.transfers, err = n.newTransfers(shards); err != nil {
			return nil, err
		}
		s.eng.verifier = verifier{period: n.limits.VerifiedTimeout, limit: share(n.limits.VerifiedPeers, shards)}
		s.eng.limiter = newLimiter(n.rates, share(n.limits.RatePeers, shards))
	}
	s.start()
	return s, nil
}

// A pool is a sync.Pool with a type.
type pool[T any] struct{ p sync.Pool }

func (p *pool[T]) get() *T {
	if v, ok := p.p.Get().(*T); ok {
		return v
	}
	return new(T)
}

func (p *pool[T]) put(v *T) { p.p.Put(v) }
