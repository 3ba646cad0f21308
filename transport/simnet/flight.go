package simnet

import (
	"cmp"
	"container/heap"
	"syscall"
	"time"

	"github.com/motewire/coap/peer"
	"github.com/motewire/coap/transport"
)

// A flight is a datagram under way, or an error report on its way back. The fields from
// due to report make it unique and decide the order of arrival.
type flight struct {
	due      time.Time
	from, to peer.Addr
	seq      uint64 // number of the datagram among those of its pair; a report's is the one of what it reports
	copied   bool   // the second arrival of a duplicated datagram
	report   bool   // data did not arrive at from: nobody listens there

	sent  time.Time
	group peer.Addr // where it was sent to, if to a group
	data  []byte    // shared by copies, group members and records; never changed
}

// transmit decides the fate of a datagram on the link between two addresses. The error is
// what the sender hears of it at once.
func (n *Network) transmit(now time.Time, from, to, group peer.Addr, data []byte) error {
	state := n.link(from, to)
	l := &n.standard
	if state.own != nil {
		l = state.own
	}
	f := flight{from: from, to: to, seq: state.sent, sent: now, group: group, data: data}
	state.sent++
	luck := state.draw()
	switch {
	case len(data) > l.mtu():
		n.record(&f, now, TooLong)
		return &transport.DeliveryError{Err: syscall.EMSGSIZE}
	case n.cut(from, to):
		n.record(&f, now, Cut)
	case luck.loss < l.Loss:
		n.record(&f, now, Lost)
	default:
		reordered := luck.reorder < l.Reorder
		n.launch(now, f, l.delay(luck.jitter, reordered))
		if luck.duplicate < l.Duplicate {
			f.copied = true
			n.launch(now, f, l.delay(luck.jitterOfCopy, reordered))
		}
	}
	return nil
}

// launch lets f arrive after a delay. Without one it arrives here and now, at no cost in
// timers or goroutines.
func (n *Network) launch(now time.Time, f flight, delay time.Duration) {
	f.due = now.Add(delay)
	if delay <= 0 {
		n.arrive(now, &f)
		return
	}
	heap.Push(&n.flights, &f)
}

// arm sets the timer for the next arrival. All flights share the one timer: the order of
// arrival is the order of the heap.
func (n *Network) arm(now time.Time) {
	if len(n.flights) == 0 || n.flights[0].due.Equal(n.armed) {
		return
	}
	n.armed = n.flights[0].due
	if n.timer == nil {
		n.timer = time.AfterFunc(n.armed.Sub(now), n.advance)
		return
	}
	n.timer.Reset(n.armed.Sub(now))
}

// advance lets everything arrive that is due; the timer calls it.
func (n *Network) advance() {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := time.Now()
	n.armed = time.Time{}
	for len(n.flights) > 0 && !n.flights[0].due.After(now) {
		n.arrive(now, heap.Pop(&n.flights).(*flight))
	}
	n.arm(now)
	n.tell()
}

// arrive puts f into the queue of its destination, if there is one.
func (n *Network) arrive(now time.Time, f *flight) {
	c := n.conns[f.to]
	switch {
	case n.cut(f.from, f.to):
		n.record(f, now, Cut)
	case c == nil:
		n.record(f, now, NoListener)
		n.refuse(now, f)
	case c.waiting() >= n.queue:
		c.overflows++
		n.record(f, now, Overflow)
	default:
		c.queue = append(c.queue, *f)
		c.ready.Signal()
		n.record(f, now, Delivered)
	}
}

// refuse sends the report back that nobody listens where f arrived.
func (n *Network) refuse(now time.Time, f *flight) {
	// RFC 1122 §3.2.2: no ICMP error about an ICMP error, nor about a multicast.
	if n.silent || f.report || f.group.IsValid() {
		return
	}
	back := flight{from: f.to, to: f.from, seq: f.seq, copied: f.copied, report: true, sent: now, data: f.data}
	l := &n.standard
	if own := n.link(f.to, f.from).own; own != nil {
		l = own
	}
	n.launch(now, back, l.delay(0, false))
}

// flights is a heap, the next to arrive first.
type flights []*flight

func (h flights) Len() int      { return len(h) }
func (h flights) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *flights) Push(f any)   { *h = append(*h, f.(*flight)) }

func (h flights) Less(i, j int) bool {
	a, b := h[i], h[j]
	return cmp.Or(
		a.due.Compare(b.due),
		compare(a.from, b.from),
		compare(a.to, b.to),
		cmp.Compare(a.seq, b.seq),
		compareBool(a.copied, b.copied),
		compareBool(a.report, b.report),
	) < 0
}

func (h *flights) Pop() any {
	last := len(*h) - 1
	f := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return f
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}
