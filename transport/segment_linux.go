package transport

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Consecutive packets to one peer that are equally long, but for the last that may be
// shorter, go to the system as one message that it cuts into datagrams as late as it can
// (UDP_SEGMENT). They arrive as if sent one by one.
const (
	maxSegment = 1232  // bytes of a datagram that fits every link's MTU
	maxRun     = 65000 // bytes in all: what one IP packet can hold
)

// canSegment reports whether the system knows UDP_SEGMENT. One that does not (Linux before
// 4.18) would send a run as one large datagram.
func (b *mmsg) canSegment() bool {
	known := false
	err := b.raw.Control(func(fd uintptr) {
		_, err := unix.GetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_SEGMENT)
		known = err == nil
	})
	return known && err == nil
}

// runOf returns how many packets from the first on, one at least, can leave as one message.
func runOf(p []Packet) int {
	size := p[0].N
	if size == 0 || size > maxSegment {
		return 1
	}
	n := 1
	for n < len(p) && p[n-1].N == size && 0 < p[n].N && p[n].N <= size && (n+1)*size <= maxRun && p[n].Peer == p[0].Peer {
		n++
	}
	return n
}

// segment adds to message i, whose control message has so many bytes, that it is to be cut
// every size bytes, and returns their number then.
func (f *frames) segment(i, controlLen, size int) int {
	c := unsafe.Add(unsafe.Pointer(&f.controls[i]), controlLen)
	h := (*unix.Cmsghdr)(c)
	h.Level, h.Type = unix.SOL_UDP, unix.UDP_SEGMENT
	h.SetLen(unix.CmsgLen(2))
	*(*uint16)(unsafe.Add(c, unix.CmsgLen(0))) = uint16(size)
	return controlLen + unix.CmsgSpace(2)
}
