package message

import (
	"math"
	"slices"
	"testing"
	"time"
)

// The floors are the least that a decoder and an encoder can do. What the real ones take
// beyond is their checks.

// walkFloor is the floor of decoding: a walk of the option headers that stays in bounds.
// It returns the offset behind the options, -1 where the datagram ends too early.
func walkFloor(b []byte) int {
	if len(b) < headerLength {
		return -1
	}
	i := headerLength + int(b[0]&15)
	for i < len(b) && b[i] != payloadMarker {
		delta, length := uint(b[i]>>4), uint(b[i]&15)
		i++
		if delta >= 13 || length >= 13 {
			var ok1, ok2 bool
			_, i, ok1 = extended(b, i, delta)
			length, i, ok2 = extended(b, i, length)
			if !ok1 || !ok2 {
				return -1
			}
		}
		i += int(length)
	}
	if i > len(b) {
		return -1
	}
	return i
}

// appendFloor is the floor of encoding: it appends what it is given, deltas and lengths in
// their shortest form, and checks nothing but the room for each append.
func appendFloor(dst []byte, m *Message) []byte {
	dst = append(dst, 1<<6|byte(m.Type)<<4|m.Token.length, byte(m.Code), byte(m.ID>>8), byte(m.ID))
	dst = append(dst, m.Token.bytes[:m.Token.length]...)
	last := OptionNumber(0)
	for i := range m.Options {
		o := &m.Options[i]
		delta, length := int(o.Number-last), len(o.Value)
		last = o.Number
		if delta < 13 && length < 13 {
			dst = append(dst, byte(delta<<4|length))
		} else {
			dst = append(dst, nibble(delta)<<4|nibble(length))
			dst = appendExtended(dst, delta)
			dst = appendExtended(dst, length)
		}
		dst = append(dst, o.Value...)
	}
	if len(m.Payload) > 0 {
		dst = append(dst, payloadMarker)
		dst = append(dst, m.Payload...)
	}
	return dst
}

// encode is what a sender does with the Encoder.
func encode(dst []byte, m *Message) ([]byte, error) {
	e := AppendHeader(dst, m.Type, m.Code, m.ID, m.Token)
	for i := range m.Options {
		e.Option(m.Options[i].Number, m.Options[i].Value)
	}
	return e.Finish(m.Payload)
}

// floorSamples are the messages that codecs are measured with.
func floorSamples(t testing.TB) []struct {
	name string
	m    Message
} {
	path := func(s string) Option { return Option{URIPath, []byte(s)} }
	query := func(s string) Option { return Option{URIQuery, []byte(s)} }
	return []struct {
		name string
		m    Message
	}{
		{"get", Message{Confirmable, GET, 0x1234, token(t, "abcd"), []Option{
			path("sensors"), path("temp"), query("unit=c"), query("n=3"), {Accept, []byte{50}},
		}, nil}},
		{"content", Message{Acknowledgement, Content, 0x1234, token(t, "abcd"), []Option{
			{ETag, []byte{1, 2, 3, 4}}, {Observe, []byte{1, 2}}, {ContentFormat, []byte{50}}, {MaxAge, []byte{30}}, {Size2, []byte{64}},
		}, slices.Repeat([]byte{0x20}, 64)}},
		{"empty", Message{Type: Acknowledgement, ID: 0x1234}},
	}
}

// The floors do what they are compared with.
func TestFloors(t *testing.T) {
	for _, s := range floorSamples(t) {
		want, err := s.m.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		if got := appendFloor(nil, &s.m); !slices.Equal(got, want) {
			t.Errorf("%s: %x, want %x", s.name, got, want)
		}
		if got, err := encode(nil, &s.m); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %x, %v, want %x", s.name, got, err, want)
		}
		var v View
		if err := v.Parse(want); err != nil || walkFloor(want) != v.payload {
			t.Errorf("%s: %v, the options end at %d, want %d", s.name, err, walkFloor(want), v.payload)
		}
	}
}

// BenchmarkFloor measures decoding and encoding in turn with their floors, and reports
// the median ratio with its 95 % interval. One operation is a thousand messages.
func BenchmarkFloor(b *testing.B) {
	for _, s := range floorSamples(b) {
		datagram, err := s.m.MarshalBinary()
		if err != nil {
			b.Fatal(err)
		}
		v := new(View)
		if err := v.Parse(datagram); err != nil {
			b.Fatal(err)
		}
		b.Run("decode/"+s.name, func(b *testing.B) {
			againstFloor(b, func() {
				if v.Parse(datagram) != nil {
					sink++
				}
			}, func() { sink += walkFloor(datagram) })
		})
		buffer := make([]byte, 0, 256)
		b.Run("encode/"+s.name, func(b *testing.B) {
			againstFloor(b, func() {
				out, err := encode(buffer, &s.m)
				if err != nil {
					sink++
				}
				sink += len(out)
			}, func() { sink += len(appendFloor(buffer, &s.m)) })
		})
	}
}

// againstFloor runs ours and the floor a thousand times each per operation.
func againstFloor(b *testing.B, ours, floor func()) {
	const each = 1000
	measure := func(f func()) float64 {
		began := time.Now()
		for range each {
			f()
		}
		return float64(time.Since(began)) / each
	}
	var a, f, ratio []float64
	b.ReportAllocs()
	for b.Loop() {
		a, f = append(a, measure(ours)), append(f, measure(floor))
		ratio = append(ratio, a[len(a)-1]/f[len(f)-1])
	}
	report(b, a, "ns/message")
	report(b, f, "ns/floor")
	low, high := report(b, ratio, "x-floor")
	b.ReportMetric(low, "x-floor-low")
	b.ReportMetric(high, "x-floor-high")
}

// report reports the median of some figures and returns its 95 % interval: by order
// statistics, the ends are 0.98 square roots of their number from the middle.
func report(b *testing.B, all []float64, unit string) (low, high float64) {
	slices.Sort(all)
	n := float64(len(all))
	b.ReportMetric(all[len(all)/2], unit)
	k := max(0, int(n/2-0.98*math.Sqrt(n)))
	return all[k], all[len(all)-1-k]
}
