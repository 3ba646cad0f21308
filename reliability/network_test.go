package reliability

import (
	"bytes"
	"container/heap"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/motewire/coap/internal/transcript"
	"github.com/motewire/coap/message"
	"github.com/motewire/coap/peer"
)

// A network joins two Endpoints, each of which is client and server, by links that
// lose, delay, duplicate and thereby reorder datagrams, all from one seed.
type network struct {
	t        *testing.T
	rng      *rand.Rand
	loss     float64
	double   float64
	delay    time.Duration // longest one, one way
	now      time.Time
	queue    inFlight
	nodes    [2]*node
	carried  int
	sequence int
}

type node struct {
	e        *Endpoint
	addr     peer.Addr
	requests map[Outbound]uint32 // open requests and the number in each
	handled  map[uint32]int      // by number of the request
	results  map[uint32]error    // how each request ended; nil: by its response
	slow     []slowAnswer
}

type slowAnswer struct {
	at    time.Time
	x     Inbound
	reply []byte
}

type flying struct {
	at       time.Time
	sequence int
	to       int
	datagram []byte
}

type inFlight []flying

func (q inFlight) Len() int { return len(q) }
func (q inFlight) Less(i, j int) bool {
	return q[i].at.Before(q[j].at) || q[i].at.Equal(q[j].at) && q[i].sequence < q[j].sequence
}
func (q inFlight) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *inFlight) Push(x any)   { *q = append(*q, x.(flying)) }
func (q *inFlight) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}

func newNetwork(t *testing.T, seed uint64, loss float64, delay time.Duration) *network {
	n := &network{t: t, rng: rand.New(rand.NewPCG(seed, 0)), loss: loss, double: loss / 2, delay: delay, now: epochStart}
	for i, addr := range []peer.Addr{alice, bob} {
		e, err := New(Config{Params: Params{NStart: 4, ProbingRate: -1}}, newRand(seed+uint64(i)))
		if err != nil {
			t.Fatal(err)
		}
		n.nodes[i] = &node{e: e, addr: addr, requests: map[Outbound]uint32{}, handled: map[uint32]int{}, results: map[uint32]error{}}
	}
	return n
}

// carry puts a datagram of node i on its way.
func (n *network) carry(i int, datagram []byte) {
	n.carried++
	copies := 1
	if n.rng.Float64() < n.double {
		copies = 2
	}
	for range copies {
		if n.rng.Float64() < n.loss {
			continue
		}
		n.sequence++
		at := n.now.Add(n.delay/10 + time.Duration(n.rng.Int64N(int64(n.delay))))
		heap.Push(&n.queue, flying{at, n.sequence, 1 - i, bytes.Clone(datagram)})
	}
}

// drain carries out the events of node i.
func (n *network) drain(i int) {
	node := n.nodes[i]
	for {
		ev, ok := node.e.Poll()
		if !ok {
			return
		}
		switch ev.Kind {
		case Transmit:
			n.carry(i, ev.Datagram)
		case Ended:
			n.end(node, ev.Outbound, ev.Err)
		case Acknowledged:
		}
	}
}

// end notes that a request is over, which must happen once.
func (n *network) end(node *node, x Outbound, err error) {
	number, ok := node.requests[x]
	if !ok {
		n.t.Fatalf("exchange %x ended twice or never began: %v", x, err)
	}
	delete(node.requests, x)
	node.results[number] = err
}

// send makes a request that carries its number.
func (n *network) send(i int, number uint32, confirmable bool) {
	node, to := n.nodes[i], n.nodes[1-i].addr
	token := node.e.NewToken(to)
	enc := message.AppendHeader(nil, 0, message.POST, 0, token)
	d, err := enc.Finish(binary.BigEndian.AppendUint32(nil, number))
	if err != nil {
		n.t.Fatal(err)
	}
	x, err := node.e.Send(n.now, to, d, SendOptions{Confirmable: confirmable, Expect: ExpectOne, Token: token})
	if err != nil {
		n.t.Fatal(err)
	}
	node.requests[x] = number
	n.drain(i)
}

// arrive hands a datagram to its receiver and does what its application would do.
func (n *network) arrive(f flying) {
	node := n.nodes[f.to]
	var v message.View
	if err := v.Parse(f.datagram); err != nil {
		n.t.Fatal(err)
	}
	verdict := node.e.Receive(n.now, n.nodes[1-f.to].addr, false, &v)
	switch verdict.Kind {
	case Request:
		number := binary.BigEndian.Uint32(v.Payload())
		node.handled[number]++
		enc := message.AppendHeader(nil, 0, message.Changed, 0, v.Token())
		reply, _ := enc.Finish(v.Payload())
		if n.rng.IntN(3) == 0 {
			node.slow = append(node.slow, slowAnswer{n.now.Add(time.Duration(n.rng.IntN(3000)) * time.Millisecond), verdict.Inbound, reply})
		} else if node.e.Respond(n.now, verdict.Inbound, reply, RespondOptions{}) {
			n.carry(f.to, reply)
		}
	case Response:
		if number := node.requests[verdict.Outbound]; number != binary.BigEndian.Uint32(v.Payload()) {
			n.t.Fatalf("request %d got the response to %d", number, binary.BigEndian.Uint32(v.Payload()))
		}
		n.end(node, verdict.Outbound, nil)
	case InboundReset, ResetSeen, Handled:
	}
	n.drain(f.to)
}

// answer lets the slow handlers of node i come back.
func (n *network) answer(i int) {
	node := n.nodes[i]
	rest := node.slow[:0]
	for _, s := range node.slow {
		if s.at.After(n.now) {
			rest = append(rest, s)
		} else if node.e.Respond(n.now, s.x, s.reply, RespondOptions{}) {
			n.carry(i, s.reply)
		}
	}
	node.slow = rest
	n.drain(i)
}

// run lets time pass until nothing is left to do, or until end.
func (n *network) run(end time.Time) {
	for {
		next := end
		earlier := func(at time.Time) {
			if at.Before(next) {
				next = at
			}
		}
		if len(n.queue) > 0 {
			earlier(n.queue[0].at)
		}
		for _, node := range n.nodes {
			if at, ok := node.e.Deadline(); ok {
				earlier(at)
			}
			for _, s := range node.slow {
				earlier(s.at)
			}
		}
		if next.After(n.now) {
			n.now = next
		}
		for len(n.queue) > 0 && !n.queue[0].at.After(n.now) {
			n.arrive(heap.Pop(&n.queue).(flying))
		}
		for i, node := range n.nodes {
			node.e.Advance(n.now)
			n.answer(i)
		}
		if !n.now.Before(end) {
			return
		}
	}
}

// play sends requests in both directions and returns when all is over.
func (n *network) play(requests int) {
	for k := range requests {
		n.send(k%2, uint32(k), k%4 < 3)
		if k%10 == 9 {
			n.run(n.now.Add(time.Duration(n.rng.IntN(500)) * time.Millisecond))
		}
	}
	n.run(n.now.Add(40 * time.Minute))
}

// Every request ends exactly once, every Confirmable one that got its response was
// handled exactly once, and nothing is left behind.
func TestArbitraryNetwork(t *testing.T) {
	for seed := range uint64(40) {
		loss := float64(seed%5) * 0.12
		delay := []time.Duration{5, 300, 4000, 30000}[seed/5%4] * time.Millisecond
		t.Run(fmt.Sprintf("seed=%d,loss=%.2f,delay=%v", seed, loss, delay), func(t *testing.T) {
			const requests = 120
			n := newNetwork(t, seed, loss, delay)
			n.play(requests)
			answered := 0
			for k := range uint32(requests) {
				client, server := n.nodes[k%2], n.nodes[1-k%2]
				err, ended := client.results[k]
				if !ended {
					t.Fatalf("request %d never ended", k)
				}
				if server.handled[k] > 1 || err == nil && server.handled[k] != 1 {
					t.Errorf("request %d handled %d times: %v", k, server.handled[k], err)
				}
				if err == nil {
					answered++
				} else if !errors.Is(err, ErrTimeout) && !errors.Is(err, ErrResponseTimeout) {
					t.Errorf("request %d: %v", k, err)
				}
			}
			if loss == 0 && answered != requests || answered < requests/2 {
				t.Errorf("%d of %d answered", answered, requests)
			}
			for _, node := range n.nodes {
				s := node.e.Stats()
				if s.OpenExchanges+s.PendingRequests+s.Remembered+s.RememberedBytes+s.Peers != 0 {
					t.Errorf("left behind: %+v", s)
				}
			}
		})
	}
}

// What loss and delay cost, as a table to be reviewed when it changes.
func TestNetworkTable(t *testing.T) {
	var out bytes.Buffer
	fmt.Fprintln(&out, "100 requests, three of four Confirmable, in both directions, from one seed.")
	fmt.Fprintf(&out, "%5s %8s %9s %10s %15s %11s %9s\n", "loss", "delay", "answered", "datagrams", "retransmissions", "duplicates", "time-outs")
	for _, loss := range []float64{0, 0.05, 0.2, 0.4} {
		for _, delay := range []time.Duration{10 * time.Millisecond, time.Second, 10 * time.Second} {
			n := newNetwork(t, 1, loss, delay)
			n.play(100)
			answered, timeouts := 0, 0
			var retransmissions, duplicates uint64
			for _, node := range n.nodes {
				s := node.e.Stats()
				retransmissions += s.Retransmissions
				duplicates += s.DuplicatesConfirmable + s.DuplicatesNonConfirmable
				for _, err := range node.results {
					if err == nil {
						answered++
					} else {
						timeouts++
					}
				}
			}
			fmt.Fprintf(&out, "%5.2f %8v %9d %10d %15d %11d %9d\n", loss, delay, answered, n.carried, retransmissions, duplicates, timeouts)
		}
	}
	transcript.Compare(t, "testdata/network.golden", out.Bytes())
}
