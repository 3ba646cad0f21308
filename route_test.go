package coap

import (
	"strings"
	"testing"

	"github.com/motewire/coap/linkformat"
	"github.com/motewire/coap/message"
)

// tagged is a validator of a resource that exists with this ETag.
func tagged(tag string) func(*Request) ([]byte, bool) {
	return func(*Request) ([]byte, bool) { return []byte(tag), true }
}

// absent is a validator of a resource that doesn't exist.
func absent(*Request) ([]byte, bool) { return []byte("old"), false }

// Options of requests in the tables below.
var (
	ifMatchAny  = testOption{message.IfMatch, ""}
	ifMatch1    = testOption{message.IfMatch, "1"}
	ifMatch2    = testOption{message.IfMatch, "2"}
	ifMatchOld  = testOption{message.IfMatch, "old"}
	ifNoneMatch = testOption{message.IfNoneMatch, ""}
	etag1       = testOption{message.ETag, "1"}
	etag2       = testOption{message.ETag, "2"}
	etagOld     = testOption{message.ETag, "old"}
	ofJSON      = testOption{message.ContentFormat, "\x32"}
	ofText      = testOption{message.ContentFormat, ""}
	acceptJSON  = testOption{message.Accept, "\x32"}
	acceptText  = testOption{message.Accept, ""}
)

func TestPrecheck(t *testing.T) {
	const run message.Code = 0
	produceText, consumeText := Produces(message.TextPlain), Consumes(message.TextPlain)
	tests := []struct {
		name    string
		pattern string
		declare []RouteOption
		method  message.Code
		request []testOption
		want    message.Code
	}{
		{"nothing", "/a", nil, message.PUT, nil, run},

		// RFC 7252 §5.10.8: a condition that isn't fulfilled MUST be answered by 4.12.
		{"If-Match current", "/a", []RouteOption{Validate(tagged("1"))}, message.PUT, []testOption{ifMatch1}, run},
		{"If-Match other", "/a", []RouteOption{Validate(tagged("1"))}, message.PUT, []testOption{ifMatch2}, message.PreconditionFailed},
		{"If-Match one of two", "/a", []RouteOption{Validate(tagged("1"))}, message.PUT, []testOption{ifMatch2, ifMatch1}, run},
		{"If-Match any", "/a", []RouteOption{Validate(tagged("1"))}, message.PUT, []testOption{ifMatchAny}, run},
		{"If-Match any, no ETag", "/a", []RouteOption{Validate(tagged(""))}, message.PUT, []testOption{ifMatchAny}, run},
		{"If-Match 1, no ETag", "/a", []RouteOption{Validate(tagged(""))}, message.PUT, []testOption{ifMatch1}, message.PreconditionFailed},
		{"If-Match any, absent", "/a", []RouteOption{Validate(absent)}, message.PUT, []testOption{ifMatchAny}, message.PreconditionFailed},
		{"If-Match of what was, absent", "/a", []RouteOption{Validate(absent)}, message.PUT, []testOption{ifMatchOld}, message.PreconditionFailed},
		{"If-Match at GET", "/a", []RouteOption{Validate(tagged("1"))}, message.GET, []testOption{ifMatch2}, message.PreconditionFailed},
		{"If-None-Match, exists", "/a", []RouteOption{Validate(tagged("1"))}, message.PUT, []testOption{ifNoneMatch}, message.PreconditionFailed},
		{"If-None-Match, absent", "/a", []RouteOption{Validate(absent)}, message.PUT, []testOption{ifNoneMatch}, run},
		{"both, absent", "/a", []RouteOption{Validate(absent)}, message.PUT, []testOption{ifMatchAny, ifNoneMatch}, message.PreconditionFailed},

		// RFC 7252 §5.9.2.9.
		{"body within the limit", "/a", []RouteOption{BodyLimit(3)}, message.PUT, []testOption{payloadOf("123")}, run},
		{"body above the limit", "/a", []RouteOption{BodyLimit(3)}, message.PUT, []testOption{payloadOf("1234")}, message.RequestEntityTooLarge},
		{"body to come above the limit", "/a", []RouteOption{BodyLimit(3)}, message.PUT, []testOption{{message.Size1, "\xff\xff\xff\xff"}}, message.RequestEntityTooLarge},

		// Without declarations.
		{"If-None-Match, undeclared", "/a", nil, message.PUT, []testOption{ifNoneMatch}, message.PreconditionFailed},
		{"If-None-Match, undeclared, {$}", "/a/{$}", nil, message.PUT, []testOption{ifNoneMatch}, message.PreconditionFailed},
		{"If-None-Match, undeclared, wildcard", "/{x}", nil, message.PUT, []testOption{ifNoneMatch}, message.BadOption},
		{"If-None-Match, undeclared, rest", "/", nil, message.PUT, []testOption{ifNoneMatch}, message.BadOption},
		{"If-Match, undeclared", "/a", nil, message.PUT, []testOption{ifMatchAny}, message.BadOption},
		{"If-Match, undeclared, wildcard", "/{x}", nil, message.DELETE, []testOption{ifMatch1}, message.BadOption},
		{"ETag, undeclared", "/a", nil, message.GET, []testOption{etag1}, run},
		{"the handler's matter", "/a", []RouteOption{Preconditions()}, message.PUT, []testOption{ifMatch1, ifNoneMatch}, run},

		// RFC 7252 §5.10.6.2: 2.03 where one of the ETags given is the current one.
		{"ETag current", "/a", []RouteOption{Validate(tagged("1"))}, message.GET, []testOption{etag2, etag1}, message.Valid},
		{"ETag current at FETCH", "/a", []RouteOption{Validate(tagged("1"))}, message.FETCH, []testOption{etag1}, message.Valid},
		{"ETag current at PUT", "/a", []RouteOption{Validate(tagged("1"))}, message.PUT, []testOption{etag1}, run},
		{"ETag current at PUT, validator asked", "/a", []RouteOption{Validate(tagged("1"))}, message.PUT, []testOption{ifMatch1, etag1}, run},
		{"ETag other", "/a", []RouteOption{Validate(tagged("1"))}, message.GET, []testOption{etag2}, run},
		{"ETag, none current", "/a", []RouteOption{Validate(tagged(""))}, message.GET, []testOption{etag1}, run},
		{"ETag of what was, absent", "/a", []RouteOption{Validate(absent)}, message.GET, []testOption{etagOld}, run},

		// RFC 7252 §5.9.2.10.
		{"payload as consumed", "/a", []RouteOption{consumeText}, message.PUT, []testOption{ofText, payloadOf("x")}, run},
		{"payload of another format", "/a", []RouteOption{consumeText}, message.PUT, []testOption{ofJSON, payloadOf("x")}, message.UnsupportedContentFormat},
		{"second format", "/a", []RouteOption{consumeText, Consumes(message.AppJSON)}, message.PUT, []testOption{ofJSON, payloadOf("x")}, run},
		{"empty payload of another format", "/a", []RouteOption{consumeText}, message.POST, []testOption{ofJSON}, message.UnsupportedContentFormat},
		{"format at GET", "/a", []RouteOption{consumeText, RequireFormat()}, message.GET, []testOption{ofJSON}, run},
		{"no format at DELETE", "/a", []RouteOption{RequireFormat()}, message.DELETE, nil, run},
		{"no format", "/a", []RouteOption{consumeText}, message.PUT, []testOption{payloadOf("x")}, run},
		{"no format, required", "/a", []RouteOption{consumeText, RequireFormat()}, message.PUT, []testOption{payloadOf("x")}, message.BadRequest},
		{"no format, no payload, required", "/a", []RouteOption{RequireFormat()}, message.POST, nil, message.BadRequest},
		{"format, required", "/a", []RouteOption{RequireFormat()}, message.POST, []testOption{ofJSON}, run},

		// RFC 7252 §5.10.4: 4.06 unless another error code takes precedence.
		{"accept what is produced", "/a", []RouteOption{produceText}, message.GET, []testOption{acceptText}, run},
		{"accept another format", "/a", []RouteOption{produceText}, message.GET, []testOption{acceptJSON}, message.NotAcceptable},
		{"accept another format of POST", "/a", []RouteOption{produceText}, message.POST, []testOption{acceptJSON}, message.NotAcceptable},
		{"accept second format", "/a", []RouteOption{Produces(message.TextPlain, message.AppJSON)}, message.GET, []testOption{acceptJSON}, run},
		{"accept, nothing declared", "/a", nil, message.GET, []testOption{acceptJSON}, run},

		// The order.
		{"4.02 before 4.13", "/a", []RouteOption{BodyLimit(3)}, message.PUT, []testOption{ifMatch1, payloadOf("1234")}, message.BadOption},
		{"4.02 before 4.12", "/a", nil, message.PUT, []testOption{ifMatch1, ifNoneMatch}, message.BadOption},
		{"4.13 before 4.12", "/a", []RouteOption{BodyLimit(3)}, message.PUT, []testOption{ifNoneMatch, payloadOf("1234")}, message.RequestEntityTooLarge},
		{"4.02 before 4.15", "/a", []RouteOption{consumeText}, message.PUT, []testOption{ifMatch1, ofJSON, payloadOf("x")}, message.BadOption},
		{"4.12 before 4.15", "/a", []RouteOption{consumeText, Validate(tagged("1"))}, message.PUT, []testOption{ifMatch2, ofJSON, payloadOf("x")}, message.PreconditionFailed},
		{"4.15 before 4.06", "/a", []RouteOption{consumeText, produceText}, message.FETCH, []testOption{ofJSON, acceptJSON, payloadOf("x")}, message.UnsupportedContentFormat},
		{"4.06 before 2.03", "/a", []RouteOption{produceText, Validate(tagged("1"))}, message.GET, []testOption{etag1, acceptJSON}, message.NotAcceptable},
		{"4.06 where the handler deals with conditions", "/a", []RouteOption{produceText, Preconditions()}, message.GET, []testOption{ifMatch1, acceptJSON}, message.NotAcceptable},
	}
	for _, test := range tests {
		p, err := parsePattern(test.pattern)
		if err != nil {
			t.Fatal(err)
		}
		rt, a := newRoute(p, say(""), test.declare), new(answer)
		if got := rt.precheck(a, requestOf(t, test.method, "/a", test.request...)); got != test.want {
			t.Errorf("%s: got %v, want %v", test.name, got, test.want)
		}
		etag, tagged := a.options.value(message.ETag)
		if tagged != (test.want == message.Valid) || tagged && string(etag) != "1" {
			t.Errorf("%s: ETag %q in the answer", test.name, etag)
		}
		limit, limited := a.options.value(message.Size1)
		if limited != (test.want == message.RequestEntityTooLarge) || limited && string(limit) != "\x03" {
			t.Errorf("%s: Size1 %x in the answer", test.name, limit)
		}
		// RFC 7252 §5.4.1: 4.02 SHOULD describe the option.
		if named := strings.HasPrefix(string(a.payload), "If-"); named != (test.want == message.BadOption) {
			t.Errorf("%s: payload %q", test.name, a.payload)
		}
	}
}

// A validator costs what user code costs: it is asked once, and only where it matters.
func TestPrecheckAsksValidatorOnce(t *testing.T) {
	p, err := parsePattern("/a")
	if err != nil {
		t.Fatal(err)
	}
	calls := 0
	rt := newRoute(p, say(""), []RouteOption{Validate(func(r *Request) ([]byte, bool) {
		calls++
		return []byte("1"), true
	})})
	for _, test := range []struct {
		method message.Code
		with   []testOption
		want   int
	}{
		{message.GET, nil, 0},
		{message.GET, []testOption{etag1}, 1},
		{message.PUT, []testOption{etag1}, 0},
		{message.GET, []testOption{ifMatch1, etag1}, 1},
	} {
		calls = 0
		rt.precheck(new(answer), requestOf(t, test.method, "/a", test.with...))
		if calls != test.want {
			t.Errorf("%v %v: asked %d times, want %d", test.method, test.with, calls, test.want)
		}
	}
}

func TestValidatorWithLongETagPanics(t *testing.T) {
	p, _ := parsePattern("/a")
	rt := newRoute(p, say(""), []RouteOption{Validate(tagged("123456789"))})
	text := panicText(func() { rt.precheck(new(answer), requestOf(t, message.GET, "/a", etag1)) })
	if !strings.Contains(text, `pattern "/a": validator returned an ETag of 9 bytes`) {
		t.Errorf("got %q", text)
	}
}

func TestPrecheckAllocatesNothing(t *testing.T) {
	p, _ := parsePattern("/a")
	tag := []byte("1")
	rt := newRoute(p, say(""), []RouteOption{Produces(message.TextPlain), Consumes(message.TextPlain),
		Validate(func(*Request) ([]byte, bool) { return tag, true })})
	for _, r := range []*Request{
		requestOf(t, message.PUT, "/a", ofText, payloadOf("x"), ifMatch2, ifMatch1),
		requestOf(t, message.GET, "/a", etag2, acceptText),
		requestOf(t, message.GET, "/a", etag1),
	} {
		a := new(answer)
		if n := testing.AllocsPerRun(100, func() { a.Reset(); rt.precheck(a, r) }); n != 0 {
			t.Errorf("%v: %v allocations", r.view, n)
		}
	}
}

func TestRouteOptions(t *testing.T) {
	p, _ := parsePattern("/a/{x}")
	rt := newRoute(p, say(""), []RouteOption{Multicast(), BodyLimit(100), Hidden(), Preconditions(),
		ResourceType("a", "b"), ResourceType("b", "c"), Interface("i"), Title("first"), Title("second"),
		Size(1280), Produces(message.AppJSON), Produces(message.TextPlain, message.AppJSON),
		Attribute("obs", ""), Attribute("x", "1"), Attribute("x", "2"), Attribute("x", "1")})
	if !rt.wildcard || !rt.multicast || !rt.hidden || !rt.preconditions || rt.bodyLimit != 100 || rt.pattern != "/a/{x}" {
		t.Errorf("got %+v", rt.declaration)
	}
	got := string(linkformat.Append(nil, linkformat.Link{Attributes: rt.attributes}))
	const want = `<>;rt="a b c";if="i";title="first";sz=1280;ct="50 0";obs;x=1;x=2`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	const refused = `coap: pattern "/a/{x}": linkformat: invalid attribute name`
	if text := panicText(func() { newRoute(p, say(""), []RouteOption{Attribute("a b", "")}) }); !strings.HasPrefix(text, refused) {
		t.Errorf("invalid attribute name: got %q, want %q", text, refused)
	}
	if !newRoute(p, NewMux(), nil).preconditions {
		t.Error("a mounted Mux does not see preconditions")
	}
}
