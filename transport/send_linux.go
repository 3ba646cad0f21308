package transport

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// maxStale is how often a packet is tried again after an error that may be another's.
const maxStale = 8

// A sender is the state of one call that writes.
type sender struct {
	*frames
	owner      *mmsg
	boundOnce  func(fd uintptr)      // attempt, bound once so that a call allocates nothing
	boundUntil func(fd uintptr) bool // attempt until the socket takes a datagram
	next, end  int                   // the messages that wait
	first      [MaxBatch + 1]int     // the first packet of each message, and their number behind the last
	sent       int                   // messages, by the last attempt
	errno      syscall.Errno         // of the last attempt
}

func (b *mmsg) sender() *sender {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n := len(b.senders); n > 0 {
		s := b.senders[n-1]
		b.senders = b.senders[:n-1]
		return s
	}
	s := &sender{frames: newFrames(b.v6), owner: b}
	s.fault = b.reader.fault
	s.boundOnce = s.attempt
	s.boundUntil = func(fd uintptr) bool {
		s.attempt(fd)
		return s.errno != unix.EAGAIN
	}
	return s
}

func (b *mmsg) idle(s *sender) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.senders = append(b.senders, s)
}

func (b *mmsg) write(p []Packet) (n int, err error) {
	s := b.sender()
	defer b.idle(s)
	for len(p) > 0 && err == nil {
		batch := p[:min(len(p), MaxBatch)]
		p = p[len(batch):]
		var sent int
		sent, err = s.send(b.raw, batch, b.segments)
		n += sent
	}
	return n, err
}

// compose makes the messages for packets, one for each run of them if the system is to cut
// it into segments, else one for each packet.
func (s *sender) compose(p []Packet, segments bool) {
	s.next, s.end = 0, 0
	for i := 0; i < len(p); s.end++ {
		n := 1
		if segments {
			n = runOf(p[i:])
		}
		s.first[s.end] = i
		s.address(s.end, &p[i].Peer)
		h := &s.hdrs[s.end].hdr
		h.Iov = &s.iovs[i]
		h.SetIovlen(n)
		if n > 1 {
			h.SetControllen(s.segment(s.end, int(h.Controllen), p[i].N))
		}
		for end := i + n; i < end; i++ {
			s.hold(i, p[i].Buf[:p[i].N])
			p[i].Err = nil
		}
	}
	s.first[s.end] = len(p)
}

// send sends at most MaxBatch packets.
func (s *sender) send(raw syscall.RawConn, p []Packet, segments bool) (n int, err error) {
	defer s.release(len(p))
	s.compose(p, segments)
	for stale := 0; s.next < s.end; {
		if err := s.submit(raw); err != nil {
			return n, ended("write", err)
		}
		switch {
		case s.errno == 0:
			n += s.first[s.next+s.sent] - s.first[s.next]
			s.next += s.sent
			stale = 0
		case s.errno == unix.EINTR:
		case mayBeStale(s.errno) && stale < maxStale:
			stale++
		case s.first[s.next+1]-s.first[s.next] > 1:
			// Whatever the reason, a link's MTU or a driver that can't: each packet
			// leaves, or meets its error, by itself.
			rest, err := s.send(raw, p[s.first[s.next]:], false)
			return n + rest, err
		default:
			p[s.first[s.next]].Err = &DeliveryError{Err: s.errno}
			s.next++
			stale = 0
		}
	}
	return n, nil
}

// submit makes one attempt that the socket does not answer with EAGAIN.
func (s *sender) submit(raw syscall.RawConn) error {
	if err := raw.Control(s.boundOnce); err != nil || s.errno != unix.EAGAIN {
		return err
	}
	return raw.Write(s.boundUntil)
}

func (s *sender) attempt(fd uintptr) {
	s.owner.inCall.Add(1)
	s.sent, s.errno = s.call(unix.SYS_SENDMMSG, fd, s.next, s.end, 0)
	if s.sent < s.end-s.next { // what stopped it is told only where it sent nothing
		s.owner.noticed.Store(true)
	}
	s.owner.inCall.Add(-1)
}

// mayBeStale reports whether errno, the result of a send, may come from the ICMP error
// that an earlier datagram met. The system tells it to the next call on the socket, once,
// and does not send then; the error queue keeps it for the reader.
func mayBeStale(errno syscall.Errno) bool {
	switch errno {
	case unix.ECONNREFUSED, unix.EHOSTUNREACH, unix.ENETUNREACH, unix.EHOSTDOWN, unix.ENONET,
		unix.ENOPROTOOPT, unix.EOPNOTSUPP, unix.EMSGSIZE, unix.EPROTO, unix.EACCES:
		return true
	}
	return false
}
