package reliability

import (
	"errors"
	"testing"
	"time"

	"github.com/motewire/coap/message"
)

// FuzzEndpoint feeds an Endpoint with datagrams, calls and steps of time, made from
// bytes. It must not panic, must stay silent where the RFC asks for silence, must not
// grow beyond its limits, and must be empty again when all lifetimes are over.
func FuzzEndpoint(f *testing.F) {
	for _, d := range [][]byte{
		encode(message.Confirmable, message.GET, 1, "t", ""), encode(message.NonConfirmable, message.POST, 2, "t", "p"),
		empty(message.Confirmable, 3), empty(message.Acknowledgement, 4), empty(message.Reset, 1),
		encode(message.Confirmable, message.Content, 5, "a", "p"), {0x40, 0x01, 0, 9, 0xff}, {0x80, 1, 0, 0},
	} {
		script := append([]byte{0, byte(len(d))}, d...)
		f.Add(append(append(append(script, 4, 1, 5, 0), script...), 5, 200, 6, 0, 3, 7))
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		b := newBench(t, Config{DedupBytes: minDedupBytes, MaxInbound: 8, MaxOutbound: 8, MaxQueued: 3, MaxPeers: 4})
		p := player{bench: b}
		for len(script) > 1 {
			script = p.step(script)
			if s := b.e.Stats(); s.PendingRequests > 8 || s.OpenExchanges > 8 || s.Peers > 4 || s.RememberedBytes > minDedupBytes+32<<10 {
				t.Fatalf("beyond the limits: %+v", s)
			}
		}
		for _, x := range p.inbound {
			b.e.Drop(b.now, x)
		}
		for _, x := range p.outbound {
			b.e.Cancel(b.now, x)
		}
		b.run(time.Hour)
		b.run(time.Hour)
		if s := b.e.Stats(); s.PendingRequests+s.OpenExchanges+s.Peers+s.Remembered+s.RememberedBytes != 0 {
			t.Fatalf("left behind: %+v", s)
		}
	})
}

// A player turns bytes into inputs.
type player struct {
	*bench
	inbound  []Inbound
	outbound []Outbound
}

// step plays the first input of a script and returns the rest.
func (p *player) step(script []byte) []byte {
	op, arg, rest := script[0]%10, int(script[1]), script[2:]
	from := numbered(arg & 3)
	switch op {
	case 0, 1:
		n := min(arg>>2, len(rest))
		p.datagram(arg&3, op == 1, rest[:n])
		return rest[n:]
	case 2:
		p.send(arg)
	case 3:
		if len(p.outbound) > 0 {
			p.e.Cancel(p.now, p.outbound[arg%len(p.outbound)])
		}
	case 4:
		p.finish(arg)
	case 5:
		p.pass(time.Duration(arg) * time.Second / 4)
	case 6:
		p.run(time.Duration(arg) * time.Second)
	case 7:
		p.e.Unreachable(p.now, from, rest[:min(arg>>4, len(rest))], errors.New("refused"))
	case 8:
		p.e.IDsExhausted(p.now, from)
	case 9:
		p.e.RejectResponse(p.now, from, message.ID(arg>>2))
	}
	p.events()
	return rest
}

// datagram receives bytes and checks that silence is kept where it must be.
func (p *player) datagram(n int, multicast bool, d []byte) {
	from := numbered(n)
	p.events()
	var v message.View
	before := p.e.Stats()
	var format *message.FormatError
	if err := v.Parse(d); errors.As(err, &format) {
		p.e.Malformed(p.now, from, multicast, &v, format)
		after := p.e.Stats()
		after.Malformed, after.ResetsSent = before.Malformed, before.ResetsSent
		if after != before {
			p.Fatalf("malformed %x changed %+v to %+v", d, before, after)
		}
		reset := format.Intact && !multicast && v.Type() == message.Confirmable
		if sent := p.events(); len(sent) > 1 || (len(sent) == 1) != reset || reset && sent[0].Datagram[0] != 0x70 {
			p.Fatalf("malformed %x was answered by %+v", d, sent)
		}
		return
	}
	verdict := p.e.Receive(p.now, from, multicast, &v)
	if verdict.Kind == Request {
		p.inbound = append(p.inbound, verdict.Inbound)
	}
	for _, ev := range p.events() {
		if ev.Kind != Transmit || ev.Attempt > 0 {
			continue // a request that waited
		}
		// §4.2: "recipients of Acknowledgement and Reset messages MUST NOT respond with either
		// Acknowledgement or Reset messages"; §8.1: nor to a group; §4.3: nor by an ACK to a NON.
		// A stray notification is reset whatever its type (RFC 7641 §3.6).
		stray := v.Type() == message.NonConfirmable && v.Has(message.Observe) && ev.Datagram[0] == 0x70
		if multicast || v.Type() != message.Confirmable && !stray || idOf(ev.Datagram) != v.ID() || ev.Peer != from {
			p.Fatalf("%x was answered by %+v", d, ev)
		}
	}
}

func (p *player) send(arg int) {
	token := mustToken(string(rune('a' + arg>>4&3)))
	o := SendOptions{Confirmable: arg&4 != 0, Expect: Expect(arg >> 3 % 3), Token: token}
	to := numbered(arg & 3)
	if arg&0xc0 == 0xc0 {
		to = group
	}
	enc := message.AppendHeader(nil, 0, message.GET, 0, token)
	d, _ := enc.Finish(make([]byte, arg))
	if arg == 0xff {
		d, o = empty(message.Confirmable, 0), SendOptions{Confirmable: true}
	}
	if x, err := p.e.Send(p.now, to, d, o); err == nil {
		p.outbound = append(p.outbound, x)
	}
}

func (p *player) finish(arg int) {
	if len(p.inbound) == 0 {
		return
	}
	x := p.inbound[arg>>4%len(p.inbound)]
	switch arg & 3 {
	case 0:
		p.e.Respond(p.now, x, encode(0, message.Content, 0, "t", string(make([]byte, arg))), RespondOptions{NoStore: arg&4 != 0, Confirmable: arg&8 != 0})
	case 1:
		p.e.Acknowledge(p.now, x)
	case 2:
		p.e.Drop(p.now, x)
	case 3:
		p.e.Reject(p.now, x)
	}
}
