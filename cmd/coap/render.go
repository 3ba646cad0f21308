package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/motewire/coap/linkformat"
	"github.com/motewire/coap/message"
)

// A style says how a response is shown.
type style struct {
	terminal bool // laid out for reading, whole lines; else the bytes are untouched
	color    bool
	newline  bool // -w: a newline behind bytes that are untouched
}

// style returns that of standard output.
func (c *cli) style(newline bool) style {
	return style{terminal: c.stdoutTerminal, color: c.colored(), newline: newline}
}

// writeBody shows a body. format is nil where the peer names none (RFC 7252 §5.5.1).
func (s style) writeBody(w io.Writer, format *message.Format, body []byte) error {
	if s.terminal {
		body = s.layOut(format, body)
	}
	if _, err := w.Write(body); err != nil {
		return ioError(err)
	}
	ended := len(body) == 0 || body[len(body)-1] == '\n'
	if s.terminal && !ended || !s.terminal && s.newline {
		_, err := io.WriteString(w, "\n")
		return ioError(err)
	}
	return nil
}

// layOut returns a body for reading: JSON indented, CBOR in diagnostic notation,
// link-format and SenML as tables, problem details line by line, other text as it is and
// everything else as a hex dump. What is not what its format says is shown as text or hex.
func (s style) layOut(format *message.Format, body []byte) []byte {
	if len(body) == 0 {
		return nil
	}
	if format != nil {
		if b, ok := s.layOutAs(*format, body); ok {
			return b
		}
	}
	if printable(body) {
		return body
	}
	return []byte(hex.Dump(body))
}

// layOutAs returns false where the body is not of the format, or the format has no layout
// of its own.
func (s style) layOutAs(format message.Format, body []byte) ([]byte, bool) {
	if b, ok := s.layOutSenML(format, body); ok {
		return b, true
	}
	if format == message.AppProblem {
		if b, ok := s.layOutProblem(body); ok {
			return b, true
		}
	}
	item, sequence := isCBOR(format)
	switch {
	case isJSON(format):
		return s.indentJSON(body)
	case item, sequence:
		return diagnose(body, sequence)
	case format == message.AppLinkFormat:
		links, err := linkformat.Parse(body)
		return s.linkTable(links), err == nil
	}
	return nil, false
}

func isJSON(f message.Format) bool {
	info, _ := f.Info()
	mediaType, _, _ := strings.Cut(info.MediaType, ";")
	return mediaType == "application/json" || strings.HasSuffix(mediaType, "+json")
}

// printable tells whether a body is text that can't upset a terminal: UTF-8 without
// control characters other than line breaks and tabs, and without invisible ones.
func printable(body []byte) bool {
	if !utf8.Valid(body) {
		return false
	}
	for _, r := range string(bytes.ReplaceAll(body, []byte("\r\n"), []byte("\n"))) {
		if !unicode.IsPrint(r) && r != '\n' && r != '\t' {
			return false
		}
	}
	return true
}

// indentJSON indents JSON text and leaves numbers, names and their order alone. It
// returns false where the text is none.
func (s style) indentJSON(body []byte) ([]byte, bool) {
	var b bytes.Buffer
	if !utf8.Valid(body) || json.Indent(&b, bytes.TrimSpace(body), "", "  ") != nil {
		return nil, false
	}
	text := escapeInvisible(b.Bytes())
	if s.color {
		text = colorJSON(text)
	}
	return text, true
}

// escapeInvisible writes characters that a terminal would act on, or not show, as JSON
// escapes. In indented JSON they stand within strings alone.
func escapeInvisible(text []byte) []byte {
	if printable(text) {
		return text
	}
	var b []byte
	for _, r := range string(text) {
		switch {
		case unicode.IsPrint(r) || r == '\n':
			b = utf8.AppendRune(b, r)
		case r > 0xffff:
			r -= 0x10000
			b = fmt.Appendf(b, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		default:
			b = fmt.Appendf(b, `\u%04x`, r)
		}
	}
	return b
}

// writeHead prints the status and the options of a response, and an empty line.
func (s style) writeHead(w io.Writer, code message.Code, options []message.Option) error {
	var b strings.Builder
	color := green
	if !code.IsSuccess() {
		color = red
	}
	b.WriteString(s.paint(color, strings.TrimSpace(code.String()+" "+code.Name())) + "\n")
	for _, o := range options {
		fmt.Fprintf(&b, "%v: %s\n", o.Number, o.Number.FormatValue(o.Value))
	}
	_, err := io.WriteString(w, b.String()+"\n")
	return ioError(err)
}
