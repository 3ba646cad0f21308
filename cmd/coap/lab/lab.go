// Package lab is a simulated sensor node: what a program that talks CoAP meets in the
// field, to try clients against.
//
//	/temperature      GET, PUT   degrees Celsius, text, observable
//	/humidity         GET        relative humidity in percent, text, observable
//	/config           GET, PUT   {"name":"lab","interval":2}
//	/config/interval  GET, PUT   the interval of /config alone, in seconds, text
//	/led              GET, PUT   on or off, text
//	/hello            GET        a greeting
//	/slow             GET        an answer after a second, which makes it a separate one
//	/readings         GET, POST  what clients have posted, JSON
//	/readings/{id}    GET        one of them
//
// A value that is no good is answered by 4.00 with a diagnostic payload that says why.
package lab

import (
	"sync"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/message"
)

// slowDelay is how long /slow takes.
const slowDelay = time.Second

// A Node is the state of a sensor node, in memory and shared by all clients. It is safe
// for concurrent use.
type Node struct {
	mu          sync.Mutex // held for moments only
	temperature float64    // degrees Celsius
	humidity    float64    // percent
	led         bool
	config      config
	readings    readings

	temperatureSubject, humiditySubject coap.Subject
	reconfigured                        chan struct{} // tells Run of another interval
}

// New returns a node as it leaves the factory. Its values stand still without [Node.Run].
func New() *Node {
	return &Node{
		temperature:  temperatureWalk.home,
		humidity:     humidityWalk.home,
		config:       config{Name: "lab", Interval: 2},
		reconfigured: make(chan struct{}, 1),
	}
}

// Mux returns the node's resources, each with its type, interface and Content-Format in
// discovery.
func (n *Node) Mux() *coap.Mux {
	m := coap.NewMux()
	n.addValues(m)
	n.addConfig(m)
	n.addReadings(m)
	text := coap.Produces(message.TextPlain)
	m.HandleFunc("GET /hello", hello, text, coap.ResourceType("greeting"), coap.Interface("core.rp"))
	m.HandleFunc("GET /slow", slow, text, coap.ResourceType("delay"), coap.Interface("core.rp"))
	return m
}

func hello(w coap.ResponseWriter, _ *coap.Request) { writeText(w, "Hello from the lab") }

// slow simply blocks. The Empty Acknowledgement goes out by itself, and the response
// follows in a message of its own (RFC 7252 §5.2.2).
func slow(w coap.ResponseWriter, r *coap.Request) {
	timer := time.NewTimer(slowDelay)
	defer timer.Stop()
	select {
	case <-timer.C:
		writeText(w, "Good things take a second")
	case <-r.Context().Done(): // nobody waits any more
		coap.Error(w, message.ServiceUnavailable, "slow: interrupted")
	}
}

func writeText(w coap.ResponseWriter, text string) {
	w.SetContentFormat(message.TextPlain)
	w.WriteString(text)
}
