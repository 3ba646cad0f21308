package coap_test

import (
	"encoding/binary"
	"sync"
	"testing"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/coaptest"
	"github.com/motewire/coap/message"
)

// A load is a peer that sends requests evenly, acknowledges what it is sent, and counts.
type load struct {
	*rawPeer
	typ message.Type

	mu       sync.Mutex
	sent     int
	began    []time.Time            // of each request
	accepted map[int]bool           // acknowledged by an Empty message
	answers  map[int][]message.Code // by request
}

func newLoad(t *testing.T, s *coaptest.Server, typ message.Type) *load {
	l := &load{rawPeer: newRawPeer(t, s), typ: typ, accepted: map[int]bool{}, answers: map[int][]message.Code{}}
	t.Cleanup(func() { close(l.in) })
	go func() {
		for b := range l.in {
			l.take(b)
		}
	}()
	return l
}

// take notes an answer, and acknowledges one that is Confirmable.
func (l *load) take(b []byte) {
	var v message.View
	if v.Parse(b) != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if v.Code() == message.Empty {
		l.accepted[int(v.ID())] = true
		return
	}
	token := v.Token()
	n := int(binary.BigEndian.Uint16(token.Append(nil)))
	l.answers[n] = append(l.answers[n], v.Code())
	if v.Type() == message.Confirmable {
		l.send(datagram(l.t, message.Acknowledgement, message.Empty, v.ID(), message.Token{}, ""))
	}
}

// request sends the next request.
func (l *load) request(name string) {
	l.mu.Lock()
	n := l.sent
	l.sent++
	l.began = append(l.began, time.Now())
	l.mu.Unlock()
	token, _ := message.MakeToken(binary.BigEndian.AppendUint16(nil, uint16(n)))
	l.send(datagram(l.t, l.typ, message.GET, message.ID(n), token, "", path(name)))
}

// run sends so many requests a second for some seconds.
func (l *load) run(perSecond, seconds int, names ...string) {
	for i := range perSecond * seconds {
		l.request(names[i%len(names)])
		time.Sleep(time.Second / time.Duration(perSecond))
	}
}

// count returns how many requests have got one answer, with this code.
func (l *load) count(code message.Code) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, answers := range l.answers {
		if len(answers) == 1 && answers[0] == code {
			n++
		}
	}
	return n
}

// A server that is offered more than it can serve serves what it can: it sheds the rest at
// once, with 5.03 and a Max-Age (RFC 7252 §5.9.3.4), and no work is begun in vain. Each of 50
// handlers takes a second, so the capacity is 50 a second.
func TestNoCollapseUnderOverload(t *testing.T) {
	const capacity, seconds = 50, 60
	for _, offered := range []int{capacity / 2, capacity, 2 * capacity, 10 * capacity} {
		withServer(t, slow(time.Second, "done"), func(s *coaptest.Server) { s.Config.Limits.Handlers = capacity },
			func(t *testing.T, s *coaptest.Server) {
				l := newLoad(t, s, message.NonConfirmable)
				l.run(offered, seconds, "x")
				time.Sleep(2 * time.Second)
				served, shed := l.count(message.Content), l.count(message.ServiceUnavailable)
				if want := min(offered, capacity) * seconds; served < want*95/100 || served > want*105/100+capacity || served+shed != offered*seconds {
					t.Errorf("%d offered a second: %d served, %d shed in %d s", offered, served, shed, seconds)
				}
				if stats := s.Config.Stats(); stats.Shed != uint64(shed) || stats.HandlersAway != 0 {
					t.Errorf("%d offered a second: %d shed in the counters, %d handlers left", offered, stats.Shed, stats.HandlersAway)
				}
			})
	}
}

// watched is how long a handler that is not known to be slow may hold up the rest.
const watched = 3 * time.Millisecond

// RFC 7252 §4.2: the message layer goes on while all handlers are busy. A ping is answered
// and a notification's Acknowledgement is heeded within milliseconds, so that nothing is sent twice.
func TestMessageLayerBesideBusyHandlers(t *testing.T) {
	busy := coap.NewState(1)
	mux := coap.NewMux()
	mux.Handle("GET /busy", slow(time.Hour, ""))
	mux.Handle("GET /state", busy, coap.Notifications(allConfirmable))
	withServer(t, mux, func(s *coaptest.Server) {
		s.Config.Limits.Handlers = 20
		s.Config.NotifyInterval = -1
	}, func(t *testing.T, s *coaptest.Server) {
		p := newRawPeer(t, s)
		p.send(datagram(t, message.Confirmable, message.GET, 1, tokenOf(1), "", observeRegister, path("state")))
		p.receive(0)
		l := newLoad(t, s, message.NonConfirmable)
		for range 100 {
			l.request("busy")
		}
		for i := range 20 {
			l.request("busy")
			busy.Set(2 + i)
			v := p.receive(watched)
			if v.Type() != message.Confirmable {
				t.Fatalf("notification %v", v)
			}
			p.send(datagram(t, message.Acknowledgement, message.Empty, v.ID(), message.Token{}, ""))
			p.send(datagram(t, message.Confirmable, message.Empty, message.ID(100+i), message.Token{}, ""))
			if v := p.receive(watched); v.Type() != message.Reset {
				t.Errorf("ping: %v", v)
			}
		}
		p.silence(time.Minute)
		if n := s.Config.Stats().Messages.Retransmissions; n != 0 {
			t.Errorf("%d retransmissions", n)
		}
	})
}

// Shutdown in the midst of a load: whatever came before its end is answered, by what its handler
// says or by 5.03, and what was acknowledged has its response.
func TestShutdownLosesNoRequest(t *testing.T) {
	mux := coap.NewMux()
	mux.Handle("GET /quick", say("done"))
	mux.Handle("GET /slow", slow(3*time.Second, "done"))
	mux.HandleFunc("GET /detached", func(w coap.ResponseWriter, r *coap.Request) {
		d := w.Detach()
		go func() {
			select {
			case <-r.Context().Done():
			case <-time.After(5 * time.Second):
			}
			d.WriteString("done")
			d.Send()
		}()
	})
	withServer(t, mux, nil, func(t *testing.T, s *coaptest.Server) {
		l := newLoad(t, s, message.Confirmable)
		go l.run(100, 10, "quick", "slow", "detached")
		time.Sleep(4*time.Second + 5*time.Millisecond)
		if err := s.Config.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		closed := time.Now()
		time.Sleep(10 * time.Second)
		l.mu.Lock()
		defer l.mu.Unlock()
		if d := closed.Sub(l.began[0]); d < 6*time.Second || d > 8*time.Second {
			t.Errorf("closed after %v", d)
		}
		codes := map[message.Code]int{}
		for n, began := range l.began {
			answers := l.answers[n]
			if began.Before(closed) && len(answers) != 1 || began.After(closed) && len(answers) > 0 || l.accepted[n] && len(answers) != 1 {
				t.Errorf("request %d, %v before the end: %v, acknowledged %v", n, closed.Sub(began), answers, l.accepted[n])
			}
			if len(answers) == 1 {
				codes[answers[0]]++
			}
		}
		if codes[message.Content] < 390 || codes[message.ServiceUnavailable] < 200 || len(codes) != 2 {
			t.Errorf("%v", codes)
		}
	})
}
