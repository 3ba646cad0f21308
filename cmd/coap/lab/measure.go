package lab

import (
	"context"
	"math"
	"math/rand/v2"
	"time"
)

// NotifyInterval is the [coap.Server.NotifyInterval] that the node needs: with the usual
// 3 s an observer would miss measurements, which are taken every second at the most.
const NotifyInterval = 100 * time.Millisecond

// A walk is how a measured value goes up and down.
type walk struct {
	home    float64 // the value it wanders about
	spread  float64 // it turns back at home ± spread
	perUnit float64 // the sensor's resolution is 1/perUnit
}

var (
	temperatureWalk = walk{home: 21.5, spread: 3, perUnit: 10}
	humidityWalk    = walk{home: 47, spread: 12, perUnit: 1}
)

// next returns the value after v: another one, one to three steps of the resolution away.
func (w walk) next(v float64, rng *rand.Rand) float64 {
	steps := float64(1 + rng.IntN(3))
	up := 0.5 + (w.home-v)/(2*w.spread) // the probability
	if rng.Float64() >= up {
		steps = -steps
	}
	return math.Round(v*w.perUnit+steps) / w.perUnit
}

// Run measures temperature and humidity once in each interval of /config, and tells the
// observers, until the context ends. The values are the same in each run.
func (n *Node) Run(ctx context.Context) {
	rng := rand.New(rand.NewPCG(1, 1))
	last := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		timer.Reset(time.Until(last.Add(n.interval())))
		select {
		case <-ctx.Done():
			return
		case <-n.reconfigured:
		case <-timer.C:
			last = time.Now()
			n.measure(rng)
		}
	}
}

func (n *Node) measure(rng *rand.Rand) {
	n.mu.Lock()
	n.temperature = temperatureWalk.next(n.temperature, rng)
	n.humidity = humidityWalk.next(n.humidity, rng)
	n.mu.Unlock()
	n.temperatureSubject.Notify()
	n.humiditySubject.Notify()
}

// interval is the time between two measurements.
func (n *Node) interval() time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	return time.Duration(n.config.Interval) * time.Second
}

// configure takes another configuration. The time to the next measurement counts from
// the last one.
func (n *Node) configure(change func(*config)) {
	n.mu.Lock()
	change(&n.config)
	n.mu.Unlock()
	select {
	case n.reconfigured <- struct{}{}:
	default: // Run has yet to look, and will find this one
	}
}
