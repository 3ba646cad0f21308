package coap_test

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A badInput is one line of testdata/badinputs: see the README there.
type badInput struct {
	datagram []byte
	wire     string // RST, silent, normal or a response code
	comment  string
}

func badInputs(t testing.TB) (inputs []badInput) {
	t.Helper()
	for _, line := range corpusLines(t, "testdata/badinputs/*.txt") {
		digits, comment, _ := strings.Cut(line, "#")
		fields := strings.Split(comment, " | ")
		wire, ok := strings.CutPrefix(fields[min(1, len(fields)-1)], "wire=")
		if !ok {
			t.Fatalf("no wire= in %q", line)
		}
		inputs = append(inputs, badInput{unhex(t, strings.TrimSpace(digits)), wire, strings.TrimSpace(comment)})
	}
	return inputs
}

// captured returns the datagrams over UDP and within DTLS of the captures whose names
// begin with prefix, in their order.
func captured(t testing.TB, prefix string) (datagrams [][]byte) {
	t.Helper()
	for _, line := range corpusLines(t, "testdata/captures/"+prefix+"*.jsonl") {
		var row struct{ Proto, Raw, Code string }
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatal(err)
		}
		if row.Code != "" && (row.Proto == "udp" || row.Proto == "dtls") {
			datagrams = append(datagrams, unhex(t, row.Raw))
		}
	}
	return datagrams
}

// corpusLines returns the lines of all files that match, at least one.
func corpusLines(t testing.TB, pattern string) (lines []string) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no files %s: %v", pattern, err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(b)) {
			if strings.TrimSpace(line) != "" {
				lines = append(lines, line)
			}
		}
	}
	return lines
}

func unhex(t testing.TB, digits string) []byte {
	t.Helper()
	b, err := hex.DecodeString(digits)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
