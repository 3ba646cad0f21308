package simnet

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/motewire/coap/peer"
	"github.com/motewire/coap/transport"
)

var (
	_ transport.Conn   = (*Conn)(nil)
	_ transport.Joiner = (*Conn)(nil)

	_ transport.PathSizer   = (*Conn)(nil)
	_ transport.Interrupter = (*Conn)(nil)
)

// A Conn is one address on a [Network], opened by [Network.Listen].
type Conn struct {
	net   *Network // its mu guards what follows local and addr
	local netip.AddrPort
	addr  peer.Addr // local as a key

	ready     sync.Cond // the queue is not empty, or the Conn is closed
	queue     []flight  // arrived, oldest first; the first taken of them are read
	taken     int       // at most half of the queue, so that shifting it costs little
	overflows uint64
	closed    bool
	called    bool // the reader is called away
}

// LocalAddr returns the address that the Conn is bound to.
func (c *Conn) LocalAddr() netip.AddrPort { return c.local }

// Overflows returns how many datagrams and error reports were dropped as the receive
// queue was full.
func (c *Conn) Overflows() uint64 {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	return c.overflows
}

// ReadBatch waits for at least one datagram or error report, as [transport.Conn] says.
// For no packets at all it does not wait.
func (c *Conn) ReadBatch(p []transport.Packet) (int, error) {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	for c.waiting() == 0 && !c.closed && !c.called && len(p) > 0 {
		c.ready.Wait()
	}
	if c.closed {
		return 0, net.ErrClosed
	}
	if c.called {
		c.called = false
		return 0, nil
	}
	n := min(len(p), c.waiting())
	for i := range n {
		c.fill(&p[i], &c.queue[c.taken+i])
	}
	c.taken += n
	if c.taken > len(c.queue)/2 {
		c.queue = slices.Delete(c.queue, 0, c.taken)
		c.taken = 0
	}
	return n, nil
}

// Interrupt calls the reader away, as [transport.Interrupter] says.
func (c *Conn) Interrupt() {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	c.called = true
	c.ready.Broadcast()
}

// waiting returns how many packets can be read at once.
func (c *Conn) waiting() int { return len(c.queue) - c.taken }

// fill makes p the packet that arrived with f.
func (c *Conn) fill(p *transport.Packet, f *flight) {
	ip := c.addr.Bytes()
	p.Peer = f.from.WithLocalBytes(&ip)
	p.N = copy(p.Buf, f.data)
	p.Multicast = f.group.IsValid()
	p.Truncated = p.N < len(f.data)
	p.Err = nil
	if f.report {
		p.Err = refusal(f.from)
	}
}

// refusal returns what the ICMP message of a host tells on which nobody listens.
func refusal(to peer.Addr) error {
	e := &transport.DeliveryError{Err: syscall.ECONNREFUSED, Reporter: to.AddrPort().Addr()}
	if to.Is4() {
		e.Type, e.Code = 3, 3 // RFC 792: destination unreachable, port unreachable
	} else {
		e.Type, e.Code = 1, 4 // RFC 4443 §3.1: likewise
	}
	return e
}

// WriteBatch sends the packets in order, as [transport.Conn] says, and returns how many
// the network took. It sets the Err of each: nil, or a *transport.DeliveryError for
// syscall.EMSGSIZE (beyond the link's MTU), syscall.EADDRNOTAVAIL (the Peer's local address is not the
// Conn's), syscall.EAFNOSUPPORT (IPv4 to IPv6 or the other way round) or syscall.EINVAL
// (no address, or port 0). It never blocks.
func (c *Conn) WriteBatch(p []transport.Packet) (int, error) {
	n := c.net
	n.mu.Lock()
	defer n.mu.Unlock()
	if c.closed {
		return 0, net.ErrClosed
	}
	now := time.Now()
	sent := 0
	for i := range p {
		if p[i].Err = c.send(now, &p[i]); p[i].Err == nil {
			sent++
		}
	}
	n.arm(now)
	n.tell()
	return sent, nil
}

// send hands one packet to the network.
func (c *Conn) send(now time.Time, p *transport.Packet) error {
	to := p.Peer.Remote()
	switch {
	case to.Port() == 0:
		return &transport.DeliveryError{Err: syscall.EINVAL}
	case to.Is4() != c.addr.Is4():
		return &transport.DeliveryError{Err: syscall.EAFNOSUPPORT}
	case p.Peer.Local().IsValid() && p.Peer.LocalBytes() != c.addr.Bytes():
		return &transport.DeliveryError{Err: syscall.EADDRNOTAVAIL}
	}
	data := bytes.Clone(p.Buf[:p.N])
	if to.IsMulticast() {
		return c.sendGroup(now, to, data)
	}
	return c.net.transmit(now, c.addr, to, peer.Addr{}, data)
}

// sendGroup sends to every member that listens on the group's port, the sender itself
// included where it is one. One link that is too narrow is an error, but does not keep
// the datagram from the others.
func (c *Conn) sendGroup(now time.Time, group peer.Addr, data []byte) error {
	var first error
	heard := false
	for _, m := range c.net.groups[group.Bytes()] {
		if m.addr.Port() != group.Port() {
			continue
		}
		heard = true
		if err := c.net.transmit(now, c.addr, m.addr, group, data); first == nil {
			first = err
		}
	}
	if !heard {
		return c.net.transmit(now, c.addr, group, group, data) // it can be lost or too long even so
	}
	return first
}

// PathBytes returns the MTU of the link to a peer, as [transport.PathSizer] says.
func (c *Conn) PathBytes(to peer.Addr) (n int, ok bool) {
	if to.IsMulticast() {
		return 0, false
	}
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	l := &c.net.standard
	if own := c.net.link(c.addr, to.Remote()).own; own != nil {
		l = own
	}
	return l.mtu(), true
}

// JoinGroup makes the Conn receive what is sent to a multicast group on its own port.
// There is one interface only: ifi is not looked at, nor a zone in group. Joining twice is
// joining once. The error is net.ErrClosed, or wraps syscall.EINVAL for an address that is
// no group of the Conn's address family.
func (c *Conn) JoinGroup(group netip.Addr, ifi *net.Interface) error {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	group = group.Unmap()
	if c.closed {
		return net.ErrClosed
	}
	if !group.IsMulticast() || group.Is4() != c.addr.Is4() {
		return fmt.Errorf("simnet: join %v: %w", group, syscall.EINVAL)
	}
	key := group.As16()
	if !slices.Contains(c.net.groups[key], c) {
		c.net.groups[key] = append(c.net.groups[key], c)
	}
	return nil
}

// LeaveGroup ends what JoinGroup began. The error is net.ErrClosed, or wraps
// syscall.EADDRNOTAVAIL where the Conn is no member.
func (c *Conn) LeaveGroup(group netip.Addr, ifi *net.Interface) error {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	if !group.IsValid() || !c.leave(group.As16()) {
		return fmt.Errorf("simnet: leave %v: %w", group, syscall.EADDRNOTAVAIL)
	}
	return nil
}

// leave takes c out of a group and reports whether it was in.
func (c *Conn) leave(group [16]byte) bool {
	members := c.net.groups[group]
	i := slices.Index(members, c)
	if i < 0 {
		return false
	}
	c.net.groups[group] = slices.Delete(members, i, i+1)
	return true
}

// Close ends pending and future calls with net.ErrClosed, as a second Close is; what was
// not read is gone. The address is free again. Datagrams that the Conn sent still arrive.
func (c *Conn) Close() error {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	c.shut()
	return nil
}

// shut closes c, whose network is locked.
func (c *Conn) shut() {
	c.closed = true
	c.queue = nil
	delete(c.net.conns, c.addr)
	for group := range c.net.groups {
		c.leave(group)
	}
	c.ready.Broadcast()
}
