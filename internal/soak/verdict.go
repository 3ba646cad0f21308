package main

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"time"
)

// A sample is what the process and the server hold at one moment.
type sample struct {
	at                   time.Duration // since the load began
	heap                 uint64        // bytes in use after a collection of garbage
	goroutines           int
	files                int // open file descriptors, 0 where the system does not tell
	requests, failed     uint64
	hostile              uint64
	observers, transfers int // at the server
	remembered           int // messages, by the server
	exchanges            int // open ones of the server
}

const header = `| time | heap (KiB) | goroutines | files | requests | failed | hostile | observers | transfers | remembered | exchanges |
|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|
`

// String returns the sample as a line of the table.
func (s sample) String() string {
	return fmt.Sprintf("| %v | %d | %d | %d | %d | %d | %d | %d | %d | %d | %d |", s.at.Round(time.Second), s.heap>>10, s.goroutines, s.files,
		s.requests, s.failed, s.hostile, s.observers, s.transfers, s.remembered, s.exchanges)
}

// take takes a sample, of a site where there is one.
func take(s *site) (one sample) {
	runtime.GC()
	runtime.GC() // what finalizers and pools have let go
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	one.heap, one.goroutines = memory.HeapAlloc, runtime.NumGoroutine()
	if files, err := os.ReadDir("/proc/self/fd"); err == nil {
		one.files = len(files)
	}
	if s == nil {
		return one
	}
	n := s.server.Stats()
	one.requests, one.failed, one.hostile = s.done.Load(), s.failed.Load(), s.hostile.Load()
	one.observers, one.transfers = n.Observations.Observers, n.Uploads.Transfers+n.Uploads.Finished+n.Responses.Snapshots
	one.remembered, one.exchanges = n.Messages.Remembered, n.Messages.OpenExchanges
	return one
}

// A series is one column of the samples, and how much more the last third of a run may have
// than the first: a share, and a number on top. What is held goes up and down with the load
// that the machine lets through; what leaks goes up alone.
type series struct {
	name  string
	of    func(sample) float64
	share float64
	more  float64
}

var growing = []series{
	{"heap", func(s sample) float64 { return float64(s.heap) }, 0.10, 1 << 20},
	{"goroutines", func(s sample) float64 { return float64(s.goroutines) }, 0.10, 20},
	{"files", func(s sample) float64 { return float64(s.files) }, 0.10, 5},
	{"observers", func(s sample) float64 { return float64(s.observers) }, 0.25, 20},
	{"transfers", func(s sample) float64 { return float64(s.transfers) }, 0.25, 20},
	{"remembered messages", func(s sample) float64 { return float64(s.remembered) }, 0.25, 1000},
	{"open exchanges", func(s sample) float64 { return float64(s.exchanges) }, 0.25, 50},
}

// judge compares the median of the last third of the samples with what nine in ten of the
// first third do not exceed, those of the warm-up left out.
func judge(samples []sample, warmUp time.Duration) (problems []string) {
	first := slices.IndexFunc(samples, func(s sample) bool { return s.at >= warmUp })
	if first < 0 || len(samples)-first < 9 {
		return []string{fmt.Sprintf("%d samples, with a warm-up of %v, are too few for a verdict", len(samples), warmUp)}
	}
	samples = samples[first:]
	third := len(samples) / 3
	for _, s := range growing {
		before, after := quantile(s, samples[:third], 0.9), quantile(s, samples[len(samples)-third:], 0.5)
		if after > before*(1+s.share)+s.more {
			problems = append(problems, fmt.Sprintf("%s grew: nine in ten samples of the first third have at most %.0f, half of the last third %.0f", s.name, before, after))
		}
	}
	if samples[len(samples)-1].requests == samples[0].requests {
		problems = append(problems, "requests came to a stop")
	}
	return problems
}

func quantile(s series, samples []sample, q float64) float64 {
	values := make([]float64, len(samples))
	for i, one := range samples {
		values[i] = s.of(one)
	}
	slices.Sort(values)
	return values[int(q*float64(len(values)))]
}

// left compares what the process holds after a run with what it held before. What the
// runtime keeps for itself counts as nothing.
func left(before, after sample) (problems []string) {
	if after.goroutines > before.goroutines+2 {
		problems = append(problems, fmt.Sprintf("%d goroutines are left, there were %d", after.goroutines, before.goroutines))
	}
	if after.files > before.files+4 {
		problems = append(problems, fmt.Sprintf("%d files are left open, there were %d", after.files, before.files))
	}
	return problems
}
