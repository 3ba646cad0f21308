package coap_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/coaptest"
	"github.com/motewire/coap/message"
	"github.com/motewire/coap/transport"
	"github.com/motewire/coap/transport/simnet"
)

// A faultyConn is a socket of a host that refuses to send.
type faultyConn struct {
	transport.Conn

	mu      sync.Mutex
	errno   syscall.Errno // of what is sent; 0: it leaves
	times   int           // how often; negative: always
	refused int
}

// refuse has the next datagrams refused, so many of them; negative: all.
func (c *faultyConn) refuse(errno syscall.Errno, times int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.errno, c.times, c.refused = errno, times, 0
}

// refusals returns how many datagrams were refused.
func (c *faultyConn) refusals() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.refused
}

// next returns the fate of the next datagram.
func (c *faultyConn) next() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.times == 0 {
		return nil
	}
	c.times--
	c.refused++
	return &transport.DeliveryError{Err: c.errno}
}

func (c *faultyConn) WriteBatch(p []transport.Packet) (n int, err error) {
	for i := range p {
		if p[i].Err = c.next(); p[i].Err != nil {
			continue
		}
		sent, err := c.Conn.WriteBatch(p[i : i+1])
		if n += sent; err != nil {
			return n, err
		}
	}
	return n, nil
}

// faultyClient returns a client whose sockets are faulty; the last one is in conn.
func faultyClient(t *testing.T, n *simnet.Network, conn **faultyConn) *coap.Client {
	c := &coap.Client{Listen: func(ctx context.Context, network string) (transport.Conn, error) {
		inner, err := coaptest.Listen(n)(ctx, network)
		*conn = &faultyConn{Conn: inner}
		return *conn, err
	}}
	t.Cleanup(func() { c.Close() })
	return c
}

// A host without room for a datagram (ENOBUFS) has lost it as a router does: a Confirmable
// request is sent again (RFC 7252 §4.2), and fails when that was in vain as often as it may be.
func TestHostWithoutRoom(t *testing.T) {
	withServer(t, say("here"), nil, func(t *testing.T, s *coaptest.Server) {
		var conn *faultyConn
		c := faultyClient(t, s.Network, &conn)
		checkResponse(t, get(t, c, s.URL), message.Content, "here")
		for _, errno := range []syscall.Errno{syscall.ENOBUFS, syscall.ENOMEM, syscall.EAGAIN} {
			began := time.Now()
			conn.refuse(errno, 2)
			checkResponse(t, get(t, c, s.URL), message.Content, "here")
			if took := time.Since(began); took < 6*time.Second || took > 9*time.Second || conn.refusals() != 2 {
				t.Errorf("%v: %v after %d refusals, want 6 to 9 s after 2", errno, took, conn.refusals())
			}
		}
		conn.refuse(syscall.ENOBUFS, -1)
		_, err := c.Get(t.Context(), s.URL)
		expectError(t, err, coap.ErrTimeout)
		if conn.refusals() != 5 {
			t.Errorf("%d transmissions", conn.refusals())
		}
		began := time.Now()
		_, err = c.Get(t.Context(), s.URL, coap.NonConfirmable) // is never sent again
		expectError(t, err, coap.ErrUnreachable)
		if !errors.Is(err, syscall.ENOBUFS) || time.Since(began) > 0 {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		conn.refuse(0, 0)
		checkResponse(t, get(t, c, s.URL, coap.NonConfirmable), message.Content, "here")
	})
}

// A host that will not send says so at once, by name, and the next request is as good as ever.
func TestHostThatRefuses(t *testing.T) {
	withServer(t, say("here"), nil, func(t *testing.T, s *coaptest.Server) {
		var conn *faultyConn
		c := faultyClient(t, s.Network, &conn)
		checkResponse(t, get(t, c, s.URL), message.Content, "here")
		for _, errno := range []syscall.Errno{syscall.ENETUNREACH, syscall.ENETDOWN, syscall.EPERM, syscall.EACCES, syscall.EMSGSIZE, syscall.EADDRNOTAVAIL} {
			conn.refuse(errno, 1)
			began := time.Now()
			_, err := c.Get(t.Context(), s.URL)
			expectError(t, err, coap.ErrUnreachable)
			if !errors.Is(err, errno) || time.Since(began) > 0 {
				t.Errorf("%v after %v, want %v", err, time.Since(began), errno)
			}
			checkResponse(t, get(t, c, s.URL), message.Content, "here")
		}
	})
}

// withFaultyServer runs f beside a server on a faulty socket.
func withFaultyServer(t *testing.T, h coap.Handler, setup func(*coap.Server), f func(t *testing.T, n *simnet.Network, url string, conn *faultyConn)) {
	t.Helper()
	coaptest.Run(t, func(t *testing.T) {
		n := simnet.New(1)
		inner, err := coaptest.Listen(n)(t.Context(), "udp4")
		if err != nil {
			t.Fatal(err)
		}
		conn := &faultyConn{Conn: inner}
		server := &coap.Server{Handler: h}
		if setup != nil {
			setup(server)
		}
		ctx, stop := context.WithCancel(t.Context())
		served := make(chan error, 1)
		go func() { served <- server.Serve(ctx, conn) }()
		synctest.Wait()
		f(t, n, "coap://"+conn.LocalAddr().String(), conn)
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
}

// A server's interface goes down for a while. Nobody who observes is forgotten, each has the
// last state soon after it is up, and what was asked meanwhile is answered.
func TestServerWithInterfaceDown(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.ENETUNREACH, syscall.ENETDOWN, syscall.EPERM, syscall.ENOBUFS, syscall.EADDRNOTAVAIL} {
		number := coap.NewState(1)
		mux := coap.NewMux()
		mux.Handle("GET /number", number, coap.Notifications(allConfirmable))
		mux.Handle("GET /slow", slow(5*time.Second, "done"))
		withFaultyServer(t, mux, nil, func(t *testing.T, n *simnet.Network, url string, conn *faultyConn) {
			c := &coap.Client{Listen: coaptest.Listen(n)}
			ctx, leave := context.WithCancel(t.Context())
			updates := follow(ctx, c, url+"/number")
			expectState(t, updates, 0, "1")
			asked := make(chan string, 1)
			go func() {
				resp, err := c.Get(t.Context(), url+"/slow")
				if err != nil {
					asked <- err.Error()
					return
				}
				asked <- string(resp.Payload())
			}()
			time.Sleep(time.Second) // the request is acknowledged
			conn.refuse(errno, -1)
			number.Set(2)
			time.Sleep(7 * time.Second)
			if conn.refusals() < 3 {
				t.Errorf("%v: %d refusals", errno, conn.refusals())
			}
			conn.refuse(0, 0)
			expectState(t, updates, 45*time.Second, "2")
			if got := <-asked; got != "done" {
				t.Errorf("%v: %q", errno, got)
			}
			number.Set(3)
			expectState(t, updates, 0, "3")
			leave()
			for range updates {
			}
			c.Close()
		})
	}
}

// Serve returns why it ends where somebody else closes its socket, and ends what runs.
func TestServerSocketClosedUnderTheReader(t *testing.T) {
	coaptest.Run(t, func(t *testing.T) {
		n := simnet.New(1)
		conn, err := coaptest.Listen(n)(t.Context(), "udp4")
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		server := &coap.Server{Handler: coap.HandlerFunc(func(_ coap.ResponseWriter, r *coap.Request) {
			<-r.Context().Done()
			ended <- context.Cause(r.Context())
		})}
		served := make(chan error, 1)
		go func() { served <- server.Serve(t.Context(), conn) }()
		c := &coap.Client{Listen: coaptest.Listen(n)}
		go c.Get(t.Context(), "coap://"+conn.LocalAddr().String())
		time.Sleep(time.Second)
		conn.Close()
		synctest.Wait()
		if err := <-served; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Serve: %v", err)
		}
		if err := <-ended; !errors.Is(err, coap.ErrClosed) {
			t.Errorf("the handler's context ended by %v", err)
		}
		c.Close()
	})
}

// What a client has under way fails where its socket breaks, and says why. The next request
// opens another one.
func TestClientSocketClosedUnderTheReader(t *testing.T) {
	number := coap.NewState(1)
	mux := coap.NewMux()
	mux.Handle("GET /slow", slow(10*time.Second, "done"))
	mux.Handle("GET /number", number)
	withServer(t, mux, nil, func(t *testing.T, s *coaptest.Server) {
		var conn *faultyConn
		c := faultyClient(t, s.Network, &conn)
		for range 3 {
			updates := follow(t.Context(), c, s.URL+"/number")
			expectState(t, updates, 0, "1")
			failed := make(chan error, 1)
			go func() {
				_, err := c.Get(t.Context(), s.URL+"/slow")
				failed <- err
			}()
			time.Sleep(time.Second)
			conn.Conn.Close()
			err := <-failed
			expectError(t, err, coap.ErrClosed, "beyond use")
			if !errors.Is(err, net.ErrClosed) {
				t.Error(err)
			}
			over(t, updates, coap.ErrClosed)
		}
		checkResponse(t, get(t, c, s.URL+"/slow"), message.Content, "done")
		c.Close()
		if _, err := c.Get(t.Context(), s.URL+"/slow"); !errors.Is(err, coap.ErrClosed) || errors.Is(err, net.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	})
}

// A client that gets no descriptor for its socket (EMFILE) says so; the next request may.
func TestClientWithoutDescriptor(t *testing.T) {
	withServer(t, say("here"), nil, func(t *testing.T, s *coaptest.Server) {
		left := 0
		c := newClient(t, s, nil)
		listen := c.Listen
		c.Listen = func(ctx context.Context, network string) (transport.Conn, error) {
			if left == 0 {
				return nil, &net.OpError{Op: "listen", Err: syscall.EMFILE}
			}
			return listen(ctx, network)
		}
		_, err := c.Get(t.Context(), s.URL)
		expectError(t, err, syscall.EMFILE, "too many open files")
		left++
		checkResponse(t, get(t, c, s.URL), message.Content, "here")
	})
}

// A server whose port is taken says so, and serves it once it is free.
func TestServerPortTaken(t *testing.T) {
	taken, err := transport.Listen(t.Context(), "udp4", "127.0.0.1:0", transport.Config{})
	if err != nil {
		t.Fatal(err)
	}
	at := taken.LocalAddr().String()
	if err := (&coap.Server{}).ListenAndServe(t.Context(), at); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("ListenAndServe: %v", err)
	}
	taken.Close()
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- (&coap.Server{Handler: say("here")}).ListenAndServe(ctx, at) }()
	c := &coap.Client{}
	defer c.Close()
	resp, err := c.Get(t.Context(), "coap://"+at)
	for errors.Is(err, coap.ErrUnreachable) { // it does not listen yet
		resp, err = c.Get(t.Context(), "coap://"+at)
	}
	if err != nil {
		t.Fatal(err)
	}
	checkResponse(t, resp, message.Content, "here")
	stop()
	if err := <-served; err != nil {
		t.Error(err)
	}
}
