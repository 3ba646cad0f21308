package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"github.com/motewire/coap/pcapng"
)

// captures is where the exchanges of other implementations lie, each as a capture file
// with a list of the messages in it.
const captures = "../../testdata/captures"

// A jsonRow is an object of decode --json, or of a list of messages.
type jsonRow map[string]any

func jsonRows(t *testing.T, text string) []jsonRow {
	t.Helper()
	var rows []jsonRow
	for line := range strings.Lines(text) {
		row := jsonRow{}
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		rows = append(rows, row)
	}
	return rows
}

// oracleFields are the fields that decode --json gives for a message.
var oracleFields = []string{
	"frame", "time", "proto", "src", "sport", "dst", "dport", "raw",
	"version", "type", "code", "mid", "token", "options", "payload",
}

// longTokens is the capture of RFC 8974's extended tokens, which are malformed by RFC
// 7252 §3.
const longTokens = "s29-exttoken-libcoap-libcoap"

// Every datagram of the captures over plain UDP decodes to what two other decoders agreed
// on.
func TestDecodeGivesTheRowsOfTheCaptures(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(captures, "*.pcap"))
	if err != nil || len(files) < 37 {
		t.Fatalf("%d captures, %v", len(files), err)
	}
	rows := 0
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".pcap")
		t.Run(name, func(t *testing.T) {
			oracle, err := os.ReadFile(strings.TrimSuffix(file, ".pcap") + ".jsonl")
			if err != nil {
				t.Fatal(err)
			}
			var want []jsonRow
			for _, row := range jsonRows(t, string(oracle)) {
				if row["proto"] == "udp" {
					want = append(want, row)
				}
			}
			rows += len(want)
			got := command(t, "", "decode", "--json", "-f", file)
			compareRows(t, name, jsonRows(t, got.stdout), want)
			checkStatus(t, got)
		})
	}
	if rows != 1690 {
		t.Errorf("%d rows in all, want 1690", rows)
	}
}

func compareRows(t *testing.T, name string, got, want []jsonRow) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d messages, want %d", len(got), len(want))
	}
	for i := range want {
		_, malformed := want[i]["error"]
		fields := oracleFields
		if malformed || name == longTokens {
			fields = fields[:8]
			if _, ok := got[i]["error"]; !ok {
				t.Errorf("frame %v decodes, but is malformed", got[i]["frame"])
			}
		}
		for _, field := range fields {
			value, ok := got[i][field]
			if diff := cmp.Diff(want[i][field], value); diff != "" || !ok {
				t.Errorf("frame %v, %s (-want +got):\n%s", want[i]["frame"], field, diff)
			}
		}
	}
}

// checkStatus compares the exit status with what was printed.
func checkStatus(t *testing.T, got result) {
	t.Helper()
	want := exitOK
	if strings.Contains(got.stdout, `"error":`) {
		want = exitProtocol
	}
	if got.status != want {
		t.Errorf("status %d, want %d", got.status, want)
	}
}

// What is not decoded is counted.
func TestDecodeCountsWhatItPassesOver(t *testing.T) {
	const udpAlone = "; CoAP is decoded over UDP alone, without DTLS\n"
	for name, want := range map[string]string{
		"s01-basic-libcoap-libcoap":   "coap: 42 messages, 0 of them malformed\n",
		"s24-ws-libcoap-libcoap":      "coap: 0 messages, 0 of them malformed; frames not decoded: 21 TCP, 124 CoAP over WebSockets" + udpAlone,
		"s23-tcp-libcoap-libcoap":     "coap: 0 messages, 0 of them malformed; frames not decoded: 148 CoAP over TCP" + udpAlone,
		"s31-dtlspsk-libcoap-libcoap": "coap: 0 messages, 0 of them malformed; frames not decoded: 37 DTLS" + udpAlone,
		longTokens:                    "coap: 12 messages, 12 of them malformed\n",
	} {
		if got := command(t, "", "decode", "-f", filepath.Join(captures, name+".pcap")); got.stderr != want {
			t.Errorf("%s: %q, want %q", name, got.stderr, want)
		}
	}
}

var (
	ping   = []byte{0x40, 0, 0x12, 0x34}
	broken = []byte{0x49, 1, 0x12, 0x34}
	mac    = []byte{2, 0, 0, 0, 0, 1}
	plain  = &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolUDP, SrcIP: []byte{192, 0, 2, 1}, DstIP: []byte{192, 0, 2, 2}}
)

// frame serialises layers, the UDP one with a payload, as they come.
func frame(t *testing.T, l ...gopacket.SerializableLayer) []byte {
	t.Helper()
	b := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true}, l...); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// ports returns a UDP header.
func ports(src, dst int) *layers.UDP {
	return &layers.UDP{SrcPort: layers.UDPPort(src), DstPort: layers.UDPPort(dst)}
}

// pcapFile makes a capture file of frames, one a second; original is the length of each
// before the capture cut it, where that is more.
func pcapFile(t *testing.T, link layers.LinkType, original int, frames ...[]byte) string {
	t.Helper()
	var b bytes.Buffer
	w := pcapgo.NewWriterNanos(&b)
	if err := w.WriteFileHeader(65535, link); err != nil {
		t.Fatal(err)
	}
	for i, f := range frames {
		info := gopacket.CaptureInfo{Timestamp: time.Unix(int64(1000+i), 5), CaptureLength: len(f), Length: max(len(f), original)}
		if err := w.WritePacket(info, f); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

func TestDecodeLinkTypes(t *testing.T) {
	udp, payload := ports(40000, 5683), gopacket.Payload(ping)
	ipv4 := frame(t, plain, udp, payload)
	ipv6 := frame(t, &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: layers.IPProtocolUDP,
		SrcIP: netip.MustParseAddr("2001:db8::1").AsSlice(), DstIP: netip.MustParseAddr("2001:db8::2").AsSlice()}, udp, payload)
	ethernet := &layers.Ethernet{SrcMAC: mac, DstMAC: mac, EthernetType: layers.EthernetTypeIPv4}
	tagged := &layers.Ethernet{SrcMAC: mac, DstMAC: mac, EthernetType: layers.EthernetTypeDot1Q}
	sll := append([]byte{0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 0x08, 0x00}, ipv4...)
	sll2 := append([]byte{0x86, 0xdd, 0, 0, 0, 0, 0, 1, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0}, ipv6...)
	padding := gopacket.Payload(make([]byte, 20))
	tests := []struct {
		name  string
		link  layers.LinkType
		frame []byte
		src   string
	}{
		{"Ethernet", layers.LinkTypeEthernet, append(frame(t, ethernet, gopacket.Payload(ipv4)), padding...), "192.0.2.1"},
		{"VLAN", layers.LinkTypeEthernet, frame(t, tagged, &layers.Dot1Q{VLANIdentifier: 7, Type: layers.EthernetTypeIPv4}, gopacket.Payload(ipv4)), "192.0.2.1"},
		{"two VLANs", layers.LinkTypeEthernet, frame(t, tagged, &layers.Dot1Q{VLANIdentifier: 7, Type: layers.EthernetTypeDot1Q},
			&layers.Dot1Q{VLANIdentifier: 8, Type: layers.EthernetTypeIPv4}, gopacket.Payload(ipv4)), "192.0.2.1"},
		{"PPP", layers.LinkTypePPP, append([]byte{0xff, 0x03, 0x00, 0x21}, ipv4...), "192.0.2.1"},
		{"PPP, compressed", layers.LinkTypePPP, append([]byte{0x21}, ipv4...), "192.0.2.1"},
		{"raw IPv4", layers.LinkTypeRaw, ipv4, "192.0.2.1"},
		{"raw IPv6", layers.LinkTypeRaw, ipv6, "2001:db8::1"},
		{"raw, BSD", 12, ipv4, "192.0.2.1"},
		{"IPv4", layers.LinkTypeIPv4, ipv4, "192.0.2.1"},
		{"IPv6", layers.LinkTypeIPv6, ipv6, "2001:db8::1"},
		{"loopback", layers.LinkTypeNull, append([]byte{2, 0, 0, 0}, ipv4...), "192.0.2.1"},
		{"loopback IPv6", layers.LinkTypeNull, append([]byte{30, 0, 0, 0}, ipv6...), "2001:db8::1"},
		{"Linux cooked", layers.LinkTypeLinuxSLL, sll, "192.0.2.1"},
		{"Linux cooked v2", layers.LinkTypeLinuxSLL2, sll2, "2001:db8::1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := command(t, pcapFile(t, tt.link, 0, tt.frame), "decode", "--json")
			rows := jsonRows(t, got.stdout)
			if len(rows) != 1 || rows[0]["src"] != tt.src || rows[0]["raw"] != "40001234" {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestDecodePassesOver(t *testing.T) {
	payload := gopacket.Payload(ping)
	fragment := *plain
	fragment.Flags = layers.IPv4MoreFragments
	tcp := *plain
	tcp.Protocol = layers.IPProtocolTCP
	whole := frame(t, plain, ports(40000, 5683), payload)
	dtls := gopacket.Payload(append([]byte{22, 0xfe, 0xfd}, make([]byte, 12)...))
	tests := []struct {
		name     string
		frame    []byte
		original int
		want     string
	}{
		{"a fragment", frame(t, &fragment, ports(40000, 5683), payload), 0, "1 IP fragment"},
		{"TCP", frame(t, &tcp, &layers.TCP{DataOffset: 5}), 0, "1 TCP"},
		{"payload cut", whole[:len(whole)-1], len(whole), "1 cut short by the capture"},
		{"header cut", whole[:24], len(whole), "1 cut short by the capture"},
		{"no IP", []byte{0x90, 1, 2}, 0, "1 neither UDP nor TCP"},
		{"nothing", nil, 0, "1 neither UDP nor TCP"},
		{"another protocol", frame(t, plain, ports(40000, 53), gopacket.Payload(broken)), 0, "1 other UDP"},
		{"DTLS elsewhere", frame(t, plain, ports(40000, 9999), dtls), 0, "1 DTLS; CoAP is decoded over UDP alone, without DTLS"},
		{"TLS", frame(t, &tcp, &layers.TCP{DataOffset: 5, DstPort: 5684}), 0, "1 CoAP over TLS; CoAP is decoded over UDP alone, without DTLS"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := command(t, pcapFile(t, layers.LinkTypeRaw, tt.original, tt.frame), "decode")
			want := result{exitOK, "", "coap: 0 messages, 0 of them malformed; frames not decoded: " + tt.want + "\n"}
			if got != want {
				t.Errorf("%+v, want %+v", got, want)
			}
		})
	}
}

// Frames of a link that can't be decoded are counted by what they are.
func TestDecodeNamesTheLink(t *testing.T) {
	for link, want := range map[layers.LinkType]string{
		195: "1 IEEE 802.15.4 (link type 195)", 283: "1 IEEE 802.15.4 (link type 283)", 147: "1 of link type 147",
	} {
		got := command(t, pcapFile(t, link, 0, []byte{0x41, 0x88, 1}), "decode", "-")
		want := result{exitOK, "", "coap: 0 messages, 0 of them malformed; frames not decoded: " + want + "\n"}
		if got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
}

func TestDecodePorts(t *testing.T) {
	file := pcapFile(t, layers.LinkTypeRaw, 0,
		frame(t, plain, ports(40000, 5683), gopacket.Payload(ping)),
		frame(t, plain, ports(5683, 40000), gopacket.Payload(broken)),
		frame(t, plain, ports(40000, 7000), gopacket.Payload(ping)),
		frame(t, plain, ports(7000, 40000), gopacket.Payload(broken)),
		frame(t, plain, ports(40000, 7001), gopacket.Payload(ping)),
	)
	tests := []struct {
		args []string
		want string // frames
	}{
		{nil, "[1 2 3 5]"},
		{[]string{"--port", "7000"}, "[3 4]"},
		{[]string{"--port", "7000", "--port", "7001"}, "[3 4 5]"},
		{[]string{"--port", "7000,5683"}, "[1 2 3 4]"},
	}
	for _, tt := range tests {
		got := command(t, file, append([]string{"decode", "--json"}, tt.args...)...)
		var frames []any
		for _, row := range jsonRows(t, got.stdout) {
			frames = append(frames, row["frame"])
		}
		if fmt.Sprint(frames) != tt.want {
			t.Errorf("%v: frames %v, want %v", tt.args, frames, tt.want)
		}
	}
}

func TestDecodePcapng(t *testing.T) {
	var file bytes.Buffer
	w, err := pcapng.NewWriter(&file)
	if err != nil {
		t.Fatal(err)
	}
	client, server := netip.MustParseAddrPort("[2001:db8::1]:40000"), netip.MustParseAddrPort("[2001:db8::2]:5683")
	start := time.Unix(1000, 0)
	for i, at := range []time.Duration{0, 1234567890} {
		if err := w.WriteDatagram(start.Add(at), client, server, []byte{0x40, 0, 0, byte(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	got := command(t, file.String(), "decode", "--json", "-f", "-")
	const common = `"proto":"udp","src":"2001:db8::1","sport":40000,"dst":"2001:db8::2","dport":5683,`
	const fields = `"version":1,"type":0,"code":"0.00","mid":%d,"token":"","options":[],"payload":null}` + "\n"
	want := fmt.Sprintf(`{"frame":1,"time":0.000000,`+common+`"raw":"40000000",`+fields, 0) +
		fmt.Sprintf(`{"frame":2,"time":1.234567890,`+common+`"raw":"40000001",`+fields, 1)
	if diff := cmp.Diff(want, got.stdout); diff != "" || got.status != exitOK {
		t.Errorf("status %d (-want +got):\n%s", got.status, diff)
	}
}

// A damaged file gives what stands before the damage, and an error that is no usage error.
func TestDecodeDamagedCapture(t *testing.T) {
	whole, err := os.ReadFile(filepath.Join(captures, "s26-noresponse-aiocoap-libcoap.pcap"))
	if err != nil {
		t.Fatal(err)
	}
	const header, frameHeader = 24, 16
	second := header + frameHeader + int(whole[header+8]) // frames here are below 256 bytes
	for _, size := range []int{5, header - 1, second - 1, second + 1, second + frameHeader, second + frameHeader + 1} {
		got := command(t, string(whole[:size]), "decode", "--json")
		messages := 0
		if size >= second {
			messages = 1
		}
		if got.status != exitIO || len(jsonRows(t, got.stdout)) != messages || !strings.Contains(got.stderr, "frame ") {
			t.Errorf("%d bytes: %+v", size, got)
		}
		if size > second && !strings.Contains(got.stderr, "the capture ends in the middle of frame 2\n") {
			t.Errorf("%d bytes: %q", size, got.stderr)
		}
	}
}

// FuzzDecodeCapture is for what the capture library makes of hostile files: an exit
// status that is documented, and no panic.
func FuzzDecodeCapture(f *testing.F) {
	whole, err := os.ReadFile(filepath.Join(captures, "s26-noresponse-aiocoap-libcoap.pcap"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole[:24+2*(16+56)])
	var ng bytes.Buffer
	w, err := pcapng.NewWriter(&ng)
	if err != nil {
		f.Fatal(err)
	}
	client, server := netip.MustParseAddrPort("192.0.2.1:40000"), netip.MustParseAddrPort("192.0.2.2:5683")
	if err := errors.Join(w.WriteDatagram(time.Unix(1, 0), client, server, ping), w.Close()); err != nil {
		f.Fatal(err)
	}
	f.Add(ng.Bytes())
	f.Fuzz(func(t *testing.T, file []byte) {
		got := command(t, string(file), "decode")
		switch got.status {
		case exitOK, exitUsage, exitIO, exitProtocol:
		default:
			t.Errorf("status %d", got.status)
		}
	})
}
