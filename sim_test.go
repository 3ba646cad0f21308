package coap_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"
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
	for range runtime.GOMAXPROCS(0) {
		t.Run("worker", func(t *testing.T) {
			t.Parallel()
			for !t.Failed() {
				i := next.Add(1) - 1
				if i >= int64(seeds) {
					return
				}
				simulate(t, *simSeed+uint64(i))
			}
		})
	}
}

// simPatience is how long, on the clock on the wall, a scenario may take that lasts for
// milliseconds: a loop in which no virtual time passes would be silent otherwise.
const simPatience = 2 * time.Minute

// simulate runs the scenario of a seed.
func simulate(t *testing.T, seed uint64) {
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
		if len(w.broken) == 0 {
			return
		}
		var transcript bytes.Buffer
		w.transcript(&transcript)
		t.Errorf("seed %d:\n%s\n%v\n%s\n%s", seed, strings.Join(w.broken, "\n"), w.simScenario, transcript.String(), strings.Join(w.broken, "\n"))
	})
	ended = true
}
