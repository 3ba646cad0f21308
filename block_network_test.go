package coap_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/coaptest"
	"github.com/motewire/coap/message"
	"github.com/motewire/coap/transport"
	"github.com/motewire/coap/transport/simnet"
)

// generated reads size bytes that depend on a seed and are nowhere in memory.
func generated(seed byte, size int64) io.Reader {
	return io.LimitReader(rand.NewChaCha8([32]byte{seed}), size)
}

// sumOf is the SHA-256 of what is read, and how much it was.
func sumOf(t *testing.T, r io.Reader) ([]byte, int64) {
	t.Helper()
	h := sha256.New()
	n, err := io.Copy(h, r)
	if err != nil {
		t.Errorf("behind %d bytes: %v", n, err)
	}
	return h.Sum(nil), n
}

// storing is a Mux whose /x holds what is PUT there, and /echo answers a POST or FETCH with
// its body.
func storing() *coap.Mux {
	var body []byte
	mux := coap.NewMux()
	mux.HandleFunc("PUT /x", func(_ coap.ResponseWriter, r *coap.Request) { body = bytes.Clone(r.Payload()) })
	mux.HandleFunc("GET /x", func(w coap.ResponseWriter, _ *coap.Request) { w.Write(body) })
	echo := func(w coap.ResponseWriter, r *coap.Request) { w.Write(r.Payload()) }
	mux.HandleFunc("POST /echo", echo)
	mux.HandleFunc("FETCH /echo", echo)
	return mux
}

// expectIdle fails where a server holds anything of a transfer or message when every
// lifetime is over.
func expectIdle(t *testing.T, s *coaptest.Server) {
	t.Helper()
	time.Sleep(10 * time.Minute)
	synctest.Wait()
	n := s.Config.Stats()
	if n.HandlersAway != 0 || n.Uploads.Transfers != 0 || n.Uploads.TransferBytes != 0 || n.Uploads.Finished != 0 ||
		n.Responses.Snapshots != 0 || n.Responses.SnapshotBytes != 0 ||
		n.Messages.OpenExchanges != 0 || n.Messages.PendingRequests != 0 || n.Messages.Remembered != 0 {
		t.Errorf("left: %+v", n)
	}
}

// At 10 % loss each way, with duplicates and reordering, a mebibyte arrives whole in both
// directions; the handlers run once.
func TestBlocksOverLoss(t *testing.T) {
	if testing.Short() {
		t.Skip("a mebibyte in both directions")
	}
	withServer(t, storing(), nil, func(t *testing.T, s *coaptest.Server) {
		s.Network.SetDefault(hostile(0.1))
		want := randomBody(1, 1<<20)
		resp, err := s.Client().Put(t.Context(), s.URL+"/x", coap.Raw(want))
		if err != nil || resp.Code != message.Changed {
			t.Fatal(resp, err)
		}
		expectBytes(t, get(t, s.Client(), s.URL+"/x"), want)
		n := s.Config.Stats()
		if n.Uploads.Completed != 1 || n.Responses.Kept != 2 || n.Messages.DuplicatesConfirmable == 0 {
			t.Errorf("%+v", n)
		}
		expectIdle(t, s)
	})
}

// At 20 % loss one message in 170 is given up: that a block is sent again as another
// message brings 64 KiB through in both directions of one exchange all the same, and the
// handler runs once.
func TestBlocksOverHeavyLoss(t *testing.T) {
	for name, method := range map[string]message.Code{"post": message.POST, "fetch": message.FETCH} {
		t.Run(name, func(t *testing.T) {
			withServer(t, storing(), nil, func(t *testing.T, s *coaptest.Server) {
				s.Network.SetDefault(hostile(0.2))
				timeouts := 0
				c := newClient(t, s, func(c *coap.Client) {
					c.Trace = &coap.Trace{Timeout: func(coap.TraceExchange) { timeouts++ }}
				})
				want := randomBody(2, 64<<10)
				resp, err := c.Do(t.Context(), coap.NewRequest(method, s.URL+"/echo", coap.Raw(want), coap.BlockSize(64)))
				if err != nil {
					t.Fatal(err)
				}
				expectBytes(t, resp, want)
				if n := s.Config.Stats(); timeouts < 3 || n.Uploads.Completed != 1 {
					t.Errorf("%d messages timed out, %+v", timeouts, n.Uploads)
				}
				expectIdle(t, s)
			})
		})
	}
}

// One block is outstanding at a time (RFC 7959 §2.4, §2.5): a transfer takes as many round
// trips as it has blocks, and no more than 10 % beside, in both directions, as bytes and as
// streams.
func TestBlocksTime(t *testing.T) {
	const blocks, rtt = 1024, 100 * time.Millisecond
	mux := storing()
	mux.Handle("PUT /stream", coap.HandlerFunc(func(_ coap.ResponseWriter, r *coap.Request) { io.Copy(io.Discard, r.BodyReader()) }), coap.StreamBody())
	mux.HandleFunc("GET /stream", func(w coap.ResponseWriter, _ *coap.Request) {
		w.SetBody(coap.Stream(generated(1, blocks*1024), message.OctetStream))
	})
	withServer(t, mux, nil, func(t *testing.T, s *coaptest.Server) {
		s.Network.SetDefault(simnet.Link{Delay: rtt / 2})
		for path, body := range map[string]coap.Body{
			"/x": coap.Raw(randomBody(1, blocks*1024)), "/stream": coap.Stream(generated(2, blocks*1024), message.OctetStream),
		} {
			began := time.Now()
			if resp, err := s.Client().Put(t.Context(), s.URL+path, body); err != nil || resp.Code != message.Changed {
				t.Fatal(resp, err)
			}
			up := time.Since(began)
			_, n := sumOf(t, get(t, s.Client(), s.URL+path).Body)
			down := time.Since(began) - up
			if most := blocks * rtt * 11 / 10; up > most || down > most || n != blocks*1024 {
				t.Errorf("%s: up in %v, %d bytes down in %v, want at most %v", path, up, n, down, most)
			}
		}
	})
}

// A heapGauge is a reader that looks at how much memory is reachable while it is read.
type heapGauge struct {
	io.Reader
	read int64
	most atomic.Int64 // bytes of heap
}

const gaugeEvery = 4 << 20 // bytes

func (g *heapGauge) Read(b []byte) (int, error) {
	n, err := g.Reader.Read(b)
	before := g.read
	if g.read += int64(n); g.read/gaugeEvery > before/gaugeEvery {
		g.most.Store(max(g.most.Load(), heap()))
	}
	return n, err
}

// A streamed body goes up from a reader to a handler that reads it, and another one comes
// down from a reader: size bytes each. Nobody needs to hold more than a block of either.
type streamed struct {
	size     int64
	got      chan []byte // SHA-256 of what went up
	up, down *heapGauge
}

func newStreamed(size int64) *streamed {
	return &streamed{size: size, got: make(chan []byte, 1), up: new(heapGauge), down: new(heapGauge)}
}

// mux serves both at /x.
func (s *streamed) mux(t *testing.T) *coap.Mux {
	mux := coap.NewMux()
	mux.Handle("PUT /x", coap.HandlerFunc(func(_ coap.ResponseWriter, r *coap.Request) {
		sum, _ := sumOf(t, r.BodyReader())
		s.got <- sum
	}),
		coap.StreamBody(), coap.BodyLimit(int(s.size)))
	mux.HandleFunc("GET /x", func(w coap.ResponseWriter, _ *coap.Request) {
		s.down.Reader = generated(2, s.size)
		w.SetBody(coap.Stream(s.down, message.OctetStream))
	})
	return mux
}

// transfer has both arrive whole.
func (s *streamed) transfer(t *testing.T, c *coap.Client, url string) {
	t.Helper()
	s.up.Reader = generated(1, s.size)
	want, _ := sumOf(t, generated(1, s.size))
	resp, err := c.Put(t.Context(), url, coap.Stream(s.up, message.OctetStream))
	if err != nil || resp.Code != message.Changed {
		t.Fatalf("%v, %v", resp, err)
	}
	if got := <-s.got; !bytes.Equal(got, want) {
		t.Fatalf("%x, want %x", got, want)
	}
	want, _ = sumOf(t, generated(2, s.size))
	if got, n := sumOf(t, get(t, c, url).Body); !bytes.Equal(got, want) || n != s.size {
		t.Fatalf("%d bytes, %x, want %x", n, got, want)
	}
}

// expectLittle fails where a mebibyte or more was reachable beside what is when idle.
func (s *streamed) expectLittle(t *testing.T, idle int64) {
	t.Helper()
	for name, g := range map[string]*heapGauge{"up": s.up, "down": s.down} {
		most := g.most.Load()
		t.Logf("%s: at most %d KiB above idle, which is %d KiB", name, (most-idle)>>10, idle>>10)
		if most == 0 || most >= idle+1<<20 {
			t.Errorf("%s: %d bytes of heap, %d when idle", name, most, idle)
		}
	}
}

// 64 MiB are streamed in each direction at 1 % loss each way, with duplicates and reordering.
// The message IDs towards the server run out and the transfer waits for them; none is used
// twice within EXCHANGE_LIFETIME (RFC 7252 §4.4). Both sides together hold less than 1 MiB,
// with a quarter of it for deduplication.
func TestBlocksStream64MiB(t *testing.T) {
	if testing.Short() {
		t.Skip("131,072 blocks")
	}
	body := newStreamed(64 << 20)
	// With the RFC's ACK_TIMEOUT the losses take longer than the message IDs.
	params := coap.Params{AckTimeout: 50 * time.Millisecond}
	setup := func(s *coaptest.Server) {
		s.Config.Params, s.Config.Limits = params, coap.Limits{DedupBytes: 256 << 10}
	}
	withServer(t, body.mux(t), setup, func(t *testing.T, s *coaptest.Server) {
		s.Network.SetDefault(simnet.Link{Loss: 0.01, Duplicate: 0.01, Reorder: 0.01, Delay: time.Millisecond / 2})
		c := newClient(t, s, func(c *coap.Client) { c.Params, c.Limits = params, s.Config.Limits })
		ids := watchIDs(t, s, params.WithDefaults().ExchangeLifetime())
		get(t, c, s.URL+"/.well-known/core") // so that sockets and buffers are there
		idle := heap()
		body.transfer(t, c, s.URL+"/x")
		if n := s.Config.Stats().Messages; int64(ids.requests) < 2*body.size/1024 || ids.waited < 10*time.Second || n.DuplicatesConfirmable < 1000 {
			t.Errorf("%d requests, the longest pause between two was %v; %+v", ids.requests, ids.waited, n)
		}
		expectIdle(t, s)
		body.expectLittle(t, min(idle, heap()))
		t.Logf("the longest pause between two requests was %v", ids.waited)
	})
}

// 32 MiB are streamed in each direction over loopback, as fast as that goes. Both sides
// together hold less than 1 MiB, with a quarter of it for deduplication.
func TestBlocksStreamLoopback(t *testing.T) {
	if testing.Short() {
		t.Skip("65,536 blocks")
	}
	body := newStreamed(int64(unlessRace(32<<20, 8<<20)))
	conn, err := transport.Listen(t.Context(), "udp4", "127.0.0.1:0", transport.Config{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	// Message IDs come back soon, or they would run out.
	params := coap.Params{AckTimeout: 100 * time.Millisecond, MaxLatency: -1, ProcessingDelay: -1}
	limits := coap.Limits{DedupBytes: 256 << 10}
	go func() { done <- (&coap.Server{Handler: body.mux(t), Params: params, Limits: limits}).Serve(ctx, conn) }()
	c := &coap.Client{Params: params, Limits: limits}
	url := "coap://" + conn.LocalAddr().String()
	get(t, c, url+"/.well-known/core") // so that sockets and buffers are there
	idle := heap()
	body.transfer(t, c, url+"/x")
	body.expectLittle(t, idle)
	c.Close()
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// idWatch sees that no message ID comes back too soon.
type idWatch struct {
	requests int
	waited   time.Duration // the longest pause between two requests
}

func watchIDs(t *testing.T, s *coaptest.Server, lifetime time.Duration) *idWatch {
	w := &idWatch{}
	var used [1 << 16]time.Time
	tokens := make([]message.Token, 1<<16)
	var last time.Time
	s.Network.Tap(func(r simnet.Record) {
		var v message.View
		if r.To != s.Addr || v.Parse(r.Data) != nil || !v.Code().IsRequest() {
			return
		}
		id := v.ID()
		if tokens[id] == v.Token() {
			return // a retransmission
		}
		if since := r.Sent.Sub(used[id]); !used[id].IsZero() && since < lifetime {
			t.Errorf("message ID %d again after %v", id, since)
		}
		if w.requests++; !last.IsZero() {
			w.waited = max(w.waited, r.Sent.Sub(last))
		}
		used[id], tokens[id], last = r.Sent, v.Token(), r.Sent
	})
	return w
}
