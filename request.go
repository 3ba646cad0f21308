package coap

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/netip"
	"strings"
	"time"

	"github.com/motewire/coap/message"
	"github.com/motewire/coap/peer"
)

// A Request is what a client sends and what a handler receives. A client fills in
// Method, URL and Body ([NewRequest]); a handler reads with the methods, which look into
// the received datagram: what they return is valid until the handler returns.
type Request struct {
	// Method is the request's method code: message.GET, message.FETCH and so on.
	Method message.Code
	// URL is the absolute URI of a client's request. It is empty in a handler.
	URL string
	// Body is the payload of a client's request. A handler reads Payload.
	Body Body

	call    callOptions
	view    *message.View // what a handler received; nil at the client
	body    []byte        // of a clone whose body came in blocks or was cloned; nil: it is the view's
	x       *exchange     // the exchange being served; nil at the client
	match   match         // what the Mux found
	ctx     context.Context
	pattern string
}

// NewRequest returns a client's request, to be sent with [Client.Do].
func NewRequest(method message.Code, url string, body Body, opts ...RequestOption) *Request {
	r := &Request{Method: method, URL: url, Body: body}
	r.call.set(opts)
	return r
}

// callOptions is what differs per call.
type callOptions struct {
	options        optionList
	nonConfirmable bool
	noURIHost      bool
	token          message.Token
	tokenSet       bool
	blockSize      int           // 0: what Limits say
	patience       time.Duration // for the response to a Non-confirmable message; 0: what Client says
	lease          *lease        // the reader's role, for who waits; nil: it hasn't got it
	err            error         // an option has an impossible value
}

// byHand reports whether the caller sees to blocks himself: then the request is one
// message.
func (c *callOptions) byHand() bool {
	return c.options.has(message.Block1) || c.options.has(message.Block2)
}

// A RequestOption says what differs for one call.
type RequestOption struct {
	kind   optionKind
	number message.OptionNumber
	uint   uint32
	value  []byte
	token  message.Token
	err    error
}

// An optionKind says which field of a RequestOption counts, and for what.
type optionKind uint8

const (
	uintOption optionKind = iota + 1
	valueOption
	nonConfirmable
	noURIHost
	blockSize
	callToken
	failure
)

func (c *callOptions) set(opts []RequestOption) {
	for i := range opts {
		switch o := &opts[i]; o.kind {
		case uintOption:
			c.options.addUint(o.number, o.uint)
		case valueOption:
			c.options.add(o.number, o.value)
		case nonConfirmable:
			c.nonConfirmable = true
		case noURIHost:
			c.noURIHost = true
		case blockSize:
			c.blockSize = int(o.uint)
		case callToken:
			c.token, c.tokenSet = o.token, true
		case failure:
			c.err = o.err
		}
	}
}

// NonConfirmable sends the request as a Non-confirmable message: once, without
// acknowledgement or retransmission (RFC 7252 §4.3). Of a transfer in blocks (RFC 7959) each
// message is: one that is not answered within ACK_TIMEOUT × ACK_RANDOM_FACTOR, 3 s by
// default, and 45 s for the first, is sent again under a new message ID, and so after twice and four times that; the
// last one waits for [Client].ResponseTimeout.
var NonConfirmable = RequestOption{kind: nonConfirmable}

// NoURIHost leaves the Uri-Host option out, also where the URL names a host.
var NoURIHost = RequestOption{kind: noURIHost}

// Accept asks for a representation of this Content-Format (RFC 7252 §5.10.4).
func Accept(format message.Format) RequestOption {
	return RequestOption{kind: uintOption, number: message.Accept, uint: uint32(format)}
}

// Classes of responses that [NoResponse] may name, to be joined by |.
const (
	NoSuccess     = 2  // 2.xx
	NoClientError = 8  // 4.xx
	NoServerError = 16 // 5.xx
)

// NoResponse says in which classes of responses the client has no interest (RFC 7967
// §2.1). With all three the call returns once the request is sent or acknowledged. Nothing
// slows Non-confirmable requests down then: a program leaves 3 s between those to one server,
// or asks for a response now and then (RFC 7967 §3.2).
func NoResponse(classes uint8) RequestOption {
	return RequestOption{kind: uintOption, number: message.NoResponse, uint: uint32(classes)}
}

// IfMatch makes the request conditional on the resource's current ETag; with an empty
// tag, on its existence (RFC 7252 §5.10.8.1).
func IfMatch(tag []byte) RequestOption {
	return RequestOption{kind: valueOption, number: message.IfMatch, value: tag}
}

// IfNoneMatch makes the request conditional on the resource's absence (RFC 7252
// §5.10.8.2).
var IfNoneMatch = RequestOption{kind: valueOption, number: message.IfNoneMatch}

// ETag offers a stored representation for validation: a server that still has it answers
// 2.03 Valid without payload (RFC 7252 §5.10.6.2).
func ETag(tag []byte) RequestOption {
	return RequestOption{kind: valueOption, number: message.ETag, value: tag}
}

// BlockSize is the greatest block size in bytes, a power of two from 16 to 1024, in both
// directions: the body is sent in blocks of no more, and the response is to come so (RFC
// 7959 §2.4). Another value fails the call with [ErrOption].
func BlockSize(size int) RequestOption {
	if _, ok := message.SZXForSize(size); !ok {
		return impossible("BlockSize %d is not a power of two from 16 to 1024", size)
	}
	return RequestOption{kind: blockSize, uint: uint32(size)}
}

// Block asks for one block of the response's body and no more: bytes num*size up to
// (num+1)*size. The response's Body is that block, or a part of it where the server's
// blocks are smaller; the Block2 option of its message says which, and whether the body
// goes on. size is as for [BlockSize]. The request goes in one message too.
func Block(num, size int) RequestOption {
	szx, ok := message.SZXForSize(size)
	if !ok || num < 0 || num > message.MaxBlockNum {
		return impossible("Block %d of %d bytes", num, size)
	}
	return RequestOption{kind: uintOption, number: message.Block2, uint: message.Block{Num: uint32(num), SZX: szx}.Encode()}
}

// impossible is an option that fails the call.
func impossible(format string, args ...any) RequestOption {
	return RequestOption{kind: failure, err: fmt.Errorf("%w: "+format, append([]any{ErrOption}, args...)...)}
}

// Option adds any option. Its value is copied when the request is made. A Block1 or
// Block2 set so makes the call one message with what it has: the caller sees to the other
// blocks, and the response's Body is the payload.
func Option(n message.OptionNumber, value []byte) RequestOption {
	return RequestOption{kind: valueOption, number: n, value: value}
}

// Token sets the token, where the call takes several messages that of the first. Without it the client draws one that can't be guessed, which is
// what nearly everybody wants (RFC 7252 §5.3.1).
func Token(token message.Token) RequestOption {
	return RequestOption{kind: callToken, token: token}
}

// ParseRequest makes a handler's Request of a datagram, which it borrows: for tests and
// tools that call handlers themselves. Errors are *[message.FormatError], or say that the
// message is no request.
func ParseRequest(datagram []byte) (*Request, error) {
	v := new(message.View)
	if err := v.Parse(datagram); err != nil {
		return nil, err
	}
	if !v.Code().IsRequest() {
		return nil, fmt.Errorf("coap: %v is not a request", v.Code())
	}
	return &Request{Method: v.Code(), view: v}, nil
}

// oneMessage says what keeps the request from being one message.
func (r *Request) oneMessage() error {
	if r.Body.stream != nil {
		return fmt.Errorf("%w: a Stream in a request of one message", ErrOption)
	}
	return errors.Join(r.Body.err, r.call.err)
}

// AppendBinary appends a client's request to dst as one message, for tests and tools. Its
// message ID is 0, and its token is empty unless the [Token] option sets it. Errors say
// that the URL, the body or an option can't be sent.
func (r *Request) AppendBinary(dst []byte) ([]byte, error) {
	if err := r.oneMessage(); err != nil {
		return nil, err
	}
	u, err := message.ParseURI(r.URL)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrURL, err)
	}
	t := message.Confirmable
	if r.call.nonConfirmable {
		t = message.NonConfirmable
	}
	options := r.options(&u, peer.From(netip.AddrPortFrom(u.Addr, u.Port)))
	e := message.AppendHeader(dst, t, r.Method, 0, r.call.token)
	options.encode(&e)
	return e.Finish(r.Body.data)
}

// Context returns the context of the exchange: in a handler it ends when the server
// shuts down, at the server's handler deadline, when the client resets the exchange, and
// after the response has been sent. It is made on first use.
func (r *Request) Context() context.Context {
	if r.ctx == nil {
		if r.x == nil {
			return context.Background()
		}
		r.ctx = r.x.context()
	}
	return r.ctx
}

// WithContext returns a shallow copy of r with another context, for middleware.
func (r *Request) WithContext(ctx context.Context) *Request {
	c := *r
	c.ctx = ctx
	return &c
}

// Message returns the request as it was received; nil at the client. It is valid until
// the handler returns.
func (r *Request) Message() *message.View { return r.view }

// Payload returns the request's body, nil where there is none or it is a [Stream]: whole,
// also where it came block by block. It is valid until the handler returns.
func (r *Request) Payload() []byte {
	switch {
	case r.view == nil:
		return r.Body.data
	case r.body != nil:
		return r.body
	case r.x == nil:
		return r.view.Payload()
	case r.x.intake != nil:
		return nil
	case r.x.assembled != nil:
		return r.x.assembled
	}
	return r.view.Payload()
}

// BodyReader returns a reader of the request's body from its start. In a handler of a route
// with [StreamBody] there is one, which reads the body as it arrives; it is the handler's
// alone.
func (r *Request) BodyReader() io.Reader {
	if r.x != nil && r.x.intake != nil {
		return r.x.intake
	}
	return bytes.NewReader(r.Payload())
}

// IfNoneMatch reports whether the request is conditional on the resource's absence (RFC 7252
// §5.10.8.2), be it that only the first block of its body said so (RFC 7959 §2.10).
func (r *Request) IfNoneMatch() bool {
	return r.view != nil && r.view.IfNoneMatch() || r.x != nil && r.x.received.IfNoneMatch
}

// ContentFormat returns the payload's Content-Format where the request names one.
func (r *Request) ContentFormat() (format message.Format, ok bool) {
	if r.view == nil {
		return r.Body.format, r.Body.formatted
	}
	return r.view.ContentFormat()
}

// Path returns the request's path, "/" joined and not percent-encoded: for people and
// logs. Routing works on segments.
func (r *Request) Path() string {
	if r.view == nil {
		return ""
	}
	var b strings.Builder
	for segment := range r.view.PathSegments() {
		b.WriteByte('/')
		b.Write(segment)
	}
	if b.Len() == 0 {
		return "/"
	}
	return b.String()
}

// PathValue returns what the wildcard of this name matched in the route's pattern, for
// "{rest...}" the segments joined by "/". It is empty where the pattern has no such
// wildcard.
func (r *Request) PathValue(name string) string { return r.match.value(r.view, name) }

// Pattern returns the pattern of the route that matched, as registered.
func (r *Request) Pattern() string { return r.pattern }

// Query returns the value of the first Uri-Query option of the form name=value, the
// empty string where there is none.
func (r *Request) Query(name string) string {
	value, _ := r.LookupQuery(name)
	return value
}

// LookupQuery is Query that tells an empty value, and a query without "=", from none.
func (r *Request) LookupQuery(name string) (value string, ok bool) {
	for q := range r.Queries() {
		key, value, _ := bytes.Cut(q, []byte("="))
		if string(key) == name {
			return string(value), true
		}
	}
	return "", false
}

// Queries iterates over the Uri-Query options.
func (r *Request) Queries() iter.Seq[[]byte] {
	if r.view == nil {
		return func(func([]byte) bool) {}
	}
	return r.view.Queries()
}

// Confirmable reports whether the request asks for an Acknowledgement.
func (r *Request) Confirmable() bool {
	if r.view == nil {
		return !r.call.nonConfirmable
	}
	return r.view.Type() == message.Confirmable
}

// Multicast reports whether the request was sent to a group (RFC 7252 §8).
func (r *Request) Multicast() bool { return r.x != nil && r.x.multicast }

// Peer returns the client that sent the request. A handler may send it requests in turn.
func (r *Request) Peer() Peer {
	if r.x == nil {
		return Peer{}
	}
	return Peer{addr: r.x.peer, shard: r.x.shard}
}

// Clone returns a copy that is valid for good, with its own copy of the datagram.
func (r *Request) Clone() *Request {
	c := *r
	if r.x != nil {
		c.body = bytes.Clone(r.Payload())
		c.ctx = r.Context()
		c.x = &exchange{shard: r.x.shard, peer: r.x.peer, multicast: r.x.multicast}
	}
	if r.view != nil {
		c.view = r.view.Clone()
	}
	return &c
}

// A Peer is an address with a conversation.
type Peer struct {
	addr  peerAddr
	shard *shard
}

// AddrPort returns the peer's address and port.
func (p Peer) AddrPort() netip.AddrPort { return p.addr.AddrPort() }

// LocalAddr returns the local address that the peer talks to, invalid where the system
// does not tell.
func (p Peer) LocalAddr() netip.Addr { return p.addr.Local() }

// String returns address:port.
func (p Peer) String() string { return p.addr.String() }
