package coap

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestMuxConflicts(t *testing.T) {
	tests := []struct {
		p, q   string
		reason string // empty: no conflict
	}{
		{"/a", "/a", "both match the same requests"},
		{"GET /{x}", "GET /{y}", "both match the same requests"},
		{"/a/", "/a/{rest...}", "both match the same requests"},
		{"IPATCH /a", "iPATCH /a", "both match the same requests"},
		{"/a%62", "/ab", "both match the same requests"},
		{"/a/{x}", "/{y}/b", "both match /a/b, but neither is more specific"},
		{"/{x}/b", "/a/", "both match /a/b, but neither is more specific"},
		{"GET /{x}", "/a", `"/a" has more methods, but the more specific path`},
		{"/a/b", "GET /a/", `"/a/b" has more methods, but the more specific path`},
		{"GET /a", "/a", ""},
		{"GET /a", "PUT /a", ""},
		{"/{x}", "/a", ""},
		{"/{x}", "/{$}", ""},
		{"/a/{x}", "/a/{$}", ""},
		{"/a/{x}/b", "/a//b", ""},
		{"/{x}/b", "//{y}", ""}, // {x} is no empty segment
		{"/a/", "/a/{$}", ""},
		{"/a/", "/a", ""},
		{"/", "GET /a/{x}", ""},
		{"/a%2Fb", "/a/b", ""},
		{"/a/%7B$%7D", "/a/{$}", ""},
	}
	for _, test := range tests {
		for _, order := range [][]string{{test.p, test.q}, {test.q, test.p}} {
			got := panicText(func() { muxOf(order...) })
			if test.reason == "" && got != "" {
				t.Errorf("%q: %s", order, got)
			}
			if test.reason != "" && !(strings.Contains(got, test.reason) &&
				strings.Contains(got, fmt.Sprintf("pattern %q conflicts with %q", order[1], order[0]))) {
				t.Errorf("%q: got %q, want %q", order, got, test.reason)
			}
		}
	}
}

// httpMethods are the methods that both know.
var httpMethods = []string{"GET", "POST", "PUT", "DELETE", "PATCH"}

// drawPattern draws a pattern that both net/http and this package accept.
func drawPattern(t *rapid.T) string {
	var b strings.Builder
	if method := rapid.SampledFrom(append([]string{"", ""}, httpMethods[:2]...)).Draw(t, "method"); method != "" {
		b.WriteString(method + " ")
	}
	n := rapid.IntRange(0, 3).Draw(t, "segments")
	for i := range n {
		s := rapid.SampledFrom([]string{"a", "b", "a", "c%20d", "{w}"}).Draw(t, "segment")
		b.WriteString("/" + strings.Replace(s, "w", fmt.Sprintf("w%d", i), 1))
	}
	endings := []string{"", "/", "/{$}", "/{rest...}"}
	if n == 0 {
		endings = endings[1:]
	}
	b.WriteString(rapid.SampledFrom(endings).Draw(t, "ending"))
	return b.String()
}

// drawPath draws a clean path, percent-encoded.
func drawPath(t *rapid.T) string {
	segments := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c%20d", "e"}), 0, 4).Draw(t, "path")
	path := "/" + strings.Join(segments, "/")
	if len(segments) > 0 && rapid.Bool().Draw(t, "slash") {
		path += "/"
	}
	return path
}

// routed is what a mux did with a request: the pattern and the wildcards' values, or a
// status.
type routed struct {
	pattern string
	values  [4]string
	status  int
}

var wildcardNames = [4]string{"w0", "w1", "w2", "rest"}

func routedByHTTP(m *http.ServeMux, last *routed, method, path string) routed {
	*last = routed{}
	w := httptest.NewRecorder()
	m.ServeHTTP(w, httptest.NewRequest(method, path, nil))
	if last.pattern == "" {
		last.status = w.Code
	}
	return *last
}

func routedByMux(t testing.TB, m *Mux, method, path string) routed {
	segments := strings.Split(path, "/")
	for i := range segments {
		segments[i], _ = url.PathUnescape(segments[i])
	}
	code := methodsByName[method]
	v := viewOf(t, code, strings.Join(segments, "/"))
	var mt match
	rt, code := m.find(code, v, &mt)
	if code != 0 {
		return routed{status: 400 + int(code.Detail())}
	}
	got := routed{pattern: rt.pattern}
	for i, name := range wildcardNames {
		got.values[i] = mt.value(v, name)
	}
	return got
}

// A Mux and an http.ServeMux refuse the same patterns and agree about the winner.
func TestMuxAgreesWithNetHTTP(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		theirs, ours, last := http.NewServeMux(), NewMux(), new(routed)
		for _, p := range rapid.SliceOfN(rapid.Custom(drawPattern), 1, 20).Draw(r, "patterns") {
			theirPanic := panicText(func() {
				theirs.HandleFunc(p, func(_ http.ResponseWriter, r *http.Request) {
					last.pattern = p
					for i, name := range wildcardNames {
						last.values[i] = r.PathValue(name)
					}
				})
			})
			ourPanic := panicText(func() { ours.Handle(p, say(p)) })
			if (theirPanic == "") != (ourPanic == "") {
				r.Fatalf("%q: net/http says %q, Mux says %q", p, theirPanic, ourPanic)
			}
		}
		for range 30 {
			method, path := rapid.SampledFrom(httpMethods).Draw(r, "method"), drawPath(r)
			want := routedByHTTP(theirs, last, method, path)
			if want.status == http.StatusMovedPermanently || want.status == http.StatusTemporaryRedirect {
				continue // net/http adds a slash; CoAP has no redirection
			}
			got := routedByMux(t, ours, method, path)
			if want.status == http.StatusMethodNotAllowed && got.status == http.StatusNotFound {
				got = routedByMux(t, ours, method, path+"/") // likewise
			}
			if got != want {
				r.Fatalf("%s %s: Mux %+v, net/http %+v", method, path, got, want)
			}
		}
	})
}
