// Command multicast asks a group for its resources (RFC 7252 §8): three nodes on a network
// in memory. On a real one the nodes set Server.Groups to coap.AllCoAPNodes and call
// ListenAndServe, and the client has no Listen.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/netip"
	"os"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/transport"
	"github.com/motewire/coap/transport/simnet"
)

var group = netip.MustParseAddr("224.0.1.187")

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, out io.Writer) error {
	network := simnet.New(1)
	for _, name := range []string{"light", "heater", "door"} {
		if err := serve(ctx, network, name); err != nil {
			return err
		}
	}
	client := &coap.Client{
		Listen:      func(context.Context, string) (transport.Conn, error) { return network.Listen(netip.AddrPort{}) },
		GroupWindow: time.Second, // 7 s by default
	}
	defer client.Close()
	for resp, err := range client.Group(ctx, "coap://224.0.1.187/.well-known/core") {
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%v: %s\n", resp.Peer(), resp.Payload())
	}
	return nil
}

func serve(ctx context.Context, network *simnet.Network, name string) error {
	conn, err := network.Listen(netip.AddrPortFrom(netip.Addr{}, coap.DefaultPort))
	if err != nil {
		return err
	}
	mux := coap.NewMux()
	mux.Handle("GET /"+name, coap.NewState(false))
	// Members answer at a random moment within the leisure, 5 s by default.
	s := &coap.Server{Handler: mux, Params: coap.Params{DefaultLeisure: 100 * time.Millisecond}}
	go s.Serve(ctx, conn)
	return conn.JoinGroup(group, nil)
}
