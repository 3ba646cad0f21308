package transport

import (
	"errors"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/motewire/coap/peer"
)

// A run ends where a packet is longer, after one that is shorter, where the peer is
// another, and where the message would be too long.
func TestRunOf(t *testing.T) {
	a := peer.From(netip.MustParseAddrPort("192.0.2.1:1"))
	b := a.WithLocal(loopback4)
	for _, test := range []struct {
		name  string
		sizes []int
		other int // index of the packet to another peer, 0: none
		want  int
	}{
		{"one", []int{5}, 0, 1},
		{"equal", []int{5, 5, 5}, 0, 3},
		{"last is shorter", []int{5, 5, 2, 2}, 0, 3},
		{"longer", []int{5, 6}, 0, 1},
		{"shorter at once", []int{5, 2, 5}, 0, 2},
		{"empty first", []int{0, 0}, 0, 1},
		{"empty last", []int{5, 5, 0}, 0, 2},
		{"other peer", []int{5, 5, 5}, 2, 2},
		{"longest", []int{maxSegment, maxSegment}, 0, 2},
		{"too long for every link", []int{maxSegment + 1, maxSegment + 1}, 0, 1},
	} {
		p := make([]Packet, len(test.sizes))
		for i, size := range test.sizes {
			p[i] = Packet{N: size, Peer: a}
		}
		if test.other > 0 {
			p[test.other].Peer = b
		}
		if got := runOf(p); got != test.want {
			t.Errorf("%s: %d, want %d", test.name, got, test.want)
		}
	}
	p := make([]Packet, 64)
	for i := range p {
		p[i] = Packet{N: maxSegment, Peer: a}
	}
	if got := runOf(p); got*maxSegment > maxRun || (got+1)*maxSegment <= maxRun {
		t.Errorf("64 long ones: %d", got)
	}
}

// messagesFor composes a batch and returns how many messages it makes.
func messagesFor(u *UDP, p []Packet) int {
	b := u.batch.(*mmsg)
	s := b.sender()
	defer b.idle(s)
	s.compose(p, b.segments)
	s.release(len(p))
	return s.end
}

// equalPackets returns n packets of equal length that tell their number.
func equalPackets(to peer.Addr, n, size int) []Packet {
	p := make([]Packet, n)
	for i := range p {
		b := make([]byte, size)
		b[0], b[size-1] = byte(i), byte(i)
		p[i] = Packet{Buf: b, N: size, Peer: to}
	}
	return p
}

// Runs leave as one message, unless Config or the system says no; even where the system
// refuses a run, every packet arrives by itself.
func TestSegments(t *testing.T) {
	for _, test := range []struct {
		name     string
		cfg      Config
		refuse   bool
		messages int
	}{
		{"run", Config{}, false, 2},
		{"no segments", Config{NoSegments: true}, false, 40},
		{"refused", Config{}, true, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := mustListen(t, native, "udp4", "127.0.0.1:0", Config{})
			client := mustListen(t, native, "udp4", "127.0.0.1:0", test.cfg)
			if b := client.batch.(*mmsg); !b.canSegment() {
				t.Skip("this system does not know UDP_SEGMENT")
			}
			if test.refuse { // a socket without checksums can't
				raw, _ := client.sock.SyscallConn()
				if err := control(raw, func(fd uintptr) error {
					return unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_NO_CHECK, 1)
				}); err != nil {
					t.Fatal(err)
				}
			}
			p := equalPackets(peer.From(server.LocalAddr()), 40, 100)
			p[20].N = 99 // ends the first run
			if got := messagesFor(client, p); got != test.messages {
				t.Errorf("%d messages, want %d", got, test.messages)
			}
			send(t, client, p...)
			for i, got := range receive(t, server, len(p), MaxBatch) {
				if got.text() != p[i].text() {
					t.Fatalf("packet %d: %x, want %x", i, got.text(), p[i].text())
				}
			}
		})
	}
}

// A run to which the system objects tells each packet its own error.
func TestSegmentsRefusedEach(t *testing.T) {
	server := mustListen(t, native, "udp4", "127.0.0.1:0", Config{})
	client := mustListen(t, native, "udp4", ":0", Config{})
	to := peer.From(server.LocalAddr())
	wrong := to.WithLocal(netip.MustParseAddrPort("192.0.2.77:1").Addr())
	p := append(append(equalPackets(to, 3, 10), equalPackets(wrong, 3, 10)...), equalPackets(to, 3, 10)...)
	n, err := client.WriteBatch(p)
	if n != 6 || err != nil {
		t.Errorf("WriteBatch = %d, %v, want 6", n, err)
	}
	for i := range p {
		if de := new(DeliveryError); errors.As(p[i].Err, &de) != (i/3 == 1) {
			t.Errorf("packet %d: %v", i, p[i].Err)
		}
	}
	receive(t, server, 6, MaxBatch)
}

// A run to a closed port is reported like a packet: with the start of its first one.
func TestSegmentsToAClosedPort(t *testing.T) {
	server := mustListen(t, native, "udp4", "127.0.0.1:0", Config{})
	client := mustListen(t, native, "udp4", "127.0.0.1:0", Config{})
	to := peer.From(server.LocalAddr())
	server.Close()
	p := equalPackets(to, 3, 10)
	send(t, client, p...)
	watchdog := time.AfterFunc(patience, func() { client.Close() })
	defer watchdog.Stop()
	got := buffers(4, 64)
	if _, err := client.ReadBatch(got); err != nil {
		t.Fatal(err)
	}
	if !errors.Is(got[0].Err, syscall.ECONNREFUSED) || got[0].N < 10 || got[0].text()[:10] != p[0].text() {
		t.Errorf("report %v of %x", got[0].Err, got[0].text())
	}
	t.Logf("%d bytes of the datagram reported", got[0].N)
}
