package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/cmd/coap/lab"
)

// A shellLine is a command line that a page shows.
type shellLine struct{ at, text string }

var (
	fence  = regexp.MustCompile("(?ms)^```(\\w*)\n(.*?)^```$")
	inline = regexp.MustCompile("`((?:coap|go run) [a-z.][^`\n]*)`")
)

// shownLines returns the lines of all shell blocks of the repository's pages, fenced or
// indented, without comments; and the commands within text.
func shownLines(t *testing.T) (lines, within []shellLine) {
	t.Helper()
	for _, pattern := range []string{"../../*.md", "../../*/*.md", "../../testdata/*/*.md"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v, %d pages", pattern, err, len(files))
		}
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			text := string(b)
			for _, m := range fence.FindAllStringSubmatch(text, -1) {
				if m[1] == "sh" || m[1] == "console" {
					lines = append(lines, commandsOf(file, m[2])...)
				}
			}
			text = fence.ReplaceAllString(text, "")
			for line := range strings.Lines(text) {
				if strings.HasPrefix(line, "    ") {
					lines = append(lines, commandsOf(file, line)...)
				}
			}
			for _, m := range inline.FindAllStringSubmatch(text, -1) {
				within = append(within, shellLine{file, m[1]})
			}
		}
	}
	return lines, within
}

// commandsOf splits a block into commands.
func commandsOf(file, block string) (lines []shellLine) {
	for line := range strings.Lines(block) {
		line, _, _ = strings.Cut(line, " #")
		for command := range strings.SplitSeq(line, " && ") {
			if command = strings.TrimSpace(command); command != "" && command[0] != '#' {
				lines = append(lines, shellLine{file, command})
			}
		}
	}
	return lines
}

// Every command line in the pages does what the page says: those of this command run,
// against a node on loopback; of others what they name must be there.
func TestShownLines(t *testing.T) {
	lines, _ := shownLines(t)
	uri := shownNode(t)
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	shownFolder(t, root)
	ran := 0
	for _, line := range lines {
		t.Run(line.text, func(t *testing.T) {
			words := strings.Fields(line.text)
			switch {
			case words[0] == "coap":
				ran++
				runShown(t, uri, words[1:])
			case strings.HasPrefix(line.text, "go run ./cmd/coap "):
				ran++
				runShown(t, uri, words[3:])
			default:
				if err := checkShown(root, words); err != nil {
					t.Errorf("%s: %v", line.at, err)
				}
			}
		})
	}
	if ran < 15 {
		t.Errorf("%d lines ran", ran)
	}
}

// shownNode serves the lab node with what else the pages ask for.
func shownNode(t *testing.T) (uri string) {
	t.Helper()
	mux := lab.New().Mux()
	image := bytes.Repeat([]byte("image "), 1000)
	mux.HandleFunc("GET /image", func(w coap.ResponseWriter, _ *coap.Request) { w.Write(image) })
	for _, path := range []string{"PUT /image", "PUT /lamp"} {
		mux.HandleFunc(path, func(coap.ResponseWriter, *coap.Request) {})
	}
	return benchNode(t, mux)
}

// shownFolder makes a working directory with the files that the pages name.
func shownFolder(t *testing.T, root string) {
	t.Helper()
	t.Chdir(t.TempDir())
	capture, _ := filepath.Glob(filepath.Join(root, "testdata/captures/*.pcap*"))
	if len(capture) == 0 {
		t.Fatal("no capture")
	}
	trace, err := os.ReadFile(capture[0])
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"image.bin": make([]byte, 5000), "trace.pcap": trace} {
		if err := os.WriteFile(name, data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir("inbox", 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS("examples/scripts", os.DirFS(filepath.Join(root, "examples/scripts"))); err != nil {
		t.Fatal(err)
	}
}

// shownHost is how the pages call the node.
var shownHost = regexp.MustCompile(`^(coap://)?(localhost|node|node\.example|node\.local|127\.0\.0\.1)(:5683)?(/.*)?$`)

// shorter are flags that let a command end soon.
var shorter = map[string][]string{
	"observe": {"--count", "1"}, "ping": {"--count", "1"}, "bench": {"-n", "50"}, "demo": {"--loss", "0"},
}

// runShown runs a command line of this command.
func runShown(t *testing.T, uri string, args []string) {
	t.Helper()
	for i, arg := range args {
		if shownHost.MatchString(arg) {
			args[i] = shownHost.ReplaceAllString(arg, uri+"$4")
		}
	}
	if args[0] == "serve" || args[0] == "plugtest" {
		p := startServing(t, append(args, "--addr", "127.0.0.1:0")...)
		p.stop()
		if status := <-p.status; status != exitOK {
			t.Errorf("status %d", status)
		}
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var stdout, stderr bytes.Buffer
	args = append(args, shorter[args[0]]...)
	if status := run(ctx, args, strings.NewReader(""), &stdout, &stderr); status != exitOK || stdout.Len()+stderr.Len() == 0 && args[0] != "put" && args[0] != "get" {
		t.Errorf("coap %s: status %d, %s%s", strings.Join(args, " "), status, &stdout, &stderr)
	}
}

// ofTheSystem are commands of others, which can't be run here.
var ofTheSystem = []string{"sysctl", "nstat", "ss", "docker"}

// checkShown checks that what a command line names exists.
func checkShown(root string, words []string) error {
	for _, name := range ofTheSystem {
		if words[0] == name {
			return nil
		}
	}
	switch words[0] {
	case "cd":
		return isFolder(filepath.Join(root, words[1]))
	case "go":
		return checkGo(root, words[1:])
	}
	if rest, ok := strings.CutPrefix(words[0], ".ci/"); ok {
		_, err := exec.LookPath(filepath.Join(root, ".ci", rest))
		return err
	}
	return fmt.Errorf("nothing tests %q", strings.Join(words, " "))
}

func isFolder(name string) error {
	entries, err := os.ReadDir(name)
	if err == nil && len(entries) == 0 {
		err = fmt.Errorf("%s is empty", name)
	}
	return err
}

// checkGo checks a line of the go command: packages are there, and so are flags of bench.
func checkGo(root string, words []string) error {
	const module = "github.com/motewire/coap"
	last := words[len(words)-1]
	switch words[0] {
	case "install", "get":
		path, ok := strings.CutPrefix(strings.TrimSuffix(last, "@latest"), module)
		if !ok {
			return fmt.Errorf("%s is not of this module", last)
		}
		return isFolder(filepath.Join(root, path))
	case "test":
		return nil // with ./... or . and flags that go has
	case "tool":
		return nil
	case "run":
		if words[1] != "." {
			return isFolder(filepath.Join(root, words[1]))
		}
		return checkBenchFlags(root, words[2:])
	}
	return fmt.Errorf("nothing tests go %s", words[0])
}

func checkBenchFlags(root string, words []string) error {
	source, err := os.ReadFile(filepath.Join(root, "bench/main.go"))
	if err != nil {
		return err
	}
	for _, w := range words {
		if name, ok := strings.CutPrefix(w, "-"); ok && !strings.Contains(string(source), `, "`+name+`", `) {
			return fmt.Errorf("bench has no flag %s", w)
		}
	}
	return nil
}

// What text says of this command names commands and flags that there are.
func TestCommandsInText(t *testing.T) {
	_, within := shownLines(t)
	if len(within) < 5 {
		t.Fatalf("%d commands", len(within))
	}
	for _, line := range within {
		words := strings.Fields(line.text)[1:]
		if words[0] == "run" { // of go
			if err := checkGo("../..", words); err != nil {
				t.Errorf("%s: %v", line.at, err)
			}
			continue
		}
		root := (&cli{}).rootCommand()
		root.InitDefaultHelpCmd()
		root.InitDefaultCompletionCmd("bash")
		cmd, _, err := root.Find(withCommand(words))
		if err != nil || cmd.Name() == "coap" {
			t.Errorf("%s: %s: %v", line.at, line.text, err)
			continue
		}
		for _, w := range words {
			if name, ok := strings.CutPrefix(strings.Trim(w, "[],"), "--"); ok {
				if f := cmd.Flags().Lookup(name); f == nil {
					t.Errorf("%s: coap %s has no --%s", line.at, cmd.Name(), name)
				}
			}
		}
	}
}

// substitution is what a shell puts the output of a command in place of.
var substitution = regexp.MustCompile(`\$\([^)]*\)`)

// The examples in the help have flags that parse.
func TestHelpExamplesParse(t *testing.T) {
	for _, cmd := range (&cli{}).rootCommand().Commands() {
		for line := range strings.Lines(cmd.Example) {
			line, _, _ = strings.Cut(substitution.ReplaceAllString(line, "1"), " | ")
			words := strings.Fields(strings.NewReplacer("'", "", `"`, "").Replace(line))
			if len(words) < 2 || words[0] != "coap" || words[1] != cmd.Name() {
				continue // a pipe into it, say
			}
			fresh, _, err := (&cli{}).rootCommand().Find(words[1:])
			if err == nil {
				err = fresh.ParseFlags(words[2:])
			}
			if err != nil {
				t.Errorf("%s: %v", strings.TrimSpace(line), err)
			}
		}
	}
}

// docs/migration.md tells truly which flags of coap-client there are.
func TestMigrationFlags(t *testing.T) {
	page, err := os.ReadFile("../../docs/migration.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "| coap-client | coap |")
	table, _, _ = strings.Cut(table, "\n\n")
	cmd, _, err := (&cli{}).rootCommand().Find([]string{"get"})
	if err != nil {
		t.Fatal(err)
	}
	said := map[bool]int{}
	for row := range strings.Lines(table) {
		theirs, ours, _ := strings.Cut(strings.TrimPrefix(row, "| "), " | ")
		there := !strings.HasPrefix(ours, "none")
		for _, m := range regexp.MustCompile("`-([a-zA-Z])").FindAllStringSubmatch(theirs, -1) {
			said[there]++
			if found := cmd.Flags().ShorthandLookup(m[1]) != nil; found != there && m[1] != "m" && m[1] != "h" {
				t.Errorf("-%s is there: %v", m[1], found)
			}
		}
	}
	if said[true] < 18 || said[false] < 14 {
		t.Errorf("%v flags", said)
	}
}
