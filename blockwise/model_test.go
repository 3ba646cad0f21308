package blockwise

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/motewire/coap/message"
	"github.com/motewire/coap/peer"
	"pgregory.net/rapid"
)

// A world is a server, some clients with calls that go on at the same time, and a network
// that loses, repeats and overtakes. It has no message layer: duplicates reach the server
// as new requests, which is worse than what a server meets.
type world struct {
	*rapid.T
	site      *site
	calls     []*modelCall
	requests  []flight
	responses []flight
	version   int // of what GET reads
	tokens    int
}

// A modelCall is a call of one client and what it should end with.
type modelCall struct {
	*call
	from    peer.Addr
	up      []byte // nil for a GET
	waiting int    // for the response with this token, 0: none
	over    bool
	err     error
}

// A flight is a message on its way.
type flight struct {
	call  *modelCall
	token int
	v     *message.View
}

func newWorld(t *rapid.T) *world {
	w := &world{T: t}
	blockSize := 16 << rapid.IntRange(0, 6).Draw(t, "server szx")
	w.site = newSite(t, blockSize, w.handle)
	w.site.assembler = mustAssembler(t, Config{
		BlockSize:    blockSize,
		MaxTransfers: rapid.IntRange(1, 8).Draw(t, "max transfers"), MaxTransfersPerPeer: rapid.IntRange(1, 4).Draw(t, "per peer"),
		MaxBody: 4 << 10, MaxBytes: 8 << 10 << rapid.IntRange(0, 3).Draw(t, "max bytes"),
	})
	w.site.store = mustStore(t, StoreConfig{MaxSnapshots: rapid.IntRange(1, 8).Draw(t, "max snapshots")})
	for i := range rapid.IntRange(1, 6).Draw(t, "calls") {
		w.calls = append(w.calls, w.newCall(i))
	}
	return w
}

// newCall makes an upload or a download. Two calls of one client to one resource differ in
// their Request-Tag.
func (w *world) newCall(i int) *modelCall {
	c := &modelCall{from: peerNumber(rapid.IntRange(0, 1).Draw(w.T, "client"))}
	up, down := UploadConfig{BlockSize: 16 << rapid.IntRange(0, 6).Draw(w.T, "szx1")}, DownloadConfig{Restarts: -1}
	if szx := rapid.IntRange(-1, 6).Draw(w.T, "szx2"); szx >= 0 {
		down.BlockSize, down.Late = 16<<szx, rapid.Bool().Draw(w.T, "late")
	}
	code := message.GET
	if rapid.Bool().Draw(w.T, "upload") {
		code, c.up = message.POST, body(i, rapid.IntRange(0, 3000).Draw(w.T, "size"))
	} else {
		down.Restarts = 3
	}
	c.call = newCall(w.T, code, "x", c.up, up, down)
	c.options = append(c.options, message.Option{Number: message.RequestTag, Value: []byte{byte(i)}})
	return c
}

// answerTo is what a POST with this body is answered with.
func answerTo(body []byte) []byte {
	b := append(bytes.Clone(body), "done"...)
	for i := range b {
		b[i] ^= 0xa5
	}
	return b
}

// representation is what GET reads in a version.
func representation(version int) []byte { return body(100+version, 100+(version*977)%3000) }

// handle checks that a body is the one that was sent.
func (w *world) handle(from peer.Addr, v *message.View, body []byte) Snapshot {
	if v.Code() == message.GET {
		return Snapshot{Code: message.Content, Body: representation(w.version)}
	}
	tag, _ := v.RequestTag()
	c := w.calls[tag.Append(nil)[0]]
	if c.from != from || !bytes.Equal(body, c.up) {
		w.Fatalf("the handler got %d bytes that nobody sent", len(body))
	}
	return Snapshot{Code: message.Changed, Body: answerTo(body)}
}

// send sends the next request of a call, or the same again.
func (w *world) send(c *modelCall) {
	v, err := c.next()
	if err != nil {
		c.over, c.err = true, err
		return
	}
	w.tokens++
	c.waiting = w.tokens
	w.requests = append(w.requests, flight{c, w.tokens, v})
}

func (w *world) arrive(f flight) {
	w.responses = append(w.responses, flight{f.call, f.token, w.site.serve(f.call.from, f.v)})
}

func (w *world) receive(f flight) {
	c := f.call
	if c.over || c.waiting != f.token {
		return // no exchange has this token any more
	}
	c.waiting = 0
	done, err := c.call.receive(f.v)
	c.over, c.err = done || err != nil, err
	if c.over {
		w.check(c)
	}
}

// check holds the end of a call against what it may be: the whole body, an error
// response, or a typed error.
func (w *world) check(c *modelCall) {
	var e *Error
	switch {
	case c.err != nil:
		if !errors.As(c.err, &e) || !errors.Is(e, ErrIncomplete) && !errors.Is(e, ErrETagChanged) {
			w.Fatalf("ended with %v", c.err)
		}
	case !c.response.Code().IsSuccess():
	case c.up != nil:
		if !bytes.Equal(c.body, answerTo(c.up)) {
			w.Fatalf("%d bytes came back for %d", len(c.body), len(c.up))
		}
	default:
		for version := range w.version + 1 {
			if bytes.Equal(c.body, representation(version)) {
				return
			}
		}
		w.Fatalf("%d bytes that no version has", len(c.body))
	}
}

// take removes one of the flights.
func take(t *rapid.T, flights *[]flight) flight {
	i := rapid.IntRange(0, len(*flights)-1).Draw(t, "flight")
	f := (*flights)[i]
	*flights = append((*flights)[:i:i], (*flights)[i+1:]...)
	return f
}

func (w *world) anyCall(t *rapid.T) *modelCall { return rapid.SampledFrom(w.calls).Draw(t, "call") }

// progress carries a message or sends one: what most steps do.
func (w *world) progress(t *rapid.T) {
	switch {
	case len(w.responses) > 0:
		w.receive(take(t, &w.responses))
	case len(w.requests) > 0:
		w.arrive(take(t, &w.requests))
	default:
		w.start()
	}
}

// start lets every call send that waits for nothing.
func (w *world) start() {
	for _, c := range w.calls {
		if !c.over && c.waiting == 0 {
			w.send(c)
		}
	}
}

// settle carries everything without loss until all calls are over.
func (w *world) settle() {
	for range 100_000 {
		switch {
		case len(w.responses) > 0:
			f := w.responses[0]
			w.responses = w.responses[1:]
			w.receive(f)
		case len(w.requests) > 0:
			f := w.requests[0]
			w.requests = w.requests[1:]
			w.arrive(f)
		default:
			open := false
			for _, c := range w.calls {
				if !c.over {
					open = true
					w.send(c)
				}
			}
			if !open {
				return
			}
		}
	}
	w.Fatal("no end")
}

// Whatever the network does, a body arrives as it was sent or its call ends with a typed
// error or an error response; none is ever mixed, and no memory is left.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		w.start()
		t.Repeat(map[string]func(*rapid.T){
			"progress": w.progress, "progress more": w.progress, "progress most": w.progress,
			"progress a lot": func(t *rapid.T) {
				for range 20 {
					w.progress(t)
				}
			},
			"request overtakes": func(t *rapid.T) {
				if len(w.requests) > 0 {
					w.arrive(take(t, &w.requests))
				}
			},
			"request twice": func(t *rapid.T) {
				if len(w.requests) > 0 {
					w.arrive(rapid.SampledFrom(w.requests).Draw(t, "request"))
				}
			},
			"lose": func(t *rapid.T) {
				if len(w.requests) > 0 {
					take(t, &w.requests)
				}
				if len(w.responses) > 0 && rapid.Bool().Draw(t, "response too") {
					take(t, &w.responses)
				}
			},
			"time out": func(t *rapid.T) {
				if c := w.anyCall(t); !c.over && c.waiting != 0 {
					w.send(c)
				}
			},
			"server changes its mind": func(t *rapid.T) {
				w.site.szx = uint8(rapid.IntRange(0, 6).Draw(t, "szx"))
				w.site.assembler.szx = uint8(rapid.IntRange(0, 6).Draw(t, "szx1"))
			},
			"resource changes": func(*rapid.T) { w.version++ },
			"time passes": func(t *rapid.T) {
				w.site.now = w.site.now.Add(time.Duration(rapid.IntRange(1, 300).Draw(t, "seconds")) * time.Second)
			},
			"": func(t *rapid.T) { checkAssembler(t, w.site.assembler) },
		})
		w.settle()
		w.site.assembler.Advance(w.site.now.Add(exchangeLifetime))
		w.site.store.Advance(w.site.now.Add(exchangeLifetime))
		checkEmpty(t, w.site.assembler)
		if s := w.site.store.Stats(); s.Snapshots != 0 || s.SnapshotBytes != 0 {
			t.Fatalf("left in the store: %+v", s)
		}
	})
}

// checkAssembler checks what always holds.
func checkAssembler(t tb, a *Assembler) {
	t.Helper()
	s := a.Stats()
	sum, perPeer := 0, map[peer.Addr]int{}
	for k, e := range a.live.entries {
		sum += e.bytes
		perPeer[k.from]++
		if e.key != k || e.bytes < cap(e.value.body)+len(k.rest) {
			t.Fatalf("entry %+v charged with %d bytes", e.value, e.bytes)
		}
	}
	for from, n := range perPeer {
		if n > a.cfg.MaxTransfersPerPeer || a.live.peers[from].length != n {
			t.Fatalf("%d transfers of %v", n, from)
		}
	}
	_, timed := a.Deadline()
	if s.Transfers > a.cfg.MaxTransfers || s.Finished > a.cfg.MaxTransfers || len(perPeer) != len(a.live.peers) ||
		s.TransferBytes != sum || s.TransferBytes > a.cfg.MaxBytes+s.Transfers*(entryBytes+2048) ||
		s.SpareBytes > spareBytes || timed != (s.Transfers+s.Finished > 0) {
		t.Fatalf("beyond the limits: %+v, sum %d", s, sum)
	}
}

func checkEmpty(t tb, a *Assembler) {
	t.Helper()
	if s := a.Stats(); s.Transfers != 0 || s.TransferBytes != 0 || s.Finished != 0 || len(a.live.peers)+len(a.done.peers)+len(a.streams) != 0 {
		t.Fatalf("left: %+v", s)
	}
	if at, ok := a.Deadline(); ok {
		t.Fatalf("deadline %v of nothing", at)
	}
}

// A body in any cut, with blocks that repeat what came and sizes that change, arrives
// whole.
func TestAnyCut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOfN(rapid.Byte(), 17, 3000).Draw(t, "body")
		a := mustAssembler(t, Config{BlockSize: 16 << rapid.IntRange(0, 6).Draw(t, "own szx")})
		receive, stream := a.Receive, rapid.Bool().Draw(t, "stream")
		if stream {
			receive = a.Stream
		}
		var got []byte
		for at := 0; ; {
			b := message.Block{SZX: uint8(rapid.IntRange(0, 6).Draw(t, "szx"))}
			if at < b.Size() && b.Size() >= len(want) {
				b.SZX = 0 // or it would be whole
			}
			b.Num = uint32(at / b.Size()) // begins where the server is, or before
			end := min(b.Offset()+b.Size(), len(want))
			b.More = end < len(want)
			r := receive(epoch, peerNumber(1), get(t, message.PUT, want[b.Offset():end], uintOption(message.Block1, b.Encode())), 0)
			if stream && r.Outcome == Incomplete && b.Offset() < at {
				continue // of a stream no more is known than the newest block
			}
			if b.More && r.Outcome != Continue || !b.More && r.Outcome != Complete {
				t.Fatalf("block %v: %v", b, r.Outcome)
			}
			if r.Started {
				got = nil
			}
			if at = end; r.Outcome == Complete {
				if got = append(got, r.Chunk...); !stream {
					got = r.Body
				}
				break
			}
			got = append(got, r.Chunk...)
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("%d bytes of %d, or others", len(got), len(want))
		}
	})
}
