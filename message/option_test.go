package message

import (
	"slices"
	"testing"
)

// RFC 7252 §5.10, table 4, with the letters of its columns C, U, N and R; the others from
// the RFC beside them.
func TestOptionRegistry(t *testing.T) {
	tests := []struct {
		n          OptionNumber
		properties string
		name       string
		format     ValueFormat
		low, high  int
	}{
		{1, "C--R", "If-Match", OpaqueValue, 0, 8},
		{3, "CU--", "Uri-Host", StringValue, 1, 255},
		{4, "---R", "ETag", OpaqueValue, 1, 8},
		{5, "C---", "If-None-Match", EmptyValue, 0, 0},
		{6, "-U--", "Observe", UintValue, 0, 3}, // RFC 7641 §2
		{7, "CU--", "Uri-Port", UintValue, 0, 2},
		{8, "---R", "Location-Path", StringValue, 0, 255},
		{9, "C---", "OSCORE", OpaqueValue, 0, 255}, // RFC 8613 §2
		{11, "CU-R", "Uri-Path", StringValue, 0, 255},
		{12, "----", "Content-Format", UintValue, 0, 2},
		{14, "-U--", "Max-Age", UintValue, 0, 4},
		{15, "CU-R", "Uri-Query", StringValue, 0, 255},
		{16, "----", "Hop-Limit", UintValue, 1, 1}, // RFC 8768 §3
		{17, "C---", "Accept", UintValue, 0, 2},
		{19, "CU--", "Q-Block1", UintValue, 0, 3}, // RFC 9177 §4.1
		{20, "---R", "Location-Query", StringValue, 0, 255},
		{21, "C---", "EDHOC", EmptyValue, 0, 0},   // RFC 9668 §3.1
		{23, "CU--", "Block2", UintValue, 0, 3},   // RFC 7959 §2.1
		{27, "CU--", "Block1", UintValue, 0, 3},   // RFC 7959 §2.1
		{28, "--N-", "Size2", UintValue, 0, 4},    // RFC 7959 §4
		{31, "CU-R", "Q-Block2", UintValue, 0, 3}, // RFC 9177 §4.1
		{35, "CU--", "Proxy-Uri", StringValue, 1, 1034},
		{39, "CU--", "Proxy-Scheme", StringValue, 1, 255},
		{60, "--N-", "Size1", UintValue, 0, 4},
		{235, "CU--", "Proxy-Cri", OpaqueValue, 1, 1023},
		{239, "CU--", "Proxy-Scheme-Number", UintValue, 0, 3},
		{252, "--N-", "Echo", OpaqueValue, 1, 40},       // RFC 9175 §2.2.1
		{258, "-U--", "No-Response", UintValue, 0, 1},   // RFC 7967 §2
		{292, "---R", "Request-Tag", OpaqueValue, 0, 8}, // RFC 9175 §3.2.1
		{2049, "C--R", "OCF-Accept-Content-Format-Version", OpaqueValue, 0, MaxOptionLength},
		{2053, "C--R", "OCF-Content-Format-Version", OpaqueValue, 0, MaxOptionLength},
		{2055, "CU-R", "SCP82-Params", OpaqueValue, 0, MaxOptionLength},
		{2056, "---R", "X-Admin-Protocol", OpaqueValue, 0, MaxOptionLength},
	}
	if len(tests) != len(optionRegistry) {
		t.Errorf("%d options are registered, %d tested", len(optionRegistry), len(tests))
	}
	for _, tt := range tests {
		info, ok := tt.n.Info()
		want := OptionInfo{tt.n, tt.name, tt.format, tt.low, tt.high, tt.properties[3] == 'R'}
		if !ok || info != want || tt.n.String() != tt.name {
			t.Errorf("%d: %+v, want %+v", tt.n, info, want)
		}
		if got := columns(info); got != tt.properties {
			t.Errorf("%v: %s, want %s", tt.n, got, tt.properties)
		}
	}
	if !slices.IsSortedFunc(optionRegistry, func(a, b OptionInfo) int { return int(a.Number) - int(b.Number) }) {
		t.Error("not in ascending order")
	}
}

// columns writes the properties of an option as RFC 7252 §5.10, table 4 does.
func columns(info OptionInfo) string {
	b := []byte("----")
	for i, set := range []bool{info.Number.Critical(), info.Number.Unsafe(), info.Number.NoCacheKey(), info.Repeatable} {
		if set {
			b[i] = "CUNR"[i]
		}
	}
	return string(b)
}

// RFC 7252 §5.4.6: the properties of an option that is not known follow from its number.
func TestUnknownOption(t *testing.T) {
	for n, want := range map[OptionNumber]string{0: "---R", 2: "-U-R", 13: "C--R", 29: "C-NR", 30: "-U-R", 65000: "---R", 65535: "CU-R"} {
		info, ok := n.Info()
		if ok || info.Number != n || info.Format != OpaqueValue || info.MinLength != 0 || info.MaxLength != MaxOptionLength || columns(info) != want {
			t.Errorf("%d: %+v %s, want %s", n, info, columns(info), want)
		}
	}
	if got := OptionNumber(65000).String(); got != "65000" {
		t.Errorf("%q", got)
	}
}

func TestFormatValue(t *testing.T) {
	tests := []struct {
		n           OptionNumber
		value, want string
	}{
		{URIPath, "temperature", "temperature"}, {URIPath, "a b", `"a b"`}, {URIPath, "", `""`}, {URIPath, "é", "é"},
		{IfNoneMatch, "", ""}, {IfNoneMatch, "a", "0x61"}, {ETag, "\xaa", "0xaa"}, {IfMatch, "", "(empty)"},
		{ContentFormat, "\x32", "application/json"}, {Accept, "\xff\x00", "65280"}, {Block1, "\x1e", "1/1/1024"},
		{MaxAge, "\x00\x3c", "60"}, {URIPort, "", "0"}, {65000, "a", "0x61"},
	}
	for _, tt := range tests {
		if got := tt.n.FormatValue([]byte(tt.value)); got != tt.want {
			t.Errorf("%v %q: %q, want %q", tt.n, tt.value, got, tt.want)
		}
	}
	if OpaqueValue.String()+EmptyValue.String()+UintValue.String()+StringValue.String() != "opaqueemptyuintstring" {
		t.Error("ValueFormat.String")
	}
}

func TestOptionSet(t *testing.T) {
	a := NewOptionSet(URIPath, RequestTag, 65001, 0)
	b := a.With(URIQuery, Echo, RequestTag)
	for n, want := range map[OptionNumber][2]bool{0: {true, true}, URIPath: {true, true}, URIQuery: {false, true}, 63: {},
		64: {}, Echo: {false, true}, RequestTag: {true, true}, 65001: {true, true}, 65000: {}, 75: {}} {
		if a.Has(n) != want[0] || b.Has(n) != want[1] {
			t.Errorf("%v: %t, %t, want %v", n, a.Has(n), b.Has(n), want)
		}
	}
	if len(b.high) != 3 {
		t.Errorf("%v", b.high)
	}
}

// modelCheck does what the option check does, plainly: one walk, one rule after another.
func modelCheck(v *View, recognized *OptionSet, critical bool) (OptionNumber, bool) {
	counts := make(map[OptionNumber]int)
	for n, value := range v.Options() {
		counts[n]++
		info, _ := n.Info()
		bad := !recognized.Has(n) || len(value) < info.MinLength || len(value) > info.MaxLength || counts[n] > 1 && !info.Repeatable
		if bad && n.Critical() == critical {
			return n, true
		}
	}
	return 0, false
}

// checkOptionCheck compares the option check with the model.
func checkOptionCheck(t testing.TB, v *View, recognized *OptionSet) {
	t.Helper()
	n, found := v.UnrecognizedCritical(recognized)
	if wantN, want := modelCheck(v, recognized, true); n != wantN || found != want {
		t.Fatalf("%v: critical %d, %t, want %d, %t", v, n, found, wantN, want)
	}
	n, found = v.IgnoredElective(recognized)
	if wantN, want := modelCheck(v, recognized, false); n != wantN || found != want {
		t.Fatalf("%v: elective %d, %t, want %d, %t", v, n, found, wantN, want)
	}
}

func TestOptionCheck(t *testing.T) {
	withVendor := recognizedInTests.With(2049)
	tests := []struct {
		name, hex          string
		set                *OptionSet
		critical, elective int // -1 for none
	}{
		{"none", "40 01 0001", &recognizedInTests, -1, -1},
		{"ordinary", "40 01 0001 b1 61 01 62 41 71", &recognizedInTests, -1, -1},
		{"above 63", "40 01 0001 b1 61 d1 e4 01", &recognizedInTests, -1, -1}, // 11 and 252
		{"unknown critical below 64", "40 01 0001 91 61", &recognizedInTests, 9, -1},
		{"unknown critical above 63", "40 01 0001 e0 06f4", &recognizedInTests, 2049, -1},
		{"recognized critical above 63", "40 01 0001 e0 06f4", &withVendor, -1, -1},
		{"unknown elective above 63", "40 01 0001 d0 33", &recognizedInTests, -1, 64},
		{"both", "40 01 0001 20 b0 10 d0 32", &recognizedInTests, 13, 2}, // 2, 13, 14, 77
		{"Echo twice", "40 01 0001 d1 ef 01 01 02", &recognizedInTests, -1, 252},
		{"Request-Tag twice", "40 01 0001 e1 0017 01 01 02", &recognizedInTests, -1, -1},
		{"Request-Tag of 9", "40 01 0001 e9 0017 010203040506070809", &recognizedInTests, -1, 292},
		{"Uri-Path twice", "40 01 0001 b1 61 01 61", &recognizedInTests, -1, -1},
		{"ETag of 9 then good", "40 01 0001 49 010203040506070809 01 01", &recognizedInTests, -1, 4},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := parsed(t, tt.hex)
			n, found := v.UnrecognizedCritical(tt.set)
			if found != (tt.critical >= 0) || found && int(n) != tt.critical {
				t.Errorf("%v: critical %d, %t, want %d", v, n, found, tt.critical)
			}
			n, found = v.IgnoredElective(tt.set)
			if found != (tt.elective >= 0) || found && int(n) != tt.elective {
				t.Errorf("%v: elective %d, %t, want %d", v, n, found, tt.elective)
			}
			checkOptionCheck(t, v, tt.set)
		})
	}
}
