package simnet_test

import (
	"testing"
	"time"

	"github.com/motewire/coap/peer"
	"github.com/motewire/coap/transport"
	"github.com/motewire/coap/transport/simnet"
)

// One batch of 64 datagrams of 64 bytes per iteration, from WriteBatch to ReadBatch, in
// real time.
func BenchmarkBatch(b *testing.B) {
	b.Run("prompt/64", func(b *testing.B) { benchmark(b, simnet.Link{}) })
	b.Run("delayed/64", func(b *testing.B) { benchmark(b, simnet.Link{Delay: time.Microsecond}) })
}

func benchmark(b *testing.B, l simnet.Link) {
	n := simnet.New(1)
	n.SetDefault(l)
	from, to := listen(b, n, "192.0.2.1:1"), listen(b, n, "192.0.2.2:2")
	const batch = 64
	out, in := make([]transport.Packet, batch), make([]transport.Packet, batch)
	for i := range out {
		out[i] = transport.Packet{Buf: make([]byte, 64), N: 64, Peer: peer.From(to.LocalAddr())}
		in[i].Buf = make([]byte, 64)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := from.WriteBatch(out); err != nil {
			b.Fatal(err)
		}
		for read := 0; read < batch; {
			k, err := to.ReadBatch(in)
			if err != nil {
				b.Fatal(err)
			}
			read += k
		}
	}
}

// Two allocations carry a datagram: its bytes and its place among those under way.
func TestAllocations(t *testing.T) {
	for _, l := range []simnet.Link{{}, {Delay: time.Millisecond}} {
		twoHosts(t, l, func(t *testing.T, n *simnet.Network, a, b *simnet.Conn) {
			out := []transport.Packet{{Buf: make([]byte, 64), N: 64, Peer: peer.From(b.LocalAddr())}}
			in := []transport.Packet{{Buf: make([]byte, 64)}}
			got := testing.AllocsPerRun(100, func() {
				a.WriteBatch(out)
				b.ReadBatch(in)
			})
			if got > 2 {
				t.Errorf("%+v: %v allocations per datagram, want at most 2", l, got)
			}
		})
	}
}
