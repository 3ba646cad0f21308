package main

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/motewire/coap/message"
)

func TestPing(t *testing.T) {
	got := command(t, "", "ping", "--count", "3", "-i", "0.001", node(t)+"/path-counts-for-nothing")
	golden(t, "ping", stable(shown(got)))
}

// Lost pings are told, and some that are answered are enough.
func TestPingWithLosses(t *testing.T) {
	pings := 0
	uri := rawPeer(t, func(v *message.View) []byte {
		if pings++; pings%2 == 0 {
			return nil
		}
		return resets(v)
	})
	got := command(t, "", "ping", "-c", "3", "-i", "0.001", "--ack-timeout", "0.2", uri)
	golden(t, "ping-losses", stable(shown(got)))
}

// An interrupt ends with the summary of what was answered before.
func TestPingInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(within(t))
	pings := 0
	uri := rawPeer(t, func(v *message.View) []byte {
		if pings++; pings == 3 {
			cancel()
			return nil
		}
		return resets(v)
	})
	var stdout, stderr bytes.Buffer
	status := run(ctx, []string{"ping", "-i", "0.001", uri}, strings.NewReader(""), &stdout, &stderr)
	if status != exitInterrupted || !strings.Contains(stdout.String(), "2 sent, 2 answered, 0% lost") {
		t.Errorf("status %d, %q, %q", status, stdout.String(), stderr.String())
	}
}
