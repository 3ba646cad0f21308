package main

import (
	"strings"
	"testing"
)

func TestCodes(t *testing.T) {
	golden(t, "codes/all", command(t, "", "codes").stdout)
	tests := []struct {
		words string
		want  []string // each the beginning of a line, the heads left out
	}{
		{"4.04", []string{"4.04  Not Found  404"}},
		{"404", []string{"4.04  Not Found  404"}},
		{"403", []string{"4.01  Unauthorized  403", "4.03  Forbidden     403"}}, // both are (RFC 8075 §7)
		{"304", []string{"2.03  Valid  304 or 200"}},
		{"502", []string{"5.02", "5.05"}},
		{"2.05", []string{"2.05  Content"}},
		{"patch", []string{"0.06  PATCH", "0.07  iPATCH", "51 ", "52 "}},
		{"fetch", []string{"0.05  FETCH"}},
		{"60", []string{"60      Size1", "60      application/cbor"}},
		{"12", []string{"12      Content-Format  ----"}},
		{"If-Match", []string{"1       If-Match  C--R        opaque  0-8"}},
		{"entity large", []string{"4.13"}},
		{"cbor deflate", []string{"11060"}},
		{"/SENML cbor", []string{"112 ", "322 "}},
		{"uri-path", []string{"11      Uri-Path  CU-R"}},
		{"size1", []string{"60      Size1  --N-"}},
	}
	for _, tt := range tests {
		got := command(t, "", append([]string{"codes"}, strings.Fields(tt.words)...)...)
		var lines []string
		for line := range strings.Lines(got.stdout) {
			if first, _, _ := strings.Cut(line, " "); first != strings.ToUpper(first) || first == "\n" || strings.ContainsAny(line[:1], "COF") {
				continue
			}
			lines = append(lines, line)
		}
		if len(lines) != len(tt.want) || got.status != exitOK {
			t.Errorf("%s: %q, want %q", tt.words, lines, tt.want)
			continue
		}
		for i, line := range lines {
			if !strings.HasPrefix(line, tt.want[i]) {
				t.Errorf("%s: %q, want %q", tt.words, line, tt.want[i])
			}
		}
	}
}

func TestCodesByRegistry(t *testing.T) {
	all := command(t, "", "codes").stdout
	var parts []string
	for _, name := range []string{"codes", "options", "formats"} {
		parts = append(parts, command(t, "", "codes", name).stdout)
	}
	if strings.Join(parts, "\n") != all {
		t.Error("the three registries are not what coap codes prints")
	}
	for _, word := range []string{"nonsense", "9.99", "70000", "nan"} {
		if got := command(t, "", "codes", word); got.status != exitUsage || !strings.Contains(got.stderr, word) {
			t.Errorf("%s: %+v", word, got)
		}
	}
}
