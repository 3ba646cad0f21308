package coap

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/motewire/coap/blockwise"
	"github.com/motewire/coap/message"
	"github.com/motewire/coap/peer"
	"github.com/motewire/coap/reliability"
	"github.com/motewire/coap/transport"
)

// A Doer sends a request and waits for its response. Client is one; middleware wraps it.
type Doer interface {
	Do(ctx context.Context, r *Request) (*Response, error)
}

// A Client sends requests. The zero value works. It is safe for concurrent use and uses
// one socket per address family for all peers. Fields must not change after the first
// request.
//
// Every method ends with its context, which also stops retransmissions. Without a
// deadline a Confirmable request fails after at most MAX_TRANSMIT_WAIT (93 s) unless the
// peer has acknowledged it.
type Client struct {
	// Params are the transmission parameters; zero is RFC 7252's.
	Params Params
	// Limits bound what is held; zero is the default.
	Limits Limits
	// Handler answers requests that peers send to the client's socket. Nil: they are
	// rejected with a Reset.
	Handler Handler
	// Recognize are critical options that Handler understands beyond the core's.
	Recognize []message.OptionNumber
	// Logger takes what goes wrong inside; nil is silence.
	Logger *slog.Logger
	// Trace is called for what happens on the wire.
	Trace *Trace
	// ResponseTimeout is how long a request that was acknowledged, or is
	// Non-confirmable, waits for its response. 0 means EXCHANGE_LIFETIME, 247 s.
	ResponseTimeout time.Duration
	// TokenBytes is how long tokens are on the wire. 0 means 8. Longer ones are extended tokens
	// (RFC 8974), at most half of Limits.MessageBytes: only servers that admit these answer, see
	// ExtendedTokens; others reject a request with [ErrReset]. A longer token matches no better:
	// it is for finding out what servers and what is in between make of them.
	TokenBytes int
	// Listen opens the socket for a network, "udp4" or "udp6". Nil: a UDP socket on a
	// port of the system's choice.
	Listen func(ctx context.Context, network string) (transport.Conn, error)
	// Resolver looks up host names; nil is net.DefaultResolver.
	Resolver *net.Resolver
	// SourcePorts is how many sockets per address family may be opened when the message
	// IDs towards a peer run out: 64,512 in 247 s each (RFC 7252 §4.4). 0 means 1.
	SourcePorts int
	// GroupWindow is how long Group collects responses: 0 means DEFAULT_LEISURE plus
	// 2 s.
	GroupWindow time.Duration

	entropy   func([]byte)   // see core
	departing sync.WaitGroup // observations, until they are cancelled at the server
	broken    sync.WaitGroup // goroutines of sockets that are beyond use
	closing   chan struct{}  // closed by Close; made with core

	mu       sync.Mutex
	core     *core
	shards   [2][]*shard // IPv4, IPv6
	closed   bool
	sharings map[string]*sharing // observations by what they are of
}

// DefaultClient is the client of the package's functions.
var DefaultClient = &Client{}

// Get asks for a representation (RFC 7252 §5.8.1).
func (c *Client) Get(ctx context.Context, url string, opts ...RequestOption) (*Response, error) {
	return c.Do(ctx, NewRequest(message.GET, url, Body{}, opts...))
}

// Post has the resource process a body (RFC 7252 §5.8.2).
func (c *Client) Post(ctx context.Context, url string, body Body, opts ...RequestOption) (*Response, error) {
	return c.Do(ctx, NewRequest(message.POST, url, body, opts...))
}

// Put creates or replaces the resource (RFC 7252 §5.8.3).
func (c *Client) Put(ctx context.Context, url string, body Body, opts ...RequestOption) (*Response, error) {
	return c.Do(ctx, NewRequest(message.PUT, url, body, opts...))
}

// Delete removes the resource (RFC 7252 §5.8.4).
func (c *Client) Delete(ctx context.Context, url string, opts ...RequestOption) (*Response, error) {
	return c.Do(ctx, NewRequest(message.DELETE, url, Body{}, opts...))
}

// Fetch asks for a representation that the body describes (RFC 8132 §2).
func (c *Client) Fetch(ctx context.Context, url string, body Body, opts ...RequestOption) (*Response, error) {
	return c.Do(ctx, NewRequest(message.FETCH, url, body, opts...))
}

// Patch changes the resource in part (RFC 8132 §3).
func (c *Client) Patch(ctx context.Context, url string, body Body, opts ...RequestOption) (*Response, error) {
	return c.Do(ctx, NewRequest(message.PATCH, url, body, opts...))
}

// IPatch changes the resource in part, idempotently (RFC 8132 §3).
func (c *Client) IPatch(ctx context.Context, url string, body Body, opts ...RequestOption) (*Response, error) {
	return c.Do(ctx, NewRequest(message.IPATCH, url, body, opts...))
}

// Get asks DefaultClient for a representation.
func Get(ctx context.Context, url string, opts ...RequestOption) (*Response, error) {
	return DefaultClient.Get(ctx, url, opts...)
}

// Post has the resource process a body, by DefaultClient.
func Post(ctx context.Context, url string, body Body, opts ...RequestOption) (*Response, error) {
	return DefaultClient.Post(ctx, url, body, opts...)
}

// Put creates or replaces the resource, by DefaultClient.
func Put(ctx context.Context, url string, body Body, opts ...RequestOption) (*Response, error) {
	return DefaultClient.Put(ctx, url, body, opts...)
}

// Delete removes the resource, by DefaultClient.
func Delete(ctx context.Context, url string, opts ...RequestOption) (*Response, error) {
	return DefaultClient.Delete(ctx, url, opts...)
}

// Fetch asks for a representation that the body describes, by DefaultClient.
func Fetch(ctx context.Context, url string, body Body, opts ...RequestOption) (*Response, error) {
	return DefaultClient.Fetch(ctx, url, body, opts...)
}

// Patch changes the resource in part, by DefaultClient.
func Patch(ctx context.Context, url string, body Body, opts ...RequestOption) (*Response, error) {
	return DefaultClient.Patch(ctx, url, body, opts...)
}

// IPatch changes the resource in part, idempotently, by DefaultClient.
func IPatch(ctx context.Context, url string, body Body, opts ...RequestOption) (*Response, error) {
	return DefaultClient.IPatch(ctx, url, body, opts...)
}

// Ping asks DefaultClient whether a CoAP endpoint is there.
func Ping(ctx context.Context, url string) (time.Duration, error) {
	return DefaultClient.Ping(ctx, url)
}

// Do sends a request and returns its response, whatever its code. Every other method of
// requests goes through it. Errors are *[OpError] and wrap one of the package's causes or
// the context's.
//
// A body larger than a block goes up block by block before Do returns (RFC 7959); of a
// response that takes several blocks Do gets the first, and its Body or Bytes the others,
// with the same context. A message of such a transfer that nobody acknowledged, or, if it
// is Non-confirmable, nobody answered, is sent anew up to three times; a request of one
// message never is.
func (c *Client) Do(ctx context.Context, r *Request) (*Response, error) {
	t := resolved.get()
	defer resolved.put(t)
	err := c.resolve(ctx, r.URL, t)
	if err == nil {
		err = r.Body.claim()
	}
	if err != nil {
		return nil, &OpError{Op: r.Method.Name(), URL: r.URL, Phase: "resolve", Err: err}
	}
	var resp *Response
	err = c.tryEach(ctx, t.addrs, r.Method.Name(), r.URL, func(s *shard, to peer.Addr) (err error) {
		if to.IsMulticast() && !r.call.nonConfirmable {
			return &OpError{Op: r.Method.Name(), URL: r.URL,
				Err: fmt.Errorf("%w: a group takes Client.Group, or NonConfirmable for its first answer", ErrURL)}
		}
		options := r.options(&t.uri, to)
		resp, err = s.do(ctx, to, &options, r)
		return err
	})
	return resp, err
}

// tryEach tries the addresses of a host in turn. The next one may answer where the network
// says that one can't be reached, or no socket can be had for its IP version: many names
// have addresses of both. The error is the last of a message that was sent, if one was.
func (c *Client) tryEach(ctx context.Context, addrs []peer.Addr, op, url string, try func(*shard, peer.Addr) error) error {
	var err error
	for _, to := range addrs {
		s, openErr := c.shard(ctx, to)
		if openErr != nil {
			if err == nil {
				err = &OpError{Op: op, URL: url, Peer: to.String(), Err: openErr}
			}
			continue
		}
		if err = try(s, to); !errors.Is(err, ErrUnreachable) || underWay(err) {
			return err
		}
	}
	return err
}

// underWay reports whether a transfer failed behind its first block.
func underWay(err error) bool {
	var block *blockwise.Error
	return errors.As(err, &block) && block.Offset > 0
}

// Ping sends a CoAP ping to the URL's host, whose path counts for nothing, and returns
// the round-trip time (RFC 7252 §4.3).
func (c *Client) Ping(ctx context.Context, url string) (time.Duration, error) {
	var t target
	if err := c.resolve(ctx, url, &t); err != nil {
		return 0, &OpError{Op: "ping", URL: url, Phase: "resolve", Err: err}
	}
	var rtt time.Duration
	err := c.tryEach(ctx, t.addrs, "ping", url, func(s *shard, to peer.Addr) (err error) {
		rtt, err = s.ping(ctx, to)
		return err
	})
	return rtt, err
}

// Group sends a GET to a group address and yields one response for each peer that
// answers, until the context ends or GroupWindow is over. Members answer at a random
// moment of their leisure and keep silent about errors (RFC 7252 §8). What doesn't fit
// into a member's message is fetched from it when the response's Body is read. An error
// ends the sequence.
func (c *Client) Group(ctx context.Context, url string, opts ...RequestOption) iter.Seq2[*Response, error] {
	return func(yield func(*Response, error) bool) {
		r := NewRequest(message.GET, url, Body{}, opts...)
		r.call.nonConfirmable = true // §8.1
		if err := c.group(ctx, r, yield); err != nil {
			yield(nil, &OpError{Op: "GET", URL: url, Err: err})
		}
	}
}

// groupBacklog is how many responses may wait for the loop over a group.
const groupBacklog = 256

func (c *Client) group(ctx context.Context, r *Request, yield func(*Response, error) bool) error {
	var t target
	if err := c.resolve(ctx, r.URL, &t); err != nil {
		return err
	}
	to := t.addrs[0]
	s, err := c.shard(ctx, to)
	if err != nil {
		return err
	}
	call := s.newCall(to)
	call.group = make(chan *Response, groupBacklog)
	options := r.options(&t.uri, to)
	if err := s.begin(call, &options, r, reliability.ExpectMany); err != nil {
		return err
	}
	s.traceBegin(call.began, call, r)
	defer s.traceEnd(call, r, nil)
	defer s.abandon(call)
	return c.collect(ctx, s, call, func(resp *Response, err error) bool {
		s.attach(ctx, &options, r, resp) // RFC 7959 §2.8: the rest by unicast
		return yield(resp, err)
	})
}

// groupWindow returns how long responses from a group are collected.
func (c *Client) groupWindow() time.Duration {
	if c.GroupWindow != 0 {
		return c.GroupWindow
	}
	return c.Params.WithDefaults().DefaultLeisure + 2*time.Second
}

// sourcePorts returns how many sockets per address family there may be.
func (c *Client) sourcePorts() int { return max(c.SourcePorts, 1) }

// collect yields the responses to a group request as they come.
func (c *Client) collect(ctx context.Context, s *shard, call *call, yield func(*Response, error) bool) error {
	timer := time.NewTimer(c.groupWindow())
	defer timer.Stop()
	seen := map[peer.Addr]bool{}
	for {
		select {
		case resp := <-call.group:
			if from := resp.peer.Remote(); !seen[from] {
				seen[from] = true
				if !yield(resp, nil) {
					return nil
				}
			}
		case <-call.done:
			return call.err
		case <-timer.C:
			return nil
		case <-ctx.Done():
			return nil
		case <-s.done:
			return s.whyClosed()
		}
	}
}

// Close closes the client's sockets and waits for its goroutines. Calls in progress fail
// with [ErrClosed], and so does every later one. Observations are cancelled at the
// servers first, for which it waits 2 s at most. A Handler of the client must not call
// it, as it waits for the Handler.
func (c *Client) Close() error {
	c.mu.Lock()
	first := !c.closed
	c.closed = true
	shards := append(c.shards[0], c.shards[1]...)
	core, closing := c.core, c.closing
	c.mu.Unlock()
	if core == nil {
		return nil
	}
	if first {
		close(closing)
		c.depart()
	}
	core.stop(ErrClosed)
	for _, s := range shards {
		s.close()
		s.goroutines.Wait()
	}
	c.broken.Wait()
	return nil
}

// enter notes an observation; false once the client is closed.
func (c *Client) enter() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.departing.Add(1)
	}
	return !c.closed
}

// depart waits for observations to be cancelled.
func (c *Client) depart() {
	gone := make(chan struct{})
	go func() {
		c.departing.Wait()
		close(gone)
	}()
	timer := time.NewTimer(closingGrace)
	defer timer.Stop()
	select {
	case <-gone:
	case <-timer.C:
	}
}

// Stats returns counters summed over the client's sockets.
func (c *Client) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.core == nil {
		return Stats{}
	}
	return c.core.sum(append(c.shards[0][:len(c.shards[0]):len(c.shards[0])], c.shards[1]...))
}

// shard returns the socket for a peer, which it opens on first use. When the message IDs
// towards the peer have run out it takes, or opens, the next source port.
func (c *Client) shard(ctx context.Context, to peer.Addr) (*shard, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, ErrClosed
	}
	network, family := "udp4", &c.shards[0]
	if !to.Is4() {
		network, family = "udp6", &c.shards[1]
	}
	*family = slices.DeleteFunc(*family, c.lost)
	if len(*family) == 1 && c.SourcePorts <= 1 {
		return (*family)[0], nil // exhausted or not
	}
	for _, s := range *family {
		if !s.exhausted(to) {
			return s, nil
		}
	}
	if len(*family) >= c.sourcePorts() {
		return (*family)[0], nil // and wait there
	}
	s, err := c.open(ctx, network)
	if err != nil {
		return nil, err
	}
	*family = append(*family, s)
	return s, nil
}

// lost reports whether the socket of a shard is beyond use: another one takes its place.
// The client still waits for its handlers.
func (c *Client) lost(s *shard) bool {
	select {
	case <-s.done:
		c.broken.Go(s.goroutines.Wait)
		return true
	default:
		return false
	}
}

func (c *Client) open(ctx context.Context, network string) (*shard, error) {
	if c.core == nil {
		n, err := newCore(c.Params, c.Limits, c.Handler, c.Recognize)
		if err != nil {
			return nil, err
		}
		n.logger, n.trace, n.timing.response = c.Logger, c.Trace, c.ResponseTimeout
		n.entropy, n.tokenBytes = c.entropy, c.TokenBytes
		if err := n.extendTokens(); err != nil {
			return nil, err
		}
		c.core, c.closing = n, make(chan struct{})
	}
	listen := c.Listen
	if listen == nil {
		listen = func(ctx context.Context, network string) (transport.Conn, error) {
			return transport.Listen(ctx, network, ":0", transport.Config{})
		}
	}
	conn, err := listen(ctx, network)
	if err != nil {
		return nil, err
	}
	s, err := c.core.newShard(conn, 1, c.Handler != nil)
	if err != nil {
		conn.Close()
	}
	return s, err
}

// A target is a URL with the addresses that its host stands for.
type target struct {
	uri   message.URI
	addrs []peer.Addr
}

// maxAddrs is how many addresses of a name are tried.
const maxAddrs = 4

// resolved keeps the room of targets whose requests are over.
var resolved pool[target]

// resolve makes t the target of a URL: takes that apart and looks its host up.
func (c *Client) resolve(ctx context.Context, url string, t *target) error {
	t.addrs = t.addrs[:0]
	u := &t.uri
	if err := u.Parse(url); err != nil {
		return fmt.Errorf("%w: %w", ErrURL, err)
	}
	if u.Secure {
		return fmt.Errorf("%w: the coaps scheme is not supported", ErrURL)
	}
	if u.Addr.IsValid() {
		t.addrs = append(t.addrs, peer.From(netip.AddrPortFrom(u.Addr, u.Port)))
		return nil
	}
	resolver := c.Resolver
	if resolver == nil {
		resolver = net.DefaultResolver
	}
	ips, err := resolver.LookupNetIP(ctx, "ip", u.Host)
	if err != nil {
		return err
	}
	for _, ip := range ips[:min(len(ips), maxAddrs)] {
		t.addrs = append(t.addrs, peer.From(netip.AddrPortFrom(ip, u.Port)))
	}
	if len(t.addrs) == 0 {
		return fmt.Errorf("%w: %s has no address", ErrURL, u.Host)
	}
	return nil
}

// options returns the request's options in order: those of the URL (RFC 7252 §6.4), the
// body's and the caller's.
func (r *Request) options(u *message.URI, to peer.Addr) optionList {
	list := r.call.options
	list.extra = append([]option(nil), list.extra...)
	var room [2]message.Option
	host := message.URI{Host: u.Host, Addr: u.Addr, Port: u.Port}
	for _, o := range host.AppendOptions(room[:0], to.AddrPort()) {
		if o.Number != message.URIHost || !r.call.noURIHost {
			list.add(o.Number, o.Value)
		}
	}
	for _, segment := range u.Path {
		list.addString(message.URIPath, segment)
	}
	for _, argument := range u.Query {
		list.addString(message.URIQuery, argument)
	}
	if r.Body.formatted && !list.has(message.ContentFormat) {
		list.addUint(message.ContentFormat, uint32(r.Body.format))
	}
	if szx, ok := message.SZXForSize(r.call.blockSize); ok && !r.call.byHand() {
		list.addUint(message.Block2, message.Block{SZX: szx}.Encode()) // RFC 7959 §2.4
	}
	return list
}

// Do sends a request to the peer over the socket that its own request came from. The
// request's URL is a path, with a query or not: "/config?unit=s".
func (p Peer) Do(ctx context.Context, r *Request) (*Response, error) {
	if p.shard == nil {
		return nil, ErrClosed
	}
	u, err := message.ParseURI("coap://" + p.addr.String() + r.URL)
	if err != nil {
		return nil, &OpError{Op: r.Method.Name(), URL: r.URL, Peer: p.String(), Err: fmt.Errorf("%w: %w", ErrURL, err)}
	}
	if err := r.Body.claim(); err != nil {
		return nil, &OpError{Op: r.Method.Name(), URL: r.URL, Peer: p.String(), Err: err}
	}
	options := r.options(&u, p.addr)
	return p.shard.do(ctx, p.addr, &options, r)
}
