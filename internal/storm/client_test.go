package storm

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"strconv"
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

// A client under a storm, from its server's address and from others, takes no response
// that its server did not send, rejects and ignores as RFC 7252 wants, and has its own
// responses after as many round trips as without. Who sends from the server's address, and
// knows a message ID, can end a request by a Reset (§11.4): nothing else. A token that is
// known to others protects against nobody but those at other addresses, and is not guessed
// here.
func TestStormClient(t *testing.T) {
	coaptest.Run(t, func(t *testing.T) {
		v := newVictim()
		defer v.Close()
		r := newRelay(t, v)
		defer r.close()
		before := heap()
		url := "coap://" + r.front.LocalAddr().String()
		for sent, bursts := 0, 0; sent < enough() && !t.Failed(); {
			r.honest.ask(t, url) // without a storm, so that message IDs of the server are known
			r.honest.begin(t, url)
			last, stop := r.follow(t, url+"/number")
			for range epochBursts {
				sent += r.burst(bursts)
				time.Sleep(2*honestDelay + time.Millisecond)
				r.check()
				if bursts++; bursts%20 == 0 {
					v.change()
				}
				if n := r.honest.client.Stats().Messages.RememberedBytes; n > stormLimits.DedupBytes*9/8 {
					t.Errorf("the client remembers %d bytes", n)
				}
			}
			r.honest.end(t)
			time.Sleep(time.Minute)
			synctest.Wait()
			if got, want := *last, v.number.Get(); got != want {
				t.Errorf("the observer is left with %d, the state is %d", got, want)
			}
			stop()
			v.settle(t)
			r.forget()
		}
		if grown := heap() - before; grown > 4<<20 {
			t.Errorf("the heap is %d bytes larger", grown)
		}
		n := r.honest.client.Stats()
		r.checkReached(&n)
		t.Logf("%d requests, %d of them reset by %d spoofs that knew the message ID; %+v", r.honest.done, r.honest.resets, r.knowing, n.Messages)
	})
}

// A relay stands between a client and its server, passes on what is theirs, and sends
// storms from the server's address, its back socket being the client for the server. At
// the same host and elsewhere are strangers, who know all.
type relay struct {
	*attacker // from the server's address
	honest    *honest
	front     *simnet.Conn
	back      *simnet.Conn
	strangers [2]*attacker
	server    netip.AddrPort
	client    netip.AddrPort
	returned  chan struct{} // closed when nothing comes back any more

	// Guarded by the attacker's mu.
	asked   map[uint16]bool // message IDs of the client's
	tokens  map[string]bool // of the client's
	theirs  map[uint16]bool // of the server's messages that the client may answer
	newest  uint16          // of the server's message IDs
	knowing int             // Resets with a message ID of the client's
}

func newRelay(t *testing.T, v *victim) *relay {
	t.Helper()
	listen := func(at string) *simnet.Conn {
		conn, err := v.Network.Listen(netip.MustParseAddrPort(at))
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	r := &relay{server: v.Addr, returned: make(chan struct{})}
	r.front, r.back = listen("10.9.0.1:5683"), listen("10.9.0.2:40000")
	r.client = netip.MustParseAddrPort("10.9.0.3:40000")
	r.attacker = attackerOn(t, r.front, *stormSeed, false)
	for i, at := range []string{"10.9.0.1:5684", "10.9.0.9:5683"} {
		r.strangers[i] = attackerOn(t, listen(at), *stormSeed+10+uint64(i), false)
		go r.strangers[i].read()
	}
	for _, side := range []struct{ a, b netip.AddrPort }{{r.client, r.front.LocalAddr()}, {r.back.LocalAddr(), v.Addr}} {
		v.Network.SetLink(side.a, side.b, simnet.Link{Delay: honestDelay})
		v.Network.SetLink(side.b, side.a, simnet.Link{Delay: honestDelay})
	}
	r.honest = &honest{trip: 4 * honestDelay, client: &coap.Client{
		Limits: coap.Limits{DedupBytes: stormLimits.DedupBytes}, Params: coap.Params{NStart: -1},
		Listen: func(context.Context, string) (transport.Conn, error) { return v.Network.Listen(r.client) },
	}}
	r.forget()
	go r.there()
	go r.backAgain()
	return r
}

func (r *relay) close() {
	r.honest.client.Close()
	for _, s := range r.strangers {
		s.close()
	}
	r.attacker.close()
	r.back.Close()
	<-r.returned
}

// forget begins anew.
func (r *relay) forget() {
	r.attacker.forget()
	for _, s := range r.strangers {
		s.forget()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked, r.tokens, r.theirs = map[uint16]bool{}, map[string]bool{}, map[uint16]bool{}
}

func (r *relay) check() {
	synctest.Wait() // strangers may have just forged something
	r.attacker.check()
	for _, s := range r.strangers {
		s.check()
	}
}

// burst sends some datagrams to the client, every third time from a stranger.
func (r *relay) burst(n int) int {
	if n%3 == 0 {
		s := r.strangers[n/3%len(r.strangers)]
		return s.burst(r.client)
	}
	r.mu.Lock()
	var packets []transport.Packet
	for range 1 + r.mutator.rng.IntN(64) {
		d := r.mutator.Next(nil)
		if r.off(d) {
			continue
		}
		r.note(d, judge(d, false, false, 2048))
		packets = append(packets, transport.Packet{Buf: d, N: len(d), Peer: peer.From(r.client)})
	}
	r.mu.Unlock()
	r.write(packets)
	return len(packets)
}

// off reports whether a datagram would do what a spoof may do: a token was guessed after
// all, or a message ID is that of a message of the server that is remembered (§4.5), or about
// to be sent, which a Reset for the spoof would seem to reject. It counts the Resets that may
// end a request.
func (r *relay) off(d []byte) bool {
	if len(d) < 4 || d[0]>>6 != 1 {
		return false
	}
	id := binary.BigEndian.Uint16(d[2:])
	tkl := min(4+int(d[0]&15), len(d))
	switch typ := d[0] >> 4 & 3; {
	case typ == rst && r.asked[id]:
		r.knowing++
	case typ >= ack:
	case typ < ack && id-r.newest+1000 < 1016:
		return true
	}
	return r.tokens[string(d[4:tkl])] && tkl > 4
}

// there passes the client's messages on to the server, but for answers to the storm. With
// each request strangers answer it, who know token and message ID.
func (r *relay) there() {
	defer close(r.reading)
	r.pump(r.front, func(p *transport.Packet) {
		d := bytes.Clone(p.Buf[:p.N])
		r.mu.Lock()
		id := binary.BigEndian.Uint16(d[2:])
		if d[0]>>4&3 >= ack && !r.theirs[id] {
			r.mutator.Overhear(d)
			r.judge(d)
			r.mu.Unlock()
			return
		}
		if d[0]>>4&3 < ack {
			r.mutator.Overhear(d)
			r.asked[id], r.tokens[string(d[4:4+d[0]&15])] = true, true
		}
		r.mu.Unlock()
		for _, s := range r.strangers {
			s.forge(r.client, d)
		}
		r.back.WriteBatch([]transport.Packet{{Buf: d, N: len(d), Peer: peer.From(r.server)}})
	})
}

// backAgain passes the server's messages on.
func (r *relay) backAgain() {
	defer close(r.returned)
	r.pump(r.back, func(p *transport.Packet) {
		d := p.Buf[:p.N]
		r.mu.Lock()
		if d[0]>>4&3 < ack {
			r.newest = binary.BigEndian.Uint16(d[2:])
			r.theirs[r.newest] = true
		}
		r.mu.Unlock()
		r.front.WriteBatch([]transport.Packet{{Buf: d, N: len(d), Peer: peer.From(r.client)}})
	})
}

func (r *relay) pump(conn *simnet.Conn, pass func(*transport.Packet)) {
	packets := []transport.Packet{{Buf: make([]byte, 4096)}}
	for {
		if _, err := conn.ReadBatch(packets); errors.Is(err, net.ErrClosed) {
			return
		}
		if packets[0].Err == nil {
			pass(&packets[0])
		}
	}
}

// forge answers a request at another address than it was sent to, in all ways.
func (a *attacker) forge(to netip.AddrPort, request []byte) {
	a.mu.Lock()
	var packets []transport.Packet
	for typ := range byte(4) {
		d := append([]byte{}, request[:4+request[0]&15]...)
		d[0] = d[0]&0xcf | typ<<4
		if d[1] = content; typ == rst {
			d, d[0], d[1] = d[:4], 0x70, empty
		} else {
			d = append(d, "\xffforged"...)
		}
		a.note(d, judge(d, false, false, 2048))
		packets = append(packets, transport.Packet{Buf: d, N: len(d), Peer: peer.From(to)})
	}
	a.mu.Unlock()
	a.write(packets)
}

// follow observes a resource until stop.
func (r *relay) follow(t *testing.T, url string) (last *int, stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	last = new(int)
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			for resp, err := range r.honest.client.Observe(ctx, url) {
				switch {
				case ctx.Err() != nil:
				case errors.Is(err, coap.ErrReset): // a spoof knew the message ID
				case err != nil:
					t.Errorf("the observer: %v", err)
				default:
					n, err := strconv.Atoi(string(resp.Payload()))
					if err != nil || n < *last || resp.Code != message.Content {
						t.Errorf("the observer gets %v %q after %d", resp.Code, resp.Payload(), *last)
					}
					*last = n
				}
			}
		}
	}()
	return last, func() {
		cancel()
		<-ended
	}
}

// checkReached: the storm met what it was made for, and only spoofs that may end a request
// have.
func (r *relay) checkReached(n *coap.Stats) {
	if r.honest.resets > r.knowing {
		r.t.Errorf("%d requests were reset by %d Resets", r.honest.resets, r.knowing)
	}
	m := &n.Messages
	if enough() < telling {
		return
	}
	for name, count := range map[string]uint64{
		"malformed": m.Malformed, "pings": m.Pings, "responses": m.Responses,
		"acknowledgements that matched nothing": m.IgnoredAcknowledgements, "Resets that matched nothing": m.IgnoredResets,
		"unexpected responses": m.UnexpectedResponses, "requests": m.Unserved,
		"Resets that hit": m.ResetsReceived, "requests reset": uint64(r.honest.resets),
	} {
		if count == 0 {
			r.t.Errorf("no %s: %+v", name, *n)
		}
	}
}
