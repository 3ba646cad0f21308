package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/internal/storm"
	"github.com/motewire/coap/message"
	"github.com/motewire/coap/peer"
	"github.com/motewire/coap/transport"
)

// load runs everybody until time is up, and takes samples meanwhile.
func (s *site) load(ctx context.Context, tell func(sample)) (samples []sample) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.lasts)
	defer cancel()
	var everybody sync.WaitGroup
	for _, work := range s.works() {
		everybody.Go(func() { s.repeat(ctx, work) })
	}
	for range 2 {
		everybody.Go(func() { s.follow(ctx, "/number") })
		everybody.Go(func() { s.follow(ctx, "/page") })
	}
	for i := range uint64(3) {
		everybody.Go(func() { s.vanish(ctx, i) })
		everybody.Go(func() { s.rage(ctx, i, 3) })
	}
	everybody.Go(func() {
		for pause(ctx, time.Second) {
			s.change()
		}
	})
	began := time.Now()
	for pause(ctx, s.cfg.every) {
		one := take(s)
		one.at = time.Since(began)
		samples = append(samples, one)
		tell(one)
	}
	everybody.Wait()
	return samples
}

// pause waits, and reports whether the context has not ended.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// A work is one kind of request.
type work struct {
	name string
	do   func(context.Context, *coap.Client) (*coap.Response, error)
	want []byte // the whole body
}

func (s *site) works() []work {
	get := func(path string, opts ...coap.RequestOption) func(context.Context, *coap.Client) (*coap.Response, error) {
		return func(ctx context.Context, c *coap.Client) (*coap.Response, error) {
			return c.Get(ctx, s.url+path, opts...)
		}
	}
	return []work{
		{"GET /hello", get("/hello"), []byte("hello")},
		{"NON GET /hello", get("/hello", coap.NonConfirmable), []byte("hello")},
		{"GET /slow", get("/slow"), []byte("late")},
		{"GET /detached", get("/detached"), []byte("late")},
		{"GET /body", get("/body"), body},
		{"GET /stream", get("/stream", coap.BlockSize(512)), body},
		{"PUT /body", func(ctx context.Context, c *coap.Client) (*coap.Response, error) {
			return c.Put(ctx, s.url+"/body", coap.Raw(body))
		}, nil},
		{"POST /body", func(ctx context.Context, c *coap.Client) (*coap.Response, error) {
			return c.Post(ctx, s.url+"/body", coap.Raw(body))
		}, body},
		{"PUT /stream", func(ctx context.Context, c *coap.Client) (*coap.Response, error) {
			return c.Put(ctx, s.url+"/stream", coap.Stream(bytes.NewReader(body), message.OctetStream))
		}, nil},
	}
}

// perClient is how many requests a client makes before another one takes its place.
const perClient = 100

// repeat makes requests of one kind, one behind the other.
func (s *site) repeat(ctx context.Context, w work) {
	for ctx.Err() == nil {
		c := s.newClient()
		for range perClient {
			if !pause(ctx, s.cfg.rest) {
				break
			}
			s.ended(w.name, s.request(c, w))
		}
		c.Close()
	}
}

// request makes a request and looks at the response. It ends by itself.
func (s *site) request(c *coap.Client, w work) error {
	resp, err := w.do(context.Background(), c)
	if err != nil {
		return err
	}
	if err := resp.Err(); err != nil {
		return err
	}
	got, err := resp.Bytes()
	if err == nil && !bytes.Equal(got, w.want) {
		err = fmt.Errorf("%d bytes, want %d", len(got), len(w.want))
	}
	return err
}

// follow observes a resource for a while, again and again.
func (s *site) follow(ctx context.Context, path string) {
	for ctx.Err() == nil {
		c := s.newClient()
		s.ended("observe "+path, s.observe(ctx, c, path))
		c.Close()
	}
}

// observe takes ten states.
func (s *site) observe(ctx context.Context, c *coap.Client, path string) error {
	s.observing.Add(1)
	defer s.observing.Add(-1)
	seen := 0
	for resp, err := range c.Observe(ctx, s.url+path) {
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, coap.ErrStale) {
			continue
		}
		if err != nil {
			return err
		}
		if _, err := resp.Bytes(); err != nil {
			return err
		}
		if seen++; seen == 10 {
			break
		}
	}
	return nil
}

// vanish makes clients that begin things and are never heard of again. Some leave a
// socket that nobody reads, of others the system tells that they are gone.
func (s *site) vanish(ctx context.Context, n uint64) {
	rng := rand.New(rand.NewPCG(s.cfg.seed, n))
	for pause(ctx, time.Duration(rng.Int64N(int64(time.Second)))) {
		conn, err := s.cfg.clientConn(ctx, "udp4")
		if err != nil {
			s.ended("vanish", err)
			continue
		}
		packets := packetsTo(s, begun(uint16(rng.Uint32()))...)
		conn.WriteBatch(packets)
		if rng.IntN(2) == 0 {
			pause(ctx, s.lifetime())
		}
		conn.Close()
	}
}

// begun are an observation, an upload of which a block is there, a download, and a request
// whose response comes later.
func begun(id uint16) (datagrams [][]byte) {
	path := func(p string) message.Option { return message.Option{Number: message.URIPath, Value: []byte(p)} }
	token, _ := message.MakeToken([]byte{byte(id)})
	for i, m := range []message.Message{
		{Code: message.GET, Options: []message.Option{path("number"), {Number: message.Observe}}},
		{Code: message.PUT, Options: []message.Option{path("body"), {Number: message.Block1, Value: []byte{0x0e}}}, Payload: body[:1024]},
		{Code: message.GET, Options: []message.Option{path("body")}},
		{Code: message.GET, Options: []message.Option{path("detached")}},
	} {
		m.ID, m.Token = message.ID(id+uint16(i)), token
		d, err := m.MarshalBinary()
		if err != nil {
			panic(err) // a message of this file can be encoded
		}
		datagrams = append(datagrams, d)
	}
	return datagrams
}

func packetsTo(s *site, datagrams ...[]byte) (packets []transport.Packet) {
	for _, d := range datagrams {
		packets = append(packets, transport.Packet{Buf: d, N: len(d), Peer: peer.From(s.addr)})
	}
	return packets
}

// rage sends hostile datagrams to the server, and every eighth to a client, as one of
// several who share the rate.
func (s *site) rage(ctx context.Context, n uint64, of int) {
	conn, err := s.cfg.clientConn(ctx, "udp4")
	if err != nil {
		s.ended("storm", err)
		return
	}
	var mu sync.Mutex
	m := storm.New(s.cfg.seed+n, paths...)
	var reading sync.WaitGroup
	reading.Go(func() { overhear(conn, &mu, m) })
	const tick = 20 * time.Millisecond
	burst := max(s.cfg.hostile/of/int(time.Second/tick), 1)
	var packets []transport.Packet
	for pause(ctx, tick) {
		packets = packets[:0]
		mu.Lock()
		for i := range burst {
			d := m.Next(nil)
			to := s.addr
			if v := s.victim(i/8 + len(d)); i%8 == 0 && v.IsValid() {
				to = v
			}
			packets = append(packets, transport.Packet{Buf: d, N: len(d), Peer: peer.From(to)})
		}
		mu.Unlock()
		conn.WriteBatch(packets) // what the system refuses is lost
		s.hostile.Add(uint64(burst))
	}
	conn.Close()
	reading.Wait()
}

// overhear tells a Mutator of what comes to its socket.
func overhear(conn transport.Conn, mu *sync.Mutex, m *storm.Mutator) {
	packets := make([]transport.Packet, transport.MaxBatch)
	for i := range packets {
		packets[i].Buf = make([]byte, 2048)
	}
	for {
		n, err := conn.ReadBatch(packets)
		if err != nil {
			return
		}
		mu.Lock()
		for _, p := range packets[:n] {
			if p.Err == nil {
				m.Overhear(p.Buf[:p.N])
			}
		}
		mu.Unlock()
	}
}
