package main

import (
	"bufio"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDecodeHex(t *testing.T) {
	const get = "44011234deadbeefb474656d70"
	const row = `"proto":"udp","raw":"44011234deadbeefb474656d70","version":1,"type":0,"code":"0.01","mid":4660,"token":"deadbeef","options":[[11,"74656d70"]],"payload":null}` + "\n"
	const pong = `"proto":"udp","raw":"70001234","version":1,"type":3,"code":"0.00","mid":4660,"token":"","options":[],"payload":null}` + "\n"
	first := `{"frame":1,` + row
	tests := []struct {
		name  string
		stdin string
		args  []string
		want  string
	}{
		{"argument", "", []string{get}, first},
		{"upper case, 0x", "", []string{"0x44011234DEADBEEFB474656D70"}, first},
		{"spaces and colons", "", []string{" 44:01:12:34 deadbeef b474656d70 "}, first},
		{"pieces", "", strings.Fields("44 01 12 34 de ad be ef b4 74 65 6d 70"), first},
		{"two arguments", "", []string{get, "70001234"}, first + `{"frame":2,` + pong},
		{"standard input", get + "\n", nil, first},
		{"last line without end", get, nil, first},
		{"lines, comments, DOS", "# a ping\r\n\r\n70001234 # answer\r\n" + get + "\r\n", nil, `{"frame":1,` + pong + `{"frame":2,` + row},
		{"standard input by name", get, []string{"-f", "-"}, first},
		{"nothing", "", nil, ""},
		{"payload", "", []string{"50450001ffff00"}, `{"frame":1,"proto":"udp","raw":"50450001ffff00","version":1,"type":1,"code":"2.05","mid":1,"token":"","options":[],"payload":"ff00"}` + "\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := command(t, tt.stdin, append([]string{"decode", "--json"}, tt.args...)...)
			if want := (result{exitOK, tt.want, ""}); got != want {
				t.Errorf("%+v, want %+v", got, want)
			}
		})
	}
}

func TestDecodeMalformed(t *testing.T) {
	tests := []struct {
		name, hex, want string
	}{
		{"token length", "49011234", `{"frame":1,"proto":"udp","raw":"49011234","error":"token length above 8","offset":0}`},
		{"payload marker", "40011234b161ff", `{"frame":1,"proto":"udp","raw":"40011234b161ff","error":"payload marker without payload","offset":6}`},
		{
			"laid out as a message, but of a reserved class", "40201234b161ff62",
			`{"frame":1,"proto":"udp","raw":"40201234b161ff62","error":"reserved code class","offset":1,` +
				`"version":1,"type":0,"code":"1.00","mid":4660,"token":"","options":[[11,"61"]],"payload":"62"}`,
		},
		{
			"a request in an Acknowledgement", "60011234",
			`{"frame":1,"proto":"udp","raw":"60011234","error":"type does not go with code","offset":1,` +
				`"version":1,"type":2,"code":"0.01","mid":4660,"token":"","options":[],"payload":null}`,
		},
		{
			"Empty with a token", "4100123401",
			`{"frame":1,"proto":"udp","raw":"4100123401","error":"empty message with content","offset":0,` +
				`"version":1,"type":0,"code":"0.00","mid":4660,"token":"01","options":[],"payload":null}`,
		},
		{
			"Empty with what is no option", "40001234f0",
			`{"frame":1,"proto":"udp","raw":"40001234f0","error":"empty message with content","offset":4}`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := command(t, "", "decode", "--json", tt.hex)
			if want := (result{exitProtocol, tt.want + "\n", ""}); got != want {
				t.Errorf("%+v, want %+v", got, want)
			}
		})
	}
}

func TestDecodeInputErrors(t *testing.T) {
	if got := command(t, "40011234\nabc\n", "decode", "--json"); got.status != exitUsage || !strings.Contains(got.stderr, "line 2: ") || strings.Count(got.stdout, "\n") != 1 {
		t.Errorf("bad line: %+v", got)
	}
	missing := filepath.Join(t.TempDir(), "missing.pcap")
	if got := command(t, "", "decode", "-f", missing); got.status != exitIO || !strings.Contains(got.stderr, missing) {
		t.Errorf("missing file: %+v", got)
	}
	if got := command(t, strings.Repeat("40", 200_000), "decode"); got.status != exitIO {
		t.Errorf("endless line: %+v", got)
	}
	c := &cli{stdinTerminal: true, stdin: strings.NewReader(""), getenv: os.Getenv}
	if err := c.decode(t.Context(), &decoder{}, nil); exitStatus(err) != exitUsage {
		t.Errorf("at a terminal: %v", err)
	}
}

// The dissection for reading: messages, and what is wrong with what is none.
func TestDecodeText(t *testing.T) {
	got := command(t, `
44011234deadbeefb474656d70                 # GET
6445 1234 deadbeef c13c ff a16b74656d706572617475726500  # CBOR
70001234
49011234                                   # token length 9
40011234b474656d70bd00                     # cut inside an option
40201234b161ff62                           # class 1
                                           # not the empty datagram: no line
`, "decode")
	if got.status != exitProtocol || got.stderr != "" {
		t.Errorf("status %d, %q", got.status, got.stderr)
	}
	golden(t, "decode/text", got.stdout)
	got = command(t, "", "decode", "-f", filepath.Join(captures, "s26-noresponse-aiocoap-libcoap.pcap"))
	golden(t, "decode/capture", got.stdout)
}

func TestDecodeEmptyDatagram(t *testing.T) {
	got := command(t, "", "decode", "")
	want := "1  malformed: truncated at byte 0\n    0000  \n          ^^ byte 0\n"
	if got.status != exitProtocol || got.stdout != want {
		t.Errorf("%+v", got)
	}
}

// Messages are printed as they come, and an interrupt ends the wait for more.
func TestDecodeInterrupted(t *testing.T) {
	in, feed := io.Pipe()
	out, stdout := io.Pipe()
	ctx, interrupt := context.WithCancel(t.Context())
	status := make(chan int)
	go func() { status <- run(ctx, []string{"decode"}, in, stdout, io.Discard) }()
	go io.WriteString(feed, "70001234\n")
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != "1  RST Empty id=0x1234\n" {
		t.Errorf("%q, %v", line, err)
	}
	interrupt()
	if got := <-status; got != exitInterrupted {
		t.Errorf("status %d, want %d", got, exitInterrupted)
	}
	feed.Close()
}

// What is no input says so for a file as well.
func TestDecodeRefusesOtherFiles(t *testing.T) {
	for input, want := range map[string]string{
		"\x1f\x8b\b\x00":    "the input is compressed: zcat FILE | coap decode -",
		"40000001\nhello\n": `line 2: "hello" is not hex: two digits per byte; nor is the file a capture in pcap or pcapng`,
	} {
		if got := command(t, input, "decode", "-"); got.status != exitUsage || !strings.Contains(got.stderr, want) {
			t.Errorf("%q: %+v, want %q", input, got, want)
		}
	}
}
