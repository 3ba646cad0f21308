package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/motewire/coap/internal/load"
	"github.com/motewire/coap/message"
)

// A benchReport is the result of a bench as JSON has it.
type benchReport struct {
	Peer        string            `json:"peer"`
	Method      string            `json:"method"`
	Confirmable bool              `json:"confirmable"`
	Ports       uint              `json:"ports"`
	Window      uint              `json:"window,omitempty"`
	Rate        float64           `json:"rate,omitempty"` // requests per second that were asked for
	Seconds     float64           `json:"seconds"`
	Sent        uint64            `json:"sent"`
	Answered    uint64            `json:"answered"`
	PerSecond   float64           `json:"answered_per_second"`
	Codes       map[string]uint64 `json:"codes"`
	// Errors by kind; only those that there were.
	Errors          map[string]uint64 `json:"errors"`
	Retransmissions uint64            `json:"retransmissions"`
	Sources         uint              `json:"source_addresses,omitempty"`
	Kinds           []kindReport      `json:"kinds,omitempty"`
	// Blocks are the further messages of transfers, PayloadBytes those of all bodies.
	Blocks       uint64          `json:"further_blocks,omitempty"`
	PayloadBytes uint64          `json:"payload_bytes"`
	Observers    *observerReport `json:"observers,omitempty"`
	Separate     uint64          `json:"separate"`
	Latency      *latencyReport  `json:"latency_ms,omitempty"`
	// CPUPerRequest is of the server, in microseconds.
	CPUPerRequest float64 `json:"server_cpu_us_per_request,omitempty"`

	title string
}

// A kindReport is about one kind of a mix.
type kindReport struct {
	Name     string         `json:"name"`
	Sent     uint64         `json:"sent"`
	Answered uint64         `json:"answered"`
	Latency  *latencyReport `json:"latency_ms,omitempty"`
}

// An observerReport is about the observers beside the load.
type observerReport struct {
	Asked         uint    `json:"asked"`
	Registered    uint64  `json:"registered"`
	Notifications uint64  `json:"notifications"`
	PerSecond     float64 `json:"notifications_per_second"`
}

type latencyReport struct {
	Min  float64 `json:"min"`
	Mean float64 `json:"mean"`
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p99.9"`
	Max  float64 `json:"max"`
}

func newReport(b *bench, m *measurement) *benchReport {
	r := m.result
	report := &benchReport{
		Peer: b.peer.String(), Method: b.code.Name(), Confirmable: !b.nonConfirmable,
		Ports: b.ports, Window: b.window, Rate: b.rate,
		Seconds: r.Elapsed.Seconds(), Sent: r.Sent, Answered: r.Answered, PerSecond: r.Rate(),
		Codes: map[string]uint64{}, Errors: map[string]uint64{},
		Retransmissions: r.Retransmissions, Separate: r.Separate,
		Sources: b.sources, Blocks: r.Blocks, PayloadBytes: r.Bytes,
		title: fmt.Sprintf("%v: %s", b.peer, b.loop()),
	}
	for code, n := range r.Codes {
		if n > 0 {
			report.Codes[message.Code(code).String()] = n
		}
	}
	for _, e := range benchErrors {
		if n := e.count(r); n > 0 {
			report.Errors[e.name] = n
		}
	}
	if r.Answered > 0 {
		report.Latency = newLatencyReport(&r.Latency)
		report.CPUPerRequest = float64(m.cpu) / float64(time.Microsecond) / float64(r.Answered)
	}
	if len(b.mix) > 0 {
		report.Method = "mix"
	}
	for i := range r.Kinds {
		report.Kinds = append(report.Kinds, newKindReport(b.mix[i].name, &r.Kinds[i]))
	}
	if b.observers > 0 {
		report.Observers = &observerReport{
			Asked: b.observers, Registered: m.observers, Notifications: m.notifications,
			PerSecond: float64(m.notifications) / max(report.Seconds, 1e-9),
		}
	}
	return report
}

func newKindReport(name string, r *load.KindResult) kindReport {
	k := kindReport{Name: name, Sent: r.Sent, Answered: r.Answered}
	if r.Answered > 0 {
		k.Latency = newLatencyReport(&r.Latency)
	}
	return k
}

// benchErrors are the kinds of errors, in the order of their weight.
var benchErrors = []struct {
	name, text string
	count      func(*load.Result) uint64
}{
	{"timeout", "timed out", func(r *load.Result) uint64 { return r.TimedOut }},
	{"unanswered", "unanswered at the end", func(r *load.Result) uint64 { return r.Unanswered }},
	{"broken", "transfers in blocks that could not go on", func(r *load.Result) uint64 { return r.Broken }},
	{"reset", "reset", func(r *load.Result) uint64 { return r.Reset }},
	{"skipped", "not sent, as too many were under way", func(r *load.Result) uint64 { return r.Skipped }},
	{"unreachable", "datagrams unreachable", func(r *load.Result) uint64 { return r.Unreachable }},
	{"malformed", "malformed datagrams", func(r *load.Result) uint64 { return r.Malformed }},
	{"stray", "stray messages", func(r *load.Result) uint64 { return r.Strays }},
}

func newLatencyReport(h *load.Histogram) *latencyReport {
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	quantile := func(q float64) float64 { return ms(h.Quantile(q)) }
	return &latencyReport{
		Min: ms(h.Min()), Mean: ms(h.Mean()), Max: ms(h.Max()),
		P50: quantile(0.5), P90: quantile(0.9), P99: quantile(0.99), P999: quantile(0.999),
	}
}

func (r *benchReport) writeJSON(w io.Writer) error { return json.NewEncoder(w).Encode(r) }

// writeText prints the report with a histogram.
func (r *benchReport) writeText(w io.Writer, h *load.Histogram) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", r.title)
	fmt.Fprintf(&b, "requests     %d sent, %d answered in %.1f s, %.0f/s\n", r.Sent, r.Answered, r.Seconds, r.PerSecond)
	for code := range message.Code(255) {
		if n := r.Codes[code.String()]; n > 0 {
			fmt.Fprintf(&b, "%-12s %d\n", code.String(), n)
		}
	}
	for _, e := range benchErrors {
		if n := r.Errors[e.name]; n > 0 {
			fmt.Fprintf(&b, "errors       %d %s\n", n, e.text)
		}
	}
	if r.Retransmissions > 0 {
		fmt.Fprintf(&b, "sent again   %d\n", r.Retransmissions)
	}
	if r.Separate > 0 {
		fmt.Fprintf(&b, "separate     %d responses\n", r.Separate)
	}
	if l := r.Latency; l != nil {
		fmt.Fprintf(&b, "latency      min %.3f, mean %.3f, p50 %.3f, p90 %.3f, p99 %.3f, p99.9 %.3f, max %.3f ms\n",
			l.Min, l.Mean, l.P50, l.P90, l.P99, l.P999, l.Max)
	}
	r.writeKinds(&b)
	if r.CPUPerRequest > 0 {
		fmt.Fprintf(&b, "server CPU   %.2f µs per request\n", r.CPUPerRequest)
	}
	if h.Count() > 0 {
		writePercentiles(&b, h)
	}
	writeHistogram(&b, h)
	_, err := io.WriteString(w, b.String())
	return err
}

// writeKinds prints what there is beside plain requests.
func (r *benchReport) writeKinds(b *strings.Builder) {
	for _, k := range r.Kinds {
		fmt.Fprintf(b, "%-12s %d sent, %d answered", k.Name, k.Sent, k.Answered)
		if k.Latency != nil {
			fmt.Fprintf(b, ", p50 %.3f, p99 %.3f, max %.3f ms", k.Latency.P50, k.Latency.P99, k.Latency.Max)
		}
		fmt.Fprintln(b)
	}
	if r.Blocks > 0 {
		fmt.Fprintf(b, "blocks       %d further ones, %.3f MB of payload, %.3f MB/s\n", r.Blocks, float64(r.PayloadBytes)/1e6, float64(r.PayloadBytes)/1e6/max(r.Seconds, 1e-9))
	}
	if o := r.Observers; o != nil {
		fmt.Fprintf(b, "observers    %d of %d registered, %d notifications, %.0f/s\n", o.Registered, o.Asked, o.Notifications, o.PerSecond)
	}
}

// barWidth is the length of the longest bar.
const barWidth = 40

// writeHistogram draws a bar per doubling of the latency.
func writeHistogram(b *strings.Builder, h *load.Histogram) {
	type bar struct {
		upTo time.Duration
		n    uint64
	}
	var bars []bar
	most, below := uint64(0), uint64(0)
	for upTo := time.Microsecond; below < h.Count(); upTo *= 2 {
		n := h.AtMost(upTo) - below
		below += n
		if n > 0 || len(bars) > 0 {
			bars = append(bars, bar{upTo, n})
		}
		most = max(most, n)
	}
	for _, bar := range bars {
		length := int((bar.n*barWidth + most - 1) / most)
		line := fmt.Sprintf("≤ %10s ms %9d %s", milliseconds(bar.upTo), bar.n, strings.Repeat("█", length))
		fmt.Fprintln(b, strings.TrimRight(line, " "))
	}
}
