package main

import (
	"context"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/motewire/coap/coaptest"
	"github.com/motewire/coap/transport"
	"github.com/motewire/coap/transport/simnet"
)

func TestMain(m *testing.M) { coaptest.Main(m) }

// soak runs a soak of 100 s in virtual time, on a network in memory.
func soak(t *testing.T, leak func()) (problems []string, table string) {
	t.Helper()
	coaptest.Run(t, func(t *testing.T) {
		network := simnet.New(1)
		listen := func(context.Context, string) (transport.Conn, error) {
			return network.Listen(netip.AddrPortFrom(netip.IPv4Unspecified(), 0))
		}
		network.SetDefault(simnet.Link{Delay: 5 * time.Millisecond})
		var out strings.Builder
		var err error
		problems, err = run(t.Context(), config{
			lasts: 100 * time.Second, every: 4 * time.Second, rest: 60 * time.Millisecond, hostile: 60, seed: 1, params: shortened, leak: leak, clientConn: listen,
			serverConns: func(ctx context.Context) ([]transport.Conn, error) {
				conn, err := listen(ctx, "udp4")
				return []transport.Conn{conn}, err
			},
		}, &out)
		if err != nil {
			t.Fatal(err)
		}
		table = out.String()
	})
	return problems, table
}

// A soak ends by a table and a verdict.
func TestSoak(t *testing.T) {
	problems, table := soak(t, nil)
	if len(problems) > 0 {
		t.Errorf("%s\n%q", table, problems)
	}
	if lines := strings.Count(table, "\n"); lines < 25 || !strings.Contains(table, "\nflat: ") {
		t.Errorf("a table of %d lines:\n%s", lines, table)
	}
}

// What a program leaks is found: 16 KiB with each upload of one kind.
func TestSoakFindsLeak(t *testing.T) {
	var kept [][]byte
	problems, table := soak(t, func() { kept = append(kept, make([]byte, 16<<10)) })
	if !strings.Contains(strings.Join(problems, "\n"), "heap grew") || strings.Contains(table, "\nflat: ") {
		t.Errorf("%q of a leak of %d buffers:\n%s", problems, len(kept), table)
	}
	runtime.KeepAlive(kept)
}

// The verdict sees each column, and what is left behind.
func TestVerdict(t *testing.T) {
	flat := func(i int) sample {
		return sample{at: time.Duration(i) * time.Second, heap: 10<<20 + uint64(i%3)<<18, goroutines: 50 + i%7, files: 30, requests: uint64(i),
			observers: 20, transfers: 100 + i%9, remembered: 4000 + i%100, exchanges: 200}
	}
	samples := func(change func(*sample, int)) (all []sample) {
		for i := range 60 {
			s := flat(i)
			change(&s, i)
			all = append(all, s)
		}
		return all
	}
	for want, change := range map[string]func(*sample, int){
		"":                      func(*sample, int) {},
		"heap grew":             func(s *sample, i int) { s.heap += uint64(i) * 160 << 10 },
		"goroutines grew":       func(s *sample, i int) { s.goroutines += i },
		"files grew":            func(s *sample, i int) { s.files += i / 3 },
		"observers grew":        func(s *sample, i int) { s.observers += 2 * i },
		"transfers grew":        func(s *sample, i int) { s.transfers += 3 * i },
		"messages grew":         func(s *sample, i int) { s.remembered += 100 * i },
		"exchanges grew":        func(s *sample, i int) { s.exchanges += 5 * i },
		"requests came to a st": func(s *sample, _ int) { s.requests = 7 },
	} {
		problems := judge(samples(change), 10*time.Second)
		if want == "" && len(problems) > 0 || want != "" && (len(problems) != 1 || !strings.Contains(problems[0], want)) {
			t.Errorf("%q, want %q", problems, want)
		}
	}
	// What grows until the end of the warm-up is not looked at.
	early := samples(func(s *sample, i int) { s.goroutines += 20 * min(i, 20) })
	if problems := judge(early, 20*time.Second); len(problems) > 0 {
		t.Error(problems)
	}
	if problems := judge(early[:10], 5*time.Second); len(problems) != 1 {
		t.Errorf("of five samples: %q", problems)
	}
	if left(flat(0), flat(0)) != nil || len(left(sample{}, flat(0))) != 2 {
		t.Error("left", left(flat(0), flat(0)), left(sample{}, flat(0)))
	}
}
