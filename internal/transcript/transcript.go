// Package transcript plays the scenes of a testdata folder: text in which each line "> ORDER"
// is something that happens to a state machine, and the other lines are what it does. It
// is for tests alone.
package transcript

import (
	"bufio"
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the transcripts in testdata")

// A Stage carries out one order and writes what comes of it to the output it was made with.
type Stage func(order string)

// Run plays testdata/*.txt and compares each with what it should say. A line that begins
// with "# Figure" or "# Scene" sets a new stage; other comments and empty lines stay.
func Run(t *testing.T, newStage func(t *testing.T, out *bytes.Buffer) Stage) {
	t.Helper()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no transcripts", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			script, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			var stage Stage
			for lines := bufio.NewScanner(bytes.NewReader(script)); lines.Scan(); {
				line := lines.Text()
				order, isOrder := strings.CutPrefix(line, "> ")
				switch {
				case isOrder && stage == nil:
					t.Fatalf("an order before the first scene: %s", line)
				case isOrder:
					out.WriteString(line + "\n")
					stage(order)
				case line == "" || strings.HasPrefix(line, "#"):
					out.WriteString(line + "\n")
					if strings.HasPrefix(line, "# Figure") || strings.HasPrefix(line, "# Scene") {
						stage = newStage(t, &out)
					}
				}
			}
			Compare(t, file, out.Bytes())
		})
	}
}

// Compare fails the test where the file does not hold what was got. With the flag -update
// it rewrites the file instead.
func Compare(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs; got\n%s", file, got)
	}
}
