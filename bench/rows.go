package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/motewire/coap/internal/load"
	"github.com/motewire/coap/message"
)

// A row is one thing that is measured, over all contestants.
type row struct {
	name, title string
	run         func(context.Context, *settings, *table) error
}

var rows = []row{
	{"64x16", "Closed loop, 64 source ports × window 16", closedLoop(64, 16)},
	{"64x4", "Closed loop, 64 source ports × window 4", closedLoop(64, 4)},
	{"5k", "Open loop, 5,000 requests/s over 64 source ports", openLoop(5000)},
	{"20k", "Open loop, 20,000 requests/s over 64 source ports", openLoop(20000)},
	{"new", "A request from a client never seen before", neverSeen},
	{"remembered", "A warm client's request with 1,000,000 peers remembered", remembered},
	{"slow", "A quick resource beside 1,000 requests under way to one that takes 1 s", slowBeside},
	{"notify", "A notification to 10,000 observers", notify},
	{"idle", "An idle server", idle},
	{"client", "A client, 10,000 requests/s to 1,000 peers", clients},
	{"blocks", "1 MiB by Block1 and by Block2", blocks},
}

func rowNames() string {
	var names []string
	for _, r := range rows {
		names = append(names, r.name)
	}
	return strings.Join(names, ", ")
}

// A contestant is a server to measure.
type contestant struct {
	name  string
	start func(context.Context, *settings) (*process, error)
}

const (
	echoName = "raw echo in Go"
	ourName  = "this library"
)

var contestants = []contestant{
	{echoName, func(ctx context.Context, s *settings) (*process, error) {
		return startChild(ctx, "echo", "-sockets", strconv.Itoa(s.sockets))
	}},
	{ourName, func(ctx context.Context, s *settings) (*process, error) {
		return startChild(ctx, "server", "-sockets", strconv.Itoa(s.sockets), "-profile", s.profile)
	}},
	{"this library, with UDP_SEGMENT", func(ctx context.Context, s *settings) (*process, error) {
		return startChild(ctx, "server", "-segments", "-sockets", strconv.Itoa(s.sockets))
	}},
	{"go-coap v3", func(ctx context.Context, _ *settings) (*process, error) {
		p, err := startChild(ctx, "go-coap")
		if err == nil {
			err = await(ctx, p.addr, false)
		}
		return p, err
	}},
	{"libcoap", startLibcoap},
	{"node-coap", startNode},
}

// A notInstalled is why a contestant does not take part.
type notInstalled string

func (n notInstalled) Error() string { return string(n) }

func startLibcoap(ctx context.Context, _ *settings) (*process, error) {
	program, err := exec.LookPath("coap-server-notls")
	if err != nil {
		return nil, notInstalled("coap-server-notls is not installed (Debian: libcoap3-bin)")
	}
	return startForeign(ctx, true, program, "", "-A", "127.0.0.1", "-d", "10", "-p")
}

func startNode(ctx context.Context, _ *settings) (*process, error) {
	program, err := exec.LookPath("node")
	if err != nil {
		return nil, notInstalled("node is not installed")
	}
	_, file, _, _ := runtime.Caller(0)
	dir := filepath.Join(filepath.Dir(file), "node")
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "coap")); err != nil {
		return nil, notInstalled("node-coap is not installed (npm install, in bench/node)")
	}
	return startForeign(ctx, false, program, dir, "server.js")
}

// startForeign starts a server that takes a port as its last argument.
func startForeign(ctx context.Context, create bool, program, dir string, args ...string) (*process, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	p, err := start(ctx, program, dir, append(args, strconv.Itoa(int(addr.Port())))...)
	if err != nil {
		return nil, err
	}
	p.addr, p.foreign = addr, true
	if err := await(ctx, addr, create); err != nil {
		p.stop()
		return nil, err
	}
	return p, nil
}

// A measured is a contestant that runs, with its load and what came of it.
type measured struct {
	name string
	*process
	load           *load.Generator
	echo           bool
	cost           []float64 // µs of server CPU per answered request
	rate           []float64 // answered requests per second
	total          load.Result
	median, late99 []float64 // µs
}

// request is the GET that all contestants answer.
func request(p *process, echo bool) load.Config {
	return load.Config{
		To:      p.addr,
		Options: []message.Option{{Number: message.URIPath, Value: []byte(path)}},
		Echo:    echo,
	}
}

// begin starts the contestants, each with a load that setup completes.
func (s *settings) begin(ctx context.Context, names []contestant, setup func(*load.Config)) (all []*measured, err error) {
	if s.ours {
		names = names[:3]
	}
	for _, c := range names {
		p, err := c.start(ctx, s)
		if skipped, ok := err.(notInstalled); ok {
			log.Printf("%s: skipped: %v", c.name, skipped)
			continue
		}
		if err != nil {
			end(all)
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
		m := &measured{name: c.name, process: p, echo: c.name == echoName}
		all = append(all, m)
		cfg := request(p, m.echo)
		setup(&cfg)
		if m.load, err = load.New(ctx, cfg); err != nil {
			end(all)
			return nil, err
		}
	}
	return all, nil
}

func end(all []*measured) {
	for _, m := range all {
		if m.load != nil {
			m.load.Close()
		}
		m.stop()
	}
}

// take measures one round.
func (m *measured) take(ctx context.Context, d time.Duration, requests int) error {
	before, err := m.cpu()
	if err != nil {
		return err
	}
	r, err := m.load.Run(ctx, d, requests)
	if err != nil {
		return err
	}
	after, err := m.cpu()
	if err != nil {
		return err
	}
	if err := m.check(r); err != nil {
		return err
	}
	m.total.Add(r)
	m.cost = append(m.cost, float64(after-before)/1e3/float64(r.Answered))
	m.rate = append(m.rate, r.Rate())
	m.median = append(m.median, float64(r.Latency.Quantile(0.5))/1e3)
	m.late99 = append(m.late99, float64(r.Latency.Quantile(0.99))/1e3)
	return ctx.Err()
}

// check refuses a round whose answers are not what was asked for: its figures would be of
// something else.
func (m *measured) check(r *load.Result) error {
	switch {
	case r.Answered == 0:
		return fmt.Errorf("%s answered nothing: %d sent, %d unreachable", m.name, r.Sent, r.Unreachable)
	case !m.echo && r.Code(message.Content) != r.Answered:
		return fmt.Errorf("%s answered otherwise than by 2.05: %v", m.name, r.Codes)
	}
	return nil
}

// rounds measures all in turn, beginning with another each round.
func (s *settings) takeRounds(ctx context.Context, all []*measured) error {
	for _, m := range all { // warm up
		if _, err := m.load.Run(ctx, s.duration/2, 0); err != nil {
			return err
		}
	}
	for round := range s.rounds {
		for i := range all {
			if err := all[(round+i)%len(all)].take(ctx, s.duration, 0); err != nil {
				return err
			}
		}
	}
	return nil
}

func closedLoop(ports, window int) func(context.Context, *settings, *table) error {
	return func(ctx context.Context, s *settings, t *table) error {
		return s.servers(ctx, t, 1.25, func(c *load.Config) { c.Ports, c.Window = ports, window })
	}
}

func openLoop(rate float64) func(context.Context, *settings, *table) error {
	return func(ctx context.Context, s *settings, t *table) error {
		return s.servers(ctx, t, 1.35, func(c *load.Config) { c.Ports, c.Rate = 64, rate })
	}
}

// servers measures all servers under one load.
func (s *settings) servers(ctx context.Context, t *table, mark float64, setup func(*load.Config)) error {
	all, err := s.begin(ctx, contestants, setup)
	if err != nil {
		return err
	}
	defer end(all)
	if err := s.takeRounds(ctx, all); err != nil {
		return err
	}
	t.compare(all, mark)
	return nil
}

// compare makes the table: the first contestant is the measure of the others.
func (t *table) compare(all []*measured, mark float64) {
	t.head = []string{"server", "CPU per request, µs", "× echo", "requests/s", "× echo", "p50, µs", "p99, µs", "sent again", "lost"}
	base := all[0]
	for _, m := range all {
		cost, rate := spreadOf(ratios(m.cost, base.cost)), spreadOf(ratios(m.rate, base.rate))
		costs, rates := cost.String(), rate.String()
		if m == base {
			costs, rates = "1", "1"
		}
		t.add(m.name, spreadOf(m.cost).String(), costs, spreadOf(m.rate).String(), rates,
			spreadOf(m.median).String(), spreadOf(m.late99).String(),
			fmt.Sprint(m.total.Retransmissions), fmt.Sprint(m.total.TimedOut+m.total.Unanswered+m.total.Skipped))
		if m.name == ourName {
			t.note("CPU %s × echo; %s.", cost, verdict(cost, mark, false))
			if base.total.Latency.Count() > 0 && mark == 1.25 {
				t.note("Requests/s %s × echo; %s.", rate, verdict(rate, 0.9, true))
			}
		}
	}
}
