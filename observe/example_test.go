package observe_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/motewire/coap/message"
	"github.com/motewire/coap/observe"
	"github.com/motewire/coap/peer"
)

var noon = time.Date(2024, 1, 1, 12, 0, 0, 0, time.UTC)

// A server tells a client of a new state; the client's Reset ends the observation.
func ExampleRegistry() {
	registry, err := observe.NewRegistry(observe.Config{}, rand.New(rand.NewPCG(1, 2)))
	if err != nil {
		fmt.Println(err)
		return
	}
	const temperature, plainText = observe.Resource(0), observe.Representation(0)
	client := peer.From(netip.MustParseAddrPort("192.0.2.1:5683"))
	token, _ := message.MakeToken([]byte{0x4a})

	reg := registry.Register(noon, client, token, temperature, plainText)
	fmt.Println("registered:", reg.Outcome == observe.New)

	later := noon.Add(time.Minute)
	registry.Changed(later, temperature)
	for {
		n, ok := registry.Poll(later)
		if !ok {
			break
		}
		fmt.Println("notify", n.Peer, n.Token, "confirmable:", n.Confirmable, "later:", n.Sequence > reg.Sequence)
		registry.Sent(n.Observer, 0x1234, 0)
	}
	_, ended := registry.Reset(later, client, 0x1234)
	fmt.Println("ended:", ended, "observers:", registry.Stats().Observers)
	// Output:
	// registered: true
	// notify 192.0.2.1:5683 4a confirmable: false later: true
	// ended: true observers: 0
}

// A client registers again when Max-Age and some more are over.
func ExampleObservation() {
	observation, err := observe.NewObservation(observe.ObservationConfig{}, rand.New(rand.NewPCG(1, 2)))
	if err != nil {
		fmt.Println(err)
		return
	}
	response := observe.Arrival{Success: true, Observed: true, Sequence: 12, MaxAge: time.Minute, Answer: true}
	fmt.Println("fresh:", observation.Receive(noon, response) == observe.Fresh)
	for {
		at, _ := observation.Deadline()
		if observation.Advance(at) {
			fmt.Println("register again:", at.Sub(noon) >= 65*time.Second)
			break
		}
		fmt.Println("stale after", at.Sub(noon))
	}
	fmt.Println("deregister:", observation.Cancel())
	// Output:
	// fresh: true
	// stale after 1m0s
	// register again: true
	// deregister: true
}

func ExampleFreshness() {
	var f observe.Freshness
	fmt.Println(f.Accept(noon, 1<<24-1), f.Accept(noon, 0), f.Accept(noon, 1<<24-1))
	fmt.Println(f.Accept(noon.Add(129*time.Second), 1<<24-1))
	// Output:
	// true true false
	// true
}
