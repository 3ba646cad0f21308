package transport

import (
	"runtime"
	"testing"
)

// What the receive buffer has no room for is counted, on Linux; the rest arrives.
func TestReceiveDrops(t *testing.T) {
	settings(t, func(t *testing.T, s setting) {
		server, client := s.listen(t, Config{ReceiveBuffer: 1}), s.client(t)
		if n, _ := server.ReceiveDrops(); n != 0 {
			t.Fatalf("%d drops before the first datagram", n)
		}
		const sent = 100
		p := make([]Packet, sent)
		for i := range p {
			p[i] = packet(s.at(server), string(make([]byte, 1000)))
		}
		send(t, client, p...)
		n, ok := server.ReceiveDrops()
		if runtime.GOOS != "linux" || s.system.name != native.name {
			if n != 0 || ok {
				t.Errorf("%d drops, known: %v, where the system does not tell", n, ok)
			}
			return
		}
		if !ok || n == 0 || n >= sent {
			t.Fatalf("%d drops of %d datagrams, known: %v", n, sent, ok)
		}
		receive(t, server, sent-int(n), MaxBatch)
		server.Close()
		if after, ok := server.ReceiveDrops(); after != n || !ok {
			t.Errorf("%d drops after Close, known: %v, want %d", after, ok, n)
		}
	})
}

// The system's counter has 32 bits, ours goes on.
func TestReceiveDropsWrap(t *testing.T) {
	var d drops
	for _, step := range []struct {
		now  uint32
		want uint64
	}{{5, 5}, {1<<32 - 1, 1<<32 - 1}, {3, 1<<32 + 3}} {
		if d.add(step.now); d.total != step.want {
			t.Errorf("at %d: %d, want %d", step.now, d.total, step.want)
		}
	}
}

// A wrapper tells what the Conn within knows.
func TestReceiveDropsOfLossy(t *testing.T) {
	u := mustListen(t, native, "udp", "127.0.0.1:0", Config{})
	n, ok := Lossy(u, LossyConfig{}).(DropCounter).ReceiveDrops()
	if wantN, want := u.ReceiveDrops(); n != wantN || ok != want {
		t.Errorf("%d, %v, want %d, %v", n, ok, wantN, want)
	}
	if n, ok := Lossy(struct{ Conn }{u}, LossyConfig{}).(DropCounter).ReceiveDrops(); n != 0 || ok {
		t.Errorf("%d drops, known: %v, of a Conn that can't count", n, ok)
	}
}
