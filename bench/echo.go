package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const echoBatch = 64

// A mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
	_   [4]byte
}

// An echoSocket is a socket with the options and buffers of this library's, and the memory
// of one batch, which is received into and sent from in place. It points into itself.
type echoSocket struct {
	conn     *net.UDPConn
	raw      syscall.RawConn
	hdrs     [echoBatch]mmsghdr
	iovs     [echoBatch]unix.Iovec
	names    [echoBatch]unix.RawSockaddrInet4
	controls [echoBatch][24]uint64
	bufs     [echoBatch][2048]byte
	n        int // messages in hand
	sent     int // of them
	err      error
	read     func(fd uintptr) bool
	write    func(fd uintptr) bool
}

func listenEcho(addr string, share bool) (*echoSocket, error) {
	s := new(echoSocket)
	lc := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var err error
		if ctlErr := raw.Control(func(fd uintptr) { err = setEchoOptions(int(fd), share) }); ctlErr != nil {
			return ctlErr
		}
		return err
	}}
	conn, err := lc.ListenPacket(context.Background(), "udp4", addr)
	if err != nil {
		return nil, err
	}
	s.conn = conn.(*net.UDPConn)
	s.raw, err = s.conn.SyscallConn()
	s.lay()
	return s, err
}

// share makes s another memory for the socket of o.
func (s *echoSocket) share(o *echoSocket) {
	s.conn, s.raw = o.conn, o.raw
	s.lay()
}

// lay points the headers at the memory.
func (s *echoSocket) lay() {
	for i := range s.hdrs {
		h := &s.hdrs[i].hdr
		s.iovs[i].Base = &s.bufs[i][0]
		h.Name = (*byte)(unsafe.Pointer(&s.names[i]))
		h.Iov = &s.iovs[i]
		h.SetIovlen(1)
		h.Control = (*byte)(unsafe.Pointer(&s.controls[i]))
		s.expect(i)
	}
	s.read, s.write = s.receive, s.send
}

func setEchoOptions(fd int, share bool) error {
	const buffer = 4 << 20
	if share {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
			return err
		}
	}
	for _, o := range []struct{ level, name, value int }{
		{unix.SOL_IP, unix.IP_PKTINFO, 1},
		{unix.SOL_IP, unix.IP_RECVERR, 1},
		{unix.SOL_IP, unix.IP_MULTICAST_ALL, 0},
	} {
		if err := unix.SetsockoptInt(fd, o.level, o.name, o.value); err != nil {
			return err
		}
	}
	for _, o := range []struct{ forced, plain int }{{unix.SO_RCVBUFFORCE, unix.SO_RCVBUF}, {unix.SO_SNDBUFFORCE, unix.SO_SNDBUF}} {
		if unix.SetsockoptInt(fd, unix.SOL_SOCKET, o.forced, buffer) != nil {
			_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, o.plain, buffer)
		}
	}
	return nil
}

// expect prepares message i to be received.
func (s *echoSocket) expect(i int) {
	h := &s.hdrs[i].hdr
	h.Namelen = unix.SizeofSockaddrInet4
	h.SetControllen(int(unsafe.Sizeof(s.controls[i])))
	s.iovs[i].SetLen(len(s.bufs[i]))
}

func (s *echoSocket) receive(fd uintptr) bool {
	n, _, errno := syscall.RawSyscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&s.hdrs)), echoBatch, unix.MSG_DONTWAIT, 0, 0)
	switch errno {
	case 0:
		s.n = int(n)
	case unix.EAGAIN:
		return false
	case unix.EINTR, unix.ECONNREFUSED:
		s.n = 0
	default:
		s.err = errno
	}
	return true
}

// turn prepares message i to go back where it came from, from the address that was asked.
func (s *echoSocket) turn(i int) {
	h := (*unix.Cmsghdr)(unsafe.Pointer(&s.controls[i]))
	info := (*unix.Inet4Pktinfo)(unsafe.Add(unsafe.Pointer(h), unix.CmsgLen(0)))
	if h.Level != unix.SOL_IP || h.Type != unix.IP_PKTINFO {
		s.hdrs[i].hdr.SetControllen(0)
	} else {
		info.Ifindex = 0
		s.hdrs[i].hdr.SetControllen(unix.CmsgSpace(unix.SizeofInet4Pktinfo))
	}
	s.iovs[i].SetLen(int(s.hdrs[i].n))
}

func (s *echoSocket) send(fd uintptr) bool {
	for s.sent < s.n {
		n, _, errno := syscall.RawSyscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&s.hdrs[s.sent])), uintptr(s.n-s.sent), unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			s.sent += int(n)
		case unix.EAGAIN:
			return false
		case unix.EINTR:
		default:
			s.sent++ // refused: it is passed over
		}
	}
	return true
}

// batch receives one batch.
func (s *echoSocket) batch() error {
	if err := s.raw.Read(s.read); err != nil {
		return err
	}
	return s.err
}

// answer sends the batch in hand.
func (s *echoSocket) answer() error {
	s.sent = 0
	return s.raw.Write(s.write)
}

// echo sends back what comes, after change has had a look at each message, where it is
// not nil.
func (s *echoSocket) echo(change func(i int)) error {
	for {
		if err := s.batch(); err != nil {
			return err
		}
		for i := range s.n {
			if change != nil {
				change(i)
			}
			s.turn(i)
		}
		if err := s.answer(); err != nil {
			return err
		}
		for i := range s.n {
			s.expect(i)
		}
	}
}

// echo is the raw echo server: what the kernel takes for a datagram there and back.
func (c *child) echo() error {
	addr, err := freeAddr()
	if err != nil {
		return err
	}
	for range c.sockets {
		s, err := listenEcho(addr.String(), c.sockets > 1)
		if err != nil {
			return err
		}
		go s.echo(nil)
	}
	ready(addr, nothing)
	return nil
}

// blast sends count datagrams of 19 bytes when told to, to count addresses of 127.0.0.0/8
// from 127.1.0.1 on and the port told: what the kernel takes for notifications.
func (c *child) blast() error {
	s, err := listenEcho("127.0.0.1:0", false)
	if err != nil {
		return err
	}
	ready(s.conn.LocalAddr().(*net.UDPAddr).AddrPort(), func(line string) string {
		port, size, _ := strings.Cut(line, " ")
		p, err1 := strconv.Atoi(port)
		n, err2 := strconv.Atoi(size)
		if err := errors.Join(err1, err2); err != nil {
			return err.Error()
		}
		began := time.Now()
		s.blastTo(uint16(p), n, c.count)
		return fmt.Sprint(time.Since(began))
	})
	return nil
}

func (s *echoSocket) blastTo(port uint16, size, count int) {
	for done := 0; done < count; done += s.n {
		s.n = min(echoBatch, count-done)
		for i := range s.n {
			k := done + i + 1<<16 + 1
			s.names[i] = unix.RawSockaddrInet4{Family: unix.AF_INET, Port: port<<8 | port>>8, Addr: [4]byte{127, byte(k >> 16), byte(k >> 8), byte(k)}}
			s.iovs[i].SetLen(size)
			h := (*unix.Cmsghdr)(unsafe.Pointer(&s.controls[i]))
			h.Level, h.Type = unix.SOL_IP, unix.IP_PKTINFO
			h.SetLen(unix.CmsgLen(unix.SizeofInet4Pktinfo))
			*(*unix.Inet4Pktinfo)(unsafe.Add(unsafe.Pointer(h), unix.CmsgLen(0))) = unix.Inet4Pktinfo{Spec_dst: [4]byte{127, 0, 0, 1}}
			s.turn(i)
			s.iovs[i].SetLen(size)
		}
		_ = s.answer()
	}
}
