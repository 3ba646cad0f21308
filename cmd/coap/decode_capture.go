package main

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

const (
	defaultPort = 5683 // coap (RFC 7252 §6.1)
	securePort  = 5684 // coaps (RFC 7252 §6.2)
)

// frames is a capture file: the next frame, its link type and its time.
type frames func() (data []byte, link layers.LinkType, at time.Time, err error)

// captureReader returns the reader of a capture file that begins with magic, and false
// where it is none.
func captureReader(r io.Reader, magic []byte) (frames, bool) {
	switch string(magic) {
	case "\xd4\xc3\xb2\xa1", "\xa1\xb2\xc3\xd4", "\x4d\x3c\xb2\xa1", "\xa1\xb2\x3c\x4d":
		return pcapFrames(r), true
	case "\x0a\x0d\x0d\x0a":
		return pcapngFrames(r), true
	}
	return nil, false
}

func pcapFrames(r io.Reader) frames {
	file, err := pcapgo.NewReader(r)
	return func() ([]byte, layers.LinkType, time.Time, error) {
		if err != nil {
			return nil, 0, time.Time{}, err
		}
		data, info, err := file.ReadPacketData()
		if errors.Is(err, io.EOF) && info.CaptureLength > 0 {
			err = io.ErrUnexpectedEOF // the file ends behind the header of a frame
		}
		return data, file.LinkType(), info.Timestamp, err
	}
}

// pcapngFrames takes each frame's link type from its own interface.
func pcapngFrames(r io.Reader) frames {
	file, err := pcapgo.NewNgReader(r, pcapgo.NgReaderOptions{WantMixedLinkType: true, SkipUnknownVersion: true})
	return func() ([]byte, layers.LinkType, time.Time, error) {
		if err != nil {
			return nil, 0, time.Time{}, err
		}
		data, info, err := file.ReadPacketData()
		if err != nil {
			return nil, 0, time.Time{}, err
		}
		link, _ := info.AncillaryData[0].(layers.LinkType)
		return data, link, info.Timestamp, nil
	}
}

// readCapture decodes the UDP datagrams that are CoAP. With ports these are all that go
// from or to one of them. Without, they are those of the default port and on any other
// port whatever is a well-formed message.
func (d *decoder) readCapture(next frames) error {
	var first time.Time
	for number := 1; ; number++ {
		data, link, at, err := next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, io.ErrUnexpectedEOF):
			return ioError(fmt.Errorf("the capture ends in the middle of frame %d", number))
		case err != nil:
			return ioError(fmt.Errorf("frame %d: %w", number, err))
		}
		if number == 1 {
			first = at
		}
		if err := d.frame(datagram{frame: number, captured: true, at: at.Sub(first)}, data, link); err != nil {
			return err
		}
	}
}

// frame decodes what a frame carries into in, or counts it.
func (d *decoder) frame(in datagram, data []byte, link layers.LinkType) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ended {
		return errEnded
	}
	if !in.carriedBy(data, link, &d.count) || !in.isCoAP(d.ports, &d.count) {
		return nil
	}
	return d.take(in)
}

// isCoAP tells whether to decode a datagram, and counts it in t where not.
func (d *datagram) isCoAP(ports []uint16, t *tally) bool {
	listed := func(port uint16) bool {
		return len(ports) == 0 && port == defaultPort || slices.Contains(ports, port)
	}
	if listed(d.from.Port()) || listed(d.to.Port()) || len(ports) == 0 && wellFormed(d.raw) {
		return true
	}
	if d.from.Port() == securePort || d.to.Port() == securePort || isDTLS(d.raw) {
		t.pass(overDTLS)
	} else {
		t.pass(otherUDP)
	}
	return false
}

// isDTLS recognises a record of DTLS 1.0 or 1.2: a content type of 20 to 26, then the
// version (RFC 6347 §4.1).
func isDTLS(b []byte) bool {
	return len(b) >= 13 && b[0] >= 20 && b[0] <= 26 && b[1] == 0xfe && (b[2] == 0xff || b[2] == 0xfd)
}

// Link types of raw IP beside LINKTYPE_RAW; 12 and 14 are what some systems write.
var rawLinks = []layers.LinkType{12, 14, layers.LinkTypeIPv4, layers.LinkTypeIPv6}

// carriedBy finds the UDP datagram of a frame, and counts the frame in t where there is
// none.
func (d *datagram) carriedBy(data []byte, link layers.LinkType, t *tally) bool {
	if slices.Contains(rawLinks, link) {
		link = layers.LinkTypeRaw
	}
	if link.String() == unknownLink {
		t.pass(linkName(link))
		return false
	}
	p := gopacket.NewPacket(data, link, gopacket.DecodeOptions{Lazy: true, NoCopy: true})
	udp, ok := p.Layer(layers.LayerTypeUDP).(*layers.UDP)
	switch {
	case ok && p.Metadata().Truncated, !ok && p.Metadata().Truncated && p.NetworkLayer() != nil:
		t.pass(cutShort)
	case ok:
		from, to := addresses(p.NetworkLayer())
		d.from, d.to = netip.AddrPortFrom(from, uint16(udp.SrcPort)), netip.AddrPortFrom(to, uint16(udp.DstPort))
		d.raw = udp.Payload
		return true
	case p.Layer(gopacket.LayerTypeFragment) != nil:
		t.pass(fragment)
	default:
		t.passStream(p)
	}
	return false
}

func addresses(ip gopacket.NetworkLayer) (from, to netip.Addr) {
	if ip == nil {
		return from, to
	}
	flow := ip.NetworkFlow()
	from, _ = netip.AddrFromSlice(flow.Src().Raw())
	to, _ = netip.AddrFromSlice(flow.Dst().Raw())
	return from, to
}
