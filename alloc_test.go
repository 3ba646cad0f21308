package coap_test

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/message"
	"github.com/motewire/coap/peer"
	"github.com/motewire/coap/transport"
)

// A feed is a transport.Conn without a network: it delivers one datagram again and again,
// with another message ID each time and from another peer when these are used up, and
// counts the answers.
type feed struct {
	datagram []byte
	wanted   chan int      // how many to deliver next
	answered chan struct{} // gets a value when as many were answered
	closed   chan struct{}

	left, next int // of the reader
	pending    atomic.Int64
}

func newFeed(datagram []byte) *feed {
	return &feed{datagram: datagram, wanted: make(chan int), answered: make(chan struct{}, 1), closed: make(chan struct{})}
}

// deliver delivers n datagrams and waits for their answers.
func (f *feed) deliver(n int) {
	f.pending.Store(int64(n))
	f.wanted <- n
	<-f.answered
}

func (f *feed) ReadBatch(p []transport.Packet) (int, error) {
	if f.left == 0 {
		select {
		case f.left = <-f.wanted:
		case <-f.closed:
			return 0, net.ErrClosed
		}
	}
	n := min(len(p), f.left, transport.MaxBatch)
	for i := range n {
		p[i].N = copy(p[i].Buf, f.datagram)
		binary.BigEndian.PutUint16(p[i].Buf[2:], uint16(f.next))
		p[i].Peer = peer.FromBytes(&[16]byte{10: 0xff, 11: 0xff, 12: 10, 15: 1}, 0, uint16(1024+f.next>>16))
		p[i].Multicast, p[i].Truncated, p[i].Err = false, false, nil
		f.next++
	}
	f.left -= n
	return n, nil
}

// WriteBatch counts answers. An Acknowledgement by itself, as a busy machine gives rise to, is
// none.
func (f *feed) WriteBatch(p []transport.Packet) (int, error) {
	answers := int64(0)
	for i := range p {
		if message.Code(p[i].Buf[1]) != message.Empty {
			answers++
		}
	}
	if left := f.pending.Add(-answers); answers > 0 && left <= 0 && left+answers > 0 {
		f.answered <- struct{}{}
	}
	return len(p), nil
}

func (f *feed) LocalAddr() netip.AddrPort { return netip.MustParseAddrPort("10.0.0.2:5683") }
func (f *feed) Close() error              { close(f.closed); return nil }

// tenBytes is the representation of the resource /hello in measurements.
var tenBytes = []byte("0123456789")

// feedServer serves /hello and a wildcard to a feed of a GET. What is remembered of the
// requests is kept small, so that a steady state is soon there.
func feedServer(tb testing.TB, path ...string) *feed {
	tb.Helper()
	return feedTo(tb, &coap.Server{}, path...)
}

// feedTo is feedServer for a server with a configuration of its own.
func feedTo(tb testing.TB, server *coap.Server, path ...string) *feed {
	tb.Helper()
	var options []message.Option
	for _, segment := range path {
		options = append(options, message.Option{Number: message.URIPath, Value: []byte(segment)})
	}
	m := message.Message{Type: message.Confirmable, Code: message.GET, Token: tokenOf(7), Options: options}
	d, err := m.MarshalBinary()
	if err != nil {
		tb.Fatal(err)
	}
	answer := func(w coap.ResponseWriter, _ *coap.Request) { w.Write(tenBytes) }
	mux := coap.NewMux()
	mux.HandleFunc("GET /hello", answer)
	mux.HandleFunc("GET /sensors/{id}/{$}", answer)
	f := newFeed(d)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	// An Acknowledgement by itself, on a busy machine, would be taken for the answer.
	server.Handler, server.Limits.DedupBytes, server.AckDelay = mux, 2<<20, time.Minute
	// And the separate response behind it, which nobody acknowledges here, would hold up the
	// next one to this peer for MAX_TRANSMIT_WAIT.
	server.Params.NStart = -1
	go func() { done <- server.Serve(ctx, f) }()
	tb.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			tb.Error(err)
		}
	})
	f.deliver(unlessRace(60_000, 3000))
	return f
}

// The steady state of a server allocates nothing per request, from the socket to the
// socket, be it found or not.
func TestServerAllocations(t *testing.T) {
	if testing.Short() {
		t.Skip("half a million requests")
	}
	for name, path := range map[string][]string{
		"get": {"hello"}, "wildcard": {"sensors", "7", ""}, "not found": {"nothing"},
	} {
		t.Run(name, func(t *testing.T) {
			f := feedServer(t, path...)
			for _, batch := range []int{1, 64} {
				if n := testing.AllocsPerRun(unlessRace(1000, 20), func() { f.deliver(batch) }); n != 0 && !underRace() {
					t.Errorf("%v allocations per %d requests", n, batch)
				}
			}
		})
	}
}

// A flood of forged requests costs no memory, whatever is done against it.
func TestForgedRequestAllocations(t *testing.T) {
	if testing.Short() {
		t.Skip("half a million requests")
	}
	for _, mode := range []coap.AddressValidation{coap.SmallBlocks, coap.EchoLarge, coap.EchoAlways} {
		f := feedTo(t, &coap.Server{AddressValidation: mode}, "hello")
		for _, batch := range []int{1, 64} {
			if n := testing.AllocsPerRun(unlessRace(1000, 20), func() { f.deliver(batch) }); n != 0 && !underRace() {
				t.Errorf("mode %d: %v allocations per %d requests", mode, n, batch)
			}
		}
	}
}

// An echo is a transport.Conn that answers each request itself, by a piggybacked 2.05.
type echo struct {
	answers chan []byte
	spare   chan []byte
	closed  chan struct{}
}

func newEcho() *echo {
	e := &echo{answers: make(chan []byte, 64), spare: make(chan []byte, 64), closed: make(chan struct{})}
	for range 64 {
		e.spare <- make([]byte, 0, 64)
	}
	return e
}

func (e *echo) ReadBatch(p []transport.Packet) (int, error) {
	select {
	case b := <-e.answers:
		p[0].N = copy(p[0].Buf, b)
		p[0].Peer = peer.FromBytes(&[16]byte{10: 0xff, 11: 0xff, 12: 10, 15: 1}, 0, coap.DefaultPort)
		p[0].Multicast, p[0].Truncated, p[0].Err = false, false, nil
		e.spare <- b
		return 1, nil
	case <-e.closed:
		return 0, net.ErrClosed
	}
}

func (e *echo) WriteBatch(p []transport.Packet) (int, error) {
	for i := range p {
		request := p[i].Buf[:p[i].N]
		b := append((<-e.spare)[:0], request[:4+request[0]&15]...)
		b[0], b[1] = b[0]&^0x30|byte(message.Acknowledgement)<<4, byte(message.Content)
		e.answers <- append(append(b, 0xff), tenBytes...)
	}
	return len(p), nil
}

func (e *echo) LocalAddr() netip.AddrPort { return netip.MustParseAddrPort("10.0.0.3:40000") }
func (e *echo) Close() error              { close(e.closed); return nil }

// A request of one message costs its client two allocations: the response, which belongs
// to the caller, and the datagram that this has a copy of.
func TestClientAllocations(t *testing.T) {
	most := 2.0
	if underRace() {
		most += 4 // sync.Pool then drops one thing in four
	}
	c := echoClient(t)
	body, tag := coap.Raw(make([]byte, 512)), []byte{1}
	for name, request := range map[string]func() (*coap.Response, error){
		"GET": func() (*coap.Response, error) {
			return c.Get(t.Context(), "coap://10.0.0.1/sensors/7/temperature-of-the-room?unit=celsius&digits=2")
		},
		"GET with options": func() (*coap.Response, error) {
			return c.Get(t.Context(), "coap://10.0.0.1/hello", coap.Accept(message.AppJSON), coap.ETag(tag))
		},
		"PUT": func() (*coap.Response, error) { return c.Put(t.Context(), "coap://10.0.0.1:5683/hello", body) },
	} {
		n := testing.AllocsPerRun(1000, func() {
			if _, err := request(); err != nil {
				t.Fatal(err)
			}
		})
		t.Logf("%v allocations per %s", n, name)
		if n > most {
			t.Errorf("%v allocations per %s, want at most %v", n, name, most)
		}
	}
}

// A call whose caller left in the moment of its end is nobody else's later: each request
// gets its own response or its own cancellation.
func TestCallsAreNotMixedUp(t *testing.T) {
	c := echoClient(t)
	var workers sync.WaitGroup
	for worker := range 8 {
		workers.Go(func() {
			for i := range 300 {
				token, _ := message.MakeToken([]byte{byte(worker), byte(i >> 8), byte(i)})
				ctx, cancel := context.WithCancel(t.Context())
				go cancel()
				resp, err := c.Get(ctx, "coap://10.0.0.1/hello", coap.Token(token))
				if err == nil && resp.Message().Token() != token || err != nil && !errors.Is(err, context.Canceled) {
					t.Errorf("request %v: %v, %v", token, resp, err)
				}
				cancel()
			}
		})
	}
	workers.Wait()
}

func echoClient(tb testing.TB) *coap.Client {
	c := &coap.Client{
		Listen: func(context.Context, string) (transport.Conn, error) { return newEcho(), nil },
		// Message IDs come back soon, or they would run out.
		Params: coap.Params{MaxRetransmit: -1, AckTimeout: 100 * time.Millisecond, MaxLatency: -1, ProcessingDelay: -1},
	}
	tb.Cleanup(func() { c.Close() })
	return c
}

// underRace reports whether the race detector is on. It allocates itself, and has sync.Pool
// drop one thing in four: tests that count allocations then run for what else it finds.
func underRace() bool { return raceDetector() }

// unlessRace returns n, or less where the race detector is on, which takes ten times as long
// and needs to see each way but once.
func unlessRace(n, less int) int {
	if underRace() {
		return less
	}
	return n
}

var raceDetector = sync.OnceValue(func() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
})
