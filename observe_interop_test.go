package coap_test

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/transport"
)

// libcoap's client observes a value for 3 s and deregisters.
func TestInteropLibcoapClientObserves(t *testing.T) {
	client := libcoap(t, "coap-client")
	for name, policy := range map[string]coap.NotifyPolicy{"non": allNonConfirmable, "con": allConfirmable} {
		t.Run(name, func(t *testing.T) {
			value := coap.NewState("state-0")
			mux := coap.NewMux()
			mux.Handle("GET /value", value, coap.Notifications(policy))
			conn, err := transport.Listen(t.Context(), "udp4", "127.0.0.1:0", transport.Config{})
			if err != nil {
				t.Fatal(err)
			}
			server := &coap.Server{Handler: mux, NotifyInterval: -1}
			ctx, stop := context.WithCancel(context.Background())
			served := make(chan error, 1)
			go func() { served <- server.Serve(ctx, conn) }()
			defer func() {
				stop()
				if err := <-served; err != nil {
					t.Error(err)
				}
			}()
			// The last change leaves libcoap a second before its end, so that no notification
			// finds a closed socket.
			changed := make(chan struct{})
			go func() {
				defer close(changed)
				for _, state := range []string{"state-1", "state-2", "state-3", "state-4"} {
					time.Sleep(500 * time.Millisecond)
					value.Set(state)
				}
			}()
			limit, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			out, err := exec.CommandContext(limit, client, "-s", "3", "-w", "-B", "10", "coap://"+conn.LocalAddr().String()+"/value").CombinedOutput()
			<-changed
			if err != nil {
				t.Fatalf("%s: %v", out, err)
			}
			for _, want := range []string{"state-0", "state-1", "state-2", "state-3", "state-4"} {
				if !strings.Contains(string(out), want) {
					t.Errorf("printed %q, want %q in it", out, want)
				}
			}
			// A ping comes behind whatever libcoap sent last.
			if _, err := coap.Ping(limit, "coap://"+conn.LocalAddr().String()); err != nil {
				t.Fatal(err)
			}
			stats := server.Stats().Observations
			if stats.Registered != 1 || stats.Deregistered != 1 || stats.Observers != 0 {
				t.Errorf("%+v", stats)
			}
		})
	}
}

// The client observes /time of libcoap's server, which changes every second.
func TestInteropLibcoapServerIsObserved(t *testing.T) {
	url := libcoapServer(t)
	c := &coap.Client{}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	states := map[string]bool{}
	for resp, err := range c.Observe(ctx, url+"/time") {
		if err != nil {
			t.Fatal(err)
		}
		if states[string(resp.Payload())] = true; len(states) == 3 {
			break
		}
	}
	if len(states) != 3 {
		t.Errorf("states %v", states)
	}
	began := time.Now()
	if err := c.Close(); err != nil || time.Since(began) > time.Second {
		t.Errorf("Close: %v after %v: the deregistration was not answered", err, time.Since(began))
	}
	plain := &coap.Client{}
	defer plain.Close()
	var last error
	for _, last = range plain.Observe(ctx, url+"/") {
	}
	if !errors.Is(last, coap.ErrNotObserved) {
		t.Errorf("observing libcoap's / ends by %v", last)
	}
}
