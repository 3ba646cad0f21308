package load

import (
	"bytes"
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/motewire/coap/coaptest"
	"github.com/motewire/coap/message"
	"github.com/motewire/coap/transport"
	"github.com/motewire/coap/transport/simnet"
)

// answers is what a server says to the one request, as header and token, and what comes
// of it.
var answers = []struct {
	name  string
	say   func(id, otherID []byte, token string) []byte
	count func(*Result) uint64 // is 1
	reply string               // of the generator: type and code
}{
	{"piggybacked", func(id, _ []byte, token string) []byte { return []byte("\x64\x45" + string(id) + token) },
		func(r *Result) uint64 { return r.Answered }, ""},
	{"separate", func(_, other []byte, token string) []byte { return []byte("\x44\x45" + string(other) + token) },
		func(r *Result) uint64 { return r.Answered & r.Separate & r.Codes[message.Content] }, "\x60\x00"},
	{"non-confirmable", func(_, other []byte, token string) []byte { return []byte("\x54\x45" + string(other) + token) },
		func(r *Result) uint64 { return r.Answered & r.Separate }, ""},
	{"reset", func(id, _ []byte, _ string) []byte { return []byte("\x70\x00" + string(id)) },
		func(r *Result) uint64 { return r.Reset }, ""},
	{"of another message ID", func(_, other []byte, token string) []byte { return []byte("\x64\x45" + string(other) + token) },
		func(r *Result) uint64 { return r.Strays & r.TimedOut }, ""},
	{"of another token", func(id, _ []byte, _ string) []byte { return []byte("\x64\x45" + string(id) + "....") },
		func(r *Result) uint64 { return r.Strays & r.TimedOut }, ""},
	// RFC 7252 §5.3.2: a response that can't be matched is rejected.
	{"confirmable of another token", func(_, other []byte, _ string) []byte { return []byte("\x44\x45" + string(other) + "....") },
		func(r *Result) uint64 { return r.Strays & r.TimedOut }, "\x70\x00"},
	{"a request", func(_, other []byte, token string) []byte { return []byte("\x54\x01" + string(other) + token) },
		func(r *Result) uint64 { return r.Strays & r.TimedOut }, ""},
	{"malformed", func(id, _ []byte, token string) []byte { return []byte("\x64\x45" + string(id) + token + "\xff") },
		func(r *Result) uint64 { return r.Malformed & r.TimedOut }, ""},
	{"acknowledgement alone", func(id, _ []byte, _ string) []byte { return []byte("\x60\x00" + string(id)) },
		func(r *Result) uint64 { return r.TimedOut }, ""},
}

func TestAnswers(t *testing.T) {
	for _, tt := range answers {
		t.Run(tt.name, func(t *testing.T) {
			coaptest.Run(t, func(t *testing.T) { testAnswer(t, tt.say, tt.count, tt.reply) })
		})
	}
}

func testAnswer(t *testing.T, say func(id, other []byte, token string) []byte, count func(*Result) uint64, reply string) {
	n := simnet.New(1)
	server, err := n.Listen(netip.MustParseAddrPort("10.0.0.1:5683"))
	if err != nil {
		t.Fatal(err)
	}
	heard := make(chan []byte, 1)
	go func() {
		defer close(heard)
		p := []transport.Packet{{Buf: make([]byte, 64)}}
		if _, err := server.ReadBatch(p); err != nil {
			return
		}
		request := bytes.Clone(p[0].Buf[:p[0].N])
		id, other := request[2:4], []byte{request[2] ^ 1, request[3]}
		p[0].N = copy(p[0].Buf, say(id, other, string(request[4:8])))
		server.WriteBatch(p)
		if _, err := server.ReadBatch(p); err == nil {
			heard <- bytes.Clone(p[0].Buf[:2])
		}
	}()
	g, err := New(t.Context(), Config{
		To: server.LocalAddr(), MaxRetransmit: -1, Drain: time.Hour,
		Listen: func(context.Context) (transport.Conn, error) {
			return n.Listen(netip.AddrPortFrom(netip.IPv4Unspecified(), 0))
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	r := run(t, g, 0, 1)
	if count(r) != 1 || r.Sent != 1 || r.Answered+r.Reset+r.TimedOut != 1 {
		t.Errorf("answered %d, separate %d, reset %d, timed out %d, strays %d, malformed %d",
			r.Answered, r.Separate, r.Reset, r.TimedOut, r.Strays, r.Malformed)
	}
	g.Close()
	time.Sleep(time.Second)
	server.Close()
	got := <-heard
	if want := reply; len(got) > 0 != (want != "") || want != "" && string(got) != want {
		t.Errorf("the generator said %x, want %x", got, want)
	}
}
