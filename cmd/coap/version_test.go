package main

import (
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
)

func TestVersion(t *testing.T) {
	info := &debug.BuildInfo{
		Main: debug.Module{Version: "v1.2.3"},
		Settings: []debug.BuildSetting{
			{Key: "vcs.revision", Value: "0123abcd"},
			{Key: "vcs.modified", Value: "true"},
		},
	}
	system := "go " + runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH + "\n"
	tests := []struct {
		name string
		info *debug.BuildInfo
		want string
	}{
		{"release", info, "coap v1.2.3\n" + system + "revision 0123abcd (modified)\n"},
		{"no information", nil, "coap unknown\n" + system + "revision unknown\n"},
	}
	for _, tt := range tests {
		var b strings.Builder
		if err := writeVersion(&b, tt.info); err != nil {
			t.Fatal(err)
		}
		if b.String() != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, b.String(), tt.want)
		}
	}
}

func TestVersionCommand(t *testing.T) {
	got := command(t, "", "version")
	if got.status != exitOK || !strings.HasPrefix(got.stdout, "coap ") || strings.Count(got.stdout, "\n") != 3 {
		t.Errorf("%+v", got)
	}
}
