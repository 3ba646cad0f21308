package reliability

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/motewire/coap/message"
)

// RFC 7252 §4.2: "When the timeout is triggered and the retransmission counter is less
// than MAX_RETRANSMIT, the message is retransmitted, the retransmission counter is
// incremented, and the timeout is doubled."
func TestRetransmissionDoublesTheTimeout(t *testing.T) {
	b := newBench(t, Config{Params: exact})
	x := b.send(alice, encode(message.Confirmable, message.GET, 0, "t", ""), SendOptions{Confirmable: true, Expect: ExpectOne})
	got := ""
	var first []byte
	for _, m := range b.run(5 * time.Minute) {
		if m.Outbound != x {
			t.Errorf("event of exchange %v", m.Outbound)
		}
		switch m.Kind {
		case Transmit:
			got += fmt.Sprintf("%v #%d\n", m.at, m.Attempt)
			if first == nil {
				first = m.Datagram
			} else if !bytes.Equal(first, m.Datagram) {
				t.Errorf("retransmission %x differs from %x", m.Datagram, first)
			}
		case Ended:
			got += fmt.Sprintf("%v %v\n", m.at, m.Err)
			var err *ExchangeError
			if !errors.Is(m.Err, ErrTimeout) || !errors.As(m.Err, &err) || err.Attempts != 5 || err.Peer != alice {
				t.Errorf("ended with %v", m.Err)
			}
		case Acknowledged:
			t.Error("acknowledged by nobody")
		}
	}
	want := "0s #1\n2s #2\n6s #3\n14s #4\n30s #5\n1m2s reliability: no acknowledgement after 5 transmissions to 192.0.2.1:5683\n"
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// RFC 7252 §4.2: "the initial timeout is set to a random duration [...] between
// ACK_TIMEOUT and (ACK_TIMEOUT * ACK_RANDOM_FACTOR)".
func TestInitialTimeoutIsRandom(t *testing.T) {
	b := newBench(t, Config{Params: Params{NStart: -1, ProbingRate: -1}})
	low, high := time.Hour, time.Duration(0)
	for i := range 2000 {
		x, _ := b.get(alice, fmt.Sprint(i))
		at, ok := b.e.Deadline()
		d := at.Sub(b.now)
		if !ok || d < 2*time.Second || d > 3*time.Second {
			t.Fatalf("timeout %v", d)
		}
		low, high = min(low, d), max(high, d)
		b.e.Cancel(b.now, x)
	}
	if low > 2010*time.Millisecond || high < 2990*time.Millisecond {
		t.Errorf("timeouts from %v to %v do not fill 2 s to 3 s", low, high)
	}
}

// RFC 7252 §4.2: "the minimum spacing before another retransmission is ACK_TIMEOUT, and
// the entire sequence of (re-)transmissions MUST stay in the envelope of
// MAX_TRANSMIT_SPAN".
func TestLateRetransmissionStaysInTheEnvelope(t *testing.T) {
	b := newBench(t, Config{Params: exact})
	b.get(alice, "t")
	b.pass(13 * time.Second) // two opportunities at once
	if n := len(b.events()); n != 1 {
		t.Fatalf("%d transmissions after a sleep, want 1", n)
	}
	at, _ := b.e.Deadline()
	if d := at.Sub(b.now); d != 2*time.Second {
		t.Errorf("next retransmission after %v, want ACK_TIMEOUT", d)
	}
	b.pass(18 * time.Second) // 31 s > MAX_TRANSMIT_SPAN = 30 s
	if all := b.events(); len(all) != 0 {
		t.Errorf("transmitted after MAX_TRANSMIT_SPAN: %+v", all)
	}
	b.pass(32 * time.Second)
	if all := b.events(); len(all) != 1 || !errors.Is(all[0].Err, ErrTimeout) {
		t.Errorf("at MAX_TRANSMIT_WAIT: %+v", all)
	}
}

// RFC 7252 §4.2: "The sender retransmits the Confirmable message at exponentially
// increasing intervals, until it receives an acknowledgement (or Reset message)".
func TestAcknowledgementAndResetEndRetransmission(t *testing.T) {
	for _, typ := range []message.Type{message.Acknowledgement, message.Reset} {
		b := newBench(t, Config{Params: exact})
		x, wire := b.get(alice, "t")
		if v := b.receive(bob, empty(typ, idOf(wire))); v.Outbound != 0 || len(b.events()) != 0 {
			t.Errorf("%v of another endpoint: %+v", typ, v)
		}
		b.receive(alice, empty(typ, idOf(wire)))
		all := b.events()
		if len(all) != 1 || all[0].Outbound != x {
			t.Fatalf("%v: events %+v", typ, all)
		}
		if typ == message.Reset && !errors.Is(all[0].Err, ErrReset) || typ == message.Acknowledgement && all[0].Kind != Acknowledged {
			t.Errorf("%v: event %+v", typ, all[0])
		}
		for _, m := range b.run(time.Minute) {
			t.Errorf("%v: event %+v", typ, m)
		}
	}
}

// RFC 7252 §4.2: "Rejecting an Acknowledgement or Reset message [...] is effected by
// silently ignoring it."
func TestUnknownAcknowledgementAndResetAreIgnored(t *testing.T) {
	b := newBench(t, Config{})
	for _, d := range [][]byte{
		empty(message.Acknowledgement, 7), empty(message.Reset, 7),
		encode(message.Acknowledgement, message.Content, 7, "x", "y"),
	} {
		v := b.receive(alice, d)
		if want := (Verdict{}); v != want && v.Kind != ResetSeen {
			t.Errorf("%x: %+v", d, v)
		}
		b.want()
	}
	if s := b.e.Stats(); s.IgnoredAcknowledgements != 2 || s.IgnoredResets != 1 {
		t.Errorf("counters %+v", s)
	}
}

// RFC 7252 §4.3: "*" in Table 1: an Empty Confirmable message is used "only to elicit a
// Reset message".
func TestPing(t *testing.T) {
	b := newBench(t, Config{})
	b.receive(alice, empty(message.Confirmable, 0x1234))
	b.want(empty(message.Reset, 0x1234))
	b.receive(alice, empty(message.NonConfirmable, 0x1235))
	b.want()
	x := b.send(alice, empty(message.Confirmable, 0), SendOptions{Confirmable: true})
	wire := b.transmitted()
	b.receive(alice, empty(message.Reset, idOf(wire)))
	all := b.events()
	if len(all) != 1 || all[0].Outbound != x || !errors.Is(all[0].Err, ErrReset) {
		t.Errorf("after the Reset: %+v", all)
	}
}

// RFC 7252 §4.5: "The recipient SHOULD acknowledge each duplicate copy of a Confirmable
// message using the same Acknowledgement or Reset message but SHOULD process any request
// or response in the message only once."
func TestDuplicateConfirmableGetsTheSameReply(t *testing.T) {
	b := newBench(t, Config{})
	get := encode(message.Confirmable, message.GET, 0x7d34, "tok", "")
	x := b.request(alice, get)
	if v := b.receive(alice, get); v != (Verdict{Duplicate: true}) {
		t.Errorf("duplicate while in hand: %+v", v)
	}
	b.want()
	reply := encode(message.NonConfirmable, message.Content, 0, "tok", "22.3 C")
	if !b.e.Respond(b.now, x, reply, RespondOptions{}) {
		t.Fatal("not piggybacked")
	}
	want := encode(message.Acknowledgement, message.Content, 0x7d34, "tok", "22.3 C")
	if !bytes.Equal(reply, want) {
		t.Fatalf("reply %x, want %x", reply, want)
	}
	clear(reply)
	for range 3 {
		b.pass(80 * time.Second)
		if v := b.receive(alice, get); v != (Verdict{Duplicate: true}) {
			t.Errorf("duplicate: %+v", v)
		}
		b.want(want)
	}
	if b.receive(bob, get).Kind != Request {
		t.Error("the same message ID of another peer is taken for a duplicate")
	}
	b.pass(7 * time.Second) // 247 s
	if b.receive(alice, get).Kind != Request {
		t.Error("still a duplicate after EXCHANGE_LIFETIME")
	}
}

// RFC 7252 §4.5: "the recipient SHOULD silently ignore any duplicated Non-confirmable
// message".
func TestDuplicateNonConfirmableGetsNothing(t *testing.T) {
	b := newBench(t, Config{})
	get := encode(message.NonConfirmable, message.GET, 0x7d40, "u", "")
	x := b.request(alice, get)
	reply := encode(message.Confirmable, message.Content, 0, "u", "22.3 C")
	if !b.e.Respond(b.now, x, reply, RespondOptions{NoStore: true}) || message.Type(reply[0]>>4&3) != message.NonConfirmable {
		t.Errorf("response %x", reply)
	}
	b.pass(145*time.Second - 1)
	if v := b.receive(alice, get); v != (Verdict{Duplicate: true}) {
		t.Errorf("duplicate: %+v", v)
	}
	b.want()
	b.pass(1)
	if b.receive(alice, get).Kind != Request {
		t.Error("still a duplicate after NON_LIFETIME")
	}
}

// RFC 7252 §5.2.2: "Once the server sends back an Empty Acknowledgement, it MUST NOT send
// back the response in another Acknowledgement, even if the client retransmits another
// identical request. If a retransmitted request is received [...], another Empty
// Acknowledgement is sent, and any response MUST be sent as a separate response."
func TestSeparateResponse(t *testing.T) {
	b := newBench(t, Config{Params: exact})
	post := encode(message.Confirmable, message.POST, 0x7d38, "S", "")
	ack := empty(message.Acknowledgement, 0x7d38)
	x := b.request(alice, post)
	if at, _ := b.e.Deadline(); at.Sub(b.now) != 100*time.Millisecond {
		t.Errorf("empty acknowledgement due after %v", at.Sub(b.now))
	}
	b.pass(100 * time.Millisecond)
	b.want(ack)
	b.receive(alice, post)
	b.want(ack)
	if b.e.Respond(b.now, x, encode(message.Acknowledgement, message.Changed, 0x7d38, "S", "ok"), RespondOptions{}) {
		t.Fatal("piggybacked after the empty acknowledgement")
	}
	separate := b.transmitted()
	if separate[0]>>4&3 != byte(message.Confirmable) || idOf(separate) == 0x7d38 && message.Type(separate[0]>>4&3) != 0 {
		t.Errorf("separate response %x", separate)
	}
	b.receive(alice, post)
	b.want(ack) // never the separate response
	b.pass(2 * time.Second)
	b.want(separate) // retransmitted
	b.receive(alice, empty(message.Acknowledgement, idOf(separate)))
	if all := b.run(time.Minute); len(all) != 0 {
		t.Errorf("after the acknowledgement: %+v", all)
	}
	b.receive(alice, post)
	b.want(ack) // state for the ACK is retained (§4.2)
}

// RFC 7252 §5.2.2: "A server may also immediately send an acknowledgement if it knows in
// advance that there will be no piggybacked response."
func TestAcknowledgeAtOnce(t *testing.T) {
	b := newBench(t, Config{AckDelay: -1})
	x := b.request(alice, encode(message.Confirmable, message.GET, 9, "t", ""))
	b.want(empty(message.Acknowledgement, 9))
	b.e.Acknowledge(b.now, x)
	b.pass(time.Second)
	b.want() // once
}

// RFC 7252 §5.2.2: "(It may also be sent as a Non-confirmable message; see Section
// 5.2.3.)"
func TestResponseTypes(t *testing.T) {
	for _, tt := range []struct {
		name     string
		request  message.Type
		acked    bool
		o        RespondOptions
		transmit bool
		want     message.Type
	}{
		{"piggybacked", message.Confirmable, false, RespondOptions{NonConfirmable: true}, true, message.Acknowledgement},
		{"separate", message.Confirmable, true, RespondOptions{}, false, message.Confirmable},
		{"separate NON", message.Confirmable, true, RespondOptions{NonConfirmable: true}, true, message.NonConfirmable},
		{"NON", message.NonConfirmable, false, RespondOptions{}, true, message.NonConfirmable},
		{"NON by CON", message.NonConfirmable, false, RespondOptions{Confirmable: true}, false, message.Confirmable},
	} {
		b := newBench(t, Config{})
		x := b.request(alice, encode(tt.request, message.GET, 9, "t", ""))
		if tt.acked {
			b.e.Acknowledge(b.now, x)
			b.want(empty(message.Acknowledgement, 9))
		}
		reply := encode(0, message.Content, 0, "t", "p")
		transmit := b.e.Respond(b.now, x, reply, tt.o)
		if transmit != tt.transmit {
			t.Errorf("%s: transmit = %v", tt.name, transmit)
			continue
		}
		if !transmit {
			reply = b.transmitted()
		}
		if got := message.Type(reply[0] >> 4 & 3); got != tt.want {
			t.Errorf("%s: sent as %v, want %v", tt.name, got, tt.want)
		}
		if b.e.Respond(b.now, x, reply, tt.o) {
			t.Errorf("%s: answered twice", tt.name)
		}
	}
}

// RFC 7252 §4.2: "A recipient MUST either (a) acknowledge a Confirmable message [...] or
// (b) reject the message". §4.3: "A Non-confirmable message MUST NOT be acknowledged by
// the recipient."
func TestDropAndReject(t *testing.T) {
	for _, tt := range []struct {
		name   string
		typ    message.Type
		end    func(*Endpoint, time.Time, Inbound)
		answer [][]byte
	}{
		{"drop CON", message.Confirmable, (*Endpoint).Drop, [][]byte{empty(message.Acknowledgement, 9)}},
		{"reject CON", message.Confirmable, (*Endpoint).Reject, [][]byte{empty(message.Reset, 9)}},
		{"drop NON", message.NonConfirmable, (*Endpoint).Drop, nil},
		{"reject NON", message.NonConfirmable, (*Endpoint).Reject, nil},
	} {
		b := newBench(t, Config{})
		d := encode(tt.typ, message.PUT, 9, "t", "")
		x := b.request(alice, d)
		tt.end(b.e, b.now, x)
		b.want(tt.answer...)
		if v := b.receive(alice, d); v != (Verdict{Duplicate: true}) {
			t.Errorf("%s: duplicate: %+v", tt.name, v)
		}
		b.want(tt.answer...)
	}
}

// RFC 7252 §4.5: "an implementation might want to process duplicate transmissions of a
// GET, PUT, or DELETE request as separate requests if the effort incurred by duplicate
// processing is less expensive than keeping track of previous responses would be."
func TestUnstoredReplyIsMadeAgain(t *testing.T) {
	b := newBench(t, Config{})
	get := encode(message.Confirmable, message.GET, 9, "t", "")
	for i := range 3 {
		v := b.receive(alice, get)
		if v.Kind != Request || v.Duplicate != (i > 0) {
			t.Fatalf("copy %d: %+v", i, v)
		}
		if d := b.receive(alice, get); d != (Verdict{Duplicate: true}) {
			t.Fatalf("copy %d, in hand: %+v", i, d)
		}
		reply := encode(0, message.Content, 0, "t", "p")
		if !b.e.Respond(b.now, v.Inbound, reply, RespondOptions{NoStore: true}) || idOf(reply) != 9 {
			t.Fatalf("copy %d: reply %x", i, reply)
		}
	}
	if s := b.e.Stats(); s.Remembered != 1 || s.Requests != 3 || s.RepliesWaived != 3 || s.RequestsAgain != 2 || s.RepliesRepeated != 0 {
		t.Errorf("counters %+v", s)
	}
	// One of its answers may be stored, and one may come late.
	x := b.request(alice, get)
	if reply := encode(0, message.Content, 0, "t", "stored"); !b.e.Respond(b.now, x, reply, RespondOptions{}) {
		t.Fatal("not piggybacked")
	}
	if v := b.receive(alice, get); v != (Verdict{Duplicate: true}) {
		t.Fatalf("after a stored answer: %+v", v)
	}
	b.want(encode(message.Acknowledgement, message.Content, 9, "t", "stored"))
}

// A response is no request, though it takes the message ID of one whose reply was not stored.
func TestResponseIsNoRepeatedRequest(t *testing.T) {
	b := newBench(t, Config{})
	x := b.request(alice, encode(message.Confirmable, message.GET, 9, "t", ""))
	b.e.Respond(b.now, x, encode(0, message.Content, 0, "t", "p"), RespondOptions{NoStore: true})
	if v := b.receive(alice, encode(message.Confirmable, message.RequestEntityTooLarge, 9, "u", "")); v != (Verdict{Duplicate: true}) {
		t.Errorf("%+v", v)
	}
	b.want()
	if s := b.e.Stats(); s.RequestsAgain != 0 || s.PendingRequests != 0 {
		t.Errorf("%+v", s)
	}
}

// A request answered separately is not handled again, whatever NoStore says: its duplicate
// gets the Empty Acknowledgement.
func TestSeparateReplyIsNotMadeAgain(t *testing.T) {
	b := newBench(t, Config{})
	get := encode(message.Confirmable, message.GET, 9, "t", "")
	x := b.request(alice, get)
	b.e.Acknowledge(b.now, x)
	b.want(empty(message.Acknowledgement, 9))
	b.e.Respond(b.now, x, encode(0, message.Content, 0, "t", "p"), RespondOptions{NoStore: true})
	b.events()
	if v := b.receive(alice, get); v != (Verdict{Duplicate: true}) {
		t.Errorf("duplicate: %+v", v)
	}
	b.want(empty(message.Acknowledgement, 9))
	if s := b.e.Stats(); s.RepliesWaived != 0 || s.RequestsAgain != 0 {
		t.Errorf("counters %+v", s)
	}
}

// A clock that is set back, should a caller's now follow one, neither stops nor hastens what
// is under way; deadlines are never before what has been.
func TestTimeDoesNotGoBackward(t *testing.T) {
	b := newBench(t, Config{Params: exact})
	b.get(alice, "t")
	b.pass(time.Second)
	for _, back := range []time.Duration{time.Minute, 24 * time.Hour, 50 * 365 * 24 * time.Hour} {
		b.e.Advance(b.now.Add(-back))
		b.receive(bob, empty(message.Acknowledgement, 1))
		if at, ok := b.e.Deadline(); !ok || at != epochStart.Add(2*time.Second) || len(b.events()) > 0 {
			t.Errorf("%v back: deadline %v, %t", back, at, ok)
		}
	}
	var at []time.Duration
	for _, m := range b.run(time.Hour) {
		at = append(at, m.at)
	}
	if want := []time.Duration{2e9, 6e9, 14e9, 30e9, 62e9}; !slices.Equal(at, want) {
		t.Errorf("events at %v, want %v", at, want)
	}
}
