// Package transport moves datagrams in batches. It knows bytes and addresses, not CoAP.
//
// A [Conn] is the seam: UDP sockets ([Listen], [ListenShards]) and the in-memory network
// of package simnet stand behind it, and secured or stream transports can. [Lossy] puts a
// bad link before any of them.
//
// # How the system is used
//
// On Linux a batch is one recvmmsg or sendmmsg call, and neither direction allocates. Runs
// of equally long datagrams to one peer leave as one message that the system cuts.
// Elsewhere a batch that is read has one datagram, and a batch that is written is a call
// per datagram.
//
// A socket bound to the wildcard address tells for each datagram which local address was
// asked, and sends from the address that a packet names, so that an answer comes from
// where the question went. Linux and Darwin can do both for IPv4 and IPv6, other systems
// may leave the choice to their routing table.
//
// On Linux the ICMP errors that other datagrams of the socket met are read from the
// socket's error queue and reported as packets with Err set, with the destination and the
// start of the datagram that did not arrive. Other systems tell an unconnected socket
// nothing. No such error ends a call.
//
// Groups are opt-in: a socket gets the datagrams of those groups alone that it joined
// itself, also where other sockets share its port. (On Linux, IP_MULTICAST_ALL is cleared;
// other systems may deliver a group to all sockets of the port.)
package transport

import (
	"net"
	"net/netip"

	"github.com/motewire/coap/peer"
)

// MaxBatch is the largest number of datagrams that one system call moves. Longer batches
// are fine; a longer slice given to ReadBatch is not filled beyond.
const MaxBatch = 64

// A Packet is one datagram of a batch. The caller of ReadBatch and WriteBatch owns Buf;
// a Conn holds it no longer than the call.
type Packet struct {
	// Buf holds the datagram in Buf[:N]. ReadBatch uses all of len(Buf), and may
	// exchange the buffers of the packets that it was given.
	Buf []byte
	// N is the length of the datagram in bytes.
	N int
	// Peer is where the datagram comes from or goes to. Its local address is the one
	// that was asked, or the one to send from; unknown means that the system chooses.
	// For a datagram that arrived by multicast it is a unicast address of the
	// receiving interface, or unknown: fit for the answer.
	Peer peer.Addr
	// Multicast says that a received datagram was sent to a multicast or broadcast
	// address.
	Multicast bool
	// Truncated says that a received datagram was longer than Buf; Buf holds its start.
	Truncated bool
	// Err, when not nil, makes this not a datagram but the report that one sent to
	// Peer did not arrive (an ICMP error: connection refused, host unreachable, message
	// too long). Buf[:N] then holds the start of the datagram sent, where the system
	// tells it, and may be empty. UDP sockets report a *DeliveryError.
	Err error
}

// A Conn is one local endpoint that sends and receives datagrams.
type Conn interface {
	// ReadBatch waits for at least one datagram or error report and fills up to
	// len(p) packets, every field but Buf. An error means that the Conn is beyond use:
	// net.ErrClosed after Close. Only one goroutine at a time may read, not always the
	// same. An empty p returns at once.
	ReadBatch(p []Packet) (n int, err error)
	// WriteBatch sends the packets in order and returns how many it handed over. A
	// packet that the system refuses gets its Err set and is passed over, which is
	// not an error of the call: the call's error means that the Conn is beyond use.
	// The Err of a packet that was handed over is nil afterwards. It waits while the
	// system has no room. Any number of goroutines may write.
	WriteBatch(p []Packet) (n int, err error)
	// LocalAddr returns the address that the Conn is bound to.
	LocalAddr() netip.AddrPort
	// Close ends pending and future calls with net.ErrClosed.
	Close() error
}

// An Interrupter is a Conn whose reader can be called away.
type Interrupter interface {
	// Interrupt has the ReadBatch that waits, or the next one, return 0 packets and no error.
	// Several interruptions may be one.
	Interrupt()
}

// A Joiner is a Conn that can be a member of multicast groups. A group joined twice is no
// error. ifi nil means every interface that is up and capable of multicast; then the
// error is nil when at least one of them joined.
type Joiner interface {
	JoinGroup(group netip.Addr, ifi *net.Interface) error
	LeaveGroup(group netip.Addr, ifi *net.Interface) error
}

var (
	_ Conn   = (*UDP)(nil)
	_ Joiner = (*UDP)(nil)

	_ Interrupter = (*UDP)(nil)

	_ DropCounter = (*UDP)(nil)
)
