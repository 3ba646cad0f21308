package cost

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

func link(t *testing.T, name string) *Link {
	t.Helper()
	for _, l := range Links() {
		if l.Name == name {
			return &l
		}
	}
	t.Fatal(name)
	return nil
}

// 24 bytes at 250 kbit/s are 0.768 ms; at 20 mA that is 15.4 µC, which is 4.3 nAh.
func TestUnits(t *testing.T) {
	l := link(t, "none")
	s := Reckon(l, []Packet{{Up: true, Bytes: 16}, {Bytes: 8}})
	if s.Bytes() != 24 || s.AirTime() != 768*time.Microsecond || math.Abs(s.Charge-15.36e-6) > 1e-12 {
		t.Errorf("%+v", s)
	}
	if got := duration(s.AirTime()) + ", " + charge(s.Charge); got != "768 µs, 15.4 µC = 4.27 nAh" {
		t.Error(got)
	}
}

func TestQuantities(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0 A", 1: "1.00 A", 0.0154: "15.4 mA", 15.36e-6: "15.4 µA", 4.2667e-9: "4.27 nA", 999.6: "1.00 kA", 999: "999 A",
		250e3: "250 kA", 0.9996e-3: "1.00 mA", 12345: "12.3 kA", 5e-6: "5.00 µA", 1e-15: "0.00100 pA", 2.4: "2.40 A",
	} {
		if got := quantity(v, "A"); got != want {
			t.Errorf("%v: %s, want %s", v, got, want)
		}
	}
	for seconds, want := range map[float64]string{
		3600: "1.00 hours", 86400 * 30: "30.0 days", 86400 * 365.25 * 12.3: "12.3 years",
	} {
		if got := life(seconds); got != want {
			t.Errorf("%v: %s, want %s", seconds, got, want)
		}
	}
}

// Published times on air: a LoRaWAN frame with 10 bytes of payload, 23 in all, upwards.
func TestLoRaAirTime(t *testing.T) {
	for sf, want := range map[int]time.Duration{
		7: 61696 * time.Microsecond, 9: 205824 * time.Microsecond, 10: 370688 * time.Microsecond, 12: 1482752 * time.Microsecond,
	} {
		l := LoRa{SpreadingFactor: sf, Bandwidth: 125e3, CodingRate: 1, Preamble: 8}
		if got := l.AirTime(23, true); got != want {
			t.Errorf("SF %d: %v, want %v", sf, got, want)
		}
	}
}

func TestFrames(t *testing.T) {
	tests := []struct {
		link           string
		headers, bytes int
		want           []int
	}{
		{"ethernet", 48, 24, []int{72}},
		{"ethernet", 20, 8, []int{46}}, // padded
		{"802.15.4", 10, 94, []int{104}},
		{"802.15.4", 10, 95, []int{4 + 10 + 88, 5 + 7}}, // all but the last a multiple of 8
		{"802.15.4", 10, 300, []int{4 + 10 + 88, 5 + 96, 5 + 96, 5 + 20}},
		{"lora", 2, 113, []int{115}},
		{"lora", 2, 114, []int{115, 2 + 3}},
		{"lora", 72, 200, []int{115, 115, 2 + 46}}, // headers are no more than other bytes
		{"none", 0, 5000, []int{5000}},
	}
	for _, tt := range tests {
		l := link(t, tt.link)
		got := l.frames(tt.headers, tt.bytes)
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s, %d + %d: %v, want %v", tt.link, tt.headers, tt.bytes, got, tt.want)
		}
	}
}

// A frame over 6LoWPAN byte by byte: preamble, SFD and length 6, MAC 21, compressed
// headers 10, message, FCS 2; and an ACK of 11 the other way.
func TestSixLoWPANBytes(t *testing.T) {
	l := link(t, "802.15.4")
	s := Reckon(l, []Packet{{Up: true, Bytes: 16, Headers: l.UDP}})
	if s.UpBytes != 6+21+10+16+2 || s.DownBytes != 11 || s.Bytes() != s.UpBytes+s.DownBytes || s.LinkBytes != 29+11 {
		t.Errorf("%+v", s)
	}
	if want := time.Duration(66*8*4) * time.Microsecond; s.AirTime() != want {
		t.Errorf("%v, want %v", s.AirTime(), want)
	}
}

// Whatever the link, the parts add up, and no frame takes more than its room.
func TestSumsAddUp(t *testing.T) {
	narrow := *link(t, "lora")
	narrow.Room = 51
	for _, l := range append(Links(), narrow) {
		for _, l := range []Link{l, l.WithIPv4()} {
			for size := 1; size < 3000; size += 97 {
				s := Reckon(&l, []Packet{{Up: true, Bytes: size, Headers: l.UDP}, {Bytes: 3, Headers: l.UDP}})
				for _, content := range l.frames(l.TCP, size) {
					if content > l.Room || content <= 0 {
						t.Fatalf("%s, %d: a frame with %d of %d", l.Name, size, content, l.Room)
					}
				}
				if s.UpBytes+s.DownBytes != s.Bytes() || s.Messages != size+3 || s.LinkBytes < 2*l.Header {
					t.Fatalf("%s, %d: %+v", l.Name, size, s)
				}
			}
		}
	}
}

func TestOverTCP(t *testing.T) {
	l := link(t, "ethernet")
	names := func(p []Packet) (all []string) {
		for _, x := range p {
			all = append(all, x.What)
		}
		return all
	}
	if got := names(OverTCP(l, 100, 50, true, false)); strings.Join(got, "; ") != "SYN; SYN, ACK; ACK; request; response; FIN, ACK; FIN, ACK; ACK" {
		t.Errorf("%v", got)
	}
	if got := names(OverTCP(l, 100, 2000, true, true)); strings.Join(got, "; ") != "request; response; response; ACK" {
		t.Errorf("%v", got)
	}
	if got := names(OverTCP(l, 5*mss, 2*mss+1, true, true)); strings.Join(got, "; ") !=
		"request; request; ACK; request; request; ACK; request; response; response; ACK; response; ACK" {
		t.Errorf("%v", got)
	}
	for _, p := range OverTCP(l, 1, 1, false, false) {
		if client := p.What == "SYN" || p.What == "request" || p.What == "ACK"; client && p.Up {
			t.Errorf("%+v: the node is the server", p)
		}
	}
}

// 2400 mAh at a mean of 10 µA are 240,000 hours.
func TestLife(t *testing.T) {
	l := link(t, "none")
	s := Sum{Charge: 6e-6}
	sc := Schedule{Every: time.Second, Capacity: 2.4 * ampereHour, Sleep: 4e-6}
	if mean := sc.Mean(l, &s); math.Abs(mean-10e-6) > 1e-12 {
		t.Errorf("mean %v", mean)
	}
	if got := sc.Life(l, &s) / 3600; math.Abs(got-240000) > 1e-3 {
		t.Errorf("%v hours", got)
	}
	sc.Awake = time.Second
	if mean := sc.Mean(l, &s); math.Abs(mean-(10e-6+0.02)) > 1e-9 {
		t.Errorf("mean %v with the radio on", mean)
	}
}
