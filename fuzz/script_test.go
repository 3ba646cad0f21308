package fuzz

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/motewire/coap/coaptest"
)

func TestMain(m *testing.M) { coaptest.Main(m) }

// A script is what a fuzzer writes: steps of one byte for the kind, and for a datagram two
// for its length and the datagram itself; for a pause one for its length.
type script []byte

// maxSteps bounds a script, so that a slow one is no finding.
const maxSteps = 200

// A step is a datagram, or a pause where datagram is nil.
type step struct {
	kind     byte
	datagram []byte
	pause    time.Duration
}

// stepPause is the kind of a pause; the other kinds carry a datagram.
const stepPause = 0

// next takes the first step off; false at the end.
func (s *script) next() (step, bool) {
	b := *s
	if len(b) < 2 {
		return step{}, false
	}
	kind := b[0] & 7
	if kind == stepPause {
		*s = b[2:]
		return step{pause: time.Millisecond << (b[1] % 19)}, true // up to 262 s
	}
	if len(b) < 3 {
		return step{}, false
	}
	n := min(int(binary.BigEndian.Uint16(b[1:])), len(b)-3)
	*s = b[3+n:]
	return step{kind: kind, datagram: b[3 : 3+n : 3+n]}, true
}

// steps returns all steps up to the bound.
func (s script) steps() (steps []step) {
	for len(steps) < maxSteps {
		next, ok := s.next()
		if !ok {
			break
		}
		steps = append(steps, next)
	}
	return steps
}

func (s script) withPause(exponent byte) script { return append(s, stepPause, exponent) }

func (s script) with(kind byte, datagram []byte) script {
	s = append(s, kind)
	s = binary.BigEndian.AppendUint16(s, uint16(len(datagram)))
	return append(s, datagram...)
}

// corpora returns the datagrams of each capture, at most 60 of one, and of each file of
// bad inputs.
func corpora(t testing.TB) (corpora [][][]byte) {
	t.Helper()
	files, err := filepath.Glob("../testdata/*/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if ext := filepath.Ext(file); ext != ".jsonl" && ext != ".txt" {
			continue
		}
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var datagrams [][]byte
		for line := range strings.Lines(string(b)) {
			if d, ok := datagramOf(t, line); ok && len(datagrams) < 60 {
				datagrams = append(datagrams, d)
			}
		}
		if len(datagrams) > 0 {
			corpora = append(corpora, datagrams)
		}
	}
	if len(corpora) < 30 {
		t.Fatalf("only %d corpora", len(corpora))
	}
	return corpora
}

// datagramOf reads a line of a capture's JSON or of bad inputs.
func datagramOf(t testing.TB, line string) ([]byte, bool) {
	t.Helper()
	digits, _, _ := strings.Cut(line, "#")
	if strings.HasPrefix(line, "{") {
		var row struct{ Proto, Raw, Code string }
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatal(err)
		}
		if row.Code == "" || row.Proto != "udp" && row.Proto != "dtls" {
			return nil, false
		}
		digits = row.Raw
	}
	d, err := hex.DecodeString(strings.TrimSpace(digits))
	if err != nil {
		t.Fatal(err)
	}
	return d, true
}
