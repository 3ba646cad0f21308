package transport

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"github.com/motewire/coap/peer"
)

// maxDatagram is more than any UDP datagram holds.
const maxDatagram = 1 << 16

// maxFailures is how many failed attempts in a row to read make a socket broken.
const maxFailures = 128

// A portable moves one datagram per call with the means of package net. Of local
// addresses it tells and obeys what golang.org/x/net can have from the system. It is in
// every build, so that its tests run on Linux too.
type portable struct {
	sock      *net.UDPConn
	v4, v6    bool
	broadcast []netip.Addr // of the interfaces' IPv4 networks when the socket was opened

	// The reader's. The buffer is larger than any datagram, because systems differ in
	// how they tell that one was too long. Control messages rarely change: the last
	// one is kept parsed.
	buf     []byte
	control []byte
	last    []byte
	arrival arrival

	// The writers': likewise the last control message written.
	mu     sync.Mutex
	choice choice
	marked []byte // never changed in place
}

// An arrival is what the control message of a received datagram tells.
type arrival struct {
	local     netip.Addr // invalid: not known, or no address to answer from
	multicast bool
}

// A choice is what the control message of a datagram to send depends on.
type choice struct {
	local netip.Addr
	scope uint32
	to4   bool
}

var errLocalFamily = errors.New("the local address is of another family than the remote one")

var portableSystem = system{
	name:    "portable",
	options: func(uintptr, bool) error { return nil },
	batcher: newPortable,
}

func newPortable(u *UDP) (batcher, error) {
	b := &portable{
		sock:    u.sock.(*net.UDPConn),
		v4:      u.v4,
		v6:      u.v6,
		buf:     make([]byte, maxDatagram),
		control: make([]byte, 256),
	}
	// A system that can't tell leaves the local address unknown.
	if u.v4 {
		_ = ipv4.NewPacketConn(u.sock).SetControlMessage(ipv4.FlagDst|ipv4.FlagInterface, true)
	}
	if u.v6 {
		_ = ipv6.NewPacketConn(u.sock).SetControlMessage(ipv6.FlagDst|ipv6.FlagInterface, true)
	}
	b.broadcast = broadcastAddrs()
	return b, nil
}

// broadcastAddrs returns the IPv4 broadcast addresses of this host.
func broadcastAddrs() []netip.Addr {
	all := []netip.Addr{netip.AddrFrom4([4]byte{255, 255, 255, 255})}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return all
	}
	for _, a := range addrs {
		n, ok := a.(*net.IPNet)
		if !ok || n.IP.To4() == nil {
			continue
		}
		if ones, bits := n.Mask.Size(); bits-ones < 2 {
			continue // a network of two addresses has none for broadcast (RFC 3021)
		}
		last, mask := [4]byte(n.IP.To4()), n.Mask[len(n.Mask)-4:]
		for i := range last {
			last[i] |= ^mask[i]
		}
		all = append(all, netip.AddrFrom4(last))
	}
	return all
}

func (b *portable) read(p []Packet) (int, error) {
	var err error
	for range maxFailures {
		n, controlLen, _, from, e := b.sock.ReadMsgUDPAddrPort(b.buf, b.control)
		if e == nil {
			b.take(&p[0], n, b.control[:controlLen], from)
			return 1, nil
		}
		if err = e; errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		// An error of another datagram that does not tell which one.
	}
	return 0, ended("read", err)
}

func (b *portable) deadline(t time.Time) error { return b.sock.SetReadDeadline(t) }

// take fills p from a received datagram of n bytes.
func (b *portable) take(p *Packet, n int, control []byte, from netip.AddrPort) {
	if !bytes.Equal(control, b.last) {
		b.arrival = b.parse(control)
		b.last = append(b.last[:0], control...)
	}
	p.N = copy(p.Buf, b.buf[:n])
	p.Peer = peer.From(from).WithLocal(b.arrival.local)
	p.Multicast = b.arrival.multicast
	p.Truncated = n > len(p.Buf)
	p.Err = nil
}

func (b *portable) parse(control []byte) arrival {
	var to net.IP
	var ifIndex int
	var c6 ipv6.ControlMessage
	if b.v6 && c6.Parse(control) == nil && c6.Dst != nil {
		to, ifIndex = c6.Dst, c6.IfIndex
	}
	var c4 ipv4.ControlMessage
	if b.v4 && c4.Parse(control) == nil && c4.Dst != nil {
		to = c4.Dst
	}
	local, ok := netip.AddrFromSlice(to)
	if !ok {
		return arrival{}
	}
	local = local.Unmap()
	if local.IsMulticast() || slices.Contains(b.broadcast, local) {
		return arrival{multicast: true}
	}
	if local.IsLinkLocalUnicast() && local.Is6() {
		local = local.WithZone(strconv.Itoa(ifIndex))
	}
	return arrival{local: local}
}

func (b *portable) write(p []Packet) (n int, err error) {
	for i := range p {
		to := p[i].Peer
		err := errLocalFamily
		if !to.Local().IsValid() || to.Local().Is4() == to.Is4() {
			_, _, err = b.sock.WriteMsgUDPAddrPort(p[i].Buf[:p[i].N], b.mark(to), to.AddrPort())
		}
		switch {
		case err == nil:
			p[i].Err = nil
			n++
		case errors.Is(err, net.ErrClosed):
			return n, net.ErrClosed
		default:
			p[i].Err = &DeliveryError{Err: cause(err)}
		}
	}
	return n, nil
}

// dropped tells nothing: package net has no such counter.
func (b *portable) dropped() (n uint32, ok bool) { return 0, false }

// mark returns the control message that names the local address to send from, nil for
// none.
func (b *portable) mark(to peer.Addr) []byte {
	c := choice{local: to.Local(), scope: to.Scope(), to4: to.Is4()}
	if !c.local.IsValid() {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if c != b.choice {
		b.choice = c
		if c.to4 {
			b.marked = (&ipv4.ControlMessage{Src: c.local.AsSlice()}).Marshal()
		} else {
			b.marked = (&ipv6.ControlMessage{Src: c.local.AsSlice(), IfIndex: int(c.scope)}).Marshal()
		}
	}
	return b.marked
}
