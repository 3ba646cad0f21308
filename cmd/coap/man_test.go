package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

func TestManualPages(t *testing.T) {
	dir := t.TempDir()
	if got := command(t, "", "man", dir); got != (result{}) {
		t.Fatalf("%+v", got)
	}
	for _, name := range []string{"coap", "coap-get", "coap-decode", "coap-script"} {
		page, err := os.ReadFile(filepath.Join(dir, name+".1"))
		if err != nil {
			t.Fatal(err)
		}
		golden(t, "man/"+name, string(page))
	}
	for _, cmd := range (&cli{}).rootCommand().Commands() {
		page, err := os.ReadFile(filepath.Join(dir, "coap-"+cmd.Name()+".1"))
		if err != nil {
			t.Error(err)
		}
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if !f.Hidden && cmd.Runnable() && !strings.Contains(string(page), escapeRoff("--"+f.Name)) {
				t.Errorf("%s: no --%s", cmd.Name(), f.Name)
			}
		})
		checkRoff(t, cmd.Name(), string(page))
	}
}

// checkRoff finds requests that a page can't have on purpose, and text set as it stands
// without an end.
func checkRoff(t *testing.T, name, page string) {
	t.Helper()
	asIs := false
	for line := range strings.Lines(page) {
		request, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch {
		case request == ".nf" || request == ".fi":
			asIs = request == ".nf"
		case strings.HasPrefix(line, ".") && !strings.Contains(".TH .SH .PP .TP .B .BR", request), strings.HasPrefix(line, "'"):
			t.Errorf("%s: %q", name, line)
		}
	}
	if asIs {
		t.Errorf("%s: .nf without .fi", name)
	}
}

func TestManualPagesNeedADirectory(t *testing.T) {
	if got := command(t, "", "man"); got.status != exitUsage {
		t.Errorf("%+v", got)
	}
	if got := command(t, "", "man", filepath.Join(t.TempDir(), "none")); got.status != exitIO || !strings.Contains(got.stderr, "coap.1") {
		t.Errorf("%+v", got)
	}
}

func TestEscapeRoff(t *testing.T) {
	for text, want := range map[string]string{
		".nf\n.x": "\\&.nf\n\\&.x", `a\b`: `a\eb`, "-e 'x'": `\-e \(aqx\(aq`, "0x…": "0x...",
	} {
		if got := escapeRoff(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
