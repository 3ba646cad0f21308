package main

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"

	"github.com/fxamacker/cbor/v2"

	"github.com/motewire/coap/message"
)

// isCBOR tells whether a format is CBOR, and whether it is a sequence of items (RFC 8742).
func isCBOR(f message.Format) (item, sequence bool) {
	info, _ := f.Info()
	if info.Coding != "" {
		return false, false
	}
	mediaType, _, _ := strings.Cut(info.MediaType, ";")
	sequence = mediaType == "application/cbor-seq" || strings.HasSuffix(mediaType, "+cbor-seq")
	return mediaType == "application/cbor" || strings.HasSuffix(mediaType, "+cbor"), sequence
}

// cborDepth is how deep items may be nested.
const cborDepth = 64

// One item and a sequence of them: text has to be UTF-8, and what is nested deeper than
// cborDepth is refused.
var (
	diagnoseItem     = diagMode(false)
	diagnoseSequence = diagMode(true)
)

func diagMode(sequence bool) cbor.DiagMode {
	mode, err := cbor.DiagOptions{
		CBORSequence: sequence, MaxNestedLevels: cborDepth, MaxArrayElements: 1 << 24, MaxMapPairs: 1 << 24,
	}.DiagMode()
	if err != nil {
		panic(err) // the options are constant
	}
	return mode
}

// diagnoseLine returns CBOR in diagnostic notation (RFC 8949 §8) on one line, the items of
// a sequence with commas between, and false where the body is not well-formed.
func diagnoseLine(body []byte, sequence bool) ([]byte, bool) {
	mode := diagnoseItem
	if sequence {
		mode = diagnoseSequence
	}
	text, err := mode.Diagnose(body)
	return []byte(unescapePrintable(text)), err == nil && len(body) > 0
}

// diagnose returns it laid out like indented JSON, each item of a sequence on a new line.
func diagnose(body []byte, sequence bool) ([]byte, bool) {
	line, ok := diagnoseLine(body, sequence)
	if !ok {
		return nil, false
	}
	l := notation{text: string(line)}
	for l.text != "" {
		l.token()
	}
	return []byte(l.out.String()), true
}

// A notation is diagnostic notation on its way into lines.
type notation struct {
	text string // what is left
	out  strings.Builder
	open []byte // brackets that are open
}

// token takes a string, a bracket, a comma, or what stands between such.
func (l *notation) token() {
	switch c := l.text[0]; c {
	case '"', '\'':
		l.take(quotedEnd(l.text))
	case '[', '{':
		l.bracket()
	case '(':
		l.take(1)
		l.open = append(l.open, c)
	case ']', '}':
		l.open = l.open[:len(l.open)-1]
		l.newline()
		l.take(1)
	case ')':
		l.open = l.open[:len(l.open)-1]
		l.take(1)
	case ',':
		l.comma()
	default:
		l.take(1)
	}
}

// bracket begins an array or a map; an empty one stays on its line.
func (l *notation) bracket() {
	c := l.text[0]
	l.take(1)
	if strings.HasPrefix(l.text, "_ ") { // of indefinite length
		l.out.WriteByte('_')
		l.text = l.text[2:]
	}
	if l.text[0] == c+2 {
		l.take(1)
		return
	}
	l.open = append(l.open, c)
	l.newline()
}

// comma ends an element: a line, but for the pieces of a string (_ h'01', h'02').
func (l *notation) comma() {
	l.text = strings.TrimPrefix(l.text[1:], " ")
	switch {
	case len(l.open) == 0: // between items of a sequence
		l.newline()
	case l.open[len(l.open)-1] == '(':
		l.out.WriteString(", ")
	default:
		l.out.WriteByte(',')
		l.newline()
	}
}

func (l *notation) take(n int) {
	l.out.WriteString(l.text[:n])
	l.text = l.text[n:]
}

// newline begins a line, indented for what is open: brackets count, the parentheses of tags
// don't.
func (l *notation) newline() {
	l.out.WriteByte('\n')
	for _, c := range l.open {
		if c != '(' {
			l.out.WriteString("  ")
		}
	}
}

// quotedEnd returns the length of the quoted string that text begins with.
func quotedEnd(text string) int {
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case text[0]:
			return i + 1
		}
	}
	return len(text)
}

// unescapePrintable turns \uXXXX back into the character where a terminal shows it. In
// notation that the library made a backslash begins an escape, and each escape is whole.
func unescapePrintable(text string) string {
	var b strings.Builder
	for {
		i := strings.IndexByte(text, '\\')
		if i < 0 {
			b.WriteString(text)
			return b.String()
		}
		b.WriteString(text[:i])
		size := 2
		if text[i+1] == 'u' {
			size = 6
		}
		r := escapedRune(text[i:])
		if utf16.IsSurrogate(r) {
			size = 12
			r = utf16.DecodeRune(r, escapedRune(text[i+6:]))
		}
		if size > 2 && unicode.IsPrint(r) {
			b.WriteRune(r)
		} else {
			b.WriteString(text[i : i+size])
		}
		text = text[i+size:]
	}
}

// escapedRune returns the character of \uXXXX, 0 for any other escape.
func escapedRune(text string) rune {
	if text[1] != 'u' {
		return 0
	}
	n, _ := strconv.ParseUint(text[2:6], 16, 16) // the library writes four digits
	return rune(n)
}
