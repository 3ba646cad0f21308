package transport

import (
	"encoding/binary"
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/motewire/coap/peer"
)

// A mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
}

// A cmsgs is the memory of one message's control data, aligned for its headers. It has
// room for an error with its sender (IPV6_RECVERR) and both kinds of packet info.
type cmsgs [24]uint64

const sizeofExtendedErr = int(unsafe.Sizeof(unix.SockExtendedErr{}))

// frames is the memory in which the system reads and writes one batch. It points into
// itself and is not copied.
type frames struct {
	hdrs     [MaxBatch]mmsghdr
	iovs     [MaxBatch]unix.Iovec
	names    [MaxBatch]unix.RawSockaddrInet6 // an IPv4 socket's hold a RawSockaddrInet4
	controls [MaxBatch]cmsgs
	v6       bool // the socket's family; an IPv6 socket names IPv4 peers by mapped addresses
	fault    fault
}

// A fault makes a call fail where it returns an error, as a host does that is short of
// something. It is nil outside of tests.
type fault func(trap uintptr) syscall.Errno

func newFrames(v6 bool) *frames {
	f := &frames{v6: v6}
	for i := range f.hdrs {
		h := &f.hdrs[i].hdr
		h.Name = (*byte)(unsafe.Pointer(&f.names[i]))
		h.Iov = &f.iovs[i]
		h.SetIovlen(1)
		h.Control = (*byte)(unsafe.Pointer(&f.controls[i]))
	}
	return f
}

// hold lends the system the buffer of message i; release takes the first n back.
func (f *frames) hold(i int, buf []byte) {
	f.iovs[i].Base = unsafe.SliceData(buf)
	f.iovs[i].SetLen(len(buf))
}

func (f *frames) release(n int) {
	for i := range f.iovs[:n] {
		f.iovs[i].Base = nil
	}
}

// call is recvmmsg or sendmmsg for messages from..to. Both descriptors and flags are
// non-blocking, so the scheduler need not know of the call.
func (f *frames) call(trap uintptr, fd uintptr, from, to int, flags uintptr) (int, syscall.Errno) {
	if f.fault != nil {
		if errno := f.fault(trap); errno != 0 {
			return 0, errno
		}
	}
	n, _, errno := syscall.RawSyscall6(trap, fd, uintptr(unsafe.Pointer(&f.hdrs[from])), uintptr(to-from), flags|unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

// expect prepares message i to be received.
func (f *frames) expect(i int) {
	h := &f.hdrs[i].hdr
	h.Namelen = unix.SizeofSockaddrInet6
	h.SetControllen(int(unsafe.Sizeof(f.controls[i])))
}

// address prepares message i to be sent to a peer.
func (f *frames) address(i int, to *peer.Addr) {
	h := &f.hdrs[i].hdr
	ip := to.Bytes()
	if !f.v6 && to.Is4() && !localIs6(to) {
		sa := (*unix.RawSockaddrInet4)(unsafe.Pointer(&f.names[i]))
		*sa = unix.RawSockaddrInet4{Family: unix.AF_INET, Port: swapped(to.Port()), Addr: [4]byte(ip[12:])}
		h.Namelen = unix.SizeofSockaddrInet4
	} else { // an IPv4 socket refuses it (EAFNOSUPPORT)
		f.names[i] = unix.RawSockaddrInet6{Family: unix.AF_INET6, Port: swapped(to.Port()), Addr: ip, Scope_id: to.Scope()}
		h.Namelen = unix.SizeofSockaddrInet6
	}
	h.SetControllen(f.choose(i, to))
}

// localIs6 reports whether the local address is known and not IPv4.
func localIs6(to *peer.Addr) bool {
	_, _, hi, lo, _ := to.Words()
	return hi|lo != 0 && (hi != 0 || lo>>32 != 0xffff)
}

// choose writes the control message that names the source address and the interface, and
// returns its length, 0 where the system is to choose.
func (f *frames) choose(i int, to *peer.Addr) int {
	_, _, hi, lo, _ := to.Words()
	if hi|lo == 0 && (to.Scope() == 0 || !to.IsMulticast()) {
		return 0
	}
	local := to.LocalBytes()
	c := unsafe.Pointer(&f.controls[i])
	h := (*unix.Cmsghdr)(c)
	data := unsafe.Add(c, unix.CmsgLen(0))
	if f.v6 {
		h.Level, h.Type = unix.SOL_IPV6, unix.IPV6_PKTINFO
		h.SetLen(unix.CmsgLen(unix.SizeofInet6Pktinfo))
		*(*unix.Inet6Pktinfo)(data) = unix.Inet6Pktinfo{Addr: local, Ifindex: to.Scope()}
		return unix.CmsgSpace(unix.SizeofInet6Pktinfo)
	}
	h.Level, h.Type = unix.SOL_IP, unix.IP_PKTINFO
	h.SetLen(unix.CmsgLen(unix.SizeofInet4Pktinfo))
	*(*unix.Inet4Pktinfo)(data) = unix.Inet4Pktinfo{Spec_dst: [4]byte(local[12:])}
	return unix.CmsgSpace(unix.SizeofInet4Pktinfo)
}

// take fills p from received message i.
func (f *frames) take(i int, p *Packet) {
	h := &f.hdrs[i].hdr
	p.N = int(f.hdrs[i].n)
	f.name(i, &p.Peer)
	p.Multicast = false
	p.Truncated = h.Flags&unix.MSG_TRUNC != 0
	p.Err = nil
	mapped := false
	for c := f.cursor(i); c.next(); {
		switch {
		case c.is(unix.SOL_IP, unix.IP_PKTINFO, unix.SizeofInet4Pktinfo):
			p.arrive4([4]byte(c.data[8:12]), [4]byte(c.data[4:8]))
			mapped = true
		case c.is(unix.SOL_IPV6, unix.IPV6_PKTINFO, unix.SizeofInet6Pktinfo) && !mapped:
			p.arrive6([16]byte(c.data[:16]), binary.NativeEndian.Uint32(c.data[16:20]))
		}
	}
}

// arrive4 sets what follows from the destination of an IPv4 datagram and the local
// address that the system would answer it from: they differ unless the destination is
// that address itself.
func (p *Packet) arrive4(destination, source [4]byte) {
	if source != [4]byte{} {
		p.Multicast = destination != source
		p.Peer.SetLocal4(source)
		return
	}
	addr := netip.AddrFrom4(destination)
	p.Multicast = addr.IsMulticast() || destination == [4]byte{255, 255, 255, 255}
	if !p.Multicast {
		p.Peer.SetLocal4(destination)
	}
}

// arrive6 is arrive4 for IPv6, where the system names no source for multicast.
func (p *Packet) arrive6(destination [16]byte, ifIndex uint32) {
	if netip.AddrFrom16(destination).Is4In6() {
		p.arrive4([4]byte(destination[12:]), [4]byte{})
		return
	}
	if destination[0] == 0xff {
		p.Multicast = true
		return
	}
	p.Peer = p.Peer.WithLocalBytes(&destination)
	if p.Peer.Scope() == 0 && isLinkLocal(destination) {
		p.Peer = p.Peer.WithScope(ifIndex)
	}
}

func isLinkLocal(ip [16]byte) bool { return ip[0] == 0xfe && ip[1]&0xc0 == 0x80 }

// takeError fills p from message i of the error queue. It returns false for what is no
// report of an ICMP message: errors of this host's own making were the result of the call
// that sent.
func (f *frames) takeError(i int, p *Packet) bool {
	f.take(i, p)
	p.Multicast = false
	for c := f.cursor(i); c.next(); {
		switch {
		case c.is(unix.SOL_IP, unix.IP_PKTINFO, unix.SizeofInet4Pktinfo):
			// The ICMP message came to the address that the datagram was sent from.
			p.Peer.SetLocal4([4]byte(c.data[8:12]))
		case c.is(unix.SOL_IP, unix.IP_RECVERR, sizeofExtendedErr),
			c.is(unix.SOL_IPV6, unix.IPV6_RECVERR, sizeofExtendedErr):
			if e := icmpError(c.data); e != nil {
				p.Err = e
			}
		}
	}
	return p.Err != nil
}

// icmpError returns the error in a struct sock_extended_err with the sender's address
// behind it, nil if it is not from an ICMP message.
func icmpError(data []byte) *DeliveryError {
	errno, origin := binary.NativeEndian.Uint32(data), data[4]
	if origin != unix.SO_EE_ORIGIN_ICMP && origin != unix.SO_EE_ORIGIN_ICMP6 {
		return nil
	}
	e := &DeliveryError{Err: syscall.Errno(errno), Type: data[5], Code: data[6]}
	name := data[sizeofExtendedErr:]
	switch {
	case len(name) >= unix.SizeofSockaddrInet6 && binary.NativeEndian.Uint16(name) == unix.AF_INET6:
		e.Reporter = netip.AddrFrom16([16]byte(name[8:24])).Unmap()
	case len(name) >= unix.SizeofSockaddrInet4 && binary.NativeEndian.Uint16(name) == unix.AF_INET:
		e.Reporter = netip.AddrFrom4([4]byte(name[4:8]))
	}
	return e
}

// name sets a to the address in message i.
func (f *frames) name(i int, a *peer.Addr) {
	sa := &f.names[i]
	if sa.Family == unix.AF_INET {
		sa := (*unix.RawSockaddrInet4)(unsafe.Pointer(sa))
		a.Set4(sa.Addr, swapped(sa.Port))
		return
	}
	*a = peer.FromBytes(&sa.Addr, sa.Scope_id, swapped(sa.Port))
}

// swapped turns a port between network and native order.
func swapped(port uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], port)
	return binary.NativeEndian.Uint16(b[:])
}

// A cursor walks over the control messages of one received message.
type cursor struct {
	level, kind int32
	data        []byte // of the current control message, borrowed
	rest        []byte
}

func (f *frames) cursor(i int) cursor {
	all := unsafe.Slice((*byte)(unsafe.Pointer(&f.controls[i])), unsafe.Sizeof(f.controls[i]))
	return cursor{rest: all[:min(len(all), int(f.hdrs[i].hdr.Controllen))]}
}

// next goes to the next control message; one cut off (MSG_CTRUNC) is none.
func (c *cursor) next() bool {
	if len(c.rest) < unix.SizeofCmsghdr {
		return false
	}
	h := (*unix.Cmsghdr)(unsafe.Pointer(&c.rest[0]))
	size := int(h.Len) - unix.CmsgLen(0)
	if size < 0 || int(h.Len) > len(c.rest) {
		return false
	}
	c.level, c.kind = h.Level, h.Type
	c.data = c.rest[unix.CmsgLen(0):h.Len]
	c.rest = c.rest[min(len(c.rest), unix.CmsgSpace(size)):]
	return true
}

// is reports whether the current message is of a kind and has size bytes at least.
func (c *cursor) is(level, kind int32, size int) bool {
	return c.level == level && c.kind == kind && len(c.data) >= size
}
