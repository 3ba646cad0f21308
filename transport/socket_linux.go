package transport

import (
	"net"

	"golang.org/x/sys/unix"
)

var native = system{name: "mmsg", options: setOptions, batcher: newMmsg}

func setReusePort(fd uintptr) error {
	return unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
}

// setOptions makes an unbound socket tell local addresses and errors, and get the
// datagrams of no group that it did not join. An IPv6 socket gets the options of IPv4 too,
// in case it is dual-stack: there IP_PKTINFO tells more than its twin (a unicast address
// for a datagram that came by multicast).
func setOptions(fd uintptr, v6 bool) error {
	type option struct{ level, name, value int }
	options := []option{
		{unix.SOL_IP, unix.IP_PKTINFO, 1},
		{unix.SOL_IP, unix.IP_RECVERR, 1},
		{unix.SOL_IP, unix.IP_MULTICAST_ALL, 0},
	}
	if v6 {
		options = append(options,
			option{unix.SOL_IPV6, unix.IPV6_RECVPKTINFO, 1},
			option{unix.SOL_IPV6, unix.IPV6_RECVERR, 1},
		)
	}
	for _, o := range options {
		if err := unix.SetsockoptInt(int(fd), o.level, o.name, o.value); err != nil {
			return err
		}
	}
	if v6 {
		// Linux before 4.20 does not know it.
		_ = unix.SetsockoptInt(int(fd), unix.SOL_IPV6, unix.IPV6_MULTICAST_ALL, 0)
	}
	return nil
}

// setBuffers asks for the buffer sizes, first without the system-wide limit, which takes
// a privilege.
func setBuffers(_ *net.UDPConn, fd uintptr, cfg Config) {
	set := func(forced, plain, size int) {
		if size > 0 && unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, forced, size) != nil {
			_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, plain, size)
		}
	}
	set(unix.SO_RCVBUFFORCE, unix.SO_RCVBUF, cfg.ReceiveBuffer)
	set(unix.SO_SNDBUFFORCE, unix.SO_SNDBUF, cfg.SendBuffer)
}
