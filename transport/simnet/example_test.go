package simnet_test

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/motewire/coap/peer"
	"github.com/motewire/coap/transport"
	"github.com/motewire/coap/transport/simnet"
)

func Example() {
	network := simnet.New(1)
	network.SetDefault(simnet.Link{Loss: 0.25, MTU: 1280})
	network.Tap(func(r simnet.Record) { fmt.Println(r.Seq, r.From, ">", r.To, r.Fate) })

	server, err := network.Listen(netip.MustParseAddrPort("192.0.2.1:5683"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	client, err := network.Listen(netip.AddrPort{}) // any free address
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()

	datagram := []byte("hello")
	for range 4 {
		packet := transport.Packet{Buf: datagram, N: len(datagram), Peer: peer.From(server.LocalAddr())}
		client.WriteBatch([]transport.Packet{packet})
	}
	// Output:
	// 0 10.0.0.1:49152 > 192.0.2.1:5683 delivered
	// 1 10.0.0.1:49152 > 192.0.2.1:5683 delivered
	// 2 10.0.0.1:49152 > 192.0.2.1:5683 delivered
	// 3 10.0.0.1:49152 > 192.0.2.1:5683 lost
}

func ExampleNetwork_Partition() {
	network := simnet.New(1)
	network.SetDefault(simnet.Link{Delay: time.Millisecond})
	network.Tap(func(r simnet.Record) { fmt.Println(string(r.Data), r.Fate) })
	a, _ := network.Listen(netip.AddrPort{})
	b, _ := network.Listen(netip.AddrPort{})
	defer network.Close()

	send := func(text string) {
		packet := transport.Packet{Buf: []byte(text), N: len(text), Peer: peer.From(b.LocalAddr())}
		a.WriteBatch([]transport.Packet{packet})
	}
	network.Partition(b.LocalAddr())
	send("one")
	network.Heal()
	send("two")
	b.ReadBatch([]transport.Packet{{Buf: make([]byte, 1280)}})
	// Output:
	// one cut
	// two delivered
}
