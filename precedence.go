package coap

import (
	"fmt"
	"strings"
)

// A relation compares the sets of requests that two patterns match. Relations of the
// parts of two patterns are joined by |.
type relation uint8

const (
	equal        relation = 0
	leftHasMore  relation = 1 << iota // the left pattern matches requests that the right one doesn't
	rightHasMore                      // and the other way round
	disjoint                          // no request is matched by both

	overlap = leftHasMore | rightHasMore
)

// conflicts reports whether some request is matched by both patterns without that one of
// them is more specific: they match the same requests, or each has some of its own.
func (p *pattern) conflicts(q *pattern) bool {
	r := compareMethods(p.methods, q.methods) | comparePaths(p.segments, q.segments)
	return r == equal || r == overlap
}

func compareMethods(p, q methodSet) relation {
	var r relation
	if p&q == 0 {
		r |= disjoint
	}
	if p&^q != 0 {
		r |= leftHasMore
	}
	if q&^p != 0 {
		r |= rightHasMore
	}
	return r
}

func comparePaths(p, q []segment) relation {
	var r relation
	for len(p) > 0 && len(q) > 0 {
		if p[0].kind == multi || q[0].kind == multi {
			return r | compareMulti(p[0], q[0])
		}
		r |= compareSegments(p[0], q[0])
		p, q = p[1:], q[1:]
	}
	if len(p) != len(q) {
		r |= disjoint
	}
	return r
}

// compareMulti compares the rest of two paths where one is a multi wildcard, which
// matches whatever follows.
func compareMulti(p, q segment) relation {
	switch {
	case p.kind != multi:
		return rightHasMore
	case q.kind != multi:
		return leftHasMore
	}
	return equal
}

func compareSegments(p, q segment) relation {
	switch {
	case p.kind == wild && q.kind == wild:
		return equal
	case p.kind == wild && q.kind == literal && q.text != "":
		return leftHasMore
	case q.kind == wild && p.kind == literal && p.text != "":
		return rightHasMore
	case p == q: // two literals, or two {$}
		return equal
	}
	return disjoint
}

// describeConflict says why two conflicting patterns conflict.
func describeConflict(p, q *pattern) string {
	methods, paths := compareMethods(p.methods, q.methods), comparePaths(p.segments, q.segments)
	switch {
	case methods|paths == equal:
		return "both match the same requests"
	case paths == overlap:
		return fmt.Sprintf("both match %s, but neither is more specific", commonPath(p.segments, q.segments))
	case methods == rightHasMore:
		p = q
	}
	return fmt.Sprintf("%q has more methods, but the more specific path", p.text)
}

// commonPath returns a path that two overlapping lists of segments both match.
func commonPath(p, q []segment) string {
	var b strings.Builder
	for i := range max(len(p), len(q)) {
		s, t := p[min(i, len(p)-1)], q[min(i, len(q)-1)] // the shorter one ends in a multi wildcard
		if s.kind == multi || s.kind == wild && t.kind != multi {
			s = t
		}
		b.WriteByte('/')
		b.WriteString(s.text)
	}
	return b.String()
}
