// Package simnet is a network in memory for tests: its connections are [transport.Conn]
// values, and datagrams between them are lost, duplicated, reordered, delayed and cut off
// as the test says.
//
// Everything random comes from the seed. The k-th datagram from one address to another
// has the same fate in every run, whatever goroutines run first, for each ordered pair of
// addresses draws from a stream of its own. Datagrams that arrive at the same instant
// arrive in an order that their addresses decide, unless the link has no delay at all:
// then a datagram arrives within WriteBatch, in the order of the calls.
//
// The network runs under virtual time. Within a testing/synctest bubble every wait is
// durably blocking, so that a test of minutes takes microseconds. Use a Network in one
// bubble only. Outside of one it runs in real time.
//
// A connection is a host of its own; nothing is routed, fragmented or queued for
// bandwidth. All methods are safe for concurrent use.
package simnet

import (
	"fmt"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/motewire/coap/peer"
)

// DefaultQueue is how many datagrams and error reports a connection holds until they are
// read; more are dropped and counted by [Conn.Overflows].
const DefaultQueue = 1024

// ephemeral is the first port that a connection without a port of its own can get.
const ephemeral = 49152

// A Network connects the addresses that listen on it. Make one with [New].
type Network struct {
	mu sync.Mutex // never held while blocked, nor while a tap runs

	seed     uint64
	standard Link           // of pairs without a Link of their own
	links    map[pair]*link // what was ever sent on or set
	sides    map[peer.Addr]int
	lastSide int // of the last Partition; 0: none
	queue    int
	silent   bool // no refusals

	conns  map[peer.Addr]*Conn
	groups map[[16]byte][]*Conn // members in the order of joining
	hosts  uint32               // addresses handed out
	ports  uint16               // ephemeral ports handed out, modulo their number

	flights flights // datagrams under way, the next to arrive first
	timer   *time.Timer
	armed   time.Time // when timer fires; zero: it does not

	taps    []func(Record)
	records []Record // not told yet
	telling bool     // a goroutine is calling the taps
}

// New returns a network without loss or delay, whose randomness comes from seed.
func New(seed uint64) *Network {
	return &Network{
		seed:   seed,
		links:  make(map[pair]*link),
		sides:  make(map[peer.Addr]int),
		queue:  DefaultQueue,
		conns:  make(map[peer.Addr]*Conn),
		groups: make(map[[16]byte][]*Conn),
	}
}

// SetDefault makes l the link between all pairs of addresses without one of their own,
// from the next datagram on.
func (n *Network) SetDefault(l Link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.standard = l
}

// SetLink makes l the link in the one direction from one address to another, from the
// next datagram on.
func (n *Network) SetLink(from, to netip.AddrPort, l Link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.link(peer.From(from), peer.From(to)).own = &l
}

// SetQueue bounds the receive queue of every connection to size packets (one, if it is
// less).
func (n *Network) SetQueue(size int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.queue = max(size, 1)
}

// SetRefusals says whether the sender of a datagram to an address where nobody listens
// hears of it: a Packet whose Err is a *transport.DeliveryError for syscall.ECONNREFUSED,
// with the datagram, as an ICMP error would cause.
// It comes back after the delay of the link, never lost. By default it does.
func (n *Network) SetRefusals(on bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.silent = !on
}

// Partition cuts the addresses off from all others, at once and also for what is under
// way, in both directions. Among themselves they can talk. Several partitions are
// separate from each other; an address is in the last one it was put in.
func (n *Network) Partition(side ...netip.AddrPort) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lastSide++
	for _, a := range side {
		n.sides[peer.From(a)] = n.lastSide
	}
}

// Heal ends all partitions.
func (n *Network) Heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.sides)
}

// cut reports whether a partition lies between two addresses.
func (n *Network) cut(a, b peer.Addr) bool { return n.sides[a] != n.sides[b] }

// Listen opens a connection at addr. Port 0 stands for a free ephemeral port. An
// unspecified address (0.0.0.0, or none at all) stands for a free one in 10.0.0.0/8,
// :: for one in fd00::/8: every such connection is on a host of its own. Errors wrap
// syscall.EADDRINUSE or, for a group's address, syscall.EADDRNOTAVAIL.
func (n *Network) Listen(addr netip.AddrPort) (*Conn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if addr.Addr().IsMulticast() {
		return nil, fmt.Errorf("simnet: listen %v: %w", addr, syscall.EADDRNOTAVAIL)
	}
	ip := addr.Addr().Unmap()
	if !ip.IsValid() || ip.IsUnspecified() {
		ip = n.newHost(ip.Is6())
	}
	local, ok := n.free(ip, addr.Port())
	if !ok {
		return nil, fmt.Errorf("simnet: listen %v: %w", addr, syscall.EADDRINUSE)
	}
	c := &Conn{net: n, local: local, addr: peer.From(local)}
	c.ready.L = &n.mu
	n.conns[c.addr] = c
	return c, nil
}

// newHost returns the next address for a connection that did not ask for one.
func (n *Network) newHost(six bool) netip.Addr {
	n.hosts++
	h := n.hosts
	if six {
		return netip.AddrFrom16([16]byte{0: 0xfd, 12: byte(h >> 24), 13: byte(h >> 16), 14: byte(h >> 8), 15: byte(h)})
	}
	return netip.AddrFrom4([4]byte{10, byte(h >> 16), byte(h >> 8), byte(h)})
}

// free returns ip with the port, or with the next free ephemeral one for port 0. It
// reports false if that is in use.
func (n *Network) free(ip netip.Addr, port uint16) (netip.AddrPort, bool) {
	if port != 0 {
		a := netip.AddrPortFrom(ip, port)
		return a, n.conns[peer.From(a)] == nil
	}
	const count = 1<<16 - ephemeral
	for range count {
		a := netip.AddrPortFrom(ip, ephemeral+n.ports)
		n.ports = (n.ports + 1) % count
		if n.conns[peer.From(a)] == nil {
			return a, true
		}
	}
	return netip.AddrPort{}, false
}

// Close closes all connections and forgets the datagrams under way. The network can be
// used again.
func (n *Network) Close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range n.conns {
		c.shut()
	}
	n.flights = nil
	if n.timer != nil {
		n.timer.Stop()
	}
	n.armed = time.Time{}
	return nil
}
