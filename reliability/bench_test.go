package reliability

import (
	"fmt"
	"testing"
	"time"

	"github.com/motewire/coap/message"
	"github.com/motewire/coap/peer"
)

// crowdAddr is numbered for measurements: it costs next to nothing.
func crowdAddr(n int) peer.Addr {
	return peer.FromBytes(&[16]byte{10: 0xff, 11: 0xff, 12: 10, 13: byte(n >> 16), 14: byte(n >> 8), 15: byte(n)}, 0, 40000).
		WithLocalBytes(&[16]byte{10: 0xff, 11: 0xff, 12: 192, 14: 2, 15: 9})
}

// batch is how many messages come at once.
const batch = 64

// requests returns a step that receives a new GET from the next of so many peers and
// answers it. Time passes so that remembered exchanges are there in the steady state.
func requests(t testing.TB, typ message.Type, remembered, peers int) func() {
	b := newBench(t, Config{DedupBytes: 1 << 30})
	reply := encode(0, message.Content, 0, "1234567", "12345678")
	var datagrams [batch][]byte
	for i := range datagrams {
		datagrams[i] = encode(typ, message.GET, 1, "1234567", "")
	}
	lifetime := b.e.cfg.ExchangeLifetime()
	if typ == message.NonConfirmable {
		lifetime = b.e.cfg.NonLifetime()
	}
	pace := lifetime / time.Duration(remembered)
	b.now = time.Now() // monotonic, as a loop's is
	var from [batch]peer.Addr
	var views [batch]message.View
	n := 0
	return func() {
		i := n % batch
		if i == 0 {
			b.now = b.now.Add(batch * pace)
			for j := range batch {
				from[j] = crowdAddr((n + j) % peers)
				views[j].Parse(setID(datagrams[j], (n+j)/peers))
			}
			for j := range batch {
				b.e.Anticipate(&from[j], datagrams[j])
			}
		}
		n++
		x := b.e.Receive(b.now, from[i], false, &views[i])
		if x.Kind != Request || !b.e.Respond(b.now, x.Inbound, reply, RespondOptions{}) {
			t.Fatalf("request %d: %+v", n, x)
		}
	}
}

// exchanges returns a step that sends a GET to the next of so many peers and receives the
// answer. Message IDs never run out.
func exchanges(t testing.TB, peers int) func() {
	b := newBench(t, Config{Params: Params{NStart: -1}})
	o := SendOptions{Confirmable: true, Expect: ExpectOne, Token: mustToken("12345678")}
	request := encode(message.Confirmable, message.GET, 0, "12345678", "")
	response := encode(message.Acknowledgement, message.Content, 0, "12345678", "22.3 C")
	b.now = time.Now()
	pace := max(10*time.Millisecond/time.Duration(peers), 10*time.Microsecond)
	var v message.View
	n := 0
	return func() {
		n++
		to := crowdAddr(n % peers)
		x, err := b.e.Send(b.now, to, request, o)
		if err != nil {
			t.Fatal(err)
		}
		ev, ok := b.e.Poll()
		if !ok {
			t.Fatal("nothing transmitted")
		}
		setID(response, int(idOf(ev.Datagram)))
		v.Parse(response)
		if verdict := b.e.Receive(b.now, to, false, &v); verdict.Outbound != x {
			t.Fatalf("verdict %+v", verdict)
		}
		if n%batch == 0 {
			b.now = b.now.Add(batch * pace)
			b.e.Advance(b.now)
		}
	}
}

// The message layer alone, per message received with what follows from it.
func BenchmarkReceive(b *testing.B) {
	for _, w := range workloads {
		b.Run(w.name, func(b *testing.B) { benchmarkStep(b, 30_000, w.make(b)) })
	}
}

// Requests while few exchanges and while a million are remembered: from some clients
// again and again, and each from a client never seen before.
func BenchmarkRemembered(b *testing.B) {
	for _, c := range []struct {
		name              string
		remembered, peers int
	}{
		{"known", 1000, 10}, {"known", 1_000_000, 1000}, {"stranger", 1000, 1 << 24}, {"stranger", 1_000_000, 1 << 24},
	} {
		b.Run(fmt.Sprint(c.name, "/", c.remembered), func(b *testing.B) {
			benchmarkStep(b, c.remembered*5/4, requests(b, message.Confirmable, c.remembered, c.peers))
		})
	}
}

// A client's exchanges with few and with very many peers.
func BenchmarkPeers(b *testing.B) {
	for _, peers := range []int{1, 1000, 1_000_000} {
		b.Run(fmt.Sprint("client/", peers), func(b *testing.B) { benchmarkStep(b, 30_000+peers, exchanges(b, peers)) })
	}
}

func benchmarkStep(b *testing.B, warm int, step func()) {
	for range warm {
		step()
	}
	b.ReportAllocs()
	for b.Loop() {
		step()
	}
}
