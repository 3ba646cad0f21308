package demo

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/motewire/coap/message"
	"github.com/motewire/coap/transport"
)

// A script is a Conn from which batches arrive as they are written down.
type script struct {
	transport.Conn
	batches [][]transport.Packet
}

func (s *script) ReadBatch(p []transport.Packet) (int, error) {
	if len(s.batches) == 0 {
		return 0, net.ErrClosed
	}
	batch := s.batches[0]
	s.batches = s.batches[1:]
	for i := range batch {
		p[i].N, p[i].Err = copy(p[i].Buf, batch[i].Buf), batch[i].Err
	}
	return len(batch), nil
}

// state returns a message with an Observe number, which is its message ID, too.
func state(t *testing.T, typ message.Type, number uint16) transport.Packet {
	t.Helper()
	e := message.AppendHeader(nil, typ, message.Content, message.ID(number), message.Token{})
	e.OptionUint(message.Observe, uint32(number))
	b, err := e.Finish(nil)
	if err != nil {
		t.Fatal(err)
	}
	return transport.Packet{Buf: b, N: len(b)}
}

// read returns the message IDs of all that a link yields, and checks that the recorder was
// told of it in that order.
func read(t *testing.T, l *lateLink) (order string) {
	t.Helper()
	var told string
	for {
		p := make([]transport.Packet, 4)
		for i := range p {
			p[i].Buf = make([]byte, 16)
		}
		n, err := l.ReadBatch(p)
		if err != nil {
			break
		}
		for _, p := range p[:n] {
			var v message.View
			if p.Err != nil {
				order += p.Err.Error() + " "
			} else if err := v.Parse(p.Buf[:p.N]); err != nil {
				t.Fatal(err)
			} else {
				order += fmt.Sprint(v.ID(), " ")
			}
		}
		seen := map[*byte]bool{}
		for i := range p { // no buffer is lost or there twice
			seen[&p[i].Buf[0]] = true
		}
		if len(seen) != len(p) {
			t.Errorf("%d buffers of %d are left", len(seen), len(p))
		}
	}
	for _, d := range l.rec.datagrams {
		if d.fate != held {
			told += fmt.Sprint(d.view.ID(), " ")
		}
	}
	if l.rec.holding != (l.held != nil) {
		t.Errorf("the recorder is told wrongly that one is held back: %v", l.rec.holding)
	}
	if told != strings.ReplaceAll(order, "report ", "") {
		t.Errorf("the recorder was told of %q, %q came", told, order)
	}
	return order
}

// seedThatHolds returns a seed by which the first notification is held back and no other.
func seedThatHolds(t *testing.T) uint64 {
	t.Helper()
	for seed := range uint64(1000) {
		rng := newLateLink(nil, seed, nil).rng
		if rng.Float64() < heldShare && rng.Float64() >= heldShare && rng.Float64() >= heldShare {
			return seed
		}
	}
	t.Fatal("no seed")
	return 0
}

func TestLateLink(t *testing.T) {
	non := func(n uint16) transport.Packet { return state(t, message.NonConfirmable, n) }
	con := func(n uint16) transport.Packet { return state(t, message.Confirmable, n) }
	type batches [][]transport.Packet
	tests := []struct {
		name string
		in   batches
		want string
	}{
		{"until the next has arrived", batches{{non(1)}, {non(2)}, {non(3)}}, "2 1 3 "},
		{"in one batch", batches{{non(1), non(2)}, {non(3)}}, "2 1 3 "},
		{"a Confirmable one overtakes", batches{{non(1)}, {con(2)}}, "2 1 "},
		{"an older one does not overtake", batches{{non(5)}, {con(4)}, {non(6)}}, "4 6 5 "},
		{"the same one does not overtake", batches{{non(5)}, {con(5)}, {non(6)}}, "5 6 5 "},
		{"Confirmable ones are not held", batches{{con(1)}, {non(2)}, {non(3)}}, "1 3 2 "},
		{"nor are answers", batches{{state(t, message.Acknowledgement, 1)}, {non(2)}, {non(3)}}, "1 3 2 "},
		{"an answer does not overtake", batches{{non(1)}, {state(t, message.Acknowledgement, 2)}}, "2 "},
		{"reports pass", batches{{{Err: errors.New("report")}, non(1)}, {{Err: errors.New("report")}}, {non(2)}}, "report report 2 1 "},
	}
	seed := seedThatHolds(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := newLateLink(&script{batches: tt.in}, seed, newRecorder(io.Discard, false))
			if got := read(t, l); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

// RFC 7641 §3.4: numbers wrap around after 24 bits.
func TestNewer(t *testing.T) {
	for _, tt := range []struct {
		number, before uint32
		want           bool
	}{
		{2, 1, true}, {1, 1, false}, {1, 2, false}, {0, 1<<24 - 1, true}, {1<<24 - 1, 0, false}, {1<<23 - 1, 0, true}, {1 << 23, 0, false},
	} {
		var v message.View
		var p [2]transport.Packet
		for i, n := range []uint32{tt.number, tt.before} {
			e := message.AppendHeader(nil, message.NonConfirmable, message.Content, 1, message.Token{})
			e.OptionUint(message.Observe, n)
			p[i].Buf, _ = e.Finish(nil)
		}
		if err := v.Parse(p[0].Buf); err != nil {
			t.Fatal(err)
		}
		if got := newer(&v, &p[1]); got != tt.want {
			t.Errorf("%d after %d: %v", tt.number, tt.before, got)
		}
	}
}
