package simnet_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/motewire/coap/transport/simnet"
)

// RFC 7252 §12.8: All CoAP Nodes.
var (
	allNodes4 = netip.MustParseAddr("224.0.1.187")
	allNodes6 = netip.MustParseAddr("ff02::fd")
)

func TestMulticast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New(1)
		client := listen(t, n, "192.0.2.1:40000")
		member := listen(t, n, "192.0.2.2:5683")
		lossy := listen(t, n, "192.0.2.3:5683")
		otherPort := listen(t, n, "192.0.2.4:5684")
		outsider := listen(t, n, "192.0.2.5:5683")
		gone := listen(t, n, "192.0.2.6:5683")
		for _, c := range []*simnet.Conn{member, lossy, otherPort, gone, member} { // one joins twice
			if err := c.JoinGroup(allNodes4, nil); err != nil {
				t.Fatal(err)
			}
		}
		gone.Close()
		n.SetLink(client.LocalAddr(), lossy.LocalAddr(), simnet.Link{Loss: 1})
		var fates []string
		n.Tap(func(r simnet.Record) {
			fates = append(fates, fmt.Sprintf("%v (%v) %v", r.To, r.Group, r.Fate))
		})
		mustSend(t, client, netip.AddrPortFrom(allNodes4, 5683), "who?")

		p := receive(t, member)
		if !p.Multicast {
			t.Error("Multicast is not set")
		}
		// Fit for the answer: the member's own address, never the group's.
		if got := p.Peer.Local(); got != member.LocalAddr().Addr() {
			t.Errorf("local address = %v, want %v", got, member.LocalAddr().Addr())
		}
		if got := p.Peer.AddrPort(); got != client.LocalAddr() {
			t.Errorf("peer = %v, want %v", got, client.LocalAddr())
		}
		want := "[192.0.2.2:5683 (224.0.1.187:5683) delivered 192.0.2.3:5683 (224.0.1.187:5683) lost]"
		if got := fmt.Sprint(fates); got != want {
			t.Errorf("fates = %v, want %v", got, want)
		}
		for _, c := range []*simnet.Conn{client, member, otherPort, outsider} {
			if got := collect(c).settle(t, c).data; len(got) != 0 {
				t.Errorf("%v received %q", c.LocalAddr(), got)
			}
		}
	})
}

// A member that sends to its group hears itself, as over a socket with loopback on.
func TestMulticastLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New(1)
		c := listen(t, n, "[2001:db8::1]:5683")
		if err := c.JoinGroup(allNodes6, nil); err != nil {
			t.Fatal(err)
		}
		mustSend(t, c, netip.AddrPortFrom(allNodes6, 5683), "me")
		if p := receive(t, c); !p.Multicast || string(p.Buf[:p.N]) != "me" {
			t.Errorf("received %q, multicast %v", p.Buf[:p.N], p.Multicast)
		}
	})
}

// Nobody in the group: no refusal comes back, but the datagram is accounted for.
func TestMulticastUnheard(t *testing.T) {
	twoHosts(t, simnet.Link{MTU: 9}, func(t *testing.T, n *simnet.Network, a, b *simnet.Conn) {
		var fates []simnet.Fate
		n.Tap(func(r simnet.Record) { fates = append(fates, r.Fate) })
		in := collect(a)
		mustSend(t, a, netip.AddrPortFrom(allNodes4, 5683), "anyone?")
		if err := send(t, a, netip.AddrPortFrom(allNodes4, 5683), "0123456789"); !errors.Is(err, syscall.EMSGSIZE) {
			t.Errorf("a datagram beyond the MTU: %v", err)
		}
		if got := in.settle(t, a).data; len(got) != 0 {
			t.Errorf("received %q", got)
		}
		if got, want := fmt.Sprint(fates), "[no listener too long]"; got != want {
			t.Errorf("fates = %v, want %v", got, want)
		}
	})
}

// One narrow link is an error and does not keep the datagram from the other members.
func TestMulticastNarrowLink(t *testing.T) {
	twoHosts(t, simnet.Link{}, func(t *testing.T, n *simnet.Network, a, b *simnet.Conn) {
		c := listen(t, n, "192.0.2.3:2")
		for _, m := range []*simnet.Conn{b, c} {
			if err := m.JoinGroup(allNodes4, nil); err != nil {
				t.Fatal(err)
			}
		}
		n.SetLink(a.LocalAddr(), b.LocalAddr(), simnet.Link{MTU: 1})
		if err := send(t, a, netip.AddrPortFrom(allNodes4, 2), "long"); !errors.Is(err, syscall.EMSGSIZE) {
			t.Errorf("send = %v, want EMSGSIZE", err)
		}
		receive(t, c)
		if got := collect(b).settle(t, b).data; len(got) != 0 {
			t.Errorf("received %q beyond the MTU", got)
		}
	})
}

func TestJoinErrors(t *testing.T) {
	n := simnet.New(1)
	four, six := listen(t, n, "192.0.2.1:1"), listen(t, n, "[2001:db8::1]:1")
	for _, test := range []struct {
		conn  *simnet.Conn
		group netip.Addr
		want  error
	}{
		{four, allNodes4, nil},
		{six, allNodes6, nil},
		{four, allNodes6, syscall.EINVAL},
		{six, allNodes4, syscall.EINVAL},
		{four, netip.MustParseAddr("192.0.2.1"), syscall.EINVAL},
		{four, netip.Addr{}, syscall.EINVAL},
	} {
		if err := test.conn.JoinGroup(test.group, nil); !errors.Is(err, test.want) {
			t.Errorf("%v joins %v: %v, want %v", test.conn.LocalAddr(), test.group, err, test.want)
		}
	}
}

func TestLeaveGroup(t *testing.T) {
	twoHosts(t, simnet.Link{}, func(t *testing.T, n *simnet.Network, a, b *simnet.Conn) {
		if err := b.LeaveGroup(allNodes4, nil); !errors.Is(err, syscall.EADDRNOTAVAIL) {
			t.Errorf("LeaveGroup of no member: %v", err)
		}
		if err := b.LeaveGroup(netip.Addr{}, nil); !errors.Is(err, syscall.EADDRNOTAVAIL) {
			t.Errorf("LeaveGroup of no address: %v", err)
		}
		for range 2 { // in and out, and once more
			if err := b.JoinGroup(allNodes4, nil); err != nil {
				t.Fatal(err)
			}
			mustSend(t, a, netip.AddrPortFrom(allNodes4, 2), "in")
			receive(t, b)
			if err := b.LeaveGroup(allNodes4, nil); err != nil {
				t.Fatal(err)
			}
			mustSend(t, a, netip.AddrPortFrom(allNodes4, 2), "out")
		}
		if got := collect(b).settle(t, b).data; len(got) != 0 {
			t.Errorf("received %q", got)
		}
		if err := b.LeaveGroup(allNodes4, nil); !errors.Is(err, net.ErrClosed) {
			t.Errorf("LeaveGroup after Close: %v", err)
		}
	})
}
