package fuzz

import (
	"bytes"
	"context"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/coaptest"
	"github.com/motewire/coap/message"
	"github.com/motewire/coap/transport"
	"github.com/motewire/coap/transport/simnet"
)

// Kinds of what an odd server says: with the message ID or the token of the client's last
// request put in, or as it is.
const (
	withID    = 1
	withToken = 2
)

// FuzzClient has a client ask a server that says whatever the fuzzer writes. Each call
// ends within the RFC's times, a response is one that was said with the request's token,
// and nothing is held afterwards.
func FuzzClient(f *testing.F) {
	for _, corpus := range corpora(f) {
		var seed script
		for i, d := range corpus {
			seed = seed.with(byte(1+i%3), d).withPause(byte(i % 13))
		}
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		coaptest.Run(t, func(t *testing.T) { askScript(t, script(input).steps()) })
	})
}

func askScript(t *testing.T, steps []step) {
	network := simnet.New(1)
	conn, err := network.Listen(netip.MustParseAddrPort("10.1.1.1:5683"))
	if err != nil {
		t.Fatal(err)
	}
	odd := &oddServer{conn: conn, steps: steps, read: make(chan struct{}), said: map[message.Token][][]byte{}}
	go odd.serve()
	client := &coap.Client{Listen: coaptest.Listen(network)}
	for _, options := range [][]coap.RequestOption{nil, {coap.NonConfirmable}, {coap.NoResponse(26)}} {
		began := time.Now()
		resp, err := client.Get(context.Background(), "coap://10.1.1.1/test", options...)
		// MAX_TRANSMIT_WAIT and then the response time-out, EXCHANGE_LIFETIME.
		if d := time.Since(began); d > (93+247)*time.Second {
			t.Errorf("a call took %v", d)
		}
		if err == nil && resp.Code != message.Empty && !odd.hasSaid(resp) {
			t.Errorf("a response that nobody sent: %v", resp.Message())
		}
	}
	conn.Close()
	<-odd.read
	time.Sleep(time.Hour)
	n := client.Stats()
	checkForgotten(t, n)
	if err := client.Close(); err != nil {
		t.Error(err)
	}
}

// An oddServer answers every datagram by the steps up to the next pause.
type oddServer struct {
	conn  *simnet.Conn
	steps []step
	read  chan struct{} // closed when it has ended

	mu   sync.Mutex
	said map[message.Token][][]byte // what was said, by token
}

func (o *oddServer) serve() {
	defer close(o.read)
	packets := []transport.Packet{{Buf: make([]byte, 2048)}}
	for {
		if _, err := o.conn.ReadBatch(packets); err != nil {
			return
		}
		if packets[0].Err == nil {
			o.answer(&packets[0])
		}
	}
}

func (o *oddServer) answer(request *transport.Packet) {
	asked := request.Buf[:request.N]
	for len(o.steps) > 0 {
		next := o.steps[0]
		o.steps = o.steps[1:]
		if next.kind == stepPause {
			time.Sleep(next.pause)
			return
		}
		d := patch(next, asked)
		o.note(d)
		o.conn.WriteBatch([]transport.Packet{{Buf: d, N: len(d), Peer: request.Peer}})
	}
}

func (o *oddServer) note(datagram []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var v message.View
	if v.Parse(datagram) == nil {
		o.said[v.Token()] = append(o.said[v.Token()], datagram)
	}
}

// patch puts the request's message ID and token in, as far as there is room.
func patch(s step, request []byte) []byte {
	d := bytes.Clone(s.datagram)
	if s.kind&withID != 0 && len(d) >= 4 {
		copy(d[2:4], request[2:4])
	}
	if n := request[0] & 15; s.kind&withToken != 0 && n == 8 && len(d) >= 4 {
		old := min(4+int(d[0]&15), len(d))
		d = append(append(append([]byte{d[0]&0xf0 | n}, d[1:4]...), request[4:12]...), d[old:]...)
	}
	return d
}

// hasSaid reports whether a response is one of those that were sent.
func (o *oddServer) hasSaid(resp *coap.Response) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, d := range o.said[resp.Message().Token()] {
		if bytes.Equal(d, resp.Message().Datagram()) {
			return true
		}
	}
	return false
}
