package observe

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/motewire/coap/internal/transcript"
	"github.com/motewire/coap/message"
)

// A stage plays a scene between one server with one resource and one client, without
// jitter. Inputs are lines that begin with ">"; every line of output follows the input
// that caused it:
//
//	> server CON 18.5     start a server: type CON, NON or AUTO, and the state
//	> server restart      the server forgets everything and goes on with the state
//	> change 19.2         the state changes
//	> end                 the resource is removed
//	> client get          the client registers
//	> client cancel       the client ends the observation
//	> client forget       the client forgets it
//	> lose 1              the next so many messages are lost
//	> lose 1 after 2      the same after some that arrive
//	> wait 2s             let time pass
//
// Observe values are printed as the difference to the one before, as the server sent them.
type stage struct {
	t        *testing.T
	out      *bytes.Buffer
	now      time.Time
	r        *Registry
	policy   Policy
	state    string
	client   *Observation
	spare    int // messages that arrive before lose counts
	lose     int
	number   uint32 // the last Observe value sent, if numbered
	numbered bool
	id       uint16
	flight   *flight
	body     string // of the flight
}

const (
	stageMaxAge = 15 * time.Second
	stageToken  = 0x4a
)

func (s *stage) print(format string, args ...any) {
	fmt.Fprintf(s.out, "%7s  %s\n", s.now.Sub(epoch), fmt.Sprintf(format, args...))
}

// start makes a server without observers.
func (s *stage) start() {
	r, err := NewRegistry(Config{Policy: s.policy}, newRand(1))
	if err != nil {
		s.t.Fatal(err)
	}
	s.r, s.flight = r, nil
}

func (s *stage) arrow(from, to string) (arrow string, arrives bool) {
	if s.spare > 0 {
		s.spare--
	} else if s.lose > 0 {
		s.lose--
		return from + " -X " + to, false
	}
	return from + " -> " + to, true
}

// step is what an Observe value adds to the one before.
func (s *stage) step(sequence uint32) string {
	d, first := (sequence-s.number)&sequenceMask, !s.numbered
	s.number, s.numbered = sequence, true
	if first {
		return "Observe first"
	}
	return fmt.Sprintf("Observe +%d", d)
}

// get is a request of the client with Observe 0 or 1 and its piggybacked response.
func (s *stage) get(observe int) {
	arrow, arrives := s.arrow("client", "server")
	s.print("%s  GET Observe %d", arrow, observe)
	if !arrives {
		return
	}
	a, text := Arrival{Success: true, Answer: true, MaxAge: stageMaxAge}, "2.05 "+s.state
	if observe == 1 {
		_, ok := s.r.Deregister(s.now, numbered(1), tokenOf(stageToken))
		s.print("server: deregistered %v", ok)
	} else if reg := s.r.Register(s.now, numbered(1), tokenOf(stageToken), 0, 0); reg.Outcome != Refused {
		s.print("server: %s", [...]string{"refused", "new", "refreshed", "replaced"}[reg.Outcome])
		a.Observed, a.Sequence = true, reg.Sequence
		text = s.step(reg.Sequence) + ", " + text
	}
	if arrow, arrives = s.arrow("server", "client"); observe == 1 {
		s.print("%s  ACK %s", arrow, text)
		return
	}
	s.print("%s  ACK %s", arrow, text)
	if arrives {
		s.receive(a)
	}
}

func (s *stage) receive(a Arrival) Reception {
	got := s.client.Receive(s.now, a)
	s.print("client: %s", [...]string{"fresh", "reordered", "not observed", "error", "late"}[got])
	return got
}

// notify transmits a notification and carries the answer back.
func (s *stage) notify(n Notification, text string) {
	a := Arrival{Success: !n.Final, Observed: !n.Final, Sequence: n.Sequence, MaxAge: stageMaxAge}
	typ := "NON"
	if n.Confirmable {
		typ = "CON"
	}
	arrow, arrives := s.arrow("server", "client")
	s.print("%s  %s %04x %s", arrow, typ, s.id, text)
	if !arrives {
		return
	}
	known := s.client != nil && s.receive(a) != Late
	switch {
	case !known:
		if arrow, arrives = s.arrow("client", "server"); arrives {
			s.print("%s  RST", arrow)
			s.reset(n)
		}
	case n.Confirmable:
		arrow, arrives = s.arrow("client", "server")
		s.print("%s  ACK", arrow)
		if arrives {
			s.flight = nil
			if _, over := s.r.Acknowledged(s.now, n.Observer); over {
				s.print("server: over")
			}
		}
	}
}

func (s *stage) reset(n Notification) {
	ok := false
	if n.Confirmable {
		s.flight = nil
		_, ok = s.r.Ended(s.now, n.Observer, Rejected)
	} else {
		_, ok = s.r.Reset(s.now, numbered(1), message.ID(s.id))
	}
	s.print("server: removed %v", ok)
}

// send encodes a notification for the first time.
func (s *stage) send(n Notification) {
	s.id++
	s.r.Sent(n.Observer, message.ID(s.id), Exchange(s.id))
	s.body = "4.04"
	if !n.Final {
		s.body = s.step(n.Sequence) + ", 2.05 " + s.state
	}
	if n.Confirmable && n.Replaces == 0 {
		s.flight = &flight{notification: n, attempt: 1, timeout: 2 * time.Second, due: s.now.Add(2 * time.Second)}
	} else if n.Confirmable {
		s.flight.notification = n
	}
	if n.Final {
		s.r.Conclude(s.now, n.Observer)
	}
	s.notify(n, s.body)
}

func (s *stage) drain() {
	for s.r != nil {
		n, ok := s.r.Poll(s.now)
		if !ok {
			return
		}
		s.send(n)
	}
}

// retransmit is RFC 7252 §4.2, with the newer state if there is one.
func (s *stage) retransmit() {
	f := s.flight
	if f.attempt > 4 {
		s.flight = nil
		_, ok := s.r.Ended(s.now, f.notification.Observer, TimedOut)
		s.print("server: timed out, removed %v", ok)
		return
	}
	f.attempt++
	f.timeout *= 2
	f.due = s.now.Add(f.timeout)
	if n, ok := s.r.Supersede(s.now, f.notification.Observer); ok {
		s.send(n)
		return
	}
	s.notify(f.notification, s.body)
}

func (s *stage) wait(d time.Duration) {
	for end := s.now.Add(d); ; {
		next := end
		consider := func(at time.Time, ok bool) {
			if ok && at.Before(next) {
				next = at
			}
		}
		consider(s.r.Deadline())
		if s.client != nil {
			consider(s.client.Deadline())
		}
		if s.flight != nil {
			consider(s.flight.due, true)
		}
		if next.After(s.now) {
			s.now = next
		}
		s.r.Advance(s.now)
		s.drain()
		if s.flight != nil && !s.flight.due.After(s.now) {
			s.retransmit()
		}
		s.advanceClient()
		s.drain()
		if !s.now.Before(end) {
			return
		}
	}
}

func (s *stage) advanceClient() {
	if s.client == nil {
		return
	}
	before := s.client.State()
	register := s.client.Advance(s.now)
	if s.client.State() != before {
		s.print("client: stale")
	}
	if register {
		s.get(0)
	}
}

func (s *stage) input(line string) {
	f := strings.Fields(line)
	switch {
	case f[0] == "server" && f[1] == "restart":
		s.start()
	case f[0] == "server":
		s.policy = Policy{Type: map[string]Type{"CON": Confirmable, "NON": NonConfirmable, "AUTO": Auto}[f[1]]}
		s.state, s.numbered = f[2], false
		s.start()
	case f[0] == "change":
		s.state = f[1]
		s.r.Changed(s.now, 0)
	case f[0] == "end":
		s.r.End(s.now, 0)
	case line == "client get":
		o, err := NewObservation(ObservationConfig{MinGrace: 5 * time.Second, MaxGrace: 5 * time.Second}, newRand(1))
		if err != nil {
			s.t.Fatal(err)
		}
		s.client = o
		s.get(0)
	case line == "client cancel":
		if s.client.Cancel() {
			s.get(1)
		}
	case line == "client forget":
		s.client = nil
	case f[0] == "lose":
		s.lose, _ = strconv.Atoi(f[1])
		if len(f) > 2 {
			s.spare, _ = strconv.Atoi(f[3])
		}
	case f[0] == "wait":
		d, err := time.ParseDuration(f[1])
		if err != nil {
			s.t.Fatal(err)
		}
		s.wait(d)
	default:
		s.t.Fatalf("unknown input %q", line)
	}
	s.drain()
}

// The scenes of RFC 7641 §1.2 and Appendix A.1, and others: what a server and a client
// do, line by line.
func TestTranscripts(t *testing.T) {
	transcript.Run(t, func(t *testing.T, out *bytes.Buffer) transcript.Stage {
		return (&stage{t: t, out: out, now: epoch}).input
	})
}
