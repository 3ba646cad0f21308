package blockwise

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/motewire/coap/message"
	"github.com/motewire/coap/peer"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// A tb is what helpers need of a test, be it one of testing or of rapid.
type tb interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

// peerNumber returns the address of one of many clients.
func peerNumber(n int) peer.Addr {
	return peer.From(netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(n >> 8)}), uint16(1024+n)))
}

// body returns n bytes that tell their place and their seed.
func body(seed, n int) []byte {
	rng := rand.New(rand.NewPCG(uint64(seed), 7))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

func parse(t tb, m message.Message) *message.View {
	t.Helper()
	datagram, err := m.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	v := new(message.View)
	if err := v.Parse(datagram); err != nil {
		t.Fatal(err)
	}
	return v
}

func uintOption(n message.OptionNumber, value uint32) message.Option {
	v := []byte{byte(value >> 24), byte(value >> 16), byte(value >> 8), byte(value)}
	return message.Option{Number: n, Value: bytes.TrimLeft(v, "\x00")}
}

func blockOption(n message.OptionNumber, num int, more bool, size int) message.Option {
	szx, _ := message.SZXForSize(size)
	return uintOption(n, message.Block{Num: uint32(num), More: more, SZX: szx}.Encode())
}

func path(segment string) message.Option {
	return message.Option{Number: message.URIPath, Value: []byte(segment)}
}

func mustAssembler(t tb, cfg Config) *Assembler {
	t.Helper()
	a, err := NewAssembler(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func mustStore(t tb, cfg StoreConfig) *Store {
	t.Helper()
	s, err := NewStore(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A site is a server as the package comment describes it: assembler, store, and a handler
// between them.
type site struct {
	t         tb
	now       time.Time
	assembler *Assembler
	store     *Store
	limit     int
	szx       uint8 // for responses
	handler   func(from peer.Addr, v *message.View, body []byte) Snapshot
	runs      int // of the handler
}

func newSite(t tb, blockSize int, handler func(peer.Addr, *message.View, []byte) Snapshot) *site {
	szx, _ := message.SZXForSize(blockSize)
	return &site{
		t: t, now: epoch, szx: szx, handler: handler,
		assembler: mustAssembler(t, Config{BlockSize: blockSize}), store: mustStore(t, StoreConfig{}),
	}
}

// encodeResult appends the options of what is answered at once.
func encodeResult(e *message.Encoder, r *Result) {
	if r.MaxAge > 0 {
		e.OptionUint(message.MaxAge, uint32(r.MaxAge/time.Second))
	}
	if r.Blockwise {
		e.OptionBlock(message.Block1, r.Block1)
	}
	if r.Outcome == TooLarge {
		e.OptionUint(message.Size1, uint32(r.Size1))
	}
}

// serve returns the response to a request.
func (s *site) serve(from peer.Addr, v *message.View) *message.View {
	r := s.assembler.Receive(s.now, from, v, s.limit)
	wish := WishOf(v)
	var snapshot Snapshot
	found := false
	switch {
	case r.Outcome.Code() != message.Empty:
		e := message.AppendHeader(nil, message.Acknowledgement, r.Outcome.Code(), v.ID(), v.Token())
		encodeResult(&e, &r)
		datagram, err := e.Finish(nil)
		if err != nil {
			s.t.Fatal(err)
		}
		view := new(message.View)
		if err := view.Parse(datagram); err != nil {
			s.t.Fatal(err)
		}
		return view
	case r.Outcome == Repeated:
		if snapshot, found = s.store.Find(s.now, from, v, nil); !found {
			return s.answer(v, message.RequestEntityIncomplete)
		}
	case wish.Later():
		if snapshot, found = s.store.Find(s.now, from, v, r.Body); !found && !Repeatable(v.Code()) {
			return s.answer(v, message.RequestEntityIncomplete)
		}
	}
	if !found {
		s.runs++
		snapshot = s.handler(from, v, r.Body)
	}
	slice, ok := wish.Slice(len(snapshot.Body), s.szx)
	if !ok {
		return s.answer(v, message.BadRequest)
	}
	if !found && (slice.More() || r.Blockwise) {
		if snapshot.ETag.Len() == 0 {
			snapshot.ETag = ETag(snapshot.Body)
		}
		snapshot.Body = bytes.Clone(snapshot.Body)
		keep := snapshot
		keep.Options = without(keep.Options, message.Observe)
		if !s.store.Keep(s.now, from, v, r.Body, keep) {
			s.t.Fatal("not kept")
		}
	}
	options := append([]message.Option(nil), snapshot.Options...)
	if slice.Blockwise {
		options = append(options, uintOption(message.Block2, slice.Block2.Encode()))
		if snapshot.ETag.Len() > 0 {
			options = append(options, message.Option{Number: message.ETag, Value: snapshot.ETag.Append(nil)})
		}
	}
	if slice.Size2 {
		options = append(options, uintOption(message.Size2, uint32(len(snapshot.Body))))
	}
	if r.Blockwise {
		options = append(options, uintOption(message.Block1, r.Block1.Encode()))
	}
	response := s.response(v, snapshot.Code, options, snapshot.Body[slice.Start:slice.End])
	if r.Outcome == Complete {
		clear(r.Body) // a stray alias fails loudly
		s.assembler.Recycle(r.Body)
	}
	return response
}

func (s *site) answer(v *message.View, code message.Code) *message.View {
	return s.response(v, code, nil, nil)
}

func (s *site) response(v *message.View, code message.Code, options []message.Option, payload []byte) *message.View {
	s.t.Helper()
	return parse(s.t, message.Message{
		Type: message.Acknowledgement, Code: code, ID: v.ID(), Token: v.Token(), Options: options, Payload: payload,
	})
}

// A call is one request of a client with all that belongs to it, as the package comment
// describes it.
type call struct {
	t        tb
	code     message.Code
	options  []message.Option
	upload   *Upload // nil: no body, or all of it is up
	download *Download
	id       message.ID
	body     []byte
	response *message.View // final, or the newest one
	sent     *message.View // waits for its response
	part     Part
}

// next returns the next request.
func (c *call) next() (*message.View, error) {
	m := message.Message{Type: message.Confirmable, Code: c.code, ID: c.id}
	m.Options = append(m.Options, c.options...)
	c.id++
	first := c.sent == nil
	if c.upload != nil {
		var err error
		if c.part, err = c.upload.Next(); err != nil {
			return nil, err
		}
		m.Payload = c.part.Payload
		if c.part.Blockwise {
			m.Options = append(m.Options, uintOption(message.Block1, c.part.Block1.Encode()))
		}
		if c.part.Size1 >= 0 {
			m.Options = append(m.Options, uintOption(message.Size1, uint32(c.part.Size1)))
		}
	}
	if b, asks := c.download.Next(); asks && (c.upload == nil || c.part.Last) {
		m.Options = append(m.Options, uintOption(message.Block2, b.Encode()))
	}
	if !first {
		m.Options = without(m.Options, message.Observe, message.IfNoneMatch)
	}
	c.sent = parse(c.t, m)
	return c.sent, nil
}

func without(options []message.Option, numbers ...message.OptionNumber) (kept []message.Option) {
	set := message.NewOptionSet(numbers...)
	for _, o := range options {
		if !set.Has(o.Number) {
			kept = append(kept, o)
		}
	}
	return kept
}

// receive takes the response to what was sent and reports whether that was all.
func (c *call) receive(v *message.View) (done bool, err error) {
	c.response = v
	if c.upload != nil {
		final, err := c.upload.Response(v)
		if !final || err != nil {
			return false, err
		}
		c.upload = nil
	}
	chunk, err := c.download.Add(v)
	if err != nil {
		return false, err
	}
	c.body = append(c.body[:chunk.Offset], chunk.Payload...)
	return chunk.Done, nil
}

func newCall(t tb, code message.Code, resource string, up []byte, upload UploadConfig, download DownloadConfig) *call {
	t.Helper()
	c := &call{t: t, code: code, options: []message.Option{path(resource)}, id: 1234}
	var err error
	if up != nil {
		if c.upload, err = NewUpload(up, upload); err != nil {
			t.Fatal(err)
		}
	}
	if c.download, err = NewDownload(download); err != nil {
		t.Fatal(err)
	}
	return c
}

// run plays a call against a site without losses, and gives up after so many requests.
func (c *call) run(s *site, from peer.Addr, most int) error {
	for range most {
		v, err := c.next()
		if err != nil {
			return err
		}
		if done, err := c.receive(s.serve(from, v)); done || err != nil {
			return err
		}
	}
	return fmt.Errorf("no end after %d requests", most)
}

// echo answers with the request's body.
func echo(_ peer.Addr, v *message.View, body []byte) Snapshot {
	return Snapshot{Code: message.Changed, Body: body}
}
