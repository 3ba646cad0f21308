package transport

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/motewire/coap/peer"
)

// A pipe is a Conn that returns what was written to it, batch by batch; each error report
// as it is in script.
type pipe struct {
	queue [][]Packet
}

func (c *pipe) WriteBatch(p []Packet) (int, error) {
	c.queue = append(c.queue, slices.Clone(p))
	return len(p), nil
}

func (c *pipe) ReadBatch(p []Packet) (int, error) {
	if len(c.queue) == 0 {
		return 0, net.ErrClosed
	}
	batch := c.queue[0]
	c.queue = c.queue[1:]
	for i := range batch {
		p[i].N, p[i].Err = copy(p[i].Buf, batch[i].Buf[:batch[i].N]), batch[i].Err
	}
	return len(batch), nil
}

func (c *pipe) LocalAddr() netip.AddrPort { return netip.AddrPort{} }
func (c *pipe) Close() error              { return nil }

// through sends count datagrams through a lossy link and back and returns what arrived
// and what the tap was told.
func through(t *testing.T, cfg LossyConfig, count int) (arrived, told []string) {
	t.Helper()
	cfg.Tap = func(f Fate) {
		told = append(told, fmt.Sprint(map[bool]string{true: "out ", false: "in "}[f.Sent], f.Packet.text(), map[bool]string{true: " lost"}[f.Dropped]))
	}
	c := Lossy(&pipe{}, cfg)
	var p []Packet
	for i := range count {
		p = append(p, packet(peer.Addr{}, fmt.Sprint(i)))
	}
	if n, err := c.WriteBatch(p); n != count || err != nil {
		t.Fatalf("WriteBatch = %d, %v, want %d", n, err, count)
	}
	for {
		p := buffers(MaxBatch, 8)
		n, err := c.ReadBatch(p)
		if err != nil {
			return arrived, told
		}
		for i := range p[:n] {
			arrived = append(arrived, p[i].text())
		}
		seen := map[*byte]bool{}
		for i := range p { // no buffer is lost or there twice
			seen[&p[i].Buf[0]] = true
		}
		if len(seen) != len(p) {
			t.Errorf("%d buffers of %d are left", len(seen), len(p))
		}
	}
}

func TestLossy(t *testing.T) {
	const count = 1000
	for _, test := range []struct{ send, receive float64 }{{0, 0}, {0.2, 0}, {0, 0.2}, {0.5, 0.5}, {1, 0}, {0, 1}} {
		t.Run(fmt.Sprint(test.send, test.receive), func(t *testing.T) {
			cfg := LossyConfig{Seed: 7, Send: test.send, Receive: test.receive}
			arrived, told := through(t, cfg, count)
			want := count * (1 - test.send) * (1 - test.receive)
			if d := float64(len(arrived)) - want; d > count/20 || d < -count/20 {
				t.Errorf("%d of %d arrived, want about %v", len(arrived), count, want)
			}
			// The tap's story is what happened, in order.
			var out, in []string
			for _, s := range told {
				var direction, n, lost string
				fmt.Sscan(s, &direction, &n, &lost)
				switch {
				case direction == "out":
					out = append(out, n)
				case lost == "":
					in = append(in, n)
				}
			}
			if len(out) != count || !slices.Equal(in, arrived) {
				t.Errorf("the tap tells of %d sent and %d received, want %d and %d", len(out), len(in), count, len(arrived))
			}
			for i, n := range out {
				if n != fmt.Sprint(i) {
					t.Fatalf("the tap tells of datagram %s as number %d", n, i)
				}
			}
			again, _ := through(t, cfg, count)
			if !slices.Equal(again, arrived) {
				t.Error("the same seed loses other datagrams")
			}
			cfg.Seed++
			other, _ := through(t, cfg, count)
			if len(arrived) > 0 && len(arrived) < count && slices.Equal(other, arrived) {
				t.Error("another seed loses the same datagrams")
			}
		})
	}
}

// Error reports pass a link that loses everything.
func TestLossyErrors(t *testing.T) {
	report := errors.New("report")
	inner := &pipe{}
	inner.WriteBatch([]Packet{packet(peer.Addr{}, "datagram"), {Err: report}})
	p := buffers(4, 8)
	n, err := Lossy(inner, LossyConfig{Receive: 1}).ReadBatch(p)
	if n != 1 || err != nil || p[0].Err != report {
		t.Errorf("got %d packets, %v, %v, want the report", n, p[0].Err, err)
	}
}

func TestLossyGroups(t *testing.T) {
	c := Lossy(&pipe{}, LossyConfig{}).(Joiner)
	if err := c.JoinGroup(AllNodes4, nil); err != errors.ErrUnsupported {
		t.Errorf("join over what knows no groups: %v", err)
	}
	if err := c.LeaveGroup(AllNodes4, nil); err != errors.ErrUnsupported {
		t.Errorf("leave over what knows no groups: %v", err)
	}
	c = Lossy(mustListen(t, native, "udp4", ":0", Config{}), LossyConfig{}).(Joiner)
	if err := c.JoinGroup(AllNodesLink, nil); err == nil || errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("join of the other family: %v", err)
	}
}
