package load

import "time"

// pace sends requests at the rate of the open loop, from one lane after the other. A
// pacer that comes late makes good for it at once.
func (g *Generator) pace(began instant) {
	defer steady()()
	interval := float64(time.Second) / g.cfg.Rate
	for n := 0; ; n++ {
		due := began + instant(float64(n)*interval)
		for now := g.now(); now < due; now = g.now() {
			g.sleep(time.Duration(min(due-now, instant(10*time.Millisecond))))
			if g.stopped.Load() {
				return
			}
		}
		k := g.ticket()
		if k == nil {
			return
		}
		g.lanes[n%len(g.lanes)].launch(g.now(), due, k)
	}
}

// launch sends one request that was due, if a slot and a message ID are free.
func (l *lane) launch(now, due instant, k *kind) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.free) == 0 || l.exhausted() {
		l.result.Skipped++
		return
	}
	l.issue(now, due, k)
	l.flush()
}
