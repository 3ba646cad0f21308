package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/motewire/coap/internal/load"
	"github.com/motewire/coap/message"
)

// million is how many peers the rows about many peers have.
const million = 1_000_000

// big is this library's server with the budget of memory for many peers.
func big(ctx context.Context, s *settings) (*process, error) {
	return startChild(ctx, "server", "-sockets", strconv.Itoa(s.sockets), "-dedup", strconv.Itoa(256<<20), "-profile", s.profile)
}

// neverSeen compares clients that come once with clients that come again, on the same
// server and from as many source ports.
func neverSeen(ctx context.Context, s *settings, t *table) error {
	t.head = []string{"server", "warm clients, µs", "new clients, µs", "new ÷ warm"}
	for _, c := range []contestant{contestants[0], {ourName, big}} {
		p, err := c.start(ctx, s)
		if err != nil {
			return err
		}
		defer p.stop()
		warm, err := fromSources(ctx, p, c.name, 1024)
		if err != nil {
			return err
		}
		defer warm.load.Close()
		fresh, err := fromSources(ctx, p, c.name, 2*million)
		if err != nil {
			return err
		}
		defer fresh.load.Close()
		each := million / s.rounds
		for range s.rounds {
			if err := errors.Join(warm.take(ctx, 0, each), fresh.take(ctx, 0, each)); err != nil {
				return err
			}
		}
		r := spreadOf(ratios(fresh.cost, warm.cost))
		t.add(c.name, spreadOf(warm.cost).String(), spreadOf(fresh.cost).String(), r.String())
		if c.name == ourName {
			t.note("%d clients came, each for the first time; %s.", fresh.total.Answered, verdict(r, 1.1, false))
			if err := t.remembered(p); err != nil {
				return err
			}
		}
	}
	t.note("The echo shows the kernel's share: a new client's address misses its caches as well.")
	return nil
}

// remembered notes what a server of this library remembers.
func (t *table) remembered(p *process) error {
	line, err := p.ask("stats")
	if err != nil {
		return err
	}
	var n, bytes float64
	if _, err := fmt.Sscan(line, &n, &bytes); err != nil {
		return fmt.Errorf("%q: %w", line, err)
	}
	rss, err := p.rss()
	if err != nil {
		return err
	}
	each := bytes / n
	t.note("%.0f exchanges are remembered in %.0f bytes, %.0f each; %s. The process has %d MiB resident.",
		n, bytes, each, verdict(spread{each, each, each}, 128, false), rss>>20)
	return nil
}

// fromSources makes load from so many source addresses.
func fromSources(ctx context.Context, p *process, name string, sources int) (*measured, error) {
	m := &measured{name: name, process: p, echo: name == echoName}
	cfg := request(p, m.echo)
	cfg.Ports, cfg.Window, cfg.Sources = 2, 256, sources
	var err error
	m.load, err = load.New(ctx, cfg)
	return m, err
}

// remembered compares a server that remembers a million peers with one that has just
// begun, under the same load of a few clients.
func remembered(ctx context.Context, s *settings, t *table) error {
	full, err := big(ctx, s)
	if err != nil {
		return err
	}
	defer full.stop()
	crowd, err := fromSources(ctx, full, ourName, million)
	if err != nil {
		return err
	}
	defer crowd.load.Close()
	if err := crowd.take(ctx, 0, million); err != nil {
		return err
	}
	if err := t.remembered(full); err != nil {
		return err
	}
	after := &measured{name: ourName, process: full}
	if err := after.warm(ctx); err != nil {
		return err
	}
	defer after.load.Close()
	before := new(measured)
	for range s.rounds {
		empty, err := big(ctx, s)
		if err != nil {
			return err
		}
		m := &measured{name: ourName, process: empty}
		err = m.warm(ctx)
		if err == nil {
			err = errors.Join(m.take(ctx, s.duration, 0), after.take(ctx, s.duration, 0))
			m.load.Close()
		}
		empty.stop()
		if err != nil {
			return err
		}
		before.cost = append(before.cost, m.cost...)
	}
	r := spreadOf(ratios(after.cost, before.cost))
	t.head = []string{"server", "none before, µs", "1,000,000 peers remembered, µs", "ratio"}
	t.add(ourName, spreadOf(before.cost).String(), spreadOf(after.cost).String(), r.String())
	t.note("64 source ports × window 16; %s.", verdict(r, 1.2, false))
	return nil
}

// warm gives a server the load of 64 × 16 for a moment.
func (m *measured) warm(ctx context.Context) (err error) {
	cfg := request(m.process, false)
	cfg.Ports, cfg.Window = 64, 16
	if m.load, err = load.New(ctx, cfg); err != nil {
		return err
	}
	_, err = m.load.Run(ctx, 0, 20_000)
	return err
}

// slowBeside measures a quick resource with and without 1,000 requests under way to one
// that takes a second.
func slowBeside(ctx context.Context, s *settings, t *table) error {
	p, err := contestants[1].start(ctx, s)
	if err != nil {
		return err
	}
	defer p.stop()
	cfg := request(p, false)
	cfg.Options = []message.Option{{Number: message.URIPath, Value: []byte("slow")}}
	cfg.Ports, cfg.Window = 10, 100
	slow, err := load.New(ctx, cfg)
	if err != nil {
		return err
	}
	defer slow.Close()
	alone, beside := &measured{name: ourName, process: p}, &measured{name: ourName, process: p}
	cfg = request(p, false)
	cfg.Ports, cfg.Rate = 8, 2000
	if alone.load, err = load.New(ctx, cfg); err != nil {
		return err
	}
	defer alone.load.Close()
	beside.load = alone.load
	d := max(s.duration, 1500*time.Millisecond) // a whole life of the slow requests
	slowly := new(load.Result)
	for range s.rounds {
		if err := alone.take(ctx, d, 0); err != nil {
			return err
		}
		under, stop := context.WithCancel(ctx)
		done := make(chan error, 1)
		go func() {
			r, err := slow.Run(under, 0, 0)
			slowly.Add(r)
			done <- err
		}()
		err := beside.take(ctx, d, 0)
		stop()
		if err = errors.Join(err, <-done); err != nil {
			return err
		}
	}
	t.head = []string{"quick requests, 2,000/s", "p50, µs", "p99, µs", "requests/s"}
	for _, m := range []struct {
		name string
		*measured
	}{{"alone", alone}, {"beside the slow ones", beside}} {
		t.add(m.name, spreadOf(m.median).String(), spreadOf(m.late99).String(), spreadOf(m.rate).String())
	}
	r := spreadOf(ratios(beside.median, alone.median))
	t.note("p50 %s × without; %s. %d slow requests were answered, %d of %d separately, %d lost.", r, verdict(r, 1.2, false),
		slowly.Answered, slowly.Separate, slowly.Sent, slowly.TimedOut+slowly.Unanswered)
	return nil
}

const observers = 10_000

// notify compares notifications with as many datagrams of the same length by sendmmsg.
func notify(ctx context.Context, s *settings, t *table) error {
	p, err := contestants[1].start(ctx, s)
	if err != nil {
		return err
	}
	defer p.stop()
	raw, err := startChild(ctx, "blast", "-count", strconv.Itoa(observers))
	if err != nil {
		return err
	}
	defer raw.stop()
	cfg := request(p, false)
	cfg.Options = []message.Option{{Number: message.Observe}, {Number: message.URIPath, Value: []byte("state")}}
	cfg.Window, cfg.Sources, cfg.Observing = 64, observers, true
	g, err := load.New(ctx, cfg)
	if err != nil {
		return err
	}
	defer g.Close()
	r, err := g.Run(ctx, 0, observers)
	if err != nil || r.Code(message.Content) != observers {
		return errors.Join(err, fmt.Errorf("%d of %d registrations answered", r.Answered, observers))
	}
	const notification = 24 // bytes: header, token, Observe, Content-Format, marker, payload
	blast := fmt.Sprintf("%d %d", g.SourcePorts()[0], notification)
	var ours, floor []float64
	for round := range s.rounds + 1 {
		b, err := burst(raw, g, blast)
		if err != nil {
			return err
		}
		n, err := burst(p, g, fmt.Sprintf("state-%04d", round))
		if err != nil {
			return err
		}
		if round > 0 { // the first one warms up
			ours, floor = append(ours, n), append(floor, b)
		}
	}
	ratio := spreadOf(ratios(ours, floor))
	t.head = []string{"", "CPU per notification, µs", "× sendmmsg"}
	t.add("sendmmsg of 64", spreadOf(floor).String(), "1")
	t.add(ourName, spreadOf(ours).String(), ratio.String())
	t.note("%s.", verdict(ratio, 1.25, false))
	return nil
}

// burst has a process send to all observers, and returns its CPU time per datagram in µs.
func burst(p *process, g *load.Generator, line string) (float64, error) {
	heard := g.Heard()
	before, err := p.cpu()
	if err != nil {
		return 0, err
	}
	if _, err := p.ask(line); err != nil {
		return 0, err
	}
	got := uint64(0)
	for range 400 { // 2 s
		if got = g.Heard() - heard; got >= observers {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	if got < observers*99/100 {
		return 0, fmt.Errorf("%d of %d datagrams came after %q", got, observers, line)
	}
	time.Sleep(20 * time.Millisecond) // what the sender has left to do
	after, err := p.cpu()
	return float64(after-before) / 1e3 / observers, err
}

// idle looks at a server that has answered some requests and has nothing to do.
func idle(ctx context.Context, s *settings, t *table) error {
	p, err := contestants[1].start(ctx, s)
	if err != nil {
		return err
	}
	defer p.stop()
	fresh, err := p.rss()
	if err != nil {
		return err
	}
	if err := await(ctx, p.addr, false); err != nil {
		return err
	}
	const rest, watched = 5 * time.Second, 20 * time.Second
	time.Sleep(rest)
	_, before, err := p.schedstat()
	if err != nil {
		return err
	}
	time.Sleep(watched)
	_, after, err := p.schedstat()
	if err != nil {
		return err
	}
	rss, err := p.rss()
	mib := float64(rss) / (1 << 20)
	t.note("%d wake-ups in %v, %v after the last request. Resident: %.1f MiB at the start, %.1f MiB then; %s.",
		after-before, watched, rest, float64(fresh)/(1<<20), mib, verdict(spread{mib, mib, mib}, 10, false))
	t.note("The process is the benchmark's own, with the code of the other contestants linked in.")
	return err
}

// clients compares this library's client with one that only sends and reads.
func clients(ctx context.Context, s *settings, t *table) error {
	peers, err := startChild(ctx, "respond")
	if err != nil {
		return err
	}
	defer peers.stop()
	var cost [2][]float64
	var all [2]*process
	for i, role := range []string{"raw-client", "client"} {
		if all[i], err = startChild(ctx, role, "-count", "1000", "-to", peers.addr.String()); err != nil {
			return err
		}
		defer all[i].stop()
	}
	for round := range s.rounds + 1 {
		for i, p := range all {
			before, err := p.cpu()
			if err != nil {
				return err
			}
			line, err := p.ask(s.duration.String())
			if err != nil {
				return err
			}
			after, err := p.cpu()
			if err != nil {
				return err
			}
			answered, err := strconv.Atoi(strings.TrimSpace(line))
			if want := int(clientRate * s.duration.Seconds()); err != nil || answered < want*99/100 {
				return fmt.Errorf("%d of %d answered: %q", answered, want, line)
			}
			if round > 0 { // the first one warms up
				cost[i] = append(cost[i], float64(after-before)/1e3/float64(answered))
			}
		}
	}
	r := spreadOf(ratios(cost[1], cost[0]))
	t.head = []string{"client", "CPU per request, µs", "× raw"}
	t.add("raw client in Go", spreadOf(cost[0]).String(), "1")
	t.add(ourName, spreadOf(cost[1]).String(), r.String())
	t.note("Requests are due %d at a time, each millisecond; %s.", clientRate/1000, verdict(r, 2, false))
	return nil
}
