// Command fleet has 1,000 nodes report to a backend, over a network that loses datagrams.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/transport"
	"github.com/motewire/coap/transport/simnet"
)

const nodes, readings = 1000, 3 // of each

var received, again atomic.Int64

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, out io.Writer) error {
	network := simnet.New(1)
	network.SetDefault(simnet.Link{Loss: 0.05, Delay: 10 * time.Millisecond})
	conn, err := network.Listen(netip.AddrPortFrom(netip.Addr{}, coap.DefaultPort))
	if err != nil {
		return err
	}
	backend := coap.HandlerFunc(func(coap.ResponseWriter, *coap.Request) { received.Add(1) })
	go (&coap.Server{Handler: backend}).Serve(ctx, conn)

	var wg sync.WaitGroup
	for id := range nodes {
		wg.Go(func() { node(ctx, network, fmt.Sprintf("coap://%v/nodes/%d", conn.LocalAddr(), id)) })
	}
	wg.Wait()
	fmt.Fprintf(out, "%d readings of %d nodes, %d retransmissions\n", received.Load(), nodes, again.Load())
	return nil
}

func node(ctx context.Context, network *simnet.Network, url string) {
	listen := func(context.Context, string) (transport.Conn, error) { return network.Listen(netip.AddrPort{}) }
	client := &coap.Client{Listen: listen, Params: coap.Params{AckTimeout: 200 * time.Millisecond, MaxRetransmit: 8}}
	defer client.Close()
	for i := range readings {
		resp, err := client.Post(ctx, url, coap.Text(fmt.Sprint(20+i)))
		if err != nil {
			log.Fatal(err)
		}
		again.Add(int64(resp.Attempts) - 1)
	}
}
