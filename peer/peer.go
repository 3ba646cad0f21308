// Package peer holds the key under which every layer knows a remote endpoint.
package peer

import (
	"encoding/binary"
	"net"
	"net/netip"
	"strconv"
)

// An Addr is a remote endpoint together with the local address that the conversation
// uses. It is comparable and holds no pointer, so that tables keyed by it cost the
// garbage collector nothing. An IPv4 address and its IPv4-mapped IPv6 form are the same
// Addr. The zero Addr is no endpoint.
type Addr struct {
	hi, lo           uint64 // remote address, IPv4 as ::ffff:a.b.c.d
	localHi, localLo uint64 // local address likewise; zero: not known, or any
	scope            uint32 // IPv6 zone of either address as an interface index; zero: none
	port             uint16
	_                uint16
}

// From returns the Addr of a remote endpoint, its local address unknown. A zone by name
// is looked up among the interfaces; an unknown one counts as none.
func From(remote netip.AddrPort) Addr {
	a := Addr{port: remote.Port()}
	a.hi, a.lo = split(remote.Addr())
	a.scope = scope(remote.Addr().Zone())
	return a
}

// FromBytes returns the Addr of a remote endpoint given as a 16-byte address in network
// order, an interface index (0: none) and a port. It allocates nothing.
func FromBytes(ip *[16]byte, scope uint32, port uint16) Addr {
	return Addr{
		hi:    binary.BigEndian.Uint64(ip[:8]),
		lo:    binary.BigEndian.Uint64(ip[8:]),
		scope: scope,
		port:  port,
	}
}

func scope(zone string) uint32 {
	if zone == "" {
		return 0
	}
	if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
		return uint32(n)
	}
	if ifi, err := net.InterfaceByName(zone); err == nil {
		return uint32(ifi.Index)
	}
	return 0
}

func split(ip netip.Addr) (hi, lo uint64) {
	if !ip.IsValid() {
		return 0, 0
	}
	b := ip.As16()
	return binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])
}

func join(hi, lo uint64) netip.Addr {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], hi)
	binary.BigEndian.PutUint64(b[8:], lo)
	return netip.AddrFrom16(b).Unmap()
}

// WithLocal returns a with the local address set; the zero netip.Addr and the unspecified
// addresses clear it. Where the remote address came without a zone, the local one's counts
// for both: an endpoint that asks a link-local address is on that link.
func (a Addr) WithLocal(local netip.Addr) Addr {
	if local.Unmap().IsUnspecified() {
		local = netip.Addr{}
	}
	a.localHi, a.localLo = split(local)
	if a.scope == 0 {
		a.scope = scope(local.Zone())
	}
	return a
}

// WithScope returns a with the IPv6 zone set, as an interface index; 0 clears it.
func (a Addr) WithScope(scope uint32) Addr {
	a.scope = scope
	return a
}

// WithLocalBytes is WithLocal for a 16-byte address in network order, all zero to clear it.
// It leaves the zone alone.
func (a Addr) WithLocalBytes(ip *[16]byte) Addr {
	a.localHi = binary.BigEndian.Uint64(ip[:8])
	a.localLo = binary.BigEndian.Uint64(ip[8:])
	return a
}

// Remote returns a without its local address: the key of what is matched by the remote
// endpoint alone. A zone stays where the remote address has a need of it.
func (a Addr) Remote() Addr {
	a.localHi, a.localLo = 0, 0
	if !a.isLinkLocal() && !a.IsMulticast() {
		a.scope = 0
	}
	return a
}

// isLinkLocal reports whether the remote address is in fe80::/10.
func (a Addr) isLinkLocal() bool { return a.hi>>54 == 0xfe80>>6 }

// AddrPort returns the remote endpoint, an IPv4-mapped address unmapped, a scope as a
// numeric zone.
func (a Addr) AddrPort() netip.AddrPort {
	ip := join(a.hi, a.lo)
	if a.scope != 0 && ip.Is6() {
		ip = ip.WithZone(strconv.FormatUint(uint64(a.scope), 10))
	}
	return netip.AddrPortFrom(ip, a.port)
}

// Local returns the local address, invalid where it is not known.
func (a Addr) Local() netip.Addr {
	if a.localHi|a.localLo == 0 {
		return netip.Addr{}
	}
	return join(a.localHi, a.localLo)
}

// Bytes returns the remote address in network order, IPv4 as ::ffff:a.b.c.d.
func (a Addr) Bytes() (ip [16]byte) {
	binary.BigEndian.PutUint64(ip[:8], a.hi)
	binary.BigEndian.PutUint64(ip[8:], a.lo)
	return ip
}

// LocalBytes returns the local address likewise, all zero where it is not known.
func (a Addr) LocalBytes() (ip [16]byte) {
	binary.BigEndian.PutUint64(ip[:8], a.localHi)
	binary.BigEndian.PutUint64(ip[8:], a.localLo)
	return ip
}

// Words returns all of a as five words, for hashing: the remote address, the local
// address, and scope with port. It takes a pointer, since the copy of an Addr would cost
// more than the rest.
func (a *Addr) Words() (hi, lo, localHi, localLo, rest uint64) {
	return a.hi, a.lo, a.localHi, a.localLo, uint64(a.scope)<<16 | uint64(a.port)
}

// Set4 makes a the remote endpoint with an IPv4 address in network order, its local address
// unknown. With SetLocal4 it is FromBytes and WithLocalBytes for the path that every
// datagram takes: the words are written in their place and nothing is copied.
func (a *Addr) Set4(ip [4]byte, port uint16) {
	*a = Addr{lo: mapped(ip), port: port}
}

// SetLocal4 sets the local address to an IPv4 address in network order.
func (a *Addr) SetLocal4(ip [4]byte) { a.localHi, a.localLo = 0, mapped(ip) }

// mapped returns the lower half of an IPv4-mapped address.
func mapped(ip [4]byte) uint64 { return 0xffff<<32 | uint64(binary.BigEndian.Uint32(ip[:])) }

// Assign sets a to b by words. Where b was written a moment ago, that costs a fraction of a
// plain assignment, whose wider moves wait until the words of b have left the processor's
// store buffer.
func (a *Addr) Assign(b *Addr) {
	a.hi, a.lo, a.localHi, a.localLo = b.hi, b.lo, b.localHi, b.localLo
	a.scope, a.port = b.scope, b.port
}

// Port returns the remote port.
func (a Addr) Port() uint16 { return a.port }

// Scope returns the IPv6 zone as an interface index, 0 for none.
func (a Addr) Scope() uint32 { return a.scope }

// Is4 reports whether the remote address is IPv4.
func (a Addr) Is4() bool { return a.hi == 0 && a.lo>>32 == 0xffff }

// IsMulticast reports whether the remote address is a multicast group.
func (a Addr) IsMulticast() bool {
	if a.Is4() {
		return a.lo>>28&0xf == 0xe
	}
	return a.hi>>56 == 0xff
}

// IsValid reports whether a names an endpoint.
func (a Addr) IsValid() bool { return a != Addr{} }

// String returns the remote endpoint as address:port.
func (a Addr) String() string { return a.AddrPort().String() }
