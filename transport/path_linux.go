package transport

import (
	"golang.org/x/sys/unix"

	"github.com/motewire/coap/peer"
)

// What the headers of IP and UDP take of an MTU, in bytes.
const (
	headers4 = 20 + 8
	headers6 = 40 + 8
)

// pathBytes connects a socket to the peer, which sends nothing, as the system tells the MTU
// of a connected one alone.
func pathBytes(to peer.Addr) (n int, ok bool) {
	ip := to.Bytes()
	family, level, option, headers := unix.AF_INET6, unix.IPPROTO_IPV6, unix.IPV6_MTU, headers6
	var sa unix.Sockaddr = &unix.SockaddrInet6{Addr: ip, Port: int(to.Port()), ZoneId: to.Scope()}
	if to.Is4() {
		family, level, option, headers = unix.AF_INET, unix.IPPROTO_IP, unix.IP_MTU, headers4
		sa = &unix.SockaddrInet4{Addr: [4]byte(ip[12:]), Port: int(to.Port())}
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, false
	}
	defer unix.Close(fd)
	if unix.Connect(fd, sa) != nil {
		return 0, false
	}
	mtu, err := unix.GetsockoptInt(fd, level, option)
	return mtu - headers, err == nil && mtu > headers
}
