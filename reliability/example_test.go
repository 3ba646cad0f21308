package reliability_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/motewire/coap/message"
	"github.com/motewire/coap/peer"
	"github.com/motewire/coap/reliability"
)

// A request whose Acknowledgement never comes: the owner of an Endpoint sends what Poll
// returns and calls Advance at each Deadline.
func ExampleEndpoint() {
	rng := rand.New(rand.NewChaCha8([32]byte{})) // seed it from crypto/rand
	cfg := reliability.Config{Params: reliability.Params{AckRandomFactor: 1, MaxRetransmit: 2}}
	e, err := reliability.New(cfg, rng)
	if err != nil {
		fmt.Println(err)
		return
	}
	start := time.Unix(0, 0)
	server := peer.From(netip.MustParseAddrPort("192.0.2.1:5683"))
	token := e.NewToken(server)
	enc := message.AppendHeader(nil, message.Confirmable, message.GET, 0, token)
	datagram, _ := enc.Finish(nil)
	o := reliability.SendOptions{Confirmable: true, Expect: reliability.ExpectOne, Token: token}
	if _, err := e.Send(start, server, datagram, o); err != nil {
		fmt.Println(err)
		return
	}
	for now, over := start, false; !over; {
		for ev, ok := e.Poll(); ok; ev, ok = e.Poll() {
			switch ev.Kind {
			case reliability.Transmit:
				fmt.Println(now.Sub(start), "transmission", ev.Attempt, "of", len(ev.Datagram), "bytes")
			case reliability.Acknowledged:
				fmt.Println(now.Sub(start), "acknowledged")
			case reliability.Ended:
				fmt.Println(now.Sub(start), ev.Err)
				over = true
			}
		}
		now, _ = e.Deadline()
		e.Advance(now)
	}
	// Output:
	// 0s transmission 1 of 12 bytes
	// 2s transmission 2 of 12 bytes
	// 6s transmission 3 of 12 bytes
	// 14s reliability: no acknowledgement after 3 transmissions to 192.0.2.1:5683
}

// A server answers at once, so that the response is piggybacked on the Acknowledgement.
func ExampleEndpoint_Respond() {
	e, err := reliability.New(reliability.Config{}, rand.New(rand.NewChaCha8([32]byte{})))
	if err != nil {
		fmt.Println(err)
		return
	}
	now := time.Unix(0, 0)
	client := peer.From(netip.MustParseAddrPort("[2001:db8::1]:61616"))
	var v message.View
	if err := v.Parse([]byte{0x41, 0x01, 0x7d, 0x35, 0x20}); err != nil {
		fmt.Println(err)
		return
	}
	for range 2 { // the second is a duplicate
		verdict := e.Receive(now, client, false, &v)
		if verdict.Kind == reliability.Request {
			enc := message.AppendHeader(nil, 0, message.Content, 0, v.Token())
			reply, _ := enc.Finish([]byte("22.3 C"))
			if e.Respond(now, verdict.Inbound, reply, reliability.RespondOptions{}) {
				fmt.Printf("send %x\n", reply)
			}
		}
		for ev, ok := e.Poll(); ok; ev, ok = e.Poll() {
			fmt.Printf("again %x\n", ev.Datagram)
		}
	}
	// Output:
	// send 61457d3520ff32322e332043
	// again 61457d3520ff32322e332043
}
