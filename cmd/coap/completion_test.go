package main

import (
	"strings"
	"testing"
)

// complete returns what a shell offers behind a command line, one per line, and the
// directive at the end.
func complete(t *testing.T, args ...string) string {
	t.Helper()
	got := command(t, "", append([]string{"__complete"}, args...)...)
	if got.status != exitOK {
		t.Errorf("%q: %+v", args, got)
	}
	return got.stdout
}

func TestCompletions(t *testing.T) {
	var b strings.Builder
	for _, line := range []string{
		"^", "de^", "get ^", "get co^", "coap://^", "get -t ^", "get -A application/cb^", "put -m p^", "-m ^", "get -O 2^", "get -b 1^",
		"get --color ^", "observe --ti^", "cost --link ^", "cost --node ^", "cost --answer-code 4.0^", "codes ^", "-N get co^",
		"serve ^", "plugtest --validate e^", "get a/b ^", "get coaps://h/^", "get coap://224.0.1.187/^", "version ^",
	} {
		args := strings.Split(strings.TrimSuffix(line, "^"), " ")
		b.WriteString("$ coap " + line + "\n" + complete(t, args...) + "\n")
	}
	golden(t, "completions", b.String())
}

// The paths of a node come from its links.
func TestPathsAreCompleted(t *testing.T) {
	uri := node(t)
	for begun, want := range map[string]string{
		uri + "/":                   uri + "/value\tValue\n",
		uri + "/va":                 uri + "/value\tValue\n",
		uri[len("coap://"):] + "/v": uri[len("coap://"):] + "/value\tValue\n",
		"coap://127.0.0.1:1/":       "",
	} {
		got := complete(t, "get", begun)
		if want != "" && !strings.Contains(got, want) || want == "" && !strings.HasPrefix(got, ":") {
			t.Errorf("%s: %q, want %q", begun, got, want)
		}
		for line := range strings.Lines(got) {
			if !strings.HasPrefix(line, begun) && !strings.HasPrefix(line, ":") {
				t.Errorf("%s: %q", begun, line)
			}
		}
	}
}

func TestCompletionScripts(t *testing.T) {
	for shell, want := range map[string]string{"bash": "complete -o default -F __start_coap coap", "zsh": "#compdef coap", "fish": "complete -c coap "} {
		got := command(t, "", "completion", shell)
		if got.status != exitOK || !strings.Contains(got.stdout, want) {
			t.Errorf("%s: status %d, %q is missing", shell, got.status, want)
		}
	}
}
