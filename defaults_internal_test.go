package coap

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/motewire/coap/reliability"
	"github.com/motewire/coap/transport"
)

// A row of docs/limits.md: `Struct.Field` | unit | default | reason.
var defaultRow = regexp.MustCompile("(?m)^\\| `(\\w+)\\.(\\w+)` \\| ([^|]*)\\| ([^|]+) \\| ([^|]*)\\|$")

// docs/limits.md has every field of the configuration, with the default that the code has.
func TestDefaults(t *testing.T) {
	page, err := os.ReadFile("docs/limits.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{}
	for _, m := range defaultRow.FindAllStringSubmatch(string(page), -1) {
		field := m[1] + "." + m[2]
		if _, twice := rows[field]; twice {
			t.Errorf("%s is there twice", field)
		}
		rows[field] = m[4]
	}
	want := defaults(t)
	for field, text := range want {
		if got, ok := rows[field]; !ok {
			t.Errorf("%s is missing: its default is %s", field, text)
		} else if got != text {
			t.Errorf("%s: the page says %q, the code %q", field, got, text)
		}
	}
	for field := range rows {
		if _, ok := want[field]; !ok {
			t.Errorf("there is no %s", field)
		}
	}
}

// What no field sets is as docs/limits.md says, too.
func TestFixedValues(t *testing.T) {
	page, err := os.ReadFile("docs/limits.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "### Fixed")
	n, err := newCore(Params{}, Limits{}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	ep, err := n.endpoint(1)
	if err != nil {
		t.Fatal(err)
	}
	for what, value := range map[string]string{
		"a block that timed out is sent anew, as another message": fmt.Sprintf("%d times", maxResends),
		"a handler that keeps the reader is left to itself":       fmt.Sprintf("after 1 to 2 ms, at most %d ms", (watchInterval+watchLongest)/time.Millisecond),
		"narrow paths that are known":                             fmt.Sprintf("%d, for %d minutes", maxPaths, pathLifetime/time.Minute),
		"peers with message IDs in use, of each socket":           thousands(int(resolvedIn(ep, "MaxPeers"))),
	} {
		if !strings.Contains(table, "| "+what+" | "+value+" |") {
			t.Errorf("%s: the code says %s", what, value)
		}
	}
}

// defaults returns the default of every exported field as the page has it.
func defaults(t *testing.T) map[string]string {
	t.Helper()
	values := effective(t)
	texts := map[string]string{}
	for _, s := range []any{Limits{}, Params{}, &Server{}, &Client{}, NotifyPolicy{}, RateLimit{}, Rate{}, transport.Config{}} {
		typ := reflect.Indirect(reflect.ValueOf(s)).Type()
		name := typ.Name()
		if name == "Policy" {
			name = "NotifyPolicy"
		}
		for _, f := range reflect.VisibleFields(typ) {
			if !f.IsExported() {
				continue
			}
			field := name + "." + f.Name
			v, ok := values[field]
			if !ok {
				t.Errorf("%s: the test does not know its default", field)
			}
			texts[field] = inWords(field, v)
		}
	}
	for _, d := range []string{"MaxTransmitSpan", "MaxTransmitWait", "MaxRTT", "ExchangeLifetime", "NonLifetime"} {
		at := reflect.ValueOf(Params{}).MethodByName(d).Call(nil)[0].Interface()
		texts["Params."+d] = inWords("", at)
	}
	return texts
}

// effective returns what an endpoint with a configuration of zeros works with. What is no
// number is given as text.
func effective(t *testing.T) map[string]any {
	t.Helper()
	n, err := newCore(Params{}, Limits{}, NewMux(), nil)
	if err != nil {
		t.Fatal(err)
	}
	ep, err1 := n.endpoint(1)
	observation, err2 := n.newObservation(1)
	transfers, err3 := n.newTransfers(1)
	if err1 != nil || err2 != nil || err3 != nil {
		t.Fatal(err1, err2, err3)
	}
	if err := observation.observers.SetPolicy(0, NotifyPolicy{}); err != nil {
		t.Fatal(err)
	}
	policy := reflect.ValueOf(observation.observers).Elem().FieldByName("resources").Index(0)
	values := map[string]any{
		"Limits.BodyBytes":            fmt.Sprintf("%s; %s", bytesInWords(n.limits.BodyBytes), bytesInWords(n.responses)),
		"Limits.TransfersPerPeer":     resolvedIn(transfers.assembler, "MaxTransfersPerPeer"),
		"Limits.Exchanges":            resolvedIn(ep, "MaxOutbound"),
		"Limits.Queued":               resolvedIn(ep, "MaxQueued"),
		"Limits.ObserversPerPeer":     resolvedIn(observation.observers, "MaxPerPeer"),
		"Limits.ObserversPerResource": resolvedIn(observation.observers, "MaxPerResource"),

		"Server.Handler": "every path is 4.04", "Server.Params": "RFC 7252's", "Server.Limits": "those above",
		"Server.Recognize": "none", "Server.AddressValidation": "off", "Server.RateLimit": "none", "Server.Groups": "none",
		"Server.Logger": "silence", "Server.Trace": "nothing is called",
		"Server.AckDelay":       time.Duration(resolvedIn(ep, "AckDelay")),
		"Server.NotifyInterval": time.Duration(resolvedIn(observation.observers, "NonInterval")),
		"Server.Sockets":        map[bool]string{true: "one per processor"}[(&Server{}).sockets() == runtime.GOMAXPROCS(0)],

		"RateLimit.Peer": "no limit", "RateLimit.Prefix": "no limit", "Rate.PerSecond": "no limit",
		"RateLimit.Bits4": newLimiter(RateLimit{}, 1).bits4, "RateLimit.Bits6": newLimiter(RateLimit{}, 1).bits6,
		"Rate.Burst": map[bool]string{true: "those of a second"}[newMeter(Rate{PerSecond: 7}, 1).tolerance == newMeter(Rate{PerSecond: 7, Burst: 7}, 1).tolerance],

		"NotifyPolicy.Type": map[NotifyType]string{0: "NotifyAuto"}[NotifyAuto], "NotifyPolicy.Every": int(policy.FieldByName("every").Uint()),
		"NotifyPolicy.Interval": time.Duration(resolvedIn(observation.observers, "MaxSilence")),

		"Client.Params": "RFC 7252's", "Client.Limits": "those above", "Client.Handler": "requests get a Reset",
		"Client.Recognize": "none", "Client.Logger": "silence", "Client.Trace": "nothing is called",
		"Client.Listen": "a UDP socket", "Client.Resolver": "`net.DefaultResolver`",
		"Client.ResponseTimeout": time.Duration(resolvedIn(ep, "ResponseTimeout")),
		"Client.TokenBytes":      tokenBytes(ep),
		"Client.SourcePorts":     (&Client{}).sourcePorts(),
		"Client.GroupWindow":     (&Client{}).groupWindow(),

		"Config.ReusePort": "off", "Config.NoSegments": "off", "Config.MulticastInterface": "the system's choice", "Config.MulticastHops": 1,
		"Config.ReceiveBuffer": bytesInWords(transport.DefaultBuffer), "Config.SendBuffer": bytesInWords(transport.DefaultBuffer),
	}
	addResolved(values, "Limits.", n.limits)
	addResolved(values, "Params.", Params{}.WithDefaults())
	return values
}

// tokenBytes returns how long the tokens are that the message layer draws.
func tokenBytes(ep *reliability.Endpoint) int { return ep.NewToken(endpointAt(1)).Len() }

// resolvedIn returns a number in the configuration that a layer works with.
func resolvedIn(layer any, field string) int64 {
	return reflect.ValueOf(layer).Elem().FieldByName("cfg").FieldByName(field).Int()
}

// addResolved adds the fields of a configuration that has its defaults.
func addResolved(values map[string]any, prefix string, cfg any) {
	v := reflect.ValueOf(cfg)
	for i := range v.NumField() {
		if f := v.Type().Field(i).Name; !v.Field(i).IsZero() && values[prefix+f] == nil {
			values[prefix+f] = v.Field(i).Interface()
		}
	}
}

// inWords writes a default as the page does.
func inWords(field string, v any) string {
	switch v := v.(type) {
	case time.Duration:
		switch {
		case v%time.Hour == 0:
			return fmt.Sprintf("%d h", v/time.Hour)
		case v%time.Second == 0:
			return fmt.Sprintf("%d s", v/time.Second)
		}
		return fmt.Sprintf("%d ms", v/time.Millisecond)
	case int:
		if strings.Contains(field, "Bytes") {
			return bytesInWords(v)
		}
		return thousands(v)
	case int64:
		return thousands(int(v))
	}
	return fmt.Sprint(v)
}

func bytesInWords(n int) string {
	if n > 0 && n%(1<<20) == 0 {
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return thousands(n)
}

func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
