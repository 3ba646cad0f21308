package coap_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/coaptest"
	"github.com/motewire/coap/message"
	"github.com/motewire/coap/peer"
	"github.com/motewire/coap/transport"
	"github.com/motewire/coap/transport/simnet"
)

// say is a handler that writes text.
func say(text string) coap.HandlerFunc {
	return func(w coap.ResponseWriter, _ *coap.Request) { w.WriteString(text) }
}

// slow is a handler that sleeps first.
func slow(d time.Duration, text string) coap.HandlerFunc {
	return func(w coap.ResponseWriter, _ *coap.Request) {
		time.Sleep(d)
		w.WriteString(text)
	}
}

// withServer runs f in virtual time beside a server that setup may change first.
func withServer(t *testing.T, h coap.Handler, setup func(*coaptest.Server), f func(t *testing.T, s *coaptest.Server)) {
	t.Helper()
	coaptest.Run(t, func(t *testing.T) {
		s := coaptest.NewUnstartedServer(h)
		if setup != nil {
			setup(s)
		}
		s.Start()
		defer s.Close()
		f(t, s)
	})
}

// newClient returns a client of its own on the server's network.
func newClient(t *testing.T, s *coaptest.Server, setup func(*coap.Client)) *coap.Client {
	c := &coap.Client{Listen: coaptest.Listen(s.Network)}
	if setup != nil {
		setup(c)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// get is a GET that must get a response.
func get(t *testing.T, c *coap.Client, url string, opts ...coap.RequestOption) *coap.Response {
	t.Helper()
	resp, err := c.Get(t.Context(), url, opts...)
	if err != nil {
		t.Fatalf("GET %s: %v", url, err)
	}
	return resp
}

// checkResponse compares code and payload.
func checkResponse(t *testing.T, resp *coap.Response, code message.Code, payload string) {
	t.Helper()
	if resp.Code != code || string(resp.Payload()) != payload {
		t.Errorf("%v %q, want %v %q", resp.Code, resp.Payload(), code, payload)
	}
}

// A wire is what a network carried, as text: a line per datagram with the time since the
// wire began, the direction as seen from the server, and type, code and message.
type wire struct {
	began  time.Time
	server netip.AddrPort

	mu        sync.Mutex
	lines     []string
	lastID    message.ID // of the last Confirmable message from the server
	confirmed bool       // there was one
}

// tap begins to record.
func tap(s *coaptest.Server) *wire {
	w := &wire{began: time.Now(), server: s.Addr}
	s.Network.Tap(w.record)
	return w
}

func (w *wire) record(r simnet.Record) {
	w.mu.Lock()
	defer w.mu.Unlock()
	direction := ">"
	if r.From == w.server {
		direction = "<"
	}
	var v message.View
	line := fmt.Sprintf("%v %s ", r.Sent.Sub(w.began), direction)
	if err := v.Parse(r.Data); err != nil {
		line += err.Error()
	} else {
		line += fmt.Sprintf("%v %v", v.Type(), v.Code())
		if direction == "<" && v.Type() == message.Confirmable {
			w.lastID, w.confirmed = v.ID(), true
		}
	}
	if r.Fate != simnet.Delivered {
		line += " " + r.Fate.String()
	}
	w.lines = append(w.lines, line)
}

// take returns what was recorded since the last take.
func (w *wire) take() []string {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	lines := w.lines
	w.lines = nil
	return lines
}

// expect compares what was recorded since the last look.
func (w *wire) expect(t *testing.T, want ...string) {
	t.Helper()
	if got := w.take(); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("on the wire:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// A rawPeer sends and receives datagrams by hand.
type rawPeer struct {
	t    *testing.T
	conn *simnet.Conn
	to   peer.Addr
	in   chan []byte

	early []*message.View // came before the answer that was waited for: see ask

	mu   sync.Mutex
	from peer.Addr // who sent last
}

// newRawPeer returns a peer on the server's network whose datagrams go to the server.
func newRawPeer(t *testing.T, s *coaptest.Server) *rawPeer {
	t.Helper()
	return rawPeerOn(t, s.Network, netip.AddrPortFrom(netip.IPv4Unspecified(), 0), s.Addr)
}

func rawPeerOn(t *testing.T, n *simnet.Network, at, to netip.AddrPort) *rawPeer {
	t.Helper()
	conn, err := n.Listen(at)
	if err != nil {
		t.Fatal(err)
	}
	p := &rawPeer{t: t, conn: conn, to: peer.From(to), in: make(chan []byte, 1024)}
	t.Cleanup(func() { conn.Close() })
	go p.read()
	return p
}

func (p *rawPeer) read() {
	packets := []transport.Packet{{Buf: make([]byte, 65536)}}
	for {
		if _, err := p.conn.ReadBatch(packets); err != nil {
			return
		}
		if packets[0].Err == nil {
			p.mu.Lock()
			p.from = packets[0].Peer
			p.mu.Unlock()
			p.in <- bytes.Clone(packets[0].Buf[:packets[0].N])
		}
	}
}

// send sends datagrams in one batch.
func (p *rawPeer) send(datagrams ...[]byte) {
	p.t.Helper()
	var packets []transport.Packet
	for _, d := range datagrams {
		packets = append(packets, transport.Packet{Buf: d, N: len(d), Peer: p.to})
	}
	if n, err := p.conn.WriteBatch(packets); n != len(packets) || err != nil {
		p.t.Fatalf("%d sent, %v, %v", n, err, packets[0].Err)
	}
}

// reply sends a datagram to who sent last.
func (p *rawPeer) reply(datagram []byte) {
	p.t.Helper()
	p.mu.Lock()
	p.to = p.from
	p.mu.Unlock()
	p.send(datagram)
}

// receive returns the next message, or fails where none comes within d. Zero is enough
// for what needs no time.
func (p *rawPeer) receive(d time.Duration) *message.View {
	p.t.Helper()
	if len(p.early) > 0 {
		v := p.early[0]
		p.early = p.early[1:]
		return v
	}
	select {
	case b := <-p.in:
		v := new(message.View)
		if err := v.Parse(b); err != nil {
			p.t.Fatalf("%x: %v", b, err)
		}
		return v
	case <-time.After(max(d, 1)): // in virtual time: after all else
		p.t.Fatalf("nothing came within %v", d)
		return nil
	}
}

// silence fails where anything comes within d.
func (p *rawPeer) silence(d time.Duration) {
	p.t.Helper()
	if len(p.early) > 0 {
		p.t.Errorf("%v came, want silence", p.early[0])
	}
	select {
	case b := <-p.in:
		p.t.Errorf("%x came, want silence", b)
	case <-time.After(d):
	}
}

// tokenOf is a token of one byte.
func tokenOf(b byte) message.Token {
	token, _ := message.MakeToken([]byte{b})
	return token
}

// datagram encodes a message; options are text values.
func datagram(t *testing.T, typ message.Type, code message.Code, id message.ID, token message.Token, payload string, options ...message.Option) []byte {
	t.Helper()
	m := message.Message{Type: typ, Code: code, ID: id, Token: token, Options: options, Payload: []byte(payload)}
	b, err := m.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// path is the Uri-Path of a path of one segment.
func path(segment string) message.Option {
	return message.Option{Number: message.URIPath, Value: []byte(segment)}
}

// A logBuffer collects log lines.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logBuffer) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// timeout is a context that ends after d.
func timeout(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
