package simnet_test

import (
	"net"
	"net/netip"
	"testing"
	"testing/synctest"

	"github.com/motewire/coap/peer"
	"github.com/motewire/coap/transport"
	"github.com/motewire/coap/transport/simnet"
)

// A reader that waits is called away, and so is the next one where nobody waits.
func TestInterrupt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := listen(t, simnet.New(1), "10.0.0.1:1")
		p := []transport.Packet{{Buf: make([]byte, 16)}}
		called := make(chan error, 1)
		go func() {
			_, err := c.ReadBatch(p)
			called <- err
		}()
		synctest.Wait()
		c.Interrupt()
		if err := <-called; err != nil {
			t.Error(err)
		}
		c.Interrupt()
		if n, err := c.ReadBatch(p); n != 0 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		c.Close()
		c.Interrupt()
		if _, err := c.ReadBatch(p); err != net.ErrClosed {
			t.Error(err)
		}
	})
}

// The path to a peer is as wide as the link is, whatever comes back.
func TestPathBytes(t *testing.T) {
	n := simnet.New(1)
	a, b := listen(t, n, "10.0.0.1:1"), listen(t, n, "10.0.0.2:1")
	n.SetDefault(simnet.Link{MTU: 900})
	n.SetLink(a.LocalAddr(), b.LocalAddr(), simnet.Link{MTU: 300})
	for _, c := range []struct {
		from *simnet.Conn
		to   string
		want int
	}{{a, "10.0.0.2:1", 300}, {b, "10.0.0.1:1", 900}, {a, "224.0.1.187:1", 0}} {
		if got, ok := c.from.PathBytes(peer.From(netip.MustParseAddrPort(c.to))); got != c.want || ok != (c.want > 0) {
			t.Errorf("to %s: %d, %v; want %d", c.to, got, ok, c.want)
		}
	}
}
