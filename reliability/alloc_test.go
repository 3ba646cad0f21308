package reliability

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/motewire/coap/message"
)

// A workload is one step of something done again and again; it is measured by a
// benchmark and must not allocate.
type workload struct {
	name string
	make func(testing.TB) func()
}

// setID writes a message ID and returns the datagram.
func setID(datagram []byte, id int) []byte {
	binary.BigEndian.PutUint16(datagram[2:], uint16(id))
	return datagram
}

var workloads = []workload{
	{"get", func(t testing.TB) func() { return requests(t, message.Confirmable, 24_700, 1) }},
	{"non", func(t testing.TB) func() { return requests(t, message.NonConfirmable, 14_500, 1) }},
	{"duplicate", func(t testing.TB) func() {
		b := newBench(t, Config{})
		v := parse(t, encode(message.Confirmable, message.GET, 1, "1234567", ""))
		reply := encode(0, message.Content, 0, "1234567", "12345678")
		b.serve(alice, v, reply)
		return func() {
			if x := b.e.Receive(b.now, alice, false, v); !x.Duplicate {
				t.Fatalf("verdict %+v", x)
			}
			if ev, ok := b.e.Poll(); !ok || len(ev.Datagram) != len(reply) {
				t.Fatalf("event %+v", ev)
			}
		}
	}},
	{"client", func(t testing.TB) func() { return exchanges(t, 1) }},
	{"separate", func(t testing.TB) func() {
		b := newBench(t, Config{})
		datagram, reply := encode(message.Confirmable, message.GET, 1, "1234567", ""), encode(0, message.Content, 0, "1234567", "12345678")
		ack := empty(message.Acknowledgement, 0)
		var v message.View
		n := 0
		return func() {
			n++
			setID(datagram, n)
			v.Parse(datagram)
			x := b.e.Receive(b.now, alice, false, &v)
			b.e.Acknowledge(b.now, x.Inbound)
			b.e.Respond(b.now, x.Inbound, reply, RespondOptions{})
			b.e.Poll()
			ev, ok := b.e.Poll()
			if !ok {
				t.Fatal("no separate response")
			}
			setID(ack, int(idOf(ev.Datagram)))
			v.Parse(ack)
			b.e.Receive(b.now, alice, false, &v)
			b.now = b.now.Add(10 * time.Millisecond)
		}
	}},
}

func TestSteadyStateDoesNotAllocate(t *testing.T) {
	for _, w := range workloads {
		step := w.make(t)
		for range 30_000 { // 300 s: into the steady state
			step()
		}
		if n := testing.AllocsPerRun(2000, step); n != 0 {
			t.Errorf("%s: %v allocations", w.name, n)
		}
	}
}
