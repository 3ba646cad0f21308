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

func setID(datagram []byte, id int) { binary.BigEndian.PutUint16(datagram[2:], uint16(id)) }

var workloads = []workload{
	{"Request/piggybacked", func(t testing.TB) func() {
		b := newBench(t, Config{})
		datagram, reply := encode(message.Confirmable, message.GET, 1, "1234567", ""), encode(0, message.Content, 0, "1234567", "12345678")
		var v message.View
		n := 0
		return func() {
			n++
			setID(datagram, n)
			v.Parse(datagram)
			x := b.e.Receive(b.now, numbered(n>>16), false, &v)
			if x.Kind != Request || !b.e.Respond(b.now, x.Inbound, reply, RespondOptions{}) {
				t.Fatalf("request %d: %+v", n, x)
			}
			b.now = b.now.Add(10 * time.Millisecond)
		}
	}},
	{"Request/non", func(t testing.TB) func() {
		b := newBench(t, Config{})
		datagram, reply := encode(message.NonConfirmable, message.GET, 1, "1234567", ""), encode(0, message.Content, 0, "1234567", "12345678")
		var v message.View
		n := 0
		return func() {
			n++
			setID(datagram, n)
			v.Parse(datagram)
			x := b.e.Receive(b.now, alice, false, &v)
			if x.Kind != Request || !b.e.Respond(b.now, x.Inbound, reply, RespondOptions{}) {
				t.Fatalf("request %d: %+v", n, x)
			}
			b.now = b.now.Add(10 * time.Millisecond)
		}
	}},
	{"Duplicate", func(t testing.TB) func() {
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
	{"ClientExchange", func(t testing.TB) func() {
		b := newBench(t, Config{Params: Params{NStart: -1}})
		token := mustToken("12345678")
		request := encode(message.Confirmable, message.GET, 0, "12345678", "")
		response := encode(message.Acknowledgement, message.Content, 0, "12345678", "22.3 C")
		o := SendOptions{Confirmable: true, Expect: ExpectOne, Token: token}
		var v message.View
		return func() {
			x, err := b.e.Send(b.now, alice, request, o)
			if err != nil {
				t.Fatal(err)
			}
			ev, ok := b.e.Poll()
			if !ok {
				t.Fatal("nothing transmitted")
			}
			setID(response, int(idOf(ev.Datagram)))
			v.Parse(response)
			if verdict := b.e.Receive(b.now, alice, false, &v); verdict.Outbound != x {
				t.Fatalf("verdict %+v", verdict)
			}
			b.now = b.now.Add(10 * time.Millisecond)
		}
	}},
	{"Separate", func(t testing.TB) func() {
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

func BenchmarkEndpoint(b *testing.B) {
	for _, w := range workloads {
		b.Run(w.name, func(b *testing.B) {
			step := w.make(b)
			for range 30_000 {
				step()
			}
			b.ReportAllocs()
			for b.Loop() {
				step()
			}
		})
	}
}

// The table at a million remembered exchanges, where every access misses the caches.
func BenchmarkRequestAmongAMillion(b *testing.B) {
	bench := newBench(b, Config{DedupBytes: 1 << 30})
	datagram, reply := encode(message.Confirmable, message.GET, 1, "1234567", ""), encode(0, message.Content, 0, "1234567", "12345678")
	var v message.View
	n := 0
	step := func() {
		n++
		setID(datagram, n/1000)
		v.Parse(datagram)
		bench.serve(numbered(n%1000), &v, reply)
		bench.now = bench.now.Add(247 * time.Microsecond)
	}
	for range 1_100_000 {
		step()
	}
	b.ReportAllocs()
	for b.Loop() {
		step()
	}
}
