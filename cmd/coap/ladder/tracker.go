package ladder

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/motewire/coap/message"
)

// A Tracker finds the conversations of a capture. It keeps every datagram. The zero
// Tracker is ready.
type Tracker struct {
	Conversations []*Conversation // by their first datagrams

	seen     map[seenKey]*copies
	messages map[messageKey]*Step     // what an ACK or RST may answer
	requests map[tokenKey]*Step       // what a response may answer
	answered map[*Step]bool           // requests that have had a response
	targets  map[string]*Conversation // where a further block belongs, by what is asked for
	strays   map[string]*Conversation // of what belongs nowhere else, by endpoints
}

type seenKey struct {
	from, to netip.AddrPort
	raw      string
}

type messageKey struct {
	from, to netip.AddrPort
	id       message.ID
}

// A tokenKey names an exchange; server is the zero value for requests to groups, which
// others answer than were asked (RFC 7252 §8.2).
type tokenKey struct {
	client, server netip.AddrPort
	token          message.Token
}

// Add takes the next datagram and returns its step.
func (t *Tracker) Add(d Datagram) *Step {
	if t.seen == nil {
		t.seen, t.messages, t.requests = map[seenKey]*copies{}, map[messageKey]*Step{}, map[tokenKey]*Step{}
		t.answered, t.targets, t.strays = map[*Step]bool{}, map[string]*Conversation{}, map[string]*Conversation{}
	}
	s := &Step{Datagram: d}
	if t.repeated(s) {
		s.Conversation.Steps = append(s.Conversation.Steps, s)
		return s
	}
	if s.Err = s.View.Parse(d.Raw); s.Err != nil {
		s.Kind = Malformed
		t.join(s, t.stray(s, "malformed datagrams"))
		return s
	}
	switch code := s.View.Code(); {
	case code == message.Empty:
		t.empty(s)
	case code.IsRequest():
		t.request(s)
	default:
		t.response(s)
	}
	if s.View.Type() == message.Confirmable || s.View.Type() == message.NonConfirmable {
		t.messages[messageKey{s.From, s.To, s.View.ID()}] = s
	}
	return s
}

// copies are equal datagrams on one way.
type copies struct {
	first  *Step
	lastAt time.Duration // when the last one of them was there
	fates  [4]int        // how many there are of each Fate
}

// repeated finds the datagram that s is a copy of, and makes s a step behind it.
func (t *Tracker) repeated(s *Step) bool {
	key := keyOf(s)
	same := t.seen[key]
	if same == nil || s.At-same.first.At > exchangeLifetime || same.first.Kind == Malformed {
		t.seen[key] = &copies{first: s, lastAt: s.At}
		return false
	}
	first := same.first
	s.Kind, s.Answers, s.Separate, s.Conversation = first.Kind, first.Answers, first.Separate, first.Conversation
	_ = s.View.Parse(s.Raw) // as it was for the first
	s.After = s.At - first.At
	s.Fate = t.fateOf(s, same.lastAt)
	same.lastAt = s.At
	same.fates[s.Fate]++
	s.Repeats = same.fates[s.Fate]
	return true
}

// fateOf tells how a copy came to be, from when the one before it was there.
func (t *Tracker) fateOf(s *Step, last time.Duration) Fate {
	switch {
	case s.confirmable() && s.At-last >= hasty:
		return Resent
	case s.confirmable() || s.Answers == nil:
		return Duplicate
	}
	if asked := t.seen[keyOf(s.Answers)]; asked != nil && asked.lastAt >= last && asked.lastAt > asked.first.At {
		return Again
	}
	return Duplicate
}

func keyOf(s *Step) seenKey { return seenKey{s.From, s.To, string(s.Raw)} }

// join adds a step to a conversation.
func (t *Tracker) join(s *Step, c *Conversation) {
	s.Conversation = c
	c.Steps = append(c.Steps, s)
	if s.Kind == Malformed {
		return
	}
	for _, n := range blockOptions {
		c.Blocks = c.Blocks || s.View.Has(n)
	}
}

// begin makes a new conversation.
func (t *Tracker) begin(client, server netip.AddrPort, title string) *Conversation {
	c := &Conversation{Number: len(t.Conversations) + 1, Client: client, Server: server, Title: title}
	t.Conversations = append(t.Conversations, c)
	return c
}

// stray returns the conversation for what belongs to no exchange.
func (t *Tracker) stray(s *Step, title string) *Conversation {
	key := fmt.Sprint(s.From, s.To, title)
	if t.strays[key] == nil {
		t.strays[key] = t.begin(s.From, s.To, title)
	}
	return t.strays[key]
}

// empty places an Empty message: an Acknowledgement, a Reset or a ping.
func (t *Tracker) empty(s *Step) {
	switch s.View.Type() {
	case message.Acknowledgement:
		s.Kind = Acknowledgement
	case message.Reset:
		s.Kind = Reset
	default:
		s.Kind = Ping
		t.join(s, t.begin(s.From, s.To, "ping"))
		return
	}
	m := t.messages[messageKey{s.To, s.From, s.View.ID()}]
	if m == nil || s.At-m.At > exchangeLifetime {
		t.join(s, t.stray(s, "acknowledgements and resets of nothing in the capture"))
		return
	}
	s.Answers, s.After = m, s.At-m.At
	t.join(s, m.Conversation)
}

// request places a request: in a conversation that it continues, or in a new one.
func (t *Tracker) request(s *Step) {
	s.Kind = Request
	server := s.To
	if s.To.Addr().IsMulticast() {
		server = netip.AddrPort{}
	}
	c := t.continued(s, server)
	if c == nil {
		c = t.begin(s.From, s.To, title(&s.View))
	}
	if observe, ok := s.View.Observe(); ok && observe == 0 {
		c.Observes = true
	}
	c.restartable = false
	t.join(s, c)
	t.requests[tokenKey{s.From, server, s.View.Token()}] = s
	t.targets[target(s)] = c
}

// response places a response behind its request.
func (t *Tracker) response(s *Step) {
	s.Kind = Response
	request := t.requestOf(s)
	if request == nil {
		c := t.stray(s, "responses to nothing in the capture")
		c.Client, c.Server = s.To, s.From
		t.join(s, c)
		return
	}
	s.Answers, s.After = request, s.At-request.At
	s.Separate = s.View.Type() != message.Acknowledgement && request.confirmable()
	_, numbered := s.View.Observe()
	switch c := request.Conversation; {
	case !t.answered[request]:
	case c.Observes && (numbered || !s.View.Code().IsSuccess()):
		s.Kind, s.Separate = Notification, false
	default:
		s.Kind, s.Separate = FurtherResponse, false
	}
	t.answered[request] = true
	t.join(s, request.Conversation)
	request.Conversation.restartable = s.View.Code() == message.RequestEntityTooLarge
}

// requestOf finds the request that a response answers: by token, or by message ID where
// a piggybacked response has another token, which is against the rules (RFC 7252 §5.3.2).
func (t *Tracker) requestOf(s *Step) *Step {
	if r := t.requests[tokenKey{s.To, s.From, s.View.Token()}]; r != nil {
		return r
	}
	if r := t.requests[tokenKey{s.To, netip.AddrPort{}, s.View.Token()}]; r != nil {
		return r
	}
	if s.View.Type() == message.Acknowledgement {
		if m := t.messages[messageKey{s.To, s.From, s.View.ID()}]; m != nil && m.Kind == Request {
			return m
		}
	}
	return nil
}

// title is the method and the path of a request.
func title(v *message.View) string {
	name := v.Code().Name()
	if name == "" {
		name = v.Code().String()
	}
	return name + " " + path(v)
}

// path is what a request asks for, without what could upset a terminal.
func path(v *message.View) string {
	if uri, ok := v.Option(message.ProxyURI); ok {
		return message.ProxyURI.FormatValue(uri)
	}
	var b strings.Builder
	for segment := range v.PathSegments() {
		b.WriteString("/" + plain(segment))
	}
	if b.Len() == 0 {
		b.WriteByte('/')
	}
	separator := "?"
	for q := range v.Queries() {
		b.WriteString(separator + plain(q))
		separator = "&"
	}
	return b.String()
}

// plain returns a text within quotes where it is more than printable characters.
func plain(b []byte) string {
	if quoted := fmt.Sprintf("%+q", b); quoted != `"`+string(b)+`"` {
		return fmt.Sprintf("%q", b)
	}
	return string(b)
}
