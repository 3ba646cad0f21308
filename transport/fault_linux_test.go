package transport

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/motewire/coap/peer"
)

// failing makes the next calls of a kind on u fail, one for each error.
func failing(u *UDP, trap uintptr, errnos ...syscall.Errno) (left *[]syscall.Errno) {
	left = &errnos
	u.batch.(*mmsg).reader.fault = func(t uintptr) syscall.Errno {
		if t != trap || len(*left) == 0 {
			return 0
		}
		errno := (*left)[0]
		*left = (*left)[1:]
		return errno
	}
	return left
}

func pair(t *testing.T) (a, b *UDP, to peer.Addr) {
	a = mustListen(t, native, "udp4", "127.0.0.1:0", Config{NoSegments: true})
	b = mustListen(t, native, "udp4", "127.0.0.1:0", Config{})
	return a, b, peer.From(b.LocalAddr())
}

// What the system refuses to send is told of the datagram that met it; those behind it
// leave, and so does the next batch.
func TestFaultsOfSending(t *testing.T) {
	for errno, transient := range map[syscall.Errno]bool{
		unix.ENOBUFS: true, unix.ENOMEM: true, unix.EPERM: false, unix.ENETDOWN: false, unix.EINVAL: false,
	} {
		a, b, to := pair(t)
		failing(a, unix.SYS_SENDMMSG, errno)
		batch := []Packet{packet(to, "1"), packet(to, "2"), packet(to, "3")}
		if n, err := a.WriteBatch(batch); n != 2 || err != nil {
			t.Errorf("%v: WriteBatch = %d, %v", errno, n, err)
		}
		var refused *DeliveryError
		if !errors.As(batch[0].Err, &refused) || !errors.Is(refused, errno) || refused.Transient() != transient {
			t.Errorf("%v: packet 0: %v", errno, batch[0].Err)
		}
		if batch[1].Err != nil || batch[2].Err != nil {
			t.Errorf("%v: %v, %v", errno, batch[1].Err, batch[2].Err)
		}
		send(t, a, packet(to, "4"))
		for i, p := range receive(t, b, 3, 4) {
			if want := string("234"[i]); p.text() != want {
				t.Errorf("%v: got %q, want %q", errno, p.text(), want)
			}
		}
	}
}

// A socket without room (EAGAIN), a call that a signal ends, and the error of an earlier
// datagram delay a datagram, and nothing is lost.
func TestFaultsThatPass(t *testing.T) {
	for _, errnos := range [][]syscall.Errno{
		{unix.EAGAIN}, {unix.EINTR, unix.EINTR}, {unix.ECONNREFUSED}, {unix.ENETUNREACH, unix.EHOSTUNREACH},
	} {
		a, b, to := pair(t)
		left := failing(a, unix.SYS_SENDMMSG, errnos...)
		send(t, a, packet(to, "1"), packet(to, "2"))
		for i, p := range receive(t, b, 2, 4) {
			if want := string("12"[i]); p.text() != want {
				t.Errorf("%v: got %q, want %q", errnos, p.text(), want)
			}
		}
		if len(*left) > 0 {
			t.Errorf("%v were not met", *left)
		}
	}
}

// A route that is gone for good is an error after a few attempts, not a loop.
func TestFaultThatStays(t *testing.T) {
	a, _, to := pair(t)
	failing(a, unix.SYS_SENDMMSG, slices.Repeat([]syscall.Errno{unix.ENETUNREACH}, 1000)...)
	batch := []Packet{packet(to, "1"), packet(to, "2")}
	if n, err := a.WriteBatch(batch); n != 0 || err != nil || !errors.Is(batch[0].Err, unix.ENETUNREACH) || !errors.Is(batch[1].Err, unix.ENETUNREACH) {
		t.Errorf("WriteBatch = %d, %v; %v, %v", n, err, batch[0].Err, batch[1].Err)
	}
}

// Reading goes on after errors that pass, of the network or of a host short of memory.
func TestFaultsOfReading(t *testing.T) {
	for _, errno := range []syscall.Errno{unix.ENOMEM, unix.ENOBUFS, unix.EINTR, unix.ENETDOWN, unix.ECONNREFUSED, unix.EPERM} {
		a, b, to := pair(t)
		failing(b, unix.SYS_RECVMMSG, slices.Repeat([]syscall.Errno{errno}, maxFailures/4)...)
		send(t, a, packet(to, "1"))
		if p := receive(t, b, 1, 4); p[0].text() != "1" || p[0].Err != nil {
			t.Errorf("%v: %q, %v", errno, p[0].text(), p[0].Err)
		}
	}
}

// A descriptor that is no socket any more, or an error without end, ends the reader with
// an error that says so, at once.
func TestFaultsThatEndReading(t *testing.T) {
	for _, errno := range []syscall.Errno{unix.EBADF, unix.ENOTSOCK, unix.EIO} {
		_, b, _ := pair(t)
		failing(b, unix.SYS_RECVMMSG, slices.Repeat([]syscall.Errno{errno}, 1000)...)
		if n, err := b.ReadBatch(buffers(4, 8)); n != 0 || !errors.Is(err, errno) || errors.Is(err, net.ErrClosed) {
			t.Errorf("%v: ReadBatch = %d, %v", errno, n, err)
		}
	}
}

// A process that has no descriptor left is told so, and can listen once it has one.
func TestNoDescriptorLeft(t *testing.T) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(os.DevNull) // every descriptor below is taken, or soon will be
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	mustListen(t, native, "udp4", "127.0.0.1:0", Config{}).Close() // what the runtime opens once
	less := limit
	less.Cur = uint64(f.Fd())
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &less); err != nil {
		t.Fatal(err)
	}
	defer unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
	for {
		g, err := os.Open(os.DevNull)
		if err != nil {
			break
		}
		defer g.Close()
	}
	for _, sockets := range []int{1, 2} {
		if _, err := ListenShards(t.Context(), "udp4", "127.0.0.1:0", sockets, Config{}); !errors.Is(err, unix.EMFILE) {
			t.Errorf("%d sockets: %v", sockets, err)
		}
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	mustListen(t, native, "udp4", "127.0.0.1:0", Config{})
}

// The error of a port that is taken names the cause and the address.
func TestPortTaken(t *testing.T) {
	settings(t, func(t *testing.T, s setting) {
		u := s.listen(t, Config{})
		address := u.LocalAddr().String()
		_, err := listen(t.Context(), s.network, address, Config{}, s.system)
		if op := new(net.OpError); !errors.Is(err, unix.EADDRINUSE) || !errors.As(err, &op) || op.Addr == nil {
			t.Errorf("%v", err)
		}
		u.Close()
		again, err := listen(t.Context(), s.network, address, Config{}, s.system)
		if err != nil {
			t.Fatal(err)
		}
		again.Close()
	})
}

// inNetwork runs f on a thread with a network of its own that has nothing but a loopback
// interface, which is down. A host that does not permit it has the simulated faults alone.
func inNetwork(t *testing.T, f func(t *testing.T)) {
	t.Run("network", func(t *testing.T) {
		runtime.LockOSThread() // and never unlocks: the thread ends with the goroutine
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			t.Skipf("this host permits no network of one's own: %v", err)
		}
		f(t)
	})
}

// turn turns the loopback interface of the thread's network on or off.
func turn(t *testing.T, up bool) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	r, err := unix.NewIfreq("lo")
	if err != nil {
		t.Fatal(err)
	}
	if r.SetUint16(0); up {
		r.SetUint16(unix.IFF_UP)
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, r); err != nil {
		t.Fatal(err)
	}
}

// An interface goes down and comes up again: what is sent meanwhile is told of or lost, as
// the system has it, and the sockets stay what they are.
func TestInterfaceDownAndUp(t *testing.T) {
	inNetwork(t, func(t *testing.T) {
		turn(t, true)
		a, b, to := pair(t)
		nowhere := []Packet{packet(peer.From(netip.MustParseAddrPort("192.0.2.1:5683")), "x")}
		any := mustListen(t, native, "udp4", ":0", Config{})
		if n, err := any.WriteBatch(nowhere); n != 0 || err != nil || !errors.Is(nowhere[0].Err, unix.ENETUNREACH) {
			t.Errorf("without a route: WriteBatch = %d, %v, %v", n, err, nowhere[0].Err)
		}
		for range 3 {
			send(t, a, packet(to, "up"))
			if p := receive(t, b, 1, 4); p[0].text() != "up" {
				t.Errorf("%q", p[0].text())
			}
			turn(t, false)
			down := []Packet{packet(to, "down")}
			told := new(DeliveryError)
			if n, err := a.WriteBatch(down); err != nil || (n == 0) != errors.As(down[0].Err, &told) {
				t.Errorf("WriteBatch = %d, %v, %v", n, err, down[0].Err)
			}
			turn(t, true)
		}
		send(t, b, packet(peer.From(a.LocalAddr()), "back"))
		if p := receive(t, a, 1, 4); p[0].text() != "back" {
			t.Errorf("%q, %v", p[0].text(), p[0].Err)
		}
	})
}
