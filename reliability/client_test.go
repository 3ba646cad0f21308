package reliability

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/motewire/coap/message"
	"github.com/motewire/coap/peer"
)

// RFC 7252 §5.3.2: "In a piggybacked response, the Message ID of the Confirmable request
// and the Acknowledgement MUST match, and the tokens of the response and original request
// MUST match."
func TestPiggybackedResponseMatchesIDAndToken(t *testing.T) {
	b := newBench(t, Config{Params: exact})
	x, wire := b.get(alice, "token")
	id := idOf(wire)
	for _, d := range [][]byte{
		encode(message.Acknowledgement, message.NotFound, id, "", ""), // seen from real servers
		encode(message.Acknowledgement, message.Content, id, "toke", "p"),
		encode(message.Acknowledgement, message.Content, id+1, "token", "p"),
	} {
		if v := b.receive(alice, d); v != (Verdict{}) {
			t.Errorf("%x: %+v", d, v)
		}
	}
	b.pass(2 * time.Second)
	b.want(wire) // retransmission goes on
	response := encode(message.Acknowledgement, message.Content, id, "token", "p")
	if v := b.receive(bob, response); v.Kind != Handled {
		t.Errorf("response of another endpoint: %+v", v)
	}
	if v := b.receive(alice, response); v != (Verdict{Kind: Response, Outbound: x}) {
		t.Errorf("response: %+v", v)
	}
	if v := b.receive(alice, response); v != (Verdict{}) {
		t.Errorf("response again: %+v", v)
	}
	if all := b.run(time.Hour); len(all) != 0 {
		t.Errorf("after the response: %+v", all)
	}
}

// RFC 7252 §5.2.2: "the Confirmable message carrying the response may actually arrive
// before or after the Acknowledgement message for the request; for the purposes of
// terminating the retransmission sequence, this also serves as an acknowledgement."
func TestResponseOvertakesAcknowledgement(t *testing.T) {
	for _, typ := range []message.Type{message.Confirmable, message.NonConfirmable} {
		b := newBench(t, Config{Params: exact})
		x, wire := b.get(alice, "t")
		response := encode(typ, message.Content, 0xad7b, "t", "p")
		if v := b.receive(alice, response); v != (Verdict{Kind: Response, Outbound: x}) {
			t.Fatalf("%v: %+v", typ, v)
		}
		var ack [][]byte
		if typ == message.Confirmable {
			ack = append(ack, empty(message.Acknowledgement, 0xad7b))
		}
		b.want(ack...)
		if v := b.receive(alice, empty(message.Acknowledgement, idOf(wire))); v != (Verdict{}) {
			t.Errorf("%v: late acknowledgement: %+v", typ, v)
		}
		// §4.5: the duplicate is acknowledged again after the exchange is over.
		if v := b.receive(alice, response); v != (Verdict{Duplicate: true}) {
			t.Errorf("%v: duplicate response: %+v", typ, v)
		}
		b.want(ack...)
		if all := b.run(time.Minute); len(all) != 0 {
			t.Errorf("%v: afterwards: %+v", typ, all)
		}
	}
}

// RFC 7252 §5.3.2: "In case a message carrying a response is unexpected [...], the
// response is rejected (Sections 4.2 and 4.3)."
func TestUnexpectedResponseIsRejected(t *testing.T) {
	b := newBench(t, Config{})
	response := encode(message.Confirmable, message.Content, 0xad7c, "d", "p")
	for i := range 2 {
		if v := b.receive(alice, response); v != (Verdict{}) {
			t.Errorf("copy %d: %+v", i, v)
		}
		b.want(empty(message.Reset, 0xad7c))
	}
	b.receive(alice, encode(message.NonConfirmable, message.Content, 0xad7d, "d", "p"))
	b.want()
}

// What is rejected leaves no trace: the message IDs of a peer's responses are not used up by
// who sends responses, or requests to who serves none, in its name.
func TestForgedMessagesUseUpNoMessageID(t *testing.T) {
	b := newBench(t, Config{})
	x, _ := b.get(alice, "t")
	for _, typ := range []message.Type{message.Confirmable, message.NonConfirmable} {
		b.receive(alice, encode(typ, message.Content, 5, "no", "forged"))
		b.e.Unserved(b.now, alice, false, parse(t, encode(typ, message.GET, 5, "no", "")))
	}
	b.e.Unserved(b.now, alice, true, parse(t, encode(message.Confirmable, message.GET, 5, "no", "")))
	b.events()
	if s := b.e.Stats(); s.Remembered != 0 || s.Unserved != 3 || s.ResetsSent != 2 {
		t.Errorf("%+v", s)
	}
	if v := b.receive(alice, encode(message.Confirmable, message.Content, 5, "t", "true")); v.Kind != Response || v.Outbound != x {
		t.Errorf("%+v", v)
	}
	b.want(empty(message.Acknowledgement, 5))
}

// A response can't answer a request that waits for its turn.
func TestResponseToARequestNotSentIsUnexpected(t *testing.T) {
	b := newBench(t, Config{})
	b.get(alice, "1")
	b.send(alice, encode(0, message.GET, 0, "2", ""), SendOptions{Confirmable: true, Expect: ExpectOne})
	if v := b.receive(alice, encode(message.Confirmable, message.Content, 5, "2", "p")); v != (Verdict{}) {
		t.Errorf("verdict %+v", v)
	}
	b.want(empty(message.Reset, 5))
}

// RFC 7252 §5.4.1: "Unrecognized options of class "critical" that occur in a Confirmable
// response [...] MUST cause the response to be rejected".
func TestRejectResponse(t *testing.T) {
	b := newBench(t, Config{})
	b.get(alice, "t")
	response := encode(message.Confirmable, message.Content, 77, "t", "p")
	b.receive(alice, response)
	b.e.RejectResponse(b.now, alice, 77)
	b.want(empty(message.Reset, 77))
	b.receive(alice, response)
	b.want(empty(message.Reset, 77))
	b.e.RejectResponse(b.now, alice, 77)
	b.want()
}

// RFC 7252 §5.2.2: "the requester may want to set up a timeout that is unrelated to
// CoAP's retransmission timers".
func TestResponseTimeout(t *testing.T) {
	for _, confirmable := range []bool{true, false} {
		b := newBench(t, Config{Params: exact})
		x := b.send(alice, encode(0, message.GET, 0, "t", ""), SendOptions{Confirmable: confirmable, Expect: ExpectOne})
		wire := b.transmitted()
		b.pass(time.Second)
		if confirmable {
			b.receive(alice, empty(message.Acknowledgement, idOf(wire)))
			if all := b.events(); len(all) != 1 || all[0].Kind != Acknowledged || all[0].Outbound != x {
				t.Fatalf("acknowledged: %+v", all)
			}
		}
		want := 232 * time.Second // EXCHANGE_LIFETIME without jitter, from the transmission
		if confirmable {
			want += time.Second // from the Acknowledgement
		}
		all := b.run(time.Hour)
		if len(all) != 1 || all[0].at != want || !errors.Is(all[0].Err, ErrResponseTimeout) || all[0].Outbound != x {
			t.Errorf("confirmable %v: %+v, want a response time-out at %v", confirmable, all, want)
		}
		if v := b.receive(alice, encode(message.NonConfirmable, message.Content, 1, "t", "p")); v.Kind != Handled {
			t.Errorf("confirmable %v: response after the time-out: %+v", confirmable, v)
		}
	}
}

// A Non-confirmable message may have a time of its own: others wait as long as ever. It ends
// like these by a response, by its cancellation, and where its peer can't be reached.
func TestOwnResponseTimeout(t *testing.T) {
	b := newBench(t, Config{Params: exact})
	send := func(token string, wait time.Duration) Outbound {
		x := b.send(alice, encode(0, message.GET, 0, token, ""), SendOptions{Expect: ExpectOne, ResponseTimeout: wait})
		b.transmitted()
		return x
	}
	usual, quick, quicker := send("a", 0), send("b", 5*time.Second), send("c", 3*time.Second)
	all := b.run(time.Hour)
	for i, want := range []struct {
		x  Outbound
		at time.Duration
	}{{quicker, 3 * time.Second}, {quick, 5 * time.Second}, {usual, 232 * time.Second}} {
		if len(all) != 3 || all[i].at != want.at || !errors.Is(all[i].Err, ErrResponseTimeout) || all[i].Outbound != want.x {
			t.Fatalf("%+v, want a response time-out at %v", all, want.at)
		}
	}
	send("d", time.Second)
	if v := b.receive(alice, encode(message.NonConfirmable, message.Content, 1, "d", "p")); v.Kind != Response {
		t.Errorf("%+v", v)
	}
	b.e.Cancel(b.now, send("e", time.Second))
	x := send("f", time.Second)
	b.e.Unreachable(b.now, alice, nil, errors.New("gone"))
	if all := b.events(); len(all) != 1 || all[0].Outbound != x || !errors.Is(all[0].Err, ErrUnreachable) {
		t.Errorf("%+v", all)
	}
	if all := b.run(time.Hour); len(all) != 0 {
		t.Errorf("%+v", all)
	}
}

// RFC 7252 §4.3: "Rejecting a Non-confirmable message MAY involve sending a matching
// Reset message".
func TestResetOfANonConfirmableRequest(t *testing.T) {
	b := newBench(t, Config{})
	x := b.send(alice, encode(0, message.GET, 0, "t", ""), SendOptions{Expect: ExpectOne})
	wire := b.transmitted()
	if v := b.receive(alice, empty(message.Acknowledgement, idOf(wire))); v != (Verdict{}) {
		t.Errorf("acknowledgement: %+v", v)
	}
	b.want()
	b.receive(alice, empty(message.Reset, idOf(wire)))
	if all := b.events(); len(all) != 1 || all[0].Outbound != x || !errors.Is(all[0].Err, ErrReset) {
		t.Errorf("events %+v", all)
	}
}

// A Reset for a message that is over may concern who sent it, an observation say.
func TestResetOfANotificationIsHandedUp(t *testing.T) {
	b := newBench(t, Config{})
	b.send(alice, encode(0, message.Content, 0, "t", "p"), SendOptions{})
	wire := b.transmitted()
	if wire[0]>>4&3 != byte(message.NonConfirmable) {
		t.Errorf("sent as %x", wire)
	}
	if v := b.receive(alice, empty(message.Reset, idOf(wire))); v != (Verdict{Kind: ResetSeen}) {
		t.Errorf("verdict %+v", v)
	}
}

// A Reset for the empty Acknowledgement says that nobody waits for the response.
func TestResetOfAnEmptyAcknowledgement(t *testing.T) {
	b := newBench(t, Config{})
	x := b.request(alice, encode(message.Confirmable, message.GET, 9, "t", ""))
	if v := b.receive(alice, empty(message.Reset, 9)); v.Kind != ResetSeen {
		t.Errorf("before the acknowledgement: %+v", v)
	}
	b.e.Acknowledge(b.now, x)
	if v := b.receive(alice, empty(message.Reset, 9)); v != (Verdict{Kind: InboundReset, Inbound: x}) {
		t.Errorf("verdict %+v", v)
	}
	b.e.Drop(b.now, x)
	if s := b.e.Stats(); s.PendingRequests != 0 {
		t.Errorf("still in hand: %+v", s)
	}
}

// RFC 7252 §4.7: "clients [...] MUST strictly limit the number of simultaneous
// outstanding interactions that they maintain to a given server [...] to NSTART."
func TestNStart(t *testing.T) {
	for _, nstart := range []int{1, 3} {
		b := newBench(t, Config{Params: Params{NStart: nstart, AckRandomFactor: 1}})
		var open []Outbound
		sent := map[Outbound]message.ID{}
		order := []Outbound{}
		drain := func() {
			for _, ev := range b.events() {
				if ev.Kind == Transmit && ev.Attempt == 1 {
					sent[ev.Outbound] = idOf(ev.Datagram)
					order = append(order, ev.Outbound)
				}
			}
		}
		for i := range 10 {
			open = append(open, b.send(alice, encode(0, message.GET, 0, fmt.Sprint(i), ""), SendOptions{Confirmable: true, Expect: ExpectOne}))
		}
		drain()
		if len(order) != nstart {
			t.Fatalf("NSTART %d: %d sent", nstart, len(order))
		}
		b.send(bob, encode(0, message.GET, 0, "other", ""), SendOptions{Confirmable: true, Expect: ExpectOne})
		b.transmitted() // another peer is not held back
		b.e.Cancel(b.now, open[5])
		for i := range open {
			if i == 5 {
				continue
			}
			if i >= len(order) && i < 5 {
				t.Fatalf("NSTART %d: number %d was not sent", nstart, i)
			}
			b.receive(alice, empty(message.Acknowledgement, sent[open[i]]))
			drain()
		}
		if len(order) != 9 {
			t.Fatalf("NSTART %d: %d sent", nstart, len(order))
		}
		for i, x := range append(append([]Outbound{}, open[:5]...), open[6:]...) {
			if order[i] != x {
				t.Errorf("NSTART %d: out of order", nstart)
			}
		}
	}
}

// RFC 7252 §4.7 limits clients; an answer follows the client's own rate.
func TestAnswersDoNotCountAgainstNStart(t *testing.T) {
	b := newBench(t, Config{})
	b.get(alice, "t")
	b.send(alice, encode(0, message.GET, 0, "u", ""), SendOptions{Confirmable: true, Expect: ExpectOne})
	b.want()
	for range 3 {
		b.send(alice, encode(0, message.Content, 0, "o", "p"), SendOptions{Confirmable: true})
		b.transmitted()
	}
}

// A Non-confirmable request waits for its turn, but keeps nobody waiting.
func TestNonConfirmableRequestsAndNStart(t *testing.T) {
	b := newBench(t, Config{})
	non := SendOptions{Expect: ExpectOne}
	b.send(alice, encode(0, message.GET, 0, "1", ""), non)
	b.transmitted()
	b.send(alice, encode(0, message.GET, 0, "2", ""), non)
	b.transmitted()
	_, wire := b.get(alice, "3")
	b.send(alice, encode(0, message.GET, 0, "4", ""), non)
	b.want()
	b.receive(alice, empty(message.Acknowledgement, idOf(wire)))
	b.transmitted()
}

// RFC 7252 §4.7: "an endpoint does not exceed an average data rate of PROBING_RATE in
// sending to another endpoint that does not respond."
func TestProbingRate(t *testing.T) {
	b := newBench(t, Config{Params: Params{ProbingRate: 10}})
	for i := range 8 {
		request := encode(0, message.POST, 0, string(rune('a'+i)), string(make([]byte, 1018))) // 1024 bytes
		b.send(alice, request, SendOptions{Expect: ExpectOne})
	}
	if n := len(b.events()); n != 4 {
		t.Fatalf("%d requests at once, want 4096 bytes", n)
	}
	var at []time.Duration
	for _, m := range b.run(250 * time.Second) {
		if m.Kind == Transmit {
			at = append(at, m.at)
		}
	}
	if want := fmt.Sprint([]time.Duration{102400 * time.Millisecond, 204800 * time.Millisecond}); fmt.Sprint(at) != want {
		t.Errorf("more at %v, want %v", at, want)
	}
	b.receive(alice, empty(message.Reset, 1)) // any datagram: not silent
	if n := len(b.events()); n != 2 {
		t.Errorf("%d requests after the peer was heard, want 2", n)
	}
	for range 5 {
		b.send(group, encode(0, message.GET, 0, b.e.NewToken(group).String()[:8], string(make([]byte, 1000))), SendOptions{Expect: ExpectMany})
		b.transmitted() // a group is exempt
	}
}

// A small request does not overtake a large one that waits for PROBING_RATE.
func TestQueueKeepsOrder(t *testing.T) {
	b := newBench(t, Config{})
	var order []Outbound
	for i, size := range []int{3000, 2000, 10} {
		order = append(order, b.send(alice, encode(0, message.POST, 0, fmt.Sprint(i), string(make([]byte, size))), SendOptions{Expect: ExpectOne}))
	}
	b.transmitted()
	b.receive(alice, empty(message.Reset, 1))
	all := b.events()
	if len(all) != 2 || all[0].Outbound != order[1] || all[1].Outbound != order[2] {
		t.Errorf("events %+v", all)
	}
}

// §4.7: PROBING_RATE is about what is not retransmitted; "basic congestion control for CoAP is
// provided by the exponential back-off mechanism". So a Confirmable request goes to a peer
// that was silent for long as soon as its turn has come, and passes what is held back.
func TestProbingRateIsNotForConfirmables(t *testing.T) {
	b := newBench(t, Config{Params: Params{AckRandomFactor: 1}})
	large := string(make([]byte, 4000))
	request := func(token string, confirmable bool) Outbound {
		return b.send(alice, encode(0, message.POST, 0, token, large), SendOptions{Confirmable: confirmable, Expect: ExpectOne})
	}
	started := func(want ...Outbound) {
		t.Helper()
		var got []Outbound
		for _, ev := range b.events() {
			if ev.Kind == Transmit && ev.Attempt == 1 {
				got = append(got, ev.Outbound)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("started %v, want %v", got, want)
		}
	}
	started(request("a", true))
	b.run(62*time.Second + 1)
	b.run(10 * time.Minute)
	started(request("b", true)) // 20 kB were in vain
	b.run(62*time.Second + 1)
	started(request("c", false))
	b.run(300 * time.Second)
	request("d", false) // held back for more than an hour
	started()
	started(request("e", true))
	request("f", true) // NSTART is 1
	started()
}

// RFC 7252 §8.1: "Such multicast requests MUST be Non-confirmable." §8.2: "When matching a
// response to a multicast request, only the token MUST match".
func TestMulticastRequest(t *testing.T) {
	b := newBench(t, Config{})
	get := encode(0, message.GET, 0, "group", "")
	if _, err := b.e.Send(b.now, group, get, SendOptions{Confirmable: true, Expect: ExpectMany}); !errors.Is(err, ErrMulticastConfirmable) {
		t.Errorf("Confirmable: %v", err)
	}
	x := b.send(group, get, SendOptions{Expect: ExpectMany})
	wire := b.transmitted()
	if message.Type(wire[0]>>4&3) != message.NonConfirmable {
		t.Errorf("sent as %x", wire)
	}
	for i, from := range []peer.Addr{alice, bob} {
		d := encode(message.NonConfirmable, message.Content, message.ID(i), "group", "p")
		if v := b.receive(from, d); v != (Verdict{Kind: Response, Outbound: x}) {
			t.Errorf("response of %v: %+v", from, v)
		}
		if v := b.receive(from, d); v != (Verdict{Duplicate: true}) {
			t.Errorf("duplicate of %v: %+v", from, v)
		}
	}
	b.run(time.Hour)
	if v := b.receive(alice, encode(message.NonConfirmable, message.Content, 7, "group", "p")); v.Kind != Response {
		t.Errorf("an hour later: %+v", v)
	}
	b.e.Cancel(b.now, x)
	if v := b.receive(alice, encode(message.NonConfirmable, message.Content, 8, "group", "p")); v.Kind != Handled {
		t.Errorf("after Cancel: %+v", v)
	}
}

// RFC 7641 §3.6: a notification with a token that the client does not recognize is answered
// by a Reset, a Non-confirmable one too; RFC 7252 §4.3: any other Non-confirmable response
// with such a token by silence.
func TestUnexpectedNotificationIsRejected(t *testing.T) {
	b := newBench(t, Config{})
	notification := append(encode(message.NonConfirmable, message.Content, 7, "gone", ""), 0x61, 9, 0xff, 'p')
	b.receive(alice, notification)
	b.want(empty(message.Reset, 7))
	b.receive(alice, encode(message.NonConfirmable, message.Content, 8, "gone", "p"))
	b.want()
}

// RFC 7252 §8.1: "when a server is aware that a request arrived via multicast, it MUST NOT
// return a Reset message in reply to a Non-confirmable message."
func TestNothingIsSentToWhatCameByMulticast(t *testing.T) {
	b := newBench(t, Config{})
	for _, d := range [][]byte{
		encode(message.Confirmable, message.GET, 1, "t", ""),
		empty(message.Confirmable, 2),
		encode(message.Confirmable, message.Content, 3, "t", "p"),
		encode(message.NonConfirmable, message.Content, 4, "t", "p"),
		empty(message.Reset, 5),
	} {
		if v := b.receiveFrom(alice, true, d); v != (Verdict{}) {
			t.Errorf("%x: %+v", d, v)
		}
	}
	var v message.View
	err := v.Parse([]byte{0x40, 0x01, 0, 9, 0xff})
	var format *message.FormatError
	if !errors.As(err, &format) {
		t.Fatal(err)
	}
	b.e.Malformed(b.now, alice, true, &v, format)
	x := b.receiveFrom(alice, true, encode(message.NonConfirmable, message.GET, 10, "t", ""))
	b.e.Reject(b.now, x.Inbound)
	b.want()
}

// RFC 7252 §8.2: "The server SHOULD then pick a random point of time within the chosen
// leisure period to send back the unicast response".
func TestMulticastResponseComesAtLeisure(t *testing.T) {
	b := newBench(t, Config{MaxOutbound: 1000})
	const n = 500
	for i := range n {
		from := peer.From(alice.AddrPort()).WithLocal(group.AddrPort().Addr())
		v := b.receiveFrom(from, true, encode(message.NonConfirmable, message.GET, message.ID(i), "t", ""))
		if b.e.Respond(b.now, v.Inbound, encode(0, message.Content, 0, "t", "p"), RespondOptions{Confirmable: true}) {
			t.Fatal("answered at once")
		}
	}
	var low, high time.Duration = time.Hour, 0
	all := b.run(time.Minute)
	seen := map[message.ID]bool{}
	for _, m := range all {
		if m.Kind != Transmit || m.Datagram[0]>>4&3 != byte(message.NonConfirmable) || seen[idOf(m.Datagram)] {
			t.Fatalf("event %+v", m)
		}
		seen[idOf(m.Datagram)] = true
		low, high = min(low, m.at), max(high, m.at)
	}
	if len(all) != n || low > 100*time.Millisecond || high < 4900*time.Millisecond || high > 5*time.Second {
		t.Errorf("%d responses from %v to %v, want %d in 0 to 5 s", len(all), low, high, n)
	}
}

// RFC 7252 §4.2: "Host, network, port, or protocol unreachable errors [...] MAY, after
// appropriate vetting, be used to inform the application of a failure in sending."
func TestUnreachable(t *testing.T) {
	b := newBench(t, Config{Params: Params{NStart: -1, AckRandomFactor: 1}})
	ends := func(want ...Outbound) {
		t.Helper()
		all := b.events()
		for i, ev := range all {
			if i < len(want) && (ev.Outbound != want[i] || !errors.Is(ev.Err, ErrUnreachable) || !errors.Is(ev.Err, io.EOF)) {
				t.Errorf("event %+v", ev)
			}
		}
		if len(all) != len(want) {
			t.Errorf("%d events, want %d", len(all), len(want))
		}
	}
	x, wire := b.get(alice, "1")
	y, other := b.get(alice, "2")
	z, _ := b.get(alice, "3")
	n := b.send(alice, encode(0, message.GET, 0, "4", ""), SendOptions{Expect: ExpectOne})
	b.events()
	b.get(bob, "5")
	b.receive(alice, empty(message.Acknowledgement, idOf(other)))
	b.events()
	for _, d := range [][]byte{
		append(append([]byte{}, wire[:4]...), 'X'),  // another token
		append([]byte{wire[0] | 0x20}, wire[1:]...), // an Acknowledgement with its ID
		{wire[0], wire[1], wire[2], wire[3] ^ 0xff}, // another ID
		other, // acknowledged
		append(append([]byte{}, other...), "trailer"...), // likewise
	} {
		b.e.Unreachable(b.now, alice, d, io.EOF)
		ends()
	}
	b.e.Unreachable(b.now, bob, wire, io.EOF)
	ends()
	b.e.Unreachable(b.now, alice, wire[:4], io.EOF)
	ends(x)
	b.e.Unreachable(b.now, alice, nil, io.EOF)
	ends(z, n)
	if v := b.receive(alice, encode(message.NonConfirmable, message.Content, 1, "2", "p")); v.Outbound != y {
		t.Errorf("the acknowledged exchange is over: %+v", v)
	}
}

// RFC 7641 §3.2 and RFC 7252 §8.2: responses keep coming until the client ends it.
func TestExpectManyStaysUntilCancel(t *testing.T) {
	b := newBench(t, Config{})
	x := b.send(alice, encode(0, message.GET, 0, "t", ""), SendOptions{Confirmable: true, Expect: ExpectMany})
	wire := b.transmitted()
	first := encode(message.Acknowledgement, message.Content, idOf(wire), "t", "1")
	if v := b.receive(alice, first); v != (Verdict{Kind: Response, Outbound: x}) {
		t.Fatalf("first: %+v", v)
	}
	if v := b.receive(alice, first); v != (Verdict{}) {
		t.Errorf("first again: %+v", v)
	}
	for i := range 3 {
		if all := b.run(time.Hour); len(all) != 0 {
			t.Fatalf("events %+v", all)
		}
		if v := b.receive(alice, encode(message.Confirmable, message.Content, message.ID(i), "t", "2")); v != (Verdict{Kind: Response, Outbound: x}) {
			t.Errorf("notification: %+v", v)
		}
		b.want(empty(message.Acknowledgement, message.ID(i)))
	}
	b.e.Cancel(b.now, x)
	b.receive(alice, encode(message.Confirmable, message.Content, 9, "t", "3"))
	b.want(empty(message.Reset, 9))
}

func TestCancel(t *testing.T) {
	b := newBench(t, Config{})
	x := b.send(alice, encode(0, message.GET, 0, "1", ""), SendOptions{Confirmable: true, Expect: ExpectOne})
	y := b.send(alice, encode(0, message.GET, 0, "2", ""), SendOptions{Confirmable: true, Expect: ExpectOne})
	z := b.send(alice, encode(0, message.GET, 0, "3", ""), SendOptions{Confirmable: true, Expect: ExpectOne})
	b.e.Cancel(b.now, y) // waits
	b.e.Cancel(b.now, x) // not polled yet
	all := b.events()
	if len(all) != 1 || all[0].Outbound != z {
		t.Fatalf("events %+v, want the transmission of the third", all)
	}
	b.e.Cancel(b.now, z)
	b.e.Cancel(b.now, z)
	if all := b.run(time.Hour); len(all) != 0 {
		t.Errorf("events %+v", all)
	}
	if s := b.e.Stats(); s.OpenExchanges != 0 || s.Peers != 0 {
		t.Errorf("left behind: %+v", s)
	}
}

// None is no exchange: what the Endpoint sends by itself stays.
func TestCancelOfNone(t *testing.T) {
	b := newBench(t, Config{})
	b.receive(alice, empty(message.Confirmable, 1))
	b.e.Cancel(b.now, 0)
	b.want(empty(message.Reset, 1))
}

func TestSendRefuses(t *testing.T) {
	b := newBench(t, Config{MaxOutbound: 3, MaxQueued: 1, MaxPeers: 2})
	one := SendOptions{Confirmable: true, Expect: ExpectOne, Token: mustToken("t")}
	get := encode(0, message.GET, 0, "t", "")
	for name, d := range map[string][]byte{
		"short":        {0x40, 1, 0},
		"version":      {0x80, 1, 0, 0},
		"token":        encode(0, message.GET, 0, "u", ""),
		"long token":   encode(0, message.GET, 0, "tt", ""),
		"no request":   encode(0, message.Content, 0, "t", ""),
		"empty":        empty(0, 0),
		"token beyond": {0x41, 1, 0, 0},
	} {
		if _, err := b.e.Send(b.now, alice, d, one); !errors.Is(err, ErrDatagram) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := b.e.Send(b.now, alice, empty(0, 0), SendOptions{}); !errors.Is(err, ErrDatagram) {
		t.Errorf("NON ping: %v", err)
	}
	if _, err := b.e.Send(b.now, peer.Addr{}, get, one); !errors.Is(err, ErrDatagram) {
		t.Errorf("no peer: %v", err)
	}
	b.get(alice, "t")
	if _, err := b.e.Send(b.now, alice, get, one); !errors.Is(err, ErrTokenInUse) {
		t.Errorf("token twice: %v", err)
	}
	b.send(alice, encode(0, message.GET, 0, "u", ""), one)
	if _, err := b.e.Send(b.now, alice, encode(0, message.GET, 0, "v", ""), SendOptions{Confirmable: true, Expect: ExpectOne, Token: mustToken("v")}); !errors.Is(err, ErrQueueFull) {
		t.Errorf("queue: %v", err)
	}
	b.get(bob, "t")
	if _, err := b.e.Send(b.now, bob, encode(0, message.GET, 0, "v", ""), SendOptions{Confirmable: true, Expect: ExpectOne, Token: mustToken("v")}); !errors.Is(err, ErrTooManyExchanges) {
		t.Errorf("exchanges: %v", err)
	}
	if s := b.e.Stats(); s.OpenExchanges != 3 || s.Refused != 2 {
		t.Errorf("counters %+v", s)
	}
}

func TestTooManyPeers(t *testing.T) {
	b := newBench(t, Config{MaxPeers: 1})
	b.get(alice, "t")
	if _, err := b.e.Send(b.now, bob, encode(0, message.GET, 0, "t", ""), SendOptions{Confirmable: true, Expect: ExpectOne, Token: mustToken("t")}); !errors.Is(err, ErrTooManyPeers) {
		t.Errorf("second peer: %v", err)
	}
	x := b.request(bob, encode(message.NonConfirmable, message.GET, 1, "t", ""))
	if b.e.Respond(b.now, x, encode(0, message.Content, 0, "t", "p"), RespondOptions{}) {
		t.Error("NON response without a message ID")
	}
	x = b.request(bob, encode(message.Confirmable, message.GET, 2, "t", ""))
	if !b.e.Respond(b.now, x, encode(0, message.Content, 0, "t", "p"), RespondOptions{}) {
		t.Error("a piggybacked response needs no state")
	}
	if s := b.e.Stats(); s.ResponsesLost != 1 {
		t.Errorf("counters %+v", s)
	}
}

// RFC 7252 §5.3.1: "The client SHOULD generate tokens in such a way that tokens currently in use
// for a given source/destination endpoint pair are unique." Chance makes no two of eight random
// bytes equal; this one does, and the token that is in use is drawn again.
func TestNewTokenIsNotInUse(t *testing.T) {
	b := newBench(t, Config{Params: Params{NStart: -1}})
	draw := &repeating{}
	b.e.rng = rand.New(draw)
	first := b.e.NewToken(alice)
	e := message.AppendHeader(nil, message.Confirmable, message.GET, 0, first)
	datagram, _ := e.Finish(nil)
	if _, err := b.e.Send(b.now, alice, datagram, SendOptions{Confirmable: true, Expect: ExpectOne, Token: first}); err != nil {
		t.Fatal(err)
	}
	draw.drawn = 0
	if other := b.e.NewToken(bob); other != first {
		t.Errorf("%v towards another peer, want %v", other, first)
	}
	draw.drawn = 0
	if second := b.e.NewToken(alice); second == first || draw.drawn <= repeats {
		t.Errorf("%v after %d draws", second, draw.drawn)
	}
}

// repeating is a source of one number several times, then of another.
type repeating struct{ drawn int }

const repeats = 3

func (r *repeating) Uint64() uint64 {
	if r.drawn++; r.drawn <= repeats {
		return 1
	}
	return 2
}

func TestNewTokenIsLongAndNew(t *testing.T) {
	b := newBench(t, Config{})
	seen := map[message.Token]bool{}
	for range 1000 {
		token := b.e.NewToken(alice)
		if token.Len() != 8 || seen[token] {
			t.Fatalf("token %v", token)
		}
		seen[token] = true
	}
}
