package coap

import (
	"errors"
	"net/netip"
	"time"

	"github.com/motewire/coap/message"
	"github.com/motewire/coap/peer"
	"github.com/motewire/coap/transport"
)

// A Trace is a set of callbacks, in the manner of httptrace. Any may be nil. They run on
// the library's goroutines outside its locks, several at a time: they must be quick and
// safe for concurrent use.
type Trace struct {
	// Sent is called after a datagram was handed to the network, Received for every
	// datagram that arrived, malformed ones included. The bytes are valid during the
	// call.
	Sent, Received func(TraceDatagram)
	// Retransmission is called, after Sent, for the second and further transmissions of a
	// Confirmable message (RFC 7252 §4.2).
	Retransmission func(TraceDatagram)
	// Timeout is called, before End, for a request that nobody acknowledged or answered
	// in time.
	Timeout func(TraceExchange)
	// Duplicate is called for a message that was received before (RFC 7252 §4.5).
	Duplicate func(TraceDatagram)
	// Begin is called when a request is given to the message layer, or has arrived;
	// End when its exchange is over. A body in blocks (RFC 7959) is a request with each
	// block.
	Begin, End func(TraceExchange)
}

// A TraceDatagram is one datagram on its way.
type TraceDatagram struct {
	Time        time.Time
	Local, Peer netip.AddrPort
	Bytes       []byte
	// Attempt is 1 for the first transmission of a Confirmable message, 2 and more for
	// retransmissions, 0 for what is not retransmitted and for received datagrams.
	Attempt int
	// Err is set where the datagram did not leave, or the network reported that one
	// sent to Peer did not arrive (Bytes is then its start).
	Err error
}

// A TraceExchange is one request, from either side.
type TraceExchange struct {
	Time     time.Time
	Peer     netip.AddrPort
	Inbound  bool // the request came from Peer
	Method   message.Code
	Token    message.Token
	Code     message.Code  // End: the response's; 0 where there was none
	Duration time.Duration // End: since Begin
	Attempts int           // End of an outgoing one: transmissions of the request
	Err      error         // End of an outgoing one that failed
}

func (s *shard) traceDatagram(now time.Time, p *transport.Packet, attempt int) TraceDatagram {
	return TraceDatagram{
		Time: now, Local: localAddr(p.Peer, s.conn), Peer: p.Peer.AddrPort(),
		Bytes: p.Buf[:p.N], Attempt: attempt, Err: p.Err,
	}
}

// localAddr is the address a datagram came to or leaves from, as far as it is known.
func localAddr(to peer.Addr, conn transport.Conn) netip.AddrPort {
	bound := conn.LocalAddr()
	if local := to.Local(); local.IsValid() {
		return netip.AddrPortFrom(local, bound.Port())
	}
	return bound
}

// traceReceived tells of a batch that has arrived.
func (s *shard) traceReceived(now time.Time, b *batch, n int) {
	t := s.core.trace
	if t == nil {
		return
	}
	for i := range n {
		d := s.traceDatagram(now, &b.packets[i], 0)
		if t.Received != nil {
			t.Received(d)
		}
		if t.Duplicate != nil && b.exchanges[i].duplicate && d.Err == nil {
			t.Duplicate(d)
		}
	}
}

// traceSent tells of datagrams that were given to the network, or refused by it.
func (s *shard) traceSent(out *outbox) {
	t := s.core.trace
	if t == nil {
		return
	}
	now := time.Now()
	for i := range out.packets {
		d := s.traceDatagram(now, &out.packets[i], out.attempts[i])
		if t.Sent != nil {
			t.Sent(d)
		}
		if t.Retransmission != nil && d.Attempt > 1 {
			t.Retransmission(d)
		}
	}
}

// traceArrived tells that serving a request begins.
func (s *shard) traceArrived(x *exchange) {
	if t := s.core.trace; t != nil && t.Begin != nil {
		t.Begin(TraceExchange{
			Time: x.began, Peer: x.peer.AddrPort(), Inbound: true,
			Method: x.view.Code(), Token: x.view.Token(),
		})
	}
}

// traceAnswered tells that a request was answered, or deliberately not.
func (s *shard) traceAnswered(now time.Time, x *exchange) {
	if x.fate == respond {
		s.traceOver(now, x, x.code)
	} else {
		s.traceOver(now, x, 0)
	}
}

// traceOver tells that a request is over; without an answer where code is 0.
func (s *shard) traceOver(now time.Time, x *exchange, code message.Code) {
	t := s.core.trace
	if t == nil || t.End == nil {
		return
	}
	e := TraceExchange{
		Time: now, Peer: x.peer.AddrPort(), Inbound: true, Method: x.view.Code(),
		Token: x.view.Token(), Duration: now.Sub(x.began), Code: code,
	}
	t.End(e)
}

// traceBegin tells that a request was given to the message layer.
func (s *shard) traceBegin(now time.Time, c *call, r *Request) {
	if t := s.core.trace; t != nil && t.Begin != nil {
		t.Begin(TraceExchange{Time: now, Peer: c.to.AddrPort(), Method: r.Method, Token: c.token})
	}
}

// traceEnd tells that a call is over.
func (s *shard) traceEnd(c *call, r *Request, err error) {
	t := s.core.trace
	if t == nil {
		return
	}
	now := time.Now()
	e := TraceExchange{
		Time: now, Peer: c.to.AddrPort(), Method: r.Method, Token: c.token,
		Duration: now.Sub(c.began), Attempts: c.attempts, Err: err,
	}
	if c.resp != nil {
		e.Code = c.resp.Code
	}
	if t.Timeout != nil && (errors.Is(err, ErrTimeout) || errors.Is(err, ErrResponseTimeout)) {
		t.Timeout(e)
	}
	if t.End != nil {
		t.End(e)
	}
}
