package script

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/motewire/coap/message"
)

// fields reads the members of an object. The first error sticks; readers then return what
// stands for nothing.
type fields struct {
	file string
	n    *node
	err  *error
	read []string // names that were asked for
}

// fieldsOf begins to read an object.
func fieldsOf(file string, n *node, err *error) *fields {
	f := &fields{file: file, n: n, err: err}
	if n.object == nil {
		f.fail(n, "is %s, not an object", n.kind)
	}
	return f
}

func (f *fields) fail(n *node, format string, args ...any) {
	if *f.err == nil {
		*f.err = &Error{f.file, n.line, n.field, fmt.Sprintf(format, args...)}
	}
}

// missing complains that there is no such field.
func (f *fields) missing(name, why string) {
	f.fail(f.n, "%s is missing: %s", name, why)
}

// get returns a member, nil where there is none.
func (f *fields) get(name string) *node {
	f.read = append(f.read, name)
	return f.n.object[name]
}

// done complains about members that nobody asked for.
func (f *fields) done() {
	for _, name := range f.n.names {
		if !slices.Contains(f.read, name) {
			f.fail(f.n.object[name], "no such field here; there are %s", strings.Join(f.read, ", "))
			return
		}
	}
}

// text returns a string.
func (f *fields) text(name, otherwise string) string {
	n := f.get(name)
	if n == nil {
		return otherwise
	}
	s, ok := n.scalar.(string)
	if !ok {
		f.fail(n, "is %s, not a string", n.kind)
	}
	return s
}

// choice returns one of some words.
func (f *fields) choice(name, otherwise string, words ...string) string {
	s := f.text(name, otherwise)
	if !slices.Contains(words, s) && *f.err == nil {
		f.fail(f.at(name), "%q: say %s", s, strings.Join(words, ", "))
	}
	return s
}

// at is where an error about a member stands.
func (f *fields) at(name string) *node {
	if n := f.n.object[name]; n != nil {
		return n
	}
	return f.n
}

// flag returns true or false.
func (f *fields) flag(name string, otherwise bool) bool {
	n := f.get(name)
	if n == nil {
		return otherwise
	}
	b, ok := n.scalar.(bool)
	if !ok {
		f.fail(n, "is %s, not true or false", n.kind)
	}
	return b
}

// number returns a number within bounds.
func (f *fields) number(name string, otherwise, least, most float64) float64 {
	n := f.get(name)
	if n == nil {
		return otherwise
	}
	v, ok := numberOf(n)
	if !ok {
		f.fail(n, "is %s, not a number", n.kind)
	} else if !(v >= least && v <= most) {
		f.fail(n, "%v is not between %v and %v", v, least, most)
	}
	return v
}

// needNumber returns any number that has to be there.
func (f *fields) needNumber(name string) float64 {
	if f.n.object[name] == nil {
		f.missing(name, "a number")
	}
	return f.number(name, 0, -math.MaxFloat64, math.MaxFloat64)
}

func numberOf(n *node) (float64, bool) {
	number, ok := n.scalar.(json.Number)
	if !ok {
		return 0, false
	}
	v, err := number.Float64()
	return v, err == nil
}

// duration returns a time such as "1m30s".
func (f *fields) duration(name string, otherwise time.Duration) time.Duration {
	n := f.get(name)
	if n == nil {
		return otherwise
	}
	s, _ := n.scalar.(string)
	d, err := time.ParseDuration(s)
	switch {
	case err != nil:
		f.fail(n, "%s: say a time in quotes, such as \"500ms\", \"2s\", \"10m\" or \"24h\"", spelled(n))
	case d < 0:
		f.fail(n, "%q is before now", s)
	}
	return d
}

// needDuration returns a time above zero that has to be there.
func (f *fields) needDuration(name, why string) time.Duration {
	if f.n.object[name] == nil {
		f.missing(name, why)
	}
	d := f.duration(name, 1)
	if d == 0 {
		f.fail(f.at(name), "has to be above 0")
	}
	return d
}

// spelled is a value as an error quotes it.
func spelled(n *node) string {
	switch v := n.scalar.(type) {
	case string:
		return fmt.Sprintf("%.40q", v)
	case json.Number:
		return v.String()
	}
	return n.kind
}

// format returns a Content-Format by number, media type or alias.
func (f *fields) format(name string, otherwise message.Format) message.Format {
	n := f.get(name)
	if n == nil {
		return otherwise
	}
	format, err := message.ParseFormat(strings.Trim(spelled(n), `"`))
	if err != nil {
		f.fail(n, "%s is no Content-Format: say a number, a media type, or text, json, cbor, senml-json …", spelled(n))
	}
	return format
}

// code returns an error code.
func (f *fields) code(name string, otherwise message.Code) message.Code {
	n := f.get(name)
	if n == nil {
		return otherwise
	}
	code, err := message.ParseCode(strings.Trim(spelled(n), `"`))
	if err != nil || code.Class() != 4 && code.Class() != 5 {
		f.fail(n, "%s is no 4.xx or 5.xx", spelled(n))
	}
	return code
}
