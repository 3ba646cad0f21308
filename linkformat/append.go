package linkformat

import "strings"

// Append appends the links to dst as a link-value-list (RFC 6690 §2) and returns it. It
// allocates only where dst must grow. The links must be valid, see [Link.Validate]; of
// others the result may be unreadable.
//
// Values are written in the notation that the grammar wants, or that is usual where it
// leaves the choice: cardinals (sz=1280, ct=40) and language tags (hreflang=en) plain,
// ext-values (title*) as they are, everything else, lists included, as a quoted string.
// rt, if, rel, rev, title and anchor are always quoted.
func Append(dst []byte, links ...Link) []byte {
	return Filter{}.Append(dst, links...)
}

// appendLink appends one link-value.
func appendLink(dst []byte, l *Link) []byte {
	dst = append(dst, '<')
	dst = append(dst, l.Target...)
	dst = append(dst, '>')
	for i := range l.Attributes {
		a := &l.Attributes[i]
		dst = append(dst, ';')
		dst = append(dst, a.Name...)
		if a.Flag {
			continue
		}
		dst = append(dst, '=')
		if a.plain() {
			dst = append(dst, a.Value...)
		} else {
			dst = appendQuoted(dst, a.Value)
		}
	}
	return dst
}

// quotedAlways lists the attributes that are quoted even where they look like a number.
var quotedAlways = [...]string{"rt", "if", "rel", "rev", "title", "anchor"}

// plain reports whether the value is written without quotes.
func (a *Attribute) plain() bool {
	if strings.HasSuffix(a.Name, "*") {
		return true
	}
	for _, name := range quotedAlways {
		if sameName(a.Name, name) {
			return false
		}
	}
	return isCardinal(a.Value) || sameName(a.Name, "hreflang") && all(a.Value, isTokenChar)
}

// appendQuoted appends s as a quoted-string of RFC 2616 §2.2.
func appendQuoted(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for i := range len(s) {
		if c := s[i]; c == '"' || c == '\\' || isControl(c) {
			dst = append(dst, '\\')
		}
		dst = append(dst, s[i])
	}
	return append(dst, '"')
}
