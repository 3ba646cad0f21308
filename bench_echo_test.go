package coap_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/peer"
	"github.com/motewire/coap/transport"
)

// A gate is a Conn that reads only what it is told to, and says when as much was sent.
type gate struct {
	transport.Conn
	open   chan int // how many datagrams are there
	sent   chan struct{}
	closed chan struct{}
	left   int // of the reader: to be read, and to be sent
}

func newGate(b *testing.B) *gate {
	conn, err := transport.Listen(b.Context(), "udp4", "127.0.0.1:0", transport.Config{NoSegments: true})
	if err != nil {
		b.Fatal(err)
	}
	return &gate{Conn: conn, open: make(chan int, 1), sent: make(chan struct{}, 1), closed: make(chan struct{})}
}

func (g *gate) ReadBatch(p []transport.Packet) (int, error) {
	if g.left == 0 {
		select {
		case g.left = <-g.open:
		case <-g.closed:
			return 0, net.ErrClosed
		}
	}
	return g.Conn.ReadBatch(p)
}

func (g *gate) WriteBatch(p []transport.Packet) (int, error) {
	n, err := g.Conn.WriteBatch(p)
	if g.left -= len(p); g.left == 0 {
		g.sent <- struct{}{}
	}
	return n, err
}

func (g *gate) Close() error {
	close(g.closed)
	return g.Conn.Close()
}

// echoes sends back what comes until the gate is closed.
func (g *gate) echoes() {
	packets := make([]transport.Packet, transport.MaxBatch)
	for i := range packets {
		packets[i].Buf = make([]byte, 2048)
	}
	for {
		n, err := g.ReadBatch(packets)
		if err != nil {
			return
		}
		if _, err := g.WriteBatch(packets[:n]); err != nil {
			return
		}
	}
}

// An asker sends batches of one request to gates, each with a message ID of its own, and
// takes another source port when these are used up.
type asker struct {
	b       *testing.B
	conn    transport.Conn
	packets []transport.Packet
	next    int
}

// through has a gate handle a batch, and returns how long it took from the first read to
// the last write.
func (a *asker) through(g *gate) time.Duration {
	if a.conn == nil || a.next+len(a.packets) > 1<<16 {
		a.dial()
	}
	for i := range a.packets {
		p := &a.packets[i]
		p.N, p.Peer = copy(p.Buf, "\x44\x01..ABCD\xbabenchmarks"), peer.From(g.LocalAddr())
		binary.BigEndian.PutUint16(p.Buf[2:], uint16(a.next))
		a.next++
	}
	if n, err := a.conn.WriteBatch(a.packets); err != nil || n != len(a.packets) {
		a.b.Fatal(n, err)
	}
	began := time.Now()
	g.open <- len(a.packets)
	<-g.sent
	took := time.Since(began)
	for got := 0; got < len(a.packets); {
		n, err := a.conn.ReadBatch(a.packets)
		if err != nil || a.packets[0].N != 19 {
			a.b.Fatal(err, a.packets[0].N)
		}
		got += n
	}
	return took
}

func (a *asker) dial() {
	if a.conn != nil {
		a.conn.Close()
	}
	conn, err := transport.Listen(a.b.Context(), "udp4", "127.0.0.1:0", transport.Config{NoSegments: true})
	if err != nil {
		a.b.Fatal(err)
	}
	a.conn, a.next = conn, 0
}

// BenchmarkServerEcho takes batches of GETs through a server over loopback, in turn with
// an echo over the same transport, and reports the median ratio. Time is that from
// reading a batch to having sent its answers, without the client's; bench/ measures CPU
// time, against an echo of raw system calls. No side uses UDP_SEGMENT. One operation is a batch.
func BenchmarkServerEcho(b *testing.B) {
	for _, batch := range []int{1, 8, 64} {
		b.Run(fmt.Sprint("batch", batch), func(b *testing.B) { benchmarkEcho(b, batch) })
	}
}

func benchmarkEcho(b *testing.B, batch int) {
	echo, served := newGate(b), newGate(b)
	ended := make(chan error, 2)
	go func() {
		echo.echoes()
		ended <- nil
	}()
	mux := coap.NewMux()
	mux.HandleFunc("GET /benchmarks", func(w coap.ResponseWriter, _ *coap.Request) { w.Write(tenBytes) })
	mux.HandleFunc("GET /sensors/{id}", func(w coap.ResponseWriter, _ *coap.Request) { w.Write(tenBytes) })
	ctx, stop := context.WithCancel(context.Background())
	go func() { ended <- (&coap.Server{Handler: mux}).Serve(ctx, served) }()
	a := &asker{b: b, packets: make([]transport.Packet, batch)}
	for i := range a.packets {
		a.packets[i].Buf = make([]byte, 64)
	}
	var costs, ratios []float64
	for b.Loop() {
		floor, cost := a.through(echo), a.through(served)
		costs = append(costs, float64(cost)/float64(batch))
		ratios = append(ratios, float64(cost)/float64(floor))
	}
	slices.Sort(costs)
	slices.Sort(ratios)
	b.ReportMetric(costs[len(costs)/2], "ns/request")
	b.ReportMetric(ratios[len(ratios)/2], "x-echo")
	a.conn.Close()
	echo.Close()
	stop()
	for range 2 {
		if err := <-ended; err != nil {
			b.Error(err)
		}
	}
}
