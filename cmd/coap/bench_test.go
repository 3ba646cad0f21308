package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/motewire/coap/message"
)

// measuredNumbers are what differs between two measurements.
var measuredNumbers = regexp.MustCompile(`(in |s, |min |mean |p[0-9.]+ |max |CPU +)[0-9.]+`)

// plotted50 is where the plots of a report begin.
var plotted50 = regexp.MustCompile(`(p50|max) {3,}[0-9.]+ ms`)

// unmeasured returns a report without its measurements.
func unmeasured(text string) string {
	if plots := plotted50.FindStringIndex(text); plots != nil {
		text = text[:plots[0]]
	}
	return stable(measuredNumbers.ReplaceAllString(text, "${1}N"))
}

func TestBench(t *testing.T) {
	got := command(t, "", "bench", "-n", "2000", "--ports", "3", "--window", "5", node(t)+"/value")
	golden(t, "bench", unmeasured(shown(got)))
	if n := strings.Count(got.stdout, "█"); n < barWidth {
		t.Errorf("%d blocks in the histogram:\n%s", n, got.stdout)
	}
	for _, want := range []string{"\np50 ", "\np75 ", "\np90 ", "\np99 ", "\np99.9 ", "\nmax "} {
		if strings.Count(got.stdout, want) != 1 {
			t.Errorf("no bar for %q:\n%s", want, got.stdout)
		}
	}
	if strings.Contains(got.stdout, "\np99.99 ") {
		t.Error("2000 answers have no p99.99")
	}
}

func TestBenchPut(t *testing.T) {
	got := command(t, "", "bench", "-m", "put", "-N", "-e", "23", "-t", "text", "-n", "100", "--ports", "1", node(t)+"/value")
	golden(t, "bench-put", unmeasured(shown(got)))
}

func TestBenchJSON(t *testing.T) {
	args := []string{"bench", "--rate", "2000", "-n", "400", "--ports", "2", "--json", "--pid", fmt.Sprint(os.Getpid()), node(t) + "/value"}
	if _, err := cpuTime(uint(os.Getpid())); err != nil {
		args = append(args[:7], args[9:]...)
	}
	got := command(t, "", args...)
	var r struct {
		Sent, Answered uint64
		Codes          map[string]uint64
		Errors         map[string]uint64
		Rate, Seconds  float64
		Latency        map[string]float64 `json:"latency_ms"`
		CPU            *float64           `json:"server_cpu_us_per_request"`
	}
	if err := json.Unmarshal([]byte(got.stdout), &r); err != nil || got.status != exitOK {
		t.Fatalf("%v: %+v", err, got)
	}
	if r.Sent != 400 || r.Answered != 400 || r.Codes["2.05"] != 400 || r.Rate != 2000 || len(r.Errors) != 0 || r.Seconds < 0.19 {
		t.Errorf("%+v", r)
	}
	if l := r.Latency; !(0 < l["min"] && l["min"] <= l["p50"] && l["p50"] <= l["p99"] && l["p99"] <= l["p99.9"] && l["p99.9"] <= l["max"]) {
		t.Errorf("latency %v", l)
	}
	if len(args) == 10 && (r.CPU == nil || *r.CPU <= 0) {
		t.Errorf("no CPU time in %s", got.stdout)
	}
}

// Requests that are not answered are told by kind, and none at all is an error.
func TestBenchErrors(t *testing.T) {
	for name, peer := range map[string]string{
		"silence": rawPeer(t, silence),
		"resets":  rawPeer(t, resets),
		"garbage": rawPeer(t, func(*message.View) []byte { return []byte("garbage") }),
		"stray": rawPeer(t, func(v *message.View) []byte {
			other, _ := message.MakeToken([]byte("other"))
			m := message.Message{Type: message.Acknowledgement, Code: message.Content, ID: v.ID(), Token: other}
			b, _ := m.MarshalBinary()
			return b
		}),
	} {
		got := command(t, "", "bench", "-n", "3", "--ports", "1", "--retries", "1", "--ack-timeout", "0.02", peer+"/x")
		if got.status != exitTimeout || !strings.Contains(got.stderr, "answered no request") {
			t.Errorf("%s: %+v", name, got)
		}
		golden(t, "bench-"+name, unmeasured(shown(got)))
	}
}

func TestBenchInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(within(t))
	requests := 0
	uri := rawPeer(t, func(v *message.View) []byte {
		if requests++; requests == 50 {
			cancel()
		}
		return piggybacked(v, message.Content, message.MaxAge, nil)
	})
	var stdout, stderr bytes.Buffer
	status := run(ctx, []string{"bench", "--ports", "1", "--window", "1", uri}, strings.NewReader(""), &stdout, &stderr)
	if status != exitInterrupted || !strings.Contains(stdout.String(), "answered in") || stderr.String() != "" {
		t.Errorf("status %d, %q, %q", status, stdout.String(), stderr.String())
	}
}

func TestBenchUsage(t *testing.T) {
	for _, tt := range []struct{ args, want string }{
		{"", "bench takes a URI"},
		{"-m stroke localhost", "-m stroke: say get"},
		{"-e a -f b localhost", "say one of them"},
		{"--ports 0 localhost", "--ports 0: say 1 to 10000"},
		{"--window 70000 localhost", "--window 70000: say 1 to"},
		{"--rate -1 localhost", "--rate -1: say a number"},
		{"--rate NaN localhost", "--rate NaN: say a number"},
		{"-s 0 localhost", "say a number of seconds above 0"},
		{"--retries 21 localhost", "--retries 21: say at most 20"},
		{"--mix get localhost", "say METHOD=SHARE"},
		{"--mix get=0 localhost", "say a share from 1"},
		{"--mix got=1 localhost", "say get, put"},
		{"--mix get=1 -m put localhost", "-m and --mix"},
		{"--sources 3 127.0.0.1", "--sources 3: say one per port"},
		{"--sources 30 [::1]", "--sources takes addresses of 127.0.0.0/8"},
		{"--observers 1000001 localhost", "--observers 1000001: say at most"},
		{"-b 3,64 localhost", "say a size alone"},
		{"-b 100 localhost", "-b"},
		{"--warm-up 0 localhost", "say a number of seconds above 0"},
		{"coaps://localhost", "coaps:// is not supported yet"},
		{"coap://224.0.1.187", "is a group"},
		{"--pid 4194305 127.0.0.1", "no such process"},
	} {
		got := command(t, "", append([]string{"bench"}, strings.Fields(tt.args)...)...)
		if got.status != exitUsage || got.stdout != "" || strings.Count(got.stderr, "\n") != 1 || !strings.Contains(got.stderr, tt.want) {
			t.Errorf("bench %s: %+v, want %q", tt.args, got, tt.want)
		}
	}
}
