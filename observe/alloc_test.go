package observe

import (
	"runtime"
	"testing"
	"time"
)

// A workload is one step of something done again and again; it is measured by a
// benchmark and must not allocate.
type workload struct {
	name string
	make func(testing.TB) func()
}

// crowd is how many observers the workloads notify.
const crowd = 10_000

func newCrowd(t testing.TB, cfg Config, count int) *bench {
	b := newBench(t, cfg)
	for i := range count {
		b.register(i, i, 0)
	}
	return b
}

var workloads = []workload{
	{"Register", func(t testing.TB) func() {
		b := newCrowd(t, Config{}, crowd)
		i := crowd
		return func() {
			b.r.Register(b.now, numbered(i), tokenOf(i), 0, 0)
			if _, ok := b.r.Deregister(b.now, numbered(i-crowd), tokenOf(i-crowd)); !ok {
				t.Fatal("not deregistered")
			}
			i++
		}
	}},
	{"Refresh", func(t testing.TB) func() {
		b := newCrowd(t, Config{}, crowd)
		i := 0
		return func() {
			b.r.Register(b.now, numbered(i%crowd), tokenOf(i%crowd), 0, 0)
			i++
		}
	}},
	{"Notify/non", func(t testing.TB) func() {
		b := newCrowd(t, Config{Policy: Policy{Type: NonConfirmable}}, crowd)
		i := 0
		return func() {
			if i++; i%crowd == 1 {
				b.now = b.now.Add(4 * time.Second)
				b.r.Changed(b.now, 0)
			}
			n, ok := b.r.Poll(b.now)
			if !ok || n.Confirmable {
				t.Fatalf("%d: %+v", i, n)
			}
			b.lastID++
			b.r.Sent(n.Observer, b.lastID, 0)
		}
	}},
	{"Notify/con", func(t testing.TB) func() {
		b := newCrowd(t, Config{Policy: Policy{Type: Confirmable}}, crowd)
		i := 0
		return func() {
			if i++; i%crowd == 1 {
				b.now = b.now.Add(4 * time.Second)
				b.r.Changed(b.now, 0)
			}
			n, ok := b.r.Poll(b.now)
			if !ok || !n.Confirmable {
				t.Fatalf("%d: %+v", i, n)
			}
			b.lastID++
			b.r.Sent(n.Observer, b.lastID, 1)
			b.r.Acknowledged(b.now, n.Observer)
		}
	}},
	{"Reset/unknown", func(t testing.TB) func() {
		b := newCrowd(t, Config{}, crowd)
		i := 0
		return func() {
			if _, ok := b.r.Reset(b.now, numbered(i%crowd), 1); ok {
				t.Fatal("removed")
			}
			i++
		}
	}},
	{"Changed", func(t testing.TB) func() {
		b := newCrowd(t, Config{}, crowd)
		return func() { b.r.Changed(b.now, 0) }
	}},
}

func TestSteadyStateDoesNotAllocate(t *testing.T) {
	for _, w := range workloads {
		step := w.make(t)
		for range 8 * crowd {
			step()
		}
		if n := testing.AllocsPerRun(2*crowd, step); n != 0 {
			t.Errorf("%s: %v allocations", w.name, n)
		}
	}
}

func BenchmarkRegistry(b *testing.B) {
	for _, w := range workloads {
		b.Run(w.name, func(b *testing.B) {
			step := w.make(b)
			for range 8 * crowd {
				step()
			}
			b.ReportAllocs()
			for b.Loop() {
				step()
			}
		})
	}
}

// BenchmarkNotifyAll is a change for a hundred thousand observers; ns per observer.
func BenchmarkNotifyAll(b *testing.B) {
	const count = 100_000
	bench := newCrowd(b, Config{Policy: Policy{Type: NonConfirmable}}, count)
	notified := 0
	round := func() {
		bench.now = bench.now.Add(4 * time.Second)
		bench.r.Changed(bench.now, 0)
		for {
			n, ok := bench.r.Poll(bench.now)
			if !ok {
				break
			}
			bench.lastID++
			bench.r.Sent(n.Observer, bench.lastID, 0)
			notified++
		}
	}
	for range 2 * rememberedIDs { // until all message IDs that are remembered are there
		round()
	}
	notified = 0
	b.ReportAllocs()
	for b.Loop() {
		round()
	}
	if notified != b.N*count {
		b.Fatalf("%d notifications in %d rounds", notified, b.N)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(notified), "ns/observer")
}

// heapBytes returns the live heap.
func heapBytes() int {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// fill registers count observers, each at an endpoint of its own, and sends each of them
// as many notifications as it remembers message IDs.
func fill(t testing.TB, count int) *bench {
	b := newCrowd(t, Config{MaxObservers: count, Policy: Policy{Type: NonConfirmable}}, count)
	for range rememberedIDs {
		b.now = b.now.Add(4 * time.Second)
		b.r.Changed(b.now, 0)
		for sent := 0; sent < count; sent++ {
			if _, ok := b.next(); !ok {
				t.Fatalf("%d notifications", sent)
			}
		}
	}
	return b
}

// An observer costs at most 256 bytes, at an endpoint of its own and with all that it
// remembers, and nothing is left when it is gone.
func TestMemoryPerObserver(t *testing.T) {
	for _, count := range []int{100_000, 1_000_000} {
		if count > 100_000 && testing.Short() {
			t.Skip("a million observers")
		}
		before := heapBytes()
		b := fill(t, count)
		used := heapBytes() - before
		t.Logf("%d observers: %d bytes each", count, used/count)
		if used > 256*count {
			t.Errorf("%d observers: %d bytes each", count, used/count)
		}
		for i := range count {
			b.r.Deregister(b.now, numbered(i), tokenOf(i))
		}
		if left := heapBytes() - before; left > 1<<20 {
			t.Errorf("%d bytes left after the last", left)
		}
		b.observers(0)
	}
}

func BenchmarkMemoryPerObserver(b *testing.B) {
	const count = 100_000
	for b.Loop() {
		before := heapBytes()
		bench := fill(b, count)
		b.ReportMetric(float64(heapBytes()-before)/count, "B/observer")
		runtime.KeepAlive(bench)
	}
}
