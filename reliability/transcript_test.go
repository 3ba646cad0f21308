package reliability

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/motewire/coap/internal/transcript"
	"github.com/motewire/coap/message"
	"github.com/motewire/coap/peer"
)

// A stage plays a scenario between one client and one server. Inputs are lines that
// begin with ">"; every line of output follows the input that caused it:
//
//	> client id 7d34          the next message ID towards the server
//	> client get CON 20       send a GET for "temperature" with this token
//	> client group 86         the same to a group that the server is in
//	> client observe CON 20   the same, with many responses expected
//	> client cancel           end the newest exchange of the client
//	> client crash            start again without state
//	> server respond 2.05 text
//	> server ack, drop, reject
//	> server inject HEX       a datagram to the server from the client's address
//	> client inject HEX
//	> lose 1                  the next so many datagrams are lost
//	> duplicate               deliver the last datagram again
//	> wait 2s                 let time pass
type stage struct {
	t        *testing.T
	out      *bytes.Buffer
	now      time.Time
	ends     map[string]*Endpoint
	addr     map[string]peer.Addr // under which the other one knows it
	request  Inbound
	token    message.Token
	exchange Outbound
	lose     int
	last     packet
}

type packet struct {
	from, to  string
	multicast bool
	datagram  []byte
}

func newStage(t *testing.T, out *bytes.Buffer) *stage {
	s := &stage{t: t, out: out, now: epochStart, ends: map[string]*Endpoint{}}
	s.addr = map[string]peer.Addr{"client": bob, "server": alice}
	s.restart("client")
	s.restart("server")
	return s
}

func (s *stage) restart(name string) {
	e, err := New(Config{Params: exact}, newRand(5))
	if err != nil {
		s.t.Fatal(err)
	}
	s.ends[name] = e
}

func other(name string) string {
	if name == "client" {
		return "server"
	}
	return "client"
}

func (s *stage) print(format string, args ...any) {
	fmt.Fprintf(s.out, "%7s  %s\n", s.now.Sub(epochStart), fmt.Sprintf(format, args...))
}

// drain carries out the events of both ends until there are none.
func (s *stage) drain() {
	for _, name := range []string{"client", "server", "client", "server"} {
		for {
			ev, ok := s.ends[name].Poll()
			if !ok {
				break
			}
			switch ev.Kind {
			case Transmit:
				s.carry(packet{name, other(name), ev.Peer.IsMulticast(), bytes.Clone(ev.Datagram)})
			case Acknowledged:
				s.print("%s: acknowledged", name)
			case Ended:
				s.print("%s: %v", name, ev.Err)
			}
		}
	}
}

func describe(d []byte) string {
	var v message.View
	if v.Parse(d) != nil {
		return "malformed"
	}
	return fmt.Sprintf("%v %v", v.Type(), v.Code())
}

// carry prints a datagram and delivers it, unless it is to be lost.
func (s *stage) carry(p packet) {
	arrow := "->"
	if s.lose > 0 {
		arrow = "-X"
	}
	s.print("%s %s %s  %s  %s", p.from, arrow, p.to, describe(p.datagram), hex.EncodeToString(p.datagram))
	s.last = p
	if s.lose > 0 {
		s.lose--
		return
	}
	s.deliver(p)
	s.drain()
}

func (s *stage) deliver(p packet) {
	var v message.View
	e, from := s.ends[p.to], s.addr[p.from]
	if err := v.Parse(bytes.Clone(p.datagram)); err != nil {
		e.Malformed(s.now, from, p.multicast, &v, err.(*message.FormatError))
		s.print("%s: malformed", p.to)
		return
	}
	verdict := e.Receive(s.now, from, p.multicast, &v)
	switch verdict.Kind {
	case Request:
		s.request, s.token = verdict.Inbound, v.Token()
		s.print("%s: request", p.to)
	case Response:
		s.print("%s: response %q", p.to, v.Payload())
	case ResetSeen:
		s.print("%s: reset seen", p.to)
	case InboundReset:
		s.print("%s: request reset", p.to)
	case Handled:
		if verdict.Duplicate {
			s.print("%s: duplicate", p.to)
		}
	}
}

func (s *stage) wait(d time.Duration) {
	end := s.now.Add(d)
	for {
		next := end
		for _, e := range s.ends {
			if at, ok := e.Deadline(); ok && at.Before(next) {
				next = at
			}
		}
		s.now = next
		s.ends["client"].Advance(s.now)
		s.ends["server"].Advance(s.now)
		s.drain()
		if next.Equal(end) {
			return
		}
	}
}

func (s *stage) input(line string) {
	f := strings.Fields(line)
	switch f[0] {
	case "lose":
		s.lose, _ = strconv.Atoi(f[1])
	case "duplicate":
		s.carry(s.last)
	case "wait":
		d, err := time.ParseDuration(f[1])
		if err != nil {
			s.t.Fatal(err)
		}
		s.wait(d)
	case "client", "server":
		s.order(f[0], f[1], f[2:])
	default:
		s.t.Fatalf("unknown input %q", line)
	}
	s.drain()
}

func (s *stage) order(name, verb string, args []string) {
	e := s.ends[name]
	switch verb {
	case "id":
		id, _ := strconv.ParseUint(args[0], 16, 16)
		n, _ := e.peerOf(s.addr[other(name)])
		e.peers.at(n).ids.next = uint16(id)
		e.groupIDs.next = uint16(id) % multicastIDs
	case "crash":
		s.restart(name)
	case "get":
		s.send(e, s.addr[other(name)], args[1], SendOptions{Confirmable: args[0] == "CON", Expect: ExpectOne})
	case "observe":
		s.send(e, s.addr[other(name)], args[1], SendOptions{Confirmable: args[0] == "CON", Expect: ExpectMany})
	case "group":
		s.send(e, group, args[0], SendOptions{Expect: ExpectMany})
	case "ping":
		if _, err := e.Send(s.now, s.addr[other(name)], empty(0, 0), SendOptions{Confirmable: true}); err != nil {
			s.t.Fatal(err)
		}
	case "cancel":
		e.Cancel(s.now, s.exchange)
	case "ack":
		e.Acknowledge(s.now, s.request)
	case "drop":
		e.Drop(s.now, s.request)
	case "reject":
		e.Reject(s.now, s.request)
	case "respond":
		s.respond(name, args[0], strings.Join(args[1:], " "))
	case "inject":
		d, err := hex.DecodeString(args[0])
		if err != nil {
			s.t.Fatal(err)
		}
		s.carry(packet{other(name), name, false, d})
	default:
		s.t.Fatalf("unknown order %q", verb)
	}
}

func (s *stage) send(e *Endpoint, to peer.Addr, token string, o SendOptions) {
	raw, err := hex.DecodeString(strings.TrimPrefix(token, "-"))
	if err != nil {
		s.t.Fatal(err)
	}
	o.Token = mustToken(string(raw))
	enc := message.AppendHeader(nil, message.Confirmable, message.GET, 0, o.Token)
	enc.OptionString(message.URIPath, "temperature")
	d, err := enc.Finish(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if s.exchange, err = e.Send(s.now, to, d, o); err != nil {
		s.print("send: %v", err)
	}
}

func (s *stage) respond(name, code, payload string) {
	class, detail, _ := strings.Cut(code, ".")
	c, _ := strconv.Atoi(class)
	d, _ := strconv.Atoi(detail)
	enc := message.AppendHeader(nil, message.Confirmable, message.MakeCode(uint8(c), uint8(d)), 0, s.token)
	datagram, err := enc.Finish([]byte(payload))
	if err != nil {
		s.t.Fatal(err)
	}
	if s.ends[name].Respond(s.now, s.request, datagram, RespondOptions{}) {
		s.carry(packet{name, other(name), false, datagram})
	}
}

// The ladder diagrams of RFC 7252 Appendix A and others like them, byte for byte.
func TestTranscripts(t *testing.T) {
	transcript.Run(t, func(t *testing.T, out *bytes.Buffer) transcript.Stage { return newStage(t, out).input })
}
