package demo

import (
	"bytes"
	"math/rand/v2"

	"github.com/motewire/coap/message"
	"github.com/motewire/coap/transport"
)

// heldShare is the share of Non-confirmable notifications that the link holds back.
const heldShare = 0.3

// A lateLink is a Conn on which notifications overtake each other: it holds one back now
// and then, until a newer one has arrived. It tells the recorder of all that it returns or
// holds back.
type lateLink struct {
	transport.Conn
	rec  *recorder
	rng  *rand.Rand // one draw per notification that could be held back
	held *transport.Packet
	due  bool // held has been overtaken
	gone bool // the last batch was what had been held
}

func newLateLink(conn transport.Conn, seed uint64, rec *recorder) *lateLink {
	return &lateLink{Conn: conn, rec: rec, rng: rand.New(rand.NewPCG(seed, 2))}
}

func (l *lateLink) ReadBatch(p []transport.Packet) (int, error) {
	if l.gone { // whoever reads again has dealt with it
		l.gone = false
		l.rec.hold(false)
	}
	if l.due && len(p) > 0 {
		l.deliver(&p[0])
		return 1, nil
	}
	for {
		n, err := l.Conn.ReadBatch(p)
		kept := 0
		for i := range p[:n] {
			if p[i].Err == nil && l.holds(&p[i]) {
				continue
			}
			p[kept], p[i] = p[i], p[kept]
			kept++
		}
		if kept > 0 || n == 0 || err != nil {
			return kept, err
		}
	}
}

// holds decides about a datagram: it is held back, or arrives.
func (l *lateLink) holds(p *transport.Packet) bool {
	var v message.View
	if v.Parse(p.Buf[:p.N]) == nil && isNotification(&v) {
		switch {
		case l.held != nil:
			l.due = l.due || newer(&v, l.held)
		case v.Type() == message.NonConfirmable && l.rng.Float64() < heldShare:
			kept := *p
			kept.Buf = bytes.Clone(p.Buf[:p.N])
			l.held = &kept
			l.rec.hold(true)
			l.rec.add(false, held, p)
			return true
		}
	}
	l.rec.add(false, passed, p)
	return false
}

// newer reports whether a notification has a higher number than one that went before
// (RFC 7641 §3.4).
func newer(v *message.View, before *transport.Packet) bool {
	var old message.View
	if old.Parse(before.Buf) != nil {
		return false
	}
	this, _ := v.Observe()
	that, _ := old.Observe()
	difference := (this - that) & 0xff_ffff
	return difference > 0 && difference < 1<<23
}

// deliver returns the datagram that was held back.
func (l *lateLink) deliver(p *transport.Packet) {
	buf := p.Buf
	*p = *l.held
	p.Buf, p.N = buf, copy(buf, l.held.Buf)
	l.held, l.due, l.gone = nil, false, true
	l.rec.add(false, late, p)
}

// isNotification reports whether a message that the client gets belongs to an observation,
// and is not the answer to the registration (RFC 7641 §4.2).
func isNotification(v *message.View) bool {
	return v.Code().IsResponse() && v.Has(message.Observe) && v.Type() != message.Acknowledgement
}
