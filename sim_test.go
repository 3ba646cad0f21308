package coap_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/motewire/coap/coaptest"
)

var (
	simSeeds = flag.Int("seeds", 0, "how many seeds TestSimulation runs; 0: 300, with -short 50")
	simSeed  = flag.Uint64("seed", 0, "the first of them")
)

// Client and Server over a network that does what networks do, in scenarios that are each
// drawn from a seed. The rules are those of sim_checks_test.go. A failure tells the seed, the
// scenario and everything that happened; -seed N -seeds 1 runs it again.
func TestSimulation(t *testing.T) {
	seeds := *simSeeds
	if seeds == 0 {
		if seeds = 300; testing.Short() {
			seeds = 50
		}
	}
	var next atomic.Int64
	var tally simTally
	t.Run("seeds", func(t *testing.T) {
		for range runtime.GOMAXPROCS(0) {
			t.Run("worker", func(t *testing.T) {
				t.Parallel()
				for !t.Failed() {
					i := next.Add(1) - 1
					if i >= int64(seeds) {
						return
					}
					simulate(t, *simSeed+uint64(i), &tally)
				}
			})
		}
	})
	if t.Logf("%d seeds: %v", seeds, tally.counts); seeds >= 200 && !t.Failed() {
		tally.check(t)
	}
}

// A simTally counts what has happened in scenarios.
type simTally struct {
	mu     sync.Mutex
	counts map[string]int
}

func (c *simTally) add(w *simWorld) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.counts == nil {
		c.counts = map[string]int{}
	}
	for n, p := range w.plans {
		switch err := w.outcomes[n].err; {
		case err == nil:
			c.counts[p.kind.String()+" succeeded"]++
		case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
			c.counts["ended by context"]++
		default:
			c.counts[p.kind.String()+" failed"]++
		}
	}
	for fault, happened := range map[string]bool{
		"calm": w.calm(), "partition": w.partition.happens(), "restart": w.restart.happens(), "move": w.move.happens(),
		"stall": w.stall.happens(), "narrow": w.narrow(), "MTU": w.mtuKnown, "observed": len(w.views) > 0,
	} {
		if happened {
			c.counts[fault]++
		}
	}
	n := w.site.server.Stats()
	c.counts["duplicates"] += int(n.Messages.DuplicatesConfirmable + n.Messages.DuplicatesNonConfirmable)
	c.counts["retransmissions"] += int(n.Messages.Retransmissions)
	c.counts["notifications"] += int(n.Observations.Notifications)
	c.counts["uploads"] += int(n.Uploads.Completed)
}

// check fails where the scenarios leave something out, or are too easy or too hard to tell
// anything.
func (c *simTally) check(t *testing.T) {
	for kind := simPost; kind <= simPing; kind++ {
		ok, not := c.counts[kind.String()+" succeeded"], c.counts[kind.String()+" failed"]
		if ok < not || not == 0 {
			t.Errorf("%v: %d succeeded, %d failed", kind, ok, not)
		}
	}
	for _, what := range []string{
		"ended by context", "calm", "partition", "restart", "move", "stall", "narrow", "MTU", "observed",
		"duplicates", "retransmissions", "notifications", "uploads",
	} {
		if c.counts[what] == 0 {
			t.Errorf("no scenario has %q", what)
		}
	}
}

// simPatience is how long, on the clock on the wall, a scenario may take that lasts for
// milliseconds: a loop in which no virtual time passes would be silent otherwise.
const simPatience = 2 * time.Minute

// simulate runs the scenario of a seed.
func simulate(t *testing.T, seed uint64, tally *simTally) {
	alarm := time.AfterFunc(simPatience, func() { panic(fmt.Sprintf("seed %d does not end:\n%v", seed, newScenario(seed))) })
	defer alarm.Stop()
	ended := false
	defer func() {
		if !ended { // a panic, as where goroutines are left behind
			fmt.Fprintf(os.Stderr, "seed %d:\n%v\n", seed, newScenario(seed))
		}
	}()
	coaptest.Run(t, func(t *testing.T) {
		w := runScenario(t, newScenario(seed))
		if tally.add(w); len(w.broken) == 0 {
			return
		}
		var transcript bytes.Buffer
		w.transcript(&transcript)
		t.Errorf("seed %d:\n%s\n%v\n%s\n%s", seed, strings.Join(w.broken, "\n"), w.simScenario, transcript.String(), strings.Join(w.broken, "\n"))
	})
	ended = true
}

// A seed is one story, so that a failure can be looked at again: what is on the network
// when, and who sees what. One in 25 depends on which of two goroutines comes first that the
// same moment wakes; the race detector has them come in random order, and some more depend.
func TestSimulationReplays(t *testing.T) {
	const seeds = 40
	differing := 0
	for seed := range uint64(seeds) {
		var told [2]string
		for i := range told {
			coaptest.Run(t, func(t *testing.T) {
				var transcript bytes.Buffer
				runScenario(t, newScenario(seed)).transcript(&transcript)
				told[i] = transcript.String()
			})
		}
		if told[0] != told[1] {
			differing++
		}
	}
	most := seeds / 4
	if underRace() {
		most = seeds * 3 / 4
	}
	if differing > most {
		t.Errorf("%d of %d seeds tell another story when run again", differing, seeds)
	}
}
