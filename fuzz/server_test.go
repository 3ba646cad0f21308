package fuzz

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/coaptest"
	"github.com/motewire/coap/message"
	"github.com/motewire/coap/peer"
	"github.com/motewire/coap/transport"
	"github.com/motewire/coap/transport/simnet"
)

// Kinds of datagrams: from which peer, to the server or to its group.
const (
	fromA  = 1
	toAll  = 2 // from A to the group
	fromB  = 3
	burstA = 4 // from A, in one batch with the datagram before if that was one of A's
)

var group = netip.MustParseAddrPort("224.0.1.187:5683")

// FuzzServer feeds a server with datagrams and pauses. It must neither panic nor answer
// what has to be met with silence, and when all is over it holds nothing any more.
func FuzzServer(f *testing.F) {
	for _, corpus := range corpora(f) {
		var seed script
		for i, d := range corpus {
			seed = seed.with([]byte{fromA, toAll, fromB, burstA}[i%4], d).withPause(byte(i % 13))
		}
		f.Add([]byte(seed))
	}
	f.Add([]byte(groupSeed(f)))
	f.Fuzz(func(t *testing.T, input []byte) {
		coaptest.Run(t, func(t *testing.T) { serveScript(t, script(input).steps()) })
	})
}

// groupSeed asks the group for everything there is and for what there isn't.
func groupSeed(tb testing.TB) (seed script) {
	tb.Helper()
	for i, name := range []string{"hello", "all", "test", "time", "separate", "panic", "none"} {
		token, _ := message.MakeToken([]byte(name))
		m := message.Message{Type: message.NonConfirmable, Code: message.GET, ID: message.ID(i), Token: token,
			Options: []message.Option{{Number: message.URIPath, Value: []byte(name)}}}
		d, err := m.MarshalBinary()
		if err != nil {
			tb.Fatal(err)
		}
		seed = seed.with(toAll, d).withPause(13)
	}
	return seed
}

// resources are what a server may be asked for, with every way of answering.
func resources() *coap.Mux {
	text := func(w coap.ResponseWriter, _ *coap.Request) { w.WriteString("hello") }
	mux := coap.NewMux()
	mux.HandleFunc("/hello", text)
	mux.HandleFunc("/all/{rest...}", text, coap.Multicast())
	mux.HandleFunc("/test", func(w coap.ResponseWriter, r *coap.Request) { w.Write(r.Payload()) })
	mux.HandleFunc("/time", func(_ coap.ResponseWriter, r *coap.Request) {
		select {
		case <-r.Context().Done():
		case <-time.After(time.Second):
		}
	}, coap.Multicast())
	mux.HandleFunc("/separate", func(w coap.ResponseWriter, _ *coap.Request) {
		d := w.Detach()
		time.AfterFunc(5*time.Second, func() {
			d.WriteString("late")
			d.Send()
		})
	})
	mux.HandleFunc("/panic", func(coap.ResponseWriter, *coap.Request) { panic("as asked") })
	return mux
}

func serveScript(t *testing.T, steps []step) {
	s := coaptest.NewUnstartedServer(resources())
	s.Config.Groups = []coap.Group{{Addr: group.Addr()}}
	s.Start()
	defer s.Close()
	a, b := newWitness(t, s, "10.1.1.1:5683"), newWitness(t, s, "10.1.1.2:40000")
	defer a.close()
	defer b.close()
	for _, step := range steps {
		switch step.kind {
		case stepPause:
			time.Sleep(step.pause)
		case fromB:
			b.send(s.Addr, step.datagram)
		case toAll:
			a.send(group, step.datagram)
		case burstA:
			a.send(s.Addr, step.datagram)
			continue // the next one may come in the same batch
		default:
			a.send(s.Addr, step.datagram)
		}
		synctest.Wait()
	}
	a.ping(s.Addr)
	time.Sleep(time.Hour)
	checkForgotten(t, s.Config.Stats())
}

// checkForgotten checks that nothing is held when every lifetime is over (RFC 7252 §4.8.2).
func checkForgotten(t *testing.T, n coap.Stats) {
	t.Helper()
	m := n.Messages
	if n.HandlersAway != 0 || m.PendingRequests != 0 || m.OpenExchanges != 0 || m.Remembered != 0 || m.Peers != 0 {
		t.Errorf("left after an hour: %+v", n)
	}
	if u, r := n.Uploads, n.Responses; u.Transfers != 0 || u.TransferBytes != 0 || u.Finished != 0 || r.Snapshots != 0 || r.SnapshotBytes != 0 {
		t.Errorf("transfers left after an hour: %+v, %+v", u, r)
	}
	if m.RememberedBytes > 64<<10 {
		t.Errorf("%d bytes of empty tables", m.RememberedBytes)
	}
}

// A witness is a peer that remembers what it sent and judges what comes back.
type witness struct {
	t    *testing.T
	conn *simnet.Conn
	read chan struct{} // closed when nothing more is read

	mu          sync.Mutex
	confirmable map[message.ID]bool    // sent to the server itself
	stray       map[message.ID]bool    // likewise, Non-confirmable notifications: a Reset may come
	asked       map[message.Token]bool // in requests; true: the server itself was asked, or all classes wanted
	sent, got   int
	pinged      message.ID
	ponged      bool
}

func newWitness(t *testing.T, s *coaptest.Server, at string) *witness {
	t.Helper()
	conn, err := s.Network.Listen(netip.MustParseAddrPort(at))
	if err != nil {
		t.Fatal(err)
	}
	w := &witness{t: t, conn: conn, read: make(chan struct{}),
		confirmable: map[message.ID]bool{}, stray: map[message.ID]bool{}, asked: map[message.Token]bool{}}
	go w.watch()
	return w
}

func (w *witness) close() {
	w.conn.Close()
	<-w.read
	// One reply to each Confirmable message, and a separate response with four
	// retransmissions.
	if w.got > 6*w.sent {
		w.t.Errorf("%d datagrams came for %d", w.got, w.sent)
	}
}

// send notes what may come back, and sends.
func (w *witness) send(to netip.AddrPort, datagram []byte) {
	w.note(to, datagram)
	packets := []transport.Packet{{Buf: datagram, N: len(datagram), Peer: peer.From(to)}}
	if _, err := w.conn.WriteBatch(packets); err != nil {
		w.t.Fatal(err)
	}
}

func (w *witness) note(to netip.AddrPort, datagram []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent++
	if len(datagram) < 4 || datagram[0]>>6 != 1 {
		return
	}
	var v message.View
	malformed := v.Parse(datagram) != nil
	if v.Type() == message.Confirmable && to != group {
		w.confirmable[v.ID()] = true
	}
	if !malformed && to != group && v.Code().IsResponse() && v.Has(message.Observe) {
		w.stray[v.ID()] = true // RFC 7641 §3.6
	}
	if n := int(datagram[0] & 15); n <= 8 && len(datagram) >= 4+n && (!malformed || len(datagram) > 2048) {
		token, _ := message.MakeToken(datagram[4 : 4+n])
		if message.Code(datagram[1]).IsRequest() {
			w.asked[token] = w.asked[token] || to != group || v.Has(message.NoResponse)
		}
	}
}

// ping checks that the server lives, under a message ID that the script has not used.
func (w *witness) ping(server netip.AddrPort) {
	w.mu.Lock()
	for w.confirmable[w.pinged] || w.stray[w.pinged] {
		w.pinged++
	}
	id := w.pinged
	w.mu.Unlock()
	w.send(server, []byte{0x40, 0, byte(id >> 8), byte(id)})
	time.Sleep(10 * time.Millisecond) // a slow handler in place holds it up for a moment
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.ponged {
		w.t.Error("the server does not answer a ping")
	}
}

func (w *witness) watch() {
	defer close(w.read)
	packets := []transport.Packet{{Buf: make([]byte, 65536)}}
	for {
		if _, err := w.conn.ReadBatch(packets); errors.Is(err, net.ErrClosed) {
			return
		}
		if packets[0].Err == nil {
			w.judge(packets[0].Buf[:packets[0].N])
		}
	}
}

// judge checks a datagram from the server.
func (w *witness) judge(datagram []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.got++
	var v message.View
	if err := v.Parse(datagram); err != nil {
		w.t.Errorf("the server sent %x: %v", datagram, err)
		return
	}
	m := v.Message()
	if again, err := m.MarshalBinary(); err != nil || !bytes.Equal(again, datagram) {
		w.t.Errorf("the server sent %x, which encodes to %x, %v", datagram, again, err)
	}
	switch reply := v.Type() >= message.Acknowledgement; {
	case v.Type() == message.Reset && w.stray[v.ID()]:
	case reply && !w.confirmable[v.ID()]:
		w.t.Errorf("%v answers nothing Confirmable", &v)
	case v.Type() == message.Reset:
		w.ponged = w.ponged || v.ID() == w.pinged
	case v.Code() == message.Empty && !reply:
		w.t.Errorf("the server sent %v", &v)
	case v.Code() != message.Empty:
		w.judgeResponse(&v)
	}
}

func (w *witness) judgeResponse(v *message.View) {
	direct, asked := w.asked[v.Token()]
	switch {
	case !v.Code().IsResponse():
		w.t.Errorf("the server sent %v", v)
	case !asked:
		w.t.Errorf("%v answers no request", v)
	case !direct && (!v.Code().IsSuccess() || v.Type() != message.NonConfirmable):
		w.t.Errorf("%v answers a request to the group", v) // RFC 7252 §8.2
	}
}
