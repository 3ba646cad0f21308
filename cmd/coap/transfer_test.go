package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/message"
)

// Bodies of any length go from files and pipes to the server, and back, whole.
func TestBodiesOfAnyLength(t *testing.T) {
	uri, dir := node(t)+"/stored", t.TempDir()
	in, out := filepath.Join(dir, "in"), filepath.Join(dir, "out")
	for _, n := range []int{0, 1, 15, 16, 17, 1023, 1024, 1025, 100_000} {
		body := digits(n + 1)[:n]
		if err := os.WriteFile(in, []byte(body), 0o666); err != nil {
			t.Fatal(err)
		}
		expect := func(got result, stdout string) {
			t.Helper()
			if got.status != exitOK || got.stdout != stdout || got.stderr != "" {
				t.Errorf("%d bytes: status %d, %q, %d bytes printed", n, got.status, got.stderr, len(got.stdout))
			}
		}
		expect(command(t, "", "put", "-f", in, uri), "")
		expect(command(t, "", "get", uri), body)
		expect(command(t, "", "get", "-b", "64", "-w", uri), body+"\n")
		expect(command(t, body+"x", "put", "-f", "-", "-b", "512", uri), "")
		expect(command(t, "", "get", "-o", out, uri), "")
		if got, err := os.ReadFile(out); err != nil || string(got) != body+"x" {
			t.Errorf("%d bytes: %d in the file, %v", n, len(got), err)
		}
		if on := onTerminal(t, "get", uri); on.stdout != body+"x\n" {
			t.Errorf("%d bytes: %d on a terminal", n, len(on.stdout))
		}
		var row struct{ Payload string }
		if err := json.Unmarshal([]byte(command(t, "", "get", "--json", uri).stdout), &row); err != nil || row.Payload != body+"x" {
			t.Errorf("%d bytes: %d in JSON, %v", n, len(row.Payload), err)
		}
	}
	expectFiles(t, dir, "in", "out")
}

// Without -t there is no Content-Format, in blocks neither, and with it there is.
func TestContentFormatOfStreams(t *testing.T) {
	uri := node(t) + "/stored"
	for flags, want := range map[string]string{"-f -": "", "-t xml -f -": "as application/xml"} {
		if got := command(t, digits(3000), append(strings.Fields("put "+flags), uri)...); got.stdout != want || got.status != exitOK {
			t.Errorf("%s: %+v", flags, got)
		}
	}
}

// The length of a file is told in advance, that of a pipe is not known.
func TestSizeOfStreams(t *testing.T) {
	uri, file := node(t)+"/stored", filepath.Join(t.TempDir(), "in")
	if err := os.WriteFile(file, []byte(digits(2000)), 0o666); err != nil {
		t.Fatal(err)
	}
	got := command(t, "", "put", "-v", "-f", file, uri)
	if !strings.Contains(got.stderr, "Size1: 2000") {
		t.Errorf("file: %s", got.stderr)
	}
	if got := command(t, digits(2000), "put", "-v", "-f", "-", uri); strings.Contains(got.stderr, "Size1") {
		t.Errorf("pipe: %s", got.stderr)
	}
}

// expectFiles fails the test where a directory has other files.
func expectFiles(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if fmt.Sprint(names) != fmt.Sprint(want) {
		t.Errorf("files %q, want %q", names, want)
	}
}

// blockPeer serves blocks of 16 bytes for ever, whose options from block 2 on are others.
func blockPeer(t *testing.T, answer func(v *message.View, b message.Block) []byte) (uri string) {
	return rawPeer(t, func(v *message.View) []byte {
		b, _ := v.Block2()
		b.More, b.SZX = true, 0
		if b.Num >= 2 {
			return answer(v, b)
		}
		return block(v, message.Content, 1, b)
	})
}

func block(v *message.View, code message.Code, tag byte, b message.Block) []byte {
	e := message.AppendHeader(nil, message.Acknowledgement, code, v.ID(), v.Token())
	e.Option(message.ETag, []byte{tag})
	e.Option(message.Block2, uintOption(message.Block2, b.Encode()).Value)
	d, _ := e.Finish([]byte("0123456789abcdef"))
	return d
}

// A transfer that fails says at which block, and leaves the file of -o as it was.
func TestTransfersFail(t *testing.T) {
	tests := []struct {
		name   string
		answer func(*message.View, message.Block) []byte
		status int
		want   string
	}{
		{"silence", func(*message.View, message.Block) []byte { return nil }, exitTimeout, "block 2/0/16, byte 32: no acknowledgement"},
		{"another ETag", func(v *message.View, b message.Block) []byte { return block(v, message.Content, 2, b) },
			exitProtocol, "block 2/0/16, byte 32: representation changed: want ETag 01, got ETag 02; the resource changed meanwhile: try again"},
		{"an error", func(v *message.View, b message.Block) []byte {
			return piggybacked(v, message.InternalServerError, message.MaxAge, nil)
		},
			exitProtocol, "block 2/0/16, byte 32: transfer incomplete: want 2.05, got 5.00"},
		{"another block", func(v *message.View, b message.Block) []byte { b.Num++; return block(v, message.Content, 1, b) },
			exitProtocol, "block 2/0/16, byte 32: protocol violation: want Block2 2/0/16, got Block2 3/1/16"},
		{"Reset", func(v *message.View, b message.Block) []byte { return resets(v) }, exitProtocol, "block 2/0/16, byte 32: reset by peer"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			uri, dir := blockPeer(t, tt.answer), t.TempDir()
			file := filepath.Join(dir, "out")
			if err := os.WriteFile(file, []byte("before"), 0o666); err != nil {
				t.Fatal(err)
			}
			got := command(t, "", "get", "-o", file, "--ack-timeout", "0.02", "--retries", "4", uri)
			if got.status != tt.status || !strings.Contains(got.stderr, tt.want) || strings.Count(got.stderr, "\n") != 1 {
				t.Errorf("%+v, want %d and %q", got, tt.status, tt.want)
			}
			if kept, err := os.ReadFile(file); err != nil || string(kept) != "before" {
				t.Errorf("file %q, %v", kept, err)
			}
			expectFiles(t, dir, "out")
		})
	}
}

// Nobody needs a file whose beginning was written: an interrupt leaves none.
func TestTransferIsInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancelCause(within(t))
	uri := blockPeer(t, func(v *message.View, b message.Block) []byte {
		cancel(errors.New("interrupt signal received"))
		return nil
	})
	dir := t.TempDir()
	var stdout, stderr bytes.Buffer
	status := run(ctx, []string{"get", "-o", filepath.Join(dir, "out"), uri}, strings.NewReader(""), &stdout, &stderr)
	if status != exitInterrupted || stderr.Len() > 0 || stdout.Len() > 0 {
		t.Errorf("status %d, %q %q", status, stdout.String(), stderr.String())
	}
	expectFiles(t, dir)
}

// Errors of local files and streams have status 2, however far the transfer was.
func TestLocalErrorsOfTransfers(t *testing.T) {
	uri := node(t)
	broken := io.MultiReader(strings.NewReader(digits(5000)), brokenReader{})
	var stdout, stderr bytes.Buffer
	status := run(within(t), []string{"put", "-f", "-", uri + "/stored"}, broken, &stdout, &stderr)
	if status != exitIO || stderr.String() != "coap: disk on fire\n" {
		t.Errorf("input: status %d, %q", status, stderr.String())
	}
	stderr.Reset()
	status = run(within(t), []string{"get", uri + "/large"}, strings.NewReader(""), closedPipe{}, &stderr)
	if status != exitIO || !strings.Contains(stderr.String(), "closed pipe") {
		t.Errorf("output: status %d, %q", status, stderr.String())
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errors.New("disk on fire") }

// A body goes on while it is typed; -B ends that.
func TestSlowInput(t *testing.T) {
	uri := node(t) + "/stored"
	r, w := io.Pipe()
	defer w.Close()
	go io.WriteString(w, digits(3000)) // and no end
	var stdout, stderr bytes.Buffer
	status := run(within(t), []string{"put", "-B", "0.05", "-f", "-", uri}, r, &stdout, &stderr)
	if status != exitTimeout || !strings.Contains(stderr.String(), "given up after 50ms") {
		t.Errorf("status %d, %q", status, stderr.String())
	}
}

// Without -B each block renews the patience, and waiting for input doesn't use it up.
func TestPatience(t *testing.T) {
	datagram := func(n message.OptionNumber) coap.TraceDatagram {
		e := message.AppendHeader(nil, message.Acknowledgement, message.Content, 1, message.Token{})
		e.Option(n, []byte{0x18})
		b, _ := e.Finish([]byte("x"))
		return coap.TraceDatagram{Bytes: b}
	}
	synctest.Test(t, func(t *testing.T) {
		tr := &transfer{}
		ctx, cancel := tr.impatient(t.Context(), patience)
		defer cancel()
		alive := func(want bool) {
			t.Helper()
			synctest.Wait()
			if alive := ctx.Err() == nil; alive != want {
				t.Fatalf("alive %v", alive)
			}
		}
		for _, n := range []message.OptionNumber{message.Block1, message.Block2} {
			time.Sleep(patience - 1)
			tr.received(datagram(n))
		}
		time.Sleep(patience - 1)
		alive(true)
		tr.pause()
		time.Sleep(10 * patience)
		tr.received(datagram(message.Block1))
		time.Sleep(10 * patience)
		alive(true)
		tr.resume()
		time.Sleep(patience - 1)
		alive(true)
		tr.received(datagram(message.MaxAge)) // no block
		time.Sleep(time.Nanosecond)
		alive(false)
		if err := requestError(ctx, context.Cause(ctx)); exitStatus(err) != exitTimeout || !strings.Contains(err.Error(), "given up after 1m30s") {
			t.Errorf("%v, status %d", err, exitStatus(err))
		}
	})
}
