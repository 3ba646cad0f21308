package coap

import "github.com/motewire/coap/message"

// A table is a tree of routes over the segments of their paths.
type table struct {
	root      node
	routes    []*route // in the order of registration
	discovery catalog
}

func newTable(routes []*route) *table {
	t := new(table)
	for _, rt := range routes {
		t.add(rt)
	}
	return t
}

func (t *table) add(rt *route) {
	l := t.root.leaf(rt.parsed.segments)
	l[rt.parsed.method] = rt
	t.routes = append(t.routes, rt)
}

// A node stands for the segments that lead to it.
type node struct {
	literals map[string]*node
	wild     *node // {name}
	here     *leaf // patterns that end here
	end      *leaf // patterns that go on by {$}
	multi    *leaf // patterns that go on by {name...} or end in a slash
}

// A leaf holds the routes of one path pattern by method; the first is for all methods.
type leaf [message.IPATCH + 1]*route

// leaf returns the leaf that segments lead to, made where it isn't there.
func (n *node) leaf(segments []segment) *leaf {
	if len(segments) == 0 {
		return ensure(&n.here)
	}
	switch s := segments[0]; s.kind {
	case multi:
		return ensure(&n.multi)
	case end:
		return ensure(&n.end)
	case wild:
		return ensure(&n.wild).leaf(segments[1:])
	default:
		next := n.literals[s.text]
		if next == nil {
			next = new(node)
			if n.literals == nil {
				n.literals = make(map[string]*node)
			}
			n.literals[s.text] = next
		}
		return next.leaf(segments[1:])
	}
}

// ensure fills a nil pointer with a new zero value.
func ensure[T any](p **T) *T {
	if *p == nil {
		*p = new(T)
	}
	return *p
}

// conflict returns a route below n that conflicts with p, nil where there is none. Only
// routes that can match a path of p's from segment i on are looked at.
func (n *node) conflict(p *pattern, i int) *route {
	if rt := n.multi.conflict(p); rt != nil {
		return rt
	}
	if i == len(p.segments) {
		return n.here.conflict(p)
	}
	switch s := p.segments[i]; s.kind {
	case multi:
		return n.conflictBelow(p)
	case end:
		return n.end.conflict(p)
	case wild:
		for _, next := range n.literals {
			if rt := next.conflict(p, i+1); rt != nil {
				return rt
			}
		}
	default:
		if next := n.literals[s.text]; next != nil {
			if rt := next.conflict(p, i+1); rt != nil {
				return rt
			}
		}
	}
	if n.wild == nil {
		return nil
	}
	return n.wild.conflict(p, i+1)
}

// conflictBelow is conflict for a p that goes on by a multi wildcard.
func (n *node) conflictBelow(p *pattern) *route {
	for _, l := range [...]*leaf{n.here, n.end, n.multi} {
		if rt := l.conflict(p); rt != nil {
			return rt
		}
	}
	if n.wild != nil {
		if rt := n.wild.conflictBelow(p); rt != nil {
			return rt
		}
	}
	for _, next := range n.literals {
		if rt := next.conflictBelow(p); rt != nil {
			return rt
		}
	}
	return nil
}

func (l *leaf) conflict(p *pattern) *route {
	if l == nil {
		return nil
	}
	for _, rt := range l {
		if rt != nil && rt.parsed.conflicts(p) {
			return rt
		}
	}
	return nil
}

// A search is one way through the tree. As conflicts were refused, all routes that match
// a request are each more specific than the next, and literal before {name} before
// {name...} at every segment meets the most specific one first.
type search struct {
	segments  [maxPatternSegments][]byte // of the path, as many as a pattern can have
	n         int                        // segments of the path, at most one more than that
	method    message.Code               // a known one
	pathFound bool                       // some route has the path, with whatever method
}

// split fetches the segments of the path. No segment at all is "/", which has an empty
// one (RFC 7252 §6.5).
func (s *search) split(v *message.View) {
	if v != nil {
		for segment := range v.PathSegments() {
			if s.n == len(s.segments) {
				s.n++ // only a multi wildcard matches what is longer
				return
			}
			s.segments[s.n] = segment
			s.n++
		}
	}
	s.n = max(s.n, 1)
}

// from returns the route below n for the segments from i on.
func (s *search) from(n *node, i int) *route {
	if i == s.n {
		return s.pick(n.here)
	}
	if i == len(s.segments) {
		return s.pick(n.multi)
	}
	segment := s.segments[i]
	if len(segment) == 0 && i == s.n-1 {
		if rt := s.pick(n.end); rt != nil {
			return rt
		}
		return s.pick(n.multi)
	}
	if next := n.literals[string(segment)]; next != nil {
		if rt := s.from(next, i+1); rt != nil {
			return rt
		}
	}
	if n.wild != nil && len(segment) > 0 {
		if rt := s.from(n.wild, i+1); rt != nil {
			return rt
		}
	}
	return s.pick(n.multi)
}

// pick returns the leaf's route for the method.
func (s *search) pick(l *leaf) *route {
	if l == nil {
		return nil
	}
	s.pathFound = true
	if rt := l[s.method]; rt != nil {
		return rt
	}
	return l[0]
}
