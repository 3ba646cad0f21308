package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/motewire/coap"
	"github.com/motewire/coap/message"
	"github.com/motewire/coap/transport"
)

// A benched is what bench --json tells.
type benched struct {
	Method         string
	Sent, Answered uint64
	Codes, Errors  map[string]uint64
	Blocks         uint64 `json:"further_blocks"`
	Bytes          uint64 `json:"payload_bytes"`
	Kinds          []struct {
		Name           string
		Sent, Answered uint64
		Latency        map[string]float64 `json:"latency_ms"`
	}
	Observers struct {
		Asked, Registered, Notifications uint64
		PerSecond                        float64 `json:"notifications_per_second"`
	}
	Sources uint64 `json:"source_addresses"`
}

// benchJSON runs bench --json, to its end and without errors.
func benchJSON(t *testing.T, args ...string) (b benched) {
	t.Helper()
	got := command(t, "", append([]string{"bench", "--json"}, args...)...)
	if err := json.Unmarshal([]byte(got.stdout), &b); err != nil || got.status != exitOK {
		t.Fatalf("%v: %+v", err, got)
	}
	if b.Answered != b.Sent || len(b.Errors) != 0 {
		t.Errorf("%d of %d answered, errors %v", b.Answered, b.Sent, b.Errors)
	}
	return b
}

// benchNode serves a mux on loopback and returns its URI.
func benchNode(t *testing.T, mux *coap.Mux) (uri string) {
	t.Helper()
	conn, err := transport.Listen(t.Context(), "udp4", "127.0.0.1:0", transport.Config{})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	ctx, stop := context.WithCancel(context.Background())
	go func() { served <- (&coap.Server{Handler: mux}).Serve(ctx, conn) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return fmt.Sprintf("coap://127.0.0.1:%d", conn.LocalAddr().Port())
}

func TestBenchMix(t *testing.T) {
	for _, loop := range [][]string{nil, {"--rate", "4000"}} {
		args := append(loop, "--mix", "get=6,put=2,non-get/json=1,post=1", "-e", "hi", "-t", "text", "-n", "1000", node(t)+"/value")
		b := benchJSON(t, args...)
		if b.Method != "mix" || b.Answered != 1000 || b.Codes["2.05"] != 700 || b.Codes["2.04"] != 200 || b.Codes["2.01"] != 100 {
			t.Errorf("%+v", b)
		}
		for i, want := range []struct {
			name string
			n    uint64
		}{{"get", 600}, {"put", 200}, {"non-get/json", 100}, {"post", 100}} {
			if k := b.Kinds[i]; k.Name != want.name || k.Sent != want.n || k.Answered != want.n || !(0 < k.Latency["p50"] && k.Latency["p50"] <= k.Latency["max"]) {
				t.Errorf("%+v, want %+v", k, want)
			}
		}
	}
	got := command(t, "", "bench", "--mix", "get=3,put=1", "-e", "x", "-n", "400", node(t)+"/value")
	for _, want := range []string{"get=3,put=1\n", "\nget          300 sent, 300 answered, p50 ", "\nput          100 sent"} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("no %q in\n%s", want, got.stdout)
		}
	}
}

// Payloads go only where they mean something, with their Content-Format.
func TestBenchMixOptions(t *testing.T) {
	var mu sync.Mutex
	seen := map[message.Code]string{}
	mux := coap.NewMux()
	for _, method := range []string{"GET", "PUT"} {
		mux.HandleFunc(method+" /x", func(_ coap.ResponseWriter, r *coap.Request) {
			format, _ := r.ContentFormat()
			mu.Lock()
			defer mu.Unlock()
			seen[r.Method] = fmt.Sprint(string(r.Payload()), " ", format, " ", r.Query("a"))
		})
	}
	benchJSON(t, "--mix", "get/x?a=b=1,put=1", "-e", "1", "-t", "json", "-n", "10", benchNode(t, mux)+"/x")
	mu.Lock()
	defer mu.Unlock()
	if seen[message.GET] != " text/plain; charset=utf-8 b" || seen[message.PUT] != "1 application/json " {
		t.Errorf("%q", seen)
	}
}

func TestBenchBlocks(t *testing.T) {
	uri := node(t)
	if b := benchJSON(t, "-n", "50", uri+"/large"); b.Codes["2.05"] != 50 || b.Blocks != 50 || b.Bytes != 50*1100 {
		t.Errorf("down: %+v", b)
	}
	if b := benchJSON(t, "-n", "50", "-b", "64", uri+"/large"); b.Blocks != 50*17 || b.Bytes != 50*1100 {
		t.Errorf("down by 64: %+v", b)
	}
	file := filepath.Join(t.TempDir(), "body")
	if err := os.WriteFile(file, []byte(digits(5000)), 0o666); err != nil {
		t.Fatal(err)
	}
	b := benchJSON(t, "--mix", "put/stored=1,get/large=1", "-f", file, "-n", "40", "--window", "8", "--ports", "2", uri)
	if b.Codes["2.04"] != 20 || b.Codes["2.05"] != 20 || b.Blocks != 20*4+20*1 || b.Bytes != 20*(5000+1100) {
		t.Errorf("both: %+v", b)
	}
	got := command(t, "", "get", uri+"/stored")
	if got.stdout != digits(5000) {
		t.Errorf("%d bytes are stored", len(got.stdout))
	}
	if got := command(t, "", "bench", "-n", "5", uri+"/large"); !strings.Contains(got.stdout, "blocks       5 further ones, 0.005 MB of payload, ") && !strings.Contains(got.stdout, "blocks       5 further ones, 0.006 MB") {
		t.Error(got.stdout)
	}
}

// Observers are registered before and told while the load changes what they observe.
func TestBenchObservers(t *testing.T) {
	mux := coap.NewMux()
	state := coap.NewState("0")
	mux.Handle("GET /state", state)
	mux.HandleFunc("PUT /state", func(_ coap.ResponseWriter, r *coap.Request) { state.Set(string(r.Payload())) })
	b := benchJSON(t, "--mix", "put=1,get=1", "-e", "1", "--observers", "600", "--ports", "1", "-n", "20", "--rate", "100", benchNode(t, mux)+"/state")
	if o := b.Observers; o.Asked != 600 || o.Registered != 600 || o.Notifications < 2 || o.PerSecond <= 0 {
		t.Errorf("%+v", o)
	}
	got := command(t, "", "bench", "--observers", "3", "-n", "10", node(t)+"/value")
	if !strings.Contains(got.stdout, "observers    0 of 3 registered, 0 notifications, 0/s\n") {
		t.Error(got.stdout)
	}
}

// Each source address is a client of its own.
func TestBenchSources(t *testing.T) {
	var mu sync.Mutex
	addresses, ports := map[netip.Addr]bool{}, map[netip.AddrPort]bool{}
	mux := coap.NewMux()
	mux.HandleFunc("GET /x", func(_ coap.ResponseWriter, r *coap.Request) {
		from, err := netip.ParseAddrPort(r.Peer().String())
		mu.Lock()
		defer mu.Unlock()
		if err != nil || !from.Addr().IsLoopback() {
			t.Errorf("%v, %v", from, err)
		}
		addresses[from.Addr()], ports[from] = true, true
	})
	b := benchJSON(t, "--sources", "200", "--ports", "4", "-n", "1000", benchNode(t, mux)+"/x")
	mu.Lock()
	defer mu.Unlock()
	if len(addresses) != 200 || len(ports) != 200 || b.Sources != 200 {
		t.Errorf("%d addresses, %d with their ports", len(addresses), len(ports))
	}
}

// What is sent to warm up is not counted.
func TestBenchWarmUp(t *testing.T) {
	var mu sync.Mutex
	requests := 0
	mux := coap.NewMux()
	mux.HandleFunc("GET /x", func(coap.ResponseWriter, *coap.Request) {
		mu.Lock()
		requests++
		mu.Unlock()
	})
	b := benchJSON(t, "--warm-up", "0.1", "-n", "100", benchNode(t, mux)+"/x")
	mu.Lock()
	defer mu.Unlock()
	if b.Answered != 100 || requests <= 100 {
		t.Errorf("%d answered, %d came", b.Answered, requests)
	}
}

func TestBenchSVG(t *testing.T) {
	file := filepath.Join(t.TempDir(), "latency.svg")
	benchJSON(t, "--svg", file, "--mix", "get=1,put=1", "-e", "x", "-n", "2000", node(t)+"/value")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	for _, want := range []string{"<svg ", ">p90<", ">p99.9<", ">all<", ">get<", ">put<", "<title>Latency, ", "</svg>"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if n := strings.Count(text, `<path class="line`); n != 3 || strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
		t.Errorf("%d lines in\n%s", n, text)
	}
	got := command(t, "", "bench", "--svg", filepath.Join(file, "x"), "-n", "1", node(t)+"/value")
	if got.status != exitIO {
		t.Errorf("a file that can't be written: %+v", got)
	}
}
