package main

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/motewire/coap"
)

func TestDiscoverTranscripts(t *testing.T) {
	uri := node(t)
	var b strings.Builder
	for _, line := range []string{
		"discover URI",
		"discover URI/?rt=temp*",
		"discover --raw URI?rt=temperature",
		"discover --json URI?rt=temperature",
		"discover URI?rt=nothing",
		"discover URI/.well-known/core?href=/json",
	} {
		args := strings.Fields(strings.ReplaceAll(line, "URI", uri))
		fmt.Fprintf(&b, "$ coap %s\n%s", line, shown(command(t, "", args...)))
	}
	golden(t, "discover", stable(b.String()))
}

// A group gives a row per answering node, with its address.
func TestDiscoverGroup(t *testing.T) {
	const group = "224.0.1.187"
	uri := node(t, coap.Group{Addr: netip.MustParseAddr(group), Interface: loopback(t)})
	command(t, "", "get", uri+"/value") // it is answered once the group is joined
	peer := strings.TrimPrefix(uri, "coap://")
	at := fmt.Sprintf("%s:%d?rt=temp*", group, port(t, uri))
	ask := func(flags ...string) result {
		return command(t, "", append([]string{"discover", "-a", "127.0.0.1", "-B", "0.3", at}, flags...)...)
	}

	got := ask()
	words := strings.Fields(got.stdout)
	if got.status != exitOK || len(words) != 6 || words[3] != peer || words[5] != "/value" {
		t.Errorf("%+v, want a row of %s and /value", got, peer)
	}
	got = ask("--raw")
	if want := peer + "\t</value>;rt=\"temperature\";title=\"Value\"\n"; got.stdout != want {
		t.Errorf("%+v, want %q", got, want)
	}
	got = ask("--json")
	if !strings.Contains(got.stdout, `"peer":"`+peer+`"`) || strings.Count(got.stdout, "\n") != 1 {
		t.Errorf("%+v", got)
	}
}

func TestDiscoverEmptyGroup(t *testing.T) {
	got := command(t, "", "discover", "-a", "127.0.0.1", "-B", "0.05", "224.0.1.187:9")
	if got.status != exitTimeout || !strings.HasPrefix(got.stderr, "coap: no node answered within ") {
		t.Errorf("%+v", got)
	}
}
