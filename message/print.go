package message

import (
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// lineValue is how many bytes of a string or opaque value go onto one line.
const lineValue = 64

// String returns v on one line: type, code, message ID, token, options and the size of
// the payload, as in "CON GET id=0x7d34 token=71 Uri-Path: temperature, Accept:
// application/json". After a Parse that failed it says what was wrong instead. Nothing
// that comes from the datagram is printed unescaped; long values are cut.
func (v *View) String() string {
	b, whole := v.appendHead(nil)
	if !whole {
		return string(b)
	}
	separator := " "
	for n, value := range v.Options() {
		b = append(b, separator...)
		b = appendOption(b, n, value, lineValue)
		separator = ", "
	}
	if size := len(v.Payload()); size > 0 {
		b = append(b, separator...)
		b = strconv.AppendInt(b, int64(size), 10)
		b = append(b, " B payload"...)
	}
	return string(b)
}

// Dump returns v in full, one line per option and the payload as text or in hex, without
// a newline at the end. After a Parse that failed it shows the datagram.
func (v *View) Dump() string {
	b, whole := v.appendHead(nil)
	if !whole {
		return string(appendHexDump(b, v.datagram))
	}
	for n, value := range v.Options() {
		b = append(b, "\n  "...)
		b = appendOption(b, n, value, MaxOptionLength)
		b = append(b, "  ["...)
		b = strconv.AppendUint(b, uint64(n), 10)
		for _, property := range properties(n) {
			b = append(append(b, ' '), property...)
		}
		b = append(b, ']')
	}
	payload := v.Payload()
	if len(payload) == 0 {
		return string(b)
	}
	b = fmt.Appendf(b, "\n  %d B payload", len(payload))
	if !isText(payload) {
		return string(appendHexDump(b, payload))
	}
	for line := range strings.Lines(string(payload)) {
		b = append(append(b, "\n    "...), strings.TrimSuffix(line, "\n")...)
	}
	return string(b)
}

// Format makes %v and %s print [View.String], %q the same quoted, and %+v [View.Dump].
func (v *View) Format(f fmt.State, verb rune) {
	text := "%!" + string(verb) + "(message.View)"
	switch {
	case verb == 'v' && f.Flag('+'):
		text = v.Dump()
	case verb == 'v', verb == 's':
		text = v.String()
	case verb == 'q':
		text = strconv.Quote(v.String())
	}
	_, _ = io.WriteString(f, text) // a Formatter has nowhere to report to
}

// String returns m as [View.String] would print it.
func (m *Message) String() string {
	b, err := m.MarshalBinary()
	if err != nil {
		return "unencodable: " + err.Error()
	}
	var v View
	_ = v.Parse(b) // String would tell
	return v.String()
}

// FormatValue returns the value of option n in its natural notation: a number, a
// Content-Format, a block as NUM/M/SIZE, text (quoted where it is more than a plain
// word), hex with a leading 0x for opaque and illegal values, "" for an empty option.
func (n OptionNumber) FormatValue(value []byte) string {
	return string(appendValue(nil, n, value, MaxOptionLength))
}

// appendHead appends type, code, ID and token, and for a malformed datagram its error;
// whole says that options and payload can follow.
func (v *View) appendHead(b []byte) (_ []byte, whole bool) {
	malformed := v.err.Err != nil
	if len(v.datagram) >= headerLength && (!malformed || v.err.Intact) {
		b = append(append(b, v.Type().String()...), ' ')
		b = appendCode(b, v.Code())
		b = fmt.Appendf(b, " id=0x%04x", uint16(v.ID()))
		if !malformed && v.options > headerLength {
			b = append(b, " token="...)
			b = hex.AppendEncode(b, v.TokenBytes())
		}
		if malformed {
			b = append(b, ' ')
		}
	} else if !malformed {
		return append(b, "no message"...), false
	}
	if malformed {
		b = fmt.Appendf(b, "malformed: %v of %d", &v.err, len(v.datagram))
	}
	return b, !malformed
}

// appendCode appends "GET", "2.05 Content" or, for what is not assigned, "0.31".
func appendCode(b []byte, c Code) []byte {
	name := c.Name()
	if name != "" && c.Class() == 0 {
		return append(b, name...)
	}
	b = append(b, c.String()...)
	if name != "" {
		b = append(append(b, ' '), name...)
	}
	return b
}

func appendOption(b []byte, n OptionNumber, value []byte, limit int) []byte {
	info, ok := n.Info()
	if ok {
		b = append(b, info.Name...)
	} else {
		b = strconv.AppendUint(append(b, "Option "...), uint64(n), 10)
	}
	legal := legalLength(n, len(value))
	if info.Format != EmptyValue || !legal {
		b = append(b, ": "...)
		b = appendValue(b, n, value, limit)
	}
	if !legal {
		b = append(b, " (illegal length)"...)
	}
	return b
}

func appendValue(b []byte, n OptionNumber, value []byte, limit int) []byte {
	info, _ := n.Info()
	switch {
	case !legalLength(n, len(value)):
	case info.Format == EmptyValue:
		return b
	case info.Format == StringValue:
		return appendText(b, value, limit)
	case info.Format == UintValue:
		return appendUintValue(b, n, decodeUint(value))
	}
	if len(value) == 0 {
		return append(b, "(empty)"...)
	}
	shown := value[:min(len(value), limit)]
	b = hex.AppendEncode(append(b, "0x"...), shown)
	return appendCut(b, len(value), len(shown))
}

func appendUintValue(b []byte, n OptionNumber, value uint32) []byte {
	switch {
	case n == ContentFormat || n == Accept:
		return append(b, Format(value).String()...)
	case n == Block1 || n == Block2 || n == QBlock1 || n == QBlock2:
		return append(b, DecodeBlock(value).String()...)
	}
	return strconv.AppendUint(b, uint64(value), 10)
}

// appendText appends text that cannot upset a terminal or a log: as it stands where it is
// one printable word, else quoted.
func appendText(b, value []byte, limit int) []byte {
	shown := value[:min(len(value), limit)]
	quoted := strconv.Quote(string(shown))
	bare := quoted[1 : len(quoted)-1]
	if bare != "" && bare == string(shown) && !strings.ContainsAny(bare, " ,:") {
		b = append(b, bare...)
	} else {
		b = append(b, quoted...)
	}
	return appendCut(b, len(value), len(shown))
}

func appendCut(b []byte, size, shown int) []byte {
	if shown == size {
		return b
	}
	return fmt.Appendf(b, "… (%d B)", size)
}

// properties names what follows from an option's number (RFC 7252 §5.4.6).
func properties(n OptionNumber) []string {
	var words []string
	if n.Critical() {
		words = append(words, "critical")
	}
	if n.Unsafe() {
		words = append(words, "unsafe")
	}
	if n.NoCacheKey() {
		words = append(words, "no-cache-key")
	}
	return words
}

// isText reports whether b is UTF-8 of printable characters, tabs and newlines.
func isText(b []byte) bool {
	for len(b) > 0 {
		r, size := utf8.DecodeRune(b)
		if r == utf8.RuneError && size == 1 || !strconv.IsPrint(r) && r != '\n' && r != '\t' {
			return false
		}
		b = b[size:]
	}
	return true
}

func appendHexDump(b, data []byte) []byte {
	for line := range strings.Lines(hex.Dump(data)) {
		b = append(append(b, "\n    "...), strings.TrimSuffix(line, "\n")...)
	}
	return b
}
