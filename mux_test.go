package coap

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/motewire/coap/message"
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
