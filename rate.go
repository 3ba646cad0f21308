package coap

import (
	"fmt"
	"time"

	"github.com/motewire/coap/message"
	"github.com/motewire/coap/peer"
)

// A RateLimit bounds how many requests a server serves for those who ask often: beyond, they
// get 4.29 with the time to wait as Max-Age (RFC 8516). Every message with a request counts, and so
// does each block of a body; duplicates don't. Each socket of a server says so a thousand times
// a second, and drops what is beyond. The zero value limits nobody.
type RateLimit struct {
	// Peer is the rate of one client endpoint, Prefix that of all in one network.
	Peer, Prefix Rate
	// Bits4 and Bits6 are how many bits of an IPv4 or IPv6 address are its network's. 0 means
	// 24 and 64.
	Bits4, Bits6 int
}

// A Rate is how many requests a second are served in the long run, and how many at once. The
// zero value is no limit.
type Rate struct {
	PerSecond float64
	// Burst is how many requests may come at once after a rest. 0 means those of one second,
	// and one at least.
	Burst int
}

// refusing is how often a 4.29 is sent: "The server SHOULD rate-limit 4.29 replies" (RFC 8516
// §3). It is one bucket for all, as who floods a server comes from anywhere.
var refusing = Rate{PerSecond: 1000}

// maxRest is the longest time in which a bucket may fill.
const maxRest = 365 * 24 * time.Hour

func (r RateLimit) validate() error {
	for _, rate := range []Rate{r.Peer, r.Prefix} {
		if !(rate.PerSecond >= 0 && rate.PerSecond <= 1e9) || rate.Burst < 0 ||
			rate.PerSecond > 0 && float64(max(rate.Burst, 1))/rate.PerSecond > maxRest.Seconds() {
			return fmt.Errorf("coap: Server.RateLimit: %g requests a second, %d at once", rate.PerSecond, rate.Burst)
		}
	}
	if r.Bits4 < 0 || r.Bits4 > 32 || r.Bits6 < 0 || r.Bits6 > 128 {
		return fmt.Errorf("coap: Server.RateLimit: networks of %d and %d bits", r.Bits4, r.Bits6)
	}
	return nil
}

// A limiter holds the rates of a shard's clients. The shard's lock owns it.
type limiter struct {
	peers, networks, refusals meter
	bits4, bits6              int
}

func newLimiter(r RateLimit, entries int) limiter {
	orDefault(&r.Bits4, 24)
	orDefault(&r.Bits6, 64)
	return limiter{
		peers: newMeter(r.Peer, entries), networks: newMeter(r.Prefix, entries), refusals: newMeter(refusing, entries),
		bits4: r.Bits4, bits6: r.Bits6,
	}
}

// admit counts a request, or returns after what time it would be served. silent: there have
// been too many of these to answer.
func (l *limiter) admit(now time.Time, from peer.Addr) (wait time.Duration, silent bool) {
	from = from.Remote()
	network := l.network(from)
	if wait = max(l.peers.wait(now, from), l.networks.wait(now, network)); wait == 0 {
		l.peers.count(now, from)
		l.networks.count(now, network)
		return 0, false
	}
	all := peer.Addr{}
	if silent = l.refusals.wait(now, all) > 0; !silent {
		l.refusals.count(now, all)
	}
	return wait, silent
}

// limits reports whether there is a limit at all.
func (l *limiter) limits() bool { return l.peers.interval > 0 || l.networks.interval > 0 }

// network returns what stands for an endpoint's network.
func (l *limiter) network(a peer.Addr) peer.Addr {
	ip, from := a.Bytes(), l.bits6
	if a.Is4() {
		from = 96 + l.bits4
	}
	for i := range ip {
		ip[i] &^= byte(0xff) >> max(0, min(8, from-8*i))
	}
	return peer.FromBytes(&ip, 0, 0)
}

// A meter is a token bucket for each key. A bucket is one number: when, had requests come
// evenly, the next one would (the generic cell rate algorithm). A bucket that is full again
// needs no entry: entries lie in two tables without pointers, of which the older one goes when
// all its buckets are full, or when the newer has its share of the limit.
type meter struct {
	interval  time.Duration // between two requests in the long run; 0: no limit
	tolerance time.Duration // how far a bucket may be ahead of its time
	entries   int

	zero   time.Time                      // what times count from
	began  time.Time                      // when the newer table did
	tables [2]map[peer.Addr]time.Duration // the newer, the older
}

func newMeter(r Rate, entries int) meter {
	if r.PerSecond == 0 {
		return meter{}
	}
	orDefault(&r.Burst, max(1, int(r.PerSecond)))
	interval := time.Duration(float64(time.Second) / r.PerSecond)
	return meter{interval: interval, tolerance: time.Duration(r.Burst-1) * interval, entries: entries}
}

// wait returns after what time a request with a key is within its rate; 0: now.
func (m *meter) wait(now time.Time, key peer.Addr) time.Duration {
	if m.interval == 0 {
		return 0
	}
	m.age(now)
	next, ok := m.tables[0][key]
	if !ok {
		next = m.tables[1][key]
	}
	return max(0, next-now.Sub(m.zero)-m.tolerance)
}

// count counts a request, for which wait has returned 0.
func (m *meter) count(now time.Time, key peer.Addr) {
	if m.interval == 0 {
		return
	}
	next := max(now.Sub(m.zero), m.tables[0][key], m.tables[1][key]) + m.interval
	if _, ok := m.tables[0][key]; !ok && len(m.tables[0]) >= max(m.entries/2, 1) {
		m.begin(now)
	}
	m.tables[0][key] = next
}

// age forgets the buckets that are full.
func (m *meter) age(now time.Time) {
	switch full := m.tolerance + m.interval; {
	case m.tables[0] == nil:
		m.zero = now
		m.begin(now)
	case now.Sub(m.began) >= 2*full:
		m.tables[0] = nil
		m.begin(now)
	case now.Sub(m.began) >= full:
		m.begin(now)
	}
}

// begin begins another table.
func (m *meter) begin(now time.Time) {
	m.began = now
	m.tables[0], m.tables[1] = map[peer.Addr]time.Duration{}, m.tables[0]
}

// tooMany answers a request beyond its rate (RFC 8516 §3).
func (x *exchange) tooMany() {
	x.shard.core.stats.limited.Add(1)
	if x.silent {
		x.fate = drop
		return
	}
	x.SetCode(message.TooManyRequests)
	x.SetMaxAge((x.wait + time.Second - 1).Truncate(time.Second))
}
