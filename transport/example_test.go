package transport_test

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/motewire/coap/peer"
	"github.com/motewire/coap/transport"
)

// A server that sends back whatever it gets, from the address that was asked.
func Example() {
	server, err := transport.Listen(context.Background(), "udp4", "127.0.0.1:0", transport.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	go func() {
		batch := make([]transport.Packet, transport.MaxBatch)
		for i := range batch {
			batch[i].Buf = make([]byte, 1500)
		}
		for {
			n, err := server.ReadBatch(batch)
			if err != nil {
				return
			}
			server.WriteBatch(batch[:n])
		}
	}()

	client, err := transport.Listen(context.Background(), "udp4", ":0", transport.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	p := []transport.Packet{{Buf: []byte("hello"), N: 5, Peer: peer.From(server.LocalAddr())}}
	client.WriteBatch(p)
	if _, err := client.ReadBatch(p); err == nil {
		fmt.Printf("%s\n", p[0].Buf[:p[0].N])
	}
	// Output: hello
}

// Several sockets share one port, and one of them is a member of the group.
func ExampleListenShards() {
	shards, err := transport.ListenShards(context.Background(), "udp", ":0", 4, transport.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, s := range shards {
		defer s.Close()
	}
	fmt.Println(shards[0].LocalAddr() == shards[len(shards)-1].LocalAddr())
	_ = shards[0].JoinGroup(transport.AllNodes4, nil) // on every interface
	// Output: true
}

// A link that loses every fifth datagram, with its story.
func ExampleLossy() {
	server, err := transport.Listen(context.Background(), "udp4", "127.0.0.1:0", transport.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	lost := 0
	link := transport.Lossy(server, transport.LossyConfig{Seed: 1, Send: 0.2, Tap: func(f transport.Fate) {
		if f.Dropped {
			lost++
		}
	}})
	to := peer.From(netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), server.LocalAddr().Port()))
	for range 1000 {
		link.WriteBatch([]transport.Packet{{Buf: []byte("x"), N: 1, Peer: to}})
	}
	fmt.Println(lost > 150 && lost < 250)
	// Output: true
}
