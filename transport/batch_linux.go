package transport

import (
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// errorsEvery is how many batches are read at most before the error queue gets a look. It
// is read whenever the socket has nothing else or tells of an error; this is for a socket
// that never rests and whose senders took the errors that it told.
const errorsEvery = 16

// A mmsg moves batches by recvmmsg and sendmmsg.
type mmsg struct {
	raw      *quiet
	v6       bool
	segments bool // runs of packets leave as one message
	reader   reader

	inCall  atomic.Int32 // senders in a system call
	noticed atomic.Bool  // a sender was told of an error since the error queue was read

	mu      sync.Mutex
	senders []*sender // idle ones; as many exist as goroutines wrote at the same time
}

func newMmsg(u *UDP) (batcher, error) {
	sock := u.sock.(*net.UDPConn)
	q, err := newQuiet(sock)
	if err != nil {
		return nil, err
	}
	u.sock = quietConn{sock, q}
	b := &mmsg{raw: q, v6: u.v6}
	b.segments = u.segments && b.canSegment()
	b.reader.frames, b.reader.owner = newFrames(u.v6), b
	for i := range b.reader.hdrs {
		b.reader.expect(i)
	}
	b.reader.bound = b.reader.receive
	return b, nil
}

// A reader is the state of the one call that reads.
type reader struct {
	*frames
	owner   *mmsg
	bound   func(fd uintptr) bool // receive, bound once so that a call allocates nothing
	packets []Packet              // to fill; at most MaxBatch
	n       int                   // filled
	err     error
	batches int // since the error queue was read
}

func (b *mmsg) read(p []Packet) (int, error) {
	r := &b.reader
	r.packets = p[:min(len(p), MaxBatch)]
	r.n, r.err = 0, nil
	for i := range r.packets {
		r.hold(i, r.packets[i].Buf)
	}
	err := b.raw.Read(r.bound)
	r.release(len(r.packets))
	r.packets = nil
	if err == nil {
		err = r.err
	}
	if err != nil {
		return 0, ended("read", err)
	}
	return r.n, nil
}

func (b *mmsg) deadline(t time.Time) error { return b.raw.epoll.SetReadDeadline(t) }

// receive reads one batch of datagrams or errors. It returns false to be called again
// when the socket is readable.
func (r *reader) receive(fd uintptr) bool {
	if r.batches++; r.batches > errorsEvery && r.receiveErrors(fd) {
		return true
	}
	var errno syscall.Errno
	for range maxFailures {
		var n int
		n, errno = r.call(unix.SYS_RECVMMSG, fd, 0, len(r.packets), 0)
		if n > 0 {
			for i := range n {
				r.take(i, &r.packets[i])
				r.expect(i)
			}
			r.n = n
			return true
		}
		if broken(errno) {
			break
		}
		// The error may be that of a datagram sent before.
		if (errno != unix.EAGAIN || r.owner.mayHideError()) && r.receiveErrors(fd) {
			return true
		}
		if errno == unix.EAGAIN {
			return false
		}
	}
	r.err = errno
	return true
}

// mayHideError reports whether a sender may have taken the notice of an error away, so that
// the error queue is not empty although the reader is told of nothing.
func (b *mmsg) mayHideError() bool { return b.inCall.Load() > 0 || b.noticed.Load() }

// receiveErrors reads one batch of the error queue.
func (r *reader) receiveErrors(fd uintptr) bool {
	r.batches = 0
	r.owner.noticed.Store(false)
	for {
		n, errno := r.call(unix.SYS_RECVMMSG, fd, 0, len(r.packets), unix.MSG_ERRQUEUE)
		if errno != 0 {
			return false
		}
		for i := range n {
			if r.takeError(i, &r.packets[i]) {
				// The packets without a report are passed over, not their buffers.
				r.packets[r.n], r.packets[i] = r.packets[i], r.packets[r.n]
				r.n++
			}
			r.expect(i)
		}
		if r.n > 0 {
			return true
		}
	}
}

// broken reports whether a socket with this error is beyond use.
func broken(errno syscall.Errno) bool {
	switch errno {
	case unix.EBADF, unix.ENOTSOCK, unix.EFAULT, unix.EINVAL, unix.ENOSYS:
		return true
	}
	return false
}
