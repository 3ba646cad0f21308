package coap

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/motewire/coap/blockwise"
	"github.com/motewire/coap/message"
	"github.com/motewire/coap/peer"
	"github.com/motewire/coap/transport"
	"github.com/motewire/coap/transport/simnet"
)

// The next address of a name is tried where one can't be reached, or has no socket; the
// error is that of the message that was sent.
func TestAddressesInTurn(t *testing.T) {
	v6 := peer.From(netip.MustParseAddrPort("[2001:db8::1]:5683"))
	v4 := peer.From(netip.MustParseAddrPort("192.0.2.1:5683"))
	other := peer.From(netip.MustParseAddrPort("192.0.2.2:5683"))
	noIPv6 := errors.New("address family not supported")
	tests := []struct {
		name    string
		addrs   []peer.Addr
		results map[peer.Addr]error
		tried   int
		want    error
	}{
		{"no socket, then one", []peer.Addr{v6, v4}, nil, 1, nil},
		{"no socket at all", []peer.Addr{v6, v6}, nil, 0, noIPv6},
		{"unreachable, then reached", []peer.Addr{v4, other}, map[peer.Addr]error{v4: ErrUnreachable}, 2, nil},
		{"unreachable, then no socket", []peer.Addr{v4, v6}, map[peer.Addr]error{v4: ErrUnreachable}, 1, ErrUnreachable},
		{"no socket, then unreachable", []peer.Addr{v6, v4}, map[peer.Addr]error{v4: ErrUnreachable}, 1, ErrUnreachable},
		{"unreachable under way", []peer.Addr{v4, other}, map[peer.Addr]error{v4: &OpError{Err: &blockwise.Error{Offset: 64, Err: ErrUnreachable}}}, 1, ErrUnreachable},
		{"unreachable at the first block", []peer.Addr{v4, other}, map[peer.Addr]error{v4: &OpError{Err: &blockwise.Error{Err: ErrUnreachable}}}, 2, nil},
		{"reset, so it is there", []peer.Addr{v4, other}, map[peer.Addr]error{v4: ErrReset}, 1, ErrReset},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			network := simnet.New(1)
			client := &Client{Listen: func(_ context.Context, name string) (transport.Conn, error) {
				if name == "udp6" {
					return nil, noIPv6
				}
				return network.Listen(netip.AddrPortFrom(netip.IPv4Unspecified(), 0))
			}}
			defer client.Close()
			tried := 0
			err := client.tryEach(t.Context(), tt.addrs, "GET", "coap://h", func(_ *shard, to peer.Addr) error {
				tried++
				return tt.results[to]
			})
			if !errors.Is(err, tt.want) || tried != tt.tried {
				t.Errorf("%d tried, %v; want %d, %v", tried, err, tt.tried, tt.want)
			}
		})
	}
}

// An observation goes to the next address as well, where the first can't be reached.
func TestObserveNextAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := simnet.New(1)
		there := netip.MustParseAddrPort("192.0.2.2:5683")
		conn, err := network.Listen(there)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		served := make(chan error, 1)
		mux := NewMux()
		mux.HandleFunc("GET /", func(w ResponseWriter, _ *Request) { w.WriteString("here") })
		go func() { served <- (&Server{Handler: mux}).Serve(ctx, conn) }()
		client := &Client{Listen: func(context.Context, string) (transport.Conn, error) {
			return network.Listen(netip.AddrPortFrom(netip.IPv4Unspecified(), 0))
		}}
		at := target{uri: message.URI{Host: "h", Port: 5683}, addrs: []peer.Addr{peer.From(netip.MustParseAddrPort("192.0.2.1:5683")), peer.From(there)}}
		var got []string
		err = client.observeAt(ctx, &at, NewRequest(message.GET, "coap://h", Body{}), func(resp *Response, err error) bool {
			got = append(got, string(resp.Payload()))
			return err == nil
		})
		var op *OpError
		if !errors.Is(err, ErrNotObserved) || !errors.As(err, &op) || op.Peer != there.String() || len(got) != 1 || got[0] != "here" {
			t.Errorf("%q, then %v", got, err)
		}
		at.addrs[1] = at.addrs[0]
		if err := client.observeAt(ctx, &at, NewRequest(message.GET, "coap://h", Body{}), nil); !errors.Is(err, ErrUnreachable) {
			t.Error(err)
		}
		client.Close()
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
}

// A stream of which one block was read goes to the next address from its start on.
func TestStreamForNextAddress(t *testing.T) {
	body := Stream(strings.NewReader(strings.Repeat("a", 32)+strings.Repeat("b", 32)+"c"), message.TextPlain)
	if err := body.claim(); err != nil {
		t.Fatal(err)
	}
	if block, last, err := body.stream.begin()(32); string(block) != strings.Repeat("a", 32) || last || err != nil {
		t.Fatalf("%q, %t, %v", block, last, err)
	}
	second := body.stream.begin()
	for _, want := range []string{"a", "b"} {
		if block, _, err := second(32); string(block) != strings.Repeat(want, 32) || err != nil {
			t.Fatalf("%q, %v, want %q", block, err, want)
		}
	}
	if block, last, err := second(32); string(block) != "c" || !last || err != nil {
		t.Fatalf("%q, %t, %v", block, last, err)
	}
	if _, _, err := body.stream.begin()(32); !errors.Is(err, ErrStreamUsed) {
		t.Error(err)
	}
}
