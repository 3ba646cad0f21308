package coap_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/coaptest"
	"github.com/motewire/coap/message"
	"github.com/motewire/coap/transport"
)

// RFC 7252 §5.2.1: "The response is returned in the Acknowledgement message".
func TestPiggybackedResponse(t *testing.T) {
	withServer(t, say("hello"), nil, func(t *testing.T, s *coaptest.Server) {
		w := tap(s)
		resp := get(t, s.Client(), s.URL)
		checkResponse(t, resp, message.Content, "hello")
		if resp.Attempts != 1 || resp.RTT != 0 || resp.Peer() != s.Addr {
			t.Errorf("%d attempts, %v, from %v", resp.Attempts, resp.RTT, resp.Peer())
		}
		w.expect(t, "0s > CON 0.01", "0s < ACK 2.05")
	})
}

// RFC 7252 §5.2.2: "initiate the attempt to obtain the resource representation and, while that
// is in progress, time out an acknowledgement timer".
func TestSlowHandlerIsAcknowledged(t *testing.T) {
	withServer(t, slow(time.Second, "late"), nil, func(t *testing.T, s *coaptest.Server) {
		w := tap(s)
		checkResponse(t, get(t, s.Client(), s.URL), message.Content, "late")
		w.expect(t, "0s > CON 0.01", "100ms < ACK 0.00", "1s < CON 2.05", "1s > ACK 0.00")
		checkResponse(t, get(t, s.Client(), s.URL), message.Content, "late") // the route is known to be slow
		w.expect(t, "1s > CON 0.01", "1.1s < ACK 0.00", "2s < CON 2.05", "2s > ACK 0.00")
		if n := s.Config.Stats().SlowHandlers; n != 1 {
			t.Errorf("%d handlers took the reader's goroutine along, want the first", n)
		}
	})
}

// A handler that is done before the Acknowledgement is due piggybacks its response.
func TestHandlerFasterThanAckDelay(t *testing.T) {
	withServer(t, slow(99*time.Millisecond, "just"), nil, func(t *testing.T, s *coaptest.Server) {
		w := tap(s)
		get(t, s.Client(), s.URL)
		w.expect(t, "0s > CON 0.01", "99ms < ACK 2.05")
	})
}

// RFC 7252 §4.5, §5.2.2: a retransmission of a request in hand gets the empty ACK again,
// never the separate response, and the handler does not run again.
func TestDuplicateOfASlowRequest(t *testing.T) {
	var runs atomic.Int32
	h := coap.HandlerFunc(func(w coap.ResponseWriter, _ *coap.Request) {
		runs.Add(1)
		time.Sleep(time.Second)
	})
	withServer(t, h, nil, func(t *testing.T, s *coaptest.Server) {
		w, p := tap(s), newRawPeer(t, s)
		request := datagram(t, message.Confirmable, message.GET, 7, tokenOf(1), "")
		p.send(request)
		time.Sleep(50 * time.Millisecond)
		p.send(request) // the Acknowledgement is not due yet
		time.Sleep(150 * time.Millisecond)
		p.send(request)
		time.Sleep(time.Second)
		p.send(datagram(t, message.Acknowledgement, message.Empty, w.separate(t), message.Token{}, ""))
		p.send(request)
		time.Sleep(time.Minute)
		w.expect(t, "0s > CON 0.01", "50ms > CON 0.01", "100ms < ACK 0.00", "200ms > CON 0.01", "200ms < ACK 0.00",
			"1s < CON 2.05", "1.2s > ACK 0.00", "1.2s > CON 0.01", "1.2s < ACK 0.00")
		if runs.Load() != 1 {
			t.Errorf("the handler ran %d times", runs.Load())
		}
	})
}

// mixed has a slow and a fast resource.
func mixed() *coap.Mux {
	mux := coap.NewMux()
	mux.Handle("GET /slow", slow(10*time.Second, "slow"))
	mux.Handle("GET /fast", say("fast"))
	return mux
}

// A slow handler delays no other request, not even of the same batch: those before it
// are answered, and those behind it served, within two watch intervals.
func TestSlowHandlerDelaysNobody(t *testing.T) {
	withServer(t, mixed(), nil, func(t *testing.T, s *coaptest.Server) {
		p := newRawPeer(t, s)
		for round := range 2 {
			var batch [][]byte
			for i, where := range []string{"fast", "slow", "fast", "slow", "fast"} {
				id := message.ID(10*round + i)
				batch = append(batch, datagram(t, message.Confirmable, message.GET, id, tokenOf(byte(id)), "", path(where)))
			}
			began := time.Now()
			p.send(batch...)
			for range 3 {
				if v := p.receive(time.Second); string(v.Payload()) != "fast" {
					t.Errorf("round %d: %v", round, v)
				}
			}
			if d := time.Since(began); d > 3*time.Millisecond || round > 0 && d > 0 {
				t.Errorf("round %d: fast resources took %v", round, d)
			}
			for range 2 {
				if v := p.receive(time.Second); v.Type() != message.Acknowledgement || v.Code() != message.Empty {
					t.Errorf("round %d: %v", round, v)
				}
			}
			p.acknowledgeAll(2, 11*time.Second)
		}
		if n := s.Config.Stats().HandlersAway; n != 0 {
			t.Errorf("%d handlers away at the end", n)
		}
	})
}

// A handler that blocks among many that return at once holds the reader up a little longer,
// as the watch looks less often then.
func TestSlowHandlerAmongQuickOnes(t *testing.T) {
	withServer(t, mixed(), nil, func(t *testing.T, s *coaptest.Server) {
		p := newRawPeer(t, s)
		ask := func(id message.ID, where string) []byte {
			return datagram(t, message.Confirmable, message.GET, id, tokenOf(byte(id)), "", path(where))
		}
		for id := range message.ID(50) {
			p.send(ask(id, "fast"))
			p.receive(0)
			time.Sleep(time.Millisecond)
		}
		p.send(ask(100, "slow"), ask(101, "fast"))
		began := time.Now()
		p.receive(time.Second)
		if d := time.Since(began); d > 9*time.Millisecond {
			t.Errorf("a quick resource took %v", d)
		}
		p.receive(time.Second) // the Acknowledgement
		p.acknowledgeAll(1, 11*time.Second)
	})
}

// acknowledgeAll takes n separate responses.
func (p *rawPeer) acknowledgeAll(n int, within time.Duration) {
	p.t.Helper()
	for range n {
		v := p.receive(within)
		if v.Type() != message.Confirmable {
			p.t.Errorf("%v, want a separate response", v)
		}
		p.send(datagram(p.t, message.Acknowledgement, message.Empty, v.ID(), message.Token{}, ""))
	}
}

// separate returns the message ID of the last Confirmable message that the server sent.
func (w *wire) separate(t *testing.T) message.ID {
	t.Helper()
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.confirmed {
		t.Fatal("no Confirmable message from the server")
	}
	return w.lastID
}

// Real parallelism: many clients, handlers that block at random, in real time.
func TestTakeoverInRealTime(t *testing.T) {
	var served atomic.Int32
	mux := coap.NewMux()
	mux.HandleFunc("POST /{n}", func(w coap.ResponseWriter, r *coap.Request) {
		switch n := served.Add(1); {
		case n%16 == 0:
			wait(2 * time.Millisecond) // long enough for the watch
		case n%16 == 8:
			d := w.Detach()
			go func(text string) {
				d.WriteString(text)
				d.Send()
			}(r.PathValue("n") + string(r.Payload()))
			return
		}
		w.WriteString(r.PathValue("n") + string(r.Payload()))
	})
	s := coaptest.NewServer(mux)
	defer s.Close()
	client := &coap.Client{Listen: coaptest.Listen(s.Network), Params: coap.Params{NStart: -1}}
	defer client.Close()
	var group sync.WaitGroup
	for g := range 32 {
		group.Go(func() {
			for i := range 50 {
				name, body := fmt.Sprint("n", g), fmt.Sprint("-", i)
				resp, err := client.Post(t.Context(), s.URL+"/"+name, coap.Raw([]byte(body)))
				if err != nil {
					t.Error(err)
					return
				}
				checkResponse(t, resp, message.Changed, name+body)
			}
		})
	}
	group.Wait()
	if n := served.Load(); n != 32*50 {
		t.Errorf("%d handlers ran", n)
	}
}

// wait blocks in real time without being durably blocked or asleep.
func wait(d time.Duration) { <-time.After(d) }

// A panic is answered by 5.00, what was written is dropped, and the server lives on.
func TestHandlerPanic(t *testing.T) {
	var log logBuffer
	mux := coap.NewMux()
	mux.HandleFunc("GET /panic", func(w coap.ResponseWriter, _ *coap.Request) {
		w.WriteString("half of")
		panic("the moon")
	})
	mux.HandleFunc("GET /slow-panic", func(coap.ResponseWriter, *coap.Request) {
		time.Sleep(time.Second)
		panic("the sun")
	})
	mux.Handle("GET /hello", say("hello"))
	setup := func(s *coaptest.Server) { s.Config.Logger = log.logger() }
	withServer(t, mux, setup, func(t *testing.T, s *coaptest.Server) {
		checkResponse(t, get(t, s.Client(), s.URL+"/panic"), message.InternalServerError, "")
		checkResponse(t, get(t, s.Client(), s.URL+"/slow-panic"), message.InternalServerError, "")
		checkResponse(t, get(t, s.Client(), s.URL+"/hello"), message.Content, "hello")
		if n := s.Config.Stats().HandlerPanics; n != 2 {
			t.Errorf("%d panics counted", n)
		}
	})
	for _, want := range []string{"the moon", "the sun", "method=0.01", "path=/slow-panic", "server_test.go"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %q:\n%s", want, log.String())
		}
	}
}

// Truncated datagrams (RFC 7252 §4.6): a request gets 4.13, whatever else is Confirmable
// a Reset.
func TestTruncatedDatagram(t *testing.T) {
	setup := func(s *coaptest.Server) { s.Config.Limits.DatagramBytes = 64 }
	withServer(t, say("served"), setup, func(t *testing.T, s *coaptest.Server) {
		p := newRawPeer(t, s)
		long := strings.Repeat("x", 100)
		p.send(datagram(t, message.Confirmable, message.PUT, 1, tokenOf(9), long))
		if v := p.receive(0); v.Type() != message.Acknowledgement || v.Code() != message.RequestEntityTooLarge || v.Token() != tokenOf(9) {
			t.Errorf("%v", v)
		}
		p.send(datagram(t, message.NonConfirmable, message.PUT, 2, tokenOf(8), long))
		if v := p.receive(0); v.Type() != message.NonConfirmable || v.Code() != message.RequestEntityTooLarge || v.Token() != tokenOf(8) {
			t.Errorf("%v", v)
		}
		p.send(datagram(t, message.Confirmable, message.Content, 3, tokenOf(7), long))
		if v := p.receive(0); v.Type() != message.Reset || v.ID() != 3 {
			t.Errorf("%v", v)
		}
		p.send(append([]byte{0x40, 0xe1, 0, 5}, long...)) // a reserved code, §12.1
		if v := p.receive(0); v.Type() != message.Reset || v.ID() != 5 {
			t.Errorf("%v", v)
		}
		p.send(datagram(t, message.NonConfirmable, message.Content, 4, tokenOf(7), long))
		p.send(append([]byte{0x80}, long...))
		p.silence(time.Minute)
	})
}

// RFC 7252 §5.9.3.4: 5.03 with Max-Age says when to come back.
func TestHandlersLimit(t *testing.T) {
	setup := func(s *coaptest.Server) { s.Config.Limits.Handlers = 2 }
	withServer(t, mixed(), setup, func(t *testing.T, s *coaptest.Server) {
		c := newClient(t, s, func(c *coap.Client) { c.Params.NStart = -1 })
		var group sync.WaitGroup
		for range 2 {
			group.Go(func() { checkResponse(t, get(t, c, s.URL+"/slow"), message.Content, "slow") })
			time.Sleep(time.Second)
		}
		resp := get(t, c, s.URL+"/slow")
		checkResponse(t, resp, message.ServiceUnavailable, "")
		if resp.MaxAge() != time.Second {
			t.Errorf("Max-Age %v", resp.MaxAge())
		}
		checkResponse(t, get(t, c, s.URL+"/fast"), message.Content, "fast") // quick ones go on
		group.Wait()
		if n := s.Config.Stats().Shed; n != 1 {
			t.Errorf("%d shed", n)
		}
		checkResponse(t, get(t, c, s.URL+"/slow"), message.Content, "slow")
	})
}

// Shutdown: running handlers finish, new requests get 5.03, separate responses are
// acknowledged first.
func TestShutdownIsGraceful(t *testing.T) {
	withServer(t, mixed(), nil, func(t *testing.T, s *coaptest.Server) {
		c := newClient(t, s, func(c *coap.Client) { c.Params.NStart = -1 })
		began := time.Now()
		var group sync.WaitGroup
		group.Go(func() { checkResponse(t, get(t, c, s.URL+"/slow"), message.Content, "slow") })
		time.Sleep(time.Second)
		group.Go(func() {
			time.Sleep(time.Second)
			checkResponse(t, get(t, c, s.URL+"/fast"), message.ServiceUnavailable, "")
		})
		if err := s.Config.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if d := time.Since(began); d != 10*time.Second {
			t.Errorf("shut down after %v", d)
		}
		group.Wait()
		if _, err := c.Get(timeout(t, time.Minute), s.URL+"/fast"); !errors.Is(err, coap.ErrUnreachable) {
			t.Errorf("after Shutdown: %v", err)
		}
		if err := s.Config.Shutdown(t.Context()); err != nil {
			t.Errorf("the second Shutdown: %v", err)
		}
	})
}

// Shutdown waits for the acknowledgement of a separate response and no longer.
func TestShutdownWaitsForAcknowledgement(t *testing.T) {
	withServer(t, mixed(), nil, func(t *testing.T, s *coaptest.Server) {
		p, w := newRawPeer(t, s), tap(s)
		began := time.Now()
		p.send(datagram(t, message.Confirmable, message.GET, 1, tokenOf(1), "", path("slow")))
		time.Sleep(10500 * time.Millisecond)
		shut := make(chan time.Duration)
		for range 2 {
			go func() {
				if err := s.Config.Shutdown(t.Context()); err != nil {
					t.Error(err)
				}
				shut <- time.Since(began)
			}()
		}
		time.Sleep(500 * time.Millisecond)
		p.send(datagram(t, message.Acknowledgement, message.Empty, w.separate(t), message.Token{}, ""))
		for range 2 {
			if d := <-shut; d != 11*time.Second {
				t.Errorf("shut down after %v, want 11s", d)
			}
		}
	})
}

// Contexts of handlers end at Shutdown, and what they then answer is still sent.
func TestShutdownEndsContexts(t *testing.T) {
	h := coap.HandlerFunc(func(w coap.ResponseWriter, r *coap.Request) {
		<-r.Context().Done()
		w.WriteString(context.Cause(r.Context()).Error())
	})
	withServer(t, h, nil, func(t *testing.T, s *coaptest.Server) {
		answered := make(chan *coap.Response)
		go func() { answered <- get(t, s.Client(), s.URL) }()
		time.Sleep(time.Second)
		if err := s.Config.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		checkResponse(t, <-answered, message.Content, coap.ErrClosed.Error())
	})
}

// A Shutdown whose context ends closes the server over the heads of its handlers.
func TestShutdownGivesUp(t *testing.T) {
	withServer(t, slow(time.Hour, ""), nil, func(t *testing.T, s *coaptest.Server) {
		go s.Client().Get(timeout(t, time.Minute), s.URL)
		time.Sleep(time.Second)
		began := time.Now()
		if err := s.Config.Shutdown(timeout(t, 5*time.Second)); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if d := time.Since(began); d != 5*time.Second {
			t.Errorf("gave up after %v", d)
		}
	})
}

func TestShutdownBeforeServe(t *testing.T) {
	var s coap.Server
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := s.ListenAndServe(t.Context(), "127.0.0.1:0"); !errors.Is(err, coap.ErrClosed) {
		t.Errorf("%v, want ErrClosed", err)
	}
}

// Serve says why it can't start, and that its sockets broke.
func TestServeErrors(t *testing.T) {
	conn := func() transport.Conn { return &brokenConn{} }
	for name, test := range map[string]struct {
		server *coap.Server
		conns  []transport.Conn
		want   string
	}{
		"no socket":      {server: &coap.Server{}, want: "without a socket"},
		"parameters":     {server: &coap.Server{Params: coap.Params{AckRandomFactor: 0.5}}, conns: []transport.Conn{conn()}, want: "AckRandomFactor"},
		"a limit":        {server: &coap.Server{Limits: coap.Limits{DatagramBytes: -1}}, conns: []transport.Conn{conn()}, want: "DatagramBytes"},
		"groups":         {server: &coap.Server{Groups: coap.AllCoAPNodes}, conns: []transport.Conn{conn()}, want: "join"},
		"broken sockets": {server: &coap.Server{}, conns: []transport.Conn{conn(), conn()}, want: "out of order"},
	} {
		err := test.server.Serve(t.Context(), test.conns...)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
		for _, c := range test.conns {
			if !c.(*brokenConn).closed.Load() {
				t.Errorf("%s: a socket was left open", name)
			}
		}
	}
}

// A brokenConn can't read.
type brokenConn struct{ closed atomic.Bool }

func (c *brokenConn) ReadBatch([]transport.Packet) (int, error) {
	return 0, errors.New("socket out of order")
}
func (c *brokenConn) WriteBatch([]transport.Packet) (int, error) { return 0, net.ErrClosed }
func (c *brokenConn) LocalAddr() netip.AddrPort                  { return netip.AddrPort{} }
func (c *brokenConn) Close() error                               { c.closed.Store(true); return nil }

// Two sockets on one port are one server; when one breaks the other goes on.
func TestOneSocketBreaks(t *testing.T) {
	withServer(t, nil, nil, func(t *testing.T, s *coaptest.Server) {
		good, err := s.Network.Listen(netip.MustParseAddrPort("10.9.9.9:5683"))
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		served := make(chan error, 1)
		go func() {
			served <- (&coap.Server{Handler: say("still here")}).Serve(ctx, &brokenConn{}, good)
		}()
		synctest.Wait()
		checkResponse(t, get(t, s.Client(), "coap://10.9.9.9"), message.Content, "still here")
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
}

// A socket may exchange the buffers that it was given ([transport.Packet]). What a slow
// handler took along stays its own all the same.
func TestExchangedBuffers(t *testing.T) {
	echo := coap.HandlerFunc(func(w coap.ResponseWriter, r *coap.Request) {
		time.Sleep(time.Second)
		w.Write(r.Payload())
	})
	withServer(t, nil, nil, func(t *testing.T, s *coaptest.Server) {
		conn, err := s.Network.Listen(netip.MustParseAddrPort("10.9.9.9:5683"))
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		served := make(chan error, 1)
		go func() { // loses much of what comes in, and exchanges buffers to close the gaps
			served <- (&coap.Server{Handler: echo}).Serve(ctx, transport.Lossy(conn, transport.LossyConfig{Receive: 0.5}))
		}()
		p := rawPeerOn(t, s.Network, netip.MustParseAddrPort("10.8.8.8:4000"), conn.LocalAddr())
		for round := range 4 {
			var batch [][]byte
			for i := range 32 {
				id := message.ID(32*round + i)
				batch = append(batch, datagram(t, message.NonConfirmable, message.POST, id, tokenOf(byte(id)), fmt.Sprint("body ", id)))
			}
			p.send(batch...)
		}
		time.Sleep(2 * time.Second)
		answers := len(p.in)
		for range answers {
			v := p.receive(0)
			if want := fmt.Sprint("body ", v.Token().Append(nil)[0]); string(v.Payload()) != want {
				t.Errorf("%q came as the answer to %q", v.Payload(), want)
			}
		}
		if answers < 32 || answers > 96 {
			t.Errorf("%d of 128 answered", answers)
		}
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
}
