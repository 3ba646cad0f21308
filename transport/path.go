package transport

import "github.com/motewire/coap/peer"

// A PathSizer is a Conn that knows how long datagrams to a peer may be.
type PathSizer interface {
	// PathBytes returns how many bytes of payload the longest datagram has that reaches a
	// peer in one piece, as far as the system knows: by the MTU of the interface, and of
	// the path where an ICMP message has told. It is false where that can't be known, and
	// for groups. It costs some system calls, which do not wait.
	PathBytes(to peer.Addr) (n int, ok bool)
}

var _ PathSizer = (*UDP)(nil)

// PathBytes asks the system (see PathSizer): Linux tells (IP_MTU), others don't.
func (u *UDP) PathBytes(to peer.Addr) (n int, ok bool) {
	if to.IsMulticast() || to.Port() == 0 {
		return 0, false
	}
	return pathBytes(to)
}
