package coap

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"time"

	"github.com/motewire/coap/message"
	"github.com/motewire/coap/transport"
)

// A Server serves requests. Fields must not change once it serves.
type Server struct {
	// Handler answers requests, usually a [Mux]. Nil: every path is 4.04. One that is no
	// Mux gets requests to a group, too: errors and empty answers to them are not sent.
	Handler Handler
	// Params are the transmission parameters; zero is RFC 7252's.
	Params Params
	// Limits bound what peers can make the server hold; zero is the default.
	Limits Limits
	// Recognize are critical options that Handler understands beyond the core's. A
	// request with any other is answered with 4.02 (RFC 7252 §5.4.1).
	Recognize []message.OptionNumber
	// AckDelay is after what time a request that is still being handled is acknowledged
	// by an Empty message, the response following separately (RFC 7252 §5.2.2). 0 means
	// 100 ms, negative at once. It is never later than a client's first retransmission.
	AckDelay time.Duration
	// NotifyInterval is the time between two Non-confirmable notifications to one client
	// endpoint. 0 means the 3 s of RFC 7641 §4.5.1, negative no limit.
	NotifyInterval time.Duration
	// AddressValidation is what is done against forged source addresses.
	AddressValidation AddressValidation
	// RateLimit bounds how often a client, or all of a network, may ask. Zero: no bound.
	RateLimit RateLimit
	// Groups are the multicast groups that ListenAndServe joins, such as
	// [AllCoAPNodes]. Only discovery, and routes that say so, answer them.
	Groups []Group
	// Sockets is how many sockets ListenAndServe opens on the port, where the system can
	// spread peers over several; 0 means one per processor.
	Sockets int
	// Logger takes what goes wrong; nil is silence.
	Logger *slog.Logger
	// Trace is called for what happens on the wire.
	Trace *Trace

	entropy func([]byte) // see core

	mu     sync.Mutex
	core   *core
	shards []*shard
	closed bool
	over   chan struct{} // closed when the server is
}

// A Group is a multicast group on an interface.
type Group struct {
	Addr netip.Addr
	// Interface is the interface's name; empty means every one that can multicast.
	Interface string
}

// AllCoAPNodes are the groups of RFC 7252 §12.8: 224.0.1.187, and ff02::fd on the link
// and ff05::fd in the site.
var AllCoAPNodes = []Group{
	{Addr: netip.AddrFrom4([4]byte{224, 0, 1, 187})},
	{Addr: netip.MustParseAddr("ff02::fd")},
	{Addr: netip.MustParseAddr("ff05::fd")},
}

// ListenAndServe serves UDP on an address like ":5683", IPv4 and IPv6, until the context
// ends or Shutdown is called; then it returns nil. An empty address means ":5683".
func (s *Server) ListenAndServe(ctx context.Context, addr string) error {
	if addr == "" {
		addr = fmt.Sprintf(":%d", DefaultPort)
	}
	udp, err := transport.ListenShards(ctx, "udp", addr, s.sockets(), transport.Config{})
	if err != nil {
		return err
	}
	conns := make([]transport.Conn, len(udp))
	for i, u := range udp {
		conns[i] = u
	}
	return s.Serve(ctx, conns...)
}

// sockets returns how many sockets ListenAndServe asks for.
func (s *Server) sockets() int {
	if s.Sockets > 0 {
		return s.Sockets
	}
	return runtime.GOMAXPROCS(0)
}

// Serve serves sockets until the context ends or Shutdown is called, and then returns
// nil; an error says why it could not start, or that all sockets broke, as those do that
// somebody else closes. Several sockets
// on one port are one server. Serve closes them. It may be called once.
func (s *Server) Serve(ctx context.Context, conns ...transport.Conn) error {
	if err := s.start(conns); err != nil {
		for _, c := range conns {
			c.Close()
		}
		return err
	}
	broken := make(chan struct{})
	go func() {
		for _, shard := range s.shards {
			<-shard.done
		}
		close(broken)
	}()
	var err error
	select {
	case <-ctx.Done():
	case <-s.over:
	case <-broken:
		err = s.broken()
	}
	s.close()
	for _, shard := range s.shards {
		shard.goroutines.Wait()
	}
	<-broken
	return err
}

// broken returns why the sockets are beyond use, nil where the server closed them.
func (s *Server) broken() error {
	for _, shard := range s.shards {
		shard.mu.Lock()
		err := shard.cause
		shard.mu.Unlock()
		if err != nil {
			return fmt.Errorf("coap: all sockets are beyond use: %w", err)
		}
	}
	return nil
}

// start makes the shards and joins the groups.
func (s *Server) start(conns []transport.Conn) error {
	if len(conns) == 0 {
		return errors.New("coap: Serve without a socket")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	if s.core != nil {
		return errors.New("coap: Serve called twice")
	}
	if err := s.join(conns[0]); err != nil {
		return err
	}
	handler := s.Handler
	if handler == nil {
		handler = NewMux()
	}
	n, err := newCore(s.Params, s.Limits, handler, s.Recognize)
	if err != nil {
		return err
	}
	if s.AddressValidation > EchoAlways {
		return fmt.Errorf("coap: Server.AddressValidation is %d", s.AddressValidation)
	}
	if err := s.RateLimit.validate(); err != nil {
		return err
	}
	n.validation, n.rates = s.AddressValidation, s.RateLimit
	n.logger, n.trace, n.timing = s.Logger, s.Trace, timing{ackDelay: s.AckDelay, notify: s.NotifyInterval}
	n.entropy = s.entropy
	s.core, s.over = n, make(chan struct{})
	for _, conn := range conns {
		shard, err := n.newShard(conn, len(conns), true)
		if err != nil {
			return err
		}
		s.shards = append(s.shards, shard)
	}
	return nil
}

// join makes the first socket a member of the groups: one, as each member socket gets
// every datagram to the group.
func (s *Server) join(conn transport.Conn) error {
	if len(s.Groups) == 0 {
		return nil
	}
	joiner, ok := conn.(transport.Joiner)
	if !ok {
		return fmt.Errorf("coap: %T can't join groups", conn)
	}
	for _, g := range s.Groups {
		var ifi *net.Interface
		if g.Interface != "" {
			var err error
			if ifi, err = net.InterfaceByName(g.Interface); err != nil {
				return fmt.Errorf("coap: group %v: %w", g.Addr, err)
			}
		}
		if err := joiner.JoinGroup(g.Addr, ifi); err != nil {
			return fmt.Errorf("coap: group %v: %w", g.Addr, err)
		}
	}
	return nil
}

// Shutdown ends the server gracefully: requests that arrive get 5.03, the contexts of
// those in hand end, handlers run to their end and their answers are sent, separate
// responses are acknowledged or given up, observers are told by a last 5.03. When the context ends first
// it closes what is left and returns the context's error.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	core, shards := s.core, s.shards
	s.closed = s.closed || core == nil
	s.mu.Unlock()
	if core == nil {
		return nil
	}
	core.draining.Store(true)
	core.stop(ErrClosed)
	defer s.close()
	for _, shard := range shards {
		shard.input(func(now time.Time, _ *outbox) { shard.eng.observers.EndAll(now) })
	}
	for _, shard := range shards {
		for !shard.idle() {
			select {
			case <-core.idle:
			case <-s.over: // by another Shutdown, or Serve's context
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	}
	return nil
}

// close ends the server at once: contexts of handlers end, sockets are closed.
func (s *Server) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.closed = true
	s.core.stop(ErrClosed)
	for _, shard := range s.shards {
		shard.close()
	}
	close(s.over)
}

// Stats returns the server's counters, summed over its sockets.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.core == nil {
		return Stats{}
	}
	return s.core.sum(s.shards)
}
