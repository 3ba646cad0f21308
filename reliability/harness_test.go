package reliability

import (
	"encoding/hex"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/motewire/coap/message"
	"github.com/motewire/coap/peer"
)

var (
	epochStart = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	alice      = peer.From(netip.MustParseAddrPort("192.0.2.1:5683"))
	bob        = peer.From(netip.MustParseAddrPort("[2001:db8::2]:61616"))
	group      = peer.From(netip.MustParseAddrPort("224.0.1.187:5683"))
	exact      = Params{AckRandomFactor: 1} // no jitter
)

// A bench drives one Endpoint under virtual time.
type bench struct {
	testing.TB
	e   *Endpoint
	now time.Time
}

func newRand(seed uint64) *rand.Rand {
	var key [32]byte
	for i := range key {
		key[i] = byte(seed >> (i % 8 * 8))
	}
	return rand.New(rand.NewChaCha8(key))
}

func newBench(t testing.TB, cfg Config) *bench {
	t.Helper()
	e, err := New(cfg, newRand(1))
	if err != nil {
		t.Fatal(err)
	}
	return &bench{TB: t, e: e, now: epochStart}
}

// encode returns a message; its type and ID matter for what is received only.
func encode(typ message.Type, c message.Code, id message.ID, token string, payload string) []byte {
	tok, err := message.MakeToken([]byte(token))
	if err != nil {
		panic(err)
	}
	enc := message.AppendHeader(nil, typ, c, id, tok)
	b, err := enc.Finish([]byte(payload))
	if err != nil {
		panic(err)
	}
	return b
}

func empty(typ message.Type, id message.ID) []byte { return encode(typ, message.Empty, id, "", "") }

func mustToken(s string) message.Token {
	t, err := message.MakeToken([]byte(s))
	if err != nil {
		panic(err)
	}
	return t
}

// receive hands a datagram to the Endpoint and overwrites it afterwards, so that a stray
// alias fails.
func (b *bench) receive(from peer.Addr, datagram []byte) Verdict {
	b.Helper()
	return b.receiveFrom(from, false, datagram)
}

func (b *bench) receiveFrom(from peer.Addr, multicast bool, datagram []byte) Verdict {
	b.Helper()
	own := append([]byte(nil), datagram...)
	var v message.View
	if err := v.Parse(own); err != nil {
		b.Fatal(err)
	}
	verdict := b.e.Receive(b.now, from, multicast, &v)
	for i := range own {
		own[i] = 0xee
	}
	return verdict
}

// events drains Poll.
func (b *bench) events() (all []Event) {
	for {
		ev, ok := b.e.Poll()
		if !ok {
			return all
		}
		ev.Datagram = append([]byte(nil), ev.Datagram...)
		all = append(all, ev)
	}
}

// want drains Poll and compares the datagrams in it, in hex, with the ones wanted.
func (b *bench) want(datagrams ...[]byte) {
	b.Helper()
	var got []string
	for _, ev := range b.events() {
		if ev.Kind == Transmit {
			got = append(got, hex.EncodeToString(ev.Datagram))
		}
	}
	if len(got) != len(datagrams) {
		b.Fatalf("transmitted %v, want %d datagrams", got, len(datagrams))
	}
	for i, d := range datagrams {
		if want := hex.EncodeToString(d); got[i] != want {
			b.Errorf("transmitted %s, want %s", got[i], want)
		}
	}
}

// request receives a request that must be new.
func (b *bench) request(from peer.Addr, datagram []byte) Inbound {
	b.Helper()
	v := b.receive(from, datagram)
	if v.Kind != Request || v.Inbound == 0 {
		b.Fatalf("verdict %+v, want a new request", v)
	}
	return v.Inbound
}

// send opens an exchange that must not be refused.
func (b *bench) send(to peer.Addr, datagram []byte, o SendOptions) Outbound {
	b.Helper()
	if o.Expect != ExpectNothing {
		var v message.View
		if err := v.Parse(datagram); err != nil {
			b.Fatal(err)
		}
		o.Token = v.Token()
	}
	x, err := b.e.Send(b.now, to, datagram, o)
	if err != nil {
		b.Fatal(err)
	}
	return x
}

// get sends a Confirmable GET and returns the exchange and the datagram on the wire.
func (b *bench) get(to peer.Addr, token string) (Outbound, []byte) {
	b.Helper()
	x := b.send(to, encode(message.Confirmable, message.GET, 0, token, ""), SendOptions{Confirmable: true, Expect: ExpectOne})
	return x, b.transmitted()
}

// transmitted drains Poll and returns the one datagram in it.
func (b *bench) transmitted() []byte {
	b.Helper()
	var sent []byte
	for _, ev := range b.events() {
		if ev.Kind != Transmit {
			continue
		}
		if sent != nil {
			b.Fatalf("a second datagram: %x", ev.Datagram)
		}
		sent = ev.Datagram
	}
	if sent == nil {
		b.Fatal("nothing was transmitted")
	}
	return sent
}

func idOf(datagram []byte) message.ID { return message.ID(datagram[2])<<8 | message.ID(datagram[3]) }

func (b *bench) pass(d time.Duration) {
	b.now = b.now.Add(d)
	b.e.Advance(b.now)
}

// A moment is an event and when it came.
type moment struct {
	at time.Duration
	Event
}

// run lets time pass, deadline by deadline, for d.
func (b *bench) run(d time.Duration) (all []moment) {
	b.Helper()
	end := b.now.Add(d)
	for range 1_000_000 {
		for _, ev := range b.events() {
			all = append(all, moment{b.now.Sub(epochStart), ev})
		}
		at, ok := b.e.Deadline()
		if !ok || at.After(end) {
			b.now = end
			b.e.Advance(b.now)
			return all
		}
		if at.After(b.now) {
			b.now = at
		}
		b.e.Advance(b.now)
	}
	b.Fatal("deadline does not move")
	return nil
}
