package storm

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/motewire/coap/message"
	"github.com/motewire/coap/peer"
	"github.com/motewire/coap/transport"
	"github.com/motewire/coap/transport/simnet"
)

// A reply is an Acknowledgement or a Reset with a message ID.
type reply struct {
	typ byte
	id  uint16
}

// verdicts are a set.
type verdicts uint8

func (s verdicts) with(v verdict) verdicts { return s | 1<<v }
func (s verdicts) has(v verdict) bool      { return s>>v&1 != 0 }

// replyTo is the type of what answers a Confirmable message.
var replyTo = map[verdict]byte{answer: ack, rejection: rst}

// An attacker sends a storm and holds every answer against the oracle.
type attacker struct {
	t       *testing.T
	seed    uint64
	conn    *simnet.Conn
	serves  bool          // the victim is a server
	reading chan struct{} // closed when nothing more is read

	mu       sync.Mutex
	mutator  *Mutator
	count    int
	last     [32][]byte
	resets   map[uint16]int      // that must come, now
	maybe    map[reply]int       // that may come
	owed     map[uint16]int      // Acknowledgements that must come, as long as nothing says what was asked
	seen     map[uint32]verdicts // of the messages with a type and message ID so far
	tokens   map[string]bool
	messages map[string]int // transmissions of the server's own Confirmable messages, whose IDs it may take again in an epoch
}

func newAttacker(t *testing.T, v *victim, seed uint64) *attacker {
	t.Helper()
	conn, err := v.Network.Listen(netip.AddrPortFrom(netip.IPv4Unspecified(), 0))
	if err != nil {
		t.Fatal(err)
	}
	a := attackerOn(t, conn, seed, true)
	go a.read()
	return a
}

// attackerOn returns an attacker that does not read by itself.
func attackerOn(t *testing.T, conn *simnet.Conn, seed uint64, serves bool) *attacker {
	a := &attacker{t: t, seed: seed, conn: conn, serves: serves, reading: make(chan struct{}), mutator: New(seed, testPaths...)}
	a.forget()
	return a
}

func (a *attacker) close() {
	a.conn.Close()
	<-a.reading
}

// forget begins anew: all lifetimes are over.
func (a *attacker) forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for id, n := range a.owed {
		if n > 0 {
			a.fail("message %#04x was never acknowledged", id)
		}
	}
	a.resets, a.maybe, a.owed = map[uint16]int{}, map[reply]int{}, map[uint16]int{}
	a.seen, a.tokens, a.messages = map[uint32]verdicts{}, map[string]bool{}, map[string]int{}
}

// fail tells how to run the storm again, and the last datagrams.
func (a *attacker) fail(format string, args ...any) {
	a.t.Helper()
	var last strings.Builder
	for i := range min(a.count, len(a.last)) {
		fmt.Fprintf(&last, "%s\n", hex.EncodeToString(a.last[(max(a.count-len(a.last), 0)+i)%len(a.last)]))
	}
	a.t.Errorf("seed %d, datagram %d: %s; the last ones:\n%s", a.seed, a.count, fmt.Sprintf(format, args...), last.String())
}

// burst sends some datagrams at once, to the server or now and then to its group, and
// returns how many.
func (a *attacker) burst(to netip.AddrPort) int {
	a.mu.Lock()
	group := a.serves && a.mutator.rng.IntN(20) == 0
	if group {
		to = stormGroup
	}
	packets := make([]transport.Packet, 1+a.mutator.rng.IntN(64))
	for i := range packets {
		d := a.mutator.Next(nil)
		a.note(d, judge(d, group, a.serves, 2048))
		packets[i] = transport.Packet{Buf: d, N: len(d), Peer: peer.From(to)}
	}
	a.mu.Unlock()
	a.write(packets)
	return len(packets)
}

func (a *attacker) write(packets []transport.Packet) {
	if n, err := a.conn.WriteBatch(packets); n != len(packets) || err != nil {
		a.t.Errorf("%d of %d sent, %v", n, len(packets), err)
	}
}

// note keeps what may answer a datagram.
func (a *attacker) note(d []byte, info datagramInfo) {
	a.last[a.count%len(a.last)] = d
	a.count++
	if info.request {
		a.tokens[info.token] = true
	}
	if info.remember {
		key := uint32(info.typ)<<16 | uint32(info.id)
		so := a.seen[key]
		a.seen[key] = so.with(info.verdict)
		if so != 0 && info.typ == con { // §4.5: like one before, which may be in hand, or like itself where these were forgotten
			for v, typ := range replyTo {
				if a.seen[key].has(v) {
					a.maybe[reply{typ, info.id}]++
				}
			}
			return
		}
	}
	switch info.verdict {
	case rejection:
		a.resets[info.id]++
	case answer:
		a.owed[info.id]++
	case mayReset:
		a.maybe[reply{rst, info.id}]++
	case silence, mayRespond:
	}
}

// check: what must be answered at once was.
func (a *attacker) check() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for id, n := range a.resets {
		if n > 0 {
			a.fail("message %#04x was not rejected", id)
		}
		delete(a.resets, id)
	}
}

func (a *attacker) read() {
	defer close(a.reading)
	packets := make([]transport.Packet, transport.MaxBatch)
	for i := range packets {
		packets[i].Buf = make([]byte, 4096)
	}
	for {
		n, err := a.conn.ReadBatch(packets)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		a.mu.Lock()
		for _, p := range packets[:n] {
			a.mutator.Overhear(p.Buf[:p.N])
			a.judge(p.Buf[:p.N])
		}
		a.mu.Unlock()
	}
}

// judge holds an answer against what was sent.
func (a *attacker) judge(d []byte) {
	var v message.View
	if err := v.Parse(d); err != nil {
		a.fail("the server sent %x: %v", d, err)
		return
	}
	id := uint16(v.ID())
	switch v.Type() {
	case message.Reset:
		if !use(a.resets, id) && !use(a.maybe, reply{rst, id}) {
			a.fail("%v rejects nothing", &v)
		}
	case message.Acknowledgement:
		if !use(a.owed, id) && !use(a.maybe, reply{ack, id}) {
			a.fail("%v acknowledges nothing", &v)
		}
		if v.Code() != message.Empty && !a.tokens[string(v.TokenBytes())] {
			a.fail("%v answers no request", &v)
		}
	case message.Confirmable, message.NonConfirmable:
		if !v.Code().IsResponse() || !a.tokens[string(v.TokenBytes())] {
			a.fail("%v answers no request", &v)
		}
		if v.Type() == message.Confirmable {
			if a.messages[string(d)]++; a.messages[string(d)] > 5 { // RFC 7252 §4.2
				a.fail("%v was sent %d times", &v, a.messages[string(d)])
			}
		}
	}
}

// use takes one of what may come, and reports whether there was one.
func use[K comparable](from map[K]int, key K) bool {
	if from[key] == 0 {
		return false
	}
	from[key]--
	return true
}
