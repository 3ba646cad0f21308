package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/message"
)

// A running is a command that serves until it is told to end.
type running struct {
	url    string      // of the server
	status chan int    // gets the exit status
	stop   func()      // interrupts the command
	client coap.Client // for real sockets
}

// startServing runs a command that prints its address in the first line, on a free port.
func startServing(t *testing.T, args ...string) *running {
	t.Helper()
	r, w := io.Pipe()
	ctx, stop := context.WithCancel(t.Context())
	p := &running{status: make(chan int, 1), stop: stop}
	go func() {
		p.status <- run(ctx, args, strings.NewReader(""), io.Discard, w)
		w.Close()
	}()
	lines := bufio.NewReader(r)
	line, err := lines.ReadString('\n')
	if err != nil {
		t.Fatal(line, err)
	}
	go io.Copy(io.Discard, lines)
	var ok bool
	if _, p.url, ok = strings.Cut(strings.TrimSpace(line), "listening on "); !ok {
		t.Fatalf("standard error %q", line)
	}
	t.Cleanup(func() { p.client.Close() })
	return p
}

func TestServersServeUntilInterrupted(t *testing.T) {
	tests := []struct{ command, path, want string }{
		{"serve", "/hello", "Hello from the lab"},
		{"plugtest", "/link1", "Link 1"},
	}
	for _, tt := range tests {
		p := startServing(t, tt.command, "--addr", "127.0.0.1:0")
		resp, err := p.client.Get(t.Context(), p.url+tt.path)
		if err != nil || resp.Code != message.Content || string(resp.Payload()) != tt.want {
			t.Errorf("%s: %v %v", tt.command, resp, err)
		}
		p.stop()
		if status := <-p.status; status != exitOK {
			t.Errorf("%s: status %d when interrupted", tt.command, status)
		}
	}
}

// What --validate and --rate say is what clients meet.
func TestServersDefendThemselves(t *testing.T) {
	tests := []struct {
		args       string
		path       string
		codes      string // of the responses to three requests
		challenges int
	}{
		{"serve", "/hello", "2.05 2.05 2.05", 0},
		{"serve --validate echo", "/hello", "2.05 2.05 2.05", 1},
		{"plugtest --validate echo-large", "/large", "2.05 2.05 2.05", 1},
		{"plugtest --validate small", "/large", "2.05 2.05 2.05", 0},
		{"serve --rate 0.01", "/hello", "2.05 4.29 4.29", 0},
	}
	for _, tt := range tests {
		p := startServing(t, append(strings.Fields(tt.args), "--addr", "127.0.0.1:0")...)
		challenges := 0
		p.client.Trace = &coap.Trace{Received: func(d coap.TraceDatagram) {
			var v message.View
			if v.Parse(d.Bytes) == nil && v.Code() == message.Unauthorized {
				challenges++
			}
		}}
		var codes []string
		for range 3 {
			resp, err := p.client.Get(t.Context(), p.url+tt.path)
			if err != nil {
				t.Fatal(tt.args, err)
			}
			codes = append(codes, resp.Code.String())
		}
		if got := strings.Join(codes, " "); got != tt.codes || challenges != tt.challenges {
			t.Errorf("%s: %s, %d challenges, want %s, %d", tt.args, got, challenges, tt.codes, tt.challenges)
		}
		p.stop()
		<-p.status
	}
}

func TestServeEndsAtSIGTERM(t *testing.T) {
	p := startServing(t, "serve", "--addr", "127.0.0.1:0")
	if err := terminate(); err != nil {
		t.Skip("this system has no SIGTERM:", err)
	}
	if status := <-p.status; status != exitOK {
		t.Errorf("status %d", status)
	}
}

// A request in hand is answered before the server ends.
func TestServeFinishesWhatItHasBegun(t *testing.T) {
	p := startServing(t, "plugtest", "--addr", "127.0.0.1:0")
	acknowledged := make(chan struct{}, 1)
	p.client.Trace = &coap.Trace{Received: func(coap.TraceDatagram) {
		select {
		case acknowledged <- struct{}{}:
		default:
		}
	}}
	answer := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_, err := p.client.Get(ctx, p.url+"/separate?delay=100")
		answer <- err
	}()
	<-acknowledged
	p.stop()
	if err := <-answer; err != nil {
		t.Error(err)
	}
	if status := <-p.status; status != exitOK {
		t.Errorf("status %d", status)
	}
}

// Sockets of a server share a port; a second server would get some of its requests.
func TestASecondServerIsRefused(t *testing.T) {
	p := startServing(t, "serve", "--addr", "127.0.0.1:0")
	_, addr, _ := strings.Cut(p.url, "://")
	ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
	defer stop()
	var stderr bytes.Buffer
	status := run(ctx, []string{"plugtest", "--addr", addr}, strings.NewReader(""), io.Discard, &stderr)
	if want := "coap: another server listens on " + addr + "; choose a port with --addr\n"; status != exitIO || stderr.String() != want {
		t.Errorf("status %d, %q, want %q", status, &stderr, want)
	}
	p.stop()
	<-p.status
}

func TestServeRefusesWhatCannotWork(t *testing.T) {
	taken, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	tests := []struct {
		args   string
		status int
		want   string
	}{
		{"serve lab", exitUsage, `serve takes no argument, got "lab"`},
		{"serve --validate yes", exitUsage, `--validate "yes": say off or small or echo-large or echo`},
		{"plugtest --rate 0", exitUsage, `--rate "0": say a number of requests a second`},
		{"plugtest --rate 1e10", exitUsage, "0.001 to 1e9"},
		{"serve --addr localhost", exitUsage, `--addr "localhost": say HOST:PORT`},
		{"serve --multicast --addr 127.0.0.1:0", exitUsage, "--multicast listens on all addresses"},
		{"serve --addr " + taken.LocalAddr().String(), exitIO, "another server listens on 127.0.0.1:"},
		{"serve --write", exitUsage, "--write needs --dir DIR"},
		{"serve --dir= --write", exitUsage, "--dir: say a directory"},
		{"serve --max-body 1K", exitUsage, "--max-body needs --dir DIR --write"},
		{"serve --dir . --max-body 1K", exitUsage, "--max-body needs --dir DIR --write"},
		{"serve --dir . --write --max-body 0", exitUsage, "say a number of bytes"},
		{"serve --dir . --write --max-body 2G", exitUsage, "say a number of bytes"},
		{"serve --dir . --write --max-body 1T", exitUsage, "say a number of bytes"},
		{"serve --dir testdata/absent", exitIO, "testdata/absent: no such file or directory"},
		{"plugtest --addr 127.0.0.1:99999", exitUsage, "say HOST:PORT"},
		{"plugtest --multicast", exitUsage, "unknown flag --multicast"},
	}
	for _, tt := range tests {
		var stderr bytes.Buffer
		status := run(t.Context(), strings.Fields(tt.args), strings.NewReader(""), io.Discard, &stderr)
		if status != tt.status || !strings.Contains(stderr.String(), tt.want) || strings.Count(stderr.String(), "\n") != 1 {
			t.Errorf("%s: status %d, %q", tt.args, status, stderr.String())
		}
	}
}

// coap serve --dir is read-only unless --write says otherwise.
func TestServeDirectory(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.txt"), []byte("old"), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		flags string
		code  message.Code
		want  string
	}{
		{"", message.MethodNotAllowed, "old"},
		{"--write --max-body 1K", message.Changed, "new"},
		{"--write --max-body 2", message.RequestEntityTooLarge, "new"},
	} {
		p := startServing(t, append(strings.Fields("serve --addr 127.0.0.1:0 "+tt.flags), "--dir", dir)...)
		put, err := p.client.Put(t.Context(), p.url+"/a.txt", coap.Text("new"))
		if err != nil || put.Code != tt.code {
			t.Errorf("%s: PUT %v %v", tt.flags, put, err)
		}
		get, err := p.client.Get(t.Context(), p.url+"/a.txt")
		if err != nil || string(get.Payload()) != tt.want {
			t.Errorf("%s: GET %v %v", tt.flags, get, err)
		}
		p.stop()
		if status := <-p.status; status != exitOK {
			t.Errorf("%s: status %d", tt.flags, status)
		}
	}
}

func TestBytesValue(t *testing.T) {
	for in, want := range map[string]string{"1": "1", "1023": "1023", "1024": "1K", "64k": "64K", "1536M": "1536M", "1G": "1G", "1024M": "1G"} {
		var v bytesValue
		if err := v.Set(in); err != nil || v.String() != want {
			t.Errorf("%s: %s %v, want %s", in, &v, err, want)
		}
	}
	for _, in := range []string{"", "0", "-1", "K", "1.5M", "2G", "2147483648", "9999999999999999999", "1 K", "1KK"} {
		var v bytesValue
		if err := v.Set(in); err == nil {
			t.Errorf("%q is %v", in, &v)
		}
	}
}

// terminate sends this process what a service manager sends to end it.
func terminate() error {
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		return err
	}
	return self.Signal(syscall.SIGTERM)
}

func TestServeScript(t *testing.T) {
	p := startServing(t, "serve", "--addr", "127.0.0.1:0", "--script", "../../examples/scripts/greenhouse.json")
	resp, err := p.client.Get(t.Context(), p.url+"/window")
	if err != nil || string(resp.Payload()) != "0" {
		t.Errorf("%v, %v", resp, err)
	}
	p.stop()
	if status := <-p.status; status != exitOK {
		t.Errorf("status %d", status)
	}
	bad := filepath.Join(t.TempDir(), "bad.json")
	if err := os.WriteFile(bad, []byte("{\n\"resources\": [{\"path\": 1}]}"), 0o666); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]int{bad: exitUsage, bad + ".not": exitIO} {
		got := command(t, "", "serve", "--script", file)
		if got.status != want || !strings.Contains(got.stderr, file) || strings.Count(got.stderr, "\n") != 1 {
			t.Errorf("%s: %+v", file, got)
		}
	}
	if got := command(t, "", "serve", "--script", bad); !strings.Contains(got.stderr, "bad.json:2: resources[0].path: is a number, not a string") {
		t.Errorf("%+v", got)
	}
}
