package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/message"
	"github.com/motewire/coap/pcapng"
	"github.com/motewire/coap/transport"
)

// A wire tells what passes a client's sockets: -v a line for each message, --pcap a
// capture file. Its methods may be called from several goroutines.
type wire struct {
	out     io.Writer
	verbose countValue
	began   time.Time

	mu      sync.Mutex
	file    *os.File       // nil: no capture
	capture *pcapng.Writer // to file
	err     error          // the first of writing the capture
	last    string         // the Confirmable datagram sent last
	repeats int            // how often it was sent again
	locals  map[netip.Addr]netip.Addr
}

// openWire makes the capture file where one is asked for.
func openWire(out io.Writer, t *travelFlags) (*wire, error) {
	w := &wire{out: out, verbose: t.verbose, began: time.Now(), locals: map[netip.Addr]netip.Addr{}}
	if t.pcap == "" {
		return w, nil
	}
	if err := refuseStandard("--pcap", t.pcap); err != nil {
		return nil, err
	}
	var err error
	if w.file, err = os.Create(t.pcap); err != nil {
		return nil, ioError(err)
	}
	if w.capture, err = pcapng.NewWriter(w.file); err != nil {
		w.file.Close()
		return nil, ioError(err)
	}
	return w, nil
}

// close ends the capture. It returns the first error that writing it met.
func (w *wire) close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.file == nil {
		return nil
	}
	return ioError(errors.Join(w.err, w.capture.Close(), w.file.Close()))
}

// listens tells whether anybody wants to know what passes.
func (w *wire) listens() bool { return w.file != nil || w.verbose > 0 }

// tap tells of the datagrams of a socket, before they are sent or handed on.
func (w *wire) tap(conn transport.Conn) func(transport.Fate) {
	return func(f transport.Fate) {
		w.mu.Lock()
		defer w.mu.Unlock()
		now := time.Now()
		p := &f.Packet
		remote, datagram := p.Peer.AddrPort(), p.Buf[:p.N]
		local := w.local(netip.AddrPortFrom(p.Peer.Local(), conn.LocalAddr().Port()), remote)
		if f.Sent {
			w.line(now, ">", remote, datagram, w.sentNote(f))
		} else {
			w.line(now, "<", remote, datagram, receivedNote(f))
		}
		switch {
		case !f.Sent:
			w.record(now, remote, local, datagram)
		case !f.Dropped: // else it never gets to the wire
			w.record(now, local, remote, datagram)
		}
	}
}

// sentNote says what is special about a datagram that is sent.
func (w *wire) sentNote(f transport.Fate) string {
	var notes []string
	if datagram := string(f.Packet.Buf[:f.Packet.N]); datagram != w.last {
		w.repeats = 0
		if m := dissect([]byte(datagram)); m.kind == message.Confirmable {
			w.last = datagram
		}
	} else {
		w.repeats++
		notes = append(notes, fmt.Sprintf("retransmission %d", w.repeats))
	}
	if f.Dropped {
		notes = append(notes, "lost")
	}
	return strings.Join(notes, ", ")
}

func receivedNote(f transport.Fate) string {
	switch {
	case f.Dropped:
		return "lost"
	case f.Packet.Truncated:
		return "cut short"
	}
	return ""
}

// trace returns hooks that tell of datagrams the network refuses; nil where nobody wants
// to know.
func (w *wire) trace() *coap.Trace {
	if w.verbose == 0 {
		return nil
	}
	refused := func(d coap.TraceDatagram) {
		if d.Err != nil {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.line(d.Time, "!", d.Peer, nil, strings.TrimPrefix(d.Err.Error(), "transport: "))
		}
	}
	return &coap.Trace{Sent: refused, Received: refused}
}

// line prints a message: the time since the start, the direction, the peer, what it says.
func (w *wire) line(at time.Time, arrow string, peer netip.AddrPort, datagram []byte, note string) {
	if w.verbose == 0 {
		return
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %v", seconds(at.Sub(w.began).Truncate(time.Microsecond)), arrow, peer)
	if len(datagram) > 0 {
		m := dissect(datagram)
		if m.malformed == nil {
			fmt.Fprintf(&b, " %v", &m.view)
		} else {
			fmt.Fprintf(&b, " malformed: %s", fullRuleText(m.malformed))
		}
	}
	if note != "" {
		fmt.Fprintf(&b, " (%s)", note)
	}
	b.WriteByte('\n')
	if w.verbose > 1 && len(datagram) > 0 {
		b.WriteString(indented(hex.Dump(datagram)))
	}
	_, _ = io.WriteString(w.out, b.String()) // nobody is left to be told
}

// record adds a datagram to the capture, where whoever follows the file sees it at once.
func (w *wire) record(at time.Time, from, to netip.AddrPort, datagram []byte) {
	if w.file == nil {
		return
	}
	err := w.capture.WriteDatagram(at, from, to, datagram)
	if err == nil {
		err = w.capture.Flush()
	}
	if err != nil && w.err == nil {
		w.err = err
	}
}

// local completes the local address of a datagram. A socket that is bound to none in
// particular does not know it, the system's routes to the peer do.
func (w *wire) local(known, remote netip.AddrPort) netip.AddrPort {
	if a := known.Addr(); w.file == nil || a.IsValid() && !a.IsUnspecified() {
		return known
	}
	addr, found := w.locals[remote.Addr()]
	if !found {
		if conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(remote)); err == nil { // sends nothing
			addr = conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
			conn.Close()
		}
		w.locals[remote.Addr()] = addr
	}
	return netip.AddrPortFrom(addr, known.Port())
}
