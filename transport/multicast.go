package transport

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// The groups of all CoAP nodes (RFC 7252 §12.8).
var (
	AllNodes4     = netip.AddrFrom4([4]byte{224, 0, 1, 187})
	AllNodesLink  = netip.MustParseAddr("ff02::fd")
	AllNodesRealm = netip.MustParseAddr("ff03::fd")
	AllNodesSite  = netip.MustParseAddr("ff05::fd")
)

// ErrNoMulticastInterface says that no interface is up and capable of multicast.
var ErrNoMulticastInterface = errors.New("transport: no interface is up and capable of multicast")

// setMulticast sets where and how far multicast datagrams go. They loop back, so that
// programs on one host find each other.
func (u *UDP) setMulticast(cfg Config) error {
	if u.v4 {
		p := ipv4.NewPacketConn(u.sock)
		if err := setMulticast(cfg, p.SetMulticastInterface, p.SetMulticastTTL, p.SetMulticastLoopback); err != nil && !u.v6 {
			return err
		}
	}
	if u.v6 {
		p := ipv6.NewPacketConn(u.sock)
		return setMulticast(cfg, p.SetMulticastInterface, p.SetMulticastHopLimit, p.SetMulticastLoopback)
	}
	return nil
}

func setMulticast(cfg Config, out func(*net.Interface) error, hops func(int) error, loop func(bool) error) error {
	if cfg.MulticastInterface != nil {
		if err := out(cfg.MulticastInterface); err != nil {
			return err
		}
	}
	if cfg.MulticastHops != 0 {
		if err := hops(cfg.MulticastHops); err != nil {
			return err
		}
	}
	return loop(true)
}

// JoinGroup makes the socket a member of a multicast group on an interface, or with nil
// on all that are up and capable of multicast. A zone in group is ignored.
func (u *UDP) JoinGroup(group netip.Addr, ifi *net.Interface) error {
	return u.eachInterface("join", group, ifi, func(ifi *net.Interface, addr net.Addr) error {
		var err error
		if group.Unmap().Is4() {
			err = ipv4.NewPacketConn(u.sock).JoinGroup(ifi, addr)
		} else {
			err = ipv6.NewPacketConn(u.sock).JoinGroup(ifi, addr)
		}
		if errors.Is(err, syscall.EADDRINUSE) { // it is a member already
			return nil
		}
		return err
	})
}

// LeaveGroup ends what JoinGroup began.
func (u *UDP) LeaveGroup(group netip.Addr, ifi *net.Interface) error {
	return u.eachInterface("leave", group, ifi, func(ifi *net.Interface, addr net.Addr) error {
		if group.Unmap().Is4() {
			return ipv4.NewPacketConn(u.sock).LeaveGroup(ifi, addr)
		}
		return ipv6.NewPacketConn(u.sock).LeaveGroup(ifi, addr)
	})
}

func (u *UDP) eachInterface(verb string, group netip.Addr, ifi *net.Interface, do func(*net.Interface, net.Addr) error) error {
	switch {
	case !group.IsMulticast():
		return fmt.Errorf("transport: %s: %v is no multicast group", verb, group)
	case group.Unmap().Is4() && !u.v4, !group.Unmap().Is4() && !u.v6:
		return fmt.Errorf("transport: %s %v: a socket on %v is of the other address family", verb, group, u.local)
	}
	addr := &net.UDPAddr{IP: group.Unmap().AsSlice()}
	if ifi != nil {
		if err := do(ifi, addr); err != nil {
			return fmt.Errorf("transport: %s %v on %s: %w", verb, group, ifi.Name, err)
		}
		return nil
	}
	all, err := net.Interfaces()
	if err != nil {
		return fmt.Errorf("transport: %s %v: %w", verb, group, err)
	}
	failed, done := ErrNoMulticastInterface, false
	for i := range all {
		if all[i].Flags&net.FlagUp == 0 || all[i].Flags&net.FlagMulticast == 0 {
			continue
		}
		if err := do(&all[i], addr); err != nil {
			failed = fmt.Errorf("transport: %s %v on %s: %w", verb, group, all[i].Name, err)
			continue
		}
		done = true
	}
	if done {
		return nil
	}
	return failed
}
