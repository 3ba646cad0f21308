package coap_test

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/blockwise"
	"github.com/motewire/coap/coaptest"
	"github.com/motewire/coap/message"
	"github.com/motewire/coap/peer"
	"github.com/motewire/coap/transport"
	"github.com/motewire/coap/transport/simnet"
)

// A blockServer is a server of bodies in blocks as package blockwise describes it, around
// a handler, and without a message layer but the recognition of duplicates.
type blockServer struct {
	t       *testing.T
	network *simnet.Network
	url     string
	addr    netip.AddrPort
	conn    *simnet.Conn

	assembler *blockwise.Assembler
	store     *blockwise.Store
	szx       uint8 // of responses

	mu       sync.Mutex
	handler  func(v *message.View, body []byte) blockwise.Snapshot
	script   func(v *message.View) *message.Message // answers in place of all else; nil: it doesn't
	requests []*message.View                        // without duplicates
	runs     int
	answers  map[requestID][]byte
	id       message.ID
	observer requestID // of the last registration
	token    message.Token
	key      []byte
}

type requestID struct {
	from peer.Addr
	id   message.ID
}

// withBlocks runs f in virtual time beside a blockServer with blocks of so many bytes.
func withBlocks(t *testing.T, size int, f func(t *testing.T, s *blockServer)) {
	t.Helper()
	coaptest.Run(t, func(t *testing.T) {
		network := simnet.New(1)
		conn, err := network.Listen(netip.AddrPortFrom(netip.IPv4Unspecified(), coap.DefaultPort))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		s := &blockServer{t: t, network: network, addr: conn.LocalAddr(), conn: conn, answers: map[requestID][]byte{}}
		s.url = "coap://" + s.addr.Addr().String()
		s.szx, _ = message.SZXForSize(size)
		s.handler = func(_ *message.View, body []byte) blockwise.Snapshot {
			return blockwise.Snapshot{Code: message.Changed, Body: body}
		}
		if s.assembler, err = blockwise.NewAssembler(blockwise.Config{BlockSize: size, MaxBody: 2 << 20}); err != nil {
			t.Fatal(err)
		}
		if s.store, err = blockwise.NewStore(blockwise.StoreConfig{}); err != nil {
			t.Fatal(err)
		}
		go s.read()
		f(t, s)
	})
}

// client returns a client on the server's network.
func (s *blockServer) client(setup func(*coap.Client)) *coap.Client {
	c := &coap.Client{Listen: coaptest.Listen(s.network)}
	if setup != nil {
		setup(c)
	}
	s.t.Cleanup(func() { c.Close() })
	return c
}

// serve has the server answer every GET, and so on, with a body.
func (s *blockServer) serve(code message.Code, body []byte, options ...message.Option) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handler = func(*message.View, []byte) blockwise.Snapshot {
		return blockwise.Snapshot{Code: code, Body: body, Options: options}
	}
}

// scripted has the server answer by a function; where that returns nil the server answers
// as usual.
func (s *blockServer) scripted(f func(v *message.View) *message.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script = f
}

// take returns the requests since the last take, without duplicates.
func (s *blockServer) take() []*message.View {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.requests
	s.requests = nil
	return list
}

func (s *blockServer) ran() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.runs
}

func (s *blockServer) read() {
	packets := []transport.Packet{{Buf: make([]byte, 2048)}}
	for {
		if _, err := s.conn.ReadBatch(packets); err != nil {
			return
		}
		v := new(message.View)
		if p := &packets[0]; p.Err == nil && v.Parse(bytes.Clone(p.Buf[:p.N])) == nil && v.Code().IsRequest() {
			s.receive(p.Peer, v)
		}
	}
}

// receive answers a request, a duplicate as before.
func (s *blockServer) receive(from peer.Addr, v *message.View) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := requestID{from, v.ID()}
	answer, duplicate := s.answers[key]
	if !duplicate {
		s.requests = append(s.requests, v)
		m := s.answer(from, v)
		if m != nil {
			answer = s.encode(v, m)
		}
		s.answers[key] = answer
		time.AfterFunc(247*time.Second, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			delete(s.answers, key)
		})
	}
	if answer != nil {
		s.conn.WriteBatch([]transport.Packet{{Buf: answer, N: len(answer), Peer: from}})
	}
}

func (s *blockServer) encode(v *message.View, m *message.Message) []byte {
	m.Token, m.ID, m.Type = v.Token(), v.ID(), message.Acknowledgement
	if v.Type() == message.NonConfirmable {
		s.id++
		m.ID, m.Type = s.id, message.NonConfirmable
	}
	datagram, err := m.MarshalBinary()
	if err != nil {
		s.t.Error(err)
	}
	return datagram
}

// answer is what blockwise's package comment says.
func (s *blockServer) answer(from peer.Addr, v *message.View) *message.Message {
	if s.script != nil {
		if m := s.script(v); m != nil {
			if m.Code == message.Empty {
				return nil // silence
			}
			return m
		}
	}
	now := time.Now()
	r := s.assembler.Receive(now, from, v, 0)
	wish := blockwise.WishOf(v)
	var snapshot blockwise.Snapshot
	found := false
	switch {
	case r.Outcome.Code() != message.Empty:
		return resultMessage(&r)
	case r.Outcome == blockwise.Repeated:
		if snapshot, found = s.store.Find(now, from, v, nil); !found {
			return &message.Message{Code: message.RequestEntityIncomplete}
		}
	case wish.Later():
		if snapshot, found = s.store.Find(now, from, v, r.Body); !found && !blockwise.Repeatable(v.Code()) {
			return &message.Message{Code: message.RequestEntityIncomplete}
		}
	}
	if !found {
		s.runs++
		snapshot = s.handler(v, bytes.Clone(r.Body))
	}
	slice, ok := wish.Slice(len(snapshot.Body), s.szx)
	if !ok {
		return &message.Message{Code: message.BadRequest}
	}
	observed := false
	if n, ok := v.Observe(); ok && n == 0 {
		s.observer.from, s.token, s.key, observed = from, v.Token(), blockwise.AppendKey(nil, v), true
	}
	if !found && (slice.More() || r.Blockwise) {
		if snapshot.ETag.Len() == 0 {
			snapshot.ETag = blockwise.ETag(snapshot.Body)
		}
		s.store.Keep(now, from, v, r.Body, snapshot)
	}
	m := blockMessage(&r, &snapshot, slice)
	if observed {
		m.Options = append(m.Options, uintOption(message.Observe, 1))
	}
	return m
}

// notify tells the last observer of a new state.
func (s *blockServer) notify(sequence uint32, body []byte) {
	s.serve(message.Content, body)
	s.mu.Lock()
	defer s.mu.Unlock()
	snapshot := blockwise.Snapshot{Code: message.Content, Body: body, ETag: blockwise.ETag(body)}
	s.store.KeepNotified(time.Now(), s.observer.from, s.key, nil, snapshot)
	slice, _ := blockwise.Wish{}.Slice(len(body), s.szx)
	m := blockMessage(&blockwise.Result{}, &snapshot, slice)
	s.id++
	m.Type, m.ID, m.Token = message.NonConfirmable, s.id, s.token
	m.Options = append(m.Options, uintOption(message.Observe, sequence))
	s.push(m)
}

// push sends a message to the last observer.
func (s *blockServer) push(m *message.Message) {
	datagram, err := m.MarshalBinary()
	if err != nil {
		s.t.Error(err)
	}
	s.conn.WriteBatch([]transport.Packet{{Buf: datagram, N: len(datagram), Peer: s.observer.from}})
}

// resultMessage is the answer where no handler runs.
func resultMessage(r *blockwise.Result) *message.Message {
	m := &message.Message{Code: r.Outcome.Code()}
	if r.Outcome == blockwise.TooLarge {
		m.Options = append(m.Options, uintOption(message.Size1, uint32(r.Size1)))
	}
	if r.Blockwise {
		m.Options = append(m.Options, uintOption(message.Block1, r.Block1.Encode()))
	}
	return m
}

// blockMessage is one block of a response.
func blockMessage(r *blockwise.Result, snapshot *blockwise.Snapshot, slice blockwise.Slice) *message.Message {
	m := &message.Message{Code: snapshot.Code, Options: append([]message.Option(nil), snapshot.Options...)}
	m.Payload = snapshot.Body[slice.Start:slice.End]
	if slice.Blockwise {
		m.Options = append(m.Options, uintOption(message.Block2, slice.Block2.Encode()))
		if tag := snapshot.ETag; tag.Len() > 0 {
			m.Options = append(m.Options, message.Option{Number: message.ETag, Value: tag.Append(nil)})
		}
	}
	if slice.Size2 {
		m.Options = append(m.Options, uintOption(message.Size2, uint32(len(snapshot.Body))))
	}
	if r.Blockwise {
		m.Options = append(m.Options, uintOption(message.Block1, r.Block1.Encode()))
	}
	return m
}

// uintOption is an option whose value is a number (RFC 7252 §3.2).
func uintOption(n message.OptionNumber, value uint32) message.Option {
	v := []byte{byte(value >> 24), byte(value >> 16), byte(value >> 8), byte(value)}
	return message.Option{Number: n, Value: bytes.TrimLeft(v, "\x00")}
}

// randomBody returns n bytes that depend on a seed.
func randomBody(seed uint64, n int) []byte {
	rng := rand.New(rand.NewPCG(seed, 7))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

// expectBytes fetches the body of a response and compares.
func expectBytes(t *testing.T, resp *coap.Response, want []byte) {
	t.Helper()
	got, err := resp.Bytes()
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%d bytes, %v; want %d", len(got), err, len(want))
	}
}
