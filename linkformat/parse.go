package linkformat

import (
	"fmt"
	"strings"
)

// A SyntaxError tells where a text leaves the grammar of RFC 6690 §2.
type SyntaxError struct {
	Offset int   // bytes from the start of the text; its length where something is missing at the end
	Err    error // one of the package's errors
}

// Error returns the cause and the offset.
func (e *SyntaxError) Error() string { return fmt.Sprintf("%v at offset %d", e.Err, e.Offset) }

// Unwrap returns the cause.
func (e *SyntaxError) Unwrap() error { return e.Err }

// Parse reads a list of links (RFC 6690 §2); an empty text is an empty list. White space
// around links and attributes is not part of the format. Of an attribute that a link can
// have only once the first counts and the others are left out, as are the value of obs (RFC
// 7641 §6) and an attribute named href, which can't be one (RFC 6690 §2). The links hold a
// copy of the text and do not refer to it.
//
// A text that breaks the grammar is a *SyntaxError and yields no links. Time and memory
// are proportional to the length of the text, which the caller bounds.
func Parse(text []byte) ([]Link, error) {
	if len(text) == 0 {
		return nil, nil
	}
	p := parser{text: string(text)}
	if bad := invalidUTF8(p.text); bad >= 0 {
		return nil, &SyntaxError{bad, ErrUTF8}
	}
	var links []Link
	for {
		link, err := p.link()
		if err != nil {
			return nil, &SyntaxError{p.pos, err}
		}
		links = append(links, link)
		if p.pos == len(p.text) {
			return links, nil
		}
		if !p.take(',') {
			return nil, &SyntaxError{p.pos, ErrSeparator}
		}
	}
}

// A parser reads text from pos on. Where a method returns an error, pos is what it is about.
type parser struct {
	text string
	pos  int
}

// take consumes c if it comes next.
func (p *parser) take(c byte) bool {
	if p.pos == len(p.text) || p.text[p.pos] != c {
		return false
	}
	p.pos++
	return true
}

// run consumes and returns the bytes of the class that come next.
func (p *parser) run(class func(byte) bool) string {
	start := p.pos
	p.pos += span(p.text[start:], class)
	return p.text[start:p.pos]
}

// link reads a link-value.
func (p *parser) link() (Link, error) {
	if !p.take('<') {
		return Link{}, ErrTarget
	}
	l := Link{Target: p.run(isTargetChar)}
	if !p.take('>') {
		return Link{}, ErrTarget
	}
	var given names
	for p.take(';') {
		a, err := p.attribute()
		if err != nil {
			return Link{}, err
		}
		if given.add(a.Name) || a.is(reserved) {
			continue
		}
		if a.is(observable) { // RFC 7641 §6: "any present value MUST be ignored"
			a.Value, a.Flag = "", true
		}
		l.Attributes = append(l.Attributes, a)
	}
	return l, nil
}

// attribute reads a link-param. Each one has the form of a link-extension, so that one
// grammar serves them all.
func (p *parser) attribute() (Attribute, error) {
	start := p.pos
	if p.run(isNameChar) == "" {
		return Attribute{}, ErrName
	}
	extended := p.take('*')
	a := Attribute{Name: p.text[start:p.pos]}
	if !p.take('=') {
		if extended {
			return Attribute{}, ErrValue
		}
		a.Flag = true
		return a, nil
	}
	var err error
	if !extended && p.take('"') {
		a.Value, err = p.quoted()
		return a, err
	}
	start = p.pos
	a.Value = p.run(isTokenChar)
	if a.Value == "" || extended && !isExtValue(a.Value) {
		p.pos = start
		return Attribute{}, ErrValue
	}
	return a, nil
}

// quoted reads a quoted-string of RFC 2616 §2.2 after its opening quote. It returns what
// the string stands for: a part of the text, or a copy where there are escapes.
func (p *parser) quoted() (string, error) {
	var unescaped strings.Builder
	start := p.pos // of what was not copied yet
	for p.pos < len(p.text) {
		switch c := p.text[p.pos]; {
		case c == '"':
			last := p.text[start:p.pos]
			p.pos++
			if unescaped.Len() == 0 {
				return last, nil
			}
			unescaped.WriteString(last)
			return unescaped.String(), nil
		case c == '\\':
			unescaped.WriteString(p.text[start:p.pos])
			p.pos++
			// quoted-pair = "\" CHAR, any of US-ASCII.
			if p.pos == len(p.text) || p.text[p.pos] >= 0x80 {
				return "", ErrString
			}
			start = p.pos // the next byte stands for itself
			p.pos++
		case isControl(c):
			return "", ErrString
		default:
			p.pos++
		}
	}
	return "", ErrString
}
