package script

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/coaptest"
	"github.com/motewire/coap/message"
)

func TestMain(m *testing.M) { coaptest.Main(m) }

// simulate serves a script in virtual time and memory.
func simulate(t *testing.T, script string, f func(t *testing.T, s *coaptest.Server)) {
	t.Helper()
	parsed, err := Parse("testdata/script.json", []byte(script))
	if err != nil {
		t.Fatal(err)
	}
	coaptest.Run(t, func(t *testing.T) {
		node := New(parsed)
		s := coaptest.NewUnstartedServer(node.Mux())
		s.Config.NotifyInterval = -1
		s.Start()
		defer s.Close()
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { node.Run(ctx) })
		defer running.Wait()
		defer stop()
		f(t, s)
	})
}

// one is a script of one resource.
func one(fields string) string { return `{"resources":[{"path":"/x",` + fields + `}]}` }

func get(t *testing.T, s *coaptest.Server, path string) *coap.Response {
	t.Helper()
	resp, err := s.Client().Get(t.Context(), s.URL+path)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// observed returns the first states of /x, with the seconds since the first one.
func observed(t *testing.T, s *coaptest.Server, count int) (states []string, at []float64, kinds []message.Type) {
	began := time.Now()
	for resp, err := range s.Client().Observe(t.Context(), s.URL+"/x") {
		if err != nil {
			t.Fatal(err)
		}
		states = append(states, string(resp.Payload()))
		at = append(at, time.Since(began).Round(time.Millisecond).Seconds())
		kinds = append(kinds, resp.Message().Type())
		if len(states) == count {
			break
		}
	}
	return states, at, kinds
}

func TestSignalsAreObserved(t *testing.T) {
	for _, tt := range []struct{ name, fields, want string }{
		{"ramp", `"every":"1s","value":{"kind":"ramp","from":10,"to":0,"over":"4s"}`, "10 7.5 5 2.5 10 7.5"},
		{"ramp that stays", `"every":"1s","value":{"kind":"ramp","from":0,"to":8,"over":"4s","then":"stay"}`, "0 2 4 6 8 8"},
		{"ramp that returns", `"every":"2s","value":{"kind":"ramp","from":0,"to":8,"over":"4s","then":"return"}`, "0 4 8 4 0 4"},
		{"sine", `"every":"15m","decimals":1,"value":{"kind":"sine","mean":20,"amplitude":5,"period":"1h"}`, "20.0 25.0 20.0 15.0 20.0 25.0"},
		{"sine with phase", `"every":"15m","decimals":0,"value":{"kind":"sine","amplitude":5,"period":"1h","phase":"15m"}`, "5 0 -5 0 5 0"},
		{"constant", `"every":"1m","value":{"kind":"constant","value":"on"}`, "on on on"},
		{"csv", `"every":"1s","value":{"kind":"csv","file":"day.csv","column":"temperature"}`, "20.5 21 22.25 20.5 21 22.25"},
		{"csv by time", `"every":"5s","value":{"kind":"csv","file":"day.csv","column":"temperature","time":"seconds","repeat":false}`, "20.5 20.5 21 21 21 21 22.25"},
		{"csv by time again", `"every":"30s","value":{"kind":"csv","file":"day.csv","time":"seconds"}`, "low low high low"}, // again 15 s behind the last row,
	} {
		simulate(t, one(tt.fields), func(t *testing.T, s *coaptest.Server) {
			want := strings.Fields(tt.want)
			states, at, _ := observed(t, s, len(want))
			if !slices.Equal(states, want) {
				t.Errorf("%s: %q, want %q", tt.name, states, want)
			}
			if step := at[1]; at[2] != 2*step || at[0] != 0 {
				t.Errorf("%s: at %v", tt.name, at)
			}
		})
	}
}

// A series without repetition ends with its last value, and tells no more.
func TestSeriesEnds(t *testing.T) {
	simulate(t, one(`"every":"1s","value":{"kind":"csv","file":"day.csv","column":"temperature","repeat":false}`), func(t *testing.T, s *coaptest.Server) {
		time.Sleep(time.Hour)
		if got := string(get(t, s, "/x").Payload()); got != "22.25" {
			t.Errorf("%q", got)
		}
	})
}

func TestWalkKeepsItsBounds(t *testing.T) {
	w := &walk{value: 5, step: 2, least: 4, most: 6}
	rng := rand.New(rand.NewPCG(1, 1))
	first, _ := w.next(0, rng)
	if first != 5.0 {
		t.Errorf("starts at %v", first)
	}
	before, moved := 5.0, 0
	for range 10_000 {
		v, _ := w.next(0, rng)
		value := v.(float64)
		if value < 4 || value > 6 || math.Abs(value-before) > 2 {
			t.Fatalf("%v behind %v", value, before)
		}
		if value != before {
			moved++
		}
		before = value
	}
	if moved < 9000 {
		t.Errorf("moved %d times", moved)
	}
}

// Equal seeds make equal walks, others do not.
func TestSeed(t *testing.T) {
	run := func(seed string) (states []string) {
		simulate(t, `{"seed":`+seed+`,"resources":[{"path":"/x","every":"1s","value":{"kind":"walk","start":1,"step":1}}]}`, func(t *testing.T, s *coaptest.Server) {
			states, _, _ = observed(t, s, 10)
		})
		return states
	}
	first := run("7")
	if !slices.Equal(first, run("7")) || slices.Equal(first, run("8")) {
		t.Errorf("%v", first)
	}
}

func TestRepresentations(t *testing.T) {
	for fields, want := range map[string]string{
		`"value":{"kind":"constant","value":21.25},"decimals":1`:                                                           "21.2",
		`"value":{"kind":"constant","value":21.25},"format":"json","body":"{\"v\":{value}}"`:                               `{"v":21.25}`,
		`"value":{"kind":"constant","value":1},"format":"senml-json","body":"[{\"n\":\"t\",\"v\":{value},\"s\":{value}}]"`: `[{"n":"t","v":1,"s":1}]`,
		`"value":{"kind":"constant","value":1.5},"format":"cbor"`:                                                          "\xfb\x3f\xf8\x00\x00\x00\x00\x00\x00",
		`"value":{"kind":"constant","value":"on"},"format":60`:                                                             "\x62on",
	} {
		simulate(t, one(fields), func(t *testing.T, s *coaptest.Server) {
			resp := get(t, s, "/x")
			if got := string(resp.Payload()); got != want || resp.MaxAge() != message.DefaultMaxAge {
				t.Errorf("%s: %q, want %q, Max-Age %v", fields, got, want, resp.MaxAge())
			}
		})
	}
}

func TestDelay(t *testing.T) {
	simulate(t, one(`"value":{"kind":"constant","value":1},"delay":"5s"`), func(t *testing.T, s *coaptest.Server) {
		began := time.Now()
		resp := get(t, s, "/x")
		if d := time.Since(began); d != 5*time.Second || resp.Message().Type() != message.Confirmable {
			t.Errorf("%v after %v", resp.Message(), d)
		}
	})
	simulate(t, one(`"value":{"kind":"constant","value":1},"delay":{"least":"1s","most":"3s"}`), func(t *testing.T, s *coaptest.Server) {
		var all []time.Duration
		for range 20 {
			began := time.Now()
			get(t, s, "/x")
			all = append(all, time.Since(began))
		}
		if least, most := slices.Min(all), slices.Max(all); least < time.Second || most > 3*time.Second || most-least < time.Second {
			t.Errorf("%v", all)
		}
	})
}

// Errors strike their share of requests, and no observer unless the script says so.
func TestErrors(t *testing.T) {
	const failing = `"every":"1s","value":{"kind":"constant","value":1},"errors":[{"code":"5.03","rate":0.2,"max_age":"10s"},{"code":"4.04","rate":0.1}]`
	simulate(t, one(failing), func(t *testing.T, s *coaptest.Server) {
		counts := map[message.Code]int{}
		for range 1000 {
			resp := get(t, s, "/x")
			counts[resp.Code]++
			if resp.Code == message.ServiceUnavailable && resp.MaxAge() != 10*time.Second {
				t.Fatalf("Max-Age %v", resp.MaxAge())
			}
		}
		if n := counts[message.ServiceUnavailable]; n < 160 || n > 240 {
			t.Errorf("5.03: %d of 1000", n)
		}
		if n := counts[message.NotFound]; n < 70 || n > 130 {
			t.Errorf("4.04: %d of 1000", n)
		}
		if states, _, _ := observed(t, s, 100); len(states) != 100 {
			t.Errorf("%d states", len(states))
		}
	})
	simulate(t, one(`"every":"1s","value":{"kind":"constant","value":1},"errors":[{"rate":0.1,"observers":true}]`), func(t *testing.T, s *coaptest.Server) {
		for resp, err := range s.Client().Observe(t.Context(), s.URL+"/x") {
			if err != nil {
				if resp == nil || resp.Code != message.ServiceUnavailable {
					t.Errorf("%v, %v", resp, err)
				}
				return
			}
		}
	})
}

func TestNotificationTypes(t *testing.T) {
	for notify, want := range map[string]message.Type{
		`"con"`: message.Confirmable, `"non"`: message.NonConfirmable,
	} {
		simulate(t, one(`"every":"1s","value":{"kind":"constant","value":1},"notify":{"type":`+notify+`}`), func(t *testing.T, s *coaptest.Server) {
			_, _, kinds := observed(t, s, 8)
			for _, kind := range kinds[1:] {
				if kind != want {
					t.Errorf("%s: %v", notify, kinds)
				}
			}
		})
	}
	simulate(t, one(`"every":"1s","value":{"kind":"constant","value":1},"notify":{"confirmable":2}`), func(t *testing.T, s *coaptest.Server) {
		_, _, kinds := observed(t, s, 9)
		con := 0
		for _, kind := range kinds[1:] {
			if kind == message.Confirmable {
				con++
			}
		}
		if con != 4 {
			t.Errorf("%v", kinds)
		}
	})
}

func TestWritable(t *testing.T) {
	simulate(t, one(`"every":"10s","decimals":1,"value":{"kind":"ramp","from":0,"to":10,"over":"100s"},"writable":true`), func(t *testing.T, s *coaptest.Server) {
		if resp, err := s.Client().Put(t.Context(), s.URL+"/x", coap.Text("77")); err != nil || resp.Code != message.Changed {
			t.Fatal(resp, err)
		}
		if got := string(get(t, s, "/x").Payload()); got != "77.0" {
			t.Errorf("%q", got)
		}
		time.Sleep(11 * time.Second)
		if got := string(get(t, s, "/x").Payload()); got != "1.0" {
			t.Errorf("%q after the next measurement", got)
		}
	})
	simulate(t, one(`"value":{"kind":"constant","value":1}`), func(t *testing.T, s *coaptest.Server) {
		if resp, err := s.Client().Put(t.Context(), s.URL+"/x", coap.Text("7")); err != nil || resp.Code != message.MethodNotAllowed {
			t.Errorf("%v, %v", resp, err)
		}
	})
}

func TestDiscovery(t *testing.T) {
	const script = `{"resources":[
		{"path":"/a/b","type":"temperature-c","interface":"core.s","title":"Room","every":"1s","format":"json","body":"{value}","value":{"kind":"walk","start":1,"step":1}},
		{"path":"/c","value":{"kind":"constant","value":1}}]}`
	simulate(t, script, func(t *testing.T, s *coaptest.Server) {
		got := string(get(t, s, "/.well-known/core").Payload())
		for _, want := range []string{`</a/b>`, `rt="temperature-c"`, `if="core.s"`, `title="Room"`, "obs", "ct=50", "</c>"} {
			if !strings.Contains(got, want) {
				t.Errorf("no %s in %s", want, got)
			}
		}
	})
}

// Every error names the field and its line.
func TestErrorsOfScripts(t *testing.T) {
	const ok = `"value":{"kind":"constant","value":1}`
	for _, tt := range []struct{ script, want string }{
		{``, `script.json:1: the script ends in the middle of a value`},
		{"{\n\"resources\": [}", `script.json:2: invalid character '}'`},
		{`[]`, `script.json:1: is an array, not an object`},
		{`{}`, `script.json:1: resources is missing: a list of them`},
		{`{"resources":[]}`, `resources: has to be a list of at least one resource`},
		{`{"resources":[1]}`, `resources[0]: is a number, not an object`},
		{"{\n\"resources\":[{}]}", `script.json:2: resources[0]: path is missing: such as "/temperature"`},
		{`{"resources":[{"path":"x",` + ok + `}]}`, `resources[0].path: "x": say a path`},
		{`{"resources":[{"path":"/{x}",` + ok + `}]}`, `resources[0].path: "/{x}": say a path`},
		{`{"resources":[{"path":"/x",` + ok + "},\n{\"path\":\"/x\"," + ok + `}]}`, `script.json:2: resources[1].path: "/x" is there twice`},
		{`{"resources":[{"path":"/x","path":"/y",` + ok + `}]}`, `resources[0].path: is there twice`},
		{`{"resources":[{"path":"/x",` + ok + `}]} {}`, `something stands behind the end`},
		{`{"seed":-1,"resources":[{"path":"/x",` + ok + `}]}`, `seed: -1 is not between 0 and`},
		{one(`"every":"1s"`), `resources[0]: value is missing: such as {"kind": "constant", "value": 1}`},
		{one(ok + ",\n\"evry\":\"1s\""), `script.json:2: resources[0].evry: no such field here; there are path, type`},
		{one(`"value":{"kind":"sinus"}`), `resources[0].value.kind: "sinus": say constant, ramp, sine, walk, csv`},
		{one(`"value":{}`), `resources[0].value: "": say constant`},
		{one(`"value":{"kind":"constant"}`), `resources[0].value: value is missing`},
		{one(`"value":{"kind":"constant","value":null}`), `resources[0].value.value: is null, not a number or a text`},
		{one("\"value\":{\"kind\":\"sine\",\n\"amplitude\":1,\n\"period\":\"2 parsecs\"},\"every\":\"1s\""), `script.json:3: resources[0].value.period: "2 parsecs": say a time in quotes`},
		{one(`"every":"1s","value":{"kind":"sine","amplitude":1}`), `resources[0].value: period is missing: how long a swing takes`},
		{one(`"every":"1s","value":{"kind":"sine","amplitude":"big","period":"1s"}`), `value.amplitude: is a string, not a number`},
		{one(`"every":"1s","value":{"kind":"ramp","from":0,"to":1,"over":"0s"}`), `value.over: has to be above 0`},
		{one(`"every":"1s","value":{"kind":"ramp","from":0,"over":"1s"}`), `value: to is missing`},
		{one(`"every":"1s","value":{"kind":"walk","start":1,"step":1,"least":2}`), `value.least: 2 is not between`},
		{one(`"value":{"kind":"walk","start":1,"step":1}`), `resources[0]: every is missing: how often`},
		{one(`"every":5,` + ok), `resources[0].every: 5: say a time in quotes`},
		{one(`"every":"-1s",` + ok), `resources[0].every: "-1s" is before now`},
		{one(`"format":"papyrus",` + ok), `resources[0].format: "papyrus" is no Content-Format`},
		{one(`"body":"x",` + ok), `resources[0].body: has no {value} in it`},
		{one(`"decimals":13,` + ok), `resources[0].decimals: 13 is not between 0 and 12`},
		{one(`"delay":{"least":"2s","most":"1s"},` + ok), `resources[0].delay: most is less than least`},
		{one(`"errors":{"rate":1},` + ok), `resources[0].errors: is an object, not a list`},
		{one(`"errors":[{"code":"2.05"}],` + ok), `resources[0].errors[0].code: "2.05" is no 4.xx or 5.xx`},
		{one(`"errors":[{"rate":0.7},{"rate":0.6}],` + ok), `resources[0].errors: the rates add up to 1.3`},
		{one(`"errors":[{"rate":2}],` + ok), `resources[0].errors[0].rate: 2 is not between 0 and 1`},
		{one(`"notify":{"type":"con"},` + ok), `resources[0].notify: nobody is notified`},
		{one(`"every":"1s","notify":{"type":"con","confirmable":3},` + ok), `resources[0].notify.confirmable: goes with type auto alone`},
		{one(`"writable":"yes",` + ok), `resources[0].writable: is a string, not true or false`},
		{one(`"every":"1s","value":{"kind":"csv"}`), `resources[0].value: file is missing`},
		{one(`"every":"1s","value":{"kind":"csv","file":"none.csv"}`), `resources[0].value.file: open testdata/none.csv`},
		{one(`"every":"1s","value":{"kind":"csv","file":"day.csv","column":"salt"}`), `value.column: there is no column "salt"; there are seconds, temperature, tide`},
		{one(`"every":"1s","value":{"kind":"csv","file":"day.csv","time":"tide"}`), `value.time: testdata/day.csv, row 2: "low" is no number of seconds`},
		{one(`"every":"1s","value":{"kind":"csv","file":"backwards.csv","time":"s"}`), `row 3: 1 s is not behind the time of the row before`},
		{one(`"every":"1s","value":{"kind":"csv","file":"head.csv"}`), `needs a line that names the columns`},
		{one(`"x":` + strings.Repeat("[", 20) + strings.Repeat("]", 20)), `nested too deep`},
	} {
		_, err := Parse("testdata/script.json", []byte(tt.script))
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s\n%v, want %s", tt.script, err, tt.want)
		}
	}
}

// Whatever the script, it is refused or makes a node that answers.
func FuzzParse(f *testing.F) {
	f.Add(one(`"every":"1s","value":{"kind":"sine","amplitude":1,"period":"1s"}`))
	f.Add(one(`"every":"1s","delay":{"most":"1s"},"errors":[{"rate":0.5}],"value":{"kind":"walk","start":1,"step":1}`))
	f.Add(one(`"value":{"kind":"constant","value":"x"},"format":60,"title":"\u0000","type":"a b","interface":"c"`))
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Parse("testdata/script.json", []byte(text))
		if err != nil {
			return
		}
		n := New(s)
		n.Mux()
		for _, r := range n.resources {
			r.payload(r.value)
		}
	})
}
