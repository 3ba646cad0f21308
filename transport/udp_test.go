package transport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/motewire/coap/peer"
)

// A setting is one way to use sockets with one kind of address.
type setting struct {
	system  system
	network string
	bind    netip.Addr // of a server; invalid is the wildcard of network
	ask     netip.Addr // where clients ask it
}

var (
	loopback4 = netip.MustParseAddr("127.0.0.1")
	loopback6 = netip.IPv6Loopback()
)

// settings runs test in each setting that this host has.
func settings(t *testing.T, test func(*testing.T, setting)) {
	for _, sys := range []struct {
		name string
		system
	}{{"native", native}, {"portable", portableSystem}} {
		for _, s := range []setting{
			{network: "udp4", bind: loopback4, ask: loopback4},
			{network: "udp6", bind: loopback6, ask: loopback6},
			{network: "udp4", ask: loopback4},
			{network: "udp6", ask: loopback6},
			{network: "udp", ask: loopback4},
			{network: "udp", ask: loopback6},
		} {
			s.system = sys.system
			bind := "any"
			if s.bind.IsValid() {
				bind = "one"
			}
			t.Run(fmt.Sprintf("%s/%s/%s/%s", sys.name, s.network, bind, s.ask), func(t *testing.T) { test(t, s) })
		}
	}
}

func (s setting) listen(t testing.TB, cfg Config) *UDP {
	t.Helper()
	host := ""
	if s.bind.IsValid() {
		host = s.bind.String()
	}
	return mustListen(t, s.system, s.network, net.JoinHostPort(host, "0"), cfg)
}

func mustListen(t testing.TB, sys system, network, address string, cfg Config) *UDP {
	t.Helper()
	u, err := listen(context.Background(), network, address, cfg, sys)
	if errors.Is(err, syscall.EAFNOSUPPORT) || errors.Is(err, syscall.EADDRNOTAVAIL) {
		t.Skipf("this host does not have the address family: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { u.Close() })
	return u
}

// client opens a socket that asks the setting's servers.
func (s setting) client(t testing.TB) *UDP {
	t.Helper()
	s.bind = s.ask
	return s.listen(t, Config{})
}

// at is where to ask server.
func (s setting) at(server *UDP) peer.Addr {
	return peer.From(netip.AddrPortFrom(s.ask, server.LocalAddr().Port()))
}

// patience ends a read that waits for what never comes. It is no part of a test that passes.
const patience = 20 * time.Second

// receive reads n packets, in batches of up to batch.
func receive(t testing.TB, c Conn, n, batch int) []Packet {
	t.Helper()
	watchdog := time.AfterFunc(patience, func() { c.Close() })
	defer watchdog.Stop()
	var all []Packet
	for len(all) < n {
		p := buffers(batch, 2048)
		k, err := c.ReadBatch(p)
		if err != nil {
			t.Fatalf("%d of %d packets, then: %v", len(all), n, err)
		}
		all = append(all, p[:k]...)
	}
	if len(all) > n {
		t.Fatalf("got %d packets, want %d", len(all), n)
	}
	return all
}

func buffers(n, size int) []Packet {
	p := make([]Packet, n)
	for i := range p {
		p[i].Buf = make([]byte, size)
	}
	return p
}

func packet(to peer.Addr, text string) Packet {
	return Packet{Buf: []byte(text), N: len(text), Peer: to}
}

// send writes packets that the system must take.
func send(t testing.TB, c Conn, p ...Packet) {
	t.Helper()
	n, err := c.WriteBatch(p)
	for i := range p {
		if p[i].Err != nil {
			t.Fatalf("packet %d: %v", i, p[i].Err)
		}
	}
	if n != len(p) || err != nil {
		t.Fatalf("WriteBatch = %d, %v, want %d", n, err, len(p))
	}
}

func (p *Packet) text() string { return string(p.Buf[:p.N]) }

// Every datagram of a batch arrives whole, in order, with its sender, and so do answers.
func TestRoundTrip(t *testing.T) {
	settings(t, func(t *testing.T, s setting) {
		server, client := s.listen(t, Config{}), s.client(t)
		const count = 100 // more than one system call takes
		var questions []Packet
		for i := range count {
			questions = append(questions, packet(s.at(server), string(bytes.Repeat([]byte{byte(i)}, i*13%1500))))
		}
		send(t, client, questions...)
		got := receive(t, server, count, 64)
		for i := range got {
			want := peer.From(client.LocalAddr())
			if p := got[i]; p.text() != questions[i].text() || p.Peer.Remote() != want || p.Multicast || p.Truncated || p.Err != nil {
				t.Fatalf("packet %d: got %d bytes, %+v, want %d bytes from %v", i, p.N, p, questions[i].N, want)
			}
			if local := got[i].Peer.Local(); local.IsValid() && local != s.ask {
				t.Fatalf("packet %d came to %v, want %v", i, local, s.ask)
			}
		}
		send(t, server, got...)
		for i, p := range receive(t, client, count, 7) {
			if p.text() != questions[i].text() || p.Peer.Remote() != s.at(server) {
				t.Fatalf("answer %d: %d bytes from %v, want %d bytes from %v", i, p.N, p.Peer, questions[i].N, s.at(server))
			}
		}
	})
}

// Equally long packets in a row stay datagrams of their own, to each of two peers, with
// the local address they name.
func TestRunsOfEqualPackets(t *testing.T) {
	settings(t, func(t *testing.T, s setting) {
		one, two, client := s.listen(t, Config{}), s.listen(t, Config{}), s.client(t)
		for _, run := range []int{1, 2, 3, 64} {
			var p []Packet
			for i := range 2 * 64 / run * run {
				to := s.at(one)
				if i/run%2 == 1 {
					to = s.at(two).WithLocal(s.ask)
				}
				p = append(p, packet(to, fmt.Sprintf("%4d", i)))
			}
			send(t, client, p...)
			for k, server := range []*UDP{one, two} {
				var want []string
				for i := range p {
					if i/run%2 == k {
						want = append(want, p[i].text())
					}
				}
				for i, got := range receive(t, server, len(want), 64) {
					if got.text() != want[i] || got.Peer.Remote() != peer.From(client.LocalAddr()) {
						t.Fatalf("runs of %d, server %d, packet %d: %q from %v, want %q", run, k, i, got.text(), got.Peer, want[i])
					}
				}
			}
		}
	})
}

// A reply leaves from the address that was asked.
func TestAnswersFromAddressAsked(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs more than one loopback address")
	}
	settings(t, func(t *testing.T, s setting) {
		if s.bind.IsValid() {
			return
		}
		from, asked := s.ask, []netip.Addr{s.ask, s.ask}
		if s.ask.Is4() { // each time another
			asked = []netip.Addr{netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("127.0.0.3"), s.ask}
		}
		server := s.listen(t, Config{})
		client := mustListen(t, s.system, "udp", net.JoinHostPort(from.String(), "0"), Config{})
		for _, s.ask = range asked {
			send(t, client, packet(s.at(server), "question"))
			p := receive(t, server, 1, 4)
			if got := p[0].Peer.Local(); got != s.ask {
				t.Fatalf("the question came to %v, want %v", got, s.ask)
			}
			send(t, server, p...)
			if got := receive(t, client, 1, 4)[0].Peer.Remote(); got != s.at(server) {
				t.Errorf("the answer came from %v, want %v", got, s.at(server))
			}
		}
	})
}

// A client that names no local address lets the system choose.
func TestUnknownLocalAddress(t *testing.T) {
	settings(t, func(t *testing.T, s setting) {
		server := s.listen(t, Config{})
		s.bind = netip.Addr{}
		client := s.listen(t, Config{})
		send(t, client, packet(s.at(server), "x"))
		got := receive(t, server, 1, 1)[0].Peer.AddrPort()
		if want := netip.AddrPortFrom(s.ask, client.LocalAddr().Port()); got != want {
			t.Errorf("came from %v, want %v", got, want)
		}
	})
}

// A datagram larger than the buffer is recognised as truncated.
func TestTruncated(t *testing.T) {
	settings(t, func(t *testing.T, s setting) {
		server, client := s.listen(t, Config{}), s.client(t)
		send(t, client, packet(s.at(server), "12345678"), packet(s.at(server), "123456789"), packet(s.at(server), ""))
		watchdog := time.AfterFunc(patience, func() { server.Close() })
		defer watchdog.Stop()
		for _, want := range []struct {
			text      string
			truncated bool
		}{{"12345678", false}, {"12345678", true}, {"", false}} {
			p := buffers(1, 8)
			if _, err := server.ReadBatch(p); err != nil {
				t.Fatal(err)
			}
			if p[0].text() != want.text || p[0].Truncated != want.truncated {
				t.Errorf("got %q, truncated %v, want %q, %v", p[0].text(), p[0].Truncated, want.text, want.truncated)
			}
		}
	})
}

// A packet that the system refuses does not stop the others of its batch.
func TestRefusedPackets(t *testing.T) {
	settings(t, func(t *testing.T, s setting) {
		server, client := s.listen(t, Config{}), s.client(t)
		to := s.at(server)
		p := []Packet{
			packet(to, "1"),
			{Buf: make([]byte, 65536), N: 65536, Peer: to},
			packet(to, "2"),
			packet(peer.From(netip.AddrPortFrom(s.ask, 0)), "no port"),
			packet(peer.Addr{}, "no peer"),
			packet(to.WithLocal(netip.MustParseAddr("2001:db8::1")), "not our address"),
			packet(to.WithLocal(netip.MustParseAddr("192.0.2.77")), "not our address"),
			packet(to.WithLocal(netip.MustParseAddr("::7f00:1")), "not our address either"),
			packet(to, "3"),
		}
		if runtime.GOOS != "linux" {
			p = slices.Delete(p, 5, 8)
		}
		p[0].Err = errors.New("of the last time")
		n, err := client.WriteBatch(p)
		if n != 3 || err != nil {
			t.Errorf("WriteBatch = %d, %v, want 3", n, err)
		}
		if !errors.Is(p[1].Err, syscall.EMSGSIZE) && runtime.GOOS != "windows" {
			t.Errorf("too long a packet: %v", p[1].Err)
		}
		for i := range p {
			refused := i != 0 && i != 2 && i != len(p)-1
			if de := new(DeliveryError); errors.As(p[i].Err, &de) != refused || (p[i].Err != nil) != refused {
				t.Errorf("packet %d: %v", i, p[i].Err)
			}
		}
		for i, p := range receive(t, server, 3, 4) {
			if want := fmt.Sprint(i + 1); p.text() != want {
				t.Errorf("got %q, want %q", p.text(), want)
			}
		}
		// What the calls told is not told again: the reader sees datagrams alone.
		send(t, server, packet(peer.From(client.LocalAddr()), "answer"))
		if p := receive(t, client, 1, 4); p[0].Err != nil || p[0].text() != "answer" {
			t.Errorf("got %q, %v, want the answer", p[0].text(), p[0].Err)
		}
	})
}

// Close ends pending and future calls with net.ErrClosed.
func TestClose(t *testing.T) {
	settings(t, func(t *testing.T, s setting) {
		for range 20 {
			u := s.listen(t, Config{})
			ended := make(chan error)
			go func() {
				_, err := u.ReadBatch(buffers(4, 8))
				ended <- err
			}()
			runtime.Gosched()
			if err := u.Close(); err != nil {
				t.Fatal(err)
			}
			if err := <-ended; err != net.ErrClosed {
				t.Fatalf("the pending read ended with %v", err)
			}
			if _, err := u.ReadBatch(buffers(1, 8)); err != net.ErrClosed {
				t.Fatalf("a later read ended with %v", err)
			}
			p := packet(s.at(u), "x")
			if n, err := u.WriteBatch([]Packet{p}); n != 0 || err != net.ErrClosed {
				t.Fatalf("a later write: %d, %v", n, err)
			}
		}
	})
}

// Any number of goroutines may write; the reader may move between goroutines.
func TestConcurrentWriters(t *testing.T) {
	settings(t, func(t *testing.T, s setting) {
		server, client := s.listen(t, Config{}), s.client(t)
		const writers, each, batch = 8, 24, 3
		var done sync.WaitGroup
		for w := range writers {
			done.Go(func() {
				for i := 0; i < each; i += batch {
					var p []Packet
					for j := range batch {
						p = append(p, packet(s.at(server), fmt.Sprint(w, " ", i+j)))
					}
					if n, err := client.WriteBatch(p); n != batch || err != nil {
						t.Errorf("WriteBatch = %d, %v", n, err)
					}
				}
			})
		}
		next := [writers]int{}
		for range writers * each {
			got := make(chan []Packet, 1)
			go func() {
				defer close(got)
				got <- receive(t, server, 1, 1)
			}()
			for _, p := range <-got {
				var w, i int
				if _, err := fmt.Sscan(p.text(), &w, &i); err != nil || next[w] != i {
					t.Fatalf("got %q, want number %d of the writer: %v", p.text(), next[w], err)
				}
				next[w]++
			}
		}
		done.Wait()
	})
}

// The steady state allocates nothing, whichever way a batch goes.
func TestAllocations(t *testing.T) {
	settings(t, func(t *testing.T, s setting) {
		server, client := s.listen(t, Config{}), s.client(t)
		echo := echoes(t, s, server, client, 8)
		if allocs := testing.AllocsPerRun(50, echo); allocs != 0 {
			t.Errorf("%v allocations for 8 datagrams there and back", allocs)
		}
	})
}

// echoes returns a function that sends n datagrams to server and back.
func echoes(t testing.TB, s setting, server, client *UDP, n int) func() {
	out, back := buffers(n, 64), buffers(n, 64)
	to := s.at(server)
	all := func(c Conn) {
		for got := 0; got < n; {
			k, err := c.ReadBatch(back[got:])
			if err != nil {
				t.Fatal(err)
			}
			got += k
		}
	}
	return func() {
		for i := range out {
			out[i].N, out[i].Peer = 32, to
		}
		if _, err := client.WriteBatch(out); err != nil {
			t.Fatal(err)
		}
		all(server)
		if _, err := server.WriteBatch(back); err != nil {
			t.Fatal(err)
		}
		all(client)
	}
}

// The unit is one datagram to the server and back over loopback, 32 bytes of payload.
func BenchmarkBatch(b *testing.B) {
	for _, sys := range []struct {
		name string
		system
	}{{"native", native}, {"portable", portableSystem}} {
		for _, n := range []int{1, 64} {
			b.Run(fmt.Sprintf("%s/%d", sys.name, n), func(b *testing.B) {
				s := setting{system: sys.system, network: "udp4", ask: loopback4}
				echo := echoes(b, s, s.listen(b, Config{}), s.client(b), n)
				b.ReportAllocs()
				for b.Loop() {
					echo()
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/echo")
			})
		}
	}
}

func TestListenErrors(t *testing.T) {
	ctx := t.Context()
	if _, err := Listen(ctx, "tcp", ":0", Config{}); err == nil {
		t.Error("network tcp is accepted")
	}
	if _, err := Listen(ctx, "udp", ":0", Config{MulticastHops: 256}); err == nil {
		t.Error("a hop limit of 256 is accepted")
	}
	if _, err := ListenShards(ctx, "udp", ":0", 0, Config{}); err == nil {
		t.Error("no shards are accepted")
	}
	u := mustListen(t, native, "udp", "127.0.0.1:0", Config{})
	if _, err := Listen(ctx, "udp", u.LocalAddr().String(), Config{}); err == nil {
		t.Error("an address in use is accepted")
	}
}

// Buffers far larger than any system gives are no error.
func TestBufferSizes(t *testing.T) {
	for _, size := range []int{-1, 1, 1 << 30} {
		mustListen(t, native, "udp", "127.0.0.1:0", Config{ReceiveBuffer: size, SendBuffer: size})
	}
}

func TestEmptyBatch(t *testing.T) {
	settings(t, func(t *testing.T, s setting) {
		u := s.listen(t, Config{})
		if n, err := u.ReadBatch(nil); n != 0 || err != nil {
			t.Errorf("ReadBatch(nil) = %d, %v", n, err)
		}
		if n, err := u.WriteBatch(nil); n != 0 || err != nil {
			t.Errorf("WriteBatch(nil) = %d, %v", n, err)
		}
	})
}
