package docs

import (
	"context"
	"expvar"
	"fmt"
	"log"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/transport"
)

// What docs/tuning.md shows.

func published(server *coap.Server) {
	expvar.Publish("coap", expvar.Func(func() any { return server.Stats() }))
}

func traced(server *coap.Server) {
	server.Trace = &coap.Trace{
		Retransmission: func(d coap.TraceDatagram) { log.Printf("to %v: transmission %d", d.Peer, d.Attempt) },
		End: func(x coap.TraceExchange) {
			if x.Duration > time.Second {
				log.Printf("%v of %v took %v", x.Method.Name(), x.Peer, x.Duration)
			}
		},
	}
}

func tuned(server *coap.Server) {
	server.Limits = coap.Limits{Handlers: 200, HandlerTimeout: 10 * time.Second}
	server.Limits.DedupBytes = 10_000 * 247 * 112
	server.AddressValidation = coap.EchoLarge
	server.RateLimit = coap.RateLimit{
		Peer:   coap.Rate{PerSecond: 20, Burst: 100}, // blocks of a body count, too
		Prefix: coap.Rate{PerSecond: 500},            // of a /24 or a /64
	}
}

func onSockets(ctx context.Context, server *coap.Server, addr string) error {
	conns, err := transport.ListenShards(ctx, "udp", addr, 4, transport.Config{ReceiveBuffer: 16 << 20})
	if err != nil {
		return err
	}
	of := make([]transport.Conn, len(conns))
	for i, c := range conns {
		of[i] = c
	}
	return server.Serve(ctx, of...)
}

func small(ctx context.Context, url string) (*coap.Response, error) {
	client := &coap.Client{Limits: coap.Limits{BlockBytes: 64}}
	defer client.Close()
	return client.Get(ctx, url)
}

func TestTuned(t *testing.T) {
	server := &coap.Server{Handler: hello()}
	tuned(server)
	traced(server)
	published(server)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := onSockets(ctx, server, "127.0.0.1:0"); err != nil {
		t.Error(err)
	}
	if text := expvar.Get("coap").String(); !strings.Contains(text, `"ReceiveDrops":0`) {
		t.Errorf("expvar has %s", text)
	}
	if _, err := small(ctx, "coap://127.0.0.1:1/x"); err == nil {
		t.Error("a request whose context is over has an answer")
	}
}

// slowNetworks are the parameters in the table of slow networks.
var slowNetworks = map[string]coap.Params{
	"the defaults":                                     {},
	"`AckTimeout: 500 * time.Millisecond`":             {AckTimeout: 500 * time.Millisecond},
	"`AckTimeout: 10 * time.Second`":                   {AckTimeout: 10 * time.Second},
	"`AckTimeout: 10 * time.Second, MaxRetransmit: 1`": {AckTimeout: 10 * time.Second, MaxRetransmit: 1},
	"`AckTimeout: 60 * time.Second, MaxRetransmit: 2, MaxLatency: 300 * time.Second`": {AckTimeout: 60 * time.Second, MaxRetransmit: 2, MaxLatency: 300 * time.Second},
}

// The times in the table are those that follow from the parameters (RFC 7252 §4.8.2).
func TestSlowNetworks(t *testing.T) {
	page, err := os.ReadFile("tuning.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile(`(?m)^\| [^|]+ \| [^|]+ m?s \| ([^|]+) \| (\d+ s) \| (\d+ s) \|$`).FindAllStringSubmatch(string(page), -1)
	if len(rows) != len(slowNetworks) {
		t.Errorf("%d rows, want %d", len(rows), len(slowNetworks))
	}
	for _, row := range rows {
		p, ok := slowNetworks[row[1]]
		if !ok {
			t.Errorf("the test does not know %s", row[1])
			continue
		}
		fails, lives := fmt.Sprintf("%.0f s", p.MaxTransmitWait().Seconds()), fmt.Sprintf("%.0f s", p.ExchangeLifetime().Seconds())
		if row[2] != fails || row[3] != lives {
			t.Errorf("%s: %s and %s, want %s and %s", row[1], row[2], row[3], fails, lives)
		}
	}
}

// Each counter that the table names is one of Stats.
func TestCountersOfTuning(t *testing.T) {
	page, err := os.ReadFile("tuning.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "| what rises |")
	table, _, _ = strings.Cut(table, "\n\n")
	stats := fmt.Sprintf("%+v", coap.Stats{})
	for row := range strings.Lines(table) {
		cell, _, _ := strings.Cut(strings.TrimPrefix(row, "| "), " | ")
		for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cell, -1) {
			if strings.HasPrefix(m[1], "Limits.") {
				continue
			}
			name := m[1][strings.LastIndex(m[1], ".")+1:]
			if !regexp.MustCompile(`[ {]` + name + `:`).MatchString(stats) {
				t.Errorf("Stats has no %s", m[1])
			}
		}
	}
}
