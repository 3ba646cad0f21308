package coap

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/motewire/coap/peer"
)

func endpointAt(port int) peer.Addr {
	return peer.From(netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, 1}), uint16(port)))
}

// RFC 9175 §2.2.1: an Echo value has 1 to 40 bytes. What is sent is of one
// endpoint and of one period of the key, and nobody can tell the next.
func TestEchoValues(t *testing.T) {
	v, w := verifier{period: time.Minute, limit: 10}, verifier{period: time.Minute, limit: 10}
	now := time.Unix(1e9, 0)
	a, b := endpointAt(1), endpointAt(2)
	value := v.challenge(now, &a, nil)
	if len(value) != echoBytes || !bytes.Equal(value, v.challenge(now.Add(59*time.Second), &a, nil)) {
		t.Errorf("%x", value)
	}
	for name, other := range map[string][]byte{
		"another endpoint": v.challenge(now, &b, nil),
		"another server":   w.challenge(now, &a, nil),
		"another period":   v.challenge(now.Add(time.Minute), &a, nil),
	} {
		if bytes.Equal(value, other) {
			t.Errorf("%s has the same value", name)
		}
	}
}

// A value is good until the period after the one in which it was made ends, at whatever
// moments the server is asked in between.
func TestEchoLifetime(t *testing.T) {
	begin := time.Unix(1e9, 0)
	for _, made := range []time.Duration{0, 30 * time.Second, 59 * time.Second} {
		for _, used := range []time.Duration{59, 60, 61, 119, 120, 121, 240} {
			for _, asked := range []time.Duration{0, 60, 90, 125} {
				v := verifier{period: time.Minute, limit: 10}
				a, b := endpointAt(1), endpointAt(2)
				v.advance(begin)
				value := v.challenge(begin.Add(made), &a, nil)
				if asked *= time.Second; asked > made && asked < used*time.Second {
					v.verified(begin.Add(asked), &b)
				}
				at := begin.Add(used * time.Second)
				if got, want := v.verify(at, &a, value), used < 120; got != want {
					t.Errorf("made after %v, asked after %v, used after %d s: %v", made, asked, used, got)
				}
				if v.verified(at, &a) != (used < 120) {
					t.Errorf("used after %d s, then verified: %v", used, !(used < 120))
				}
			}
		}
	}
}

// A forged value verifies nobody, be it of any length.
func TestEchoForged(t *testing.T) {
	v := verifier{period: time.Minute, limit: 10}
	now := time.Unix(1e9, 0)
	a, b := endpointAt(1), endpointAt(2)
	value := v.challenge(now, &a, nil)
	forged := [][]byte{nil, {0}, value[:7], append(bytes.Clone(value), 0), bytes.Repeat([]byte{0}, 8), bytes.Repeat([]byte{7}, 40)}
	for i := range 8 * echoBytes {
		flipped := bytes.Clone(value)
		flipped[i/8] ^= 1 << (i % 8)
		forged = append(forged, flipped)
	}
	for _, f := range forged {
		if v.verify(now, &a, f) || v.verified(now, &a) {
			t.Errorf("%x passes for %x", f, value)
		}
	}
	if v.verify(now, &b, value) || v.verified(now, &b) {
		t.Error("the value of another endpoint passes")
	}
	if !v.verify(now, &a, value) || !v.verified(now, &a) || v.verified(now, &b) {
		t.Error("the value itself does not pass, or for another")
	}
}

// The endpoints that are remembered are bounded, and forgotten after their time.
func TestVerifiedAreBounded(t *testing.T) {
	v := verifier{period: time.Minute, limit: 100}
	now := time.Unix(1e9, 0)
	for i := range 1000 {
		a := endpointAt(i)
		if v.verify(now, &a, v.challenge(now, &a, nil)); !v.verified(now, &a) {
			t.Fatal("not remembered")
		}
		if n := len(v.known[0]) + len(v.known[1]); n > 100 || i >= 100 && n < 50 {
			t.Fatalf("%d of 100 are remembered", n)
		}
	}
	newest, oldest := endpointAt(950), endpointAt(0)
	if !v.verified(now, &newest) || v.verified(now, &oldest) {
		t.Error("not the oldest went")
	}
	now = now.Add(2 * time.Minute)
	if v.advance(now); len(v.known[0])+len(v.known[1]) != 0 {
		t.Error("remembered for ever")
	}
}

// A verifier that knows its keys allocates nothing for those who are verified or try to be.
func TestVerifierAllocations(t *testing.T) {
	v := verifier{period: time.Minute, limit: 10}
	now := time.Unix(1e9, 0)
	a := endpointAt(1)
	value, room := v.challenge(now, &a, nil), make([]byte, 0, echoBytes)
	v.verify(now, &a, value)
	if n := testing.AllocsPerRun(100, func() {
		v.challenge(now, &a, room)
		v.verified(now, &a)
		v.verify(now, &a, value)
		v.verify(now, &a, room[:4])
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
