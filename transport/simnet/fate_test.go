package simnet_test

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/motewire/coap/peer"
	"github.com/motewire/coap/transport"
	"github.com/motewire/coap/transport/simnet"
)

// twoHosts runs test in a bubble with two hosts and the link in both directions.
func twoHosts(t *testing.T, l simnet.Link, test func(t *testing.T, n *simnet.Network, a, b *simnet.Conn)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New(7)
		n.SetDefault(l)
		test(t, n, listen(t, n, "192.0.2.1:1"), listen(t, n, "192.0.2.2:2"))
	})
}

func TestListenErrors(t *testing.T) {
	n := simnet.New(1)
	listen(t, n, "192.0.2.1:5683")
	for addr, want := range map[string]error{
		"192.0.2.1:5683":          syscall.EADDRINUSE,
		"[::ffff:192.0.2.1]:5683": syscall.EADDRINUSE,
		"224.0.1.187:5683":        syscall.EADDRNOTAVAIL,
	} {
		if c, err := n.Listen(netip.MustParseAddrPort(addr)); c != nil || !errors.Is(err, want) {
			t.Errorf("Listen(%s) = %v, %v; want %v", addr, c, err, want)
		}
	}
}

func TestPortsRunOut(t *testing.T) {
	n := simnet.New(1)
	for range 65536 - 49152 {
		listen(t, n, "192.0.2.1:0")
	}
	if _, err := n.Listen(netip.MustParseAddrPort("192.0.2.1:0")); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("Listen with all ports in use: %v", err)
	}
}

// One packet that cannot be sent has its error; the others go on.
func TestSendErrors(t *testing.T) {
	twoHosts(t, simnet.Link{MTU: 4}, func(t *testing.T, n *simnet.Network, a, b *simnet.Conn) {
		good := peer.From(b.LocalAddr())
		packets := []struct {
			peer peer.Addr
			size int
			want error
		}{
			{good, 4, nil},
			{good, 5, syscall.EMSGSIZE},
			{peer.From(netip.MustParseAddrPort("192.0.2.2:0")), 1, syscall.EINVAL},
			{peer.Addr{}, 1, syscall.EINVAL},
			{peer.From(netip.MustParseAddrPort("[2001:db8::1]:5683")), 1, syscall.EAFNOSUPPORT},
			{good.WithLocal(netip.MustParseAddr("192.0.2.9")), 1, syscall.EADDRNOTAVAIL},
			{good.WithLocal(netip.MustParseAddr("224.0.1.187")), 1, syscall.EADDRNOTAVAIL},
			{good.WithLocal(a.LocalAddr().Addr()), 1, nil},
		}
		var p []transport.Packet
		for _, q := range packets {
			p = append(p, transport.Packet{Buf: make([]byte, 8), N: q.size, Peer: q.peer})
		}
		if sent, err := a.WriteBatch(p); sent != 2 || err != nil {
			t.Errorf("WriteBatch = %d, %v; want 2", sent, err)
		}
		for i, q := range packets {
			if got := p[i].Err; !errors.Is(got, q.want) {
				t.Errorf("packet %d of %d bytes to %v: %v, want %v", i, q.size, q.peer, got, q.want)
			}
			var delivery *transport.DeliveryError
			if errors.As(p[i].Err, &delivery) != (q.want != nil) {
				t.Errorf("packet %d: Err is a %T", i, p[i].Err)
			}
		}
		in := collect(b)
		if got := len(in.settle(t, b).data); got != 2 {
			t.Errorf("%d datagrams arrived, want 2", got)
		}
	})
}

func TestLargestDatagram(t *testing.T) {
	twoHosts(t, simnet.Link{}, func(t *testing.T, n *simnet.Network, a, b *simnet.Conn) {
		mustSend(t, a, b.LocalAddr(), strings.Repeat("x", 65507))
		if err := send(t, a, b.LocalAddr(), strings.Repeat("x", 65508)); !errors.Is(err, syscall.EMSGSIZE) {
			t.Errorf("65,508 bytes: %v", err)
		}
	})
}

// Rates for a fixed seed lie within four standard deviations of their probability.
func TestRates(t *testing.T) {
	const sent = 10000
	for _, test := range []struct {
		name     string
		link     simnet.Link
		received float64 // share of sent
	}{
		{"perfect", simnet.Link{}, 1},
		{"loss 0.2", simnet.Link{Loss: 0.2}, 0.8},
		{"loss 0.9", simnet.Link{Loss: 0.9}, 0.1},
		{"loss 1", simnet.Link{Loss: 1}, 0},
		{"duplicate 0.3", simnet.Link{Duplicate: 0.3}, 1.3},
		{"duplicate 1", simnet.Link{Duplicate: 1}, 2},
		{"loss and duplicate", simnet.Link{Loss: 0.5, Duplicate: 0.5}, 0.75},
		{"negative", simnet.Link{Loss: -1, Duplicate: -1, Reorder: -1, Delay: -1, Jitter: -1, MTU: -1}, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			twoHosts(t, test.link, func(t *testing.T, n *simnet.Network, a, b *simnet.Conn) {
				n.SetQueue(2 * sent)
				for range sent {
					mustSend(t, a, b.LocalAddr(), "x")
				}
				in := collect(b)
				got := float64(len(in.settle(t, b).data)) / sent
				// The variance of a share of 10,000 trials is 1/40,000 at most.
				if diff := got - test.received; diff < -0.02 || diff > 0.02 {
					t.Errorf("received %v of what was sent, want %v", got, test.received)
				}
				if whole := test.received == float64(int(test.received)); whole && got != test.received {
					t.Errorf("received %v of what was sent, want exactly %v", got, test.received)
				}
			})
		})
	}
}

func TestDelay(t *testing.T) {
	twoHosts(t, simnet.Link{Delay: 50 * time.Millisecond}, func(t *testing.T, n *simnet.Network, a, b *simnet.Conn) {
		in := collect(b)
		mustSend(t, a, b.LocalAddr(), "1")
		time.Sleep(20 * time.Millisecond)
		mustSend(t, a, b.LocalAddr(), "2")
		n.SetDefault(simnet.Link{Delay: time.Millisecond}) // an earlier arrival than the timer waits for
		mustSend(t, a, b.LocalAddr(), "3")
		in.settle(t, b)
		if got, want := fmt.Sprint(in.data, in.at), "[3 1 2] [21ms 50ms 70ms]"; got != want {
			t.Errorf("arrivals = %v, want %v", got, want)
		}
	})
}

func TestJitter(t *testing.T) {
	const delay, jitter = 100 * time.Millisecond, 40 * time.Millisecond
	twoHosts(t, simnet.Link{Delay: delay, Jitter: jitter}, func(t *testing.T, n *simnet.Network, a, b *simnet.Conn) {
		in := collect(b)
		for range 1000 {
			mustSend(t, a, b.LocalAddr(), "x")
		}
		in.settle(t, b)
		first, last := slices.Min(in.at), slices.Max(in.at)
		if first < delay || first > delay+jitter/50 || last >= delay+jitter || last < delay+jitter-jitter/50 {
			t.Errorf("arrivals between %v and %v, want them to fill [%v, %v)", first, last, delay, delay+jitter)
		}
	})
}

// A reordered datagram is overtaken by what is sent within HoldBack, and by nothing else.
func TestReorder(t *testing.T) {
	for _, test := range []struct {
		reorder float64 // of the first of three datagrams, 6 ms apart
		link    simnet.Link
		want    string
	}{
		{0, simnet.Link{}, "[1 2 3] [0s 6ms 12ms]"},
		{1, simnet.Link{}, "[2 1 3] [6ms 10ms 12ms]"},
		{1, simnet.Link{Delay: 4 * time.Millisecond}, "[1 2 3] [8ms 10ms 16ms]"},
		{1, simnet.Link{HoldBack: 8 * time.Millisecond}, "[2 1 3] [6ms 8ms 12ms]"},
		{1, simnet.Link{HoldBack: 13 * time.Millisecond}, "[2 3 1] [6ms 12ms 13ms]"},
	} {
		twoHosts(t, test.link, func(t *testing.T, n *simnet.Network, a, b *simnet.Conn) {
			in := collect(b)
			synctest.Wait()
			held := test.link
			held.Reorder = test.reorder
			n.SetDefault(held)
			mustSend(t, a, b.LocalAddr(), "1")
			n.SetDefault(test.link)
			for _, data := range []string{"2", "3"} {
				time.Sleep(6 * time.Millisecond)
				mustSend(t, a, b.LocalAddr(), data)
			}
			in.settle(t, b)
			if got := fmt.Sprint(in.data, in.at); got != test.want {
				t.Errorf("%+v: arrivals = %v, want %v", held, got, test.want)
			}
		})
	}
}

// Without a delay to go by, a reordered datagram is held back by 10 ms.
func TestReorderWithoutDelay(t *testing.T) {
	twoHosts(t, simnet.Link{Reorder: 0.5}, func(t *testing.T, n *simnet.Network, a, b *simnet.Conn) {
		in := collect(b)
		for i := range 100 {
			mustSend(t, a, b.LocalAddr(), fmt.Sprintf("%02d", i))
		}
		in.settle(t, b)
		late := slices.Index(in.at, 10*time.Millisecond)
		if late < 30 || late > 70 || in.at[99] != 10*time.Millisecond || in.at[late-1] != 0 {
			t.Fatalf("%d datagrams arrived at once, the last after %v", late, in.at[99])
		}
		if !slices.IsSorted(in.data[:late]) || !slices.IsSorted(in.data[late:]) {
			t.Errorf("order = %v", in.data)
		}
	})
}

func TestAsymmetricLink(t *testing.T) {
	twoHosts(t, simnet.Link{}, func(t *testing.T, n *simnet.Network, a, b *simnet.Conn) {
		n.SetLink(a.LocalAddr(), b.LocalAddr(), simnet.Link{Loss: 1})
		inA, inB := collect(a), collect(b)
		mustSend(t, a, b.LocalAddr(), "there")
		mustSend(t, b, a.LocalAddr(), "back")
		inB.settle(t, b)
		inA.settle(t, a)
		if got, want := fmt.Sprint(inA.data, inB.data), "[back] []"; got != want {
			t.Errorf("received %v, want %v", got, want)
		}
	})
}

func TestPartition(t *testing.T) {
	twoHosts(t, simnet.Link{Delay: 10 * time.Millisecond}, func(t *testing.T, n *simnet.Network, a, b *simnet.Conn) {
		c := listen(t, n, "192.0.2.3:3")
		inA, inB, inC := collect(a), collect(b), collect(c)
		mustSend(t, a, b.LocalAddr(), "under way")
		n.Partition(b.LocalAddr(), c.LocalAddr())
		mustSend(t, a, b.LocalAddr(), "cut")
		mustSend(t, b, a.LocalAddr(), "cut back")
		mustSend(t, b, c.LocalAddr(), "same side")
		time.Sleep(time.Second)
		n.Partition(c.LocalAddr())
		mustSend(t, b, c.LocalAddr(), "another side")
		time.Sleep(time.Second)
		n.Heal()
		mustSend(t, a, b.LocalAddr(), "healed")
		mustSend(t, a, c.LocalAddr(), "healed")
		inA.settle(t, a)
		inB.settle(t, b)
		inC.settle(t, c)
		if got, want := fmt.Sprint(inA.data, inB.data, inC.data), "[] [healed] [same side healed]"; got != want {
			t.Errorf("received %v, want %v", got, want)
		}
	})
}

func TestRefusal(t *testing.T) {
	twoHosts(t, simnet.Link{Delay: 10 * time.Millisecond}, func(t *testing.T, n *simnet.Network, a, b *simnet.Conn) {
		nobody := netip.MustParseAddrPort("192.0.2.2:9")
		n.SetLink(nobody, a.LocalAddr(), simnet.Link{Delay: 5 * time.Millisecond, Loss: 1})
		start := time.Now()
		mustSend(t, a, nobody, "anyone?")
		p := receive(t, a)
		if !errors.Is(p.Err, syscall.ECONNREFUSED) {
			t.Errorf("Err = %v, want ECONNREFUSED", p.Err)
		}
		if got := p.Peer.AddrPort(); got != nobody {
			t.Errorf("peer = %v, want %v", got, nobody)
		}
		if got := string(p.Buf[:p.N]); got != "anyone?" {
			t.Errorf("data = %q, want the datagram", got)
		}
		if got, want := time.Since(start), 15*time.Millisecond; got != want {
			t.Errorf("refused after %v, want %v", got, want)
		}
		n.SetRefusals(false)
		in := collect(a)
		mustSend(t, a, nobody, "anyone?")
		if got := in.settle(t, a).data; len(got) != 0 {
			t.Errorf("received %q with refusals off", got)
		}
	})
}

// The report says who refused, and by which ICMP message.
func TestRefusalReporter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New(1)
		for _, test := range []struct {
			from, to string
			want     transport.DeliveryError
		}{
			{"192.0.2.1:1", "192.0.2.2:9", transport.DeliveryError{
				Err: syscall.ECONNREFUSED, Reporter: netip.MustParseAddr("192.0.2.2"), Type: 3, Code: 3}},
			{"[2001:db8::1]:1", "[2001:db8::2]:9", transport.DeliveryError{
				Err: syscall.ECONNREFUSED, Reporter: netip.MustParseAddr("2001:db8::2"), Type: 1, Code: 4}},
		} {
			c := listen(t, n, test.from)
			mustSend(t, c, netip.MustParseAddrPort(test.to), "x")
			var got *transport.DeliveryError
			if err := receive(t, c).Err; !errors.As(err, &got) || *got != test.want {
				t.Errorf("%s: Err = %#v, want %#v", test.to, err, test.want)
			}
		}
	})
}

// A report that finds its sender gone is no reason for another one.
func TestRefusalToNobody(t *testing.T) {
	twoHosts(t, simnet.Link{Delay: time.Millisecond}, func(t *testing.T, n *simnet.Network, a, b *simnet.Conn) {
		mustSend(t, a, netip.MustParseAddrPort("192.0.2.2:9"), "x")
		a.Close()
		time.Sleep(1500 * time.Microsecond) // the report is on its way
		c := listen(t, n, "192.0.2.2:9")
		if got := collect(c).settle(t, c).data; len(got) != 0 {
			t.Errorf("received %q", got)
		}
	})
}

// Of what arrives at the same instant, the lower sender comes first: the order does not
// depend on which goroutine sent first.
func TestSameInstant(t *testing.T) {
	twoHosts(t, simnet.Link{Delay: time.Millisecond}, func(t *testing.T, n *simnet.Network, a, b *simnet.Conn) {
		in := collect(b)
		for _, addr := range []string{"192.0.2.7:7", "192.0.2.9:1", "192.0.2.7:6", "192.0.2.4:8"} {
			c := listen(t, n, addr)
			mustSend(t, c, b.LocalAddr(), addr+" first")
			mustSend(t, c, b.LocalAddr(), addr+" second")
		}
		want := []string{
			"192.0.2.4:8 first", "192.0.2.4:8 second", "192.0.2.7:6 first", "192.0.2.7:6 second",
			"192.0.2.7:7 first", "192.0.2.7:7 second", "192.0.2.9:1 first", "192.0.2.9:1 second",
		}
		if got := in.settle(t, b).data; !slices.Equal(got, want) {
			t.Errorf("order = %q, want %q", got, want)
		}
	})
}

func TestOverflow(t *testing.T) {
	twoHosts(t, simnet.Link{}, func(t *testing.T, n *simnet.Network, a, b *simnet.Conn) {
		n.SetQueue(3)
		for i := range 5 {
			mustSend(t, a, b.LocalAddr(), fmt.Sprint(i))
		}
		if got := b.Overflows(); got != 2 {
			t.Errorf("%d overflows, want 2", got)
		}
		in := collect(b)
		if got := in.settle(t, b).data; fmt.Sprint(got) != "[0 1 2]" {
			t.Errorf("received %v, want the oldest three", got)
		}
	})
}

func TestDefaultQueue(t *testing.T) {
	twoHosts(t, simnet.Link{}, func(t *testing.T, n *simnet.Network, a, b *simnet.Conn) {
		for range simnet.DefaultQueue + 1 {
			mustSend(t, a, b.LocalAddr(), "x")
		}
		if got := b.Overflows(); got != 1 {
			t.Errorf("%d overflows, want 1", got)
		}
	})
}
