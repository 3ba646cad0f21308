package coap_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/message"
	"github.com/motewire/coap/transport"
)

// feedBlocks is how many blocks of 1024 bytes a transfer in measurements has.
const feedBlocks = 1024

// A blockFeed is a feed of requests that differ in the value of their block option, one
// transfer after the other.
type blockFeed struct {
	*feed
	option message.OptionNumber
	at     int // where the option's value is in a datagram: three bytes
	count  int
}

func (f *blockFeed) ReadBatch(p []transport.Packet) (int, error) {
	n, err := f.feed.ReadBatch(p)
	for i := range n {
		num := f.count % feedBlocks
		f.count++
		b := message.Block{Num: uint32(num), SZX: 6, More: f.option == message.Block1 && num < feedBlocks-1}
		value := b.Encode()
		copy(p[i].Buf[f.at:], []byte{byte(value >> 16), byte(value >> 8), byte(value)})
	}
	return n, err
}

// feedTransfers serves uploads, or downloads, to a feed, and brings it to its steady state.
func feedTransfers(tb testing.TB, method message.Code, path string) *blockFeed {
	tb.Helper()
	mark := []byte{0xab, 0xcd, 0xef}
	f := &blockFeed{option: message.Block2}
	var payload []byte
	if method == message.PUT {
		f.option, payload = message.Block1, make([]byte, 1024)
	}
	m := message.Message{Type: message.Confirmable, Code: method, Token: tokenOf(7), Payload: payload, Options: []message.Option{
		{Number: message.URIPath, Value: []byte(path)}, {Number: f.option, Value: mark}}}
	d, err := m.MarshalBinary()
	if err != nil {
		tb.Fatal(err)
	}
	f.feed, f.at = newFeed(d), bytes.Index(d, mark)
	body := make([]byte, feedBlocks*1024)
	mux := coap.NewMux()
	mux.HandleFunc("PUT /whole", func(coap.ResponseWriter, *coap.Request) {})
	mux.HandleFunc("GET /whole", func(w coap.ResponseWriter, _ *coap.Request) { w.Write(body) })
	mux.HandleFunc("GET /stream", func(w coap.ResponseWriter, _ *coap.Request) {
		w.SetETag([]byte{1})
		w.SetBody(coap.Stream(bytes.NewReader(body), message.OctetStream))
	})
	mux.Handle("PUT /stream", coap.HandlerFunc(func(_ coap.ResponseWriter, r *coap.Request) { io.Copy(io.Discard, r.BodyReader()) }), coap.StreamBody())
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	// An Acknowledgement by itself, on a busy machine, would be taken for the answer.
	server := &coap.Server{Handler: mux, Limits: coap.Limits{DedupBytes: 2 << 20}, AckDelay: time.Minute}
	go func() { done <- server.Serve(ctx, f) }()
	tb.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			tb.Error(err)
		}
	})
	transfers := unlessRace(64, 2)
	for range transfers * feedBlocks {
		f.deliver(1)
	}
	if n := server.Stats(); n.Responses.Kept != uint64(transfers) || method == message.PUT && n.Uploads.Completed != uint64(transfers) || n.HandlerPanics != 0 {
		tb.Fatalf("%+v", n)
	}
	return f
}

var feedCases = []struct {
	name   string
	method message.Code
	path   string
}{
	{"up/whole", message.PUT, "whole"}, {"up/stream", message.PUT, "stream"},
	{"down/whole", message.GET, "whole"}, {"down/stream", message.GET, "stream"},
}

// The steady state of a transfer allocates nothing per block at the server.
func TestBlockAllocations(t *testing.T) {
	if testing.Short() {
		t.Skip("quarter of a million blocks")
	}
	for _, c := range feedCases {
		t.Run(c.name, func(t *testing.T) {
			f := feedTransfers(t, c.method, c.path)
			for range 24 { // the beginning of a transfer
				f.deliver(1)
			}
			if n := testing.AllocsPerRun(unlessRace(feedBlocks-100, 100), func() { f.deliver(1) }); n != 0 && !underRace() {
				t.Errorf("%v allocations per block", n)
			}
		})
	}
}

// Transfers of 1 MiB at the server, without a network.
func BenchmarkBlocks(b *testing.B) {
	for _, c := range feedCases {
		b.Run(c.name, func(b *testing.B) {
			f := feedTransfers(b, c.method, c.path)
			b.ReportAllocs()
			blocks := 0
			for b.Loop() {
				for range feedBlocks {
					f.deliver(1)
				}
				blocks += feedBlocks
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(blocks), "ns/block")
		})
	}
}

// roundTrips returns how long n round trips of datagrams as large as a block and its answer
// take on loopback, from a plain socket to another one.
func roundTrips(b *testing.B, n int) time.Duration {
	b.Helper()
	server, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer server.Close()
	go func() {
		buf := make([]byte, 2048)
		for {
			_, from, err := server.ReadFrom(buf)
			if err != nil {
				return
			}
			server.WriteTo(buf[:20], from)
		}
	}()
	conn, err := net.Dial("udp4", server.LocalAddr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	out, in := make([]byte, 1050), make([]byte, 2048)
	began := time.Now()
	for range n {
		if _, err := conn.Write(out); err != nil {
			b.Fatal(err)
		}
		if _, err := conn.Read(in); err != nil {
			b.Fatal(err)
		}
	}
	return time.Since(began)
}

// 1 MiB over loopback, and as a multiple of as many bare round trips, one after the other
// with it: x-roundtrips is the median.
func BenchmarkBlocksLoopback(b *testing.B) {
	conn, err := transport.Listen(b.Context(), "udp4", "127.0.0.1:0", transport.Config{})
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	// Message IDs come back soon, or they would run out.
	params := coap.Params{AckTimeout: 100 * time.Millisecond, MaxLatency: -1, ProcessingDelay: -1}
	go func() { done <- (&coap.Server{Handler: storing(), Params: params}).Serve(ctx, conn) }()
	c := &coap.Client{Params: params}
	url := "coap://" + conn.LocalAddr().String() + "/x"
	body := coap.Raw(make([]byte, feedBlocks*1024))
	up := func() error { _, err := c.Put(ctx, url, body); return err }
	down := func() error {
		resp, err := c.Get(ctx, url)
		if err == nil {
			_, err = resp.Bytes()
		}
		return err
	}
	if err := up(); err != nil {
		b.Fatal(err)
	}
	for name, transfer := range map[string]func() error{"up": up, "down": down} {
		b.Run(name, func(b *testing.B) {
			var ratios []float64
			for b.Loop() {
				b.StopTimer()
				bare := roundTrips(b, feedBlocks)
				b.StartTimer()
				began := time.Now()
				if err := transfer(); err != nil {
					b.Fatal(err)
				}
				ratios = append(ratios, float64(time.Since(began))/float64(bare))
			}
			slices.Sort(ratios)
			b.ReportMetric(ratios[len(ratios)/2], "x-roundtrips")
		})
	}
	c.Close()
	stop()
	if err := <-done; err != nil {
		b.Error(err)
	}
}
