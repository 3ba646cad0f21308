package message

import (
	"fmt"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestViewString(t *testing.T) {
	long := strings.Repeat("61", 100)
	tests := []struct{ name, hex, want string }{
		{"appendix A request", "41 01 7d35 20 bb74656d7065726174757265",
			"CON GET id=0x7d35 token=20 Uri-Path: temperature"},
		{"appendix A response", "61 45 7d35 20 ff 32322e332043",
			"ACK 2.05 Content id=0x7d35 token=20 6 B payload"},
		{"empty", "70 00 0001", "RST Empty id=0x0001"},
		{"unassigned method", "40 1f 0001", "CON 0.31 id=0x0001"},
		{"unassigned response", "60 a7 0001", "ACK 5.07 id=0x0001"},
		{"several", "50 02 0001 10 40 ff 78",
			`NON POST id=0x0001 If-Match: (empty), If-None-Match, 1 B payload`},
		{"hostile path", "40 01 0001 b4 0a1b5b6d 04 c3282c22 00 03 61 20 62 03 e28080",
			`CON GET id=0x0001 Uri-Path: "\n\x1b[m", Uri-Path: "\xc3(,\"", Uri-Path: "", Uri-Path: "a b", Uri-Path: "\u2000"`},
		{"numbers", "40 01 0001 62 0102 61 3c 21 3c 31 32 61 4e 41 17 d1 14 09",
			"CON GET id=0x0001 Observe: 258, Content-Format: application/cbor, Max-Age: 60, Accept: application/json, " +
				"Block2: 4/1/1024, Block1: 1/0/reserved, Size1: 9"},
		{"no name", "40 01 0001 e2 fcdc 0102", "CON GET id=0x0001 Option 65001: 0x0102"},
		{"illegal length", "40 01 0001 74 00000001", "CON GET id=0x0001 Uri-Port: 0x00000001 (illegal length)"},
		{"long value", "40 01 0001 bd57" + long, "CON GET id=0x0001 Uri-Path: " + strings.Repeat("a", 64) + "… (100 B)"},
		{"long unknown value", "40 01 0001 ed fcdc 57" + long, "CON GET id=0x0001 Option 65001: 0x" + strings.Repeat("61", 64) + "… (100 B)"},
		{"malformed", "40 01 0001 ff", "CON GET id=0x0001 malformed: message: payload marker without payload at byte 4 of 5"},
		{"malformed header", "40 01 00", "malformed: message: truncated at byte 3 of 3"},
		{"nothing", "", "malformed: message: truncated at byte 0 of 0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var v View
			_ = v.Parse(unhexed(t, tt.hex))
			if got := v.String(); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
	var zero View
	if got := zero.String(); got != "no message" {
		t.Errorf("zero View: %q", got)
	}
}

func TestViewDump(t *testing.T) {
	tests := []struct{ name, hex, want string }{
		{"text", "61 45 7d35 20 40 80 e1 fcd4 01 ff 61 0a 62 0a",
			"ACK 2.05 Content id=0x7d35 token=20\n" +
				"  ETag: (empty) (illegal length)  [4]\n" +
				"  Content-Format: text/plain; charset=utf-8  [12]\n" +
				"  Option 65005: 0x01  [65005 critical]\n" +
				"  4 B payload\n    a\n    b"},
		{"properties", "40 01 0001 b1 61 d0 24",
			"CON GET id=0x0001\n  Uri-Path: a  [11 critical unsafe]\n  Size1: 0  [60 no-cache-key]"},
		{"bytes", "60 45 0001 ff 61 1b 62",
			"ACK 2.05 Content id=0x0001\n  3 B payload\n    00000000  61 1b 62                                          |a.b|"},
		{"malformed", "40 01 0001 ff",
			"CON GET id=0x0001 malformed: message: payload marker without payload at byte 4 of 5\n" +
				"    00000000  40 01 00 01 ff                                    |@....|"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var v View
			_ = v.Parse(unhexed(t, tt.hex))
			if got := v.Dump(); got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}

func TestViewFormat(t *testing.T) {
	v := parsed(t, "40 01 0001 b1 61")
	line := "CON GET id=0x0001 Uri-Path: a"
	for verb, want := range map[string]string{"%v": line, "%s": line, "%q": `"` + line + `"`, "%+v": v.Dump(), "%d": "%!d(message.View)"} {
		if got := fmt.Sprintf(verb, v); got != want {
			t.Errorf("%s: %q, want %q", verb, got, want)
		}
	}
}

func TestMessageString(t *testing.T) {
	m := Message{Type: NonConfirmable, Code: GET, ID: 7, Options: []Option{{URIQuery, []byte("q")}, {URIPath, []byte("a")}}}
	if got, want := m.String(), "NON GET id=0x0007 Uri-Path: a, Uri-Query: q"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	m.Type = Reset
	if got, want := m.String(), "unencodable: message: type does not go with code"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// checkPrintable fails where the printed forms of v could upset a terminal or a log.
func checkPrintable(t testing.TB, v *View) {
	t.Helper()
	line, dump := v.String(), v.Dump()
	for _, text := range []string{line, strings.ReplaceAll(strings.ReplaceAll(dump, "\n", ""), "\t", "")} {
		if !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Fatalf("unprintable: %q", text)
		}
	}
}

func TestPrintingIsSafe(t *testing.T) {
	for _, in := range badInputs(t) {
		var v View
		_ = v.Parse(in.datagram)
		checkPrintable(t, &v)
	}
	for b := range 256 {
		c := byte(b)
		var v View
		if err := v.Parse([]byte{0x40, 1, 0, 1, 0xb2, c, c, 0xff, c}); err != nil {
			t.Fatal(err)
		}
		checkPrintable(t, &v)
	}
}
