package transport

import (
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A quiet is a UDP socket that wakes nobody for having room to write. The runtime's poller
// watches each of its descriptors for that too, and every datagram that leaves a socket
// makes some room: a thread that waits for datagrams would wake for each that is sent, find
// nothing and go back to sleep. So the poller gets an epoll instance in the socket's stead,
// in which the socket is watched for what can be read alone.
//
// It is a syscall.RawConn. Errors are net.ErrClosed after Close.
type quiet struct {
	fd      uintptr
	sock    *os.File // unknown to the poller
	epoll   *os.File
	control syscall.RawConn // of sock
	wait    syscall.RawConn // of epoll

	try    func(fd uintptr) bool    // what Read was given
	bound  func(epoll uintptr) bool // try with fd, bound once so that a call allocates nothing
	closed atomic.Bool
}

// newQuiet takes a socket over.
func newQuiet(sock *net.UDPConn) (*quiet, error) {
	q := new(quiet)
	err := q.adopt(sock)
	if err != nil {
		return nil, err
	}
	if q.control, err = q.sock.SyscallConn(); err == nil {
		err = q.watch()
	}
	if err != nil {
		q.sock.Close()
		return nil, err
	}
	q.bound = func(uintptr) bool { return q.try(q.fd) }
	return q, sock.Close()
}

// adopt makes sock a descriptor of its own for the socket.
func (q *quiet) adopt(sock *net.UDPConn) error {
	raw, err := sock.SyscallConn()
	if err != nil {
		return err
	}
	return control(raw, func(fd uintptr) error {
		own, err := unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return err
		}
		// A descriptor that is non-blocking when it becomes a File goes to the poller.
		_ = unix.SetNonblock(own, false)
		q.fd, q.sock = uintptr(own), os.NewFile(uintptr(own), "udp")
		return unix.SetNonblock(own, true)
	})
}

// watch makes epoll.
func (q *quiet) watch() error {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return err
	}
	_ = unix.SetNonblock(ep, true)
	q.epoll = os.NewFile(uintptr(ep), "epoll")
	err = unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, int(q.fd), &unix.EpollEvent{Events: unix.EPOLLIN})
	if err == nil {
		err = q.epoll.SetReadDeadline(time.Time{}) // an error where the poller has not taken it
	}
	if err == nil {
		q.wait, err = q.epoll.SyscallConn()
	}
	if err != nil {
		q.epoll.Close()
	}
	return err
}

// A quietConn is a quiet for golang.org/x/net, which asks for a connection where it sets
// options.
type quietConn struct {
	*net.UDPConn // closed
	quiet        *quiet
}

// SyscallConn returns the socket.
func (c quietConn) SyscallConn() (syscall.RawConn, error) { return c.quiet, nil }

// Close closes the socket.
func (c quietConn) Close() error { return c.quiet.Close() }

// Control runs f with the socket's descriptor.
func (q *quiet) Control(f func(fd uintptr)) error { return q.ended(q.control.Control(f)) }

// Read runs f with the socket's descriptor whenever there is something to read, until it
// returns true. One goroutine at a time may call it.
func (q *quiet) Read(f func(fd uintptr) bool) error {
	q.try = f
	err := q.wait.Read(q.bound)
	q.try = nil
	return q.ended(err)
}

// roomPatience is how long one look for room to write takes at most.
const roomPatience = 100 // ms

// Write runs f with the socket's descriptor whenever there is room to write, until it
// returns true. The poller does not tell, so a thread waits here.
func (q *quiet) Write(f func(fd uintptr) bool) error {
	for {
		done := false
		err := q.Control(func(fd uintptr) {
			room := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
			n, _ := unix.Poll(room, roomPatience)
			switch {
			case n == 0:
			case room[0].Revents&unix.POLLOUT != 0:
				done = f(fd)
			default:
				time.Sleep(time.Millisecond) // an error that the reader will take
			}
		})
		if err != nil || done {
			return err
		}
	}
}

func (q *quiet) ended(err error) error {
	if err != nil && q.closed.Load() {
		return net.ErrClosed
	}
	return err
}

// Close closes the socket when nobody uses it any more.
func (q *quiet) Close() error {
	if q.closed.Swap(true) {
		return net.ErrClosed
	}
	err := q.epoll.Close() // waits until the reader has left
	if sockErr := q.sock.Close(); err == nil {
		err = sockErr
	}
	return err
}
