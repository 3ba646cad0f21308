package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/message"
	"github.com/motewire/coap/transport"
)

// A site is a server with all who talk to it.
type site struct {
	cfg    config
	server *coap.Server
	addr   netip.AddrPort
	url    string
	stop   context.CancelFunc // of the server
	served chan error
	number *coap.State[int]
	page   coap.Subject // of the same value, in several blocks

	done, failed, hostile atomic.Uint64
	observing             atomic.Int64 // clients' observations

	mu       sync.Mutex
	failures map[string]int
	victims  [16]netip.AddrPort // sockets of clients, open or not any more
	opened   int
}

// bodyBytes is the length of bodies that take several blocks.
const bodyBytes = 10_000

var body = bytes.Repeat([]byte("0123456789"), bodyBytes/10)

func newSite(ctx context.Context, cfg config) (*site, error) {
	s := &site{cfg: cfg, number: coap.NewState(0), served: make(chan error, 1), failures: map[string]int{}}
	conns, err := cfg.serverConns(ctx)
	if err != nil {
		return nil, err
	}
	s.addr = addrOf(conns[0])
	s.url = "coap://" + s.addr.String()
	s.server = &coap.Server{
		Handler: s.mux(), Params: cfg.params, NotifyInterval: 500 * time.Millisecond,
		// So small that a storm fills them.
		Limits: coap.Limits{DedupBytes: 2 << 20, TransferBytes: 8 << 20, BodyBytes: 64 << 10, Transfers: 256, ObserversPerPeer: 64},
	}
	ctx, s.stop = context.WithCancel(ctx)
	go func() { s.served <- s.server.Serve(ctx, conns...) }()
	return s, nil
}

func (s *site) mux() *coap.Mux {
	mux := coap.NewMux()
	often := coap.Notifications(coap.NotifyPolicy{Every: 3})
	mux.HandleFunc("/hello", func(w coap.ResponseWriter, _ *coap.Request) { w.WriteString("hello") })
	mux.HandleFunc("/slow", func(w coap.ResponseWriter, r *coap.Request) {
		select {
		case <-r.Context().Done():
		case <-time.After(300 * time.Millisecond):
		}
		w.WriteString("late")
	})
	mux.HandleFunc("/detached", func(w coap.ResponseWriter, _ *coap.Request) {
		later := w.Detach()
		time.AfterFunc(300*time.Millisecond, func() {
			later.WriteString("late")
			later.Send() // in vain where the peer has reset it
		})
	})
	mux.HandleFunc("GET /body", func(w coap.ResponseWriter, _ *coap.Request) { w.Write(body) })
	mux.HandleFunc("PUT /body", func(_ coap.ResponseWriter, r *coap.Request) { s.leak() })
	mux.HandleFunc("POST /body", func(w coap.ResponseWriter, r *coap.Request) { w.Write(r.Payload()) })
	mux.HandleFunc("GET /stream", func(w coap.ResponseWriter, _ *coap.Request) {
		w.SetBody(coap.Stream(io.LimitReader(bytes.NewReader(body), bodyBytes), message.OctetStream))
	})
	mux.HandleFunc("PUT /stream", func(_ coap.ResponseWriter, r *coap.Request) { io.Copy(io.Discard, r.BodyReader()) }, coap.StreamBody())
	mux.Handle("GET /number", s.number, often)
	mux.HandleFunc("GET /page", func(w coap.ResponseWriter, _ *coap.Request) {
		w.Write(body[:1500+s.number.Get()%10])
	}, coap.Observable(&s.page), often)
	return mux
}

// paths are what hostile peers ask for.
var paths = []string{"hello", "slow", "detached", "body", "stream", "number", "page", ".well-known/core", "none"}

func (s *site) leak() {
	if s.cfg.leak != nil {
		s.cfg.leak()
	}
}

// newClient returns a client whose socket is a victim of storms.
func (s *site) newClient() *coap.Client {
	return &coap.Client{Params: s.cfg.params, Listen: func(ctx context.Context, network string) (transport.Conn, error) {
		conn, err := s.cfg.clientConn(ctx, network)
		if err == nil {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.victims[s.opened%len(s.victims)] = addrOf(conn)
			s.opened++
		}
		return conn, err
	}}
}

// victim returns the address of a client.
func (s *site) victim(n int) netip.AddrPort {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.victims[n%len(s.victims)]
}

// ended counts how a request has ended.
func (s *site) ended(what string, err error) {
	s.done.Add(1)
	if err == nil {
		return
	}
	s.failed.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.failures) < 20 {
		s.failures[what+": "+err.Error()]++
	}
}

// maxFailed is the share of requests that may fail: one in so many.
const maxFailed = 1000

// complaints returns what failed, where that was too much.
func (s *site) complaints() (problems []string) {
	done, failed := s.done.Load(), s.failed.Load()
	if done == 0 {
		return []string{"no request was made"}
	}
	if failed*maxFailed <= done {
		return nil
	}
	problems = append(problems, fmt.Sprintf("%d of %d requests failed", failed, done))
	for text, n := range s.failures {
		problems = append(problems, fmt.Sprintf("%d times %s", n, text))
	}
	return problems
}

func (s *site) lifetime() time.Duration { return s.cfg.params.ExchangeLifetime() }

// warmUp is after what time nothing may grow any more.
func (s *site) warmUp() time.Duration { return max(3*s.lifetime(), s.cfg.lasts/10) }

// settle waits until all lifetimes are over, and returns what is still held. Peers that
// are gone are found out by notifications, of which every third is Confirmable and gets
// no answer for MAX_TRANSMIT_WAIT; what the last of them left goes a lifetime later.
func (s *site) settle() (problems []string) {
	for i := range 7 {
		time.Sleep(s.lifetime())
		if i < 4 {
			s.change()
		}
	}
	n := s.server.Stats()
	for _, table := range []struct {
		name string
		held int
	}{
		{"requests in hand", n.Messages.PendingRequests}, {"open exchanges", n.Messages.OpenExchanges},
		{"remembered messages", n.Messages.Remembered}, {"observers", n.Observations.Observers},
		{"unfinished uploads", n.Uploads.Transfers}, {"finished uploads", n.Uploads.Finished}, {"snapshots of responses", n.Responses.Snapshots},
		{"handlers", int(n.HandlersAway)},
	} {
		if table.held != 0 {
			problems = append(problems, fmt.Sprintf("%d %s are left without load", table.held, table.name))
		}
	}
	return problems
}

// change gives what is observed another state.
func (s *site) change() {
	s.number.Set(s.number.Get() + 1)
	s.page.Notify()
}

func (s *site) close() error {
	s.stop()
	return <-s.served
}
