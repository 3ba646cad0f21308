package message

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func TestEncode(t *testing.T) {
	type option = Option
	tests := []struct {
		name    string
		m       Message
		hex     string
		wantErr error
	}{
		{"RFC 7252 figure 17", Message{Code: GET, ID: 0x7d35, Token: token(t, " "),
			Options: []option{{URIPath, []byte("temperature")}}}, "41 01 7d35 20 bb 74656d7065726174757265", nil},
		{"RFC 7252 figure 17, response", Message{Type: Acknowledgement, Code: Content, ID: 0x7d35, Token: token(t, " "),
			Payload: []byte("22.3 C")}, "61 45 7d35 20 ff 32322e332043", nil},
		{"ping", Message{ID: 1}, "40 00 0001", nil},
		{"deltas", Message{Code: GET, ID: 1, Options: []option{{0, nil}, {12, nil}, {25, nil}, {293, nil}, {562, nil}, {65535, nil}}},
			"40 01 0001 00 c0 d0 00 d0 ff e0 0000 e0 fcc0", nil},
		{"lengths", Message{Code: GET, ID: 1, Options: []option{{1, bytes.Repeat([]byte("a"), 12)},
			{1, bytes.Repeat([]byte("a"), 13)}, {1, bytes.Repeat([]byte("a"), 268)}, {1, bytes.Repeat([]byte("a"), 269)}}},
			"40 01 0001 1c " + strings.Repeat("61", 12) + "0d 00" + strings.Repeat("61", 13) +
				"0d ff" + strings.Repeat("61", 268) + "0e 0000" + strings.Repeat("61", 269), nil},
		{"delta and length extended", Message{Code: GET, ID: 1, Options: []option{{300, bytes.Repeat([]byte("a"), 14)}}},
			"40 01 0001 ed 001f 01" + strings.Repeat("61", 14), nil},
		{"greatest length", Message{Code: GET, ID: 1, Options: []option{{1, make([]byte, MaxOptionLength)}}},
			"40 01 0001 1e ffff" + strings.Repeat("00", MaxOptionLength), nil},

		{"too long", Message{Code: GET, Options: []option{{1, make([]byte, MaxOptionLength+1)}}}, "", ErrOptionTooLong},
		{"type 4", Message{Type: 4, Code: GET}, "", ErrType},
		{"ACK with a request", Message{Type: Acknowledgement, Code: GET}, "", ErrType},
		{"RST with a response", Message{Type: Reset, Code: Content}, "", ErrType},
		{"class 1", Message{Code: 1 << 5}, "", ErrCode},
		{"signalling", Message{Code: Ping}, "", ErrCode},
		{"Empty with a token", Message{Token: token(t, "a")}, "", ErrEmptyMessage},
		{"Empty with an option", Message{Options: []option{{1, nil}}}, "", ErrEmptyMessage},
		{"Empty with a payload", Message{Payload: []byte("a")}, "", ErrEmptyMessage},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.m.MarshalBinary()
			if !errors.Is(err, tt.wantErr) || err == nil && !bytes.Equal(got, unhexed(t, tt.hex)) || err != nil && got != nil {
				t.Errorf("%.80x, %v, want %.80s, %v", got, err, tt.hex, tt.wantErr)
			}
		})
	}
}

func TestEncoderOrder(t *testing.T) {
	e := AppendHeader(nil, Confirmable, GET, 1, Token{})
	e.Option(URIPath, nil)
	e.OptionString(URIPath, "")
	e.Option(URIHost, []byte("h"))
	e.OptionString(URIQuery, "q")
	e.OptionBlock(Block2, Block{SZX: 7}) // the first error sticks
	if b, err := e.Finish(nil); b != nil || !errors.Is(err, ErrOptionOrder) {
		t.Errorf("%x, %v", b, err)
	}
}

func TestEncoderAppends(t *testing.T) {
	e := AppendHeader([]byte("before"), Confirmable, GET, 1, Token{})
	e.OptionString(URIPath, "a")
	got, err := e.Finish([]byte("x"))
	if err != nil || string(got) != "before\x40\x01\x00\x01\xb1a\xffx" {
		t.Errorf("%q, %v", got, err)
	}
}

// RFC 7252 §3.2: "a sender SHOULD represent the integer with as few bytes as possible,
// i.e., without leading zero bytes".
func TestEncoderUint(t *testing.T) {
	for value, want := range map[uint32]string{
		0: "", 1: "01", 255: "ff", 256: "0100", 65535: "ffff", 65536: "010000", 1 << 24: "01000000", 1<<32 - 1: "ffffffff",
	} {
		e := AppendHeader(nil, Confirmable, GET, 1, Token{})
		e.OptionUint(Observe, value)
		b, err := e.Finish(nil)
		if want := unhexed(t, want); err != nil || !bytes.Equal(b[5:], want) || int(b[4]&15) != len(want) {
			t.Errorf("%d: %x, %v, want %x", value, b, err, want)
		}
		if got := uintBytes(value); !bytes.Equal(got, unhexed(t, want)) {
			t.Errorf("%d: %x, want %s", value, got, want)
		}
	}
}

func TestEncoderTagAndBlock(t *testing.T) {
	e := AppendHeader(nil, Acknowledgement, Content, 1, Token{})
	e.OptionTag(ETag, tag(t, "abc"))
	e.OptionBlock(Block2, Block{Num: 2, More: true, SZX: 6})
	b, err := e.Finish(nil)
	if err != nil || !bytes.Equal(b, unhexed(t, "60 45 0001 43 616263 d1 06 2e")) {
		t.Errorf("%x, %v", b, err)
	}
	for _, block := range []Block{{SZX: 7}, {Num: MaxBlockNum + 1}} {
		e := AppendHeader(nil, Acknowledgement, Content, 1, Token{})
		e.OptionBlock(Block2, block)
		if b, err := e.Finish(nil); !errors.Is(err, ErrBlock) {
			t.Errorf("%v: %x, %v", block, b, err)
		}
	}
}

func TestSortOptions(t *testing.T) {
	m := Message{Code: GET, ID: 1, Options: []Option{{URIQuery, []byte("q")}, {URIPath, []byte("a")}, {URIPath, []byte("b")},
		{URIHost, []byte("h")}, {URIPath, []byte("a")}}}
	b, err := m.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	var v View
	if err := v.Parse(b); err != nil {
		t.Fatal(err)
	}
	if got, want := optionsText(&v), "Uri-Host=h Uri-Path=a Uri-Path=b Uri-Path=a Uri-Query=q"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if m.Options[0].Number != URIQuery {
		t.Error("the caller's options were sorted")
	}
}

func TestMessageClone(t *testing.T) {
	m := &Message{Code: GET, Options: []Option{{URIPath, []byte("a")}}, Payload: []byte("p")}
	c := m.Clone()
	m.Options[0].Value[0], m.Payload[0] = 'x', 'x'
	m.Options[0].Number = URIQuery
	if c.Options[0].Number != URIPath || string(c.Options[0].Value) != "a" || string(c.Payload) != "p" {
		t.Errorf("the clone changed: %v", c)
	}
}

func TestUnmarshalBinary(t *testing.T) {
	var m Message
	if err := m.UnmarshalBinary(unhexed(t, "41 01 7d35 20 b1 61")); err != nil || m.ID != 0x7d35 || len(m.Options) != 1 {
		t.Errorf("%v, %v", &m, err)
	}
	if err := m.UnmarshalBinary(unhexed(t, "41 01")); !errors.Is(err, ErrTruncated) || m.ID != 0x7d35 {
		t.Errorf("%v, %v", &m, err)
	}
}

func TestTokenAndTag(t *testing.T) {
	if _, err := MakeToken(make([]byte, 9)); !errors.Is(err, ErrTokenLength) {
		t.Errorf("token: %v", err)
	}
	if _, err := MakeTag(make([]byte, 9)); !errors.Is(err, ErrTagLength) {
		t.Errorf("tag: %v", err)
	}
	// Equal bytes of another length are another value.
	if token(t, "") == token(t, "\x00") || tag(t, "") == tag(t, "\x00") {
		t.Error("length does not count")
	}
	a, b := token(t, "12345678"), tag(t, "12345678")
	if a.Len() != 8 || b.Len() != 8 || a.String() != "3132333435363738" || b.String() != "3132333435363738" {
		t.Errorf("%v %v", a, b)
	}
	if string(a.Append([]byte("x"))) != "x12345678" || string(b.Append([]byte("x"))) != "x12345678" {
		t.Error("Append")
	}
}

// RFC 7959 §2.2: "The allowed values of SZX are 0 to 6, i.e., the minimum block size is
// 2**(0+4) = 16 and the maximum is 2**(6+4) = 1024."
func TestBlock(t *testing.T) {
	tests := []struct {
		value uint32
		want  Block
		size  int
		text  string
		valid bool
	}{
		{0, Block{}, 16, "0/0/16", true},
		{0x0e, Block{More: true, SZX: 6}, 1024, "0/1/1024", true},
		{0x33, Block{Num: 3, SZX: 3}, 128, "3/0/128", true},
		{0xfffffe, Block{Num: MaxBlockNum, More: true, SZX: 6}, 1024, "1048575/1/1024", true},
		{0x17, Block{Num: 1, SZX: 7}, 0, "1/0/reserved", false},
		{0x1000006, Block{Num: MaxBlockNum + 1, SZX: 6}, 1024, "1048576/0/1024", false},
	}
	for _, tt := range tests {
		b := DecodeBlock(tt.value)
		if b != tt.want || b.Encode() != tt.value || b.Size() != tt.size || b.String() != tt.text || b.Valid() != tt.valid {
			t.Errorf("%#x: %+v %s, size %d, valid %t", tt.value, b, b, b.Size(), b.Valid())
		}
		if b.Offset() != int(b.Num)*tt.size {
			t.Errorf("%v: offset %d", b, b.Offset())
		}
	}
	for size := range 2000 {
		szx, ok := SZXForSize(size)
		if want := size >= 16 && size <= 1024 && size&(size-1) == 0; ok != want || ok && (Block{SZX: szx}).Size() != size {
			t.Errorf("size %d: %d, %t", size, szx, ok)
		}
	}
}

// Every delta and length up to the extended forms, and every amount of room behind dst,
// leads to the same bytes.
func TestOptionsOfEverySize(t *testing.T) {
	value := make([]byte, 300)
	for i := range value {
		value[i] = byte(i + 1)
	}
	for _, delta := range []int{0, 1, 12, 13, 14, 268, 269, 270, 65525} {
		for _, length := range []int{0, 1, 2, 3, 4, 5, 7, 8, 9, 11, 12, 13, 14, 268, 269, 270} {
			m := Message{NonConfirmable, GET, 7, Token{}, []Option{
				{10, value[:2]}, {OptionNumber(10 + delta), value[:length]},
			}, nil}
			want := appendFloor(nil, &m)
			for room := range 40 {
				got, err := encode(make([]byte, 0, room), &m)
				if err != nil || !bytes.Equal(got, want) {
					t.Fatalf("delta %d, length %d, room %d: %x, %v, want %x", delta, length, room, got, err, want)
				}
				e := AppendHeader(make([]byte, 0, room), m.Type, m.Code, m.ID, m.Token)
				for _, o := range m.Options {
					e.OptionString(o.Number, string(o.Value))
				}
				if got, err := e.Finish(nil); err != nil || !bytes.Equal(got, want) {
					t.Fatalf("string, delta %d, length %d, room %d: %x, %v", delta, length, room, got, err)
				}
			}
		}
	}
}
