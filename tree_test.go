package coap

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/motewire/coap/message"
)

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
		{message.MakeCode(0, 31), "/nowhere", "4.05"},
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
