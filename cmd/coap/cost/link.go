// Package cost reckons what messages cost on the wire: bytes with the headers of each
// layer, the time on air, the charge that a node's radio takes, and how long a battery
// lasts.
//
// A [Link] holds the parameters of a link layer; [Links] are usual ones. [Reckon] adds up
// the packets of an exchange. Every figure can be followed with the arithmetic that
// [Report] prints beside it.
package cost

import (
	"math"
	"time"
)

// A Link is a link layer with what it does to IPv6, UDP and TCP.
type Link struct {
	Name  string // as it is asked for
	Title string

	UpRate, DownRate float64       // bit/s, from the node and to it
	PerFrame         time.Duration // of each frame, whatever its length: preambles and gaps
	LoRa             *LoRa         // not nil: the time on air by its formula, the rates have no meaning

	UDP, TCP, SYN int // bytes of IP and transport headers as they are sent; SYN: of a TCP segment that opens
	Header        int // bytes of each frame around its content, preamble and checksum included
	Ack           int // bytes of the frame with which the receiver acknowledges each frame; 0: none
	Room          int // bytes of content that a frame takes
	Least         int // bytes that a frame's content is padded to
	Fragment      int // bytes of header in the first frame of a packet that takes several,
	FurtherHeader int // and in each further one
	Unit          int // bytes that all fragments but the last carry a multiple of; 0: 1

	Transmit, Receive float64 // A, of the node's radio
}

// Header sizes in bytes, without options but those that every TCP has today.
const (
	ipv4, ipv6    = 20, 40
	udp           = 8
	tcp           = 20 + 12 // with timestamps
	tcpSYN        = 20 + 20
	tcpCompressed = 3 // IPv6 by RFC 6282 §3 with context and inline next header: no addresses
)

// Links returns the usual links: their parameters are what they are by default in the
// named standards, currents those of common radios.
func Links() []Link {
	return []Link{
		{
			// Preamble and SFD 8, MAC header 14, FCS 4, gap of 12 bytes (IEEE 802.3).
			Name: "ethernet", Title: "Ethernet", UpRate: 100e6, DownRate: 100e6,
			UDP: ipv6 + udp, TCP: ipv6 + tcp, SYN: ipv6 + tcpSYN, Header: 8 + 14 + 4 + 12, Room: 1500, Least: 46,
			Transmit: 0.060, Receive: 0.060,
		},
		{
			// MAC header 26, CCMP 16, LLC and SNAP 8, FCS 4; PLCP 20 µs and SIFS 16 µs, and
			// the ACK frame of 14 bytes with its own 20 µs (IEEE 802.11, OFDM).
			Name: "wifi", Title: "Wi-Fi", UpRate: 6e6, DownRate: 6e6, PerFrame: 20*time.Microsecond + 16*time.Microsecond + 20*time.Microsecond,
			UDP: ipv6 + udp, TCP: ipv6 + tcp, SYN: ipv6 + tcpSYN, Header: 26 + 16 + 8 + 4, Ack: 14, Room: 1500,
			Transmit: 0.240, Receive: 0.095,
		},
		{
			// Preamble 4, SFD 1, length 1; MAC header 21 with long addresses, FCS 2; ACK 6+5
			// (IEEE 802.15.4). IPHC 3, NHC of UDP 1, ports 4, checksum 2 (RFC 6282); fragments
			// (RFC 4944 §5.3).
			Name: "802.15.4", Title: "IEEE 802.15.4 with 6LoWPAN", UpRate: 250e3, DownRate: 250e3,
			UDP: 3 + 1 + 4 + 2, TCP: tcpCompressed + tcp, SYN: tcpCompressed + tcpSYN, Header: 6 + 21 + 2, Ack: 11,
			Room: 127 - 21 - 2, Fragment: 4, FurtherHeader: 5, Unit: 8,
			Transmit: 0.020, Receive: 0.020,
		},
		{
			// MHDR 1, FHDR 7, FPort 1, MIC 4 (LoRaWAN 1.0); SCHC's rule ID and residue take
			// the place of IP and UDP (RFC 9011, RFC 8724).
			Name: "lora", Title: "LoRaWAN with SCHC", LoRa: &LoRa{SpreadingFactor: 9, Bandwidth: 125e3, CodingRate: 1, Preamble: 8},
			UDP: 2, TCP: ipv6 + tcp, SYN: ipv6 + tcpSYN, Header: 1 + 7 + 1 + 4, Room: 115, Fragment: 2, FurtherHeader: 2,
			Transmit: 0.044, Receive: 0.012,
		},
		{
			// PDCP 1, RLC 2, MAC 2, CRC 3 (3GPP TS 36.321 to 36.323), without compression.
			Name: "nb-iot", Title: "NB-IoT", UpRate: 15.6e3, DownRate: 25.5e3,
			UDP: ipv6 + udp, TCP: ipv6 + tcp, SYN: ipv6 + tcpSYN, Header: 1 + 2 + 2 + 3, Room: 1358,
			Transmit: 0.220, Receive: 0.050,
		},
		{
			Name: "none", Title: "No headers: the messages alone", UpRate: 250e3, DownRate: 250e3, Room: math.MaxInt32,
			Transmit: 0.020, Receive: 0.020,
		},
	}
}

// WithIPv4 returns the link with IPv4 where it carries uncompressed headers of IPv6.
func (l Link) WithIPv4() Link {
	for _, header := range []*int{&l.UDP, &l.TCP, &l.SYN} {
		if *header >= ipv6 {
			*header -= ipv6 - ipv4
		}
	}
	return l
}

// frames returns the contents of the frames that a packet takes, in bytes: headers of
// network and transport as they are sent, and what is behind them. Fragments but the last
// carry a multiple of Unit behind these headers.
func (l *Link) frames(headers, bytes int) []int {
	if headers+bytes <= l.Room {
		return []int{max(headers+bytes, l.Least)}
	}
	var frames []int
	around := l.Fragment
	for rest := headers + bytes; rest > 0; {
		part := l.Room - around
		if rest > part {
			part -= max(part-headers, 0) % max(l.Unit, 1)
		}
		part = min(part, rest)
		frames = append(frames, around+part)
		rest -= part
		around, headers = l.FurtherHeader, 0
	}
	return frames
}

// airTime is how long a frame with this content takes, sent by the node or to it.
func (l *Link) airTime(content int, up bool) time.Duration {
	if l.LoRa != nil {
		return l.LoRa.AirTime(content+l.Header, up)
	}
	return bitTime(content+l.Header, l.rate(up)) + l.PerFrame
}

func (l *Link) rate(up bool) float64 {
	if up {
		return l.UpRate
	}
	return l.DownRate
}

// bitTime is how long bytes take at a bit rate.
func bitTime(bytes int, rate float64) time.Duration {
	return time.Duration(math.Round(float64(bytes) * 8 / rate * float64(time.Second)))
}
