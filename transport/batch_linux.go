package transport

import (
	"errors"
	"net"
	"sync"
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
	raw      syscall.RawConn
	v6       bool
	segments bool // runs of packets leave as one message
	reader   reader

	mu      sync.Mutex
	senders []*sender // idle ones; as many exist as goroutines wrote at the same time
}

func newMmsg(u *UDP) (batcher, error) {
	raw, err := u.sock.SyscallConn()
	if err != nil {
		return nil, err
	}
	b := &mmsg{raw: raw, v6: u.v6}
	b.segments = u.segments && b.canSegment()
	b.reader.frames = newFrames(u.v6)
	for i := range b.reader.hdrs {
		b.reader.expect(i)
	}
	b.reader.bound = b.reader.receive
	return b, nil
}

// A reader is the state of the one call that reads.
type reader struct {
	*frames
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
	err := b.await(r)
	r.release(len(r.packets))
	r.packets = nil
	if err != nil {
		return 0, ended("read", err)
	}
	return r.n, nil
}

// await runs the reader until it has something.
func (b *mmsg) await(r *reader) error {
	for {
		err := b.raw.Read(r.bound)
		if err == nil {
			return r.err
		}
		if errors.Is(err, net.ErrClosed) {
			return err
		}
		// The runtime's poller calls a descriptor not pollable while its last event was
		// an error alone, that is when an ICMP error came while there was no room to
		// send. Such an error must not stop the reader, so it looks for itself.
		done := false
		if err := b.raw.Control(func(fd uintptr) { done = r.bound(fd) }); err != nil {
			return err
		}
		if done {
			return r.err
		}
		time.Sleep(time.Millisecond)
	}
}

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
		// The error may be that of a datagram sent before. After EAGAIN there may be
		// one as well: a sender may have taken notice of it away.
		if r.receiveErrors(fd) {
			return true
		}
		if errno == unix.EAGAIN {
			return false
		}
	}
	r.err = errno
	return true
}

// receiveErrors reads one batch of the error queue.
func (r *reader) receiveErrors(fd uintptr) bool {
	r.batches = 0
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
