package transport

import (
	"errors"
	"net"
	"net/netip"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/motewire/coap/peer"
)

// loopback returns the loopback interface.
func loopback(t *testing.T) *net.Interface {
	t.Helper()
	all, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for i := range all {
		if all[i].Flags&net.FlagLoopback != 0 {
			return &all[i]
		}
	}
	t.Skip("no loopback interface")
	return nil
}

// namespace moves the test into a network namespace of its own, where loopback carries
// multicast of both families and v0 is a second interface, whose link has nobody else. The
// system may still be busy with the unicast routes of v0, so nothing is sent along them.
// The test's thread ends with it.
func namespace(t *testing.T) {
	t.Helper()
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Skipf("needs the right to make a network namespace: %v", err)
	}
	for _, args := range []string{
		"link set lo up multicast on",
		"-6 route add local ff00::/8 dev lo table local",
		"link add v0 type veth peer name v1",
		"link set v0 up",
		"link set v1 up multicast off",
		"addr add 192.0.2.1/24 dev v0",
		"addr add fe80::1/64 dev v0 nodad",
	} {
		if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
			t.Skipf("ip %s: %v: %s", args, err, out)
		}
	}
}

// A datagram to a group reaches the socket that joined and none of the others on the port,
// is marked, and is answered from a unicast address.
func TestMulticast(t *testing.T) {
	for _, test := range []struct {
		network string
		group   netip.Addr
		ask     netip.Addr
	}{
		{"udp4", AllNodes4, loopback4},
		{"udp", AllNodes4, loopback4},
		{"udp6", AllNodesLink, loopback6},
		{"udp", AllNodesLink, loopback6},
		{"udp", AllNodesSite, loopback6},
	} {
		t.Run(test.network+"/"+test.group.String(), func(t *testing.T) {
			if test.group.Is6() {
				namespace(t)
			}
			lo := loopback(t)
			shards := mustShards(t, test.network, 3)
			member := shards[1]
			for range 2 { // joined twice is no error
				if err := member.JoinGroup(test.group, lo); err != nil {
					t.Fatal(err)
				}
			}
			client := mustListen(t, native, "udp", net.JoinHostPort(test.ask.String(), "0"), Config{MulticastInterface: lo})
			group := peer.From(netip.AddrPortFrom(test.group, member.LocalAddr().Port()))
			send(t, client, packet(group, "group"))
			got := receive(t, member, 1, 1)
			if !got[0].Multicast || got[0].text() != "group" || got[0].Peer.Remote() != peer.From(client.LocalAddr()) {
				t.Errorf("got %q from %v, multicast %v", got[0].text(), got[0].Peer, got[0].Multicast)
			}
			if local := got[0].Peer.Local(); local.IsMulticast() || test.ask.Is4() && local != loopback4 {
				t.Errorf("to be answered from %v", local)
			}
			s := setting{ask: test.ask}
			send(t, member, got...)
			if answer := receive(t, client, 1, 1); answer[0].Peer.Remote() != s.at(member) {
				t.Errorf("answered from %v, want %v", answer[0].Peer.Remote(), s.at(member))
			}
			// When a second one is there, the first has been at all sockets.
			send(t, client, packet(group, "again"))
			receive(t, member, 1, 1)
			if n := waiting(t, shards[0], shards[2]); n != 0 {
				t.Errorf("%d datagrams of the group at sockets that are no members", n)
			}
			if err := member.LeaveGroup(test.group, lo); err != nil {
				t.Fatal(err)
			}
			send(t, client, packet(group, "late"), packet(peer.From(client.LocalAddr()), "mark"))
			receive(t, client, 1, 1)
			if n := waiting(t, shards...); n != 0 {
				t.Errorf("%d datagrams of the group after the last member left", n)
			}
		})
	}
}

// Joining on all interfaces means each that is up and capable of multicast.
func TestJoinEveryInterface(t *testing.T) {
	namespace(t)
	server := mustListen(t, native, "udp", ":0", Config{})
	for _, group := range []netip.Addr{AllNodes4, AllNodesLink} {
		if err := server.JoinGroup(group, nil); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"lo", "v0"} {
			ifi, err := net.InterfaceByName(name)
			if err != nil {
				t.Fatal(err)
			}
			client := mustListen(t, native, "udp", ":0", Config{MulticastInterface: ifi, MulticastHops: 2})
			send(t, client, packet(peer.From(netip.AddrPortFrom(group, server.LocalAddr().Port())), name))
			got := receive(t, server, 1, 1)
			if got[0].text() != name || !got[0].Multicast {
				t.Errorf("got %q, multicast %v, want %q by multicast", got[0].text(), got[0].Multicast, name)
			}
		}
	}
}

// A zone in the group's address chooses the interface, for any scope.
func TestMulticastZone(t *testing.T) {
	namespace(t)
	ifi, err := net.InterfaceByName("v0")
	if err != nil {
		t.Fatal(err)
	}
	server := mustListen(t, native, "udp6", ":0", Config{})
	client := mustListen(t, native, "udp6", ":0", Config{MulticastInterface: loopback(t)})
	for _, group := range []netip.Addr{AllNodesLink, AllNodesSite} {
		if err := server.JoinGroup(group, ifi); err != nil {
			t.Fatal(err)
		}
		send(t, client, packet(peer.From(netip.AddrPortFrom(group.WithZone("v0"), server.LocalAddr().Port())), "x"))
		if p := receive(t, server, 1, 1); p[0].Peer.AddrPort().Addr().WithZone("") != netip.MustParseAddr("fe80::1") {
			t.Errorf("%v came from %v", group, p[0].Peer)
		}
	}
}

func mustShards(t *testing.T, network string, n int) []*UDP {
	t.Helper()
	shards, err := ListenShards(t.Context(), network, ":0", n, Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, u := range shards {
			u.Close()
		}
	})
	return shards
}

// waiting returns how many datagrams wait at the sockets, and takes them.
func waiting(t *testing.T, sockets ...*UDP) (n int) {
	t.Helper()
	for _, u := range sockets {
		raw, err := u.sock.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		err = raw.Control(func(fd uintptr) {
			for {
				if _, _, err := unix.Recvfrom(int(fd), make([]byte, 16), unix.MSG_DONTWAIT); err != nil {
					return
				}
				n++
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return n
}

// A datagram by broadcast is marked like one by multicast.
func TestBroadcast(t *testing.T) {
	settings(t, func(t *testing.T, s setting) {
		if !s.ask.Is4() || s.bind.IsValid() {
			return
		}
		server, client := s.listen(t, Config{}), s.client(t)
		s.ask = netip.MustParseAddr("127.255.255.255")
		send(t, client, packet(s.at(server), "x"))
		p := receive(t, server, 1, 1)[0]
		if local := p.Peer.Local(); !p.Multicast || local.IsValid() && local != loopback4 {
			t.Errorf("multicast = %v, local %v", p.Multicast, local)
		}
	})
}

// A question to a link-local address is answered on its link, also where the zone is that
// of the local address alone.
func TestLinkLocal(t *testing.T) {
	zoned, global := linkLocal(t)
	settings(t, func(t *testing.T, s setting) {
		if s.ask.Is4() || s.bind.IsValid() {
			return
		}
		server := s.listen(t, Config{})
		for _, from := range []netip.Addr{zoned, global} {
			if !from.IsValid() {
				continue
			}
			client := mustListen(t, s.system, "udp6", netip.AddrPortFrom(from, 0).String(), Config{})
			s.ask = zoned
			send(t, client, packet(s.at(server), "question"))
			p := receive(t, server, 1, 1)
			if got := p[0].Peer; got.Local() != zoned.WithZone("") || got.Scope() != s.at(server).Scope() {
				t.Errorf("asked from %v: got local %v, scope %d", from, got.Local(), got.Scope())
			}
			send(t, server, p...)
			if got := receive(t, client, 1, 1)[0].Peer.Remote(); got.AddrPort().Addr().WithZone("") != zoned.WithZone("") {
				t.Errorf("asked from %v: answered from %v", from, got)
			}
		}
	})
}

// linkLocal returns a link-local address of this host with its zone, and a global one of
// the same interface where there is one.
func linkLocal(t *testing.T) (zoned, global netip.Addr) {
	all, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, ifi := range all {
		addrs, _ := ifi.Addrs()
		for _, a := range addrs {
			prefix, err := netip.ParsePrefix(a.String())
			if err != nil || !prefix.Addr().Is6() || prefix.Addr().IsLoopback() {
				continue
			}
			if prefix.Addr().IsLinkLocalUnicast() {
				zoned = prefix.Addr().WithZone(ifi.Name)
			} else {
				global = prefix.Addr()
			}
		}
		if zoned.IsValid() {
			return zoned, global
		}
	}
	t.Skip("no interface has a link-local IPv6 address")
	return
}

func TestJoinErrors(t *testing.T) {
	u4 := mustListen(t, native, "udp4", ":0", Config{})
	u6 := mustListen(t, native, "udp6", ":0", Config{})
	lo := loopback(t)
	for _, test := range []struct {
		u     *UDP
		group netip.Addr
		ifi   *net.Interface
		want  string
	}{
		{u4, loopback4, lo, "no multicast group"},
		{u4, netip.Addr{}, lo, "no multicast group"},
		{u4, AllNodesLink, lo, "other address family"},
		{u6, AllNodes4, lo, "other address family"},
		{u4, AllNodes4, &net.Interface{Index: 1 << 20, Name: "none0"}, "on none0"},
	} {
		err := test.u.JoinGroup(test.group, test.ifi)
		if err == nil || !strings.HasPrefix(err.Error(), "transport: join") || !strings.Contains(err.Error(), test.want) {
			t.Errorf("join %v: %v, want %q", test.group, err, test.want)
		}
	}
	err := u4.JoinGroup(AllNodes4, nil)
	if err != nil && !errors.Is(err, ErrNoMulticastInterface) {
		t.Errorf("join on all interfaces: %v", err)
	}
}
