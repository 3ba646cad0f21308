package plugtest

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/motewire/coap"
	"github.com/motewire/coap/coaptest"
	"github.com/motewire/coap/linkformat"
	"github.com/motewire/coap/message"
)

func TestMain(m *testing.M) { coaptest.Main(m) }

// start serves the resources in memory until the test ends.
func start(t *testing.T) *coaptest.Server {
	t.Helper()
	s := coaptest.NewServer(New().Mux())
	t.Cleanup(s.Close)
	return s
}

// anyPayload in a step's want stands for a payload of any content, but not an empty one.
const anyPayload = "…"

// noFormatOption in a step's format means that the response has no Content-Format.
const noFormatOption = -1

// A step is one request and what comes back.
type step struct {
	method message.Code
	path   string
	body   coap.Body
	opts   []coap.RequestOption
	code   message.Code
	format int
	want   string // the payload; of a 4.xx it is not looked at
}

func (st step) String() string { return fmt.Sprint(st.method.Name(), " ", st.path) }

// run sends the request to s, and fails the test where the response is another one.
func (st step) run(t *testing.T, s *coaptest.Server) *coap.Response {
	t.Helper()
	resp, err := s.Client().Do(t.Context(), coap.NewRequest(st.method, s.URL+st.path, st.body, st.opts...))
	if err != nil {
		t.Fatal(st, err)
	}
	if resp.Code != st.code {
		t.Fatalf("%v: %v %q, want %v", st, resp.Code, resp.Payload(), st.code)
	}
	if !st.code.IsSuccess() {
		if f, ok := resp.ContentFormat(); ok {
			t.Errorf("%v: Content-Format %v in a %v", st, f, st.code)
		}
		return resp
	}
	body, err := resp.Bytes()
	if err != nil {
		t.Fatal(st, err)
	}
	resp.Body = bytes.NewReader(body) // to be read again
	got := string(body)
	if st.want == anyPayload && got == "" || st.want != anyPayload && got != st.want {
		t.Errorf("%v: payload %q, want %q", st, got, st.want)
	}
	format := noFormatOption
	if f, ok := resp.ContentFormat(); ok {
		format = int(f)
	}
	if format != st.format {
		t.Errorf("%v: Content-Format %d, want %d", st, format, st.format)
	}
	return resp
}

func get(path, want string, opts ...coap.RequestOption) step {
	return step{method: message.GET, path: path, opts: opts, code: message.Content, want: want}
}

// refused is a request that is answered by an error.
func refused(method message.Code, path string, body coap.Body, code message.Code, opts ...coap.RequestOption) step {
	return step{method: method, path: path, body: body, opts: opts, code: code}
}

// done is a request that is answered by a success without payload.
func done(method message.Code, path string, body coap.Body, code message.Code, opts ...coap.RequestOption) step {
	return step{method: method, path: path, body: body, opts: opts, code: code, format: noFormatOption}
}

func (st step) as(f message.Format) step {
	st.format = int(f)
	return st
}

var none coap.Body

// known returns the option that fixes the token.
func known(t *testing.T, b ...byte) coap.RequestOption {
	t.Helper()
	token, err := message.MakeToken(b)
	if err != nil {
		t.Fatal(err)
	}
	return coap.Token(token)
}

func TestPlainResources(t *testing.T) {
	xml, cbor := coap.Bytes([]byte("<a/>"), message.AppXML), coap.Bytes([]byte{0xa0}, message.AppCBOR)
	long := coap.Text(strings.Repeat("x", maxBody+1))
	tests := map[string][]step{
		"test": {
			get("/test", anyPayload),
			done(message.POST, "/test", coap.Text("ignored"), message.Created),
			done(message.PUT, "/test", coap.Text("ignored"), message.Changed),
			done(message.PUT, "/test", coap.Text("ignored"), message.Changed, coap.IfMatch(nil)),
			done(message.DELETE, "/test", none, message.Deleted),
			get("/test", anyPayload),
			refused(message.PUT, "/test", none, message.PreconditionFailed, coap.IfNoneMatch),
			refused(message.PUT, "/test", none, message.PreconditionFailed, coap.IfMatch([]byte{1})),
			refused(message.GET, "/test", none, message.NotAcceptable, coap.Accept(message.AppJSON)),
			refused(message.FETCH, "/test", none, message.MethodNotAllowed),
			refused(message.MakeCode(0, 31), "/test", none, message.MethodNotAllowed),
			refused(message.POST, "/test", long, message.RequestEntityTooLarge),
		},
		"nothing there": {
			refused(message.GET, "/", none, message.NotFound),
			refused(message.GET, "/tes", none, message.NotFound),
			refused(message.GET, "/test/", none, message.NotFound),
			refused(message.DELETE, "/seg1/seg2/seg3/seg4", none, message.NotFound, coap.Accept(message.AppJSON)),
		},
		"seg": {
			get("/seg1", anyPayload), get("/seg1/seg2", anyPayload), get("/seg1/seg2/seg3", anyPayload),
			refused(message.POST, "/seg1/seg2", none, message.MethodNotAllowed),
		},
		"query": {refused(message.POST, "/query?a=1", none, message.MethodNotAllowed)},
		"empty": {
			done(message.GET, "/empty", none, message.Content),
			refused(message.GET, "/empty", none, message.NotAcceptable, coap.Accept(message.AppXML)),
		},
		"options": {
			get("/options", "11 6f7074696f6e73\n15 \n15 78\n60 05\n65000 \n",
				coap.Option(message.URIQuery, nil), coap.Option(message.URIQuery, []byte("x")),
				coap.Option(message.Size1, []byte{5}), coap.Option(65000, nil)),
		},
		"location-query": {
			done(message.POST, "/location-query", none, message.Created),
			refused(message.GET, "/location-query", none, message.MethodNotAllowed),
		},
		"counter": {
			get("/counter", "0"),
			{method: message.POST, path: "/counter", code: message.Changed, want: "1"},
			done(message.PUT, "/counter", coap.Text("-41"), message.Changed),
			{method: message.POST, path: "/counter", code: message.Changed, want: "-40"},
			refused(message.PUT, "/counter", coap.Text("4x"), message.BadRequest),
			refused(message.PUT, "/counter", none, message.BadRequest),
			refused(message.POST, "/counter", none, message.NotAcceptable, coap.Accept(message.AppJSON)),
			get("/counter", "-40"),
		},
		"echo": {
			{method: message.POST, path: "/echo", body: xml, code: message.Changed, format: 41, want: "<a/>"},
			{method: message.POST, path: "/echo", body: coap.Raw([]byte{1}), code: message.Changed, format: 42, want: "\x01"},
			{method: message.POST, path: "/echo", code: message.Changed, format: 42},
			{method: message.POST, path: "/echo?rlen=2", body: xml, code: message.Changed, format: 41, want: "<a"},
			{method: message.POST, path: "/echo?x=1&rlen=6", body: xml, code: message.Changed, format: 41, want: "<a/>**"},
			{method: message.POST, path: "/echo?rlen=0", body: xml, code: message.Changed, format: 41},
			{method: message.POST, path: "/echo", body: cbor, opts: []coap.RequestOption{coap.Accept(message.AppCBOR)},
				code: message.Changed, format: 60, want: "\xa0"},
			refused(message.POST, "/echo", cbor, message.NotAcceptable, coap.Accept(message.TextPlain)),
			refused(message.POST, "/echo?rlen=8193", none, message.BadRequest),
			refused(message.POST, "/echo?rlen=-1", none, message.BadRequest),
			refused(message.GET, "/echo", none, message.MethodNotAllowed),
		},
		"links": {
			get("/link1", anyPayload), get("/link2", anyPayload), get("/link3", anyPayload),
			get("/path", "</path/sub1>,</path/sub2>,</path/sub3>").as(message.AppLinkFormat),
			refused(message.GET, "/path", none, message.NotAcceptable, coap.Accept(message.TextPlain)),
			get("/path/sub1", "/path/sub1"), get("/path/sub2", "/path/sub2"), get("/path/sub3", "/path/sub3"),
		},
		"multi-format": {
			get("/multi-format", anyPayload),
			get("/multi-format", anyPayload, coap.Accept(message.TextPlain)),
			get("/multi-format", `<msg content="hello"/>`, coap.Accept(message.AppXML)).as(message.AppXML),
			get("/multi-format", `{"msg":"hello"}`, coap.Accept(message.AppJSON)).as(message.AppJSON),
			get("/multi-format", "\xa1cmsgehello", coap.Accept(message.AppCBOR)).as(message.AppCBOR),
			refused(message.GET, "/multi-format", none, message.NotAcceptable, coap.Accept(message.OctetStream)),
		},
		"order of checks": {
			refused(message.GET, "/test", none, message.BadOption, coap.Option(65001, nil), coap.Option(message.ProxyScheme, []byte("http"))),
			refused(message.GET, "/no", none, message.ProxyingNotSupported, coap.Option(message.ProxyURI, []byte("coap://x/"))),
			refused(message.GET, "/test", none, message.ProxyingNotSupported, coap.Option(message.ProxyScheme, []byte("http"))),
			refused(message.DELETE, "/seg1", none, message.MethodNotAllowed, coap.Accept(message.AppJSON), coap.IfNoneMatch),
			get("/test", anyPayload, coap.Option(message.URIHost, []byte("elsewhere.example")), coap.Option(message.URIPort, []byte{1})),
			get("/link1", "Link 1", coap.Option(message.URIQuery, []byte("unneeded"))),
		},
	}
	for name, steps := range tests {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			for _, st := range steps {
				st.run(t, s)
			}
		})
	}
}

// Diagnostic text names the message ID and token of the very message that asked.
func TestDiagnosticText(t *testing.T) {
	token := known(t, 0x0a, 0xff)
	tests := []struct {
		path string
		opts []coap.RequestOption
		want string // with the message ID as %d
	}{
		{"/test", []coap.RequestOption{token}, "Type: 0 (CON)\nCode: 1 (GET)\nMID: %d\nToken: 0aff"},
		{"/test", []coap.RequestOption{token, coap.NonConfirmable}, "Type: 1 (NON)\nCode: 1 (GET)\nMID: %d\nToken: 0aff"},
		{"/test", []coap.RequestOption{known(t)}, "Type: 0 (CON)\nCode: 1 (GET)\nMID: %d"},
		{"/seg1/seg2", []coap.RequestOption{token}, "Long path resource\nType: 0 (CON)\nCode: 1 (GET)\nMID: %d\nToken: 0aff"},
		{"/query?a=1&b%26=%20", []coap.RequestOption{token}, "Type: 0 (CON)\nCode: 1 (GET)\nMID: %d\n?a=1&b&= "},
		{"/query", []coap.RequestOption{token}, "Type: 0 (CON)\nCode: 1 (GET)\nMID: %d\n?"},
	}
	for _, tt := range tests {
		s := start(t)
		w := watch(s)
		resp := get(tt.path, anyPayload, tt.opts...).run(t, s)
		if want := fmt.Sprintf(tt.want, w.messages(t)[0].ID()); string(resp.Payload()) != want {
			t.Errorf("%s: %q, want %q", tt.path, resp.Payload(), want)
		}
	}
}

// The longest diagnostic text of /test is 64 characters at most.
func TestDiagnosticTextIsShort(t *testing.T) {
	token, err := message.MakeToken([]byte("12345678"))
	if err != nil {
		t.Fatal(err)
	}
	e := message.AppendHeader(nil, message.Confirmable, message.GET, 65535, token)
	b, err := e.Finish(nil)
	if err != nil {
		t.Fatal(err)
	}
	var v message.View
	if err := v.Parse(b); err != nil {
		t.Fatal(err)
	}
	if text := diagnostic(&v); len(text) > 64 || !strings.HasSuffix(text, "3132333435363738") {
		t.Errorf("%d characters: %q", len(text), text)
	}
}

func TestOptionsOfResponses(t *testing.T) {
	s := start(t)
	if age, ok := get("/test", anyPayload).run(t, s).Message().MaxAge(); !ok || age.Seconds() != 30 {
		t.Errorf("/test: Max-Age %v", age)
	}
	for path, want := range map[string]string{
		"/test":           "/location1/location2/location3",
		"/location-query": "?first=1&second=2",
	} {
		if got := done(message.POST, path, none, message.Created).run(t, s).Location(); got != want {
			t.Errorf("%s: Location %q, want %q", path, got, want)
		}
	}
}

func TestCreate(t *testing.T) {
	xml := coap.Bytes([]byte("<a/>"), message.AppXML)
	put := func(code message.Code, opts ...coap.RequestOption) step {
		return done(message.PUT, "/create1", xml, code, opts...)
	}
	s := start(t)
	for _, st := range []step{
		refused(message.GET, "/create1", none, message.NotFound),
		done(message.DELETE, "/create1", none, message.Deleted),
		refused(message.PUT, "/create1", xml, message.PreconditionFailed, coap.IfMatch(nil)),
		refused(message.PUT, "/create1", coap.Raw([]byte("x")), message.BadRequest),
		refused(message.GET, "/create1", none, message.NotFound),
		put(message.Created, coap.IfNoneMatch),
		put(message.Changed),
		put(message.Changed, coap.IfMatch(nil)),
		refused(message.PUT, "/create1", xml, message.PreconditionFailed, coap.IfMatch([]byte{1})),
		get("/create1", "<a/>").as(message.AppXML),
		refused(message.GET, "/create1", none, message.NotAcceptable, coap.Accept(message.TextPlain)),
		refused(message.PUT, "/create1", xml, message.PreconditionFailed, coap.IfNoneMatch),
		refused(message.GET, "/create1", none, message.NotFound),
		put(message.Created),
		done(message.DELETE, "/create1", none, message.Deleted),
		refused(message.GET, "/create1", none, message.NotFound),
		refused(message.POST, "/create1", none, message.MethodNotAllowed),
	} {
		st.run(t, s)
	}
}

func TestValidate(t *testing.T) {
	s := start(t)
	json := func(text string) coap.Body { return coap.Bytes([]byte(text), message.AppJSON) }
	first := etag(t, get("/validate", anyPayload).run(t, s))
	done(message.GET, "/validate", none, message.Valid, coap.ETag([]byte("other")), coap.ETag(first)).run(t, s)
	get("/validate", anyPayload, coap.ETag([]byte("other"))).run(t, s)

	second := etag(t, done(message.PUT, "/validate", json("1"), message.Changed, coap.IfMatch(first)).run(t, s))
	third := etag(t, done(message.PUT, "/validate", coap.Text("1"), message.Changed, coap.IfMatch(nil)).run(t, s))
	if slices.Equal(first, second) || slices.Equal(second, third) {
		t.Errorf("ETags %x, %x, %x: want a function of body and format", first, second, third)
	}
	for _, st := range []step{
		refused(message.PUT, "/validate", json("2"), message.PreconditionFailed, coap.IfMatch(second)),
		refused(message.PUT, "/validate", json("2"), message.PreconditionFailed, coap.IfNoneMatch),
		refused(message.PUT, "/validate", coap.Raw([]byte("2")), message.PreconditionFailed, coap.IfMatch(second)),
		refused(message.PUT, "/validate", coap.Raw([]byte("2")), message.BadRequest, coap.IfMatch(third)),
		refused(message.DELETE, "/validate", none, message.PreconditionFailed, coap.IfMatch(second)),
		refused(message.GET, "/validate", none, message.NotAcceptable, coap.Accept(message.AppJSON)),
		get("/validate", "1"),
		done(message.PUT, "/validate", json("2"), message.Changed, coap.IfMatch(second), coap.IfMatch(third)),
		get("/validate", "2").as(message.AppJSON),
		done(message.DELETE, "/validate", none, message.Deleted),
		done(message.GET, "/validate", none, message.Valid, coap.ETag(first)),
		refused(message.POST, "/validate", none, message.MethodNotAllowed),
		refused(message.PUT, "/validate", coap.Text(strings.Repeat("x", maxBody+1)), message.RequestEntityTooLarge),
		done(message.PUT, "/validate", coap.Text(strings.Repeat("x", maxBody)), message.Changed),
		get("/validate", strings.Repeat("x", maxBody)),
	} {
		st.run(t, s)
	}
}

// etag returns the ETag of a response, which must have one of 1 to 8 bytes.
func etag(t *testing.T, resp *coap.Response) []byte {
	t.Helper()
	tag, ok := resp.ETag()
	if !ok || tag.Len() < 1 || tag.Len() > 8 {
		t.Fatalf("ETag %v", tag)
	}
	return tag.Append(nil)
}

func TestDiscovery(t *testing.T) {
	s := start(t)
	core := "/.well-known/core"
	all := get(core, anyPayload).as(message.AppLinkFormat).run(t, s)
	links := parseLinks(t, all)
	attributes := map[string]map[string]string{
		"/test": {"ct": "0", "title": anyPayload}, "/query": {"ct": "0", "title": anyPayload},
		"/seg1": {"ct": "0", "title": anyPayload}, "/separate": {"ct": "0", "title": anyPayload},
		"/link1":        {"rt": "Type1 Type2", "if": "If1"},
		"/link2":        {"rt": "Type2 Type3", "if": "If2"},
		"/link3":        {"rt": "Type1 Type3", "if": "foo"},
		"/path":         {"ct": "40"},
		"/multi-format": {"ct": "0 41 50 60"},
		"/seg1/seg2":    nil, "/seg1/seg2/seg3": nil, "/empty": nil, "/options": nil, "/location-query": nil,
		"/counter": nil, "/echo": nil, "/path/sub1": nil, "/path/sub2": nil, "/path/sub3": nil,
		"/validate": nil, "/fetch": nil, "/obs-reset": nil,
		"/obs": {"rt": "observe"}, "/obs-non": {"rt": "observe"}, "/obs-large": {"rt": "observe"},
		"/large":          {"rt": "block", "sz": "1280", "ct": "0"},
		"/large-separate": {"rt": "block", "sz": "1280", "ct": "0"},
		"/large-update":   {"rt": "block", "sz": "1280"},
		"/large-create":   {"rt": "block", "ct": "40"},
		"/large-post":     {"rt": "block"},
		core:              {"ct": "40"},
	}
	for path, want := range attributes {
		l, ok := links[path]
		if !ok {
			t.Errorf("%s is missing", path)
		}
		for name, value := range want {
			if a, _ := l.Attribute(name); a.Value != value && (value != anyPayload || a.Value == "") {
				t.Errorf("%s: %s=%q, want %q", path, name, a.Value, value)
			}
		}
		if _, obs := l.Attribute("obs"); obs != (want["rt"] == "observe") {
			t.Errorf("%s: obs %v", path, obs)
		}
		if a, _ := l.Attribute("ct"); a.Value == "40" && path != "/path" && path != "/large-create" && path != core {
			t.Errorf("%s: ct=40", path)
		}
		if _, sized := l.Attribute("sz"); sized && strings.HasPrefix(path, "/link") {
			t.Errorf("%s: sz", path)
		}
	}
	if len(links) != len(attributes) {
		t.Errorf("%d links, want %d: %v", len(links), len(attributes), links)
	}
	for query, want := range map[string]string{
		"rt=Type1": "/link1 /link3", "rt=Type2": "/link1 /link2", "if=If*": "/link1 /link2",
		"href=/path/*": "/path/sub1 /path/sub2 /path/sub3", "ct=40": "/.well-known/core /large-create /path", "rt=Type": "",
		"rt=observe":    "/obs /obs-large /obs-non",
		"rt=block":      "/large /large-create /large-post /large-separate /large-update",
		"sz=1280":       "/large /large-separate /large-update",
		"href=/create1": "",
	} {
		payload := anyPayload
		if want == "" {
			payload = ""
		}
		found := parseLinks(t, get(core+"?"+query, payload).as(message.AppLinkFormat).run(t, s))
		var paths []string
		for path := range found {
			paths = append(paths, path)
		}
		slices.Sort(paths)
		if got := strings.Join(paths, " "); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	refused(message.POST, core, none, message.MethodNotAllowed).run(t, s)
}

func TestCreatedIsDiscoveredWhileItExists(t *testing.T) {
	s := start(t)
	listed := func() bool {
		links := parseLinks(t, get("/.well-known/core", anyPayload).as(message.AppLinkFormat).run(t, s))
		_, ok := links["/create1"]
		return ok
	}
	before := listed()
	done(message.PUT, "/create1", coap.Text("x"), message.Created).run(t, s)
	during := listed()
	done(message.DELETE, "/create1", none, message.Deleted).run(t, s)
	if before || !during || listed() {
		t.Errorf("listed before: %v, during: %v, after: %v", before, during, listed())
	}
}

func parseLinks(t *testing.T, resp *coap.Response) map[string]linkformat.Link {
	t.Helper()
	body, err := resp.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	links, err := linkformat.Parse(body)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]linkformat.Link{}
	for _, l := range links {
		found[l.Target] = l
	}
	return found
}
