package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/motewire/coap"
	"github.com/motewire/coap/message"
)

// What requests print into a pipe and on a terminal, and with what status they end. URI
// stands for the node's.
func TestRequestTranscripts(t *testing.T) {
	uri := node(t)
	var b strings.Builder
	for _, line := range []string{
		"get URI/value",
		"get -w URI/value",
		"get --include URI/json",
		"get --json URI/json",
		"get URI/json",
		"put -e 23.5 -t text URI/value",
		"-m put -e 23.5 URI/value",
		"URI/value",
		"post --include -e 1 URI/value",
		"delete URI/value",
		"fetch -e %41 URI/value",
		"patch -e p URI/value",
		"ipatch -e i URI/value",
		"get -o - URI/value",
		"get URI/none",
		"get --include URI/none",
		"get --json URI/none",
		"get --no-fail URI/none",
		"post -e 1 URI/json",
		"get URI/forbidden",
		"get --include --no-fail URI/forbidden",
		"get URI/broken",
		"get --json --no-fail URI/broken",
		"get -A cbor URI/json",
		"get -O 2049,x URI/value",
		"get -O 258,0x1a URI/value",
		"get -b 1,16 URI/large",
		"get --include -b 70,16 URI/large",
		"get -v -b 512 URI/large",
		"put -b 1,16 -v -e %s URI/stored",
		"put -e %s -t text URI/stored",
		"put -e %s URI/small",
		"put -b 32 -f testdata/discover.golden URI/small",
		"get -P URI coap://example.org/x",
		"get -v URI/value",
		"get -vv -N -T 0x0a URI/value",
	} {
		args := strings.Fields(strings.ReplaceAll(line, "URI", uri))
		if i := slices.Index(args, "%s"); i > 0 {
			args[i] = digits(2001)
		}
		fmt.Fprintf(&b, "$ coap %s\n%s", line, shown(command(t, "", args...)))
		if on, piped := onTerminal(t, args...), command(t, "", args...); stable(on.stdout) != stable(piped.stdout) {
			fmt.Fprintf(&b, "on a terminal:\n%s", shown(on))
		}
	}
	golden(t, "request", stable(b.String()))
}

// shown lays a result out: a mark for each line of standard output (|) and error (!).
func shown(r result) string {
	var b strings.Builder
	mark := func(mark, text string) {
		for line := range strings.Lines(text) {
			b.WriteString(mark + line)
			if !strings.HasSuffix(line, "\n") {
				b.WriteString("\\\n") // without its end
			}
		}
	}
	mark("| ", r.stdout)
	mark("! ", r.stderr)
	fmt.Fprintf(&b, "= %d\n", r.status)
	return b.String()
}

// Errors that no response stands for have a status each, and a line that says what to do.
func TestExitStatuses(t *testing.T) {
	up, silent, resetting := node(t), rawPeer(t, silence), rawPeer(t, resets)
	critical := rawPeer(t, func(v *message.View) []byte {
		return piggybacked(v, message.Content, 65001, []byte("x"))
	})
	missing := filepath.Join(t.TempDir(), "missing", "file")
	tests := []struct {
		line   string
		status int
		want   string
	}{
		{"get coaps://h/x", exitUsage, "coaps:// is not supported yet"},
		{"get mqtt://h/x", exitUsage, "scheme is neither coap nor coaps"},
		{"get --pcap - " + up, exitUsage, "--pcap -: say a file"},
		{"get fe80::1/x", exitUsage, "an IPv6 address in a URI has brackets: [fe80::1]"},
		{"get coap://::1", exitUsage, "an IPv6 address in a URI has brackets: [::1]"},
		{"get http://h/x", exitUsage, "http:// is not CoAP: write coap://h/x, or ask a proxy with -P"},
		{"get coap+tcp://h/x", exitUsage, "coap+tcp:// is not supported yet; coap:// is CoAP over UDP"},
		{"get COAPS+WS://h/x", exitUsage, "coaps+ws:// is not supported yet"},
		{"get coap://h/x#f", exitUsage, "fragment not allowed"},
		{"get coap:///x", exitUsage, "empty host"},
		{"get -b 64 -O 23,0x02 " + up, exitUsage, "-b and -O with a block: say one of them"},
		{"observe -b 1,64 " + up + "/value", exitUsage, "-b 1,64: one block can't be observed; -b 64 is a block size"},
		{"put -b 2,16 -e 0123456789abcdef " + up + "/value", exitUsage, "-b 2,16: the payload has no such block"},
		{"get -b 99,16 " + up + "/large", exitClientError, "4.00 Bad Request"},
		{"put -f . " + up + "/stored", exitIO, "is a directory"},
		{"post -f . -s 1 " + up + "/stored", exitUsage, "post can't observe"},
		{"put -s 5 " + up, exitUsage, "put can't observe; only get and fetch can"},
		{"observe " + up + "/value", exitObservation, "the resource is not observable"},
		{"observe " + up + "/none", exitClientError, "4.04 Not Found"},
		{"observe " + resetting, exitProtocol, "reset by peer"},
		{"observe --ack-timeout 0.01 --retries 1 " + silent, exitTimeout, "no acknowledgement"},

		{"observe -m fetch -e " + strings.Repeat("x", 1153) + " " + up + "/value", exitUsage, "too large"},
		{"get 224.0.1.187/value", exitUsage, "224.0.1.187 is a group: coap discover asks all of it"},
		{"get -P h/path coap://h/x", exitUsage, "a proxy is scheme, host and port alone"},
		{"get -P coaps://h coap://h/x", exitUsage, "coaps:// is not supported yet"},
		{"get -P h coap://h/x#f", exitUsage, "fragment (#)"},
		{"get -P h coap://h:x", exitUsage, "port is not a number"},
		{"get -P h http://h/" + strings.Repeat("x", 1034), exitUsage, "Proxy-Uri takes 1034"},
		{"get --retries 99999999 " + up, exitUsage, "--retries 99999999"},
		{"get -a ::1 " + up, exitUsage, "-a ::1: the peer's address is of the other IP version"},
		{"get -a 192.0.2.77 " + up, exitIO, "192.0.2.77"},
		{"get -o " + missing + " " + up + "/value", exitIO, "no such file"},
		{"put -f " + missing + " " + up + "/value", exitIO, "no such file"},
		{"get --pcap " + missing + " " + up + "/value", exitIO, "no such file"},
		{"get --ack-timeout 0.01 --retries 1 " + silent, exitTimeout, "no acknowledgement"},
		{"get --ack-timeout 0.01 --retries 0 " + silent, exitTimeout, "no acknowledgement"},
		{"get -B 0.01 " + silent, exitTimeout, "given up after 10ms; allow more time with -B"},
		{"get -N -B 0.01 " + silent, exitTimeout, "given up after 10ms"},
		{"get -l 100% --ack-timeout 0.01 --retries 1 " + up, exitTimeout, "no acknowledgement"},
		{"discover -B 0.01 " + silent, exitTimeout, "given up"},
		{"get " + resetting, exitProtocol, "reset by peer"},
		{"discover " + resetting, exitProtocol, "reset by peer"},
		{"get " + critical, exitProtocol, "unrecognized critical option"},
		{"discover " + up + "/value", exitProtocol, "the answer is no link-format"},
		{"discover " + up + "/none", exitClientError, "4.04 Not Found"},
		{"discover " + up + "/broken", exitServerError, "5.03 Service Unavailable"},
		{"ping 224.0.1.187", exitUsage, "never answers a ping"},
		{"ping -a 192.0.2.77 " + up, exitIO, "192.0.2.77"},
		{"ping -c 2 -i 0.001 --ack-timeout 0.01 " + silent, exitTimeout, "answered no ping"},
	}
	if runtime.GOOS == "linux" { // elsewhere nobody tells an unconnected socket
		refused := refusedPort(t)
		tests = append(tests, []struct {
			line   string
			status int
			want   string
		}{
			{"get " + refused, exitTimeout, "nobody listens on that port"},
			{"get -N " + refused, exitTimeout, "nobody listens on that port"},
			{"discover " + refused, exitTimeout, "nobody listens on that port"},
			{"ping -c 1 " + refused, exitTimeout, "answered no ping"},
		}...)
	}
	for _, tt := range tests {
		t.Run(strings.NewReplacer(up, "UP", silent, "SILENT").Replace(tt.line), func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			status := run(within(t), strings.Fields(tt.line), strings.NewReader(""), &stdout, &stderr)
			last := strings.TrimSuffix(stderr.String(), "\n")
			last = last[strings.LastIndex(last, "\n")+1:]
			if status != tt.status || !strings.HasPrefix(last, "coap: ") || !strings.Contains(last, tt.want) {
				t.Errorf("status %d, %q; want %d and %q", status, stderr.String(), tt.status, tt.want)
			}
			if stdout.Len() > 0 && !strings.HasPrefix(tt.line, "ping") && tt.status != exitObservation {
				t.Errorf("standard output %q", stdout.String())
			}
			if strings.Contains(last, "coap: coap: ") || strings.Contains(last, "reliability") {
				t.Errorf("%q names packages", last)
			}
		})
	}
}

// A name that does not resolve is a host that can't be reached.
func TestUnknownHostStatus(t *testing.T) {
	err := &coap.OpError{Op: "GET", URL: "coap://h", Phase: "resolve", Err: &net.DNSError{Name: "h", Err: "no such host"}}
	got := requestError(t.Context(), err)
	if exitStatus(got) != exitTimeout || got.Error() != "h: no such host; check the name, or write an address" {
		t.Errorf("status %d, %v", exitStatus(got), got)
	}
}

// An interrupt ends a request, a ping and a discovery at once, without a word.
func TestInterrupt(t *testing.T) {
	for _, line := range []string{"get", "put -f -", "ping", "discover", "observe"} {
		ctx, cancel := context.WithCancelCause(within(t))
		uri := rawPeer(t, func(*message.View) []byte {
			cancel(errors.New("interrupt signal received")) // as signal.NotifyContext does
			return nil
		})
		stdin, _ := net.Pipe() // nobody writes
		if line == "put -f -" {
			cancel(errors.New("interrupt signal received"))
		}
		var stdout, stderr bytes.Buffer
		status := run(ctx, append(strings.Fields(line), uri), stdin, &stdout, &stderr)
		if status != exitInterrupted || stderr.Len() > 0 {
			t.Errorf("%s: status %d, %q", line, status, stderr.String())
		}
	}
}

func TestOutputFile(t *testing.T) {
	uri := node(t)
	file := filepath.Join(t.TempDir(), "body")
	tests := []struct{ line, want, stdout string }{
		{"get -o FILE URI/bytes", "\x00\xff\n\x00", ""},
		{"get -w -o FILE URI/bytes", "\x00\xff\n\x00\n", ""},
		{"get -o FILE --include URI/json", `{"value":22.5}`, "2.05 Content\nETag: 0x0102\nContent-Format: application/json\n\n"},
		{"get -o FILE URI/none", `{"value":22.5}`, ""}, // an error is no representation: untouched
	}
	for _, tt := range tests {
		line := strings.NewReplacer("FILE", file, "URI", uri).Replace(tt.line)
		got := command(t, "", strings.Fields(line)...)
		body, err := os.ReadFile(file)
		if err != nil || string(body) != tt.want || got.stdout != tt.stdout {
			t.Errorf("%s: file %q, %v, %+v", tt.line, body, err, got)
		}
	}
}

// Bytes go through a pipe untouched, in both directions.
func TestBytesThroughPipes(t *testing.T) {
	uri := node(t)
	if got := command(t, "", "get", uri+"/bytes"); got.stdout != "\x00\xff\n\x00" {
		t.Errorf("%q", got.stdout)
	}
	if got := command(t, "\x00\r\n\xff", "fetch", "-f", "-", uri+"/value"); got.stdout != "\x00\r\n\xff" {
		t.Errorf("%q", got.stdout)
	}
}

// What flags say arrives at the server.
func TestFlagsArrive(t *testing.T) {
	uri := node(t)
	path := ` Uri-Path: seen`
	tests := []struct{ line, want string }{
		{"get URI/seen", "CON GET id=ID token=TOKEN" + path},
		{"get -N -T 0x0a0b URI/seen", "NON GET id=ID token=0a0b" + path},
		{"get -T 0x URI/seen", "CON GET id=ID" + path},
		{"get -H 5 -t json URI/seen", "CON GET id=ID token=TOKEN" + path + ", Content-Format: application/json, Hop-Limit: 5"},
		{"get -O 3,example.org URI/seen", "CON GET id=ID token=TOKEN Uri-Host: example.org," + path},
		{"get -O 2048,0xff -O 2048,y URI/seen?a=b", "CON GET id=ID token=TOKEN" + path + ", Uri-Query: a=b, Option 2048: 0xff, Option 2048: 0x79"},
	}
	for _, tt := range tests {
		got := command(t, "", strings.Fields(strings.ReplaceAll(tt.line, "URI", uri))...)
		if stable(got.stdout) != tt.want {
			t.Errorf("%s: %q, %q; want %q", tt.line, got.stdout, got.stderr, tt.want)
		}
	}
}

// A host name goes into Uri-Host (RFC 7252 §6.4 step 5), unless -U or -O 3 say otherwise.
func TestHostNames(t *testing.T) {
	at := fmt.Sprintf("localhost:%d/seen", port(t, node(t)))
	tests := []struct{ flags, want string }{
		{"", "Uri-Host: localhost, Uri-Path: seen"},
		{"-U", "token=TOKEN Uri-Path: seen"},
		{"-O 3,h", "token=TOKEN Uri-Host: h, Uri-Path: seen"},
	}
	for _, tt := range tests {
		got := command(t, "", append(strings.Fields("get -a 127.0.0.1 "+tt.flags), at)...)
		if !strings.HasSuffix(stable(got.stdout), tt.want) {
			t.Errorf("%s: %+v, want %q", tt.flags, got, tt.want)
		}
	}
}

// The address that a request comes from is that of -a and -p.
func TestLocalAddress(t *testing.T) {
	uri := node(t)
	local := port(t, refusedPort(t))
	got := command(t, "", "get", "-p", fmt.Sprint(local), "-a", "127.0.0.1", uri+"/from")
	if want := fmt.Sprintf("127.0.0.1:%d", local); got.stdout != want {
		t.Errorf("%+v, want %s", got, want)
	}
}

// "The Proxy-Uri Option MUST take precedence over any of the Uri-Host, Uri-Port, Uri-Path or
// Uri-Query options" (RFC 7252 §5.10.2): none of them is sent.
func TestProxy(t *testing.T) {
	seen := make(chan string, 8)
	uri := rawPeer(t, func(v *message.View) []byte {
		seen <- v.String()
		return piggybacked(v, message.Content, message.MaxAge, nil)
	})
	at := fmt.Sprintf("localhost:%d", port(t, uri))
	for _, proxy := range []string{uri, uri + "/", at} {
		for _, target := range []string{"coap://example.org/x?y", "http://example.org/", "coaps://h/"} {
			got := command(t, "", "get", "-a", "127.0.0.1", "-P", proxy, target)
			if got.status != exitOK {
				t.Fatalf("%+v", got)
			}
			want := `CON GET id=ID token=TOKEN Proxy-Uri: "` + target + `"`
			if got := stable(<-seen); got != want {
				t.Errorf("-P %s: %s, want %s", proxy, got, want)
			}
		}
	}
}

// The capture has what -v shows: all but what -l has dropped before it was sent.
// Whoever follows a capture sees a message when it is sent.
func TestCaptureIsWrittenAtOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "trace.pcapng")
	decoded := make(chan result, 1)
	uri := rawPeer(t, func(v *message.View) []byte {
		decoded <- command(t, "", "decode", "-f", file)
		return piggybacked(v, message.Changed, message.MaxAge, nil)
	})
	if got := command(t, "", "put", "--pcap", file, uri+"/x"); got.status != exitOK {
		t.Fatalf("%+v", got)
	}
	if seen := <-decoded; seen.stderr != "coap: 1 message, 0 of them malformed\n" || !strings.Contains(seen.stdout, "CON PUT") {
		t.Errorf("%+v", seen)
	}
}

func TestCapture(t *testing.T) {
	uri := node(t)
	for _, flags := range []string{"-v", "-v -l 50% --seed 2 --retries 20 --ack-timeout 0.005", "-v -N"} {
		file := filepath.Join(t.TempDir(), "trace.pcapng")
		got := command(t, "", append(strings.Fields(flags), "--pcap", file, uri+"/value")...)
		if got.status != exitOK || got.stdout != "22.5" {
			t.Fatalf("%s: %+v", flags, got)
		}
		var want, have []string
		for line := range strings.Lines(got.stderr) {
			_, text, _ := strings.Cut(strings.TrimSpace(line), " ")
			direction := text[:1]
			_, text, _ = strings.Cut(text[2:], " ")
			if direction == ">" && strings.HasSuffix(text, "lost)") {
				continue
			}
			text, _, _ = strings.Cut(text, " (")
			want = append(want, direction+" "+text)
		}
		for line := range strings.Lines(command(t, "", "decode", "--json", "-f", file).stdout) {
			var row struct {
				Src, Dst string
				Dport    uint16
				Raw      string
			}
			if err := json.Unmarshal([]byte(line), &row); err != nil || row.Src != "127.0.0.1" || row.Dst != "127.0.0.1" {
				t.Fatalf("%s: %v, %q", flags, err, line)
			}
			direction := "<"
			if row.Dport == port(t, uri) {
				direction = ">"
			}
			raw, _ := textOrHex("0x" + row.Raw)
			m := dissect(raw)
			have = append(have, direction+" "+m.view.String())
		}
		if strings.Join(have, "\n") != strings.Join(want, "\n") || len(have) < 2 {
			t.Errorf("%s: capture\n%s\nwant\n%s", flags, strings.Join(have, "\n"), strings.Join(want, "\n"))
		}
	}
}

// Losses are chosen by the seed, retransmissions are marked. (On a busy machine the last
// ones may be missed: RFC 7252 §4.2.)
func TestVerboseLosses(t *testing.T) {
	uri := rawPeer(t, silence)
	for seed, want := range map[string][2]string{
		"1": {" (lost)", " (retransmission 1)"},
		"2": {" (lost)", " (retransmission 1, lost)"},
		"3": {"", " (retransmission 1)"},
	} {
		got := command(t, "", "get", "-v", "-l", "50%", "--seed", seed, "--retries", "2", "--ack-timeout", "0.05", uri)
		lines := strings.Split(stable(got.stderr), "\n")
		for i, note := range want {
			if message := "TIME > PEER CON GET id=ID token=TOKEN" + note; i >= len(lines) || lines[i] != message {
				t.Errorf("seed %s: %q, want line %d to be %q", seed, got.stderr, i, message)
			}
		}
	}
}
