package transport

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"github.com/motewire/coap/peer"
)

// errorQueue runs test in the settings that report ICMP errors.
func errorQueue(t *testing.T, test func(*testing.T, setting)) {
	settings(t, func(t *testing.T, s setting) {
		if strings.Contains(t.Name(), "/native/") {
			test(t, s)
		}
	})
}

// closedPort returns an address of the setting that nobody listens on.
func (s setting) closedPort(t *testing.T) peer.Addr {
	u := s.listen(t, Config{})
	u.Close()
	return s.at(u)
}

// ICMP errors reach the reader with the destination and the datagram concerned, and never
// stop it or a sender, whatever else is in the batch.
func TestRefusedByPeer(t *testing.T) {
	errorQueue(t, func(t *testing.T, s setting) {
		server, closed := s.listen(t, Config{}), s.closedPort(t)
		client := s.listen(t, Config{})
		const pairs = 10
		var batch []Packet
		for i := range pairs {
			batch = append(batch, packet(closed, fmt.Sprint("lost ", i)), packet(s.at(server), fmt.Sprint("good ", i)))
		}
		for i := range pairs { // in one batch, and one by one
			batch = append(batch, packet(closed, fmt.Sprint("lost ", pairs+i)))
		}
		send(t, client, batch[:2*pairs]...)
		for i := range pairs {
			send(t, client, batch[2*pairs+i])
		}
		for i, p := range receive(t, server, pairs, 3) {
			if want := fmt.Sprint("good ", i); p.text() != want {
				t.Errorf("got %q, want %q", p.text(), want)
			}
		}
		for i, p := range receive(t, client, 2*pairs, 7) {
			if want := fmt.Sprint("lost ", i); p.text() != want || p.Peer.Remote() != closed || p.Multicast {
				t.Errorf("report of %q to %v, want %q to %v", p.text(), p.Peer, want, closed)
			}
			if local := p.Peer.Local(); local != s.ask {
				t.Errorf("report of a datagram from %v, want %v", local, s.ask)
			}
			var de *DeliveryError
			if !errors.Is(p.Err, syscall.ECONNREFUSED) || !errors.As(p.Err, &de) || de.Reporter != s.ask {
				t.Errorf("err = %v, want connection refused, says %v", p.Err, s.ask)
			}
		}
		send(t, server, packet(peer.From(netip.AddrPortFrom(s.ask, client.LocalAddr().Port())), "alive"))
		if p := receive(t, client, 1, 1); p[0].Err != nil || p[0].text() != "alive" {
			t.Errorf("got %q, %v, want a datagram", p[0].text(), p[0].Err)
		}
	})
}

// A reader that waits is woken by an error alone.
func TestErrorWakesReader(t *testing.T) {
	errorQueue(t, func(t *testing.T, s setting) {
		closed, client := s.closedPort(t), s.listen(t, Config{})
		for range 20 {
			report := make(chan []Packet)
			go func() {
				defer close(report)
				report <- receive(t, client, 1, 4)
			}()
			send(t, client, packet(closed, "x"))
			if p := <-report; len(p) != 1 || !errors.Is(p[0].Err, syscall.ECONNREFUSED) {
				t.Fatalf("got %v, want connection refused", p)
			}
		}
	})
}

// A socket that never rests still reports the errors whose notice its senders took.
func TestErrorsOfBusySocket(t *testing.T) {
	errorQueue(t, func(t *testing.T, s setting) {
		closed, client := s.closedPort(t), s.listen(t, Config{})
		self := s.at(client)
		send(t, client, packet(closed, "lost"), packet(self, "first")) // the second send takes the notice
		for i := range 100 {
			send(t, client, packet(self, "next"))
			if p := receive(t, client, 1, 1); p[0].Err != nil {
				t.Logf("reported after %d datagrams", i)
				return
			}
		}
		t.Error("the error is not reported while there are datagrams")
	})
}

// An error is reported although a sender took the notice of it, and the socket rests.
func TestErrorTakenBySender(t *testing.T) {
	errorQueue(t, func(t *testing.T, s setting) {
		server, closed, client := s.listen(t, Config{}), s.closedPort(t), s.listen(t, Config{})
		send(t, client, packet(closed, "lost"))
		send(t, client, packet(s.at(server), "good"))
		if p := receive(t, client, 1, 4); p[0].text() != "lost" || !errors.Is(p[0].Err, syscall.ECONNREFUSED) {
			t.Errorf("got %q, %v, want the report", p[0].text(), p[0].Err)
		}
	})
}

// What a call that sent told already is passed over in the error queue, not what follows.
func TestOwnErrorsAreNotReported(t *testing.T) {
	errorQueue(t, func(t *testing.T, s setting) {
		closed, client := s.closedPort(t), s.listen(t, Config{})
		p := []Packet{{Buf: make([]byte, 65536), N: 65536, Peer: closed}, packet(closed, "lost")}
		if n, err := client.WriteBatch(p); n != 1 || err != nil || !errors.Is(p[0].Err, syscall.EMSGSIZE) {
			t.Fatalf("WriteBatch = %d, %v, %v", n, err, p[0].Err)
		}
		if p := receive(t, client, 1, 4); p[0].text() != "lost" || !errors.Is(p[0].Err, syscall.ECONNREFUSED) {
			t.Errorf("got %q, %v, want the report", p[0].text(), p[0].Err)
		}
	})
}

// A socket holds no buffer longer than the call.
func TestBuffersAreReleased(t *testing.T) {
	s := setting{system: native, network: "udp4", ask: loopback4}
	server, client := s.listen(t, Config{}), s.client(t)
	send(t, client, packet(s.at(server), "x"))
	receive(t, server, 1, 8)
	held := []*frames{server.batch.(*mmsg).reader.frames}
	for _, idle := range client.batch.(*mmsg).senders {
		held = append(held, idle.frames)
	}
	if len(held) != 2 {
		t.Fatalf("%d idle senders, want 1", len(held)-1)
	}
	for _, f := range held {
		for i := range f.iovs {
			if f.iovs[i].Base != nil {
				t.Errorf("message %d keeps its buffer", i)
			}
		}
	}
}

func TestDeliveryErrorText(t *testing.T) {
	e := &DeliveryError{Err: syscall.EMSGSIZE}
	if got, want := e.Error(), "transport: send: message too long"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	e = &DeliveryError{Err: syscall.ECONNREFUSED, Reporter: loopback4, Type: 3, Code: 3}
	if got, want := e.Error(), "transport: connection refused, says 127.0.0.1 (ICMP type 3 code 3)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
