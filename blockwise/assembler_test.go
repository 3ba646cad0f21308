package blockwise

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/motewire/coap/message"
	"github.com/motewire/coap/peer"
)

// A bench is an Assembler with one client that sends what a test says.
type bench struct {
	t      *testing.T
	a      *Assembler
	now    time.Time
	from   peer.Addr
	limit  int
	stream bool
}

func newBench(t *testing.T, cfg Config) *bench {
	return &bench{t: t, a: mustAssembler(t, cfg), now: epoch, from: peerNumber(1)}
}

// put sends a PUT to /x with these options.
func (b *bench) put(payload []byte, options ...message.Option) Result {
	b.t.Helper()
	v := parse(b.t, message.Message{Code: message.PUT, Options: append(options, path("x")), Payload: payload})
	if b.stream {
		return b.a.Stream(b.now, b.from, v, b.limit)
	}
	return b.a.Receive(b.now, b.from, v, b.limit)
}

// block sends one block of a body, 32 bytes unless it is the last.
func (b *bench) block(of []byte, num int, options ...message.Option) Result {
	b.t.Helper()
	end := min(num*32+32, len(of))
	return b.put(of[num*32:end], append(options, blockOption(message.Block1, num, end < len(of), 32))...)
}

func (b *bench) want(r Result, o Outcome) Result {
	b.t.Helper()
	if r.Outcome != o {
		b.t.Errorf("outcome %v, want %v", r.Outcome, o)
	}
	return r
}

func (b *bench) wantBody(r Result, body []byte) {
	b.t.Helper()
	b.want(r, Complete)
	if !bytes.Equal(r.Body, body) {
		b.t.Errorf("another body, %d bytes, want %d", len(r.Body), len(body))
	}
}

func (b *bench) wantEmpty() {
	b.t.Helper()
	s := b.a.Stats()
	if s.Transfers != 0 || s.TransferBytes != 0 || len(b.a.streams) != 0 || len(b.a.live.peers) != 0 {
		b.t.Errorf("left: %+v", s)
	}
}

// §2.2: "The value 7 for SZX [...] MUST lead to a 4.00 Bad Request response code upon
// reception in a request."
func TestReservedSZX(t *testing.T) {
	b := newBench(t, Config{})
	r := b.want(b.put(body(1, 16), uintOption(message.Block1, 0xf)), Bad)
	if r.Blockwise || r.Outcome.Code() != message.BadRequest {
		t.Errorf("%+v", r)
	}
	b.wantEmpty()
}

// §2.3: "The block size implied by SZX MUST match the size of the payload in bytes, if the
// M bit is set. (SZX does not govern the payload size if M is unset)."
func TestBlockSizeMatchesPayload(t *testing.T) {
	for n, want := range map[int]Outcome{0: Bad, 31: Bad, 32: Continue, 33: Bad} {
		b := newBench(t, Config{})
		r := b.want(b.put(body(1, n), blockOption(message.Block1, 0, true, 32)), want)
		if !r.Blockwise || r.Block1.More != (want == Continue) {
			t.Errorf("%d bytes: %+v", n, r)
		}
	}
	b := newBench(t, Config{})
	b.block(body(1, 99), 0)
	b.wantBody(b.put(body(1, 99)[32:], blockOption(message.Block1, 1, false, 32)), body(1, 99))
	b.wantEmpty()
}

// A body without Block1, or in a single block, is handed over as it is.
func TestWhole(t *testing.T) {
	b := newBench(t, Config{BlockSize: 16})
	if r := b.want(b.put(body(1, 40)), Whole); r.Blockwise || !bytes.Equal(r.Body, body(1, 40)) {
		t.Errorf("%+v", r)
	}
	r := b.want(b.put(body(1, 20), blockOption(message.Block1, 0, false, 32)), Whole)
	if !r.Blockwise || r.Block1 != (message.Block{}) || !bytes.Equal(r.Body, body(1, 20)) {
		t.Errorf("%+v", r)
	}
	b.wantEmpty()
}

// §2.5: "A server MAY also return a 4.08 error code for any (final or non-final) Block1
// transfer that is not in sequence". What was there stays, and can be finished.
func TestGap(t *testing.T) {
	b, up := newBench(t, Config{}), body(1, 100)
	b.want(b.block(up, 1), Incomplete)
	b.want(b.block(up, 3), Incomplete)
	b.wantEmpty()
	b.want(b.block(up, 0), Continue)
	b.want(b.block(up, 2), Incomplete)
	b.want(b.block(up, 3), Incomplete)
	b.want(b.block(up, 1), Continue)
	b.want(b.block(up, 2), Continue)
	b.wantBody(b.block(up, 3), up)
	b.wantEmpty()
}

// Blocks that come again do no harm; a block that is not what it was is 4.08.
func TestDuplicateBlocks(t *testing.T) {
	b, up, other := newBench(t, Config{}), body(1, 100), body(2, 100)
	b.want(b.block(up, 0), Continue)
	b.want(b.block(up, 0), Continue)
	b.want(b.block(up, 1), Continue)
	b.want(b.block(up, 2), Continue)
	b.want(b.block(up, 1), Continue)
	b.want(b.block(other, 1), Incomplete)
	b.want(b.put(up[32:64], blockOption(message.Block1, 1, false, 32)), Incomplete) // ends too early
	b.want(b.block(up, 2), Continue)
	b.wantBody(b.block(up, 3), up)
	if s := b.a.Stats(); s.Duplicates != 3 || s.Restarted != 0 || s.Started != 1 || s.Completed != 1 || s.Incomplete != 2 {
		t.Errorf("%+v", s)
	}
}

// The last block of a body that was handed over is recognised, until another body begins
// or the time is over.
func TestRepeatedLastBlock(t *testing.T) {
	b, up := newBench(t, Config{}), body(1, 100)
	play := func() {
		for n := range 3 {
			b.want(b.block(up, n), Continue)
		}
		b.wantBody(b.block(up, 3), up)
	}
	play()
	r := b.want(b.block(up, 3), Repeated)
	if !r.Blockwise || r.Block1 != (message.Block{Num: 3, SZX: 1}) || r.Body != nil {
		t.Errorf("%+v", r)
	}
	b.want(b.block(body(2, 100), 3), Incomplete)
	b.want(b.block(up, 2), Incomplete)
	b.now = b.now.Add(exchangeLifetime - 1)
	b.want(b.block(up, 3), Repeated)
	b.want(b.block(up, 0), Continue)
	b.want(b.block(up, 3), Incomplete)
	b.want(b.block(up, 1), Continue)
	b.want(b.block(up, 2), Continue)
	b.wantBody(b.block(up, 3), up)
	b.now = b.now.Add(exchangeLifetime)
	b.want(b.block(up, 3), Incomplete)
	play()
	b.want(b.put(up[:9], blockOption(message.Block1, 0, false, 32)), Whole)
	b.want(b.block(up, 3), Incomplete)
	if s := b.a.Stats(); s.Repeated != 2 || s.Finished != 0 {
		t.Errorf("%+v", s)
	}
}

// §2.5: "Starting a new block-wise sequence of requests to the same resource [...] simply
// overwrites the context the server may still be keeping."
func TestRestart(t *testing.T) {
	b, old, up := newBench(t, Config{}), body(1, 100), body(2, 80)
	b.block(old, 0)
	b.block(old, 1)
	b.want(b.block(up, 0), Continue)
	b.want(b.block(old, 2), Incomplete)
	b.want(b.block(old, 1), Continue)  // nothing says that it is not of the new body, but
	b.want(b.block(up, 1), Incomplete) // its client hears of it: Request-Tag is against that
	b.want(b.block(up, 0), Continue)
	b.want(b.block(up, 1), Continue)
	b.wantBody(b.block(up, 2), up)
	if s := b.a.Stats(); s.Restarted != 2 || s.Started != 3 {
		t.Errorf("%+v", s)
	}
	b.wantEmpty()
}

// §2.5: "any reduction in the block size may mean that the second request starts with a
// block number larger than one". What counts is the byte.
func TestBlockSizeChanges(t *testing.T) {
	b, up := newBench(t, Config{BlockSize: 64}), body(1, 400)
	at := func(num, size int) Result {
		end := min(num*size+size, len(up))
		return b.put(up[num*size:end], blockOption(message.Block1, num, end < len(up), size))
	}
	if r := b.want(at(0, 128), Continue); r.Block1 != (message.Block{More: true, SZX: 2}) {
		t.Errorf("%+v", r.Block1)
	}
	b.want(at(1, 64), Continue) // within the first one
	b.want(at(2, 64), Continue)
	b.want(at(12, 16), Continue)
	b.want(at(6, 32), Continue) // half of it new: 192 to 224
	b.want(at(7, 32), Continue)
	b.want(at(2, 128), Continue)
	if r := at(3, 128); r.Outcome != Complete || r.Block1 != (message.Block{Num: 3, SZX: 2}) || !bytes.Equal(r.Body, up) {
		t.Errorf("%+v", r)
	}
}

// §2.3: "If blocks of a request arrive at a server with mismatching Content-Format Options,
// the server MUST NOT assemble them into a single request; this usually leads to a 4.08".
// The same holds for each other option of the cache key, the method and the peer; RFC 9175
// §3.3 for Request-Tag, where absent, empty and repeated differ.
func TestTransfersAreKeptApart(t *testing.T) {
	tag := func(s string) message.Option { return message.Option{Number: message.RequestTag, Value: []byte(s)} }
	variants := [][]message.Option{
		{}, {uintOption(message.ContentFormat, 0)}, {uintOption(message.ContentFormat, 50)},
		{tag("")}, {tag("a")}, {tag("b")}, {tag("a"), tag("b")}, {tag("b"), tag("a")}, {tag("ab")},
		{path("y")}, {path("")}, {path("a"), path("b")}, {path("a\x00\x0bb")}, {path("ab")}, {{Number: message.URIQuery, Value: []byte("x")}},
		{{Number: message.URIHost, Value: []byte("x")}}, {{Number: message.IfMatch, Value: []byte("x")}},
		{{Number: 65000, Value: []byte("x")}}, // elective, safe, part of the cache key
	}
	b := newBench(t, Config{})
	for i, options := range variants {
		b.want(b.block(body(i, 100), 0, options...), Continue)
	}
	b.from = peerNumber(2)
	b.want(b.block(body(100, 100), 0), Continue)
	b.from = peerNumber(1)
	if n := b.a.Stats().Transfers; n != len(variants)+1 {
		t.Fatalf("%d transfers, want %d", n, len(variants)+1)
	}
	for num := 1; num < 4; num++ {
		for i, options := range variants {
			if r := b.block(body(i, 100), num, options...); num == 3 {
				b.wantBody(r, body(i, 100))
			} else {
				b.want(r, Continue)
			}
		}
	}
	v := parse(t, message.Message{Code: message.POST, Options: []message.Option{
		path("x"), blockOption(message.Block1, 1, true, 32),
	}, Payload: body(100, 100)[32:64]})
	b.want(b.a.Receive(b.now, peerNumber(2), v, 0), Incomplete) // another method
	b.want(b.block(body(100, 100), 1), Incomplete)              // another peer
}

// What differs from block to block is no part of the key: Size1, If-None-Match (§2.10: on
// block 0 alone), Observe, Block2 for the last one (§3.3), No-Response, which the blocks
// before it don't have, options marked NoCacheKey.
func TestOptionsOutsideTheKey(t *testing.T) {
	for _, o := range []message.Option{
		uintOption(message.Size1, 100), uintOption(message.Size2, 0), {Number: message.IfNoneMatch},
		blockOption(message.Block2, 0, false, 64), uintOption(message.Observe, 0),
		{Number: message.Echo, Value: []byte("x")}, uintOption(message.NoResponse, 2),
	} {
		b, up := newBench(t, Config{}), body(1, 100)
		b.want(b.block(up, 0, o), Continue)
		b.want(b.block(up, 1), Continue)
		b.want(b.block(up, 2, o), Continue)
		b.wantBody(b.block(up, 3), up)
	}
}

// §2.9.3: 4.13 comes as soon as Size1 or the sum tells, with the limit as Size1.
func TestTooLarge(t *testing.T) {
	up := body(1, 100)
	b := newBench(t, Config{MaxBody: 99})
	if r := b.want(b.put(up), TooLarge); r.Blockwise || r.Size1 != 99 {
		t.Errorf("%+v", r)
	}
	if r := b.want(b.block(up, 0, uintOption(message.Size1, 100)), TooLarge); r.Size1 != 99 || !r.Blockwise || r.Block1.SZX != 1 {
		t.Errorf("%+v", r)
	}
	b.wantEmpty()
	for n := range 3 {
		b.want(b.block(up, n, uintOption(message.Size1, 99)), Continue)
	}
	b.want(b.block(up, 3), TooLarge)
	b.wantEmpty()
	b.want(b.block(up, 2), Incomplete)
	b.limit = 100 // of the route
	for n := range 3 {
		b.want(b.block(up, n), Continue)
	}
	b.wantBody(b.block(up, 3), up)
}

// §2.5: a server is free to discard a body "when a period of EXCHANGE_LIFETIME [...] has elapsed
// after the most recent block was transferred".
func TestIdleTimeout(t *testing.T) {
	b, up := newBench(t, Config{}), body(1, 100)
	if _, ok := b.a.Deadline(); ok {
		t.Error("deadline without transfer")
	}
	b.block(up, 0)
	b.now = b.now.Add(100 * time.Second)
	b.block(up, 1)
	at, ok := b.a.Deadline()
	if !ok || !at.Equal(b.now.Add(247*time.Second)) {
		t.Errorf("deadline %v, %t", at.Sub(epoch), ok)
	}
	b.a.Advance(at.Add(-1))
	if b.a.Stats().Transfers != 1 {
		t.Error("gone too early")
	}
	b.a.Advance(at)
	b.wantEmpty()
	if b.a.Stats().Expired != 1 {
		t.Errorf("%+v", b.a.Stats())
	}
	b.now = at
	b.want(b.block(up, 2), Incomplete)
}

// At the bounds on transfers the one that was idle for longest goes: of the same peer at
// that peer's bound, of all at the other.
func TestEviction(t *testing.T) {
	b, up := newBench(t, Config{MaxTransfers: 4, MaxTransfersPerPeer: 2}), body(1, 100)
	start := func(client int, resource string, num int) Result {
		b.now = b.now.Add(time.Second)
		b.from = peerNumber(client)
		return b.block(up, num, path(resource))
	}
	start(1, "a", 0)
	start(1, "b", 0)
	start(2, "a", 0)
	b.want(start(1, "a", 1), Continue) // now b is the older one
	start(1, "c", 0)                   // evicts 1 b
	b.want(start(1, "b", 1), Incomplete)
	start(2, "b", 0)
	start(3, "a", 0) // evicts 2 a
	b.want(start(2, "a", 1), Incomplete)
	for _, survivor := range []struct {
		client int
		path   string
		num    int
	}{{1, "a", 2}, {1, "c", 1}, {2, "b", 1}, {3, "a", 1}} {
		b.want(start(survivor.client, survivor.path, survivor.num), Continue)
	}
	if s := b.a.Stats(); s.Evicted != 2 || s.Transfers != 4 {
		t.Errorf("%+v", s)
	}
	b.a.Advance(b.now.Add(exchangeLifetime))
	b.wantEmpty()
}

// A server keeps 64 unfinished uploads from 20 endpoints with the default limits.
func TestManyUploads(t *testing.T) {
	b := newBench(t, Config{})
	for num := range 4 {
		for i := range 64 {
			b.from = peerNumber(i % 20)
			r := b.block(body(i, 100), num, path(fmt.Sprint(i)))
			if num == 3 {
				b.wantBody(r, body(i, 100))
			}
		}
	}
	b.wantEmpty()
}

// Where the memory for bodies is used up, a block gets 5.03 and its transfer stays.
func TestBusy(t *testing.T) {
	b, up := newBench(t, Config{MaxBody: 4 << 10, MaxBytes: 8 << 10}), body(1, 4<<10)
	big := func(client, num int) Result {
		b.from = peerNumber(client)
		return b.put(up[num*1024:num*1024+1024], blockOption(message.Block1, num, num < 3, 1024))
	}
	for n := range 3 {
		b.want(big(1, n), Continue)
	}
	b.want(big(2, 0), Continue)
	if r := b.want(big(3, 0), Busy); r.MaxAge <= 0 || r.Outcome.Code() != message.ServiceUnavailable || !r.Blockwise {
		t.Errorf("%+v", r)
	}
	b.want(big(2, 1), Continue)
	b.want(big(2, 2), Busy)
	b.wantBody(big(1, 3), up)
	b.want(big(2, 2), Continue)
	b.wantBody(big(2, 3), up)
	b.wantEmpty()
	if s := b.a.Stats(); s.Busy != 2 || s.Started != 2 || s.Completed != 2 {
		t.Errorf("%+v", s)
	}
}

// Slow loris: endpoints that hold all the memory by a block now and then, or by the same one
// again, give way to one that gets on, the slowest first. What gets on gives way to nobody.
func TestStalledUploadsGiveWay(t *testing.T) {
	b, up := newBench(t, Config{MaxBody: 4 << 10, MaxBytes: 16 << 10, MaxBytesPerPeer: 8 << 10}), body(1, 4<<10)
	send := func(client, num int, want Outcome) {
		t.Helper()
		b.from = peerNumber(client)
		b.want(b.put(up[num*1024:num*1024+1024], blockOption(message.Block1, num, num < 3, 1024)), want)
	}
	for client := range 3 { // each takes 4 KiB, and what it takes to keep them
		for num := range 3 {
			send(client, num, Continue)
		}
		b.now = b.now.Add(time.Second)
	}
	send(3, 0, Continue)
	send(3, 1, Continue)
	send(3, 2, Busy)
	b.now = b.now.Add(stalledAfter - 4*time.Second)
	send(0, 2, Continue) // a duplicate
	send(3, 2, Busy)
	b.now = b.now.Add(time.Second)
	send(3, 2, Continue)
	send(0, 3, Incomplete)
	send(3, 3, Complete)
	send(1, 3, Complete)
	send(2, 3, Complete)
	if s := b.a.Stats(); s.Evicted != 1 || s.Busy != 2 || s.Transfers != 0 {
		t.Errorf("%+v", s)
	}
}

// One client uses up its own share alone.
func TestBusyPeer(t *testing.T) {
	b, up := newBench(t, Config{MaxBody: 4 << 10, MaxBytes: 64 << 10, MaxBytesPerPeer: 8 << 10}), body(1, 4<<10)
	for n, want := range []Outcome{Continue, Continue, Continue, Busy} {
		b.want(b.put(up[:1024], path(strconv.Itoa(n)), blockOption(message.Block1, 0, true, 1024)), want)
	}
	b.from = peerNumber(2)
	b.want(b.put(up[:1024], blockOption(message.Block1, 0, true, 1024)), Continue)
}

// §2.10: the option that came with block 0 counts when the body is complete.
func TestIfNoneMatchIsRemembered(t *testing.T) {
	up := body(1, 64)
	for _, options := range [][]message.Option{nil, {{Number: message.IfNoneMatch}}} {
		b := newBench(t, Config{})
		b.want(b.block(up, 0, options...), Continue)
		if r := b.want(b.block(up, 1), Complete); r.IfNoneMatch != (options != nil) {
			t.Errorf("IfNoneMatch %t with block 0 %v", r.IfNoneMatch, options)
		}
	}
}

// A body that was handed over is the caller's: nothing writes to it any more.
func TestBodyBelongsToTheCaller(t *testing.T) {
	b, up, other := newBench(t, Config{}), body(1, 64), body(2, 64)
	b.want(b.block(up, 0), Continue)
	r := b.block(up, 1)
	b.want(b.block(other, 0), Continue)
	b.wantBody(b.block(other, 1), other)
	b.wantBody(r, up)
	b.a.Recycle(r.Body)
	if s := b.a.Stats(); s.SpareBytes != cap(r.Body) {
		t.Errorf("%d spare bytes, want %d", s.SpareBytes, cap(r.Body))
	}
}

// What is remembered of finished bodies is bounded too, and has its deadline.
func TestFinishedAreBounded(t *testing.T) {
	b, up := newBench(t, Config{MaxTransfers: 3, MaxTransfersPerPeer: 2}), body(1, 64)
	for i := range 6 {
		b.from = peerNumber(i / 2)
		b.want(b.block(up, 0, path(fmt.Sprint(i))), Continue)
		b.wantBody(b.block(up, 1, path(fmt.Sprint(i))), up)
		if n := b.a.Stats().Finished; n != min(i+1, 3) {
			t.Errorf("%d finished bodies after %d", n, i+1)
		}
	}
	b.want(b.block(up, 1, path("5")), Repeated)
	first, _ := b.a.Deadline()
	b.now = b.now.Add(time.Second)
	b.block(up, 0)
	if at, ok := b.a.Deadline(); !ok || !at.Equal(first) {
		t.Errorf("deadline %v, want %v", at, first)
	}
}

// The limit of a route counts as far as there can be memory for it.
func TestLimitAboveMaxBytes(t *testing.T) {
	b := newBench(t, Config{MaxBody: 2 << 10, MaxBytes: 8 << 10})
	b.limit = 1 << 20
	b.want(b.block(body(1, 100), 0, uintOption(message.Size1, 4<<10)), Continue)
	if r := b.want(b.block(body(1, 100), 1, uintOption(message.Size1, 4<<10+1)), TooLarge); r.Size1 != 4<<10 {
		t.Errorf("%+v", r)
	}
}

// A body of the greatest size fits if it is alone.
func TestGreatestBody(t *testing.T) {
	b := newBench(t, Config{MaxBody: 2049, MaxBytes: 4098, BlockSize: 32})
	up := body(1, 2049)
	for n := range 64 {
		b.want(b.block(up, n), Continue)
	}
	b.wantBody(b.block(up, 64), up)
	b.wantEmpty()
	if n := b.a.Stats().SpareBytes; n != minBuffer { // the one that it outgrew
		t.Errorf("%d spare bytes", n)
	}
}

// Impossible configurations are refused by name.
func TestConfig(t *testing.T) {
	for _, cfg := range []Config{
		{BlockSize: 100}, {BlockSize: 2048}, {BlockSize: -1}, {MaxBody: -1}, {MaxTransfers: -1},
		{MaxTransfersPerPeer: -1}, {IdleTimeout: -1}, {MaxBytes: -1}, {MaxBytes: 1 << 20}, {MaxBytesPerPeer: 1 << 20},
	} {
		if _, err := NewAssembler(cfg); !errors.Is(err, ErrConfig) {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
	for _, cfg := range []StoreConfig{{MaxSnapshots: -1}, {MaxSnapshotsPerPeer: -1}, {MaxBytes: -1}, {Lifetime: -1}} {
		if _, err := NewStore(cfg); !errors.Is(err, ErrConfig) {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
	if _, err := NewUpload(nil, UploadConfig{BlockSize: 3}); !errors.Is(err, ErrConfig) {
		t.Error(err)
	}
	for _, cfg := range []DownloadConfig{{BlockSize: 3}, {Start: 1 << 20}} {
		if _, err := NewDownload(cfg); !errors.Is(err, ErrConfig) {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}
