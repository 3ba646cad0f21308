package message

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// unhexed reads hex digits with spaces between the fields.
func unhexed(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatalf("hex %q: %v", s, err)
	}
	return b
}

// parsed returns the view of a datagram that has to be well-formed.
func parsed(t testing.TB, s string) *View {
	t.Helper()
	var v View
	if err := v.Parse(unhexed(t, s)); err != nil {
		t.Fatalf("Parse(%s) = %v", s, err)
	}
	return &v
}

// token returns a token of these bytes.
func token(t testing.TB, b string) Token {
	t.Helper()
	token, err := MakeToken([]byte(b))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// tag returns a tag of these bytes.
func tag(t testing.TB, b string) Tag {
	t.Helper()
	tag, err := MakeTag([]byte(b))
	if err != nil {
		t.Fatal(err)
	}
	return tag
}

// A capturedRow is one line of testdata/captures/*.jsonl: see the README there.
type capturedRow struct {
	Frame   int
	Proto   string
	Raw     string
	Version int
	Type    int
	Code    string
	MID     int
	Token   string
	Options [][2]any
	Payload *string
	Error   string
}

// capturedRows returns the rows with a whole message over UDP or decrypted DTLS, per file.
func capturedRows(t testing.TB) map[string][]capturedRow {
	t.Helper()
	files, err := filepath.Glob("../testdata/captures/*.jsonl")
	if err != nil || len(files) == 0 {
		t.Fatalf("no captures: %v", err)
	}
	rows := make(map[string][]capturedRow)
	for _, file := range files {
		for _, line := range lines(t, file) {
			var row capturedRow
			if err := json.Unmarshal([]byte(line), &row); err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			whole := row.Code != "" || row.Error != ""
			if whole && (row.Proto == "udp" || row.Proto == "dtls") {
				name := strings.TrimSuffix(filepath.Base(file), ".jsonl")
				rows[name] = append(rows[name], row)
			}
		}
	}
	return rows
}

// A badInput is one line of testdata/badinputs/*.txt: see the README there.
type badInput struct {
	datagram []byte
	expect   string
	comment  string
}

func badInputs(t testing.TB) []badInput {
	t.Helper()
	files, err := filepath.Glob("../testdata/badinputs/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no bad inputs: %v", err)
	}
	var inputs []badInput
	for _, file := range files {
		for _, line := range lines(t, file) {
			digits, comment, _ := strings.Cut(line, "#")
			expect, _, _ := strings.Cut(comment, "|")
			expect, ok := strings.CutPrefix(strings.TrimSpace(expect), "expect=")
			if !ok {
				t.Fatalf("%s: no expectation in %q", file, line)
			}
			inputs = append(inputs, badInput{unhexed(t, digits), expect, comment})
		}
	}
	return inputs
}

func lines(t testing.TB, file string) []string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(string(b)) {
		if strings.TrimSpace(line) != "" {
			lines = append(lines, line)
		}
	}
	return lines
}
