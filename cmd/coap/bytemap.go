package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"
)

// mapWidth is how many bytes stand on a line of a byte map.
const mapWidth = 8

// partColors colour the bytes of a map; nothing is the terminal's own colour. Options take
// turns, so that neighbours differ.
var partColors = map[part]string{
	headerPart:     cyan,
	tokenPart:      yellow,
	optionHeadPart: bold,
	markerPart:     bold,
	unreadPart:     red,
}

var optionColors = []string{green, magenta}

// writeMap prints a datagram byte by byte, each field on lines of its own, and points at
// the byte at which a rule is broken.
func (s style) writeMap(w io.Writer, d datagram, m *dissection) error {
	var b bytes.Buffer
	writeFrame(&b, d)
	if m.malformed == nil {
		fmt.Fprintf(&b, "%v\n", &m.view)
	} else {
		fmt.Fprintf(&b, "%s\n", s.paint(red, "malformed: "+fullRuleText(m.malformed)))
	}
	broken := -1
	if m.malformed != nil {
		broken = m.malformed.Offset
	}
	options, behind := 0, 0 // behind: the column behind the last byte
	for _, f := range fieldsOf(d.raw) {
		behind = (f.end-f.start-1)%mapWidth + 1
		color := partColors[f.part]
		if f.part == optionPart {
			color = optionColors[options%len(optionColors)]
			options++
		}
		s.writeField(&b, d.raw, f, color, broken)
	}
	if broken == len(d.raw) {
		s.writeMark(&b, behind, broken, "the datagram ends")
	}
	_, err := w.Write(b.Bytes())
	return err
}

// writeField prints the bytes of a field, and what they say beside the first of them. A
// payload has its text beside each line.
func (s style) writeField(b *bytes.Buffer, raw []byte, f field, color string, broken int) {
	for at := f.start; at < f.end; at += mapWidth {
		row := raw[at:min(at+mapWidth, f.end)]
		text := ""
		switch {
		case at == f.start:
			text = f.text
		case f.part == payloadPart || f.part == unreadPart:
			text = strings.Repeat(" ", len([]rune(f.text)))
		}
		if f.part == payloadPart || f.part == unreadPart {
			text += "  |" + visible(row) + "|"
		}
		hex := fmt.Sprintf("% x", row)
		line := fmt.Sprintf("    %04x  %s%*s  %s", at, s.paintPart(color, hex), 3*mapWidth-1-len(hex), "", text)
		b.WriteString(strings.TrimRight(line, " ") + "\n")
		if broken >= at && broken < at+len(row) {
			s.writeMark(b, broken-at, broken, "")
		}
	}
}

func (s style) paintPart(color, text string) string {
	if color == "" {
		return text
	}
	return s.paint(color, text)
}

// writeMark points at a byte of the line above.
func (s style) writeMark(b *bytes.Buffer, column, offset int, text string) {
	mark := strings.TrimRight(fmt.Sprintf("^^ byte %d %s", offset, text), " ")
	fmt.Fprintf(b, "%*s%s\n", len("    0000  ")+3*column, "", s.paint(red, mark))
}

// visible returns bytes as text, a dot for what is not printable ASCII.
func visible(row []byte) string {
	text := bytes.Clone(row)
	for i, c := range text {
		if c < ' ' || c > '~' {
			text[i] = '.'
		}
	}
	return string(text)
}
