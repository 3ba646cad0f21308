package lab

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/coaptest"
	"github.com/motewire/coap/linkformat"
	"github.com/motewire/coap/message"
)

// measuring runs a test in virtual time against a node that measures.
func measuring(t *testing.T, f func(t *testing.T, s *coaptest.Server)) {
	coaptest.Run(t, func(t *testing.T) {
		n := New()
		s := coaptest.NewUnstartedServer(n.Mux())
		s.Config.NotifyInterval = NotifyInterval
		s.Start()
		defer s.Close()
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { n.Run(ctx) })
		defer running.Wait()
		defer stop()
		f(t, s)
	})
}

// An arrival is a state that an observer got.
type arrival struct {
	after time.Duration // since the observation began
	kind  message.Type
	value string
	age   time.Duration
}

// observe returns the first states of a resource. It may be called from any goroutine.
func observe(t *testing.T, c *coap.Client, url string, count int) (got []arrival) {
	began := time.Now()
	for resp, err := range c.Observe(t.Context(), url) {
		if err != nil {
			t.Error(url, err)
			return got
		}
		got = append(got, arrival{time.Since(began), resp.Message().Type(), string(resp.Payload()), resp.MaxAge()})
		if len(got) == count {
			break
		}
	}
	return got
}

// Both values change every 2 s, and an observer of both gets every one of them, each 5th
// notification in a Confirmable message (RFC 7641 §4.5).
func TestMeasurementsAreObserved(t *testing.T) {
	measuring(t, func(t *testing.T, s *coaptest.Server) {
		s.Client() // made once, before it is shared
		var both sync.WaitGroup
		for _, path := range []string{"/temperature", "/humidity"} {
			both.Go(func() {
				for i, a := range observe(t, s.Client(), s.URL+path, 12) {
					want := message.NonConfirmable
					if i == 0 {
						want = message.Acknowledgement
					} else if i%5 == 0 {
						want = message.Confirmable
					}
					due := time.Duration(i) * 2 * time.Second
					if a.kind != want || a.after < due || a.after > due+NotifyInterval || a.age != 2*time.Second {
						t.Errorf("%s %d: %+v, want a %v at %v", path, i, a, want, due)
					}
				}
			})
		}
		both.Wait()
	})
}

// What a client puts is told at once, and the walk goes on from there.
func TestPutIsObserved(t *testing.T) {
	measuring(t, func(t *testing.T, s *coaptest.Server) {
		s.Client()
		var got []arrival
		var observing sync.WaitGroup
		observing.Go(func() { got = observe(t, s.Client(), s.URL+"/temperature", 3) })
		time.Sleep(time.Second)
		step{method: message.PUT, path: "/temperature", body: coap.Text("80"), code: message.Changed}.run(t, s)
		observing.Wait()
		if len(got) != 3 || got[1].value != "80" || got[1].after != time.Second || got[2].after != 2*time.Second {
			t.Fatalf("%+v", got)
		}
		if v, err := strconv.ParseFloat(got[2].value, 64); err != nil || v < 79.7 || v > 79.9 {
			t.Errorf("after 80 comes %s", got[2].value)
		}
	})
}

// The interval of the configuration is that of the measurements, from the last one on.
func TestIntervalIsObeyed(t *testing.T) {
	measuring(t, func(t *testing.T, s *coaptest.Server) {
		s.Client()
		var got []arrival
		var observing sync.WaitGroup
		observing.Go(func() { got = observe(t, s.Client(), s.URL+"/humidity", 4) })
		time.Sleep(time.Second / 2)
		step{method: message.PUT, path: "/config/interval", body: coap.Text("7"), code: message.Changed}.run(t, s)
		time.Sleep(10 * time.Second)
		step{method: message.PUT, path: "/config/interval", body: coap.Text("1"), code: message.Changed}.run(t, s)
		observing.Wait()
		var at []time.Duration
		for _, a := range got {
			at = append(at, a.after)
		}
		second := time.Second
		if want := []time.Duration{0, 7 * second, 10*second + second/2, 11*second + second/2}; !slices.Equal(at, want) {
			t.Errorf("at %v, want %v", at, want)
		}
	})
}

// Whatever a client has put, the values come home and stay there, within the sensor's
// range and resolution, and each is another one than that before.
func TestWalks(t *testing.T) {
	for _, start := range []float64{coldest, -3.256, 21.5, hottest} {
		rng := rand.New(rand.NewPCG(1, 2))
		v := start
		for i := range 10_000 {
			next := temperatureWalk.next(v, rng)
			switch {
			case next == v, next < coldest, next > hottest:
				t.Fatalf("from %v: %v after %v", start, next, v)
			case math.Abs(next-v) > 0.36:
				t.Fatalf("from %v: %v after %v is a leap", start, next, v)
			case formatValue(next) != fmt.Sprint(math.Round(next*10)/10):
				t.Fatalf("from %v: %v has a finer resolution", start, next)
			case i > 2000 && math.Abs(next-21.5) > 3.3:
				t.Fatalf("from %v: %v away from home", start, next)
			}
			v = next
		}
	}
}

// Two nodes measure the same.
func TestNodesAreAlike(t *testing.T) {
	var runs [2][]arrival
	for i := range runs {
		measuring(t, func(t *testing.T, s *coaptest.Server) {
			runs[i] = observe(t, s.Client(), s.URL+"/temperature", 20)
		})
	}
	if !slices.Equal(runs[0], runs[1]) {
		t.Errorf("%v and %v", runs[0], runs[1])
	}
}

// RFC 7641 §6: obs says that a resource is useful for observation.
func TestObservablesAreDiscovered(t *testing.T) {
	s := start(t)
	all := step{method: message.GET, path: "/.well-known/core", code: message.Content, want: "<…"}.run(t, s)
	links, err := linkformat.Parse(all.Payload())
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		_, obs := l.Attribute("obs")
		if want := l.Target == "/temperature" || l.Target == "/humidity"; obs != want {
			t.Errorf("%s: obs %v, want %v", l.Target, obs, want)
		}
	}
}

// A node that stops measuring leaves no goroutine behind.
func TestRunEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		n := New()
		began := time.Now()
		n.Run(ctx)
		if d := time.Since(began); d != time.Minute || n.temperature == temperatureWalk.home && n.humidity == humidityWalk.home {
			t.Errorf("after %v: %v °C, %v %%", d, n.temperature, n.humidity)
		}
	})
}
