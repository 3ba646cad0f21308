package fuzz

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/coaptest"
	"github.com/motewire/coap/message"
)

// Kinds of blocks: from which peer. The datagram of such a step describes a message.
const (
	blockA = 5
	blockB = 6
	blockC = 7
)

// Bits of the bytes that describe a message with blocks.
const (
	pathMask, tagged, nonConfirmable, again = 3, 1 << 5, 1 << 6, 1 << 7 // of the first; method in bits 2 and 3
	numMask, more, with                     = 31, 1 << 5, 1 << 6        // of the second and third, one for each option
	szxShift                                = 4                         // of the fourth: Block1 below, Block2 above
)

var (
	blockMethods = []message.Code{message.GET, message.PUT, message.POST, message.FETCH}
	blockPaths   = []string{"whole", "arriving", "made", "hello"}
)

// A describer makes messages of descriptions of five bytes: paths and method, Block1,
// Block2, both sizes, Request-Tag.
type describer struct{ id message.ID }

// describe returns the message that b describes. The payload of a block is what its transfer
// has at that place: bodyByte.
func (d *describer) describe(t testing.TB, from netip.AddrPort, b []byte) []byte {
	t.Helper()
	b = append(bytes.Clone(b), 0, 0, 0, 0, 0)[:5]
	if b[0]&again == 0 {
		d.id++
	}
	path := blockPaths[b[0]&pathMask]
	m := message.Message{
		Type: message.Confirmable, Code: blockMethods[b[0]>>2&3], ID: d.id, Options: []message.Option{{Number: message.URIPath, Value: []byte(path)}},
	}
	m.Token, _ = message.MakeToken([]byte{byte(d.id >> 8), byte(d.id)})
	if b[0]&nonConfirmable != 0 {
		m.Type = message.NonConfirmable
	}
	if b[2]&with != 0 {
		m.Options = append(m.Options, blockOption(message.Block2, b[2], b[3]>>szxShift))
	}
	if b[1]&with != 0 {
		m.Options = append(m.Options, blockOption(message.Block1, b[1], b[3]))
	}
	if b[0]&tagged != 0 {
		m.Options = append(m.Options, message.Option{Number: message.RequestTag, Value: b[4:5]})
	}
	if b[1]&with != 0 {
		size := 16 << (b[3] & 7 % 7)
		if b[1]&more == 0 {
			size -= int(b[4] & 15)
		}
		first := int(b[1]&numMask) * (16 << (b[3] & 7 % 7))
		for i := range size {
			m.Payload = append(m.Payload, bodyByte(from, m.Code, path, b[4], b[0]&tagged != 0, first+i))
		}
	}
	datagram, err := m.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return datagram
}

func blockOption(n message.OptionNumber, b, szx byte) message.Option {
	value := uint32(b&numMask)<<4 | uint32(szx&7)
	if b&more != 0 {
		value |= 8
	}
	return message.Option{Number: n, Value: bytes.TrimLeft([]byte{byte(value >> 8), byte(value)}, "\x00")}
}

// bodyByte is the byte at a place of the body that a transfer has: another one for each
// peer, method, path and Request-Tag, and at each place.
func bodyByte(from netip.AddrPort, method message.Code, path string, tag byte, tagged bool, at int) byte {
	ip := from.Addr().As4()
	h := uint32(2166136261)
	for _, b := range []byte{ip[3], byte(from.Port()), byte(method), path[0], byte(at), byte(at >> 8)} {
		h = (h ^ uint32(b)) * 16777619
	}
	if tagged {
		h = (h ^ uint32(tag)) * 16777619
	}
	return byte(h ^ h>>15)
}

// blockWorks are resources of bodies in blocks, which see that no body is mixed.
type blockWorks struct {
	t *testing.T

	mu             sync.Mutex
	opened, closed int // streams of responses
}

func (w *blockWorks) handle(mux *coap.Mux) {
	mux.HandleFunc("/whole", func(rw coap.ResponseWriter, r *coap.Request) {
		w.check(r, r.Payload())
		rw.Write(r.Payload())
		rw.Write(make([]byte, 100))
	})
	arriving := func(rw coap.ResponseWriter, r *coap.Request) {
		body, err := io.ReadAll(r.BodyReader())
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			w.t.Errorf("a body ends by %v", err)
		}
		w.check(r, body)
		rw.Write(body)
	}
	for _, method := range []string{"PUT", "POST", "FETCH"} {
		mux.Handle(method+" /arriving", coap.HandlerFunc(arriving), coap.StreamBody())
	}
	mux.HandleFunc("/made", func(rw coap.ResponseWriter, r *coap.Request) {
		w.check(r, r.Payload())
		w.mu.Lock()
		defer w.mu.Unlock()
		w.opened++
		rw.SetBody(coap.Stream(&closing{Reader: bytes.NewReader(make([]byte, 500)), works: w}, message.OctetStream))
	})
}

// check compares a body with what its transfer's blocks had. What is longer than a message
// and no block, nobody described.
func (w *blockWorks) check(r *coap.Request, body []byte) {
	v := r.Message()
	if _, ok := v.Block1(); !ok {
		return
	}
	tag, tagged := byte(0), false
	for n, value := range v.Options() {
		if n == message.RequestTag && len(value) == 1 {
			tag, tagged = value[0], true
		}
	}
	from := r.Peer().AddrPort()
	for i, b := range body {
		if want := bodyByte(from, r.Method, r.Path()[1:], tag, tagged, i); b != want {
			w.t.Errorf("%v %s from %v: byte %d of %d is %#x, want %#x", r.Method, r.Path(), from, i, len(body), b, want)
			return
		}
	}
}

// A closing is the stream of a response. It can't be read at random.
type closing struct {
	io.Reader
	works *blockWorks
}

func (c *closing) Close() error {
	c.works.mu.Lock()
	defer c.works.mu.Unlock()
	c.works.closed++
	return nil
}

// FuzzServerBlocks feeds a server of small limits with block-wise requests of three peers,
// in any order, with pauses. It must neither panic nor mix bodies, and when all is over it
// holds nothing any more.
func FuzzServerBlocks(f *testing.F) {
	for _, kind := range []byte{blockA, blockB, blockC} {
		for path := range byte(3) {
			f.Add([]byte(blockSeed(kind, path)))
		}
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		coaptest.Run(t, func(t *testing.T) { serveBlocks(t, script(input).steps()) })
	})
}

// blockSeed is an upload of three blocks, with one of another peer and one without
// Request-Tag in between, and a download of what it is answered with.
func blockSeed(kind, path byte) (seed script) {
	const post = 2 << 2
	for num := range byte(3) {
		flags := byte(with | more)
		if num == 2 {
			flags = with
		}
		seed = seed.with(kind, []byte{path | post | tagged, num | flags, 0, 1, 3}).withPause(num)
		seed = seed.with(blockA+(kind-blockA+1)%3, []byte{path | post | tagged, num | flags, 0, 1, 3})
		seed = seed.with(kind, []byte{path | post, num | flags, 0, 1, 2})
	}
	for num := range byte(4) {
		seed = seed.with(kind, []byte{path | post | tagged, 0, num | with, 1 << szxShift, 3}).withPause(18)
	}
	return seed
}

func serveBlocks(t *testing.T, steps []step) {
	works := &blockWorks{t: t}
	mux := coap.NewMux()
	works.handle(mux)
	mux.HandleFunc("/hello", func(w coap.ResponseWriter, _ *coap.Request) { w.WriteString("hello") })
	s := coaptest.NewUnstartedServer(mux)
	s.Config.Limits = coap.Limits{BlockBytes: 64, BodyBytes: 2000, Transfers: 4, TransfersPerPeer: 2}
	s.Start()
	defer s.Close()
	var peers [3]*witness
	var describers [3]describer
	for i, at := range []string{"10.1.1.1:5683", "10.1.1.2:40000", "10.1.1.3:40000"} {
		peers[i] = newWitness(t, s, at)
		defer peers[i].close()
	}
	for _, step := range steps {
		if step.kind == stepPause {
			time.Sleep(step.pause)
			continue
		}
		i := int(step.kind) % 3
		peers[i].send(s.Addr, describers[i].describe(t, peers[i].conn.LocalAddr(), step.datagram))
	}
	time.Sleep(time.Minute)
	peers[0].ping(s.Addr)
	time.Sleep(time.Hour)
	checkForgotten(t, s.Config.Stats())
	works.mu.Lock()
	defer works.mu.Unlock()
	if works.opened != works.closed {
		t.Errorf("%d streams opened, %d closed", works.opened, works.closed)
	}
}
