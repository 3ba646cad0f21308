package main

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/motewire/coap/message"
)

// The examples of RFC 8949 Appendix A, laid out.
func TestDiagnosticNotation(t *testing.T) {
	tests := []struct{ hex, want string }{
		{"00", "0"}, {"17", "23"}, {"1818", "24"}, {"1903e8", "1000"}, {"1a000f4240", "1000000"},
		{"1b000000e8d4a51000", "1000000000000"}, {"1bffffffffffffffff", "18446744073709551615"},
		{"20", "-1"}, {"3903e7", "-1000"}, {"3bffffffffffffffff", "-18446744073709551616"},
		{"c249010000000000000000", "18446744073709551616"},
		{"f90000", "0.0"}, {"f98000", "-0.0"}, {"f93c00", "1.0"}, {"fb3ff199999999999a", "1.1"},
		{"f93e00", "1.5"}, {"f97bff", "65504.0"}, {"fa47c35000", "100000.0"},
		{"fa7f7fffff", "3.4028234663852886e+38"}, {"fb7e37e43c8800759c", "1.0e+300"},
		{"f90001", "5.960464477539063e-8"}, {"f90400", "0.00006103515625"}, {"f9c400", "-4.0"},
		{"fbc010666666666666", "-4.1"}, {"f97c00", "Infinity"}, {"f97e00", "NaN"}, {"f9fc00", "-Infinity"},
		{"fa7f800000", "Infinity"}, {"fb7ff8000000000000", "NaN"},
		{"f4", "false"}, {"f5", "true"}, {"f6", "null"}, {"f7", "undefined"}, {"f0", "simple(16)"}, {"f8ff", "simple(255)"},
		{"c074323031332d30332d32315432303a30343a30305a", `0("2013-03-21T20:04:00Z")`},
		{"c11a514b67b0", "1(1363896240)"}, {"d74401020304", "23(h'01020304')"},
		{"40", "h''"}, {"4401020304", "h'01020304'"}, {"60", `""`}, {"6449455446", `"IETF"`},
		{"62225c", `"\"\\"`}, {"62c3bc", `"ü"`}, {"64f0908591", `"𐅑"`}, {"621b0a", `"\u001b\n"`},
		{"6b5c75303034315cc3bc2222", `"\\u0041\\ü\"\""`},
		{"80", "[]"}, {"a0", "{}"}, {"9fff", "[_]"}, {"bfff", "{_}"},
		{"83010203", "[\n  1,\n  2,\n  3\n]"},
		{"8301820203820405", "[\n  1,\n  [\n    2,\n    3\n  ],\n  [\n    4,\n    5\n  ]\n]"},
		{"a201020304", "{\n  1: 2,\n  3: 4\n}"},
		{"a26161016162820203", "{\n  \"a\": 1,\n  \"b\": [\n    2,\n    3\n  ]\n}"},
		{"5f42010243030405ff", "(_ h'0102', h'030405')"},
		{"7f657374726561646d696e67ff", `(_ "strea", "ming")`},
		{"9f018202039f0405ffff", "[_\n  1,\n  [\n    2,\n    3\n  ],\n  [_\n    4,\n    5\n  ]\n]"},
		{"bf61610161629f0203ffff", "{_\n  \"a\": 1,\n  \"b\": [_\n    2,\n    3\n  ]\n}"},
	}
	for _, tt := range tests {
		b, _ := hex.DecodeString(tt.hex)
		if got, ok := diagnose(b, false); !ok || string(got) != tt.want {
			t.Errorf("%s: %s, %v; want %s", tt.hex, got, ok, tt.want)
		}
	}
}

// What is not well-formed (RFC 8949 Appendix F) is none.
func TestMalformedCBOR(t *testing.T) {
	for _, text := range []string{
		"", "18", "19ff", "1c", "3d", "1f", "3f", "df00", "41", "5bffffffffffffffff00", "61", "61ff", "7f4100ff", "5f5f4100ffff",
		"5f00ff", "5f", "7f", "8200", "9bffffffffffffffff", "9f", "9f00", "a1", "a100", "bf00ff", "bfffff", "c0", "f800", "f81f", "f9", "fc",
		"ff", "81ff", "0000", "7f61c3ff", strings.Repeat("81", 100) + "00", strings.Repeat("c1", 100) + "00",
	} {
		b, _ := hex.DecodeString(text)
		if got, ok := diagnose(b, false); ok {
			t.Errorf("%s: %s", text, got)
		}
	}
}

func TestCBORSequence(t *testing.T) {
	if got, ok := diagnose([]byte{1, 0x80, 2}, true); !ok || string(got) != "1\n[]\n2" {
		t.Errorf("%q, %v", got, ok)
	}
	if got, ok := diagnose([]byte{1, 0x81}, true); ok {
		t.Errorf("%q", got)
	}
}

func TestCBORFormats(t *testing.T) {
	for format, want := range map[message.Format][2]bool{
		message.AppCBOR: {true, false}, message.AppSenmlCBOR: {true, false}, message.AppProblem: {true, false},
		message.AppCBORSeq: {false, true}, message.AppJSON: {false, false}, message.TextPlain: {false, false},
	} {
		if item, sequence := isCBOR(format); item != want[0] || sequence != want[1] {
			t.Errorf("%v: %v, %v; want %v", format, item, sequence, want)
		}
	}
}

// A body can't upset the terminal, nor take more than its share of it.
func FuzzDiagnose(f *testing.F) {
	for _, seed := range []string{"a26161016162820203", "bf61610161629f0203ffff", "5f42010243030405ff", "fb7e37e43c8800759c", "d74401020304"} {
		b, _ := hex.DecodeString(seed)
		f.Add(b, false)
	}
	f.Add([]byte{1, 0x80, 2}, true)
	f.Fuzz(func(t *testing.T, body []byte, sequence bool) {
		got, ok := diagnose(body, sequence)
		if ok && !printable(got) {
			t.Errorf("%x: %q", body, got)
		}
		if most := len(body) * (64 + 2*cborDepth); ok && len(got) > most+64 {
			t.Errorf("%x: %d bytes", body, len(got))
		}
	})
}
