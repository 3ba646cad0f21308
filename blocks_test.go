package coap_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/coaptest"
	"github.com/motewire/coap/message"
	"github.com/motewire/coap/transport/simnet"
)

// A blockPeer sends requests by hand and takes piggybacked responses, or separate ones.
type blockPeer struct {
	*rawPeer
	id message.ID
}

func newBlockPeer(t *testing.T, s *coaptest.Server) *blockPeer {
	return &blockPeer{rawPeer: newRawPeer(t, s), id: 100}
}

// do sends a Confirmable request and returns its response.
func (p *blockPeer) do(code message.Code, resource, payload string, options ...message.Option) *message.View {
	p.t.Helper()
	p.ask(code, resource, payload, options...)
	return p.receive(0)
}

func (p *blockPeer) ask(code message.Code, resource, payload string, options ...message.Option) {
	p.t.Helper()
	p.id++
	options = append([]message.Option{path(resource)}, options...)
	p.send(datagram(p.t, message.Confirmable, code, p.id, tokenOf(byte(p.id)), payload, options...))
}

// block1 and block2 are options in text: number, more and size.
func block1(num uint32, more bool, size int) message.Option {
	return blockOption(message.Block1, num, more, size)
}

func block2(num uint32, size int) message.Option {
	return blockOption(message.Block2, num, false, size)
}

func blockOption(n message.OptionNumber, num uint32, more bool, size int) message.Option {
	szx, _ := message.SZXForSize(size)
	return uintOption(n, message.Block{Num: num, More: more, SZX: szx}.Encode())
}

// text is n bytes that differ from place to place.
func text(n int) string {
	var b strings.Builder
	for i := 0; b.Len() < n; i++ {
		b.WriteString(string(rune('a'+i%26)) + string(rune('0'+i/26%10)))
	}
	return b.String()[:n]
}

// expectPiece compares a response's code, Block2 and payload.
func expectPiece(t *testing.T, v *message.View, code message.Code, num uint32, more bool, size int, payload string) {
	t.Helper()
	szx, _ := message.SZXForSize(size)
	want := message.Block{Num: num, More: more, SZX: szx}
	if got, ok := v.Block2(); !ok || got != want || v.Code() != code || string(v.Payload()) != payload {
		t.Errorf("%v, want %v with Block2 %v and %d bytes", v, code, want, len(payload))
	}
}

// expectAck compares a response's code and Block1.
func expectAck(t *testing.T, v *message.View, code message.Code, num uint32, more bool, size int) {
	t.Helper()
	szx, _ := message.SZXForSize(size)
	want := message.Block{Num: num, More: more, SZX: szx}
	if got, ok := v.Block1(); !ok || got != want || v.Code() != code {
		t.Errorf("%v, want %v with Block1 %v", v, code, want)
	}
}

// A body above the block size is sent in blocks of one representation, which is made once
// however it changes meanwhile (RFC 7959 §2.4).
func TestServerSlices(t *testing.T) {
	runs := 0
	h := coap.HandlerFunc(func(w coap.ResponseWriter, _ *coap.Request) {
		runs++
		w.SetMaxAge(7 * time.Second)
		w.WriteString(text(2500 + runs))
	})
	withServer(t, h, nil, func(t *testing.T, s *coaptest.Server) {
		p, body := newBlockPeer(t, s), text(2501)
		first := p.do(message.GET, "x", "")
		expectPiece(t, first, message.Content, 0, true, 1024, body[:1024])
		if size, ok := first.Size2(); !ok || size != 2501 {
			t.Errorf("Size2 %d, %t", size, ok)
		}
		second := p.do(message.GET, "x", "", block2(1, 1024))
		expectPiece(t, second, message.Content, 1, true, 1024, body[1024:2048])
		third := p.do(message.GET, "x", "", block2(2, 1024))
		expectPiece(t, third, message.Content, 2, false, 1024, body[2048:])
		tag, ok := first.ETag()
		for _, v := range []*message.View{second, third} {
			if other, _ := v.ETag(); !ok || other != tag || !v.Has(message.MaxAge) {
				t.Errorf("%v, want ETag %v and Max-Age", v, tag)
			}
		}
		expectPiece(t, p.do(message.GET, "x", "", block2(20, 64)), message.Content, 20, true, 64, body[1280:1344])
		if runs != 1 {
			t.Errorf("the handler ran %d times", runs)
		}
		expectPiece(t, p.do(message.GET, "x", "", block2(0, 16)), message.Content, 0, true, 16, body[:16])
		if runs != 2 {
			t.Errorf("the handler ran %d times, want a second representation", runs)
		}
	})
}

// The reply with a later block is not remembered for duplicates: the block is cut again from
// the same representation (RFC 7252 §4.5). That with the first one is, as a handler ran.
func TestServerCutsAgain(t *testing.T) {
	runs := 0
	h := coap.HandlerFunc(func(w coap.ResponseWriter, _ *coap.Request) { runs++; w.WriteString(text(2500)) })
	withServer(t, h, nil, func(t *testing.T, s *coaptest.Server) {
		p := newBlockPeer(t, s)
		for num := range uint32(2) {
			first := p.do(message.GET, "x", "", block2(num, 1024))
			p.id--
			again := p.do(message.GET, "x", "", block2(num, 1024))
			expectPiece(t, again, message.Content, num, true, 1024, text(2500)[num*1024:num*1024+1024])
			if string(first.Datagram()) != string(again.Datagram()) {
				t.Errorf("%v, then %v", first, again)
			}
		}
		if n := s.Config.Stats().Messages; runs != 1 || n.RepliesWaived != 2 || n.RepliesRepeated != 1 {
			t.Errorf("%d runs, %+v", runs, n)
		}
	})
}

// Any block may be asked for first; one behind the end, and the reserved size, get 4.00.
func TestServerRandomAccess(t *testing.T) {
	runs := 0
	h := coap.HandlerFunc(func(w coap.ResponseWriter, _ *coap.Request) { runs++; w.WriteString(text(100)) })
	withServer(t, h, nil, func(t *testing.T, s *coaptest.Server) {
		p := newBlockPeer(t, s)
		expectPiece(t, p.do(message.GET, "x", "", block2(5, 16)), message.Content, 5, true, 16, text(100)[80:96])
		expectPiece(t, p.do(message.GET, "x", "", block2(6, 16)), message.Content, 6, false, 16, text(100)[96:])
		if v := p.do(message.GET, "x", "", block2(7, 16)); v.Code() != message.BadRequest || v.Has(message.Block2) {
			t.Errorf("behind the end: %v", v)
		}
		before := runs
		if v := p.do(message.GET, "x", "", message.Option{Number: message.Block2, Value: []byte{7}}); v.Code() != message.BadRequest || runs != before {
			t.Errorf("SZX 7: %v, %d runs", v, runs-before)
		}
		expectPiece(t, p.do(message.GET, "x", "", block2(0, 256)), message.Content, 0, false, 256, text(100))
		v := p.do(message.GET, "x", "", message.Option{Number: message.Size2})
		if size, ok := v.Size2(); !ok || size != 100 || v.Has(message.Block2) {
			t.Errorf("asked for Size2: %v", v)
		}
	})
}

// The response to a POST is kept for its later blocks; once it is gone they get 4.08, and
// the handler does not run again.
func TestServerKeepsResponses(t *testing.T) {
	runs := 0
	h := coap.HandlerFunc(func(w coap.ResponseWriter, r *coap.Request) {
		runs++
		w.WriteString(strings.ToUpper(string(r.Payload())) + text(1500))
	})
	withServer(t, h, nil, func(t *testing.T, s *coaptest.Server) {
		p := newBlockPeer(t, s)
		expectPiece(t, p.do(message.POST, "x", "p"), message.Changed, 0, true, 1024, "P"+text(1500)[:1023])
		expectPiece(t, p.do(message.POST, "x", "", block2(1, 1024)), message.Changed, 1, false, 1024, text(1500)[1023:])
		if other := newBlockPeer(t, s); other.do(message.POST, "x", "", block2(1, 1024)).Code() != message.RequestEntityIncomplete {
			t.Error("another client got the response")
		}
		time.Sleep(248 * time.Second)
		if v := p.do(message.POST, "x", "", block2(1, 1024)); v.Code() != message.RequestEntityIncomplete || runs != 1 {
			t.Errorf("%v after %d runs", v, runs)
		}
		if n := s.Config.Stats().Responses; n.Snapshots != 0 || n.SnapshotBytes != 0 || n.Expired != 1 {
			t.Errorf("%+v", n)
		}
	})
}

// stored is a handler for bodies: PUT stores one, GET returns it.
type stored struct {
	body string
	runs int
}

func (s *stored) ServeCoAP(w coap.ResponseWriter, r *coap.Request) {
	if r.Method == message.GET {
		w.WriteString(s.body)
		return
	}
	s.runs++
	s.body = string(r.Payload())
}

// The handler sees a body when it is whole, and once, whatever is repeated
// (RFC 7959 §2.5).
func TestServerAssembles(t *testing.T) {
	h := &stored{body: "old"}
	withServer(t, h, nil, func(t *testing.T, s *coaptest.Server) {
		p, body := newBlockPeer(t, s), text(100)
		expectAck(t, p.do(message.PUT, "x", body[:64], block1(0, true, 64)), message.Continue, 0, true, 64)
		expectAck(t, p.do(message.PUT, "x", body[:64], block1(0, true, 64)), message.Continue, 0, true, 64)
		if h.runs != 0 {
			t.Error("the handler ran before the body was whole")
		}
		for range 2 { // the second one came although the first was answered
			expectAck(t, p.do(message.PUT, "x", body[64:], block1(1, false, 64)), message.Changed, 1, false, 64)
		}
		if h.runs != 1 || h.body != body {
			t.Errorf("%d runs, %q", h.runs, h.body)
		}
		expectAck(t, p.do(message.PUT, "x", body[64:], block1(3, true, 16)), message.BadRequest, 3, false, 16)
		expectAck(t, p.do(message.PUT, "x", body[48:64], block1(3, true, 16)), message.RequestEntityIncomplete, 3, false, 16)
		expectAck(t, p.do(message.PUT, "x", "all", block1(0, false, 16)), message.Changed, 0, false, 16)
		if h.body != "all" {
			t.Errorf("%q", h.body)
		}
		time.Sleep(248 * time.Second)
		if n := s.Config.Stats(); n.Uploads.Finished != 0 || n.Uploads.TransferBytes != 0 || n.Responses.Snapshots != 0 {
			t.Errorf("left: %+v %+v", n.Uploads, n.Responses)
		}
	})
}

// A body above the limit gets 4.13 with the limit, as soon as that is known; a route may
// have its own.
func TestServerBodyLimit(t *testing.T) {
	mux := coap.NewMux()
	mux.Handle("PUT /small", &stored{}, coap.BodyLimit(100))
	mux.Handle("PUT /large", &stored{}, coap.BodyLimit(300))
	mux.Handle("PUT /default", &stored{})
	mux.Handle("PUT /huge", &stored{}, coap.BodyLimit(8<<20)) // more than one client may make the server hold
	setup := func(s *coaptest.Server) { s.Config.Limits.BodyBytes = 200 }
	withServer(t, mux, setup, func(t *testing.T, s *coaptest.Server) {
		p := newBlockPeer(t, s)
		for resource, limit := range map[string]int{"small": 100, "default": 200, "large": 300} {
			refused := func(v *message.View, num uint32) {
				t.Helper()
				expectAck(t, v, message.RequestEntityTooLarge, num, false, 64)
				if size, ok := v.Size1(); !ok || int(size) != limit {
					t.Errorf("%s: Size1 %d, want %d", resource, size, limit)
				}
			}
			refused(p.do(message.PUT, resource, text(64), block1(0, true, 64), uintOption(message.Size1, uint32(limit+1))), 0)
			for num := range limit / 64 {
				expectAck(t, p.do(message.PUT, resource, text(64), block1(uint32(num), true, 64)), message.Continue, uint32(num), true, 64)
			}
			refused(p.do(message.PUT, resource, text(64), block1(uint32(limit/64), true, 64)), uint32(limit/64))
			if v := p.do(message.PUT, resource, text(limit+1)); v.Code() != message.RequestEntityTooLarge {
				t.Errorf("in one message: %v", v)
			}
		}
		for _, size := range []uint32{3 << 20, 9 << 20} {
			v := p.do(message.PUT, "huge", text(64), block1(0, true, 64), uintOption(message.Size1, size))
			expectAck(t, v, message.RequestEntityTooLarge, 0, false, 64)
			if limit, _ := v.Size1(); limit != 2<<20 {
				t.Errorf("%d of %d bytes: Size1 %d", size, 8<<20, limit)
			}
		}
	})
}

// A block for which there is no memory gets 5.03 with Max-Age, and its upload goes on when
// there is; counters tell.
func TestServerBusy(t *testing.T) {
	var got []string
	h := coap.HandlerFunc(func(_ coap.ResponseWriter, r *coap.Request) { got = append(got, string(r.Payload())) })
	setup := func(s *coaptest.Server) { s.Config.Limits = coap.Limits{BodyBytes: 4096, TransferBytes: 8192} }
	withServer(t, h, setup, func(t *testing.T, s *coaptest.Server) {
		p, q := newBlockPeer(t, s), newBlockPeer(t, s)
		put := func(p *blockPeer, num uint32, more bool) *message.View {
			return p.do(message.PUT, "x", text(4096)[num<<10:(num+1)<<10], block1(num, more, 1024))
		}
		for num := range uint32(2) {
			expectAck(t, put(p, num, true), message.Continue, num, true, 1024)
			expectAck(t, put(q, num, true), message.Continue, num, true, 1024)
		}
		expectAck(t, put(p, 2, true), message.Continue, 2, true, 1024)
		v := put(q, 2, true)
		expectAck(t, v, message.ServiceUnavailable, 2, false, 1024)
		if age, ok := v.MaxAge(); !ok || age != 5*time.Second {
			t.Errorf("Max-Age %v, %t", age, ok)
		}
		expectAck(t, put(p, 3, false), message.Changed, 3, false, 1024)
		expectAck(t, put(q, 2, true), message.Continue, 2, true, 1024)
		expectAck(t, put(q, 3, false), message.Changed, 3, false, 1024)
		if n := s.Config.Stats().Uploads; len(got) != 2 || got[0] != text(4096) || got[1] != text(4096) || n.Busy != 1 || n.Completed != 2 {
			t.Errorf("%d bodies, %+v", len(got), n)
		}
		expectIdle(t, s)
	})
}

// Preconditions are checked with the first block, and again when the body is whole
// (RFC 7959 §2.10).
func TestServerPreconditionsOfBodies(t *testing.T) {
	exists := false
	mux := coap.NewMux()
	h := &stored{}
	mux.Handle("PUT /{any}", h, coap.Validate(func(*coap.Request) ([]byte, bool) { return nil, exists }))
	withServer(t, mux, nil, func(t *testing.T, s *coaptest.Server) {
		p := newBlockPeer(t, s)
		absent := message.Option{Number: message.IfNoneMatch}
		for _, then := range []bool{false, true} {
			exists = false
			expectAck(t, p.do(message.PUT, "x", text(64), absent, block1(0, true, 64)), message.Continue, 0, true, 64)
			exists = then
			want := message.Changed
			if then {
				want = message.PreconditionFailed
			}
			expectAck(t, p.do(message.PUT, "x", "end", block1(1, false, 64)), want, 1, false, 64)
		}
		expectAck(t, p.do(message.PUT, "x", text(64), absent, block1(0, true, 64)), message.PreconditionFailed, 0, false, 64)
		if h.runs != 1 {
			t.Errorf("%d runs", h.runs)
		}
	})
}

// The parts of two uploads of one client are kept apart by Request-Tag, those of two
// clients by the client (RFC 9175 §3.3).
func TestServerKeepsUploadsApart(t *testing.T) {
	var got []string
	h := coap.HandlerFunc(func(_ coap.ResponseWriter, r *coap.Request) { got = append(got, string(r.Payload())) })
	withServer(t, h, nil, func(t *testing.T, s *coaptest.Server) {
		p, q := newBlockPeer(t, s), newBlockPeer(t, s)
		tagged := message.Option{Number: message.RequestTag, Value: []byte("t")}
		for num, piece := range []string{strings.Repeat("a", 16), "a"} {
			b := block1(uint32(num), num == 0, 16)
			p.do(message.PUT, "x", piece, b)
			p.do(message.PUT, "x", strings.ReplaceAll(piece, "a", "b"), b, tagged)
			q.do(message.PUT, "x", strings.ReplaceAll(piece, "a", "c"), b)
		}
		want := []string{strings.Repeat("a", 17), strings.Repeat("b", 17), strings.Repeat("c", 17)}
		if strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("got %q", got)
		}
	})
}

// A notification has the first block; the others are those of the same state, until the
// next notification (RFC 7959 §2.6).
func TestServerNotifiesFirstBlock(t *testing.T) {
	value := coap.NewState(strings.Repeat("0", 1500))
	mux := coap.NewMux()
	mux.Handle("GET /x", value, coap.Notifications(allConfirmable))
	setup := func(s *coaptest.Server) { s.Config.NotifyInterval = -1 }
	withServer(t, mux, setup, func(t *testing.T, s *coaptest.Server) {
		p := newBlockPeer(t, s)
		first := p.do(message.GET, "x", "", message.Option{Number: message.Observe})
		expectPiece(t, first, message.Content, 0, true, 1024, strings.Repeat("0", 1024))
		expectPiece(t, p.do(message.GET, "x", "", block2(1, 1024)), message.Content, 1, false, 1024, strings.Repeat("0", 476))
		for _, digit := range []string{"1", "2"} {
			value.Set(strings.Repeat(digit, 1500))
			v := p.receive(0)
			expectPiece(t, v, message.Content, 0, true, 1024, strings.Repeat(digit, 1024))
			if size, ok := v.Size2(); !ok || size != 1500 || !v.Has(message.Observe) {
				t.Errorf("%v", v)
			}
			p.send(datagram(t, message.Acknowledgement, message.Empty, v.ID(), message.Token{}, ""))
			rest := p.do(message.GET, "x", "", block2(1, 1024))
			expectPiece(t, rest, message.Content, 1, false, 1024, strings.Repeat(digit, 476))
			tag, _ := v.ETag()
			if other, ok := rest.ETag(); !ok || tag != other || rest.Has(message.Observe) {
				t.Errorf("%v belongs to %v", rest, v)
			}
		}
		if n := s.Config.Stats().Observations; n.Observers != 1 {
			t.Errorf("fetching blocks ended the observation: %+v", n)
		}
	})
}

// Blocks shrink where the options leave too little of the message.
func TestBlocksFitIntoMessages(t *testing.T) {
	location := "/" + strings.Repeat("l", 200)
	h := coap.HandlerFunc(func(w coap.ResponseWriter, _ *coap.Request) {
		w.SetLocation(location)
		w.WriteString(text(1000))
	})
	withServer(t, h, nil, func(t *testing.T, s *coaptest.Server) {
		v := newBlockPeer(t, s).do(message.POST, "x", "")
		expectPiece(t, v, message.Changed, 0, true, 512, text(1000)[:512])
		if n := len(v.Datagram()); n > 1152 {
			t.Errorf("%d bytes", n)
		}
	})
}

// 2.31 answers a block, not the request: No-Response does not suppress it (RFC 7967 §2.1).
func TestContinueIsNotSuppressed(t *testing.T) {
	withServer(t, &stored{}, nil, func(t *testing.T, s *coaptest.Server) {
		p := newBlockPeer(t, s)
		silent := uintOption(message.NoResponse, 2)
		expectAck(t, p.do(message.PUT, "x", text(32), block1(0, true, 32), silent), message.Continue, 0, true, 32)
		if v := p.do(message.PUT, "x", "end", block1(1, false, 32), silent); v.Code() != message.Empty {
			t.Errorf("%v, want an Acknowledgement alone", v)
		}
	})
}

// Limits that contradict each other are an error of Serve; so is half a block.
func TestTransferLimits(t *testing.T) {
	for _, limits := range []coap.Limits{
		{BodyBytes: 10 << 20, TransferBytes: 15 << 20}, {BlockBytes: 1000}, {TransferTimeout: -1}, {Transfers: -1},
	} {
		server := &coap.Server{Handler: say("x"), Limits: limits}
		n := simnet.New(1)
		conn, err := n.Listen(netip.MustParseAddrPort("192.0.2.1:5683"))
		if err != nil {
			t.Fatal(err)
		}
		if err := server.Serve(t.Context(), conn); err == nil {
			t.Errorf("%+v passed", limits)
		}
	}
}

// RFC 7959 §2.7: requests for later blocks of a response have no payload when that of a FETCH
// went up in blocks. Once the response is gone they don't tell any more what was asked for;
// where the payload comes along, the handler runs again.
func TestServerFetchIsGone(t *testing.T) {
	runs := 0
	h := coap.HandlerFunc(func(w coap.ResponseWriter, r *coap.Request) { runs++; w.Write(r.Payload()) })
	withServer(t, h, nil, func(t *testing.T, s *coaptest.Server) {
		p := newBlockPeer(t, s)
		expectAck(t, p.do(message.FETCH, "x", text(32), block1(0, true, 32)), message.Continue, 0, true, 32)
		expectPiece(t, p.do(message.FETCH, "x", text(20), block1(1, false, 32), block2(0, 16)), message.Content, 0, true, 16, text(16))
		time.Sleep(10 * time.Minute)
		if v := p.do(message.FETCH, "x", "", block2(1, 16)); v.Code() != message.RequestEntityIncomplete || runs != 1 {
			t.Errorf("%v after %d runs", v, runs)
		}
		expectPiece(t, p.do(message.FETCH, "x", text(52), block2(1, 16)), message.Content, 1, true, 16, text(52)[16:32])
	})
}

// An error has a body of any length like a success; its later blocks are those of the
// response that was kept.
func TestServerSlicesErrors(t *testing.T) {
	runs := 0
	h := coap.HandlerFunc(func(w coap.ResponseWriter, _ *coap.Request) {
		runs++
		w.SetCode(message.Conflict)
		w.WriteString(text(2500))
	})
	withServer(t, h, nil, func(t *testing.T, s *coaptest.Server) {
		p, body := newBlockPeer(t, s), text(2500)
		expectPiece(t, p.do(message.POST, "x", ""), message.Conflict, 0, true, 1024, body[:1024])
		expectPiece(t, p.do(message.POST, "x", "", block2(1, 1024)), message.Conflict, 1, true, 1024, body[1024:2048])
		expectPiece(t, p.do(message.POST, "x", "", block2(4, 512)), message.Conflict, 4, false, 512, body[2048:])
		expectPiece(t, p.do(message.POST, "x", "", block2(0, 64)), message.Conflict, 0, true, 64, body[:64])
		if runs != 2 {
			t.Errorf("the handler ran %d times", runs)
		}
		resp, err := s.Client().Post(t.Context(), s.URL, coap.Body{})
		if err != nil {
			t.Fatal(err)
		}
		if all, err := resp.Bytes(); err != nil || resp.Code != message.Conflict || string(all) != body {
			t.Errorf("%v, %d bytes, %v", resp.Code, len(all), err)
		}
	})
}
