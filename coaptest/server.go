package coaptest

import (
	"context"
	"fmt"
	"net/netip"
	"sync"

	"github.com/motewire/coap"
	"github.com/motewire/coap/transport"
	"github.com/motewire/coap/transport/simnet"
)

// A Server is a running [coap.Server] on a network in memory.
type Server struct {
	// URL is the server's base URL, "coap://10.0.0.1"; Start sets it.
	URL string
	// Addr is the server's address and port; Start sets it.
	Addr netip.AddrPort
	// Network is what the server and its clients are on. By default it is perfect: no
	// loss, no delay. A test may put several servers on one before they start.
	Network *simnet.Network
	// Config is the server. A test may change it before Start.
	Config *coap.Server

	stop   context.CancelFunc
	served chan struct{} // closed when Serve has returned

	mu     sync.Mutex
	client *coap.Client
}

// seed makes the random decisions of a network the same in every run.
const seed = 1

// NewServer starts a server for a handler on a network of its own. The caller calls
// Close when finished.
func NewServer(h coap.Handler) *Server {
	s := NewUnstartedServer(h)
	s.Start()
	return s
}

// NewUnstartedServer returns a server whose fields can be changed before Start.
func NewUnstartedServer(h coap.Handler) *Server {
	return &Server{Network: simnet.New(seed), Config: &coap.Server{Handler: h}}
}

// Start starts the server on an IPv4 address of its own and CoAP's default port. It panics
// when called twice, and a Config that no server can work with panics soon.
func (s *Server) Start() {
	if s.stop != nil {
		panic("coaptest: Start called twice")
	}
	conn, err := s.Network.Listen(netip.AddrPortFrom(netip.IPv4Unspecified(), coap.DefaultPort))
	if err != nil {
		panic(fmt.Errorf("coaptest: Start: %w", err))
	}
	for _, g := range s.Config.Groups { // Serve would, too, but maybe after the first request
		if err := conn.JoinGroup(g.Addr, nil); err != nil {
			panic(fmt.Errorf("coaptest: Start: %w", err))
		}
	}
	s.Addr = conn.LocalAddr()
	s.URL = "coap://" + s.Addr.Addr().String()
	ctx, stop := context.WithCancel(context.Background())
	s.stop, s.served = stop, make(chan struct{})
	go func() {
		defer close(s.served)
		if err := s.Config.Serve(ctx, conn); err != nil {
			panic(fmt.Errorf("coaptest: Serve: %w", err))
		}
	}()
}

// Client returns a client on the server's network, always the same one. Close closes it.
func (s *Server) Client() *coap.Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client == nil {
		s.client = &coap.Client{Listen: Listen(s.Network)}
	}
	return s.client
}

// Close closes the client, ends the server at once and waits until its handlers have
// returned, whose contexts end. A second call does nothing.
func (s *Server) Close() {
	s.mu.Lock()
	client := s.client
	s.mu.Unlock()
	if client != nil {
		client.Close()
	}
	if s.stop != nil {
		s.stop()
		<-s.served
	}
}

// Listen returns what makes a client use a network: a [coap.Client]'s Listen. Each socket
// is on a host of its own.
func Listen(n *simnet.Network) func(ctx context.Context, network string) (transport.Conn, error) {
	return func(_ context.Context, network string) (transport.Conn, error) {
		any := netip.IPv4Unspecified()
		if network == "udp6" {
			any = netip.IPv6Unspecified()
		}
		return n.Listen(netip.AddrPortFrom(any, 0))
	}
}
