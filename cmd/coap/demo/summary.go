package demo

import (
	"fmt"
	"time"

	"github.com/motewire/coap/cmd/coap/overhttp"
	"github.com/motewire/coap/message"
)

// Sizes of headers in bytes, without a link layer: IPv4 without options and UDP, TCP with
// the timestamps that are usual, and a SYN with the options that Linux sends.
const (
	udpHeaders = 20 + 8
	tcpHeaders = 20 + 20 + 12
	synHeaders = 20 + 20 + 20
)

// delayedAck is how long a TCP waits for data that an acknowledgement can go with (Linux).
const delayedAck = 40 * time.Millisecond

// A tally counts what one way of doing a step takes.
type tally struct {
	packets int // datagrams, or TCP segments
	bytes   int // within them
}

func (t *tally) add(bytes int) {
	t.packets++
	t.bytes += bytes
}

func (t *tally) plus(o tally) {
	t.packets += o.packets
	t.bytes += o.bytes
}

// A cost is what one step takes.
type cost struct {
	clean tally // CoAP if nothing were lost
	wire  tally // CoAP as it was
	http  tally // HTTP if nothing were lost
}

// exchange is what a step's cost over HTTP is computed from.
type exchange struct {
	request, response *message.View
	took              time.Duration // of the node, to make the response
}

// printSummary compares the bytes of the run with those of HTTP/1.1.
func printSummary(rec *recorder, host string) error {
	rec.mu.Lock()
	datagrams := rec.datagrams
	rec.mu.Unlock()
	costs, err := countCosts(datagrams, host)
	if err != nil {
		return err
	}
	rec.printf("\n%s\n\n", rec.paint(bold, "Bytes on the wire, and what the same takes over HTTP/1.1"))
	rec.printf("   %-4s %-44s %14s %14s %14s\n", "STEP", "", "CoAP, no loss", "CoAP, as above", "HTTP, no loss")
	var sum cost
	for i, c := range costs {
		rec.printf("   %4d %-44s %14d %14d %14d\n", i+1, steps[i].headline, c.clean.bytes, c.wire.bytes, c.http.bytes)
		sum.clean.plus(c.clean)
		sum.wire.plus(c.wire)
		sum.http.plus(c.http)
	}
	printTotals(rec, sum)
	return nil
}

func printTotals(rec *recorder, sum cost) {
	row := func(name string, clean, wire, http any) {
		rec.printf("   %-49s %14v %14v %14v\n", name, clean, wire, http)
	}
	headers := cost{
		clean: tally{sum.clean.packets, sum.clean.packets * udpHeaders},
		wire:  tally{sum.wire.packets, sum.wire.packets * udpHeaders},
		http:  connectionHeaders(sum.http.packets),
	}
	row("sum: payload of UDP, stream of TCP", sum.clean.bytes, sum.wire.bytes, sum.http.bytes)
	row("UDP datagrams, TCP segments", headers.clean.packets, headers.wire.packets, headers.http.packets)
	row("headers of IPv4 and UDP or TCP", headers.clean.bytes, headers.wire.bytes, headers.http.bytes)
	clean, http := sum.clean.bytes+headers.clean.bytes, sum.http.bytes+headers.http.bytes
	row("all", clean, sum.wire.bytes+headers.wire.bytes, http)
	row("times CoAP without loss", "1.0", ratio(sum.wire.bytes+headers.wire.bytes, clean), ratio(http, clean))
	rec.printf(`
   CoAP: every datagram, empty acknowledgements included; "no loss" counts each once.
   HTTP: what net/http writes for the same methods, paths, formats and payloads, with Host and
   Date but without User-Agent and Server, over one connection kept open: handshake, a segment
   per request and per response, acknowledgements on their own only where the answer takes
   longer than %v, and the close. Headers are IPv4 20, UDP 8, TCP 32 bytes (40 with SYN).
   Left out are the observation, as HTTP has nothing like it, and the transfers.
`, delayedAck)
}

func ratio(a, b int) string { return fmt.Sprintf("%.1f", float64(a)/float64(b)) }

// connectionHeaders counts the segments of a TCP connection that carries so many, with
// those of its handshake and its close, and the bytes of their headers.
func connectionHeaders(segments int) tally {
	const closing = 3 // FIN, FIN, ACK
	return tally{
		packets: 2 + 1 + segments + closing,
		bytes:   2*synHeaders + (1+segments+closing)*tcpHeaders,
	}
}

// countCosts adds up what each step took over the wire, and would take over HTTP.
func countCosts(datagrams []datagram, host string) ([]cost, error) {
	costs := make([]cost, len(steps))
	exchanges := make([]exchange, len(steps))
	for _, d := range datagrams {
		if d.step >= len(steps) {
			continue // the observation and the transfers
		}
		c, x := &costs[d.step], &exchanges[d.step]
		size := len(d.view.Datagram())
		c.wire.add(size)
		if d.copies > 0 {
			continue
		}
		c.clean.add(size)
		switch {
		case d.view.Code().IsRequest():
			x.request = d.view
		case d.view.Code().IsResponse():
			x.response = d.view
			if d.view.Type() == message.Confirmable { // it was too slow for its ACK
				x.took = delayedAck + 1
			}
		}
	}
	for i, x := range exchanges {
		var err error
		if costs[i].http, err = x.overHTTP(host); err != nil {
			return nil, err
		}
	}
	return costs, nil
}

// overHTTP counts the bytes of the exchange over an HTTP connection.
func (x exchange) overHTTP(host string) (tally, error) {
	var t tally
	request, err := overhttp.Request(x.request, host)
	if err != nil {
		return t, err
	}
	response, err := overhttp.Response(x.response, time.Now())
	if err != nil {
		return t, err
	}
	t.add(len(request))
	if x.took > delayedAck {
		t.add(0)
	}
	t.add(len(response))
	return t, nil
}
