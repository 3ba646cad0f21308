package coap

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/motewire/coap/linkformat"
	"github.com/motewire/coap/message"
)

// A route is a handler with its pattern and what was declared about it.
type route struct {
	declaration
	inner   Handler // as registered
	handler Handler // inner in the Mux's middleware
	pace    pace    // what the server learned about the handler
}

// A declaration is what the program says about a route. It doesn't change once requests
// are served.
type declaration struct {
	pattern       string // as registered
	parsed        *pattern
	wildcard      bool             // the pattern matches more than one path
	produces      []message.Format // empty: anything
	consumes      []message.Format // empty: anything
	requireFormat bool             // a payload must say what it is
	validate      func(*Request) (etag []byte, exists bool)
	preconditions bool     // the handler deals with If-Match, If-None-Match and ETag
	multicast     bool     // answers requests to a group
	streams       bool     // the handler reads the request's body as it arrives
	bodyLimit     int      // bytes; 0: the server's limit
	subject       *Subject // what GET and FETCH may observe; nil: nothing
	policy        NotifyPolicy
	hidden        bool // not in discovery
	attributes    []linkformat.Attribute
	links         func() []linkformat.Link
}

// A RouteOption declares something about a route: to the server, which then answers
// requests that don't fit before the handler runs, or to those who look for resources in
// /.well-known/core (RFC 6690).
//
// What the declarations answer, in this order: 4.02, 4.13, 4.12, 4.00 and 4.15, 4.06, 2.03.
// A route that declares nothing about preconditions answers If-None-Match by 4.12 where
// its pattern has no wildcard, as the resource exists then; any other precondition
// is 4.02, as a handler that ignored it would break RFC 7252 §5.10.8.
type RouteOption func(*declaration)

// ResourceType adds to the rt attribute (RFC 6690 §3.1), one value per argument.
func ResourceType(types ...string) RouteOption { return words("rt", types) }

// Interface adds to the if attribute: names of interface descriptions (RFC 6690 §3.2),
// one per argument.
func Interface(names ...string) RouteOption { return words("if", names) }

// Title sets the title attribute, a text for people (RFC 5988 §5.4).
func Title(text string) RouteOption {
	return attribute(linkformat.Attribute{Name: "title", Value: text})
}

// Size sets the sz attribute: about how many bytes the representation has (RFC 6690 §3.3).
func Size(bytes int) RouteOption {
	return attribute(linkformat.Attribute{Name: "sz", Value: strconv.Itoa(bytes)})
}

// Attribute adds any other attribute. One without a value is a name alone, such as obs
// (RFC 7641 §6).
func Attribute(name, value string) RouteOption {
	return attribute(linkformat.Attribute{Name: name, Value: value, Flag: value == ""})
}

func attribute(a linkformat.Attribute) RouteOption {
	return func(d *declaration) { d.attributes = addAttribute(d.attributes, a) }
}

// words adds to an attribute that is a list of words.
func words(name string, values []string) RouteOption {
	return attribute(linkformat.Attribute{Name: name, Value: strings.Join(values, " ")})
}

// Produces declares the Content-Formats of the representations that the handler may
// return. A request that accepts another one gets 4.06 (RFC 7252 §5.10.4). They are also
// the ct attribute (RFC 7252 §7.2.1).
func Produces(formats ...message.Format) RouteOption {
	return func(d *declaration) {
		d.produces = append(d.produces, formats...)
		for _, f := range formats {
			words("ct", []string{strconv.Itoa(int(f))})(d)
		}
	}
}

// Consumes declares the Content-Formats of payloads that the handler understands. A
// request with another one gets 4.15 (RFC 7252 §5.9.2.10). One that names none passes:
// what its payload means has no default and is the handler's to know (RFC 7252 §5.5.1),
// see [RequireFormat].
func Consumes(formats ...message.Format) RouteOption {
	return func(d *declaration) { d.consumes = append(d.consumes, formats...) }
}

// RequireFormat answers POST, PUT, FETCH, PATCH and iPATCH without a Content-Format, be
// there a payload or not, by 4.00.
func RequireFormat() RouteOption {
	return func(d *declaration) { d.requireFormat = true }
}

// Validate declares what the preconditions are checked against: the ETag of the target's
// current representation, nil where it has none, and whether the target exists. The core
// then answers If-Match and If-None-Match by 4.12 where they aren't fulfilled
// (RFC 7252 §5.10.8), and GET and FETCH with the current ETag by 2.03 (§5.10.6.2).
//
// The function is called before the handler, for requests with such options. It sees the
// same request. Between the two another request may change the resource: a handler that
// must exclude that declares [Preconditions].
func Validate(f func(*Request) (etag []byte, exists bool)) RouteOption {
	return func(d *declaration) { d.validate = f }
}

// Preconditions declares that the handler itself deals with If-Match and If-None-Match.
func Preconditions() RouteOption {
	return func(d *declaration) { d.preconditions = true }
}

// Multicast declares that the route answers requests to a group (RFC 7252 §8). Of the
// others only discovery does.
func Multicast() RouteOption {
	return func(d *declaration) { d.multicast = true }
}

// BodyLimit sets the longest request body in bytes; a longer one gets 4.13 with the limit
// in Size1 (RFC 7252 §5.9.2.9). Without it the server's limit holds. A body that is not read
// as it arrives ([StreamBody]) is never longer than half of Limits.TransferBytesPerPeer.
func BodyLimit(bytes int) RouteOption {
	return func(d *declaration) { d.bodyLimit = bytes }
}

// StreamBody declares that the handler reads the request's body by [Request.BodyReader] as
// it arrives: it runs from the first block on, the response goes with the last one. Where
// the body does not come to its end the reader gets an error around io.ErrUnexpectedEOF,
// and the response is dropped. A handler that returns early has the rest of the body
// thrown away, or, with an error, refused. Without a BodyLimit any length is taken.
// Limits.TransferTimeout bounds the wait for each block, Limits.HandlerTimeout begins with the
// last one.
//
// Preconditions are checked with the first block alone.
func StreamBody() RouteOption {
	return func(d *declaration) { d.streams = true }
}

// Observable declares that GET and FETCH of the route may observe the Subject, and adds
// the obs attribute (RFC 7641 §6). A handler that is a [State] needs no declaration.
func Observable(s *Subject) RouteOption {
	return func(d *declaration) {
		d.subject = s
		Attribute("obs", "")(d)
	}
}

// Notifications says in which messages the notifications of an observable route go. The
// zero policy sends Non-confirmable ones with every fifth Confirmable. One that makes no
// sense panics.
func Notifications(p NotifyPolicy) RouteOption {
	if err := p.Validate(); err != nil {
		panic(err)
	}
	return func(d *declaration) { d.policy = p }
}

// Hidden leaves the route out of discovery; what [Links] adds stays.
func Hidden() RouteOption {
	return func(d *declaration) { d.hidden = true }
}

// Links adds links to discovery that are computed at request time: the children of a
// collection, a resource that comes and goes, or attributes that change. A link to a path
// that is listed already brings its attributes there, in place of declared ones of the
// same names. The function may be called by several goroutines at once and must not
// block. Targets are percent-encoded; an invalid link ([linkformat.Link.Validate]) makes
// discovery panic, which answers 5.00.
func Links(f func() []linkformat.Link) RouteOption {
	return func(d *declaration) { d.links = f }
}

func newRoute(p *pattern, h Handler, opts []RouteOption) *route {
	rt := &route{inner: h}
	rt.pattern, rt.parsed, rt.wildcard = p.text, p, p.hasWildcard()
	if o, ok := h.(interface{ observed() *Subject }); ok {
		Observable(o.observed())(&rt.declaration)
	}
	for _, o := range opts {
		o(&rt.declaration)
	}
	if rt.preconditions && rt.validate != nil {
		panic(fmt.Sprintf("coap: pattern %q: Validate and Preconditions exclude each other", p.text))
	}
	if err := (linkformat.Link{Attributes: rt.attributes}).Validate(); err != nil {
		panic(fmt.Errorf("coap: pattern %q: %w", p.text, err))
	}
	if _, mounted := h.(*Mux); mounted {
		rt.preconditions = true // its own routes know
	}
	return rt
}

// wrap puts the handler into middleware, the first one outermost.
func (rt *route) wrap(middleware []func(Handler) Handler) {
	rt.handler = rt.inner
	for _, m := range slices.Backward(middleware) {
		rt.handler = m(rt.handler)
	}
}

// precheck answers what the declarations decide before the handler runs. It returns the
// code of the response, 0 where the handler has to run, and writes what belongs to the
// response otherwise into w. It may call the route's validator.
func (rt *route) precheck(w ResponseWriter, r *Request) message.Code {
	v := r.view
	if v == nil {
		return 0
	}
	if n := rt.unheeded(v); n != 0 {
		w.WriteString(n.String() + " is not supported here") // RFC 7252 §5.4.1: SHOULD
		return message.BadOption
	}
	if limit := rt.limit(r.x); limit > 0 && bodyBytes(v) > limit {
		var b [4]byte
		w.AddOption(message.Size1, bytes.TrimLeft(binary.BigEndian.AppendUint32(b[:0], uint32(limit)), "\x00"))
		return message.RequestEntityTooLarge // RFC 7252 §5.9.2.9
	}
	now := rt.validity(r)
	if !rt.preconditions && !now.permits(r) {
		return message.PreconditionFailed // RFC 7252 §5.10.8
	}
	if code := rt.checkPayload(r.Method, v); code != 0 {
		return code
	}
	if accept, ok := v.Accept(); ok && len(rt.produces) > 0 && !slices.Contains(rt.produces, accept) {
		return message.NotAcceptable // RFC 7252 §5.10.4
	}
	if isRetrieval(r.Method) && now.tag.Len() > 0 && hasTag(v, now.tag) {
		w.SetETag(now.etag)
		return message.Valid // RFC 7252 §5.10.6.2
	}
	return 0
}

// limit is the longest request body in bytes, 0 where nothing is known of a limit. x is nil
// in tests of handlers.
func (rt *route) limit(x *exchange) int {
	switch {
	case x == nil || rt.streams && rt.bodyLimit > 0:
		return rt.bodyLimit
	case rt.streams:
		return math.MaxInt32
	case rt.bodyLimit > 0:
		return min(rt.bodyLimit, x.shard.core.limits.TransferBytesPerPeer/2)
	}
	return x.shard.core.limits.BodyBytes
}

// unheeded returns a precondition of the request that neither the handler nor a validator
// deals with, 0 where there is none. If-None-Match needs neither where the pattern has no
// wildcard: the resource exists.
func (rt *route) unheeded(v *message.View) message.OptionNumber {
	switch {
	case rt.preconditions || rt.validate != nil:
		return 0
	case v.Has(message.IfMatch):
		return message.IfMatch
	case v.Has(message.IfNoneMatch) && rt.wildcard:
		return message.IfNoneMatch
	}
	return 0
}

// bodyBytes is how long the request's body is or, in its first block, says to be.
func bodyBytes(v *message.View) int {
	size, _ := v.Size1()
	return max(len(v.Payload()), int(min(size, math.MaxInt32)))
}

// validity is what is known about the target of a request.
type validity struct {
	exists bool
	etag   []byte      // of the current representation; empty: none, or not asked for
	tag    message.Tag // etag as a value
}

// validity asks the validator if the request needs it. A route without one exists.
func (rt *route) validity(r *Request) validity {
	v := r.view
	needed := v.Has(message.IfMatch) || r.IfNoneMatch() || v.Has(message.ETag) && isRetrieval(r.Method)
	if rt.validate == nil || !needed {
		return validity{exists: true}
	}
	etag, exists := rt.validate(r)
	if !exists {
		return validity{}
	}
	tag, err := message.MakeTag(etag)
	if err != nil {
		panic(fmt.Sprintf("coap: pattern %q: validator returned an ETag of %d bytes", rt.pattern, len(etag)))
	}
	return validity{exists: true, etag: etag, tag: tag}
}

// permits reports whether If-Match and If-None-Match are fulfilled (RFC 7252 §5.10.8).
func (now *validity) permits(r *Request) bool {
	v := r.view
	if r.IfNoneMatch() && now.exists {
		return false // §5.10.8.2
	}
	return !v.Has(message.IfMatch) || now.matches(v)
}

// matches reports whether one of the request's If-Match options holds: an empty one
// where the target exists, another one where it is the current ETag (RFC 7252 §5.10.8.1).
func (now *validity) matches(v *message.View) bool {
	if !now.exists {
		return false
	}
	for tag := range v.IfMatch() {
		if tag.Len() == 0 || tag == now.tag {
			return true
		}
	}
	return false
}

func hasTag(v *message.View, tag message.Tag) bool {
	for offered := range v.ETags() {
		if offered == tag {
			return true
		}
	}
	return false
}

// checkPayload decides whether the handler understands the request's payload.
func (rt *route) checkPayload(method message.Code, v *message.View) message.Code {
	if method == message.GET || method == message.DELETE {
		return 0 // no payload has a meaning there
	}
	format, ok := v.ContentFormat()
	switch {
	case !ok && rt.requireFormat:
		return message.BadRequest
	case ok && len(rt.consumes) > 0 && !slices.Contains(rt.consumes, format):
		return message.UnsupportedContentFormat // RFC 7252 §5.9.2.10
	}
	return 0
}

// isRetrieval reports whether the method asks for a representation.
func isRetrieval(method message.Code) bool { return method == message.GET || method == message.FETCH }
