package coap

import (
	"strings"
	"testing"

	"github.com/motewire/coap/linkformat"
	"github.com/motewire/coap/message"
)

// plugtest is a Mux with resources as the CoAP plugtests have them.
func plugtest() *Mux {
	m := NewMux()
	m.Handle("GET /test", say(""), Title("Default test resource"), Produces(message.TextPlain))
	m.Handle("/link1", say(""), ResourceType("Type1", "Type2"), Interface("If1"))
	m.Handle("/link2", say(""), ResourceType("Type2", "Type3"), Interface("If2"))
	m.Handle("PUT /test", say(""), Title("another"), Size(7))
	m.Handle("GET /multi-format", say(""),
		Produces(message.TextPlain, message.AppXML), Produces(message.AppJSON, message.AppCBOR))
	m.Handle("GET /obs", say(""), Attribute("obs", ""), ResourceType("observe"))
	m.Handle("GET /large", say(""), ResourceType("block"), Size(1280), Produces(message.TextPlain))
	m.Handle("GET /a%20b/{$}", say(""))
	m.Handle("/children/{id}", say(""), ResourceType("child"))
	m.Handle("/files/", say(""))
	m.Handle("/secret", say(""), Hidden())
	return m
}

const plugtestLinks = `</.well-known/core>;ct=40,` +
	`</test>;title="Default test resource";ct=0;sz=7,` +
	`</link1>;rt="Type1 Type2";if="If1",` +
	`</link2>;rt="Type2 Type3";if="If2",` +
	`</multi-format>;ct="0 41 50 60",` +
	`</obs>;obs;rt="observe",` +
	`</large>;rt="block";sz=1280;ct=0,` +
	`</a%20b/>`

func TestDiscovery(t *testing.T) {
	m := plugtest()
	for range 2 { // the second time from the rendered text
		a := ask(t, m, message.GET, discoveryPath)
		if a.code != 0 || string(a.payload) != plugtestLinks {
			t.Errorf("got %v\n%s\nwant\n%s", a.code, a.payload, plugtestLinks)
		}
		if format, _ := a.options.value(message.ContentFormat); string(format) != "\x28" {
			t.Errorf("Content-Format %x, want 40", format)
		}
	}
}

// RFC 6690 §4.1: filtering by href and by attributes, a trailing * for any continuation,
// lists value by value. Only the first query counts.
func TestDiscoveryFilters(t *testing.T) {
	tests := []struct {
		queries []string
		want    []string // targets
	}{
		{[]string{"rt=Type2"}, []string{"/link1", "/link2"}},
		{[]string{"rt=Type1"}, []string{"/link1"}},
		{[]string{"rt=Type*"}, []string{"/link1", "/link2"}},
		{[]string{"rt=Type"}, nil},
		{[]string{"if=If2", "if=If1"}, []string{"/link2"}},
		{[]string{"href=/test"}, []string{"/test"}},
		{[]string{"href=/l*"}, []string{"/link1", "/link2", "/large"}},
		{[]string{"ct=40"}, []string{"/.well-known/core"}},
		{[]string{"ct=50"}, []string{"/multi-format"}},
		{[]string{"sz=1280"}, []string{"/large"}},
		{[]string{"title=Default*"}, []string{"/test"}},
		{[]string{"obs"}, []string{"/obs"}},
		{[]string{"nothing=1"}, nil},
	}
	for _, test := range tests {
		var options []testOption
		for _, q := range test.queries {
			options = append(options, testOption{message.URIQuery, q})
		}
		a := ask(t, plugtest(), message.GET, discoveryPath, options...)
		if got := targets(t, a.payload); a.code != 0 || strings.Join(got, " ") != strings.Join(test.want, " ") {
			t.Errorf("%q: got %v %q, want %q", test.queries, a.code, got, test.want)
		}
	}
}

// targets parses link-format.
func targets(t *testing.T, text []byte) (all []string) {
	t.Helper()
	links, err := linkformat.Parse(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	for _, l := range links {
		all = append(all, l.Target)
	}
	return all
}

func TestDiscoveryIsARoute(t *testing.T) {
	m := plugtest()
	for _, test := range []struct {
		method message.Code
		with   []testOption
		want   message.Code
	}{
		{message.POST, nil, message.MethodNotAllowed},
		{message.GET, []testOption{acceptJSON}, message.NotAcceptable},
		{message.GET, []testOption{{message.Accept, "\x28"}}, 0},
		{message.GET, []testOption{ifNoneMatch}, message.PreconditionFailed},
	} {
		if a := ask(t, m, test.method, discoveryPath, test.with...); a.code != test.want {
			t.Errorf("%v %v: got %v, want %v", test.method, test.with, a.code, test.want)
		}
	}
	rt, _ := m.find(message.GET, viewOf(t, message.GET, discoveryPath), new(match))
	if rt == nil || !rt.multicast {
		t.Error("discovery does not answer groups (RFC 7252 §8.2)")
	}
	if rt, _ := m.find(message.GET, viewOf(t, message.GET, "/link1"), new(match)); rt.multicast {
		t.Error("/link1 answers groups unasked")
	}
}

func TestDiscoveryIsReplaced(t *testing.T) {
	for _, pattern := range []string{discoveryPath, "GET " + discoveryPath} {
		m := muxOf(pattern)
		if a := ask(t, m, message.GET, discoveryPath); string(a.payload) != pattern {
			t.Errorf("%s: got %q", pattern, a.payload)
		}
	}
	m := muxOf("POST "+discoveryPath, "/{rest...}")
	if a := ask(t, m, message.GET, discoveryPath); !strings.HasPrefix(string(a.payload), "<") {
		t.Errorf("GET beside another method and a wildcard: got %q", a.payload)
	}
	if a := ask(t, m, message.POST, discoveryPath); string(a.payload) != "POST "+discoveryPath {
		t.Errorf("POST: got %q", a.payload)
	}
}

func TestDiscoverySeesLaterRoutes(t *testing.T) {
	m := muxOf("/a")
	ask(t, m, message.GET, discoveryPath)
	m.Handle("/b", say(""))
	a := ask(t, m, message.GET, discoveryPath)
	if got := string(a.payload); got != "</.well-known/core>;ct=40,</a>,</b>" {
		t.Errorf("got %s", got)
	}
}

func TestDiscoveryComputesLinks(t *testing.T) {
	var children []linkformat.Link
	sizes := []string{"10"}
	m := NewMux()
	m.Handle("/update", say(""), ResourceType("block"), Size(1), Links(func() (links []linkformat.Link) {
		for _, size := range sizes {
			links = append(links, linkformat.Link{Target: "/update", Attributes: []linkformat.Attribute{{Name: "sz", Value: size}}})
		}
		return links
	}))
	m.Handle("/c/{id}", say(""), Links(func() []linkformat.Link { return children }))
	m.Handle("/z", say(""))
	expect := func(want string, options ...testOption) {
		t.Helper()
		if a := ask(t, m, message.GET, discoveryPath, options...); string(a.payload) != want {
			t.Errorf("got  %s\nwant %s", a.payload, want)
		}
	}
	expect(`</.well-known/core>;ct=40,</update>;rt="block";sz=10,</z>`)
	children, sizes = []linkformat.Link{{Target: "/c/1"}, {Target: "/c/2"}}, []string{"20"}
	expect(`</.well-known/core>;ct=40,</update>;rt="block";sz=20,</z>,</c/1>,</c/2>`)
	expect(`</update>;rt="block";sz=20`, testOption{message.URIQuery, "sz=20"})
	expect(`</c/1>,</c/2>`, testOption{message.URIQuery, "href=/c/*"})
	children = []linkformat.Link{{Target: "/z", Attributes: []linkformat.Attribute{{Name: "anchor", Value: "/c"}}}}
	expect(`</z>,</z>;anchor="/c"`, testOption{message.URIQuery, "href=/z"})
	children, sizes = nil, nil
	expect(`</.well-known/core>;ct=40,</update>;rt="block";sz=1,</z>`)
	expect(``, testOption{message.URIQuery, "href=/c/*"})

	children = []linkformat.Link{{Target: "/a>"}}
	if text := panicText(func() { ask(t, m, message.GET, discoveryPath) }); !strings.Contains(text, "/a>") {
		t.Errorf("an invalid link: got %q", text)
	}
}

// RFC 6690 §4: a server without links to tell answers with an empty payload, no error.
func TestDiscoveryOfNothing(t *testing.T) {
	m := NewMux()
	m.Handle("/secret", say(""), Hidden())
	a := ask(t, m, message.GET, discoveryPath, testOption{message.URIQuery, "rt=nothing"})
	format, ok := a.options.value(message.ContentFormat)
	if a.code != 0 || len(a.payload) != 0 || !ok || string(format) != "\x28" {
		t.Errorf("%v %q, Content-Format %x", a.code, a.payload, format)
	}
}
