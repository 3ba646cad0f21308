package coap

import (
	"errors"
	"strings"
	"testing"

	"github.com/motewire/coap/message"
)

func TestParsePattern(t *testing.T) {
	long := strings.Repeat("x", 255)
	tests := []struct {
		text   string
		method message.Code // 0: all
		want   []segment
	}{
		{"/", 0, []segment{{multi, ""}}},
		{"/{$}", 0, []segment{{end, ""}}},
		{"/a", 0, []segment{{literal, "a"}}},
		{"/a/", 0, []segment{{literal, "a"}, {multi, ""}}},
		{"/a/{$}", 0, []segment{{literal, "a"}, {end, ""}}},
		{"GET /a/{x}/b", message.GET, []segment{{literal, "a"}, {wild, "x"}, {literal, "b"}}},
		{"FETCH \t/{rest...}", message.FETCH, []segment{{multi, "rest"}}},
		{"PATCH /ä/{größe_2}", message.PATCH, []segment{{literal, "ä"}, {wild, "größe_2"}}},
		{"IPATCH /a", message.IPATCH, []segment{{literal, "a"}}},
		{"iPATCH /a", message.IPATCH, []segment{{literal, "a"}}},
		{"/a%20b/c%2Fd/%zz", 0, []segment{{literal, "a b"}, {literal, "c/d"}, {literal, "%zz"}}},
		{"/a//b", 0, []segment{{literal, "a"}, {literal, ""}, {literal, "b"}}},
		{"/" + long, 0, []segment{{literal, long}}},
		{strings.Repeat("/a", 15) + "/", 0, append(segments(15), segment{multi, ""})},
	}
	for _, test := range tests {
		p, err := parsePattern(test.text)
		if err != nil {
			t.Errorf("%q: %v", test.text, err)
			continue
		}
		methods := allMethods
		if test.method != 0 {
			methods = 1 << test.method
		}
		if p.method != test.method || p.methods != methods || !equalSegments(p.segments, test.want) {
			t.Errorf("%q: got method %v, methods %b, segments %v", test.text, p.method, p.methods, p.segments)
		}
	}
}

func segments(n int) []segment {
	s := make([]segment, n)
	for i := range s {
		s[i].text = "a"
	}
	return s
}

func equalSegments(a, b []segment) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func TestParsePatternRefuses(t *testing.T) {
	tests := []struct {
		text   string
		offset int
		reason string
	}{
		{"", 0, "no path"},
		{"GET ", 4, "no path"},
		{"GET", 0, "no host"},
		{"example.com/a", 0, "no host"},
		{"GET example.com/a", 4, "no host"},
		{"HEAD /a", 0, `unknown method "HEAD"`},
		{"get /a", 0, `unknown method "get"`},
		{" /a", 0, `unknown method ""`},
		{"/a/b{x}", 3, "begins with '{'"},
		{"/a/{x}b", 3, "ends with '}'"},
		{"/a/{x", 3, "ends with '}'"},
		{"/{$}/a", 1, "{$} is not at the end"},
		{"/{$}/", 1, "{$} is not at the end"},
		{"/{x...}/a", 1, "{name...} is not at the end"},
		{"/{x...}/", 1, "{name...} is not at the end"},
		{"/{}", 1, `"" is no Go identifier`},
		{"/{...}", 1, `"" is no Go identifier`},
		{"/{1}", 1, `"1" is no Go identifier`},
		{"/{a-b}", 1, `"a-b" is no Go identifier`},
		{"PUT  /a/{x}/{x...}", 12, `duplicate wildcard name "x"`},
		{"/a/../b", 3, `no path has a segment ".."`},
		{"/%2e", 1, `no path has a segment "."`},
		{"/" + strings.Repeat("x", 256), 1, "above 255 bytes"},
		{strings.Repeat("/a", 17), 33, "more than 16 segments"},
	}
	for _, test := range tests {
		_, err := parsePattern(test.text)
		var bad *patternError
		if !errors.As(err, &bad) {
			t.Errorf("%q: error %v, want a patternError", test.text, err)
			continue
		}
		if bad.pattern != test.text || bad.offset != test.offset || !strings.Contains(bad.Error(), test.reason) {
			t.Errorf("%q: got %q, want offset %d, %q", test.text, bad, test.offset, test.reason)
		}
	}
}

func TestMatchValue(t *testing.T) {
	tests := []struct {
		pattern, path, name, want string
	}{
		{"/a/{x}/{y}", "/a/1/2", "x", "1"},
		{"/a/{x}/{y}", "/a/1/2", "y", "2"},
		{"/a/{x}/{y}", "/a/1/2", "z", ""},
		{"/a/{x}/{y}", "/a/1/2", "a", ""},
		{"/a/{rest...}", "/a/1/2/3", "rest", "1/2/3"},
		{"/a/{rest...}", "/a/", "rest", ""},
		{"/a/{rest...}", "/a//b/", "rest", "/b/"},
		{"/{rest...}", "/", "rest", ""},
		{"/{rest...}", "/a", "rest", "a"},
		{"/a/", "/a/b", "", ""},
	}
	for _, test := range tests {
		p, err := parsePattern(test.pattern)
		if err != nil {
			t.Fatal(err)
		}
		v := viewOf(t, message.GET, test.path)
		if got := (&match{p}).value(v, test.name); got != test.want {
			t.Errorf("%s in %s of %s: got %q, want %q", test.name, test.path, test.pattern, got, test.want)
		}
	}
	if got := new(match).value(viewOf(t, message.GET, "/a"), "x"); got != "" {
		t.Errorf("zero match: got %q", got)
	}
	if got := (&match{}).value(nil, "x"); got != "" {
		t.Errorf("no message: got %q", got)
	}
}

func TestPatternPath(t *testing.T) {
	for text, want := range map[string]string{
		"/a/b":              "/a/b",
		"GET /{$}":          "/",
		"/a/{$}":            "/a/",
		"/a%20b/c%2Fd/%3E;": "/a%20b/c%2Fd/%3E%3B",
	} {
		p, err := parsePattern(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.path(); got != want || p.hasWildcard() {
			t.Errorf("%s: got %s, wildcard %v, want %s", text, got, p.hasWildcard(), want)
		}
	}
}
