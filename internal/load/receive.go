package load

import (
	"encoding/binary"
	"time"

	"github.com/motewire/coap/message"
	"github.com/motewire/coap/peer"
	"github.com/motewire/coap/transport"
)

// receive takes one datagram.
func (l *lane) receive(now instant, p *transport.Packet) {
	datagram := p.Buf[:p.N]
	l.heard++
	switch {
	case p.Err != nil:
		l.result.Unreachable++ // what it was is sent again, or times out
	case p.Peer.Remote() != peer.From(l.g.cfg.To):
		l.result.Strays++
	case l.g.cfg.Echo:
		l.echoed(now, datagram)
	case l.view.Parse(datagram) != nil:
		l.result.Malformed++
	default:
		l.dispatch(now, p)
	}
}

// echoed takes a datagram that came back.
func (l *lane) echoed(now instant, datagram []byte) {
	if len(datagram) < 4+tokenLength {
		l.result.Malformed++
		return
	}
	s, i := l.byToken(binary.BigEndian.Uint32(datagram[4:]))
	if s == nil {
		l.result.Strays++
		return
	}
	l.answered(now, s, i)
}

func (l *lane) dispatch(now instant, p *transport.Packet) {
	v := &l.view
	if v.Code() == message.Empty {
		l.empty(now)
		return
	}
	if !v.Code().IsResponse() {
		l.result.Strays++
		return
	}
	var s *slot
	var i int
	if token := v.Token(); token.Len() == tokenLength {
		var b [tokenLength]byte
		s, i = l.byToken(binary.BigEndian.Uint32(token.Append(b[:0])))
	}
	if s == nil && l.g.cfg.Observing && v.Has(message.Observe) {
		l.result.Notifications++
		if v.Type() == message.Confirmable {
			l.reply(p, message.Acknowledgement)
		}
		return
	}
	if s == nil || v.Type() == message.Acknowledgement && v.ID() != s.id {
		l.result.Strays++
		if v.Type() == message.Confirmable {
			l.reply(p, message.Reset) // RFC 7252 §4.2, §5.3.2
		}
		return
	}
	if v.Type() == message.Confirmable {
		l.reply(p, message.Acknowledgement)
	}
	if v.Type() != message.Acknowledgement && !s.kind.NonConfirmable {
		l.result.Separate++
	}
	l.result.Bytes += uint64(len(v.Payload()))
	more, err := s.further(v)
	if err != nil || more && !l.goOn(now, s, i) {
		l.result.Broken++
		l.finish(s, i)
	}
	if err == nil && !more {
		l.result.Codes[v.Code()]++
		if l.g.cfg.Observing && v.Has(message.Observe) {
			l.result.Observations++
		}
		l.answered(now, s, i)
	}
}

// empty takes an Empty message: the Acknowledgement of a request whose response follows
// (RFC 7252 §5.2.2), or a Reset.
func (l *lane) empty(now instant) {
	for i := range l.slots {
		s := &l.slots[i]
		if !s.open || s.id != l.view.ID() {
			continue
		}
		switch l.view.Type() {
		case message.Acknowledgement:
			s.acked = true
			s.next = now + instant(l.g.cfg.ResponseTimeout)
			return
		case message.Reset:
			l.result.Reset++
			l.finish(s, i)
			return
		}
	}
	l.result.Strays++
}

// byToken returns the open slot that a token stands for.
func (l *lane) byToken(token uint32) (*slot, int) {
	token ^= l.salt
	i := int(token >> 16)
	if i >= len(l.slots) || !l.slots[i].open || l.slots[i].sequence != uint16(token) {
		return nil, 0
	}
	return &l.slots[i], i
}

func (l *lane) answered(now instant, s *slot, i int) {
	l.result.Answered++
	l.result.Bytes += uint64(len(s.kind.Payload))
	l.result.Latency.Record(time.Duration(now - s.due))
	if k := l.ofKind(s); k != nil {
		k.Answered++
		k.Latency.Record(time.Duration(now - s.due))
	}
	l.last = now
	l.finish(s, i)
}

// reply answers a message by an Empty one.
func (l *lane) reply(p *transport.Packet, t message.Type) {
	id := l.view.ID()
	b := &l.acks[l.acked]
	l.acked++
	*b = [4]byte{1<<6 | byte(t)<<4, 0, byte(id >> 8), byte(id)}
	l.out = append(l.out, transport.Packet{Buf: b[:], N: len(b), Peer: p.Peer})
}
