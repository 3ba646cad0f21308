// Package linkformat reads, writes and searches lists of links in the CoRE Link Format,
// application/link-format (RFC 6690): what a resource directory and /.well-known/core
// speak.
//
//	</sensors/temp>;rt="temperature-c";if="sensor",</sensors/light>;obs;ct="0 50"
//
// A [Link] is a target with attributes. Attribute values are held without their quotes
// and escapes; [Append] chooses the notation. Attribute names are compared without regard
// to the case of ASCII letters, as RFC 5234 §2.3 has it for the names in the grammar.
package linkformat

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// What is wrong with a text or a Link. Parse returns them within a [SyntaxError].
var (
	ErrUTF8      = errors.New("linkformat: not UTF-8")
	ErrTarget    = errors.New("linkformat: no target in angle brackets")
	ErrSeparator = errors.New("linkformat: neither comma nor semicolon nor end")
	ErrName      = errors.New("linkformat: invalid attribute name")
	ErrValue     = errors.New("linkformat: invalid attribute value")
	ErrString    = errors.New("linkformat: invalid or unterminated quoted string")
	ErrDuplicate = errors.New("linkformat: attribute given twice")
)

// A Link is one link-value (RFC 6690 §2).
type Link struct {
	// Target is the URI reference between the angle brackets, as it is written there:
	// percent-encoded, absolute or relative, or empty.
	Target string
	// Attributes are the link's parameters in their order.
	Attributes []Attribute
}

// An Attribute is one parameter of a [Link].
type Attribute struct {
	// Name is the parameter's name, with its asterisk if it has one ("title*").
	Name string
	// Value is the value without quotes and escapes. That of a name with an asterisk
	// is the ext-value of RFC 5987 §3.2 as it is written.
	Value string
	// Flag says that the name stands alone, like obs (RFC 7641 §6): Value is empty.
	Flag bool
}

// Attribute returns the first attribute of that name, and whether there is one.
func (l Link) Attribute(name string) (Attribute, bool) {
	for _, a := range l.Attributes {
		if sameName(a.Name, name) {
			return a, true
		}
	}
	return Attribute{}, false
}

// Validate returns an error for a Link that can't be written: one of the package's errors,
// wrapped. What Parse returns is always valid.
func (l Link) Validate() error {
	if bad := invalidTarget(l.Target); bad >= 0 {
		return fmt.Errorf("%w: %q", ErrTarget, l.Target)
	}
	var given names
	for _, a := range l.Attributes {
		if err := a.validate(); err != nil {
			return fmt.Errorf("%w: %q=%q of <%s>", err, a.Name, a.Value, l.Target)
		}
		if given.add(a.Name) {
			return fmt.Errorf("%w: %q of <%s>", ErrDuplicate, a.Name, l.Target)
		}
	}
	return nil
}

func (a *Attribute) validate() error {
	name, extended := strings.CutSuffix(a.Name, "*")
	switch {
	case !all(name, isNameChar) || a.is(reserved):
		return ErrName
	case a.is(observable) && !a.Flag:
		return ErrValue
	case a.Flag && (extended || a.Value != ""):
		return ErrValue
	case extended && !isExtValue(a.Value):
		return ErrValue
	case !utf8.ValidString(a.Value):
		return ErrUTF8
	}
	return nil
}

// single lists the attributes of which a link has one at most, and of which a parser
// ignores all but the first: RFC 6690 §3.1 to §3.3 (rt, if, sz), RFC 5988 §5.3 and §5.4
// (rel, media, title, title*, type), RFC 7252 §7.2.1 (ct), RFC 7641 §6 (obs), RFC 8288
// appendix B.2 (anchor).
var single = [...]string{"rt", "if", "sz", "ct", "obs", "rel", "anchor", "title", "title*", "media", "type"}

// Names with rules of their own: href is "reserved for use as a query parameter for
// filtering" (RFC 6690 §2), obs has no value (RFC 7641 §6).
const (
	reserved   = "href"
	observable = "obs"
)

// is reports whether the attribute has this name.
func (a *Attribute) is(name string) bool { return sameName(a.Name, name) }

// names is a set of the names in single.
type names uint16

// add adds a name and reports whether it was in before. Other names are never in.
func (s *names) add(name string) bool {
	for i, n := range single {
		if sameName(n, name) {
			before := *s
			*s |= 1 << i
			return *s == before
		}
	}
	return false
}

// sameName compares two names, of which one is ASCII. A letter that folds to an ASCII one
// but is none has another length.
func sameName(a, b string) bool { return len(a) == len(b) && strings.EqualFold(a, b) }
