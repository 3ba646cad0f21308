package main

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// A tally counts what was decoded, and the frames of a capture that were passed over by
// reason.
type tally struct {
	messages, malformed int
	passed              []reason            // in the order of the capture
	sockets             map[socketPair]bool // connections that have become WebSockets for CoAP
}

// A reason is why frames were passed over.
type reason struct {
	name   string
	frames int
}

// Why a frame is passed over.
const (
	overTCP       = "CoAP over TCP"
	overTLS       = "CoAP over TLS"
	overWebSocket = "CoAP over WebSockets"
	overDTLS      = "DTLS"
	otherTCP      = "TCP"
	otherUDP      = "other UDP"
	fragment      = "IP fragment"
	cutShort      = "cut short by the capture"
	noTransport   = "neither UDP nor TCP"
)

// pass counts a frame.
func (t *tally) pass(name string) {
	i := slices.IndexFunc(t.passed, func(r reason) bool { return r.name == name })
	if i < 0 {
		i = len(t.passed)
		t.passed = append(t.passed, reason{name: name})
	}
	t.passed[i].frames++
}

// String is the summary of a decoded capture.
func (t *tally) String() string {
	noun := "messages"
	if t.messages == 1 {
		noun = "message"
	}
	s := fmt.Sprintf("%d %s, %d of them malformed", t.messages, noun, t.malformed)
	separator, secured := "; frames not decoded: ", false
	for _, r := range t.passed {
		s += fmt.Sprintf("%s%d %s", separator, r.frames, r.name)
		separator = ", "
		secured = secured || r.name == overDTLS || strings.HasPrefix(r.name, overTCP[:len("CoAP over")])
	}
	if secured {
		s += "; CoAP is decoded over UDP alone, without DTLS"
	}
	return s
}

// A socketPair is a connection, the lesser end first.
type socketPair [2]netip.AddrPort

// passStream counts a frame without UDP. CoAP over TCP and TLS is known by its ports (RFC
// 8323 §8.1, §8.2), over WebSockets by the subprotocol that a handshake names (§4.1).
func (t *tally) passStream(p gopacket.Packet) {
	tcp, ok := p.Layer(layers.LayerTypeTCP).(*layers.TCP)
	if !ok {
		t.pass(noTransport)
		return
	}
	from, to := addresses(p.NetworkLayer())
	pair := socketPair{netip.AddrPortFrom(from, uint16(tcp.SrcPort)), netip.AddrPortFrom(to, uint16(tcp.DstPort))}
	slices.SortFunc(pair[:], netip.AddrPort.Compare)
	switch ports := []uint16{pair[0].Port(), pair[1].Port()}; {
	case slices.Contains(ports, defaultPort):
		t.pass(overTCP)
	case slices.Contains(ports, securePort):
		t.pass(overTLS)
	case t.sockets[pair], upgradesToCoAP(tcp.Payload):
		if t.sockets == nil {
			t.sockets = map[socketPair]bool{}
		}
		t.sockets[pair] = true
		t.pass(overWebSocket)
	default:
		t.pass(otherTCP)
	}
}

// upgradesToCoAP recognises the handshake of a WebSocket for CoAP.
func upgradesToCoAP(b []byte) bool {
	return bytes.HasPrefix(b, []byte("GET ")) && bytes.Contains(bytes.ToLower(b), []byte("\r\nsec-websocket-protocol: coap\r\n"))
}

// unknownLink is what the capture library calls a link type that it can't decode.
const unknownLink = "UnknownLinkType"

// linkName says what frames of a link type are that can't be decoded.
func linkName(link layers.LinkType) string {
	names := map[layers.LinkType]string{
		195: "IEEE 802.15.4", 215: "IEEE 802.15.4", 230: "IEEE 802.15.4", 283: "IEEE 802.15.4",
		187: "Bluetooth", 201: "Bluetooth", 251: "Bluetooth", 256: "Bluetooth", 272: "Nordic BLE",
	}
	if name := names[link]; name != "" {
		return fmt.Sprintf("%s (link type %d)", name, uint16(link))
	}
	return fmt.Sprintf("of link type %d", uint16(link))
}
