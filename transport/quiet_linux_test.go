package transport

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// events returns what a poller is told of a descriptor since the last call, where it
// watches as the runtime's does.
func events(t *testing.T, raw syscall.RawConn) func() (told uint32) {
	t.Helper()
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err == nil {
		err = control(raw, func(fd uintptr) error {
			return unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, int(fd), &unix.EpollEvent{
				Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET,
			})
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(ep) })
	return func() (told uint32) {
		var all [4]unix.EpollEvent
		n, err := unix.EpollWait(ep, all[:], 0)
		if err != nil {
			t.Fatal(err)
		}
		for i := range n {
			told |= all[i].Events
		}
		return told
	}
}

// A thread that waits for datagrams does not wake for those that are sent.
func TestSendingWakesNobody(t *testing.T) {
	s := setting{system: native, network: "udp4", ask: loopback4}
	a, b := s.listen(t, Config{}), s.listen(t, Config{})
	q := a.batch.(*mmsg).raw
	bare, wrapped := events(t, q), events(t, q.wait)
	bare()
	if told := wrapped(); told != 0 {
		t.Fatalf("told %#x at the start", told)
	}
	for range 3 {
		send(t, a, packet(s.at(b), "sent"))
		if told := bare(); told != unix.EPOLLOUT {
			t.Errorf("told %#x of the bare socket: the rule has become needless", told)
		}
		if told := wrapped(); told != 0 {
			t.Errorf("told %#x of a datagram sent", told)
		}
		receive(t, b, 1, 1)
	}
	for range 3 {
		send(t, b, packet(s.at(a), "received"))
		if told := wrapped(); told != unix.EPOLLIN {
			t.Errorf("told %#x of a datagram received", told)
		}
	}
	receive(t, a, 3, 3)
	if told := wrapped(); told != 0 {
		t.Errorf("told %#x when all was read", told)
	}
}

// A writer tries again when there is room, and gives up when the socket is closed.
func TestQuietWrite(t *testing.T) {
	u := mustListen(t, native, "udp4", "127.0.0.1:0", Config{})
	q := u.batch.(*mmsg).raw
	tries := 0
	if err := q.Write(func(uintptr) bool { tries++; return tries == 3 }); err != nil || tries != 3 {
		t.Errorf("%d tries, %v", tries, err)
	}
	err := q.Write(func(uintptr) bool {
		q.Close()
		return false
	})
	if !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed in between: %v", err)
	}
	for _, err := range []error{
		q.Close(), q.Control(func(uintptr) {}), q.Read(func(uintptr) bool { return true }),
	} {
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	}
}

// A socket that was taken over leaves no descriptor behind.
func TestQuietCloses(t *testing.T) {
	var port netip.AddrPort
	for range 3 {
		u := mustListen(t, native, "udp4", "127.0.0.1:0", Config{})
		if port.IsValid() {
			again := mustListen(t, native, "udp4", port.String(), Config{}) // it is free
			again.Close()
		}
		port = u.LocalAddr()
		u.Close()
	}
}
