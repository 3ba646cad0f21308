package main

import (
	"strings"
	"testing"
	"unicode"

	"github.com/motewire/coap"
	"github.com/motewire/coap/message"
)

// Lists of links that no honest node sends are a table, or an error of one line: nothing in
// them steers a terminal, and none takes long.
func TestDiscoverBombs(t *testing.T) {
	bombs := map[string]struct {
		text string
		ok   bool
	}{
		"many links":      {strings.TrimSuffix(strings.Repeat("<>,", 50_000), ","), true},
		"many attributes": {"</a>" + strings.Repeat(";a", 50_000), true},
		"long target":     {"<" + strings.Repeat("/x", 50_000) + ">", true},
		"long value":      {`</a>;title="` + strings.Repeat("x", 100_000) + `"`, true},
		"quotes":          {`</a>;title="` + strings.Repeat(`\"`, 50_000) + `"`, true},
		"wide":            {`</a>;title="` + strings.Repeat("\u0301", 50_000) + `"`, true},
		"other direction": {"</a>;title=\"\u202egpj.exe\u200f\"", true},
		"steering":        {"</a>;title=\"\x1b]0;x\a\r\n\"", false},
		"nested":          {strings.Repeat("<", 100_000), false},
		"unclosed":        {`</a>;title="` + strings.Repeat(`\`, 100_000), false},
		"separators":      {strings.Repeat(",", 100_000), false},
		"no text":         {strings.Repeat("\xff", 100_000), false},
	}
	uri := serving(t, coap.HandlerFunc(func(w coap.ResponseWriter, r *coap.Request) {
		w.SetContentFormat(message.AppLinkFormat)
		w.WriteString(bombs[r.Query("bomb")].text)
	}))
	for name, bomb := range bombs {
		got := command(t, "", "discover", uri+"/.well-known/core?bomb="+strings.ReplaceAll(name, " ", "%20"))
		want := exitOK
		if !bomb.ok {
			want = exitProtocol
		}
		if got.status != want || bomb.ok != (got.stdout != "") || strings.Count(got.stderr, "\n") != want/max(want, 1) {
			t.Errorf("%s: status %d, %.200q, %.200q", name, got.status, got.stdout, got.stderr)
		}
		if len(got.stdout) > 100*len(bomb.text) || len(got.stderr) > 1000 {
			t.Errorf("%s: %d bytes are shown, and %d of errors", name, len(got.stdout), len(got.stderr))
		}
		if i := strings.IndexFunc(got.stdout+got.stderr, steers); i >= 0 {
			t.Errorf("%s: %q", name, (got.stdout + got.stderr)[i:])
		}
	}
}

// steers reports whether a terminal might do as r says.
func steers(r rune) bool { return r != '\n' && !unicode.IsPrint(r) && !unicode.IsMark(r) }

// A URI that fits into no message, or into no option, is an error before anything is sent.
func TestURIBombs(t *testing.T) {
	for _, uri := range []string{
		"coap://127.0.0.1/" + strings.Repeat("s", 256),
		"coap://127.0.0.1" + strings.Repeat("/"+strings.Repeat("s", 255), 300),
		"coap://127.0.0.1" + strings.Repeat("/", 70_000),
		"coap://127.0.0.1/?" + strings.Repeat("&", 70_000),
		"coap://127.0.0.1/?" + strings.Repeat("q", 256),
		"coap://" + strings.Repeat("h", 256) + "/",
		"coap://127.0.0.1/%ff%",
	} {
		for _, args := range [][]string{{"get"}, {"observe"}, {"discover"}, {"put", "-e", "x"}} {
			got := command(t, "", append(args, uri)...)
			if got.status != exitUsage || strings.Count(got.stderr, "\n") != 1 || got.stdout != "" {
				t.Errorf("%v %.50s…: status %d, %.300q", args, uri, got.status, got.stderr)
			}
		}
	}
}
