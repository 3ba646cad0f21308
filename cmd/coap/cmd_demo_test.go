package main

import (
	"context"
	"io"
	"strings"
	"testing"
)

func TestDemo(t *testing.T) {
	got := command(t, "", "demo", "--loss", "0", "--seed", "7", "--color", "always")
	if got.status != exitOK || got.stderr != "" {
		t.Errorf("status %d, %q", got.status, got.stderr)
	}
	for _, want := range []string{"loses 0 % of", "--seed 7 decides", "\x1b[1m", "HTTP/1.1"} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("no %q in\n%s", want, got.stdout)
		}
	}
}

func TestDemoRefusesWhatCannotWork(t *testing.T) {
	for args, want := range map[string]string{
		"demo now":       `demo takes no argument, got "now"`,
		"demo --loss 2":  `--loss "2": say a share`,
		"demo --seed -1": `--seed "-1"`,
	} {
		got := command(t, "", strings.Fields(args)...)
		if got.status != exitUsage || !strings.Contains(got.stderr, want) || got.stdout != "" {
			t.Errorf("%s: %+v", args, got)
		}
	}
}

func TestDemoIsInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if status := run(ctx, []string{"demo"}, strings.NewReader(""), io.Discard, io.Discard); status != exitInterrupted {
		t.Errorf("status %d", status)
	}
}

func TestDemoOutputFails(t *testing.T) {
	var stderr strings.Builder
	status := run(t.Context(), []string{"demo", "--loss", "0"}, strings.NewReader(""), closedPipe{}, &stderr)
	if status != exitIO || !strings.Contains(stderr.String(), "closed pipe") {
		t.Errorf("status %d, %q", status, stderr.String())
	}
}
