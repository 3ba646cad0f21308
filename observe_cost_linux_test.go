package coap_test

import (
	"context"
	"encoding/binary"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/message"
	"github.com/motewire/coap/peer"
	"github.com/motewire/coap/transport"
)

// processorTime returns what the process has used so far, system calls included.
func processorTime(tb testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func listenUDP(tb testing.TB) *transport.UDP {
	conn, err := transport.Listen(tb.Context(), "udp4", "127.0.0.1:0", transport.Config{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { conn.Close() })
	return conn
}

// BenchmarkObserveUDP is a change for 10,000 observers on 20 sockets over loopback, and the
// bare sending of as many datagrams of the same size to the same sockets, 64 a system call.
// Nobody reads either. Message IDs towards one socket are enough for 130 rounds. The ratio is that of processor time, the median of all rounds.
func BenchmarkObserveUDP(b *testing.B) {
	const sockets, tokens = 20, 500
	value := coap.NewState("0")
	mux := coap.NewMux()
	mux.Handle("GET /value", value, coap.Notifications(allNonConfirmable))
	conn := listenUDP(b)
	server := &coap.Server{Handler: mux, NotifyInterval: -1}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx, conn) }()
	defer func() { stop(); <-done }()
	var packets []transport.Packet
	for range sockets {
		sink := listenUDP(b)
		observeAll(b, sink, conn.LocalAddr(), tokens)
		for range tokens {
			packets = append(packets, transport.Packet{Peer: peer.From(sink.LocalAddr()), Buf: make([]byte, 15), N: 15})
		}
	}
	sent := func() uint64 { return server.Stats().Observations.Notifications }
	if n := server.Stats().Observations.Observers; n != sockets*tokens {
		b.Fatalf("%d observers", n)
	}
	bare := listenUDP(b)
	var ratios, costs []float64
	for b.Loop() {
		before, began := sent(), processorTime(b)
		value.Set("1")
		for sent() < before+sockets*tokens {
			time.Sleep(time.Millisecond)
		}
		notified := processorTime(b)
		for batch := range slices.Chunk(packets, 64) {
			if _, err := bare.WriteBatch(batch); err != nil {
				b.Fatal(err)
			}
		}
		ratios = append(ratios, float64(notified-began)/float64(processorTime(b)-notified))
		costs = append(costs, float64(notified-began)/sockets/tokens)
	}
	slices.Sort(ratios)
	slices.Sort(costs)
	b.ReportMetric(ratios[len(ratios)/2], "x/sendmmsg")
	b.ReportMetric(costs[len(costs)/2], "cpu-ns/notification")
}

// observeAll registers so many observations from one socket, one after the other.
func observeAll(tb testing.TB, from *transport.UDP, server netip.AddrPort, tokens int) {
	answer := []transport.Packet{{Buf: make([]byte, 64)}}
	for i := range tokens {
		token, _ := message.MakeToken(binary.BigEndian.AppendUint16(nil, uint16(i)))
		m := message.Message{
			Type: message.NonConfirmable, Code: message.GET, ID: message.ID(i), Token: token,
			Options: []message.Option{observeRegister, path("value")},
		}
		d, err := m.MarshalBinary()
		if err != nil {
			tb.Fatal(err)
		}
		if _, err := from.WriteBatch([]transport.Packet{{Buf: d, N: len(d), Peer: peer.From(server)}}); err != nil {
			tb.Fatal(err)
		}
		if _, err := from.ReadBatch(answer); err != nil {
			tb.Fatal(err)
		}
	}
}
