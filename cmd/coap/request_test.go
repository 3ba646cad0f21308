package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/motewire/coap/message"
)

// parsed runs a command line up to the point where the request would go out.
func parsed(t *testing.T, stdin, line string) (*request, error) {
	t.Helper()
	args := withCommand(strings.Fields(line))
	c := &cli{stdin: strings.NewReader(stdin), getenv: os.Getenv}
	root := c.rootCommand()
	var got *request
	for _, m := range requestMethods {
		sending, _, _ := root.Find([]string{m.name})
		root.RemoveCommand(sending)
		root.AddCommand(c.requestCommand(m, func(_ context.Context, r *request) error {
			got = r
			return r.hold()
		}))
	}
	root.SetArgs(args)
	err := root.ExecuteContext(t.Context())
	return got, err
}

// A command line as other clients have it is one of ours.
func TestRequestCommandLines(t *testing.T) {
	tests := []struct {
		line, method, uri, payload string
	}{
		{"get coap://h/x", "GET", "coap://h/x", ""},
		{"get h/x", "GET", "coap://h/x", ""},
		{"get [::1]/x?a=http://b", "GET", "coap://[::1]/x?a=http://b", ""},
		{"put -e 22.5 coap://h/x", "PUT", "coap://h/x", "22.5"},
		{"put coap://h/x -e 22.5", "PUT", "coap://h/x", "22.5"},
		{"put -e %41 coap://h/x", "PUT", "coap://h/x", "%41"},
		{"put -f - h/x", "PUT", "coap://h/x", "from standard input"},
		{"-m put -e 22.5 coap://h/x", "PUT", "coap://h/x", "22.5"},
		{"-mput -e 22.5 coap://h/x", "PUT", "coap://h/x", "22.5"},
		{"--method=POST -e 1 h/x", "POST", "coap://h/x", "1"},
		{"-e -m -m delete h/x", "DELETE", "coap://h/x", "-m"},
		{"-N -e get -m ipatch coap://h/x", "iPATCH", "coap://h/x", "get"},
		{"coap://h/x -m fetch", "FETCH", "coap://h/x", ""},
		{"coap://h/x", "GET", "coap://h/x", ""},
		{"localhost/x", "GET", "coap://localhost/x", ""},
		{"--color never localhost:5683", "GET", "coap://localhost:5683", ""},
		{"--color never put h/x", "PUT", "coap://h/x", ""},
		{"put -m put h/x", "PUT", "coap://h/x", ""},
		{"-N -e 22.5 put h/x", "PUT", "coap://h/x", "22.5"},
		{"-v delete h/x -N", "DELETE", "coap://h/x", ""},
		{"get coaps://h/x", "GET", "coaps://h/x", ""},
	}
	for _, tt := range tests {
		t.Run(tt.line, func(t *testing.T) {
			r, err := parsed(t, "from standard input", tt.line)
			if err != nil {
				t.Fatal(err)
			}
			if r.code.Name() != tt.method || r.uri != tt.uri || string(r.payload) != tt.payload {
				t.Errorf("%s %s %q, want %s %s %q", r.code.Name(), r.uri, r.payload, tt.method, tt.uri, tt.payload)
			}
		})
	}
}

func TestRequestUsageErrors(t *testing.T) {
	tests := []struct{ line, want string }{
		{"get", "get takes a URI"},
		{"-N", "get takes a URI"},
		{"get h/x h/y", `get takes one URI, got "h/y" too`},
		{"get -v 7 h/x", "-v takes no number"},
		{"put -m get h/x", "put and -m get: say one of them"},
		{"-m gte h/x", "-m gte: say get, put"},
		{"put -e 1 -f x h/x", "-e and -f"},
		{"put -e", "-e needs a value"},
		{"get -t nonsense h/x", `-t "nonsense": say a number, a media type`},
		{"get -A 65536 h/x", `-A "65536": `},
		{"get -O 5 -O x,1 h/x", `-O "x,1": say NUM,VALUE`},
		{"get -O 70000,1 h/x", "NUM of 0 to 65535"},
		{"get -O 5,0xf h/x", "two hex digits"},
		{"get -T 123456789 h/x", "at most 8 bytes"},
		{"get -b 48 h/x", "block size of 16"},
		{"get -b 2048 h/x", "block size of 16"},
		{"get -b 1048576,16 h/x", "block number of 0 to 1048575"},
		{"get -b 1, h/x", "block size of 16"},
		{"get -H 0 h/x", "1 to 255"},
		{"get -H 256 h/x", "1 to 255"},
		{"get -a host h/x", "IPv4 or IPv6 address"},
		{"get -p 65536 h/x", `-p "65536": say a number of 0 to 65535`},
		{"get -l 20 h/x", "20% or 0.2"},
		{"get -l 1,3-5 h/x", "lists of datagrams"},
		{"get -l NaN h/x", "20% or 0.2"},
		{"get -B 0 h/x", "seconds above 0"},
		{"get -B NaN h/x", "seconds above 0"},
		{"get -B 1e300 h/x", "seconds above 0"},
		{"get --retries -1 h/x", `--retries "-1": say a number that is not negative`},
		{"get -X PUT h/x", "unknown flag -X: a method is the command, coap put URI, or -m put; a message size is for TCP"},
		{"-X PUT h/x", "a method is the command"},
		{"get -X 1152 h/x", "a message size is for TCP, which is not supported yet"},
		{"get -d 1 h/x", "unknown flag -d: the payload is given with -e TEXT"},
		{"get -Nd 1 h/x", "unknown flag -d: the payload is given with -e TEXT"},
		{"get --data=1 h/x", "unknown flag --data: the payload is given with -e TEXT"},
		{"get --observe h/x", "use coap observe URI"},
		{"get -k secret h/x", "coaps:// is not supported yet"},
		{"get --payloda 1 h/x", "did you mean --payload?"},
		{"get --zzzzzz h/x", "unknown flag --zzzzzz; see coap get --help"},
	}
	for _, tt := range tests {
		t.Run(tt.line, func(t *testing.T) {
			_, err := parsed(t, "", tt.line)
			if err == nil || exitStatus(err) != exitUsage || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, status %d, want %q", err, exitStatus(err), tt.want)
			}
		})
	}
}

// libcoap's coap-client has these flags (4.3.5): each is one of ours by the same letter, or
// gets a hint.
func TestFlagsOfCoapClientAreKnown(t *testing.T) {
	flags := anyRequestFlags()
	for _, letter := range "abcdefjklmnopqrstuvwxABCEGHJKLMNOPRTUVX2" {
		name := string(letter)
		if flags.ShorthandLookup(name) == nil && requestHints[name] == "" {
			t.Errorf("-%s is neither a flag nor has a hint", name)
		}
	}
}

// A hint stands for a flag that is not there: one for a flag that came later would hide it.
func TestHintsAreForUnknownFlags(t *testing.T) {
	flags := anyRequestFlags()
	for name, hint := range requestHints {
		if len(name) == 1 && flags.ShorthandLookup(name) != nil || flags.Lookup(name) != nil {
			t.Errorf("%s is a flag", dashed(name))
		}
		if hint == "" {
			t.Errorf("%s has no hint", dashed(name))
		}
	}
}

// The same of the hints for one command.
func TestHintsOfCommandsAreForUnknownFlags(t *testing.T) {
	for command, hints := range commandHints {
		cmd, _, err := (&cli{}).rootCommand().Find([]string{command})
		if err != nil || cmd.Name() != command {
			t.Fatal(command, err)
		}
		for name, hint := range hints {
			if len(name) == 1 && cmd.Flags().ShorthandLookup(name) != nil || cmd.Flags().Lookup(name) != nil {
				t.Errorf("%s has %s", command, dashed(name))
			}
			if got := run(t.Context(), []string{command, dashed(name), "h"}, strings.NewReader(""), io.Discard, io.Discard); got != exitUsage {
				t.Errorf("%s %s: status %d", command, dashed(name), got)
			}
			if strings.Contains(hint, "  ") || hint == "" {
				t.Errorf("%s %s: %q", command, dashed(name), hint)
			}
		}
	}
	if got := command(t, "", "ping", "-n", "1", "h"); got.stderr != "coap: unknown flag -n: use --count N\n" {
		t.Errorf("%+v", got)
	}
}

func TestRequestFlags(t *testing.T) {
	r, err := parsed(t, "", "get -N -U -T 0x0a0b -b 3,64 -H 5 -t json -A cbor -O 2049,0xff00 -O 2049,x -O 1, "+
		"-a [::1] -p 7 -l 12.5% --seed 9 -B 1.5 -s 60 --retries 0 --ack-timeout 0.1 -vv -w --include --json --no-fail -P coap://p -o out --pcap trace h/x")
	if err != nil {
		t.Fatal(err)
	}
	token, _ := message.MakeToken([]byte{10, 11})
	if !r.nonConfirmable || !r.noURIHost || !r.token.set || r.token.token != token {
		t.Errorf("-N %v, -U %v, -T %v", r.nonConfirmable, r.noURIHost, r.token)
	}
	if want := (blockValue{true, true, 3, 2}); r.block != want {
		t.Errorf("-b %+v, want %+v", r.block, want)
	}
	options := []message.Option{
		{Number: message.IfMatch, Value: []byte{}},
		{Number: message.ContentFormat, Value: []byte{50}},
		{Number: message.HopLimit, Value: []byte{5}},
		{Number: message.Accept, Value: []byte{60}},
		{Number: 2049, Value: []byte{0xff, 0}},
		{Number: 2049, Value: []byte("x")},
	}
	if diff := cmp.Diff(options, r.sorted); diff != "" {
		t.Errorf("options (-want +got):\n%s", diff)
	}
	if r.localAddress.String() != "::1" || r.localPort != 7 || r.loss != 0.125 || r.seed != 9 || r.proxy != "coap://p" {
		t.Errorf("-a %v -p %v -l %v --seed %v -P %v", r.localAddress, r.localPort, r.loss, r.seed, r.proxy)
	}
	if r.timeout != 1500*time.Millisecond || r.observeFor != time.Minute || r.retries != 0 || r.ackTimeout != 100*time.Millisecond {
		t.Errorf("-B %v -s %v --retries %v --ack-timeout %v", r.timeout, r.observeFor, r.retries, r.ackTimeout)
	}
	if r.verbose != 2 || !r.newline || !r.include || !r.json || !r.noFail || r.output != "out" || r.pcap != "trace" {
		t.Errorf("%+v", r.requestFlags)
	}
}

// The defaults of the transmission parameters are the RFC's (RFC 7252 §4.8).
func TestRequestDefaults(t *testing.T) {
	r, err := parsed(t, "", "get h/x")
	if err != nil {
		t.Fatal(err)
	}
	if r.retries != 4 || r.ackTimeout != 2*time.Second {
		t.Errorf("--retries %v --ack-timeout %v", r.retries, r.ackTimeout)
	}
	if len(r.sorted) != 0 || r.payload != nil || r.token.set || r.block.set || r.loss != 0 {
		t.Errorf("%+v", r)
	}
}

// The shortest form of an unsigned integer has no leading zero (RFC 7252 §3.2).
func TestUintOption(t *testing.T) {
	for value, want := range map[uint32][]byte{0: nil, 1: {1}, 256: {1, 0}, 65536: {1, 0, 0}, 1 << 31: {0x80, 0, 0, 0}} {
		if got := uintOption(message.MaxAge, value); !bytes.Equal(got.Value, want) || got.Number != message.MaxAge {
			t.Errorf("%d: %v, want %v", value, got, want)
		}
	}
}

func TestRequestPayloadFiles(t *testing.T) {
	file := filepath.Join(t.TempDir(), "body")
	if err := os.WriteFile(file, []byte{0, 255}, 0o666); err != nil {
		t.Fatal(err)
	}
	r, err := parsed(t, "", "put -f "+file+" h/x")
	if err != nil || !bytes.Equal(r.payload, []byte{0, 255}) {
		t.Errorf("%v, %v", r, err)
	}
	if _, err := parsed(t, "", "put -f "+file+".missing h/x"); exitStatus(err) != exitIO {
		t.Errorf("missing file: %v", err)
	}
}
