package message

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	tests := []struct {
		name, hex string
		want      string // as View.String prints it
		wantErr   error
		offset    int
		intact    bool
	}{
		{name: "RFC 7252 figure 16, request", hex: "40 01 7d34 bb 74656d7065726174757265",
			want: "CON GET id=0x7d34 Uri-Path: temperature"},
		{name: "RFC 7252 figure 16, response", hex: "60 45 7d34 ff 32322e332043",
			want: "ACK 2.05 Content id=0x7d34 6 B payload"},
		{name: "RFC 7252 figure 17, request", hex: "41 01 7d35 20 bb 74656d7065726174757265",
			want: "CON GET id=0x7d35 token=20 Uri-Path: temperature"},
		{name: "RFC 7252 figure 17, response", hex: "61 45 7d35 20 ff 32322e332043",
			want: "ACK 2.05 Content id=0x7d35 token=20 6 B payload"},
		{name: "RFC 7252 figure 20, Acknowledgement", hex: "60 00 7d38", want: "ACK Empty id=0x7d38"},
		{name: "RFC 7252 figure 21, Reset", hex: "70 00 ad7c", want: "RST Empty id=0xad7c"},
		{name: "ping", hex: "40 00 0001", want: "CON Empty id=0x0001"},
		{name: "token of 8", hex: "58 02 ffff 0102030405060708", want: "NON POST id=0xffff token=0102030405060708"},
		{name: "delta 12", hex: "40 01 0001 c0", want: "CON GET id=0x0001 Content-Format: text/plain; charset=utf-8"},
		{name: "delta 13", hex: "40 01 0001 d0 00", want: "CON GET id=0x0001 Option 13: (empty)"},
		{name: "delta 268", hex: "40 01 0001 d0 ff", want: "CON GET id=0x0001 Option 268: (empty)"},
		{name: "delta 269", hex: "40 01 0001 e0 0000", want: "CON GET id=0x0001 Option 269: (empty)"},
		{name: "delta 65535", hex: "40 01 0001 e0 fef2", want: "CON GET id=0x0001 Option 65535: (empty)"},
		{name: "deltas to 65535", hex: "40 01 0001 e0 fef1 10", want: "CON GET id=0x0001 Option 65534: (empty), Option 65535: (empty)"},
		{name: "deltas of both extensions", hex: "40 01 0001 e1 0000 61 d0 00", want: "CON GET id=0x0001 Option 269: 0x61, Option 282: (empty)"},
		{name: "length 12", hex: "40 01 0001 bc " + strings.Repeat("61", 12), want: "CON GET id=0x0001 Uri-Path: " + strings.Repeat("a", 12)},
		{name: "length 13", hex: "40 01 0001 bd 00" + strings.Repeat("61", 13), want: "CON GET id=0x0001 Uri-Path: " + strings.Repeat("a", 13)},
		{name: "length 269", hex: "40 01 0001 be 0000" + strings.Repeat("61", 269),
			want: "CON GET id=0x0001 Uri-Path: 0x" + strings.Repeat("61", 64) + "… (269 B) (illegal length)"},
		{name: "option 0", hex: "40 01 0001 01 07", want: "CON GET id=0x0001 Option 0: 0x07"},
		{name: "0xff in a value", hex: "40 01 0001 42 ffff ff ff", want: "CON GET id=0x0001 ETag: 0xffff, 1 B payload"},

		{name: "nothing", hex: "", wantErr: ErrTruncated, offset: 0},
		{name: "one byte", hex: "40", wantErr: ErrTruncated, offset: 1},
		{name: "three bytes", hex: "40 01 00", wantErr: ErrTruncated, offset: 3},
		{name: "version 0", hex: "00 01 0001", wantErr: ErrVersion},
		{name: "version 2, short", hex: "80", wantErr: ErrVersion},
		{name: "version 3", hex: "c0 00 0001", wantErr: ErrVersion},
		{name: "TKL 9", hex: "49 01 0001 000000000000000000", wantErr: ErrTokenLength, intact: true},
		{name: "TKL 13", hex: "4d 01 0001 00" + strings.Repeat("00", 13), wantErr: ErrTokenLength, intact: true},
		{name: "TKL 15", hex: "4f 01 0001", wantErr: ErrTokenLength, intact: true},
		{name: "token cut", hex: "44 01 0001 0102", wantErr: ErrTruncated, offset: 6, intact: true},
		{name: "class 1", hex: "40 20 0001", wantErr: ErrCode, offset: 1, intact: true},
		{name: "class 6", hex: "40 c5 0001", wantErr: ErrCode, offset: 1, intact: true},
		{name: "class 7", hex: "40 e1 0001", wantErr: ErrCode, offset: 1, intact: true},
		{name: "ACK with a request", hex: "60 01 0001", wantErr: ErrType, offset: 1, intact: true},
		{name: "RST with a request", hex: "70 01 0001", wantErr: ErrType, offset: 1, intact: true},
		{name: "RST with a response", hex: "70 45 0001", wantErr: ErrType, offset: 1, intact: true},
		{name: "Empty with a token", hex: "41 00 0001 aa", wantErr: ErrEmptyMessage, offset: 0, intact: true},
		{name: "Empty with an option", hex: "40 00 0001 b0", wantErr: ErrEmptyMessage, offset: 4, intact: true},
		{name: "Empty with a payload", hex: "60 00 0001 ff 78", wantErr: ErrEmptyMessage, offset: 4, intact: true},
		{name: "delta 15", hex: "40 01 0001 b1 61 f0", wantErr: ErrOptionDelta, offset: 6, intact: true},
		{name: "delta 15, last length", hex: "40 01 0001 fe", wantErr: ErrOptionDelta, offset: 4, intact: true},
		{name: "length 15", hex: "40 01 0001 0f", wantErr: ErrOptionLength, offset: 4, intact: true},
		{name: "delta 13 without its byte", hex: "40 01 0001 d0", wantErr: ErrTruncated, offset: 5, intact: true},
		{name: "delta 14 with half of it", hex: "40 01 0001 e0 01", wantErr: ErrTruncated, offset: 6, intact: true},
		{name: "length 13 without its byte", hex: "40 01 0001 0d", wantErr: ErrTruncated, offset: 5, intact: true},
		{name: "length 14 with half of it", hex: "40 01 0001 0e 00", wantErr: ErrTruncated, offset: 6, intact: true},
		{name: "value cut", hex: "40 01 0001 b5 6865", wantErr: ErrTruncated, offset: 7, intact: true},
		{name: "value one byte short", hex: "40 01 0001 b2 61", wantErr: ErrTruncated, offset: 6, intact: true},
		{name: "long value one byte short", hex: "40 01 0001 bd 00" + strings.Repeat("61", 12), wantErr: ErrTruncated, offset: 18, intact: true},
		{name: "greatest length", hex: "40 01 0001 0e ffff 78", wantErr: ErrTruncated, offset: 8, intact: true},
		{name: "delta 65536", hex: "40 01 0001 e0 fef3", wantErr: ErrOptionNumber, offset: 4, intact: true},
		{name: "delta 65804", hex: "40 01 0001 e0 ffff", wantErr: ErrOptionNumber, offset: 4, intact: true},
		{name: "deltas to 65536", hex: "40 01 0001 e0 fef2 10", wantErr: ErrOptionNumber, offset: 7, intact: true},
		{name: "marker without payload", hex: "40 01 0001 ff", wantErr: ErrPayloadMarker, offset: 4, intact: true},
		{name: "marker behind an option", hex: "40 01 0001 b1 61 ff", wantErr: ErrPayloadMarker, offset: 6, intact: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var v View
			err := v.Parse(unhexed(t, tt.hex))
			if tt.wantErr == nil {
				if err != nil || v.String() != tt.want {
					t.Errorf("%v, %v, want %s", &v, err, tt.want)
				}
				return
			}
			var format *FormatError
			if !errors.Is(err, tt.wantErr) || !errors.As(err, &format) {
				t.Fatalf("%v, want %v", err, tt.wantErr)
			}
			if format.Offset != tt.offset || format.Intact != tt.intact {
				t.Errorf("offset %d, intact %t, want %d, %t", format.Offset, format.Intact, tt.offset, tt.intact)
			}
		})
	}
}

func TestViewFields(t *testing.T) {
	datagram := append(make([]byte, 0, 64), unhexed(t, "52 45 abcd beef c1 28 ff 3c2f3e")...)
	var v View
	if err := v.Parse(datagram); err != nil {
		t.Fatal(err)
	}
	if v.Type() != NonConfirmable || v.Code() != Content || v.ID() != 0xabcd || v.Token() != token(t, "\xbe\xef") {
		t.Errorf("%v", &v)
	}
	if string(v.Payload()) != "</>" || &v.Payload()[0] != &datagram[9] || &v.Datagram()[0] != &datagram[0] {
		t.Errorf("payload %q does not alias the datagram", v.Payload())
	}
	if value, ok := v.Option(ContentFormat); !ok || &value[0] != &datagram[7] {
		t.Errorf("value %x does not alias the datagram", value)
	}
	if !v.Has(ContentFormat) || v.Has(Accept) || v.Has(RequestTag) {
		t.Error("Has")
	}
	if cap(v.Payload()) != 3 {
		t.Error("an append to the payload would write behind the datagram")
	}
	if value, _ := v.Option(ContentFormat); cap(value) != 1 {
		t.Error("an append to a value would overwrite the payload")
	}
}

// A View is used again and again: nothing of one datagram may show in the next.
func TestParseForgets(t *testing.T) {
	v := manyOptions(t)
	if err := v.Parse(unhexed(t, "40 01 0001 ff")); err == nil {
		t.Fatal("accepted")
	}
	for range v.Options() {
		t.Error("options after an error")
	}
	if v.Payload() != nil || v.Has(URIPath) || v.Has(Echo) {
		t.Error("content after an error")
	}
	if err := v.Parse(unhexed(t, "40 01 0002")); err != nil {
		t.Fatal(err)
	}
	if v.Has(URIPath) || v.Has(Echo) || v.Payload() != nil || v.String() != "CON GET id=0x0002" {
		t.Errorf("left over: %v", v)
	}
	for _, before := range []string{
		"40 01 0001 50 00 04 00000000",     // If-None-Match three times, once with an illegal length
		"40 01 0001 60 00 04 00000000",     // Observe likewise
		"40 01 0001 b1 61 e0 07d0 e0 07d1", // unknown, both kinds
	} {
		for _, after := range []string{"40 01 0002 50", "40 01 0002 60", "40 01 0002 ff 61", "40 01 0002 b5 9090909090"} {
			_ = v.Parse(unhexed(t, before))
			_ = v.Parse(unhexed(t, after))
			checkOptionCheck(t, v, &recognizedInTests)
		}
	}
}

func TestOptionsStop(t *testing.T) {
	v := parsed(t, "40 01 0001 b1 61 01 62 01 63")
	var got []string
	for n, value := range v.Options() {
		if n != URIPath {
			t.Errorf("option %v", n)
		}
		if got = append(got, string(value)); len(got) == 2 {
			break
		}
	}
	if !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("%q", got)
	}
}

func TestHasAndOptionFromNumber64(t *testing.T) {
	v := parsed(t, "40 01 0001 b1 61 d1 28 65 d2 5b 0102 d1 06 07 01 08") // 11, 64, 168, 187, 187
	for n, want := range map[OptionNumber]string{11: "a", 64: "e", 168: "\x01\x02", 187: "\x07"} {
		if value, ok := v.Option(n); !ok || string(value) != want || !v.Has(n) {
			t.Errorf("option %d = %q, %t", n, value, ok)
		}
	}
	for _, n := range []OptionNumber{0, 12, 63, 65, 186, 188, 65535} {
		if value, ok := v.Option(n); ok || v.Has(n) {
			t.Errorf("option %d = %q", n, value)
		}
	}
	if got := bytes.Join(v.AppendValues(nil, 187), []byte("|")); string(got) != "\x07|\x08" {
		t.Errorf("%q", got)
	}
}

func TestClone(t *testing.T) {
	datagram := unhexed(t, "41 01 7d35 20 b1 61 ff 62")
	var v View
	if err := v.Parse(datagram); err != nil {
		t.Fatal(err)
	}
	c, m := v.Clone(), v.Message()
	clear(datagram)
	if path, _ := c.Option(URIPath); string(path) != "a" || string(c.Payload()) != "b" || c.Token() != token(t, " ") {
		t.Errorf("the clone changed: %v", c)
	}
	if string(m.Options[0].Value) != "a" || string(m.Payload) != "b" {
		t.Errorf("the message changed: %v", &m)
	}
}
