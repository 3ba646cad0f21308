package coap_test

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/motewire/coap/transport"
	"github.com/motewire/coap/transport/simnet"
)

// A roamingConn is a client's socket behind a translator of addresses that may give it
// another one, on a host that may stand still for a while.
type roamingConn struct {
	network *simnet.Network

	mu      sync.Mutex
	conn    *simnet.Conn
	closed  bool
	stalled time.Time // nothing is read before
}

func newRoamingConn(n *simnet.Network, at netip.AddrPort) (*roamingConn, error) {
	conn, err := n.Listen(at)
	return &roamingConn{network: n, conn: conn}, err
}

func (c *roamingConn) current() (*simnet.Conn, time.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.conn, c.stalled, c.closed
}

func (c *roamingConn) ReadBatch(p []transport.Packet) (int, error) {
	for {
		conn, _, _ := c.current()
		n, err := conn.ReadBatch(p)
		now, stalled, closed := c.current()
		if now != conn && !closed && errors.Is(err, net.ErrClosed) {
			continue // it moved
		}
		if err == nil {
			time.Sleep(time.Until(stalled))
		}
		return n, err
	}
}

func (c *roamingConn) WriteBatch(p []transport.Packet) (int, error) {
	for {
		conn, _, _ := c.current()
		n, err := conn.WriteBatch(p)
		if now, _, closed := c.current(); now == conn || closed || !errors.Is(err, net.ErrClosed) {
			return n, err
		}
	}
}

func (c *roamingConn) LocalAddr() netip.AddrPort {
	conn, _, _ := c.current()
	return conn.LocalAddr()
}

func (c *roamingConn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	return c.conn.Close()
}

// move gives the socket another address. What is under way to the old one is lost.
func (c *roamingConn) move(to netip.AddrPort) error {
	conn, err := c.network.Listen(to)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.conn
	if c.conn = conn; c.closed {
		return conn.Close()
	}
	return old.Close()
}

// stall has nothing read for a while; the socket's queue fills.
func (c *roamingConn) stall(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stalled = time.Now().Add(d)
}
