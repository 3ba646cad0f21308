// Package transport moves datagrams in batches. It knows bytes and addresses, not CoAP.
//
// A [Conn] is the seam: UDP sockets ([Listen]) and the in-memory network of package
// simnet stand behind it, and secured or stream transports can.
package transport

import (
	"net/netip"

	"github.com/motewire/coap/peer"
)

// A Packet is one datagram of a batch. The caller of ReadBatch and WriteBatch owns Buf;
// a Conn holds it no longer than the call.
type Packet struct {
	// Buf holds the datagram in Buf[:N]. ReadBatch uses all of len(Buf).
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
	// tells it, and may be empty.
	Err error
}

// A Conn is one local endpoint that sends and receives datagrams.
type Conn interface {
	// ReadBatch waits for at least one datagram or error report and fills up to
	// len(p) packets. An error means that the Conn is beyond use: net.ErrClosed after
	// Close. Only one goroutine at a time may read.
	ReadBatch(p []Packet) (n int, err error)
	// WriteBatch sends the packets in order and returns how many it handed over. A
	// packet that the system refuses gets its Err set and is passed over, which is
	// not an error of the call: the call's error means that the Conn is beyond use.
	// Any number of goroutines may write.
	WriteBatch(p []Packet) (n int, err error)
	// LocalAddr returns the address that the Conn is bound to.
	LocalAddr() netip.AddrPort
	// Close ends pending and future calls with net.ErrClosed.
	Close() error
}
