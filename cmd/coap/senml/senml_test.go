package senml

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"
)

// rows returns records as text: cells with "|" between, rows with newlines.
func rows(records []Record) string {
	var b strings.Builder
	for _, r := range records {
		b.WriteString(strings.Join(r.Cells(), "|") + "\n")
	}
	return b.String()
}

// The examples of RFC 8428 §5.1.
func TestExamplesOfTheRFC(t *testing.T) {
	tests := []struct{ section, pack, want string }{
		{"5.1.1", `[{"n":"urn:dev:ow:10e2073a01080063","u":"Cel","v":23.1}]`,
			"urn:dev:ow:10e2073a01080063|23.1|Cel (°C)|now|\n"},
		{"5.1.2", `[{"bn":"urn:dev:ow:10e2073a01080063:","n":"voltage","u":"V","v":120.1},{"n":"current","u":"A","v":1.2}]`,
			"urn:dev:ow:10e2073a01080063:voltage|120.1|V|now|\nurn:dev:ow:10e2073a01080063:current|1.2|A|now|\n"},
		{"5.1.2", `[{"bn":"urn:dev:ow:10e2073a0108006:","bt":1.276020076001e+09,"bu":"A","bver":5,"n":"voltage","u":"V","v":120.1},
			{"n":"current","t":-5,"v":1.2},{"n":"current","v":1.7}]`,
			"urn:dev:ow:10e2073a0108006:voltage|120.1|V|2010-06-08T18:01:16.001Z|\n" +
				"urn:dev:ow:10e2073a0108006:current|1.2|A|2010-06-08T18:01:11.001Z|\n" +
				"urn:dev:ow:10e2073a0108006:current|1.7|A|2010-06-08T18:01:16.001Z|\n"},
		{"5.1.3", `[{"bn":"urn:dev:ow:10e2073a01080063","bt":1.320067464e+09,"bu":"%RH","v":20},{"u":"lon","v":24.30621},{"t":60,"v":20.3}]`,
			"urn:dev:ow:10e2073a01080063|20|%RH (relative humidity in percent)|2011-10-31T13:24:24Z|\n" +
				"urn:dev:ow:10e2073a01080063|24.30621|lon (degrees longitude)|2011-10-31T13:24:24Z|\n" +
				"urn:dev:ow:10e2073a01080063|20.3|%RH (relative humidity in percent)|2011-10-31T13:25:24Z|\n"},
		{"5.1.5", `[{"bn":"urn:dev:ow:10e2073a01080063:","n":"temp","u":"Cel","v":23.1},{"n":"label","vs":"Machine Room"},{"n":"open","vb":false},{"n":"nfc-reader","vd":"aGkgCg"}]`,
			"urn:dev:ow:10e2073a01080063:temp|23.1|Cel (°C)|now|\nurn:dev:ow:10e2073a01080063:label|Machine Room||now|\n" +
				"urn:dev:ow:10e2073a01080063:open|false||now|\nurn:dev:ow:10e2073a01080063:nfc-reader|h'6869200a'||now|\n"},
	}
	for _, tt := range tests {
		records, err := ParseJSON([]byte(tt.pack))
		if got := rows(records); err != nil || got != tt.want {
			t.Errorf("§%s: %v\n%swant\n%s", tt.section, err, got, tt.want)
		}
	}
}

// RFC 8428 §6: the example of the section.
func TestCBOR(t *testing.T) {
	pack, err := hex.DecodeString(strings.Join(strings.Fields(`87
		a7 21 78 1b 75726e3a6465763a6f773a3130653230373361303130383030363a 22 fb 41d303a15b001062 23 6141
		20 05 00 67 766f6c74616765 01 6156 02 fb 405e066666666666
		a3 00 67 63757272656e74 06 24 02 fb 3ff3333333333333
		a3 00 67 63757272656e74 06 23 02 fb 3ff4cccccccccccd
		a3 00 67 63757272656e74 06 22 02 fb 3ff6666666666666
		a3 00 67 63757272656e74 06 21 02 f9 3e00
		a3 00 67 63757272656e74 06 20 02 fb 3ff999999999999a
		a3 00 67 63757272656e74 06 00 02 fb 3ffb333333333333`), ""))
	if err != nil {
		t.Fatal(err)
	}
	records, err := ParseCBOR(pack)
	want := "urn:dev:ow:10e2073a0108006:voltage|120.1|V|2010-06-08T18:01:16.001Z|\n"
	for i, v := range []string{"1.2", "1.3", "1.4", "1.5", "1.6", "1.7"} {
		want += "urn:dev:ow:10e2073a0108006:current|" + v + "|A|2010-06-08T18:01:1" + string("123456"[i]) + ".001Z|\n"
	}
	if got := rows(records); err != nil || got != want {
		t.Errorf("%v\n%swant\n%s", err, got, want)
	}
}

func TestResolution(t *testing.T) {
	tests := []struct{ name, pack, want string }{
		{"base value", `[{"bn":"a","bv":20,"v":0.5},{"v":-1}]`, "a|20.5||now|\na|19||now|\n"},
		{"base sum", `[{"bn":"a","bs":100,"s":1},{"v":3}]`, "a|||now|101\na|3||now|100\n"},
		{"base fields alone", `[{"bn":"a/","bu":"W"},{"n":"x","v":1}]`, "a/x|1|W|now|\n"},
		{"another base", `[{"bn":"a","v":1},{"bn":"b","v":2}]`, "a|1||now|\nb|2||now|\n"},
		{"relative times", `[{"n":"a","v":1,"t":-10.5},{"n":"a","v":1,"t":5}]`, "a|1||now-10.5 s|\na|1||now+5 s|\n"},
		{"far future", `[{"n":"a","v":1,"t":1e300}]`, "a|1||1e+300 s|\n"},
		{"small and great", `[{"n":"a","v":1e-9},{"n":"a","v":1e21}]`, "a|1e-09||now|\na|1e+21||now|\n"},
		{"nothing", `[]`, ""},
		{"an unknown field", `[{"n":"a","v":1,"x":{}}]`, "a|1||now|\n"},
		{"empty bytes", `[{"n":"a","vd":""}]`, "a|h''||now|\n"},
		{"padding", `[{"n":"a","vd":"aA=="}]`, "a|h'68'||now|\n"},
	}
	for _, tt := range tests {
		records, err := ParseJSON([]byte(tt.pack))
		if got := rows(records); err != nil || got != tt.want {
			t.Errorf("%s: %v, %q, want %q", tt.name, err, got, tt.want)
		}
	}
}

func TestWhatIsNoSenML(t *testing.T) {
	for pack, want := range map[string]error{
		`[{"n":"a","v":1,"bver":11}]`:   ErrVersion,
		`[{"n":"a","v":1,"secret_":1}]`: ErrField,
		`[{"n":"a b","v":1}]`:           ErrName,
		`[{"n":"-a","v":1}]`:            ErrName,
		`[{"v":1}]`:                     ErrName,
		`[{"n":"a"}]`:                   ErrValues,
		`[{"n":"a","v":1,"vs":"x"}]`:    ErrValues,
		`[{"n":"a","vd":"!"}]`:          nil,
		`{"n":"a","v":1}`:               nil,
		`[{"n":"a","v":"1"}]`:           nil,
		``:                              nil,
	} {
		if records, err := ParseJSON([]byte(pack)); err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("%s: %v, %v, want %v", pack, records, err, want)
		}
	}
	for _, pack := range []string{"", "80ff", "81a2006161006162", "a0", "81a200616102f6ff", "82a200616102016161"} {
		b, _ := hex.DecodeString(pack)
		if records, err := ParseCBOR(b); err == nil {
			t.Errorf("%s: %v", pack, records)
		}
	}
	b, _ := hex.DecodeString("81a300616102016273" + "5f01")
	if _, err := ParseCBOR(b); !errors.Is(err, ErrField) {
		t.Errorf("a field that must be understood: %v", err)
	}
}

// Whatever comes in, a pack is refused or resolves to names that can't upset a terminal.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`[{"bn":"a","bt":1.3e9,"v":1},{"n":"b","vs":"x"}]`))
	f.Add([]byte("\x81\xa2\x00\x61\x61\x02\x01"))
	f.Fuzz(func(t *testing.T, pack []byte) {
		for _, parse := range []func([]byte) ([]Record, error){ParseJSON, ParseCBOR} {
			records, err := parse(pack)
			if err != nil && records != nil {
				t.Errorf("%v with %v", records, err)
			}
			for _, r := range records {
				if !names.MatchString(r.Name) || len(r.Cells()) != len(Columns) {
					t.Errorf("%q", r.Cells())
				}
			}
		}
	})
}
