package message

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func repeated(n int) string { return strings.Repeat("ab", n) }

// RFC 8974 §2.1: "A value between 0 and 12, inclusive, indicates the length of the
// variable-length "Token" field", 13 and 14 an extension of one and two bytes, "15: Reserved. This value MUST NOT be
// sent and MUST be processed as a message-format error."
func TestExtendedTokens(t *testing.T) {
	for _, test := range []struct {
		name, hex string
		token     int // bytes
	}{
		{"none", "40 01 0001 b1 61", 0},
		{"eight", "48 01 0001" + repeated(8) + "b1 61", 8},
		{"nine", "49 01 0001" + repeated(9) + "b1 61", 9},
		{"twelve", "4c 01 0001" + repeated(12) + "b1 61", 12},
		{"thirteen", "4d 01 0001 00" + repeated(13) + "b1 61", 13},
		{"268", "4d 01 0001 ff" + repeated(268) + "b1 61", 268},
		{"269", "4e 01 0001 0000" + repeated(269) + "b1 61", 269},
		{"greatest", "4e 01 0001 ffff" + repeated(MaxExtendedTokenLength) + "b1 61", MaxExtendedTokenLength},
	} {
		datagram, want := unhexed(t, test.hex), bytes.Repeat([]byte{0xab}, test.token)
		var v View
		if err := v.ParseExtended(datagram); err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		path, _ := v.Option(URIPath)
		if !bytes.Equal(v.TokenBytes(), want) || v.Extended() != (test.token > 8) || string(path) != "a" {
			t.Errorf("%s: %v", test.name, &v)
		}
		if got := v.Token().Len(); test.token <= 8 && got != test.token || test.token > 8 && got != 0 {
			t.Errorf("%s: a Token of %d bytes", test.name, got)
		}
		e := AppendExtendedHeader([]byte("before"), Confirmable, GET, 1, want)
		e.OptionString(URIPath, "a")
		if b, err := e.Finish(nil); err != nil || string(b) != "before"+string(datagram) {
			t.Errorf("%s: encodes to %.40x, %v", test.name, b, err)
		}
		if err := v.Parse(datagram); (err == nil) != (test.token <= 8) || err != nil && !errors.Is(err, ErrTokenLength) {
			t.Errorf("%s: Parse: %v", test.name, err)
		}
	}
}

func TestExtendedTokensRefused(t *testing.T) {
	for name, test := range map[string]struct {
		hex  string
		want error
	}{
		"reserved":                  {"4f 01 0001 00", ErrTokenLength},
		"short token":               {"49 01 0001" + repeated(8), ErrTruncated},
		"no extension":              {"4d 01 0001", ErrTruncated},
		"half an extension":         {"4e 01 0001 00", ErrTruncated},
		"short after the extension": {"4d 01 0001 00" + repeated(12), ErrTruncated},
		"empty message":             {"4d 00 0001 00" + repeated(13), ErrEmptyMessage},
		"marker alone":              {"4d 01 0001 00" + repeated(13) + "ff", ErrPayloadMarker},
		"version":                   {"8d 01 0001 00" + repeated(13), ErrVersion},
	} {
		var v View
		datagram := unhexed(t, test.hex)
		err := v.ParseExtended(datagram)
		var format *FormatError
		if !errors.Is(err, test.want) || !errors.As(err, &format) || format.Offset > len(datagram) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
	for name, test := range map[string]struct {
		e    Encoder
		want error
	}{
		"too long":   {AppendExtendedHeader(nil, Confirmable, GET, 1, make([]byte, MaxExtendedTokenLength+1)), ErrTokenLength},
		"empty":      {AppendExtendedHeader(nil, Confirmable, Empty, 1, make([]byte, 9)), ErrEmptyMessage},
		"wrong type": {AppendExtendedHeader(nil, Reset, Content, 1, make([]byte, 9)), ErrType},
	} {
		if b, err := test.e.Finish(nil); b != nil || !errors.Is(err, test.want) {
			t.Errorf("%s: %x, %v, want %v", name, b, err, test.want)
		}
	}
}

func TestExtendedTokensAllocateNothing(t *testing.T) {
	datagram := unhexed(t, "4e 01 0001 0000"+repeated(269)+"b1 61")
	v, out, sum := new(View), make([]byte, 0, 1024), 0
	if n := testing.AllocsPerRun(100, func() {
		if v.ParseExtended(datagram) == nil {
			e := AppendExtendedHeader(out, Confirmable, GET, 1, v.TokenBytes())
			sum += e.Len()
		}
	}); n != 0 || sum == 0 {
		t.Errorf("%v allocations", n)
	}
}
