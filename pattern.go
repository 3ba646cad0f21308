package coap

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode"

	"github.com/motewire/coap/message"
)

// maxPatternSegments bounds the segments of a pattern, so that a request's path can be
// split without allocation. Paths may be longer: "/{rest...}" takes them.
const maxPatternSegments = 16

// maxSegmentLength is the longest Uri-Path option in bytes (RFC 7252 §5.10).
const maxSegmentLength = 255

// A pattern is "[METHOD ]/path", parsed.
//
// Every segment but the last of a multi wildcard stands for exactly one segment of a
// path, so that a wildcard's position in the pattern is its position in the path.
type pattern struct {
	text     string // as registered
	methods  methodSet
	method   message.Code // 0: all known ones
	segments []segment
}

// A segment is one piece of a pattern's path.
type segment struct {
	kind segmentKind
	text string // of a literal, percent-decoded; the name of a wildcard
}

type segmentKind uint8

const (
	literal segmentKind = iota // text, which may be empty inside a path
	wild                       // {name}: one segment that is not empty
	multi                      // {name...} or a trailing slash: all that follow, at least one
	end                        // {$}: the empty segment behind a trailing slash
)

// A methodSet has bit n for the method with code 0.0n.
type methodSet uint8

// allMethods are those of RFC 7252 §5.8 and RFC 8132.
const allMethods methodSet = 1<<message.GET | 1<<message.POST | 1<<message.PUT | 1<<message.DELETE |
	1<<message.FETCH | 1<<message.PATCH | 1<<message.IPATCH

var methodsByName = map[string]message.Code{
	"GET": message.GET, "POST": message.POST, "PUT": message.PUT, "DELETE": message.DELETE,
	"FETCH": message.FETCH, "PATCH": message.PATCH, "IPATCH": message.IPATCH, "iPATCH": message.IPATCH,
}

// A patternError says what is wrong with a pattern, and where.
type patternError struct {
	pattern string
	offset  int // in bytes
	err     error
}

func (e *patternError) Error() string {
	return fmt.Sprintf("coap: pattern %q: at offset %d: %v", e.pattern, e.offset, e.err)
}

func (e *patternError) Unwrap() error { return e.err }

// parsePattern parses "[METHOD ]/path" in the syntax of net/http.ServeMux, without hosts.
// An error is a *patternError.
func parsePattern(text string) (*pattern, error) {
	p := &pattern{text: text, methods: allMethods}
	path := text
	if i := strings.IndexAny(text, " \t"); i >= 0 {
		method, ok := methodsByName[text[:i]]
		if !ok {
			return nil, &patternError{text, 0, fmt.Errorf("unknown method %q", text[:i])}
		}
		p.method, p.methods = method, 1<<method
		path = strings.TrimLeft(text[i:], " \t")
	}
	offset := len(text) - len(path)
	switch {
	case path == "":
		return nil, &patternError{text, offset, errors.New("no path")}
	case path[0] != '/':
		return nil, &patternError{text, offset, errors.New("path must begin with '/': patterns have no host")}
	}
	for path != "" {
		var s string
		s, path = cutSegment(path)
		offset = len(text) - len(path) - len(s)
		if err := p.add(s, path == ""); err != nil {
			return nil, &patternError{text, offset, err}
		}
	}
	return p, nil
}

// cutSegment cuts the first segment off a path that begins with a slash.
func cutSegment(path string) (segment, rest string) {
	path = path[1:]
	if i := strings.IndexByte(path, '/'); i >= 0 {
		return path[:i], path[i:]
	}
	return path, ""
}

// add parses one segment and appends it.
func (p *pattern) add(text string, last bool) error {
	s, err := parseSegment(text, last)
	switch {
	case err != nil:
		return err
	case len(p.segments) == maxPatternSegments:
		return fmt.Errorf("more than %d segments", maxPatternSegments)
	case s.isWildcard() && s.text != "" && p.wildcard(s.text) >= 0:
		return fmt.Errorf("duplicate wildcard name %q", s.text)
	}
	p.segments = append(p.segments, s)
	return nil
}

func parseSegment(text string, last bool) (segment, error) {
	if last && text == "" {
		return segment{kind: multi}, nil // a trailing slash is a multi wildcard without a name
	}
	i := strings.IndexByte(text, '{')
	if i < 0 {
		return parseLiteral(text)
	}
	name, closed := strings.CutSuffix(text[i+1:], "}")
	switch {
	case i > 0:
		return segment{}, errors.New("a wildcard must be a whole segment: it begins with '{'")
	case !closed:
		return segment{}, errors.New("a wildcard must be a whole segment: it ends with '}'")
	case name == "$" && !last:
		return segment{}, errors.New("{$} is not at the end")
	case name == "$":
		return segment{kind: end}, nil
	}
	name, rest := strings.CutSuffix(name, "...")
	switch {
	case rest && !last:
		return segment{}, errors.New("{name...} is not at the end")
	case !isIdentifier(name):
		return segment{}, fmt.Errorf("wildcard name %q is no Go identifier", name)
	case rest:
		return segment{kind: multi, text: name}, nil
	}
	return segment{kind: wild, text: name}, nil
}

// parseLiteral percent-decodes a literal, as net/http does: one that is badly encoded
// stands for itself.
func parseLiteral(text string) (segment, error) {
	if decoded, err := url.PathUnescape(text); err == nil {
		text = decoded
	}
	switch {
	case text == "." || text == "..":
		// RFC 7252 §5.10.1: the value of Uri-Path is neither.
		return segment{}, fmt.Errorf("no path has a segment %q", text)
	case len(text) > maxSegmentLength:
		return segment{}, fmt.Errorf("segment above %d bytes", maxSegmentLength)
	}
	return segment{kind: literal, text: text}, nil
}

func isIdentifier(name string) bool {
	for i, c := range name {
		if c != '_' && !unicode.IsLetter(c) && (i == 0 || !unicode.IsDigit(c)) {
			return false
		}
	}
	return name != ""
}

func (s segment) isWildcard() bool { return s.kind == wild || s.kind == multi }

// wildcard returns the position of the wildcard with this name, -1 where there is none.
func (p *pattern) wildcard(name string) int {
	for i, s := range p.segments {
		if s.isWildcard() && s.text == name {
			return i
		}
	}
	return -1
}

// hasWildcard reports whether p matches more than one path.
func (p *pattern) hasWildcard() bool {
	for _, s := range p.segments {
		if s.isWildcard() {
			return true
		}
	}
	return false
}

// path returns the one path that a pattern without wildcards matches, percent-encoded.
func (p *pattern) path() string {
	var b strings.Builder
	for _, s := range p.segments {
		b.WriteByte('/')
		b.WriteString(url.PathEscape(s.text)) // of {$}: empty
	}
	return b.String()
}

// A match says where the wildcards of a route's pattern are in a path. The zero match is
// none.
type match struct{ pattern *pattern }

// value returns what the wildcard of this name matched in v's path: a segment, or those
// from it on joined by "/". It is empty where there is no such wildcard.
func (m *match) value(v *message.View, name string) string {
	if m.pattern == nil || v == nil || name == "" {
		return ""
	}
	at := m.pattern.wildcard(name)
	if at < 0 {
		return ""
	}
	if m.pattern.segments[at].kind == multi {
		return joinFrom(v, at)
	}
	i := 0
	for s := range v.PathSegments() {
		if i == at {
			return string(s)
		}
		i++
	}
	return ""
}

// joinFrom joins the segments of v's path from position at on by "/".
func joinFrom(v *message.View, at int) string {
	var b strings.Builder
	i := 0
	for s := range v.PathSegments() {
		if i > at {
			b.WriteByte('/')
		}
		if i >= at {
			b.Write(s)
		}
		i++
	}
	return b.String()
}
