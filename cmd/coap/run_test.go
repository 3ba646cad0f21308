package main

import (
	"bytes"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// A result is what a command line leaves behind.
type result struct {
	status         int
	stdout, stderr string
}

// command runs a command line in process, without a terminal.
func command(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	status := run(t.Context(), args, strings.NewReader(stdin), &stdout, &stderr)
	return result{status, stdout.String(), stderr.String()}
}

// golden compares got with a file of testdata, or rewrites the file with -update.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o666); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

func TestUsageErrorsAreOneLine(t *testing.T) {
	tests := []struct {
		args []string
		want string // in the line
	}{
		{nil, "no command; coap --help lists them"},
		{[]string{"decod"}, "did you mean coap decode?"},
		{[]string{"nonsense"}, `unknown command "nonsense"`},
		{[]string{"no\nsense"}, `unknown command "no\nsense"`},
		{[]string{"completion", "csh"}, "completion takes a shell: bash, zsh, fish, powershell"},
		{[]string{"completion"}, "completion takes a shell"},
		{[]string{"version", "now"}, `version takes no argument, got "now"`},
		{[]string{"version", "--quick"}, "unknown flag --quick; see coap version --help"},
		{[]string{"decode", "--jsn"}, "unknown flag --jsn: did you mean --json?"},
		{[]string{"decode", "-f"}, "-f needs a value"},
		{[]string{"gte"}, "did you mean coap get?"},
		{[]string{"decode", "--port", "x"}, `--port "x": say a number`},
		{[]string{"cost", "--every", "10", "h/t"}, `--every "10": say a time such as 500ms, 10m or 24h`},
		{[]string{"decode", "--port", "0"}, "--port 0: say 1 to 65535"},
		{[]string{"decode", "--color", "mauve"}, `--color "mauve": say auto, always or never`},
		{[]string{"decode", "zz"}, `"zz" is not hex`},
		{[]string{"decode", "401"}, `"401" is not hex`},
		{[]string{"decode", "-f", "x", "40000001"}, "not both"},
	}
	for _, tt := range tests {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			got := command(t, "", tt.args...)
			if got.status != exitUsage {
				t.Errorf("status %d, want %d", got.status, exitUsage)
			}
			if got.stdout != "" {
				t.Errorf("standard output %q", got.stdout)
			}
			if !strings.HasPrefix(got.stderr, "coap: ") || strings.Count(got.stderr, "\n") != 1 || !strings.Contains(got.stderr, tt.want) {
				t.Errorf("standard error %q, want one line with %q", got.stderr, tt.want)
			}
		})
	}
}

// The help names every command and flag, and fits a screen.
func TestHelp(t *testing.T) {
	names := []string{""}
	for _, cmd := range (&cli{}).rootCommand().Commands() {
		if !cmd.Hidden {
			names = append(names, cmd.Name())
		}
	}
	for _, name := range names {
		got := command(t, "", append([]string{"help"}, strings.Fields(name)...)...)
		golden(t, strings.TrimSuffix("help/coap-"+name, "-"), got.stdout)
		if !strings.Contains(got.stdout, "\nExamples:\n") && name != "" && name != "script" {
			t.Errorf("coap %s --help has no example", name)
		}
		if lines := strings.Count(got.stdout, "\n"); lines > 40 {
			t.Errorf("coap %s --help has %d lines", name, lines)
		}
		for line := range strings.Lines(got.stdout) {
			if n := utf8.RuneCountInString(line); n > 101 {
				t.Errorf("coap %s --help: %d columns: %s", name, n-1, line)
			}
		}
	}
}

func TestHelpIsNoError(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"help"}, {"decode", "-h"}, {"help", "decode"}, {"--version"}} {
		got := command(t, "", args...)
		if got.status != exitOK || got.stdout == "" || got.stderr != "" {
			t.Errorf("%q: %+v", args, got)
		}
	}
}

// A closedPipe is a standard output that nobody reads any more.
type closedPipe struct{}

func (closedPipe) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestOutputThatFailsIsALocalError(t *testing.T) {
	for _, args := range [][]string{{"version"}, {"--help"}, {"get", "-h"}, {"completion", "zsh"}, {"decode", "40000001"}, {"decode", "--json", "40000001"}} {
		var stderr bytes.Buffer
		status := run(t.Context(), args, strings.NewReader(""), closedPipe{}, &stderr)
		if status != exitIO || !strings.Contains(stderr.String(), "closed pipe") {
			t.Errorf("%q: status %d, %q", args, status, stderr.String())
		}
	}
}

// A pipe that nobody reads any more ends the command without a word, as SIGPIPE would.
func TestBrokenPipeIsQuiet(t *testing.T) {
	for _, args := range [][]string{{"version"}, {"codes"}, {"--help"}, {"completion", "bash"}, {"decode", "40000001"}} {
		var stderr bytes.Buffer
		if status := run(t.Context(), args, strings.NewReader(""), &closedReader{lines: 1}, &stderr); status != exitPipe || stderr.Len() > 0 {
			t.Errorf("%q: status %d, %q", args, status, &stderr)
		}
	}
}

func TestColorFlag(t *testing.T) {
	tests := []struct {
		mode     colorMode
		terminal bool
		env      map[string]string
		want     bool
	}{
		{colorAuto, true, nil, true},
		{colorAuto, false, nil, false},
		{colorAuto, true, map[string]string{"NO_COLOR": "1"}, false},
		{colorAuto, true, map[string]string{"TERM": "dumb"}, false},
		{colorAlways, false, nil, true},
		{colorAlways, true, map[string]string{"NO_COLOR": "1"}, true},
		{colorNever, true, nil, false},
	}
	for _, tt := range tests {
		c := &cli{color: tt.mode, stdoutTerminal: tt.terminal, getenv: func(k string) string { return tt.env[k] }}
		if got := c.colored(); got != tt.want {
			t.Errorf("%v, terminal %v, %v: %v, want %v", &tt.mode, tt.terminal, tt.env, got, tt.want)
		}
	}
}
