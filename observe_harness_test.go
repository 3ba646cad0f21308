package coap_test

import (
	"bytes"
	"context"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/coaptest"
	"github.com/motewire/coap/message"
	"github.com/motewire/coap/transport/simnet"
)

// Policies without surprises: every notification of one type.
var (
	allConfirmable    = coap.NotifyPolicy{Type: coap.NotifyConfirmable}
	allNonConfirmable = coap.NotifyPolicy{Type: coap.NotifyNonConfirmable}
)

// sources are what a server has to observe: /non and /con are numbers whose notifications
// are all of one type, /thing answers with code, or a text if that is 0. /plain can't be
// observed.
type sources struct {
	non, con *coap.State[int]
	thing    coap.Subject
	code     atomic.Uint32
	rendered atomic.Int32 // how often /thing's handler ran
}

func newSources() (*sources, *coap.Mux) {
	o := &sources{non: coap.NewState(1), con: coap.NewState(1)}
	mux := coap.NewMux()
	mux.Handle("GET /non", o.non, coap.Notifications(allNonConfirmable))
	mux.HandleFunc("POST /non", func(_ coap.ResponseWriter, _ *coap.Request) { o.non.Set(o.non.Get() + 1) })
	mux.Handle("GET /con", o.con, coap.Notifications(allConfirmable))
	mux.HandleFunc("GET /thing", o.serveThing, coap.Observable(&o.thing), coap.Notifications(allNonConfirmable))
	mux.Handle("GET /plain", say("plain"))
	return o, mux
}

func (o *sources) serveThing(w coap.ResponseWriter, _ *coap.Request) {
	o.rendered.Add(1)
	if code := message.Code(o.code.Load()); code != 0 {
		w.SetCode(code)
		return
	}
	w.WriteString("thing")
}

// withSources runs f beside a server of sources that does not pace notifications and
// retransmits after exactly 2, 6, 14 and 30 s. setup may change it.
func withSources(t *testing.T, setup func(*coaptest.Server), f func(t *testing.T, s *coaptest.Server, o *sources)) {
	t.Helper()
	o, mux := newSources()
	withServer(t, mux, func(s *coaptest.Server) {
		s.Config.NotifyInterval = -1
		s.Config.Params.AckRandomFactor = 1
		if setup != nil {
			setup(s)
		}
	}, func(t *testing.T, s *coaptest.Server) { f(t, s, o) })
}

// Values of the Observe option (RFC 7641 §2).
var (
	observeRegister   = message.Option{Number: message.Observe}
	observeDeregister = message.Option{Number: message.Observe, Value: []byte{1}}
)

// ask sends a Confirmable request and returns its response, which must come at once. A
// notification of what the request changes may overtake it: it comes afterwards.
func (p *rawPeer) ask(code message.Code, id message.ID, token byte, options ...message.Option) *message.View {
	p.t.Helper()
	p.send(datagram(p.t, message.Confirmable, code, id, tokenOf(token), "", options...))
	v := p.receive(0)
	if v.ID() == id && v.Token() == tokenOf(token) {
		return v
	}
	if _, notification := v.Observe(); !notification || v.Type() == message.Acknowledgement {
		p.t.Fatalf("%v, want the answer to message %d", v, id)
	}
	answer := p.receive(0)
	if answer.ID() != id || answer.Token() != tokenOf(token) {
		p.t.Fatalf("%v, want the answer to message %d", answer, id)
	}
	p.early = append(p.early, v)
	return answer
}

// register registers for a path and returns the first state.
func (p *rawPeer) register(id message.ID, token byte, to string) *message.View {
	p.t.Helper()
	v := p.ask(message.GET, id, token, observeRegister, path(to))
	p.observed(v)
	return v
}

// observed returns the Observe number of a message that must have one.
func (p *rawPeer) observed(v *message.View) uint32 {
	p.t.Helper()
	n, ok := v.Observe()
	if !ok {
		p.t.Fatalf("%v without Observe option", v)
	}
	return n
}

// notified receives a notification, which must come within d.
func (p *rawPeer) notified(d time.Duration, typ message.Type, token byte, payload string) *message.View {
	p.t.Helper()
	v := p.receive(d)
	p.observed(v)
	if v.Type() != typ || v.Token() != tokenOf(token) || string(v.Payload()) != payload {
		p.t.Fatalf("%v %v %q, want %v to token %d with %q", v.Type(), v.Token(), v.Payload(), typ, token, payload)
	}
	return v
}

// ack and reset answer a message by an Empty one.
func (p *rawPeer) ack(v *message.View) {
	p.send(datagram(p.t, message.Acknowledgement, message.Empty, v.ID(), message.Token{}, ""))
}

func (p *rawPeer) reset(id message.ID) {
	p.send(datagram(p.t, message.Reset, message.Empty, id, message.Token{}, ""))
}

// checkObservers compares how many observers a server has.
func checkObservers(t *testing.T, s *coaptest.Server, want int) coap.Stats {
	t.Helper()
	stats := s.Config.Stats()
	if n := stats.Observations.Observers; n != want {
		t.Errorf("%d observers, want %d: %+v", n, want, stats.Observations)
	}
	return stats
}

// tokenBytes is the token that a message carries on the wire.
func tokenBytes(datagram []byte) []byte { return datagram[4 : 4+datagram[0]&15] }

// A site is a server that can be started again at its address, without what it knew.
type site struct {
	t       *testing.T
	network *simnet.Network
	addr    netip.AddrPort
	setup   func(*coap.Server)
	server  *coap.Server
	stop    context.CancelFunc
	served  chan error
}

func newSite(t *testing.T, seed uint64, setup func(*coap.Server)) *site {
	s := &site{t: t, network: simnet.New(seed), addr: netip.MustParseAddrPort("10.9.9.9:5683"), setup: setup}
	s.start()
	return s
}

func (s *site) url(path string) string { return "coap://10.9.9.9" + path }

func (s *site) start() {
	conn, err := s.network.Listen(s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.server = &coap.Server{NotifyInterval: -1}
	s.setup(s.server)
	ctx, stop := context.WithCancel(context.Background())
	s.stop, s.served = stop, make(chan error, 1)
	go func(server *coap.Server) { s.served <- server.Serve(ctx, conn) }(s.server)
}

func (s *site) close() {
	s.stop()
	if err := <-s.served; err != nil {
		s.t.Error(err)
	}
}

func (s *site) client() *coap.Client { return &coap.Client{Listen: coaptest.Listen(s.network)} }

// sameBut reports whether two messages have the same code, token and options but for the
// value of Observe.
func sameBut(a, b *message.View) bool {
	strip := func(v *message.View) []byte {
		out := append([]byte{byte(v.Code())}, tokenBytes(v.Datagram())...)
		for number, value := range v.Options() {
			if number != message.Observe {
				out = append(append(out, byte(number), byte(len(value))), value...)
			}
		}
		return append(out, v.Payload()...)
	}
	return bytes.Equal(strip(a), strip(b))
}
