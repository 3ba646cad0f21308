package simnet

import (
	"bytes"
	"cmp"
	"fmt"
	"net/netip"
	"time"

	"github.com/motewire/coap/peer"
)

// A Fate is what became of a datagram.
type Fate uint8

// The fates. NoListener can be followed by a report to the sender, which is no datagram
// and gets no record.
const (
	Delivered  Fate = iota // in the receive queue of its destination
	Lost                   // by the link's Loss
	Cut                    // by a partition
	TooLong                // for the link's MTU; the sender was told
	NoListener             // nobody listens at its destination
	Overflow               // the receive queue of its destination was full
)

// String returns the fate in words.
func (f Fate) String() string {
	switch f {
	case Delivered:
		return "delivered"
	case Lost:
		return "lost"
	case Cut:
		return "cut"
	case TooLong:
		return "too long"
	case NoListener:
		return "no listener"
	case Overflow:
		return "overflow"
	}
	return fmt.Sprintf("Fate(%d)", uint8(f))
}

// A Record tells what became of one datagram at one destination: a duplicated datagram
// has two, one to a group has those of each member.
type Record struct {
	// Sent is when WriteBatch took the datagram.
	Sent time.Time
	// At is when its fate was decided: its arrival, or Sent if it never left.
	At time.Time
	// From and To are the sender and the connection that it was for.
	From, To netip.AddrPort
	// Group is the multicast group that it was sent to; the zero AddrPort: none.
	Group netip.AddrPort
	// Seq counts the datagrams from From to To since the network was made, from 0.
	Seq uint64
	// Copy says that this is the second arrival of a duplicated datagram.
	Copy bool
	// Data is the datagram. It is shared and must not be changed; it may be kept.
	Data []byte
	// Fate is what became of it.
	Fate Fate
}

// String returns the record as one line: when the fate was decided (time of day, UTC),
// the addresses, and the fate.
func (r Record) String() string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %v > %v", r.At.UTC().Format("15:04:05.000000"), r.From, r.To)
	if r.Group.IsValid() {
		fmt.Fprintf(&b, " (%v)", r.Group)
	}
	fmt.Fprintf(&b, " #%d, %d bytes, %v", r.Seq, len(r.Data), r.Fate)
	if r.At.After(r.Sent) {
		fmt.Fprintf(&b, " after %v", r.At.Sub(r.Sent))
	}
	if r.Copy {
		b.WriteString(", copy")
	}
	return b.String()
}

// Compare orders records by time, then by addresses and number: fit for
// slices.SortStableFunc. A sorted transcript does not depend on which goroutine came
// first at one instant.
func (r Record) Compare(other Record) int {
	return cmp.Or(
		r.At.Compare(other.At),
		r.From.Compare(other.From),
		r.To.Compare(other.To),
		cmp.Compare(r.Seq, other.Seq),
		compareBool(r.Copy, other.Copy),
	)
}

// Tap makes the network call tap with the fate of each datagram from now on, once it is
// decided, one call at a time and in that order. Where several goroutines send at the
// same instant, the order of what is decided at once (losses, links without delay) is
// theirs; [Record.Compare] gives one that is the same in every run. The network is not
// locked meanwhile: tap may use it, and it may change before the next datagram.
func (n *Network) Tap(tap func(Record)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.taps = append(n.taps, tap)
}

// record notes the fate of f for the taps.
func (n *Network) record(f *flight, at time.Time, fate Fate) {
	if len(n.taps) == 0 || f.report {
		return
	}
	n.records = append(n.records, Record{
		Sent: f.sent, At: at,
		From: f.from.AddrPort(), To: f.to.AddrPort(), Group: addrPort(f.group),
		Seq: f.seq, Copy: f.copied,
		Data: f.data, Fate: fate,
	})
}

func addrPort(a peer.Addr) netip.AddrPort {
	if !a.IsValid() {
		return netip.AddrPort{}
	}
	return a.AddrPort()
}

// tell calls the taps with the records so far, the lock released meanwhile. If another
// goroutine is about it, or a tap sends, the one who began goes on with what is new.
func (n *Network) tell() {
	if n.telling {
		return
	}
	n.telling = true
	defer func() { n.telling = false }() // a tap may end the goroutine, as t.FailNow does
	for len(n.records) > 0 {
		records := n.records
		n.records = nil
		n.callTaps(records)
	}
}

func (n *Network) callTaps(records []Record) {
	taps := n.taps
	n.mu.Unlock()
	defer n.mu.Lock()
	for _, r := range records {
		for _, tap := range taps {
			tap(r)
		}
	}
}
