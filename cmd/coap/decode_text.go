package main

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
)

// writeDissection prints a datagram for reading: frame, time and endpoints where they
// are known, the message on one line, then in full.
func writeDissection(w io.Writer, d datagram, m *dissection) error {
	var b bytes.Buffer
	writeFrame(&b, d)
	if m.malformed == nil {
		_, parts, _ := strings.Cut(m.view.Dump(), "\n") // its first line is on the first here
		fmt.Fprintf(&b, "%v\n%s", &m.view, indented(parts))
	} else {
		fmt.Fprintf(&b, "malformed: %s\n", fullRuleText(m.malformed))
		writeAround(&b, d.raw, m.malformed.Offset)
	}
	if m.malformed != nil && m.laidOut {
		writeRefused(&b, m)
	}
	_, err := w.Write(b.Bytes())
	return err
}

// writeFrame begins a line with what is known beside the bytes.
func writeFrame(w io.Writer, d datagram) {
	fmt.Fprintf(w, "%d  ", d.frame)
	if d.captured {
		fmt.Fprintf(w, "%s  %v > %v  ", seconds(d.at), d.from, d.to)
	}
}

// writeRefused prints the parts of a datagram that is refused for its code or type.
func writeRefused(w io.Writer, m *dissection) {
	v := &m.view
	fmt.Fprintf(w, "    %v %v id=0x%04x token=%v\n", m.kind, m.code, uint16(v.ID()), v.Token())
	for n, value := range v.Options() {
		fmt.Fprintf(w, "      %v: %s  [%d]\n", n, n.FormatValue(value), uint16(n))
	}
	if p := v.Payload(); p != nil {
		fmt.Fprintf(w, "      %d B payload\n%s", len(p), indented(indented(hex.Dump(p))))
	}
}

// writeAround prints the 16 bytes around an offset, which may lie just behind the end,
// and points at it.
func writeAround(w io.Writer, raw []byte, offset int) {
	start := max(0, min(offset-offset%16, len(raw)-1))
	start -= start % 16
	row := raw[start:min(start+16, len(raw))]
	label := fmt.Sprintf("    %04x  ", start)
	fmt.Fprintf(w, "%s% x\n", label, row)
	fmt.Fprintf(w, "%s^^ byte %d\n", strings.Repeat(" ", len(label)+3*(offset-start)), offset)
}

// indented puts four spaces before each line, and ends the last.
func indented(s string) string {
	if s == "" {
		return ""
	}
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	return "    " + strings.Join(lines, "\n    ") + "\n"
}
