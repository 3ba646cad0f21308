package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/coaptest"
	"github.com/motewire/coap/message"
	"github.com/motewire/coap/transport"
	"github.com/motewire/coap/transport/simnet"
)

// A scene is a command that observes /value in virtual time.
type scene struct {
	*coaptest.Server
	state          *coap.State[float64] // of /value
	subject        coap.Subject         // of /bytes
	watcher        *watcher
	stdout, stderr bytes.Buffer
	began          time.Time
}

func observing(t *testing.T, f func(t *testing.T, sc *scene)) {
	coaptest.Run(t, func(t *testing.T) {
		sc := &scene{state: coap.NewState(20.0), began: time.Now()}
		mux := coap.NewMux()
		mux.Handle("GET /value", sc.state)
		mux.HandleFunc("GET /bytes", func(w coap.ResponseWriter, _ *coap.Request) { w.Write([]byte{0, 0xff, '\n'}) }, coap.Observable(&sc.subject))
		mux.HandleFunc("GET /plain", func(w coap.ResponseWriter, _ *coap.Request) { w.WriteString("plain") })
		sc.Server = coaptest.NewUnstartedServer(mux)
		sc.Config.NotifyInterval = -1
		sc.Start()
		defer sc.Close()
		c := &cli{stdout: &sc.stdout, stderr: &sc.stderr, color: colorNever, getenv: os.Getenv}
		sc.watcher = &watcher{cli: c, observation: &observation{}, out: &sc.stdout}
		f(t, sc)
	})
}

// follow runs the command to its end, and fails the test where that is another one.
func (sc *scene) follow(t *testing.T, ctx context.Context, path string, status int, after time.Duration) error {
	t.Helper()
	client := &coap.Client{Listen: coaptest.Listen(sc.Network)}
	err := sc.watcher.follow(ctx, client, coap.NewRequest(message.GET, sc.URL+path, coap.Body{}))
	if d := time.Since(sc.began); exitStatus(err) != status || d != after {
		t.Errorf("status %d after %v, %v; want %d after %v", exitStatus(err), d, err, status, after)
	}
	client.Close()
	sc.watcher.close()
	return err
}

// sets changes the value each second, as often as there are values.
func (sc *scene) sets(values ...float64) {
	go func() {
		for _, v := range values {
			time.Sleep(time.Second)
			sc.state.Set(v)
		}
	}()
}

// gone fails the test where an observer is left at the server.
func (sc *scene) gone(t *testing.T) {
	t.Helper()
	synctest.Wait()
	if n := sc.Config.Stats().Observations; n.Observers != 0 || n.Deregistered != 1 {
		t.Errorf("at the server: %+v", n)
	}
}

// wrote fails the test where the output is another one.
func (sc *scene) wrote(t *testing.T, stdout, stderr string) {
	t.Helper()
	if sc.stdout.String() != stdout || sc.stderr.String() != stderr {
		t.Errorf("standard output %q, error %q; want %q, %q", sc.stdout.String(), sc.stderr.String(), stdout, stderr)
	}
}

// States go to standard output, one per line. The command ends after --count of them, and
// the server knows by then.
func TestObserveCount(t *testing.T) {
	observing(t, func(t *testing.T, sc *scene) {
		sc.watcher.count = 3
		sc.sets(20.5, 21, 21.5, 22)
		sc.follow(t, t.Context(), "/value", exitOK, 2*time.Second)
		sc.gone(t)
		sc.wrote(t, "20\n20.5\n21\n", "")
		time.Sleep(5 * time.Second)
	})
}

func TestObserveForSeconds(t *testing.T) {
	observing(t, func(t *testing.T, sc *scene) {
		sc.watcher.observeFor = 2500 * time.Millisecond
		sc.sets(20.5, 21, 21.5)
		sc.follow(t, t.Context(), "/value", exitOK, 2500*time.Millisecond)
		sc.gone(t)
		sc.wrote(t, "20\n20.5\n21\n", "")
		time.Sleep(time.Second)
	})
}

func TestObserveInterrupted(t *testing.T) {
	observing(t, func(t *testing.T, sc *scene) {
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(1500*time.Millisecond, func() { cancel(errors.New("interrupt signal received")) })
		sc.sets(20.5)
		err := sc.follow(t, ctx, "/value", exitInterrupted, 1500*time.Millisecond)
		if err.Error() != "" {
			t.Error(err)
		}
		sc.gone(t)
		sc.wrote(t, "20\n20.5\n", "")
	})
}

// A closedReader takes one line.
type closedReader struct{ lines int }

func (r *closedReader) Write(b []byte) (int, error) {
	if r.lines++; r.lines > 1 {
		return 0, &os.PathError{Op: "write", Path: "|1", Err: syscall.EPIPE}
	}
	return len(b), nil
}

// coap observe … | head -1 leaves no observer at the server either.
func TestObserveWhileSomebodyReads(t *testing.T) {
	observing(t, func(t *testing.T, sc *scene) {
		sc.watcher.out = &closedReader{}
		sc.sets(20.5)
		sc.follow(t, t.Context(), "/value", exitPipe, time.Second)
		sc.gone(t)
	})
}

// -B is for the first state; an observation lasts longer.
func TestObserveTimeoutIsForTheFirstState(t *testing.T) {
	observing(t, func(t *testing.T, sc *scene) {
		sc.watcher.timeout, sc.watcher.count = time.Second/2, 2
		sc.sets(20.5)
		sc.follow(t, t.Context(), "/value", exitOK, time.Second)
	})
	for name, set := range map[string]func(*watcher){
		"given up after 3s":     func(w *watcher) { w.timeout = 3 * time.Second },
		"no answer within 3s":   func(w *watcher) { w.observeFor = 3 * time.Second },
		"allow more time with ": func(w *watcher) { w.timeout = 3 * time.Second },
	} {
		observing(t, func(t *testing.T, sc *scene) {
			sc.Network.SetDefault(simnet.Link{Loss: 1})
			set(sc.watcher)
			err := sc.follow(t, t.Context(), "/value", exitTimeout, 3*time.Second)
			if err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("%v, want %q", err, name)
			}
		})
	}
}

// RFC 7641 §3.1: what is not observable is answered like any GET.
func TestObserveRefused(t *testing.T) {
	observing(t, func(t *testing.T, sc *scene) {
		err := sc.follow(t, t.Context(), "/plain", exitObservation, 0)
		sc.wrote(t, "plain\n", "")
		if !strings.Contains(err.Error(), "not observable") {
			t.Error(err)
		}
	})
	for _, noFail := range []bool{false, true} {
		observing(t, func(t *testing.T, sc *scene) {
			status := exitClientError
			if sc.watcher.noFail = noFail; noFail {
				status = exitOK
			}
			sc.follow(t, t.Context(), "/none", status, 0)
			if sc.stdout.Len() > 0 {
				t.Errorf("%q", sc.stdout.String())
			}
		})
	}
}

// An error notification (RFC 7641 §4.2) is an early end, whatever --no-fail says.
func TestObserveEndedEarly(t *testing.T) {
	for _, flags := range []outputFlags{{}, {noFail: true}} {
		observing(t, func(t *testing.T, sc *scene) {
			sc.watcher.outputFlags = flags
			time.AfterFunc(time.Second, func() { sc.subject.End(message.NotFound) })
			err := sc.follow(t, t.Context(), "/bytes", exitObservation, time.Second)
			if err == nil || err.Error() != "the server has ended the observation: 4.04 Not Found" {
				t.Error(err)
			}
			sc.wrote(t, "\x00\xff\n", "")
		})
	}
}

// A server that goes silent is told of, and the observation goes on when it is back.
func TestObserveStale(t *testing.T) {
	observing(t, func(t *testing.T, sc *scene) {
		sc.watcher.count = 2
		time.AfterFunc(time.Second, func() { sc.Network.SetDefault(simnet.Link{Loss: 1}) })
		time.AfterFunc(250*time.Second, func() {
			sc.Network.SetDefault(simnet.Link{})
			sc.state.Set(30)
		})
		client := &coap.Client{Listen: coaptest.Listen(sc.Network)}
		defer client.Close()
		if err := sc.watcher.follow(t.Context(), client, coap.NewRequest(message.GET, sc.URL+"/value", coap.Body{})); err != nil {
			t.Error(err)
		}
		if lines := strings.Count(sc.stderr.String(), "coap: no news for longer than the state is good for; asking again\n"); lines < 1 {
			t.Errorf("standard error %q", sc.stderr.String())
		}
		if sc.stdout.String() != "20\n30\n" {
			t.Errorf("standard output %q", sc.stdout.String())
		}
	})
}

// On a terminal a number gets a sparkline, and the end is a summary; bytes are hex.
func TestObserveOnTerminal(t *testing.T) {
	observing(t, func(t *testing.T, sc *scene) {
		sc.watcher.stdoutTerminal = true
		sc.watcher.count = 5
		sc.sets(20.5, 22, 18, 21)
		sc.follow(t, t.Context(), "/value", exitOK, 4*time.Second)
		sc.wrote(t, "20         ▅\n20.5       ▁█\n22         ▁▃█\n18         ▅▆█▁\n21         ▅▆█▁▇\n",
			"min 18, mean 20.3, max 22 of 5\n")
	})
	observing(t, func(t *testing.T, sc *scene) {
		sc.watcher.stdoutTerminal = true
		sc.watcher.count = 1
		sc.follow(t, t.Context(), "/bytes", exitOK, 0)
		sc.wrote(t, "00ff\n", "")
	})
}

// --json is an object per state. A notification has no round-trip time.
func TestObserveJSON(t *testing.T) {
	observing(t, func(t *testing.T, sc *scene) {
		sc.Network.SetDefault(simnet.Link{Delay: 50 * time.Millisecond})
		sc.watcher.json, sc.watcher.count = true, 2
		sc.sets(20.5)
		sc.follow(t, t.Context(), "/value", exitOK, 1050*time.Millisecond)
		lines := strings.Split(sc.stdout.String(), "\n")
		if len(lines) != 3 || !strings.HasSuffix(lines[0], `"payload":"20","rtt_ms":100,"retransmissions":0}`) ||
			!strings.HasSuffix(lines[1], `"payload":"20.5","rtt_ms":0,"retransmissions":0}`) || !strings.Contains(lines[1], `"name":"Observe"`) {
			t.Errorf("%s", sc.stdout.String())
		}
	})
}

func TestSparkline(t *testing.T) {
	tests := []struct {
		values []float64
		want   string
	}{
		{[]float64{1}, "▅"},
		{[]float64{0, 0}, "▅▅"},
		{[]float64{0, 1, 2, 3, 4, 5, 6, 7}, "▁▂▃▄▅▆▇█"},
		{[]float64{-math.MaxFloat64, 0, math.MaxFloat64}, "▁▅█"},
	}
	for _, tt := range tests {
		if got := sparkline(tt.values); got != tt.want {
			t.Errorf("%v: %s, want %s", tt.values, got, tt.want)
		}
	}
	var c chart
	for i := range 100 {
		if got := string(c.add([]byte(fmt.Sprint(i)))); strings.Count(got, "")-1-11 != min(i+1, chartWidth) {
			t.Fatalf("%q", got)
		}
	}
	for _, text := range []string{"on", "", "NaN", "Inf", "1 2"} {
		if got := string(c.add([]byte(text))); got != text || c.n != 100 {
			t.Errorf("%q became %q", text, got)
		}
	}
}

// countingNode serves /count on loopback: GET and FETCH count, and each state is followed
// by another.
func countingNode(t *testing.T) (uri string) {
	t.Helper()
	conn, err := transport.Listen(t.Context(), "udp4", "127.0.0.1:0", transport.Config{})
	if err != nil {
		t.Fatal(err)
	}
	var subject coap.Subject
	count := func(w coap.ResponseWriter, r *coap.Request) {
		w.SetContentFormat(message.TextPlain)
		fmt.Fprintf(w, "%s%s", r.Payload(), "tick")
		if _, ok := r.Message().Observe(); ok {
			time.AfterFunc(time.Millisecond, subject.Notify)
		}
	}
	mux := coap.NewMux()
	for _, method := range []string{"GET", "FETCH"} {
		mux.HandleFunc(method+" /count", count, coap.Observable(&subject), coap.Notifications(coap.NotifyPolicy{Every: 1}))
	}
	srv := &coap.Server{Handler: mux}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(context.Background(), conn) }()
	t.Cleanup(func() {
		if n := srv.Stats().Observations.Observers; n != 0 {
			t.Errorf("%d observers left", n)
		}
		if err := srv.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return fmt.Sprintf("coap://127.0.0.1:%d/count", conn.LocalAddr().Port())
}

// Command lines, with the spelling of other clients too.
func TestObserveCommandLines(t *testing.T) {
	uri := countingNode(t)
	file := filepath.Join(t.TempDir(), "states")
	tests := []struct {
		line   string
		status int
		want   string // standard output, or with a trailing … its start
	}{
		{"observe --count 3 URI", exitOK, "tick\ntick\ntick\n"},
		{"observe -c 2 -N -T 0x0a -A text URI", exitOK, "tick\ntick\n"},
		{"observe -c 2 -m fetch -e a URI", exitOK, "atick\natick\n"},
		{"observe -c 1 --include URI", exitOK, "2.05 Content\nObserve: …"},
		{"observe -c 2 -o FILE URI", exitOK, ""},
		{"observe -s 0.2 URI", exitOK, "tick\ntick\n…"},
		{"get -s 0.2 URI", exitOK, "tick\ntick\n…"},
		{"get -B 0.1 -s 0.2 URI", exitOK, "tick\ntick\n…"},
		{"-s 0.2 -m get URI", exitOK, "tick\ntick\n…"},
		{"-N observe -s 0.2 URI", exitOK, "tick\ntick\n…"},
		{"fetch -e b -s 0.2 URI", exitOK, "btick\nbtick\n…"},
		{"get URI", exitOK, "tick"},
		{"put -s 5 URI", exitUsage, ""},
		{"observe -m put URI", exitUsage, ""},
		{"observe", exitUsage, ""},
		{"observe -N 224.0.1.187", exitUsage, ""},
	}
	for _, tt := range tests {
		args := strings.Fields(strings.NewReplacer("URI", uri, "FILE", file).Replace(tt.line))
		got := command(t, "", args...)
		prefix, open := strings.CutSuffix(tt.want, "…")
		if got.status != tt.status || got.stdout != tt.want && !(open && strings.HasPrefix(got.stdout, prefix)) {
			t.Errorf("%s: %+v", tt.line, got)
		}
		if lines := strings.Count(got.stderr, "\n"); lines != min(tt.status, 1) {
			t.Errorf("%s: standard error %q", tt.line, got.stderr)
		}
	}
	if body, err := os.ReadFile(file); string(body) != "tick\ntick\n" {
		t.Errorf("-o: %q, %v", body, err)
	}
}

// The deregistration (RFC 7641 §3.6) goes out before the command ends, with the token.
func TestObserveDeregisters(t *testing.T) {
	got := command(t, "", "observe", "-v", "-T", "0x0a0b", "-c", "1", countingNode(t))
	var last string
	for line := range strings.Lines(got.stderr) {
		if strings.Contains(line, " > ") && strings.Contains(line, "GET") {
			last = line
		}
	}
	if !strings.Contains(last, "token=0a0b") || !strings.Contains(last, "Observe: 1") {
		t.Errorf("%s", got.stderr)
	}
}
