package pcapng

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

var (
	client4 = netip.MustParseAddrPort("192.0.2.1:49152")
	server4 = netip.MustParseAddrPort("192.0.2.2:5683")
	client6 = netip.MustParseAddrPort("[2001:db8::1]:49152")
	server6 = netip.MustParseAddrPort("[2001:db8::2]:5683")
)

// capture runs write on a Writer and returns the file.
func capture(t *testing.T, write func(*Writer)) []byte {
	t.Helper()
	var file bytes.Buffer
	w, err := NewWriter(&file)
	if err != nil {
		t.Fatal(err)
	}
	write(w)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

type packet struct {
	at   time.Time
	data []byte
}

// read returns the packets of a capture file, as another program finds them.
func read(t *testing.T, file []byte) []packet {
	t.Helper()
	r, err := pcapgo.NewNgReader(bytes.NewReader(file), pcapgo.DefaultNgReaderOptions)
	if err != nil {
		t.Fatal(err)
	}
	var packets []packet
	for {
		data, info, err := r.ReadPacketData()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if info.Length != len(data) || info.CaptureLength != len(data) {
			t.Errorf("lengths %d, %d of a packet of %d bytes", info.Length, info.CaptureLength, len(data))
		}
		packets = append(packets, packet{info.Timestamp, data})
	}
	if r.LinkType() != layers.LinkTypeRaw {
		t.Errorf("link type %v, want raw IP (101)", r.LinkType())
	}
	return packets
}

func TestDatagramsComeBackAsWritten(t *testing.T) {
	at := time.Unix(1_700_000_000, 123_456_789)
	tests := []struct {
		name     string
		from, to netip.AddrPort
		payload  []byte
	}{
		{"IPv4", client4, server4, []byte("@\x01\x30\x39\xb1a")},
		{"IPv6", server6, client6, []byte("`E\x30\x39\xffx")},
		{"empty payload", client4, server4, nil},
		{"odd length", client6, server6, []byte{1, 2, 3}},
		{"multicast", client4, netip.MustParseAddrPort("224.0.1.187:5683"), []byte{0x50, 1, 0, 1}},
		{"largest IPv4", client4, server4, bytes.Repeat([]byte{0xa5}, maxPayload4)},
		{"largest IPv6", client6, server6, bytes.Repeat([]byte{0xa5}, maxPayload6)},
	}
	file := capture(t, func(w *Writer) {
		for i, tt := range tests {
			if err := w.WriteDatagram(at.Add(time.Duration(i)), tt.from, tt.to, tt.payload); err != nil {
				t.Fatalf("%s: %v", tt.name, err)
			}
		}
	})
	packets := read(t, file)
	if len(packets) != len(tests) {
		t.Fatalf("%d packets, want %d", len(packets), len(tests))
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if want := at.Add(time.Duration(i)); !packets[i].at.Equal(want) {
				t.Errorf("time %v, want %v", packets[i].at, want)
			}
			checkPacket(t, packets[i].data, tt.from, tt.to, tt.payload)
		})
	}
}

func checkPacket(t *testing.T, data []byte, from, to netip.AddrPort, payload []byte) {
	t.Helper()
	p := gopacket.NewPacket(data, layers.LinkTypeRaw, gopacket.Default)
	if e := p.ErrorLayer(); e != nil {
		t.Fatal(e.Error())
	}
	if p.Metadata().Truncated {
		t.Error("truncated")
	}
	flow := p.NetworkLayer().NetworkFlow()
	udp := p.TransportLayer().(*layers.UDP)
	got := fmt.Sprint(flow.Src(), " ", uint16(udp.SrcPort), " ", flow.Dst(), " ", uint16(udp.DstPort))
	want := fmt.Sprint(from.Addr(), " ", from.Port(), " ", to.Addr(), " ", to.Port())
	if got != want {
		t.Errorf("endpoints %s, want %s", got, want)
	}
	if !bytes.Equal(udp.Payload, payload) {
		t.Errorf("payload of %d bytes differs from the %d written", len(udp.Payload), len(payload))
	}
	checkSums(t, data)
}

// checkSums adds up the checksums by hand (RFC 768, RFC 791 §3.1, RFC 8200 §8.1).
func checkSums(t *testing.T, data []byte) {
	t.Helper()
	var addresses, udp []byte
	if data[0]>>4 == 4 {
		addresses, udp = data[12:20], data[20:]
		if sum := onesSum(data[:20]); sum != 0xffff {
			t.Errorf("IPv4 header sums to %#x", sum)
		}
	} else {
		addresses, udp = data[8:40], data[40:]
	}
	pseudo := append([]byte{}, addresses...)
	pseudo = binary.BigEndian.AppendUint32(pseudo, uint32(len(udp)))
	pseudo = binary.BigEndian.AppendUint32(pseudo, 17)
	if binary.BigEndian.Uint16(udp[6:]) == 0 {
		t.Error("no UDP checksum")
	}
	if sum := onesSum(append(pseudo, udp...)); sum != 0xffff {
		t.Errorf("UDP datagram sums to %#x", sum)
	}
}

func onesSum(b []byte) uint32 {
	var sum uint32
	for i := range b {
		sum += uint32(b[i]) << (8 * (1 - i&1))
		sum = sum>>16 + sum&0xffff
	}
	return sum
}

func TestMappedAddressesAreIPv4(t *testing.T) {
	mapped := netip.MustParseAddrPort("[::ffff:192.0.2.1]:49152")
	file := capture(t, func(w *Writer) {
		if err := w.WriteDatagram(time.Unix(1, 0), mapped, server4, []byte("x")); err != nil {
			t.Fatal(err)
		}
	})
	checkPacket(t, read(t, file)[0].data, client4, server4, []byte("x"))
}

func TestRefusedDatagramsLeaveNoTrace(t *testing.T) {
	tests := []struct {
		name     string
		from, to netip.AddrPort
		size     int
		want     error
	}{
		{"two families", client4, server6, 1, ErrAddress},
		{"no source", netip.AddrPort{}, server4, 1, ErrAddress},
		{"no destination", client4, netip.AddrPort{}, 1, ErrAddress},
		{"too large for IPv4", client4, server4, maxPayload4 + 1, ErrTooLarge},
		{"too large for IPv6", client6, server6, maxPayload6 + 1, ErrTooLarge},
	}
	file := capture(t, func(w *Writer) {
		for _, tt := range tests {
			err := w.WriteDatagram(time.Unix(1, 0), tt.from, tt.to, make([]byte, tt.size))
			if !errors.Is(err, tt.want) {
				t.Errorf("%s: error %v, want %v", tt.name, err, tt.want)
			}
		}
	})
	if n := len(read(t, file)); n != 0 {
		t.Errorf("%d packets in the file", n)
	}
}

func TestTimeBefore1970(t *testing.T) {
	file := capture(t, func(w *Writer) {
		if err := w.WriteDatagram(time.Time{}, client4, server4, nil); err != nil {
			t.Fatal(err)
		}
	})
	if at := read(t, file)[0].at; !at.Equal(time.Unix(0, 0)) {
		t.Errorf("time %v, want 1970", at)
	}
}

func TestFlushMakesTheFileReadable(t *testing.T) {
	var file bytes.Buffer
	w, err := NewWriter(&file)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if err := w.WriteDatagram(time.Unix(1, 0), client4, server4, []byte{byte(i)}); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		if n := len(read(t, file.Bytes())); n != i+1 {
			t.Errorf("%d packets after %d writes", n, i+1)
		}
	}
}

func TestClose(t *testing.T) {
	capture(t, func(w *Writer) {
		for range 2 {
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.WriteDatagram(time.Unix(1, 0), client4, server4, nil); !errors.Is(err, ErrClosed) {
			t.Errorf("error %v, want ErrClosed", err)
		}
	})
}

var errFull = errors.New("disk full")

// A fullDisk takes no byte.
type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errFull }

func TestErrorsOfTheUnderlyingWriter(t *testing.T) {
	w, err := NewWriter(fullDisk{})
	if err != nil {
		t.Fatal(err) // the header is still in the buffer
	}
	if err := w.WriteDatagram(time.Unix(1, 0), client4, server4, make([]byte, 60000)); !errors.Is(err, errFull) {
		t.Errorf("WriteDatagram: %v, want %v", err, errFull)
	}
	if err := w.Flush(); !errors.Is(err, errFull) {
		t.Errorf("Flush: %v, want %v", err, errFull)
	}
	if err := w.Close(); !errors.Is(err, errFull) {
		t.Errorf("Close: %v, want %v", err, errFull)
	}
}

func TestConcurrentUse(t *testing.T) {
	const writers, each = 8, 50
	file := capture(t, func(w *Writer) {
		var wg sync.WaitGroup
		for i := range writers {
			wg.Go(func() {
				for range each {
					if err := w.WriteDatagram(time.Unix(1, 0), client4, server4, bytes.Repeat([]byte{byte(i)}, 100)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
	})
	count := map[byte]int{}
	for _, p := range read(t, file) {
		payload := p.data[28:]
		if !bytes.Equal(payload, bytes.Repeat(payload[:1], 100)) {
			t.Fatalf("mixed packet %s", hex.EncodeToString(payload))
		}
		count[payload[0]]++
	}
	for i := range writers {
		if count[byte(i)] != each {
			t.Errorf("%d packets of writer %d, want %d", count[byte(i)], i, each)
		}
	}
}
