package linkformat

import "strings"

// A Filter is a search among links, the query of /.well-known/core (RFC 6690 §4.1). It
// selects the links that have an attribute of its name and a value that it asks for.
// Without a name it selects every link.
type Filter struct {
	// Name is the attribute's name; "href" stands for the target of the link.
	Name string
	// Value is what the attribute must be or, with Prefix, begin with, byte for byte.
	Value string
	// Prefix says that the value may go on after Value. An empty prefix asks for
	// nothing but that the attribute exists.
	Prefix bool
}

// ParseFilter reads a query: name=value, or name=value* for a prefix. A name alone asks for
// the attribute's existence, as name=* does, which is of use for flags such as obs. The
// query is percent-decoded, as the value of a Uri-Query option is.
func ParseFilter(query string) Filter {
	name, value, ok := strings.Cut(query, "=")
	if !ok {
		return Filter{Name: name, Prefix: true}
	}
	value, prefix := strings.CutSuffix(value, "*")
	return Filter{Name: name, Value: value, Prefix: prefix}
}

// Match reports whether the filter selects l. Attributes that are lists, rt, if, rel, rev
// and ct, are matched value by value (RFC 6690 §4.1), so that none matches a value with a
// space. A flag has the empty value. Match does not allocate.
func (f Filter) Match(l Link) bool {
	if f.Name == "" {
		return true
	}
	if sameName(f.Name, reserved) {
		return f.matchValue(l.Target)
	}
	list := isList(f.Name)
	for i := range l.Attributes {
		a := &l.Attributes[i]
		if !sameName(a.Name, f.Name) {
			continue
		}
		if list && f.matchList(a.Value) || !list && f.matchValue(a.Value) {
			return true
		}
	}
	return false
}

// Append appends the links that the filter selects to dst, as the function [Append] does.
func (f Filter) Append(dst []byte, links ...Link) []byte {
	first := true
	for i := range links {
		if !f.Match(links[i]) {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = appendLink(dst, &links[i])
	}
	return dst
}

func (f *Filter) matchValue(value string) bool {
	if f.Prefix {
		return strings.HasPrefix(value, f.Value)
	}
	return value == f.Value
}

// matchList matches the values of a list separated by spaces. An empty list is one empty
// value.
func (f *Filter) matchList(list string) bool {
	list = strings.Trim(list, " ")
	for {
		value, rest, _ := strings.Cut(strings.TrimLeft(list, " "), " ")
		if f.matchValue(value) {
			return true
		}
		if rest == "" {
			return false
		}
		list = rest
	}
}

// isList reports whether an attribute holds several values: relation-types of RFC 6690 §2,
// and ct (RFC 7252 §7.2.1).
func isList(name string) bool {
	for _, n := range [...]string{"rt", "if", "rel", "rev", "ct"} {
		if sameName(n, name) {
			return true
		}
	}
	return false
}
