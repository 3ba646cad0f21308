package coap_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/coaptest"
	"github.com/motewire/coap/transport/simnet"
)

var rewrite = flag.Bool("update", false, "rewrite docs/numbers.md")

const (
	numbersRequests = 10_000
	numbersRTT      = 100 * time.Millisecond
	// numbersAlpha is how probable it is, for one figure of one row, that a right library
	// fails the test, were the seed drawn anew.
	numbersAlpha = 1e-6
)

// What a Confirmable request costs and brings at so much loss is what RFC 7252 §4.2 and
// §4.8 make of it, and docs/numbers.md says it.
func TestNumbers(t *testing.T) {
	var rows bytes.Buffer
	for _, percent := range []int{0, 5, 10, 20, 30, 50} {
		m := newBackoffModel(float64(percent) / 100)
		got := measure(t, uint64(percent), m.loss)
		m.compare(t, &got)
		fmt.Fprintf(&rows, "| %d %% | %.2f %% | %.2f %% | %s | %s | %s | %s | %s | %.3f | %.3f |\n", percent,
			100*float64(len(got.delays))/numbersRequests, 100*m.success(),
			seconds(got.quantile(0.5)), seconds(m.quantile(0.5)),
			seconds(got.quantile(0.99)), seconds(m.quantile(0.99)),
			seconds(got.longest), float64(got.sent)/numbersRequests, m.transmissions())
	}
	checkNumbers(t, fmt.Sprintf(numbersPage, rows.String()))
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }

// checkNumbers compares the page with what it should be, or rewrites it.
func checkNumbers(t *testing.T, want string) {
	t.Helper()
	const file = "docs/numbers.md"
	if *rewrite {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != want {
		t.Errorf("%s is not current (go test -run TestNumbers -update . makes it so): %v; want\n%s", file, err, want)
	}
}

// A measurement is how requests at one rate of loss have ended.
type measurement struct {
	delays  []time.Duration // of those that succeeded, in ascending order
	gaveUp  []time.Duration // of the others
	longest time.Duration
	sent    int // transmissions of requests
}

// measure sends requests, one behind the other, over a link that loses in both directions.
func measure(t *testing.T, seed uint64, loss float64) (m measurement) {
	setup := func(s *coaptest.Server) { s.Network = simnet.New(seed); s.Config.Foretell(seed) }
	withServer(t, say("ok"), setup, func(t *testing.T, s *coaptest.Server) {
		s.Network.SetDefault(simnet.Link{Loss: loss, Delay: numbersRTT / 2})
		c := newClient(t, s, func(c *coap.Client) { c.Foretell(seed + 1000) })
		for range numbersRequests {
			began := time.Now()
			_, err := c.Get(t.Context(), s.URL)
			took := time.Since(began)
			if m.longest = max(m.longest, took); err == nil {
				m.delays = append(m.delays, took)
				continue
			}
			if m.gaveUp = append(m.gaveUp, took); !errors.Is(err, coap.ErrTimeout) {
				t.Fatal(err)
			}
		}
		n := c.Stats().Messages
		m.sent = int(n.Transmissions + n.Retransmissions)
	})
	slices.Sort(m.delays)
	return m
}

// quantile returns the shortest delay that a share of the successful requests did not
// exceed.
func (m *measurement) quantile(share float64) time.Duration {
	return m.delays[int(math.Ceil(share*float64(len(m.delays))))-1]
}

// A backoffModel is RFC 7252 §4.2 with the parameters of §4.8: up to five transmissions,
// the first timeout T evenly spread over ACK_TIMEOUT to ACK_TIMEOUT * ACK_RANDOM_FACTOR
// (2 to 3 s), doubled each time. An attempt succeeds where neither request nor response
// is lost, whatever became of the others.
type backoffModel struct{ loss, passes float64 }

const attempts = 1 + 4 // MAX_RETRANSMIT

func newBackoffModel(loss float64) backoffModel { return backoffModel{loss, (1 - loss) * (1 - loss)} }

func (m backoffModel) success() float64 { return 1 - math.Pow(1-m.passes, attempts) }

// transmissions returns how many there are of a request on average.
func (m backoffModel) transmissions() (mean float64) {
	for k := range attempts {
		mean += math.Pow(1-m.passes, float64(k)) // number k goes out where all before it failed
	}
	return mean
}

// cdf returns which share of the successful requests takes d or less: transmission k, from
// 0, is (2^k - 1) * T after the first.
func (m backoffModel) cdf(d time.Duration) (share float64) {
	left := (d - numbersRTT).Seconds()
	for k := range attempts {
		weight := m.passes * math.Pow(1-m.passes, float64(k)) / m.success()
		switch times := math.Exp2(float64(k)) - 1; {
		case k == 0 && left >= 0:
			share += weight
		case k > 0:
			share += weight * min(max(left/times-2, 0), 1)
		}
	}
	return share
}

// quantile returns the shortest delay that a share of the successful requests does not
// exceed.
func (m backoffModel) quantile(share float64) time.Duration {
	low, high := time.Duration(0), 100*time.Second
	for high-low > 1 {
		if middle := (low + high) / 2; m.cdf(middle) >= share-1e-12 {
			high = middle
		} else {
			low = middle
		}
	}
	return high
}

// compare fails where what was measured can't be explained by chance: the number of
// successes, and of those within the median and the 99th percentile of the model, by their
// exact binomial distributions; all delays by the inequality of Dvoretzky,
// Kiefer and Wolfowitz (in Massart's form), which bounds the distance between a measured
// and the true distribution, whatever that is.
func (m backoffModel) compare(t *testing.T, got *measurement) {
	t.Helper()
	n := len(got.delays)
	if p := binomialTail(numbersRequests, n, m.success()); p < numbersAlpha/2 {
		t.Errorf("loss %v: %d of %d succeed, want %.4f: p=%.1e", m.loss, n, numbersRequests, m.success(), p)
	}
	for _, share := range []float64{0.5, 0.99} {
		at := m.quantile(share) + 1
		within, _ := slices.BinarySearch(got.delays, at+1)
		if p := binomialTail(n, within, m.cdf(at)); p < numbersAlpha/2 {
			t.Errorf("loss %v: %d of %d within %v, want %.4f: p=%.1e", m.loss, within, n, at, m.cdf(at), p)
		}
	}
	band := math.Sqrt(math.Log(2/numbersAlpha) / (2 * float64(n)))
	for i, d := range got.delays {
		// The clock is rounded to a nanosecond.
		over := float64(i+1)/float64(n) - m.cdf(d+1)
		under := m.cdf(d-1-time.Nanosecond) - float64(i)/float64(n)
		if max(over, under) > band {
			t.Fatalf("loss %v: rank %d of %d is %v, of which the model says %.4f, beyond %.4f", m.loss, i+1, n, d, m.cdf(d), band)
		}
	}
	// Hoeffding's inequality for a mean of values between 1 and 5.
	if mean := float64(got.sent) / numbersRequests; math.Abs(mean-m.transmissions()) > (attempts-1)*math.Sqrt(math.Log(2/numbersAlpha)/(2*numbersRequests)) {
		t.Errorf("loss %v: %.3f transmissions of a request, want %.3f", m.loss, mean, m.transmissions())
	}
	for _, d := range got.gaveUp { // MAX_TRANSMIT_WAIT, 93 s, at the longest
		if d < 62*time.Second || d > (coap.Params{}).MaxTransmitWait() {
			t.Errorf("loss %v: a request was given up after %v", m.loss, d)
		}
	}
}

// binomialTail returns how probable it is that k of n trials succeed, or a number further
// from the mean on the same side.
func binomialTail(n, k int, p float64) (tail float64) {
	if p == 1 {
		if k == n {
			return 1
		}
		return 0
	}
	from, to := 0, k
	if float64(k) > float64(n)*p {
		from, to = k, n
	}
	for i := from; i <= to; i++ {
		tail += math.Exp(logChoose(n, i) + float64(i)*math.Log(p) + float64(n-i)*math.Log1p(-p))
	}
	return tail
}

func logChoose(n, k int) float64 {
	lgamma := func(x int) float64 { v, _ := math.Lgamma(float64(x + 1)); return v }
	return lgamma(n) - lgamma(k) - lgamma(n-k)
}

const numbersPage = `# The numbers of the protocol

What a Confirmable request can expect of a network that loses datagrams, with the parameters of
RFC 7252 §4.8: the request goes out up to five times, after 0, T, 3T, 7T and 15T, where T is
evenly spread over 2 to 3 s (ACK_TIMEOUT, ACK_RANDOM_FACTOR), and is given up after 31T: 62 to
93 s (MAX_TRANSMIT_WAIT). An attempt succeeds where neither the request nor the response is lost.

Measured are 10,000 requests a row, one behind the other, between this module's Client and Server in
virtual time, on a network that loses this share of the datagrams in each direction, each on its
own, and takes 50 ms each way. "Exact" is the binomial and back-off model, computed. Delays are
those of the requests that succeeded; "longest" counts those that were given up too;
"sent" is how often a request went out on average.

| loss each way | success | exact | median | exact | 99 %% within | exact | longest | sent | exact |
|---|---|---|---|---|---|---|---|---|---|
%s
TestNumbers measures, holds each row against the model and compares this page. It fails where
the number of successes, or of those within the exact median or 99 %% delay, has a binomial
probability below 1 in 2,000,000 to either side; where any quantile of the delays is further
from the model's distribution than the inequality of Dvoretzky, Kiefer and Wolfowitz allows with
a probability of 1 in 1,000,000 (2.7 percentage points of rank for 10,000 requests); where the
mean of transmissions is further away than Hoeffding's inequality allows likewise; or where a
request is given up outside of 62 to 93 s.
` + "`go test -run TestNumbers -update .` rewrites the page.\n"
