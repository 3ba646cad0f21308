package ladder

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/motewire/coap/message"
)

var (
	client = netip.MustParseAddrPort("192.0.2.1:40000")
	server = netip.MustParseAddrPort("192.0.2.2:5683")
)

// A transmission is a message of a test: a client's where it is a request, or where the
// test says so.
type transmission struct {
	at  time.Duration
	msg message.Message
	up  bool // from the client
}

func token(t *testing.T, b ...byte) message.Token {
	t.Helper()
	tok, err := message.MakeToken(b)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func option(n message.OptionNumber, value ...byte) message.Option {
	return message.Option{Number: n, Value: value}
}

// track hands messages to a Tracker and returns their steps.
func track(t *testing.T, all ...transmission) (*Tracker, []*Step) {
	t.Helper()
	tr := &Tracker{}
	var steps []*Step
	for i, x := range all {
		raw, err := x.msg.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		d := Datagram{Frame: i + 1, At: x.at, From: server, To: client, Raw: raw}
		if x.up {
			d.From, d.To = client, server
		}
		steps = append(steps, tr.Add(d))
	}
	return tr, steps
}

const ms = time.Millisecond

func TestRetransmissionsAreNoDuplicates(t *testing.T) {
	tok := token(t, 1)
	get := message.Message{Type: message.Confirmable, Code: message.GET, ID: 7, Token: tok}
	ack := message.Message{Type: message.Acknowledgement, Code: message.Content, ID: 7, Token: tok, Payload: []byte("x")}
	_, steps := track(t,
		transmission{0, get, true},
		transmission{1 * ms, get, true},
		transmission{2000 * ms, get, true},
		transmission{2010 * ms, ack, false},
		transmission{2011 * ms, ack, false},
		transmission{6000 * ms, get, true},
		transmission{6010 * ms, ack, false},
		transmission{6010*ms + exchangeLifetime, get, true},
	)
	var got []string
	for _, s := range steps {
		got = append(got, Note(s))
	}
	want := []string{
		"", "duplicate, after 1 ms", "retransmission 1, after 2.000 s", "after 2.010 s", "duplicate, after 1 ms",
		"retransmission 2, after 6.000 s", "the same answer again", "",
	}
	if strings.Join(got, "; ") != strings.Join(want, "; ") {
		t.Errorf("%q, want %q", got, want)
	}
	if steps[6].Conversation != steps[0].Conversation || steps[7].Conversation == steps[0].Conversation {
		t.Error("a message ID outlives EXCHANGE_LIFETIME, or not itself")
	}
}

// RFC 7252 §5.2.2: a separate response is matched by its token.
func TestSeparateResponse(t *testing.T) {
	tok := token(t, 1, 2)
	tr, steps := track(t,
		transmission{0, message.Message{Type: message.Confirmable, Code: message.GET, ID: 1, Token: tok}, true},
		transmission{10 * ms, message.Message{Type: message.Acknowledgement, ID: 1}, false},
		transmission{1000 * ms, message.Message{Type: message.Confirmable, Code: message.Content, ID: 9, Token: tok}, false},
		transmission{1010 * ms, message.Message{Type: message.Acknowledgement, ID: 9}, true},
	)
	if len(tr.Conversations) != 1 || !steps[2].Separate || steps[2].After != time.Second || steps[3].Answers != steps[2] {
		t.Errorf("%d conversations, %+v", len(tr.Conversations), steps[2])
	}
}

// The same message ID in the other direction, and from another port, is another message.
func TestMessageIDsAreOfTheirSender(t *testing.T) {
	_, steps := track(t,
		transmission{0, message.Message{Type: message.Confirmable, Code: message.GET, ID: 1, Token: token(t, 1)}, true},
		transmission{1 * ms, message.Message{Type: message.Confirmable, ID: 1}, false},
		transmission{2 * ms, message.Message{Type: message.Reset, ID: 1}, true},
		transmission{3 * ms, message.Message{Type: message.Acknowledgement, ID: 1}, false},
	)
	if steps[2].Answers != steps[1] || steps[3].Answers != steps[0] || steps[1].Kind != Ping {
		t.Errorf("%+v, %+v", steps[2].Answers, steps[3].Answers)
	}
}

func TestNotificationsJoinTheirObservation(t *testing.T) {
	tok := token(t, 5)
	tr, steps := track(t,
		transmission{0, message.Message{Type: message.Confirmable, Code: message.GET, ID: 1, Token: tok, Options: []message.Option{option(message.Observe)}}, true},
		transmission{1 * ms, message.Message{Type: message.Acknowledgement, Code: message.Content, ID: 1, Token: tok, Options: []message.Option{option(message.Observe, 1)}}, false},
		transmission{2 * ms, message.Message{Type: message.NonConfirmable, Code: message.Content, ID: 2, Token: tok, Options: []message.Option{option(message.Observe, 2)}}, false},
		transmission{3 * ms, message.Message{Type: message.NonConfirmable, Code: message.NotFound, ID: 3, Token: tok}, false},
		transmission{4 * ms, message.Message{Type: message.Reset, ID: 3}, true},
	)
	if c := tr.Conversations[0]; len(tr.Conversations) != 1 || !c.Observes || c.count(Notification) != 2 || steps[1].Kind != Response {
		t.Errorf("%+v", c)
	}
	if note := Note(steps[4]); note != "after 1 ms, ends the observation" {
		t.Errorf("%q", note)
	}
}

// Blocks of one transfer are one conversation, whatever their tokens; the next transfer of
// the same resource is another one, and so is one to another resource.
func TestBlocksJoinTheirTransfer(t *testing.T) {
	block := func(id uint16, path string, num byte) transmission {
		value := []byte{num<<4 | 2}
		if num == 0 {
			value = []byte{2}
		}
		return transmission{time.Duration(id) * ms, message.Message{
			Type: message.Confirmable, Code: message.GET, ID: message.ID(id), Token: token(t, byte(id)),
			Options: []message.Option{{Number: message.URIPath, Value: []byte(path)}, {Number: message.Block2, Value: value}},
		}, true}
	}
	_, steps := track(t, block(1, "a", 0), block(2, "b", 0), block(3, "a", 1), block(4, "b", 1), block(5, "a", 0), block(6, "a", 1))
	var got []int
	for _, s := range steps {
		got = append(got, s.Conversation.Number)
	}
	if want := [6]int{1, 2, 1, 2, 3, 3}; len(got) != 6 || [6]int(got) != want {
		t.Errorf("%v, want %v", got, want)
	}
}

// RFC 7959 §2.9.3: after 4.13 the transfer begins anew with smaller blocks.
func TestSmallerBlocksAreTheSameTransfer(t *testing.T) {
	put := func(id message.ID, szx byte) message.Message {
		return message.Message{Type: message.Confirmable, Code: message.PUT, ID: id, Token: token(t, byte(id)), Options: []message.Option{option(message.Block1, 8|szx)}}
	}
	tr, _ := track(t,
		transmission{0, put(1, 6), true},
		transmission{1 * ms, message.Message{Type: message.Acknowledgement, Code: message.RequestEntityTooLarge, ID: 1, Token: token(t, 1)}, false},
		transmission{2 * ms, put(2, 2), true},
	)
	if len(tr.Conversations) != 1 {
		t.Errorf("%d conversations", len(tr.Conversations))
	}
}

func TestStats(t *testing.T) {
	tok := token(t, 1)
	get := message.Message{Type: message.Confirmable, Code: message.GET, ID: 7, Token: tok}
	tr, _ := track(t,
		transmission{0, get, true},
		transmission{2000 * ms, get, true},
		transmission{2010 * ms, message.Message{Type: message.Acknowledgement, Code: message.Content, ID: 7, Token: tok}, false},
		transmission{3000 * ms, message.Message{Type: message.NonConfirmable, Code: message.GET, ID: 8, Token: token(t, 2)}, true},
	)
	st := Summarize(tr.Conversations)
	if st.Datagrams != 4 || st.Bytes != 20 || st.Requests != 2 || st.Unanswered != 1 || st.Retransmissions != 1 || st.RetransmissionRate() != 0.5 {
		t.Errorf("%+v", st)
	}
	if len(st.RoundTrips) != 1 || st.RoundTrips[0] != 2010*ms {
		t.Errorf("round trips %v", st.RoundTrips)
	}
}

// The nearest rank: of 1 to 200 ms 99 % are within 198 ms.
func TestPercentile(t *testing.T) {
	var st Stats
	if st.Percentile(50) != 0 {
		t.Error("a percentile of nothing")
	}
	for i := range 200 {
		st.RoundTrips = append(st.RoundTrips, time.Duration(i+1)*ms)
	}
	for p, want := range map[float64]time.Duration{0: 1 * ms, 50: 100 * ms, 90: 180 * ms, 99: 198 * ms, 100: 200 * ms} {
		if got := st.Percentile(p); got != want {
			t.Errorf("%v %%: %v, want %v", p, got, want)
		}
	}
}

// A path can't upset a terminal or a picture.
func TestHostilePath(t *testing.T) {
	get := message.Message{Type: message.Confirmable, Code: message.GET, Options: []message.Option{
		{Number: message.URIPath, Value: []byte("\x1b[2J\u202e")}, {Number: message.URIQuery, Value: []byte("\xff")}}}
	tr, _ := track(t, transmission{0, get, true})
	var b strings.Builder
	if err := (Style{}).WriteText(&b, tr.Conversations); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{b.String(), string(Picture(tr.Conversations))} {
		if strings.ContainsAny(text, "\x1b\u202e") || strings.Contains(text, "\xff") {
			t.Errorf("%q", text)
		}
	}
}
