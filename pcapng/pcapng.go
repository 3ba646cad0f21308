// Package pcapng writes CoAP datagrams to a capture file that any capture tool opens.
//
// A program knows payloads and addresses, never the packets of its kernel: the IP and
// UDP headers are made up, with right lengths and checksums, and the link type is raw IP
// (LINKTYPE_RAW, 101). The package stands apart because it brings a capture library
// along, which only its importers pay for.
package pcapng

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"sync"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// What a [Writer] refuses. The file stays intact.
var (
	ErrAddress  = errors.New("pcapng: addresses invalid or of different families")
	ErrTooLarge = errors.New("pcapng: payload above what UDP carries")
	ErrClosed   = errors.New("pcapng: writer closed")
)

// The longest payloads: the 16-bit lengths of IPv4 (RFC 791 §3.1) and of IPv6 (RFC 8200
// §3) less the headers that they count.
const (
	maxPayload4 = 65535 - 20 - 8
	maxPayload6 = 65535 - 8
)

// hopLimit goes into every made-up IP header.
const hopLimit = 64

// A Writer writes datagrams as pcapng. It is safe for concurrent use.
type Writer struct {
	mu     sync.Mutex
	ng     *pcapgo.NgWriter
	packet gopacket.SerializeBuffer // the packet under construction, reused
	closed bool
}

// NewWriter starts a capture on w: a section and one interface of raw IP packets with
// nanosecond time stamps. Output is buffered until Flush or Close.
func NewWriter(w io.Writer) (*Writer, error) {
	intf := pcapgo.DefaultNgInterface
	intf.Name = "coap"
	intf.LinkType = layers.LinkTypeRaw
	options := pcapgo.DefaultNgWriterOptions
	options.SectionInfo.Application = "github.com/motewire/coap"
	ng, err := pcapgo.NewNgWriterInterface(w, intf, options)
	if err != nil {
		return nil, fmt.Errorf("pcapng: %w", err)
	}
	return &Writer{ng: ng, packet: gopacket.NewSerializeBuffer()}, nil
}

// WriteDatagram appends a datagram that went from one endpoint to the other at that
// time; a time before 1970 counts as 1970. Both addresses are IPv4 or both IPv6, where
// an IPv4-mapped one is IPv4; else ErrAddress. Zones are left out, as no packet carries
// them. A payload above 65,507 bytes (IPv6: 65,527) is ErrTooLarge. The payload is the
// caller's again on return.
func (w *Writer) WriteDatagram(at time.Time, from, to netip.AddrPort, payload []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return ErrClosed
	}
	packet, err := w.serialize(from, to, payload)
	if err != nil {
		return err
	}
	if epoch := time.Unix(0, 0); at.Before(epoch) {
		at = epoch
	}
	info := gopacket.CaptureInfo{Timestamp: at, CaptureLength: len(packet), Length: len(packet)}
	if err := w.ng.WritePacket(info, packet); err != nil {
		return fmt.Errorf("pcapng: %w", err)
	}
	return nil
}

// serialize puts IP and UDP headers before the payload. The result is valid until the
// next call.
func (w *Writer) serialize(from, to netip.AddrPort, payload []byte) ([]byte, error) {
	src, dst := from.Addr().Unmap(), to.Addr().Unmap()
	if !src.IsValid() || !dst.IsValid() || src.Is4() != dst.Is4() {
		return nil, ErrAddress
	}
	if src.Is4() && len(payload) > maxPayload4 || len(payload) > maxPayload6 {
		return nil, ErrTooLarge
	}
	udp := &layers.UDP{SrcPort: layers.UDPPort(from.Port()), DstPort: layers.UDPPort(to.Port())}
	ip := header(src, dst)
	if err := udp.SetNetworkLayerForChecksum(ip); err != nil {
		return nil, fmt.Errorf("pcapng: %w", err)
	}
	options := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	if err := gopacket.SerializeLayers(w.packet, options, ip, udp, gopacket.Payload(payload)); err != nil {
		return nil, fmt.Errorf("pcapng: %w", err)
	}
	return w.packet.Bytes(), nil
}

// A networkLayer is an IP header of either version.
type networkLayer interface {
	gopacket.NetworkLayer
	gopacket.SerializableLayer
}

func header(src, dst netip.Addr) networkLayer {
	if src.Is4() {
		return &layers.IPv4{
			Version: 4, TTL: hopLimit, Flags: layers.IPv4DontFragment, Protocol: layers.IPProtocolUDP,
			SrcIP: src.AsSlice(), DstIP: dst.AsSlice(),
		}
	}
	return &layers.IPv6{
		Version: 6, HopLimit: hopLimit, NextHeader: layers.IPProtocolUDP,
		SrcIP: src.AsSlice(), DstIP: dst.AsSlice(),
	}
}

// Flush hands everything written so far to the underlying writer.
func (w *Writer) Flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.flush()
}

func (w *Writer) flush() error {
	if err := w.ng.Flush(); err != nil {
		return fmt.Errorf("pcapng: %w", err)
	}
	return nil
}

// Close flushes and ends the capture: further datagrams are ErrClosed, a further Close
// does nothing. The underlying writer stays open; it is the caller's.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return nil
	}
	w.closed = true
	return w.flush()
}
