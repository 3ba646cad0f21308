package coap

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/motewire/coap/message"
)

// A Mux calls the handler of the pattern that fits a request best. The zero Mux is ready
// to use. Routes may be registered while requests are served; the first request after a
// registration then takes time in proportion to the number of routes.
//
// # Patterns
//
// They are those of net/http.ServeMux, "[METHOD ]/path", without hosts. Methods are GET,
// POST, PUT, DELETE, FETCH, PATCH and iPATCH; a pattern without one takes all of them.
// A segment of the path is a literal, in which %xx stands for a byte, or a wildcard:
//
//	/sensors/{id}      {id} is one segment that is not empty
//	/files/{rest...}   {rest...} is all that follows, at least the slash before it
//	/files/            the same without a name
//	/files/{$}         the path with a trailing slash itself
//
// The path is "/" in a request without Uri-Path options, and "/a/" ends in an empty one
// (RFC 7252 §6.5). Paths are compared option by option: nothing is decoded, joined or
// cleaned. "/" as a pattern ends in a slash and takes every path; "/{$}" takes the root.
//
// Where two patterns match, the more specific one wins: the one whose requests the other
// one matches as well. Two patterns of which neither is more specific conflict.
//
// # What the Mux answers
//
// 4.04 where no pattern has the path, 4.05 where one has but not with this method
// (RFC 7252 §5.9.2.5, §5.9.2.6), and what the route's declarations decide: see
// [RouteOption]. GET /.well-known/core lists the routes (RFC 6690) unless the program
// registers that itself.
type Mux struct {
	// table is what requests are looked up in. It is immutable but for the routes'
	// slow marks, and nil where registration has overtaken it.
	table atomic.Pointer[table]

	mu         sync.Mutex // held by registration
	routes     []*route   // in the order of registration
	middleware []func(Handler) Handler
	draft      *table // what routes is in, to find conflicts; nil: to be built
}

// NewMux returns a Mux without routes.
func NewMux() *Mux { return new(Mux) }

// Handle registers a handler. It panics where the pattern is malformed, conflicts with
// one that is there, or the options contradict each other.
//
// A Mux may be the handler of another one. Its patterns are then whole paths as well, and
// it deals with preconditions itself. Discovery of the outer one does not list its routes:
// that takes [Links].
func (m *Mux) Handle(pattern string, h Handler, opts ...RouteOption) {
	if h == nil {
		panic(fmt.Sprintf("coap: pattern %q: nil handler", pattern))
	}
	p, err := parsePattern(pattern)
	if err != nil {
		panic(err)
	}
	rt := newRoute(p, h, opts)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.draft == nil {
		m.draft = newTable(m.routes)
	}
	if old := m.draft.root.conflict(p, 0); old != nil {
		panic(fmt.Sprintf("coap: pattern %q conflicts with %q: %s", p.text, old.pattern, describeConflict(p, old.parsed)))
	}
	rt.wrap(m.middleware)
	m.routes = append(m.routes, rt)
	m.draft.add(rt)
	m.table.Store(nil)
}

// HandleFunc registers a function as Handle does.
func (m *Mux) HandleFunc(pattern string, f func(ResponseWriter, *Request), opts ...RouteOption) {
	if f == nil {
		panic(fmt.Sprintf("coap: pattern %q: nil handler", pattern))
	}
	m.Handle(pattern, HandlerFunc(f), opts...)
}

// Use wraps the handlers of all routes, those registered before and later and discovery
// included, in middleware; the first one given is outermost. What a route's declarations
// answer, and 4.04 and 4.05, does not pass through it: that is what a Handler around the
// Mux is for. Use calls each middleware once per route, and again when Use is called
// again; it must not register routes itself.
func (m *Mux) Use(middleware ...func(Handler) Handler) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.middleware = append(m.middleware, middleware...)
	for i, rt := range m.routes {
		// A new route: requests are being served by the old one.
		m.routes[i] = &route{declaration: rt.declaration, inner: rt.inner}
		m.routes[i].wrap(m.middleware)
	}
	m.draft = nil
	m.table.Store(nil)
}

// ServeCoAP answers a request by the handler of the route that fits it best.
func (m *Mux) ServeCoAP(w ResponseWriter, r *Request) {
	rt, code := m.find(r.Method, r.view, &r.match)
	if code == 0 && r.Multicast() && !rt.multicast {
		code = message.NotFound // nobody hears of it (RFC 7252 §8.2)
	}
	if code == 0 {
		r.pattern = rt.pattern
		code = rt.precheck(w, r)
	}
	if code != 0 {
		w.SetCode(code)
		return
	}
	rt.handler.ServeCoAP(w, r)
}

// find looks up the route of a request, and in mt where its wildcards matched. The code
// is 0 where there is one, else NotFound, or MethodNotAllowed for a method that the path
// doesn't have, or that nobody knows. It allocates nothing, and its time does not depend
// on the number of routes but on the path's length, times the wildcards that it has to
// try.
func (m *Mux) find(method message.Code, v *message.View, mt *match) (*route, message.Code) {
	if method == message.Empty || method > message.IPATCH {
		return nil, message.MethodNotAllowed // RFC 7252 §5.8: a method that nobody knows
	}
	t := m.table.Load()
	if t == nil {
		t = m.publish()
	}
	s := search{method: method}
	s.split(v)
	rt := s.from(&t.root, 0)
	switch {
	case rt != nil:
		mt.pattern = rt.parsed
		return rt, 0
	case s.pathFound:
		return nil, message.MethodNotAllowed // RFC 7252 §5.8
	}
	return nil, message.NotFound // RFC 7252 §5.9.2.5
}

// publish makes the registered routes a table for requests.
func (m *Mux) publish() *table {
	m.mu.Lock()
	defer m.mu.Unlock()
	if t := m.table.Load(); t != nil {
		return t
	}
	t := m.draft
	if t == nil {
		t = newTable(m.routes)
	}
	m.draft = nil
	t.addDiscovery(m.middleware)
	m.table.Store(t)
	return t
}
