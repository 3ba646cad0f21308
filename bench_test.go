package coap_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/motewire/coap"
	"github.com/motewire/coap/transport"
)

// The whole server without a network, per request: batches of one and of what a system
// call brings at most.
func BenchmarkServer(b *testing.B) {
	for _, batch := range []int{1, 64} {
		b.Run(fmt.Sprint("get/batch", batch), func(b *testing.B) { benchmarkServer(b, batch, "hello") })
		b.Run(fmt.Sprint("wildcard/batch", batch), func(b *testing.B) { benchmarkServer(b, batch, "sensors", "7", "") })
	}
}

func benchmarkServer(b *testing.B, batch int, path ...string) {
	f := feedServer(b, path...)
	b.ReportAllocs()
	requests := 0
	for b.Loop() {
		f.deliver(batch)
		requests += batch
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(requests), "ns/request")
}

// A GET of ten bytes at the client, without a network.
func BenchmarkClient(b *testing.B) {
	c := echoClient(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Get(b.Context(), "coap://10.0.0.1/hello"); err != nil {
			b.Fatal(err)
		}
	}
}

// A client and a server over loopback, one request after the other.
func BenchmarkLoopback(b *testing.B) {
	conn, err := transport.Listen(b.Context(), "udp", "127.0.0.1:0", transport.Config{})
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	h := coap.HandlerFunc(func(w coap.ResponseWriter, _ *coap.Request) { w.Write(tenBytes) })
	go func() { done <- (&coap.Server{Handler: h}).Serve(ctx, conn) }()
	c := &coap.Client{Params: coap.Params{MaxLatency: -1}, SourcePorts: 16}
	url := "coap://" + conn.LocalAddr().String() + "/hello"
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Get(ctx, url); err != nil {
			b.Fatal(err)
		}
	}
	c.Close()
	stop()
	if err := <-done; err != nil {
		b.Error(err)
	}
}
