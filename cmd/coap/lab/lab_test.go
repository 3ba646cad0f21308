package lab

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/coaptest"
	"github.com/motewire/coap/linkformat"
	"github.com/motewire/coap/message"
	"github.com/motewire/coap/transport/simnet"
)

func TestMain(m *testing.M) { coaptest.Main(m) }

// start serves a new node in memory until the test ends.
func start(t *testing.T) *coaptest.Server {
	t.Helper()
	s := coaptest.NewServer(New().Mux())
	t.Cleanup(s.Close)
	return s
}

// A step is one request and what comes back.
type step struct {
	method message.Code
	path   string
	body   coap.Body
	opts   []coap.RequestOption
	code   message.Code
	want   string // the payload; with a trailing … its start
}

func (st step) run(t *testing.T, s *coaptest.Server) *coap.Response {
	t.Helper()
	resp, err := s.Client().Do(t.Context(), coap.NewRequest(st.method, s.URL+st.path, st.body, st.opts...))
	if err != nil {
		t.Fatal(err)
	}
	prefix, open := strings.CutSuffix(st.want, "…")
	got := string(resp.Payload())
	if resp.Code != st.code || got != st.want && !(open && strings.HasPrefix(got, prefix)) {
		t.Errorf("%v %s: %v %q, want %v %q", st.method, st.path, resp.Code, got, st.code, st.want)
	}
	return resp
}

func TestResources(t *testing.T) {
	json := func(s string) coap.Body { return coap.Bytes([]byte(s), message.AppJSON) }
	longName := strings.Repeat("n", maxName+1)
	tests := map[string][]step{
		"temperature": {
			{method: message.GET, path: "/temperature", code: message.Content, want: "21.5"},
			{method: message.PUT, path: "/temperature", body: coap.Text("-3.25"), code: message.Changed},
			{method: message.GET, path: "/temperature", code: message.Content, want: "-3.25"},
			{method: message.PUT, path: "/temperature", body: coap.Raw([]byte("22\n")), code: message.Changed},
			{method: message.PUT, path: "/temperature", body: coap.Text("warm"), code: message.BadRequest, want: `temperature: "warm" is not a number`},
			{method: message.PUT, path: "/temperature", code: message.BadRequest, want: `temperature: "" is not a number`},
			{method: message.PUT, path: "/temperature", body: coap.Text("NaN"), code: message.BadRequest, want: "temperature: NaN is not between -40 and 125"},
			{method: message.PUT, path: "/temperature", body: coap.Text("126"), code: message.BadRequest, want: "temperature: 126 is not between -40 and 125"},
			{method: message.PUT, path: "/temperature", body: json("22"), code: message.UnsupportedContentFormat},
			{method: message.PUT, path: "/temperature", body: coap.Text(strings.Repeat("1", maxText+1)), code: message.RequestEntityTooLarge},
			{method: message.GET, path: "/temperature", code: message.Content, want: "22"},
			{method: message.GET, path: "/temperature", opts: []coap.RequestOption{coap.Accept(message.AppJSON)}, code: message.NotAcceptable},
			{method: message.DELETE, path: "/temperature", code: message.MethodNotAllowed},
		},
		"humidity": {
			{method: message.GET, path: "/humidity", code: message.Content, want: "47"},
			{method: message.PUT, path: "/humidity", body: coap.Text("50"), code: message.MethodNotAllowed},
		},
		"led": {
			{method: message.GET, path: "/led", code: message.Content, want: "off"},
			{method: message.PUT, path: "/led", body: coap.Text("on"), code: message.Changed},
			{method: message.GET, path: "/led", code: message.Content, want: "on"},
			{method: message.PUT, path: "/led", body: coap.Text("0"), code: message.Changed},
			{method: message.PUT, path: "/led", body: coap.Text("blue"), code: message.BadRequest, want: `led: "blue" is neither on nor off`},
			{method: message.GET, path: "/led", code: message.Content, want: "off"},
		},
		"config and interval agree": {
			{method: message.GET, path: "/config", code: message.Content, want: `{"name":"lab","interval":2}`},
			{method: message.PUT, path: "/config/interval", body: coap.Text("30"), code: message.Changed},
			{method: message.GET, path: "/config", code: message.Content, want: `{"name":"lab","interval":30}`},
			{method: message.PUT, path: "/config", body: json(`{"interval": 5, "name": "attic"}`), code: message.Changed},
			{method: message.GET, path: "/config/interval", code: message.Content, want: "5"},
		},
		"bad configurations change nothing": {
			{method: message.PUT, path: "/config/interval", body: coap.Text("often"), code: message.BadRequest, want: `interval: "often" is not a whole number`},
			{method: message.PUT, path: "/config/interval", body: coap.Text("0"), code: message.BadRequest, want: "interval: 0 is not between 1 and 3600"},
			{method: message.PUT, path: "/config", body: json(`{"interval":5`), code: message.BadRequest, want: "config: unexpected EOF"},
			{method: message.PUT, path: "/config", body: json(`{"interval":"5"}`), code: message.BadRequest, want: "config: json: …"},
			{method: message.PUT, path: "/config", body: json(`{"interval":5}`), code: message.BadRequest, want: "config: name is missing"},
			{method: message.PUT, path: "/config", body: json(`{"name":"x"}`), code: message.BadRequest, want: "config: interval is missing"},
			{method: message.PUT, path: "/config", body: json(`{"name":"x","interval":5,"x":1}`), code: message.BadRequest, want: `config: json: unknown field "x"`},
			{method: message.PUT, path: "/config", body: json(`{"name":"x","interval":5}{}`), code: message.BadRequest, want: "config: more than one JSON value"},
			{method: message.PUT, path: "/config", body: json(`{"name":"x","interval":3601}`), code: message.BadRequest, want: "config: interval: 3601 is not between 1 and 3600"},
			{method: message.PUT, path: "/config", body: json(`{"name":"` + longName + `","interval":1}`), code: message.BadRequest, want: "config: name has 33 bytes, not 1 to 32"},
			{method: message.PUT, path: "/config", body: coap.Text("{}"), code: message.UnsupportedContentFormat},
			{method: message.GET, path: "/config", code: message.Content, want: `{"name":"lab","interval":2}`},
		},
		"readings": {
			{method: message.GET, path: "/readings", code: message.Content, want: "[]"},
			{method: message.POST, path: "/readings", body: json(`{"t": 21.5}`), code: message.Created},
			{method: message.POST, path: "/readings", body: coap.Raw([]byte("7")), code: message.Created},
			{method: message.GET, path: "/readings", code: message.Content, want: `[{"id":1,"reading":{"t":21.5}},{"id":2,"reading":7}]`},
			{method: message.GET, path: "/readings/1", code: message.Content, want: `{"t":21.5}`},
			{method: message.GET, path: "/readings/3", code: message.NotFound, want: "no such reading, or it is too old"},
			{method: message.GET, path: "/readings/01", code: message.NotFound, want: "no such…"},
			{method: message.POST, path: "/readings", body: json(`{"t":`), code: message.BadRequest, want: "reading: unexpected end of JSON input"},
			{method: message.POST, path: "/readings", code: message.BadRequest, want: "reading: unexpected end of JSON input"},
			{method: message.POST, path: "/readings", body: json("\"\xff\""), code: message.BadRequest, want: "reading: not UTF-8"},
			{method: message.POST, path: "/readings", body: coap.Text("1"), code: message.UnsupportedContentFormat},
			{method: message.POST, path: "/readings", body: json(strings.Repeat("1", maxReading+1)), code: message.RequestEntityTooLarge},
			{method: message.PUT, path: "/readings", body: json("1"), code: message.MethodNotAllowed},
		},
		"others": {
			{method: message.GET, path: "/hello", code: message.Content, want: "Hello from the lab"},
			{method: message.GET, path: "/nothing", code: message.NotFound},
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

func TestPostNamesTheReading(t *testing.T) {
	s := start(t)
	for _, want := range []string{"/readings/1", "/readings/2"} {
		st := step{method: message.POST, path: "/readings", body: coap.JSON(1.5), code: message.Created}
		if got := st.run(t, s).Location(); got != want {
			t.Errorf("Location %q, want %q", got, want)
		}
	}
}

// The list of readings fits into one message, whatever is posted, and drops no reading
// before it has to.
func TestReadingsAreBounded(t *testing.T) {
	s := start(t)
	for i := range 200 {
		body := coap.JSON(strings.Repeat("x", i))
		step{method: message.POST, path: "/readings", body: body, code: message.Created}.run(t, s)
		resp := step{method: message.GET, path: "/readings", code: message.Content, want: "[…"}.run(t, s)
		if len(resp.Payload()) > maxList {
			t.Fatalf("list of %d bytes", len(resp.Payload()))
		}
		var list []struct {
			ID      int
			Reading string
		}
		if err := json.Unmarshal(resp.Payload(), &list); err != nil {
			t.Fatal(err)
		}
		newest := list[len(list)-1]
		if newest.ID != i+1 || len(newest.Reading) != i {
			t.Fatalf("newest reading is %+v", newest)
		}
		oldest := list[0]
		dropped := reading{fmt.Sprint(oldest.ID - 1), []byte(`"` + strings.Repeat("x", max(0, oldest.ID-2)) + `"`)}
		if oldest.ID > 1 && len(resp.Payload())+dropped.size() <= maxList {
			t.Fatalf("reading %s was dropped from a list of %d bytes", dropped.id, len(resp.Payload()))
		}
	}
}

func TestDiscovery(t *testing.T) {
	s := start(t)
	resp := step{method: message.GET, path: "/.well-known/core", code: message.Content, want: "<…"}.run(t, s)
	links, err := linkformat.Parse(resp.Payload())
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]linkformat.Link{}
	for _, l := range links {
		got[l.Target] = l
	}
	formats := map[string]string{
		"/temperature": "0", "/humidity": "0", "/config": "50", "/config/interval": "0",
		"/led": "0", "/hello": "0", "/slow": "0", "/readings": "50",
	}
	for path, ct := range formats {
		for _, name := range []string{"rt", "if", "ct"} {
			a, ok := got[path].Attribute(name)
			if !ok || a.Value == "" || name == "ct" && a.Value != ct {
				t.Errorf("%s: %s=%q", path, name, a.Value)
			}
		}
	}
	if len(got) != len(formats)+1 {
		t.Errorf("%d links: %s", len(got), resp.Payload())
	}
}

// RFC 7252 §5.2.2: a request whose answer takes time is acknowledged by an Empty message,
// and the response is sent in a separate message exchange.
func TestSlowIsSeparate(t *testing.T) {
	coaptest.Run(t, func(t *testing.T) {
		s := coaptest.NewServer(New().Mux())
		defer s.Close()
		var mu sync.Mutex
		var got []string
		s.Network.Tap(func(r simnet.Record) {
			var v message.View
			if err := v.Parse(r.Data); err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			got = append(got, fmt.Sprint(v.Type(), " ", v.Code()))
		})
		begin := time.Now()
		step{method: message.GET, path: "/slow", code: message.Content, want: "Good things take a second"}.run(t, s)
		if d := time.Since(begin); d != slowDelay {
			t.Errorf("after %v", d)
		}
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		if want := "CON 0.01, ACK 0.00, CON 2.05, ACK 0.00"; strings.Join(got, ", ") != want {
			t.Errorf("%s, want %s", strings.Join(got, ", "), want)
		}
	})
}
