package coap

import (
	"net/netip"
	"testing"
	"time"

	"github.com/motewire/coap/peer"
)

// What is served is never more than a bucket allows, and a client that keeps to the times it is
// told is served each time: against a bucket that is filled drop by drop.
func TestMeterIsABucket(t *testing.T) {
	for _, rate := range []Rate{{PerSecond: 1}, {PerSecond: 10, Burst: 3}, {PerSecond: 0.1, Burst: 5}, {PerSecond: 100}} {
		m := newMeter(rate, 10)
		now := time.Unix(1e9, 0)
		a := endpointAt(1)
		burst := float64(max(rate.Burst, 1))
		if rate.Burst == 0 {
			burst = max(1, rate.PerSecond)
		}
		tokens, served := burst, 0
		for i := range 2000 {
			wait := m.wait(now, a)
			if (wait == 0) != (tokens > 1-1e-6) {
				t.Fatalf("%v: request %d: wait %v with %g tokens", rate, i, wait, tokens)
			}
			step := time.Duration(i%7) * m.interval / 5
			if wait == 0 {
				m.count(now, a)
				tokens--
				served++
			} else if i%3 == 0 {
				if step = wait; m.wait(now.Add(wait), a) != 0 || m.wait(now.Add(wait-1), a) == 0 {
					t.Fatalf("%v: %v is not the time to wait", rate, wait)
				}
			}
			now = now.Add(step)
			tokens = min(burst, tokens+step.Seconds()*rate.PerSecond)
		}
		if served == 0 || served == 2000 {
			t.Errorf("%v: %d of 2000 served", rate, served)
		}
	}
}

// The tables are bounded, and give back all when time has passed.
func TestMeterIsBounded(t *testing.T) {
	m := newMeter(Rate{PerSecond: 1, Burst: 2}, 100)
	now := time.Unix(1e9, 0)
	for i := range 1000 {
		for range 2 {
			if a := endpointAt(i); m.wait(now, a) == 0 {
				m.count(now, a)
			} else {
				t.Fatal("refused within its burst")
			}
		}
		if a := endpointAt(i); m.wait(now, a) == 0 {
			t.Fatal("served beyond its burst")
		}
		if n := len(m.tables[0]) + len(m.tables[1]); n > 100 {
			t.Fatalf("%d entries", n)
		}
	}
	if m.age(now.Add(4 * time.Second)); len(m.tables[0])+len(m.tables[1]) != 0 {
		t.Error("entries of full buckets are kept")
	}
}

func TestNetworkOf(t *testing.T) {
	for _, test := range []struct {
		bits4, bits6  int
		address, want string
	}{
		{0, 0, "192.0.2.77:5683", "192.0.2.0:0"},
		{0, 0, "[2001:db8:1:2:3:4:5:6]:5683", "[2001:db8:1:2::]:0"},
		{0, 0, "[fe80::1%1]:5683", "[fe80::]:0"},
		{32, 128, "192.0.2.77:5683", "192.0.2.77:0"},
		{32, 128, "[2001:db8::6]:5683", "[2001:db8::6]:0"},
		{9, 49, "10.255.2.77:5683", "10.128.0.0:0"},
		{9, 49, "[2001:db8:1:ffff::]:5683", "[2001:db8:1:8000::]:0"},
	} {
		l := newLimiter(RateLimit{Bits4: test.bits4, Bits6: test.bits6}, 1)
		if got := l.network(peer.From(netip.MustParseAddrPort(test.address))); got.String() != test.want {
			t.Errorf("%s: %v, want %s", test.address, got, test.want)
		}
	}
}

func TestRateLimitIsChecked(t *testing.T) {
	for _, wrong := range []RateLimit{
		{Peer: Rate{PerSecond: -1}}, {Prefix: Rate{PerSecond: 1e10}}, {Peer: Rate{PerSecond: 1e-9}},
		{Peer: Rate{PerSecond: 1, Burst: -1}}, {Peer: Rate{PerSecond: 1e-3, Burst: 1e9}}, {Bits4: 33}, {Bits6: 129}, {Bits4: -1},
	} {
		if wrong.validate() == nil {
			t.Errorf("%+v passes", wrong)
		}
	}
	if err := (RateLimit{Peer: Rate{PerSecond: 0.5}, Prefix: Rate{PerSecond: 1e6, Burst: 10}, Bits4: 16, Bits6: 56}).validate(); err != nil {
		t.Error(err)
	}
}
