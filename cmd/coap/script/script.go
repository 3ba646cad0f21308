// Package script simulates a node from a description in JSON: resources whose values
// follow a signal, answers that take their time or fail, observers that are told in a
// cadence. It is a test double for programs that talk to nodes. [Format] says what the
// description looks like.
package script

import (
	_ "embed" // for Format
	"math"
	"os"
	"strings"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/message"
)

// Format is the manual of scripts: an example, and what each field means.
//
//go:embed format.txt
var Format string

// A Script is a description that makes sense.
type Script struct {
	seed      uint64
	resources []*resource
}

// A resource is what a script says of one.
type resource struct {
	path, resourceType, iface, title string

	signal   signal
	every    time.Duration // 0: it is measured once
	decimals int           // -1: as many as it takes
	format   message.Format
	body     string // with {value}; empty: the value alone

	least, most time.Duration // the delay
	failures    []failure
	observable  bool
	notify      coap.NotifyPolicy
	writable    bool
}

// A failure is an error that strikes some requests.
type failure struct {
	code      message.Code
	rate      float64
	maxAge    time.Duration // 0: not said
	observers bool
}

// Load reads a script and the CSV files that it names. Errors of the script are *Error.
func Load(file string) (*Script, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return Parse(file, text)
}

// Parse is Load for a script that has been read. file is where CSV files are looked for
// and what errors name.
func Parse(file string, text []byte) (*Script, error) {
	root, err := readTree(file, text)
	if err != nil {
		return nil, err
	}
	f := fieldsOf(file, root, &err)
	s := &Script{seed: uint64(f.number("seed", 1, 0, math.MaxUint32))}
	list := f.get("resources")
	f.done()
	switch {
	case list == nil:
		f.missing("resources", "a list of them")
	case list.kind != "an array" || len(list.array) == 0:
		f.fail(list, "has to be a list of at least one resource")
	default:
		for _, n := range list.array {
			s.resources = append(s.resources, readResource(fieldsOf(file, n, &err)))
		}
	}
	if err == nil {
		s.checkPaths(f, list)
	}
	return s, err
}

// checkPaths finds a path that is there twice.
func (s *Script) checkPaths(f *fields, list *node) {
	seen := map[string]bool{}
	for i, r := range s.resources {
		if seen[r.path] {
			f.fail(list.array[i].object["path"], "%q is there twice", r.path)
		}
		seen[r.path] = true
	}
}

func readResource(f *fields) *resource {
	r := &resource{
		path: f.text("path", ""), resourceType: f.text("type", ""), iface: f.text("interface", ""), title: f.text("title", ""),
		every: f.duration("every", 0), decimals: int(f.number("decimals", -1, 0, 12)),
		format: f.format("format", message.TextPlain), body: f.text("body", ""), writable: f.flag("writable", false),
	}
	r.checkPath(f)
	if n := f.get("value"); n != nil {
		r.signal = readSignal(fieldsOf(f.file, n, f.err))
	} else {
		f.missing("value", `such as {"kind": "constant", "value": 1}`)
	}
	if _, still := r.signal.(constant); r.every == 0 && !still {
		f.missing("every", "how often the value is measured, such as \"2s\"")
	}
	if r.body != "" && !strings.Contains(r.body, "{value}") {
		f.fail(f.at("body"), "has no {value} in it")
	}
	r.observable = f.flag("observable", r.every > 0)
	r.readDelay(f)
	r.readNotify(f)
	if n := f.get("errors"); n != nil {
		r.readFailures(f, n)
	}
	f.done()
	return r
}

// checkPath wants a plain path: patterns would not be one resource.
func (r *resource) checkPath(f *fields) {
	switch {
	case r.path == "":
		f.missing("path", `such as "/temperature"`)
	case !strings.HasPrefix(r.path, "/") || strings.ContainsAny(r.path, "{}?# ") || strings.Contains(r.path, "//") || r.path == "/.well-known/core":
		f.fail(f.at("path"), "%q: say a path such as \"/temperature\"", r.path)
	}
}

func readSignal(f *fields) (s signal) {
	defer f.done()
	switch f.choice("kind", "", "constant", "ramp", "sine", "walk", "csv") {
	case "constant":
		return constant{f.constant()}
	case "ramp":
		return ramp{
			from: f.needNumber("from"), to: f.needNumber("to"), over: f.needDuration("over", "how long the ramp takes"),
			then: f.choice("then", "repeat", "repeat", "return", "stay"),
		}
	case "sine":
		return sine{
			mean: f.number("mean", 0, -math.MaxFloat64, math.MaxFloat64), amplitude: f.needNumber("amplitude"),
			period: f.needDuration("period", "how long a swing takes"), phase: f.duration("phase", 0),
		}
	case "walk":
		w := &walk{value: f.needNumber("start"), step: f.needNumber("step")}
		w.least, w.most = f.number("least", -math.MaxFloat64/4, -math.MaxFloat64/4, w.value), f.number("most", math.MaxFloat64/4, w.value, math.MaxFloat64/4)
		return w
	case "csv":
		return recordOf(f)
	}
	f.read = f.n.names // what belongs to a kind that there is not
	return constant{}
}

// constant returns a number or a text.
func (f *fields) constant() any {
	n := f.get("value")
	if n == nil {
		f.missing("value", "a number or a text")
		return nil
	}
	if v, ok := numberOf(n); ok {
		return v
	}
	s, ok := n.scalar.(string)
	if !ok {
		f.fail(n, "is %s, not a number or a text", n.kind)
	}
	return s
}

// readDelay takes a time, or an object with two.
func (r *resource) readDelay(f *fields) {
	n := f.get("delay")
	switch {
	case n == nil:
	case n.object == nil:
		r.least = f.duration("delay", 0)
		r.most = r.least
	default:
		d := fieldsOf(f.file, n, f.err)
		r.least, r.most = d.duration("least", 0), d.needDuration("most", "the longest delay")
		d.done()
		if r.most < r.least {
			f.fail(n, "most is less than least")
		}
	}
}

func (r *resource) readNotify(f *fields) {
	n := f.get("notify")
	if n == nil {
		return
	}
	if !r.observable {
		f.fail(n, "nobody is notified of a resource that is not observable; give it an every")
	}
	p := fieldsOf(f.file, n, f.err)
	r.notify.Type = map[string]coap.NotifyType{"auto": coap.NotifyAuto, "con": coap.NotifyConfirmable, "non": coap.NotifyNonConfirmable}[p.choice("type", "auto", "auto", "con", "non")]
	r.notify.Every = int(p.number("confirmable", 0, 1, 255))
	if r.notify.Every != 0 && r.notify.Type != coap.NotifyAuto {
		f.fail(p.at("confirmable"), "goes with type auto alone")
	}
	p.done()
}

func (r *resource) readFailures(f *fields, list *node) {
	if list.kind != "an array" {
		f.fail(list, "is %s, not a list", list.kind)
		return
	}
	sum := 0.0
	for _, n := range list.array {
		e := fieldsOf(f.file, n, f.err)
		x := failure{
			code: e.code("code", message.ServiceUnavailable), rate: e.number("rate", 1, 0, 1),
			maxAge: e.duration("max_age", 0), observers: e.flag("observers", false),
		}
		e.done()
		sum += x.rate
		r.failures = append(r.failures, x)
	}
	if sum > 1 {
		f.fail(list, "the rates add up to %.4g, which is more than 1", sum)
	}
}
