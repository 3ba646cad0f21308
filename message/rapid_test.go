package message

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// anyMessage draws messages that RFC 7252 §3 and §4 allow.
func anyMessage() *rapid.Generator[Message] {
	return rapid.Custom(func(t *rapid.T) Message {
		m := Message{
			Type: Type(rapid.IntRange(0, 2).Draw(t, "type")),
			ID:   ID(rapid.Uint16().Draw(t, "id")),
		}
		classes := []uint8{0, 2, 3, 4, 5}
		if m.Type == Acknowledgement {
			classes = classes[1:] // §4.2: an Acknowledgement carries no request
		}
		m.Code = MakeCode(rapid.SampledFrom(classes).Draw(t, "class"), rapid.Uint8Max(31).Draw(t, "detail"))
		if m.Code == Empty {
			m.Type = Type(rapid.IntRange(0, 3).Draw(t, "empty type"))
			return m
		}
		m.Token, _ = MakeToken(rapid.SliceOfN(rapid.Byte(), 0, 8).Draw(t, "token"))
		m.Options = rapid.SliceOfN(anyOption(), 0, 12).Draw(t, "options")
		m.Payload = rapid.SliceOfN(rapid.Byte(), 0, 64).Draw(t, "payload")
		return m
	})
}

func anyOption() *rapid.Generator[Option] {
	return rapid.Custom(func(t *rapid.T) Option {
		n := rapid.OneOf(rapid.Uint16Max(80), rapid.Uint16()).Draw(t, "number")
		if rapid.Bool().Draw(t, "registered") {
			n = uint16(rapid.SampledFrom(optionRegistry).Draw(t, "option").Number)
		}
		size := rapid.SampledFrom([]int{0, 1, 2, 4, 5, 8, 9, 12, 13, 40, 255, 256, 268, 269, 300}).Draw(t, "size")
		return Option{OptionNumber(n), rapid.SliceOfN(rapid.Byte(), size, size).Draw(t, "value")}
	})
}

// What is encoded is decoded to the same message, with its options in order.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := anyMessage().Draw(t, "message")
		b, err := m.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		var got Message
		if err := got.UnmarshalBinary(b); err != nil {
			t.Fatalf("%x: %v", b, err)
		}
		want := *m.Clone()
		slices.SortStableFunc(want.Options, func(a, b Option) int { return int(a.Number) - int(b.Number) })
		if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b Token) bool { return a == b }), cmpopts.EquateEmpty()); diff != "" {
			t.Fatal(diff)
		}
	})
}

// The option check finds what the plain model finds, whatever is recognized.
func TestOptionCheckModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := anyMessage().Draw(t, "message")
		b, err := m.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		var v View
		if err := v.Parse(b); err != nil {
			t.Fatal(err)
		}
		var set OptionSet
		for n := range v.Options() {
			if rapid.IntRange(0, 3).Draw(t, "recognized") > 0 {
				set = set.With(n)
			}
		}
		n, found := v.UnrecognizedCritical(&set)
		wantN, want := modelCheck(&v, &set, true)
		if n != wantN || found != want {
			t.Fatalf("%v: critical %d, %t, want %d, %t", &v, n, found, wantN, want)
		}
		n, found = v.IgnoredElective(&set)
		wantN, want = modelCheck(&v, &set, false)
		if n != wantN || found != want {
			t.Fatalf("%v: elective %d, %t, want %d, %t", &v, n, found, wantN, want)
		}
	})
}

// The decoder is total: arbitrary bytes, and a message with some bytes changed.
func TestParseAnything(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		b := rapid.SliceOfN(rapid.Byte(), 0, 64).Draw(rt, "bytes")
		if rapid.Bool().Draw(rt, "header") && len(b) > 0 {
			b[0] = b[0]&0x38 | 0x40 // version 1, a short token
		}
		if rapid.Bool().Draw(rt, "mutant") {
			m := anyMessage().Draw(rt, "message")
			b, _ = m.MarshalBinary()
			for range rapid.IntRange(1, 3).Draw(rt, "changes") {
				b[rapid.IntRange(0, len(b)-1).Draw(rt, "at")] = rapid.Byte().Draw(rt, "byte")
			}
			b = b[:rapid.IntRange(0, len(b)).Draw(rt, "length")]
		}
		checkDatagram(t, b)
	})
}
