package main

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/message"
)

func TestBarLine(t *testing.T) {
	const kib = 1024
	tests := []struct {
		flow         flow
		bytes, total int64
		taken        time.Duration
		width        int
		want         string
	}{
		{flowSent, 0, 64 * kib, time.Second, 80, "  0 %  [------------------------------]  0 B of 64.0 KiB sent  0 B/s"},
		{flowSent, 32 * kib, 64 * kib, 2 * time.Second, 80, " 50 %  [##########----------]  32.0 KiB of 64.0 KiB sent  16.0 KiB/s  0:02 left"},
		{flowReceived, 64 * kib, 64 * kib, 2 * time.Second, 100, "100 %  [##############################]  64.0 KiB of 64.0 KiB received  32.0 KiB/s  0:00 left"},
		{flowReceived, 1 << 20, 64 << 20, 90 * time.Second, 62, "  2 %  1.0 MiB of 64.0 MiB received  11.4 KiB/s  1:34:30 left"},
		{flowReceived, 1 << 20, 64 << 20, 90 * time.Second, 20, "  2 %  1.0 MiB of 6"},
		{flowReceived, 5000, -1, 2 * time.Second, 80, "4.9 KiB received  2.4 KiB/s"},
		{flowSent, 5000, 4000, 2 * time.Second, 80, "4.9 KiB sent  2.4 KiB/s"}, // the file has grown
		{flowSent, 5000, -1, 2 * time.Second, 0, ""},
		{flowReceived, 1, 1 << 40, time.Hour, 80, "  0 %  [--------------------]  1 B of 1024.0 GiB received  0 B/s  99:59:59 left"},
	}
	for _, tt := range tests {
		got := barLine(tt.flow, tt.bytes, tt.total, tt.taken, tt.width)
		if got != tt.want || len(got) >= max(tt.width, 1) {
			t.Errorf("%d of %d: %q (%d), want %q", tt.bytes, tt.total, got, len(got), tt.want)
		}
	}
}

// blockMessage is a request or response with a block.
func blockMessage(code message.Code, n message.OptionNumber, num uint32, more bool, size message.OptionNumber, bytes uint32) coap.TraceDatagram {
	e := message.AppendHeader(nil, message.Confirmable, code, 1, message.Token{})
	e.Option(n, uintOption(n, message.Block{Num: num, More: more, SZX: 6}.Encode()).Value)
	if bytes > 0 {
		e.Option(size, uintOption(size, bytes).Value)
	}
	b, _ := e.Finish(make([]byte, 1024))
	return coap.TraceDatagram{Bytes: b}
}

// A lastWrite keeps what was written last.
type lastWrite chan string

func (l lastWrite) Write(p []byte) (int, error) {
	select {
	case <-l:
	default:
	}
	l <- string(p)
	return len(p), nil
}

// The bar appears when a transfer takes longer than a second, moves with its blocks, both
// ways, and goes away.
func TestProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := make(lastWrite, 1)
		bar := newProgressBar(b, func() int { return 80 })
		tr := &transfer{bar: bar, total: -1}
		shown := func() string {
			synctest.Wait()
			select {
			case text := <-b:
				return text
			default:
				return ""
			}
		}
		expect := func(want string) {
			t.Helper()
			if got := shown(); !strings.Contains(got, want) || want == "" && got != "" {
				t.Errorf("%q, want %q", got, want)
			}
		}
		exchange := func(num uint32) {
			tr.sent(blockMessage(message.PUT, message.Block1, num, true, message.Size1, 10240*(1-min(num, 1))))
			tr.received(blockMessage(message.Continue, message.Block1, num, true, 0, 0))
		}
		exchange(0)
		time.Sleep(900 * time.Millisecond)
		expect("") // too early
		time.Sleep(1200 * time.Millisecond)
		expect(" 10 %  [##---")
		exchange(1)
		time.Sleep(barInterval)
		expect("2.0 KiB of 10.0 KiB sent")
		tr.rest()
		expect("\x1b[K")
		time.Sleep(3 * time.Second)
		expect("")
		tr.received(blockMessage(message.Content, message.Block2, 0, true, message.Size2, 4096))
		time.Sleep(900 * time.Millisecond)
		expect("")
		tr.received(blockMessage(message.Content, message.Block2, 1, true, 0, 0))
		time.Sleep(1100 * time.Millisecond)
		expect(" 50 %  [")
		bar.close()
		expect("\x1b[K")
	})
}

// What takes no second shows nothing, and nothing is drawn into a pipe.
func TestNoProgress(t *testing.T) {
	uri := node(t) + "/large"
	if got := command(t, "", "get", "-b", "16", uri); got.stderr != "" {
		t.Errorf("%q", got.stderr)
	}
	var stdout, stderr bytes.Buffer
	c := &cli{stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr, stderrTerminal: true, getenv: func(string) string { return "" }}
	if status := c.run(t.Context(), []string{"get", uri}); status != exitOK || stderr.Len() > 0 || stdout.String() != digits(1100) {
		t.Errorf("status %d, %q", status, stderr.String())
	}
}
