// Package examples tests the programs in its folders: they are built and run as a user
// does it.
package examples

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/coaptest"
)

func TestMain(m *testing.M) { coaptest.Main(m) }

// programs are the arguments of each program and what it prints, as a regular expression.
// NODE stands for the URL of a running examples/server, FILE for a file of 20,000 bytes.
var programs = map[string]struct{ args, prints string }{
	"client": {"NODE", `GET /config: 2\.05 \{"interval":60,"name":"lab"\}
PUT /config: 2\.04
POST /readings: 2\.01 /readings/1
GET /readings/1: 2\.05 22\.5
GET /nowhere: coap: 4\.04 Not Found
`},
	"codec": {"", `42 03 7d 34 ca fe b4 6c 61 6d 70 10 ff 6f 6e
CON PUT cafe
Uri-Path lamp
Content-Format text/plain; charset=utf-8
on
`},
	"concurrent": {"", `(job (\d): result (\d), token [0-9a-f]{16}\n){4}`},
	"discover":   {"NODE", `(?s).*/temperature +rt="temperature-c" observable=true\n.*/readings +rt="" observable=false\n.*`},
	"fleet":      {"", `3000 readings of 1000 nodes, [1-9]\d* retransmissions\n`},
	"multicast":  {"", `(10\.0\.0\.[123]:5683: </\.well-known/core>;ct=40,</(light|heater|door)>;obs\n){3}`},
	"observe":    {"NODE/temperature 2", `\d+(\.5)?\n\d+(\.5)?\n`},
	"separate": {"", `-> CON GET id=\w+ token=\w+ Uri-Path: slow
<- ACK Empty id=\w+
<- CON 2\.05 Content id=\w+ token=\w+ 7 B payload
-> ACK Empty id=\w+
`},
	"upload": {"FILE NODE/firmware", `10 %\n(\d0 %\n){8}100 %\n2\.04 20000 bytes\n`},
}

func TestPrograms(t *testing.T) {
	bin := build(t)
	file := filepath.Join(t.TempDir(), "firmware")
	if err := os.WriteFile(file, make([]byte, 20_000), 0o600); err != nil {
		t.Fatal(err)
	}
	node := startServer(t, filepath.Join(bin, "server"))
	arguments := strings.NewReplacer("NODE", node, "FILE", file)
	t.Run("each", func(t *testing.T) {
		for name, p := range programs {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				args := strings.Fields(p.args)
				for i := range args {
					args[i] = arguments.Replace(args[i])
				}
				printed := output(t, filepath.Join(bin, name), args...)
				if !regexp.MustCompile("^" + p.prints + "$").MatchString(printed) {
					t.Errorf("it printed\n%s\nwhich is not\n%s", printed, p.prints)
				}
			})
		}
	})
	resp, err := coap.Get(t.Context(), node+"/readings/1")
	if err != nil || string(resp.Payload()) != "22.5" {
		t.Errorf("the reading that client posted: %v, %v", resp, err)
	}
}

// build compiles every program into a folder.
func build(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", dir+string(filepath.Separator), "./...")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, text)
	}
	return dir
}

// output runs a program to its end and returns what it printed.
func output(t *testing.T, program string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	text, err := exec.CommandContext(ctx, program, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", filepath.Base(program), err, text)
	}
	return string(text)
}

// startServer runs the server on a free port of loopback and returns its URL. At the end of
// the test an interrupt must end it without an error.
func startServer(t *testing.T, program string) string {
	t.Helper()
	cmd := exec.Command(program, "127.0.0.1:0")
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if cmd.Process.Signal(os.Interrupt) != nil {
			cmd.Process.Kill() // Windows has no such signal
			cmd.Wait()
		} else if err := cmd.Wait(); err != nil {
			t.Errorf("the server after an interrupt: %v", err)
		}
	})
	url, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("the server's URL: %v", err)
	}
	return strings.TrimSpace(url)
}

// Each program is small, and the README has a line for it.
func TestEachProgram(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	sources, err := filepath.Glob("*/*.go")
	if err != nil || len(sources) < len(programs) {
		t.Fatalf("%d sources, %v", len(sources), err)
	}
	for _, source := range sources {
		text, err := os.ReadFile(source)
		if err != nil {
			t.Fatal(err)
		}
		if lines := strings.Count(string(text), "\n"); lines > 60 {
			t.Errorf("%s has %d lines, more than 60", source, lines)
		}
		name := filepath.Dir(source)
		if _, tested := programs[name]; !tested && name != "server" && name != "handlertest" {
			t.Errorf("%s is not run by a test", name)
		}
		if !strings.Contains(string(readme), "["+name+"]("+name+")") {
			t.Errorf("README.md does not list %s", name)
		}
	}
}
