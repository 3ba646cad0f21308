package simnet_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/motewire/coap/peer"
	"github.com/motewire/coap/transport"
	"github.com/motewire/coap/transport/simnet"
)

func listen(t testing.TB, n *simnet.Network, addr string) *simnet.Conn {
	t.Helper()
	c, err := n.Listen(netip.MustParseAddrPort(addr))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// send sends one datagram and returns what its sender hears of it at once.
func send(t testing.TB, c *simnet.Conn, to netip.AddrPort, data string) error {
	t.Helper()
	p := []transport.Packet{{Buf: []byte(data), N: len(data), Peer: peer.From(to)}}
	n, err := c.WriteBatch(p)
	if err != nil {
		t.Fatal(err)
	}
	if want := 1; n != want && p[0].Err == nil {
		t.Fatalf("WriteBatch took %d packets, want %d", n, want)
	}
	return p[0].Err
}

// mustSend is send for what the network must take.
func mustSend(t testing.TB, c *simnet.Conn, to netip.AddrPort, data string) {
	t.Helper()
	if err := send(t, c, to, data); err != nil {
		t.Fatal(err)
	}
}

// receive waits for one packet.
func receive(t testing.TB, c *simnet.Conn) transport.Packet {
	t.Helper()
	p := []transport.Packet{{Buf: make([]byte, 64)}}
	if n, err := c.ReadBatch(p); n != 1 || err != nil {
		t.Fatalf("ReadBatch = %d, %v; want one packet", n, err)
	}
	return p[0]
}

// An inbox holds what a Conn received until it was closed.
type inbox struct {
	data []string
	at   []time.Duration // since the inbox was made
	errs []error         // of error reports, whose data is in data too
	done chan struct{}
}

// collect reads from c in a goroutine until c is closed.
func collect(c *simnet.Conn) *inbox {
	in := &inbox{done: make(chan struct{})}
	start := time.Now()
	go func() {
		defer close(in.done)
		p := []transport.Packet{{Buf: make([]byte, 64)}}
		for {
			if _, err := c.ReadBatch(p); err != nil {
				return
			}
			in.data = append(in.data, string(p[0].Buf[:p[0].N]))
			in.at = append(in.at, time.Since(start))
			if p[0].Err != nil {
				in.errs = append(in.errs, p[0].Err)
			}
		}
	}()
	return in
}

// settle lets an hour pass, in which everything arrives and is read, then closes c and
// returns what in holds.
func (in *inbox) settle(t testing.TB, c *simnet.Conn) *inbox {
	t.Helper()
	time.Sleep(time.Hour)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	<-in.done
	return in
}

func TestDelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New(1)
		a, b := listen(t, n, "192.0.2.1:5683"), listen(t, n, "192.0.2.2:5683")
		mustSend(t, a, b.LocalAddr(), "hello")
		p := receive(t, b)
		if got := string(p.Buf[:p.N]); got != "hello" {
			t.Errorf("data = %q", got)
		}
		if got := p.Peer.AddrPort(); got != a.LocalAddr() {
			t.Errorf("peer = %v, want %v", got, a.LocalAddr())
		}
		if got := p.Peer.Local(); got != b.LocalAddr().Addr() {
			t.Errorf("local address = %v, want %v", got, b.LocalAddr().Addr())
		}
		if p.Multicast || p.Truncated || p.Err != nil {
			t.Errorf("packet = %+v", p)
		}
	})
}

// A perfect link delivers within WriteBatch: without a bubble, without a wait.
func TestZeroDelayIsPrompt(t *testing.T) {
	n := simnet.New(1)
	a, b := listen(t, n, "192.0.2.1:1"), listen(t, n, "192.0.2.2:2")
	var got []string
	n.Tap(func(r simnet.Record) { got = append(got, string(r.Data)+" "+r.Fate.String()) })
	mustSend(t, a, b.LocalAddr(), "x")
	if want := "[x delivered]"; fmt.Sprint(got) != want {
		t.Errorf("fates after WriteBatch = %v, want %v", got, want)
	}
	receive(t, b)
}

// The network runs in real time too.
func TestRealTime(t *testing.T) {
	n := simnet.New(1)
	n.SetDefault(simnet.Link{Delay: 5 * time.Millisecond})
	a, b := listen(t, n, "192.0.2.1:1"), listen(t, n, "192.0.2.2:2")
	start := time.Now()
	for _, s := range []string{"x", "y"} {
		mustSend(t, a, b.LocalAddr(), s)
		if p := receive(t, b); string(p.Buf[:p.N]) != s {
			t.Errorf("data = %q, want %q", p.Buf[:p.N], s)
		}
	}
	if d := time.Since(start); d < 10*time.Millisecond {
		t.Errorf("two datagrams took %v, want at least 10ms", d)
	}
}

func TestBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New(1)
		a, b := listen(t, n, "192.0.2.1:1"), listen(t, n, "192.0.2.2:2")
		out := make([]transport.Packet, 5)
		for i := range out {
			out[i] = transport.Packet{Buf: []byte{byte(i)}, N: 1, Peer: peer.From(b.LocalAddr()), Err: errors.New("stale")}
		}
		if sent, err := a.WriteBatch(out); sent != 5 || err != nil || out[4].Err != nil {
			t.Fatalf("WriteBatch = %d, %v; Err of the last: %v", sent, err, out[4].Err)
		}
		out[0].Buf[0] = 99 // the buffer is the caller's again
		var got []byte
		for _, want := range []int{3, 2} {
			in := make([]transport.Packet, 3)
			for i := range in {
				in[i] = transport.Packet{Buf: make([]byte, 1), Err: errors.New("stale")}
			}
			k, err := b.ReadBatch(in)
			if k != want || err != nil {
				t.Fatalf("ReadBatch = %d, %v; want %d", k, err, want)
			}
			for _, p := range in[:k] {
				got = append(got, p.Buf[0])
				if p.Err != nil {
					t.Errorf("Err = %v", p.Err)
				}
			}
		}
		if want := "\x00\x01\x02\x03\x04"; string(got) != want {
			t.Errorf("order = %q, want %q", got, want)
		}
		if k, err := b.ReadBatch(nil); k != 0 || err != nil {
			t.Errorf("ReadBatch of no packets = %d, %v", k, err)
		}
	})
}

func TestTruncated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New(1)
		a, b := listen(t, n, "192.0.2.1:1"), listen(t, n, "192.0.2.2:2")
		for _, test := range []struct {
			data, want string
			truncated  bool
		}{{"abcd", "abcd", false}, {"abcde", "abcd", true}, {"", "", false}} {
			mustSend(t, a, b.LocalAddr(), test.data)
			p := []transport.Packet{{Buf: make([]byte, 4)}}
			if _, err := b.ReadBatch(p); err != nil {
				t.Fatal(err)
			}
			if got := string(p[0].Buf[:p[0].N]); got != test.want || p[0].Truncated != test.truncated {
				t.Errorf("%q arrives as %q, truncated %v", test.data, got, p[0].Truncated)
			}
		}
	})
}

func TestCloseUnblocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New(1)
		a, b := listen(t, n, "192.0.2.1:1"), listen(t, n, "192.0.2.2:2")
		in := collect(b)
		synctest.Wait() // the reader waits
		select {
		case <-in.done:
			t.Fatal("the reader ended before Close")
		default:
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		<-in.done
		p := []transport.Packet{{Buf: []byte{1}, N: 1, Peer: peer.From(a.LocalAddr())}}
		if _, err := b.ReadBatch(p); !errors.Is(err, net.ErrClosed) {
			t.Errorf("ReadBatch after Close: %v", err)
		}
		if _, err := b.WriteBatch(p); !errors.Is(err, net.ErrClosed) {
			t.Errorf("WriteBatch after Close: %v", err)
		}
		if err := b.JoinGroup(netip.MustParseAddr("224.0.1.187"), nil); !errors.Is(err, net.ErrClosed) {
			t.Errorf("JoinGroup after Close: %v", err)
		}
		if err := b.Close(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("second Close: %v", err)
		}
		listen(t, n, "192.0.2.2:2") // the address is free again
	})
}

func TestNetworkClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New(1)
		n.SetDefault(simnet.Link{Delay: time.Second})
		a, b := listen(t, n, "192.0.2.1:1"), listen(t, n, "192.0.2.2:2")
		inA, inB := collect(a), collect(b)
		mustSend(t, a, b.LocalAddr(), "under way")
		n.Close()
		<-inA.done
		<-inB.done

		// It can be used again, and what was under way is gone.
		a, b = listen(t, n, "192.0.2.1:1"), listen(t, n, "192.0.2.2:2")
		inB = collect(b)
		mustSend(t, a, b.LocalAddr(), "new")
		if got := inB.settle(t, b).data; fmt.Sprint(got) != "[new]" {
			t.Errorf("received %q", got)
		}
	})
}

func TestListenAddresses(t *testing.T) {
	n := simnet.New(1)
	for _, test := range []struct{ ask, want string }{
		{"192.0.2.1:5683", "192.0.2.1:5683"},
		{"192.0.2.1:0", "192.0.2.1:49152"},
		{"192.0.2.1:0", "192.0.2.1:49153"},
		{"192.0.2.1:49154", "192.0.2.1:49154"},
		{"192.0.2.1:0", "192.0.2.1:49155"},
		{"[::ffff:192.0.2.9]:7", "192.0.2.9:7"},
		{"0.0.0.0:0", "10.0.0.1:49156"},
		{"0.0.0.0:5683", "10.0.0.2:5683"},
		{"[::]:0", "[fd00::3]:49157"},
		{"[2001:db8::1]:5683", "[2001:db8::1]:5683"},
	} {
		if got := listen(t, n, test.ask).LocalAddr().String(); got != test.want {
			t.Errorf("Listen(%s) is at %s, want %s", test.ask, got, test.want)
		}
	}
	c, err := n.Listen(netip.AddrPort{})
	if err != nil || c.LocalAddr().String() != "10.0.0.4:49158" {
		t.Errorf("Listen(no address) = %v, %v", c, err)
	}
}
