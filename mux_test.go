package coap

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/motewire/coap/message"
	"pgregory.net/rapid"
)

// A testOption is one option of a request that a test makes.
type testOption struct {
	number message.OptionNumber
	value  string
}

// viewOf parses a request that it makes. The path is split at its slashes, "/" is none.
func viewOf(t testing.TB, method message.Code, path string, options ...testOption) *message.View {
	t.Helper()
	var all optionList
	if path != "/" {
		for s := range strings.SplitSeq(path[1:], "/") {
			all.addString(message.URIPath, s)
		}
	}
	var payload []byte
	for _, o := range options {
		if o.number == 0 {
			payload = []byte(o.value)
			continue
		}
		all.addString(o.number, o.value)
	}
	e := message.AppendHeader(nil, message.Confirmable, method, 1, message.Token{})
	all.encode(&e)
	datagram, err := e.Finish(payload)
	if err != nil {
		t.Fatal(err)
	}
	v := new(message.View)
	if err := v.Parse(datagram); err != nil {
		t.Fatal(err)
	}
	return v
}

// payloadOf is a request's payload in a list of options.
func payloadOf(text string) testOption { return testOption{0, text} }

// requestOf is a request as a handler gets it.
func requestOf(t testing.TB, method message.Code, path string, options ...testOption) *Request {
	t.Helper()
	return &Request{Method: method, view: viewOf(t, method, path, options...)}
}

// An answer is a ResponseWriter that keeps what was written.
type answer struct{ response }

func (*answer) Detach() Responder { panic("not in this test") }

// ask has a Mux answer a request.
func ask(t testing.TB, m *Mux, method message.Code, path string, options ...testOption) *answer {
	t.Helper()
	a := new(answer)
	m.ServeCoAP(a, requestOf(t, method, path, options...))
	return a
}

// say is a handler that writes text.
func say(text string) Handler {
	return HandlerFunc(func(w ResponseWriter, _ *Request) { w.WriteString(text) })
}

func muxOf(patterns ...string) *Mux {
	m := NewMux()
	for _, p := range patterns {
		m.Handle(p, say(p))
	}
	return m
}

// panicText runs f and returns what it panics with, empty where it doesn't.
func panicText(f func()) (text string) {
	defer func() {
		if v := recover(); v != nil {
			text = fmt.Sprint(v)
		}
	}()
	f()
	return ""
}

func TestMuxFind(t *testing.T) {
	m := muxOf("/a", "GET /b", "PUT /b", "/c/{x}", "/c/{x}/d", "/c/e", "/f/", "/f/{$}",
		"GET /g/{x}", "POST /g/h", "/i//j", "/k/{x}/{y}/z", "/k/l/m/n", "GET /o/{rest...}", "iPATCH /p")
	tests := []struct {
		method message.Code
		path   string
		want   string // the pattern; else the code
	}{
		{message.GET, "/a", "/a"},
		{message.IPATCH, "/a", "/a"},
		{message.GET, "/a/", "4.04"}, // an empty segment more, no redirection
		{message.GET, "/A", "4.04"},
		{message.GET, "/", "4.04"},
		{message.GET, "/b", "GET /b"},
		{message.PUT, "/b", "PUT /b"},
		{message.POST, "/b", "4.05"},
		{message.MakeCode(0, 8), "/b", "4.05"}, // RFC 7252 §5.8: a method nobody knows
		{message.MakeCode(0, 31), "/a", "4.05"},
		{message.MakeCode(0, 31), "/nowhere", "4.04"},
		{message.GET, "/c/1", "/c/{x}"},
		{message.GET, "/c/e", "/c/e"},
		{message.GET, "/c/e/d", "/c/{x}/d"}, // back from the literal
		{message.GET, "/c/", "4.04"},        // {x} is no empty segment
		{message.GET, "/c//d", "4.04"},
		{message.GET, "/f", "4.04"},
		{message.GET, "/f/", "/f/{$}"},
		{message.GET, "/f/1", "/f/"},
		{message.GET, "/f/1/2/", "/f/"},
		{message.GET, "/f//", "/f/"},
		{message.GET, "/f/" + strings.Repeat("x/", 100), "/f/"},
		{message.GET, "/c/1/d/" + strings.Repeat("x/", 100), "4.04"},
		{message.GET, "/g/h", "GET /g/{x}"}, // back from the literal, which has POST alone
		{message.POST, "/g/h", "POST /g/h"},
		{message.POST, "/g/i", "4.05"},
		{message.GET, "/i//j", "/i//j"},
		{message.GET, "/i/j", "4.04"},
		{message.GET, "/k/l/m/z", "/k/{x}/{y}/z"},
		{message.GET, "/k/l/m/n", "/k/l/m/n"},
		{message.GET, "/o", "4.04"},
		{message.GET, "/o/", "GET /o/{rest...}"},
		{message.PUT, "/o/1/2", "4.05"},
		{message.IPATCH, "/p", "iPATCH /p"},
		{message.PATCH, "/p", "4.05"},
		{message.GET, "/.well-known/core", "GET /.well-known/core"},
		{message.POST, "/.well-known/core", "4.05"},
	}
	for _, test := range tests {
		var mt match
		rt, code := m.find(test.method, viewOf(t, test.method, test.path), &mt)
		got := code.String()
		if rt != nil {
			got = rt.pattern
		}
		if got != test.want || (rt == nil) != (code != 0) {
			t.Errorf("%v %s: got %s, want %s", test.method, test.path, got, test.want)
		}
	}
}

// RFC 7252 §6.5: without Uri-Path the resource name is "/"; so it is with one empty option.
func TestMuxFindRoot(t *testing.T) {
	m := muxOf("/{$}", "/a")
	for _, v := range []*message.View{
		viewOf(t, message.GET, "/"),
		viewOf(t, message.GET, "/", testOption{message.URIPath, ""}),
	} {
		if rt, _ := m.find(message.GET, v, new(match)); rt == nil || rt.pattern != "/{$}" {
			t.Errorf("%v: got %v", v, rt)
		}
	}
	all := muxOf("/")
	for _, path := range []string{"/", "/a", "/a/b/"} {
		if rt, _ := all.find(message.GET, viewOf(t, message.GET, path), new(match)); rt == nil {
			t.Errorf("%s: not matched by /", path)
		}
	}
}

// The deepest pattern there is meets paths around its length.
func TestMuxFindDeep(t *testing.T) {
	deep := strings.Repeat("/a", maxPatternSegments)
	m := muxOf(deep, strings.Repeat("/a", maxPatternSegments-1)+"/{rest...}")
	for _, test := range []struct{ path, want string }{
		{deep, deep},
		{deep + "/a", strings.Repeat("/a", maxPatternSegments-1) + "/{rest...}"},
		{deep + "/", strings.Repeat("/a", maxPatternSegments-1) + "/{rest...}"},
		{deep + "/a/a", strings.Repeat("/a", maxPatternSegments-1) + "/{rest...}"},
		{strings.Repeat("/a", maxPatternSegments-1), ""},
	} {
		got := ""
		if rt, _ := m.find(message.GET, viewOf(t, message.GET, test.path), new(match)); rt != nil {
			got = rt.pattern
		}
		if got != test.want {
			t.Errorf("%d segments: got %q, want %q", strings.Count(test.path, "/"), got, test.want)
		}
	}
}

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

func TestMuxRefuses(t *testing.T) {
	for want, f := range map[string]func(){
		`coap: pattern "/{x": at offset 1: a wildcard`:                      func() { NewMux().Handle("/{x", say("")) },
		`coap: pattern "/a": nil handler`:                                   func() { NewMux().Handle("/a", nil) },
		`coap: pattern "/b": nil handler`:                                   func() { NewMux().HandleFunc("/b", nil) },
		`coap: pattern "/c": Validate and Preconditions exclude each other`: func() { NewMux().Handle("/c", say(""), Preconditions(), Validate(tagged("x"))) },
	} {
		if got := panicText(f); !strings.HasPrefix(got, want) {
			t.Errorf("got %q, want %q", got, want)
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

func TestMuxServes(t *testing.T) {
	m := NewMux()
	m.HandleFunc("GET /sensors/{id}", func(w ResponseWriter, r *Request) {
		fmt.Fprintf(w, "%s by %s", r.PathValue("id"), r.Pattern())
	}, Produces(message.TextPlain))
	if a := ask(t, m, message.GET, "/sensors/7"); a.code != 0 || string(a.payload) != "7 by GET /sensors/{id}" {
		t.Errorf("got %v %q", a.code, a.payload)
	}
	if a := ask(t, m, message.GET, "/sensors"); a.code != message.NotFound {
		t.Errorf("got %v, want 4.04", a.code)
	}
	if a := ask(t, m, message.PUT, "/sensors/7"); a.code != message.MethodNotAllowed {
		t.Errorf("got %v, want 4.05", a.code)
	}
	if a := ask(t, m, message.GET, "/sensors/7", testOption{message.Accept, "\x32"}); a.code != message.NotAcceptable || len(a.payload) != 0 {
		t.Errorf("got %v %q, want 4.06", a.code, a.payload)
	}
}

func TestMuxMounted(t *testing.T) {
	inner := NewMux()
	inner.HandleFunc("PUT /sub/{id}", func(w ResponseWriter, r *Request) { w.WriteString(r.PathValue("id")) },
		Validate(tagged("1")))
	outer := NewMux()
	outer.Handle("/sub/", inner)
	if a := ask(t, outer, message.PUT, "/sub/x", testOption{message.IfMatch, "1"}); string(a.payload) != "x" {
		t.Errorf("got %v %q", a.code, a.payload)
	}
	if a := ask(t, outer, message.PUT, "/sub/x", testOption{message.IfMatch, "2"}); a.code != message.PreconditionFailed {
		t.Errorf("got %v, want 4.12", a.code)
	}
	if a := ask(t, outer, message.PUT, "/sub/x/y"); a.code != message.NotFound {
		t.Errorf("got %v, want 4.04", a.code)
	}
}

// note is middleware that writes a name before the handler does.
func note(name string) func(Handler) Handler {
	return func(next Handler) Handler {
		return HandlerFunc(func(w ResponseWriter, r *Request) {
			w.WriteString(name)
			next.ServeCoAP(w, r)
		})
	}
}

func TestMuxUse(t *testing.T) {
	m := NewMux()
	m.Handle("/before", say("."))
	m.Use(note("1"), note("2"))
	if a := ask(t, m, message.GET, "/before"); string(a.payload) != "12." {
		t.Errorf("after the first Use: got %q", a.payload)
	}
	m.Handle("/after", say("."))
	m.Use(note("3"))
	for _, path := range []string{"/before", "/after"} {
		if a := ask(t, m, message.GET, path); string(a.payload) != "123." {
			t.Errorf("%s: got %q, want 123.", path, a.payload)
		}
	}
	if a := ask(t, m, message.GET, discoveryPath); !strings.HasPrefix(string(a.payload), "123<") {
		t.Errorf("discovery: got %q", a.payload)
	}
	if a := ask(t, m, message.GET, "/nowhere"); len(a.payload) != 0 {
		t.Errorf("4.04 went through middleware: %q", a.payload)
	}
}

// A pattern registered after the first request is found by the next, and conflicts are
// still seen.
func TestMuxRegistersWhileServing(t *testing.T) {
	m := muxOf("/a")
	first, _ := m.find(message.GET, viewOf(t, message.GET, "/a"), new(match))
	if a := ask(t, m, message.GET, "/b"); a.code != message.NotFound {
		t.Fatalf("got %v", a.code)
	}
	m.Handle("/b", say("b"))
	if a := ask(t, m, message.GET, "/b"); string(a.payload) != "b" {
		t.Errorf("got %v %q", a.code, a.payload)
	}
	if text := panicText(func() { m.Handle("/a", say("")) }); !strings.Contains(text, "conflicts") {
		t.Errorf("conflict not seen: %q", text)
	}
	if again, _ := m.find(message.GET, viewOf(t, message.GET, "/a"), new(match)); again != first {
		t.Error("registration replaced another route, and what was learned about it")
	}
}

func TestMuxConcurrentRegistration(t *testing.T) {
	m := muxOf("/{x}")
	var group sync.WaitGroup
	for i := range 4 {
		group.Go(func() {
			for j := range 50 {
				path := fmt.Sprintf("/r%d-%d", i, j)
				m.Handle(path, say(path))
				if a := ask(t, m, message.GET, path); string(a.payload) != path {
					t.Errorf("%s: got %v %q", path, a.code, a.payload)
				}
			}
		})
	}
	group.Wait()
}

// routesForBench registers n routes of the kinds that a server has.
func routesForBench(n int) *Mux {
	m := NewMux()
	for i := range n / 2 {
		m.Handle(fmt.Sprintf("GET /devices/d%d/temperature", i), say(""))
		m.Handle(fmt.Sprintf("/groups/g%d/{member}/{rest...}", i), say(""))
	}
	return m
}

// lookups are requests for routesForBench, and one that isn't there.
func lookups(t testing.TB) map[string]*message.View {
	return map[string]*message.View{
		"literal":  viewOf(t, message.GET, "/devices/d3/temperature"),
		"wildcard": viewOf(t, message.GET, "/groups/g3/x/y/z"),
		"long":     viewOf(t, message.GET, "/groups/g3"+strings.Repeat("/x", 200)),
		"none":     viewOf(t, message.GET, "/devices/d3/humidity"),
		"method":   viewOf(t, message.PUT, "/devices/d3/temperature"),
	}
}

func TestMuxFindAllocatesNothing(t *testing.T) {
	m := routesForBench(10)
	for name, v := range lookups(t) {
		var mt match
		if n := testing.AllocsPerRun(100, func() { m.find(v.Code(), v, &mt) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

var benchRoute *route

func BenchmarkMuxFind(b *testing.B) {
	views := lookups(b)
	for _, n := range []int{10, 10_000} {
		m := routesForBench(n)
		for _, name := range slices.Sorted(maps.Keys(views)) {
			b.Run(fmt.Sprintf("%d/%s", n, name), func(b *testing.B) {
				v := views[name]
				var mt match
				b.ReportAllocs()
				for b.Loop() {
					benchRoute, _ = m.find(v.Code(), v, &mt)
				}
			})
		}
	}
}

func BenchmarkMuxHandle(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		routesForBench(10_000)
	}
}
