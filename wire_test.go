package coap_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/message"
	"github.com/motewire/coap/transport"
)

// Every bad input gets its stated outcome from a running server on a real socket. No
// clock tells that nothing came: the answer to a ping does, which was sent later.
func TestBadInputsOnTheWire(t *testing.T) {
	w := newWireTester(t)
	outcomes := map[string]int{}
	for _, in := range badInputs(t) {
		w.send(in.datagram)
		var got []*message.View
		if in.wire != "silent" {
			got = append(got, w.receive())
		}
		got = append(got, w.untilPing()...)
		checkOutcome(t, in, got)
		outcomes[in.wire]++
	}
	for _, wire := range []string{"RST", "silent", "normal", "4.00", "4.02", "4.05", "5.05"} {
		if outcomes[wire] == 0 {
			t.Errorf("no bad input with %s", wire)
		}
	}
}

func checkOutcome(t *testing.T, in badInput, got []*message.View) {
	t.Helper()
	if in.wire == "silent" {
		if len(got) > 0 {
			t.Errorf("%x: %v, want silence (%s)", in.datagram, got[0], in.comment)
		}
		return
	}
	id := message.ID(binary.BigEndian.Uint16(in.datagram[2:]))
	if len(got) != 1 || got[0].ID() != id {
		t.Errorf("%x: %v, want one reply to message %d (%s)", in.datagram, got, id, in.comment)
		return
	}
	reply := got[0]
	if in.wire == "RST" {
		if reply.Type() != message.Reset || len(reply.Datagram()) != 4 {
			t.Errorf("%x: %v, want a Reset (%s)", in.datagram, reply, in.comment)
		}
		return
	}
	var request message.View
	if err := request.Parse(in.datagram); err != nil {
		t.Fatalf("%x: %v", in.datagram, err)
	}
	want := in.wire
	if want == "normal" {
		want = normalCode(&request)
	}
	if reply.Type() != message.Acknowledgement || reply.Token() != request.Token() || reply.Code().String() != want {
		t.Errorf("%x: %v, want %s (%s)", in.datagram, reply, want, in.comment)
	}
}

// normalCode is what the request deserves without its offending part.
func normalCode(request *message.View) string {
	for segment := range request.PathSegments() {
		if string(segment) != "hello" {
			return "4.04"
		}
	}
	if request.Code() == message.GET {
		return "2.05"
	}
	return "2.04"
}

// A wireTester talks to a server with a resource /hello over UDP.
type wireTester struct {
	t     *testing.T
	conn  net.Conn
	pings message.ID
}

func newWireTester(t *testing.T) *wireTester {
	t.Helper()
	served, err := transport.Listen(t.Context(), "udp", "127.0.0.1:0", transport.Config{})
	if err != nil {
		t.Fatal(err)
	}
	mux := coap.NewMux()
	mux.Handle("/hello", say("hello"))
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- (&coap.Server{Handler: mux}).Serve(ctx, served) }()
	conn, err := net.Dial("udp", served.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return &wireTester{t: t, conn: conn, pings: 0xf000}
}

func (w *wireTester) send(datagram []byte) {
	w.t.Helper()
	if _, err := w.conn.Write(datagram); err != nil {
		w.t.Fatal(err)
	}
}

// receive returns the next message. Its deadline is that of a broken test.
func (w *wireTester) receive() *message.View {
	w.t.Helper()
	w.conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	buf := make([]byte, 2048)
	n, err := w.conn.Read(buf)
	if err != nil {
		w.t.Fatal(err)
	}
	v := new(message.View)
	if err := v.Parse(buf[:n]); err != nil {
		w.t.Fatalf("%x: %v", buf[:n], err)
	}
	return v
}

// untilPing returns what comes before the answers to two pings. The second one is sent
// when the first was answered: by then the batch of what came before is done with.
func (w *wireTester) untilPing() (got []*message.View) {
	w.t.Helper()
	for range 2 {
		w.pings++
		w.send([]byte{0x40, 0, byte(w.pings >> 8), byte(w.pings)})
		for v := w.receive(); v.Type() != message.Reset || v.ID() != w.pings; v = w.receive() {
			got = append(got, v)
		}
	}
	return got
}

// Requests of other stacks, byte for byte: each Confirmable one is answered under its own
// message ID with its own token, each Non-confirmable one with its token or not at all,
// and no answer goes to anything else but a Reset to what is Confirmable, or a notification
// that nobody waits for (RFC 7641 §3.6).
func TestCapturedMessagesOnTheWire(t *testing.T) {
	seen := map[string]bool{}
	answered := 0
	w := newWireTester(t)
	for i, d := range captured(t, "s") {
		var v message.View
		if v.Parse(d) != nil || seen[string(d[2:4])] {
			continue // format errors are among the bad inputs; a message ID counts once
		}
		if len(seen)%512 == 511 {
			w = newWireTester(t)
			clear(seen)
		}
		seen[string(d[2:4])] = true
		w.send(d)
		var got []*message.View
		if v.Type() == message.Confirmable {
			got = append(got, w.receive())
		}
		got = append(got, w.untilPing()...)
		if v.Type() == message.NonConfirmable && v.Code().IsRequest() && len(got) == 0 && !v.Has(message.NoResponse) {
			continue // rejected in silence, or answered after the pings
		}
		got = slices.DeleteFunc(got, func(r *message.View) bool { return r.Type() == message.NonConfirmable && r.Token() == v.Token() })
		notification := v.Code().IsResponse() && v.Type() == message.NonConfirmable && v.Has(message.Observe)
		switch {
		case notification:
			if len(got) != 1 || got[0].Type() != message.Reset || got[0].ID() != v.ID() {
				t.Errorf("message %d, %v: answered by %v, want a Reset", i, &v, got)
			}
		case v.Type() != message.Confirmable:
			if len(got) > 0 {
				t.Errorf("message %d, %v: answered by %v", i, &v, got)
			}
		case len(got) != 1 || got[0].ID() != v.ID() || got[0].Code() != message.Empty && got[0].Token() != v.Token():
			t.Errorf("message %d, %v: answered by %v", i, &v, got)
		case got[0].Type() == message.Acknowledgement:
			answered++
		case v.Code().IsRequest() && got[0].Type() == message.Reset:
			t.Errorf("message %d, %v: a request was reset", i, &v)
		}
	}
	if answered < 300 {
		t.Errorf("only %d requests answered", answered)
	}
}

// Whatever a server sends is canonical: what comes back encodes to itself.
func TestRepliesAreCanonical(t *testing.T) {
	w := newWireTester(t)
	for i, name := range []string{"hello", "nothing"} {
		w.send(datagram(t, message.Confirmable, message.GET, message.ID(i), tokenOf(1), "", path(name)))
		v := w.receive()
		m := v.Message()
		if again, err := m.MarshalBinary(); err != nil || !bytes.Equal(again, v.Datagram()) {
			t.Errorf("%x encodes to %x, %v", v.Datagram(), again, err)
		}
	}
}
