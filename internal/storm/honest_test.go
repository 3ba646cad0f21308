package storm

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/transport"
	"github.com/motewire/coap/transport/simnet"
)

// An honest client asks for things beside a storm, and knows how long each takes.
type honest struct {
	client *coap.Client
	trip   time.Duration // there and back
	done   int
	resets int // requests that a Reset ended
	late   int // that took longer than their round trips
	cancel context.CancelFunc
	ended  chan struct{}
}

// honestDelay is how far away an honest client is, one way.
const honestDelay = 10 * time.Millisecond

func newHonest(v *victim) *honest {
	return &honest{trip: 2 * honestDelay, client: &coap.Client{Listen: func(context.Context, string) (transport.Conn, error) {
		conn, err := v.Network.Listen(netip.AddrPortFrom(netip.IPv4Unspecified(), 0))
		if err == nil {
			v.Network.SetLink(conn.LocalAddr(), v.Addr, simnet.Link{Delay: honestDelay})
			v.Network.SetLink(v.Addr, conn.LocalAddr(), simnet.Link{Delay: honestDelay})
		}
		return conn, err
	}}}
}

// begin makes requests until end.
func (h *honest) begin(t *testing.T, url string) {
	var ctx context.Context
	ctx, h.cancel = context.WithCancel(t.Context())
	h.ended = make(chan struct{})
	go func() {
		defer close(h.ended)
		for ctx.Err() == nil {
			h.ask(t, url)
			time.Sleep(7 * time.Millisecond)
		}
	}()
}

func (h *honest) end(t *testing.T) {
	h.cancel()
	<-h.ended
	if n := h.client.Stats().Messages.Retransmissions; n != 0 {
		t.Errorf("%d retransmissions of others", n)
	}
}

// ask makes one request of each kind: each block is a round trip.
func (h *honest) ask(t *testing.T, url string) {
	ctx := context.Background()
	for _, r := range []struct {
		name  string
		trips int
		do    func() (*coap.Response, error)
		want  []byte
	}{
		{"GET", 1, func() (*coap.Response, error) { return h.client.Get(ctx, url+"/hello") }, []byte("hello")},
		{"NON GET", 1, func() (*coap.Response, error) { return h.client.Get(ctx, url+"/hello", coap.NonConfirmable) }, []byte("hello")},
		{"GET of three blocks", 3, func() (*coap.Response, error) { return h.client.Get(ctx, url+"/body") }, stormBody},
		{"PUT of three blocks", 5, func() (*coap.Response, error) { return h.client.Put(ctx, url+"/body", coap.Raw(stormBody)) }, stormBody},
	} {
		began := time.Now()
		resp, err := r.do()
		if errors.Is(err, coap.ErrReset) {
			h.resets++
			continue
		}
		if err != nil {
			t.Errorf("%s beside a storm: %v", r.name, err)
			continue
		}
		got, err := resp.Bytes()
		if errors.Is(err, coap.ErrReset) {
			h.resets++
			continue
		}
		took, want := time.Since(began), time.Duration(r.trips)*h.trip
		if took > want {
			h.late++
		}
		if err != nil || !bytes.Equal(got, r.want) || took < want || took > want+h.trip/2 {
			t.Errorf("%s beside a storm: %v, %.40q, %d bytes, %v after %v", r.name, resp.Code, got, len(got), err, took)
		}
		h.done++
	}
}
