package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/motewire/coap/message"
)

// bodies are what peers send, with the format that they name; -1: none.
var bodies = []struct {
	name   string
	format int
	body   string
}{
	{"json", 50, `{"b":1.50,"a":[true,null,"x\"y:z"],"big":12345678901234567890,"e":1E-2,"empty":{}}`},
	{"json-senml", 110, "[{\"n\":\"urn:dev:ow:10e2073a01080063\",\"u\":\"Cel\",\"v\":23.1}]\n"},
	{"senml-json", 110, `[{"bn":"urn:dev:ow:10e2073a0108006:","bt":1.276020076001e+09,"bu":"A","bver":5,"n":"voltage","u":"V","v":120.1},` +
		`{"n":"current","t":-5,"v":1.2},{"n":"door","u":"","vs":"a \u001b[2J"}]`},
	{"senml-sum", 110, `[{"n":"meter","u":"W","v":20,"s":1234.5,"t":-10}]`},
	{"senml-none", 110, `[]`},
	{"senml-unresolved", 110, `[{"v":1}]`},
	{"senml-cbor", 112, "\x82\xa4\x21\x62a/\x22\x1a\x4c\x0e\x85\x6c\x00\x61t\x02\xf9\x4d\x80\xa3\x00\x61b\x08\x42\x01\x02\x06\x01"},
	{"senml-cbor-broken", 112, "\x81\xa1\x02\x01"},
	{"problem", 257, "\xa5\x20\x6cNo such unit\x21\xd8\x26\x82\x62de\x65Nein!\x23\x18\x80\x27\x82\x0b\x19\x08\x01\x6cexample.org/\xa1\x00\xf5"},
	{"problem-hostile", 257, "\xa3\x20\x64\x1b[2J\x22\x01\x38\x63\x80"},
	{"problem-none", 257, "\xa0"},
	{"json-escapes", 50, "{\"\x7f\":\"\u202e\U000e0001 \u00e9 \u6e29\"}"},
	{"json-broken", 50, `{"a":`},
	{"json-not-utf8", 50, "{\"a\":\"\xff\"}"},
	{"json-unnamed", -1, `{"a":1}`},
	{"json-deflated", 11050, "x\x9c\xabVJT\xb22\x04\x00"},
	{"links", 40, `</sensors/temp>;rt="temperature-c";if="sensor";ct="0 50",</led>;obs;title="LED \"red\"";sz=4;rt=a,<coap://h/x>;rel=hosts;anchor="/a"`},
	{"links-bare", 40, `</a>,</b>`},
	{"links-hostile", 40, "</a>;title=\"\x1b[2Jx\ty\""},
	{"links-invisible", 40, "</a>;title=\"\u202ex\";rt=\"\u00e9\""},
	{"links-no-target", 40, "<>;rt=a"},
	{"links-none", 40, ""},
	{"links-broken", 40, `</a`},
	{"text", 0, "22.5"},
	{"text-lines", 0, "a\r\nb\tc\n"},
	{"text-hostile", 0, "\x1b[2J"},
	{"text-carriage-return", 0, "hidden\rshown"},
	{"text-not-utf8", 0, "\xff\xfe"},
	{"cbor", 60, "\xa1\x61a\x01"},
	{"cbor-broken", 60, "\xa1\x61a"},
	{"cbor-hostile", 60, "\x64\x1b[2J"},
	{"cbor-sequence", 63, "\x01\x02"},
	{"octets", 42, "0123456789abcdef\x00"},
	{"unregistered", 65000, "plain"},
	{"empty", -1, ""},
}

func formatOf(n int) *message.Format {
	if n < 0 {
		return nil
	}
	f := message.Format(n)
	return &f
}

// On a terminal a body is laid out for reading, and can't upset the terminal.
func TestBodiesOnATerminal(t *testing.T) {
	for _, tt := range bodies {
		t.Run(tt.name, func(t *testing.T) {
			var plain, colored bytes.Buffer
			if err := (style{terminal: true}).writeBody(&plain, formatOf(tt.format), []byte(tt.body)); err != nil {
				t.Fatal(err)
			}
			if err := (style{terminal: true, color: true}).writeBody(&colored, formatOf(tt.format), []byte(tt.body)); err != nil {
				t.Fatal(err)
			}
			golden(t, "body/"+tt.name, plain.String())
			golden(t, "body/"+tt.name+"-color", strings.ReplaceAll(colored.String(), "\x1b", "<ESC>"))
			if !printable(plain.Bytes()) || plain.Len() > 0 && !strings.HasSuffix(plain.String(), "\n") {
				t.Errorf("%q", plain.String())
			}
			if got := withoutColors(colored.String()); got != plain.String() {
				t.Errorf("colours change the text: %q, want %q", got, plain.String())
			}
		})
	}
}

func withoutColors(s string) string {
	for _, color := range []string{bold, red, green, yellow, magenta, cyan, "0"} {
		s = strings.ReplaceAll(s, "\x1b["+color+"m", "")
	}
	return s
}

// Into a file or a pipe goes the body alone, byte for byte.
func TestBodiesIntoAPipe(t *testing.T) {
	for _, tt := range bodies {
		for _, s := range []style{{}, {color: true}, {newline: true}} {
			var b bytes.Buffer
			if err := s.writeBody(&b, formatOf(tt.format), []byte(tt.body)); err != nil {
				t.Fatal(err)
			}
			want := tt.body
			if s.newline {
				want += "\n"
			}
			if b.String() != want {
				t.Errorf("%s, %+v: %q, want %q", tt.name, s, b.String(), want)
			}
		}
	}
}

func TestBodyIntoAClosedPipe(t *testing.T) {
	for _, s := range []style{{}, {terminal: true}} {
		if err := s.writeBody(closedPipe{}, nil, []byte("x")); exitStatus(err) != exitIO {
			t.Errorf("%+v: %v", s, err)
		}
		if err := s.writeHead(closedPipe{}, message.Content, nil); exitStatus(err) != exitIO {
			t.Errorf("%+v: %v", s, err)
		}
	}
}

func TestHead(t *testing.T) {
	options := []message.Option{
		{Number: message.ETag, Value: []byte{1, 2}},
		{Number: message.LocationPath, Value: []byte("\x1b[2J")},
		{Number: message.ContentFormat, Value: []byte{50}},
		{Number: message.MaxAge, Value: []byte{1, 0}},
		{Number: 65001, Value: []byte("x")},
	}
	tests := []struct {
		name  string
		style style
		code  message.Code
		want  string
	}{
		{"plain", style{}, message.Content, "2.05 Content\nETag: 0x0102\nLocation-Path: \"\\x1b[2J\"\nContent-Format: application/json\nMax-Age: 256\n65001: 0x78\n\n"},
		{"success", style{color: true}, message.Changed, "\x1b[32m2.04 Changed\x1b[0m\n\n"},
		{"error", style{color: true}, message.NotFound, "\x1b[31m4.04 Not Found\x1b[0m\n\n"},
		{"unassigned", style{}, message.MakeCode(2, 30), "2.30\n\n"},
	}
	for _, tt := range tests {
		var b bytes.Buffer
		if tt.name != "plain" {
			options = nil
		}
		if err := tt.style.writeHead(&b, tt.code, options); err != nil {
			t.Fatal(err)
		}
		if b.String() != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, b.String(), tt.want)
		}
	}
}
