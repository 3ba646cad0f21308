package coap_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/blockwise"
	"github.com/motewire/coap/coaptest"
	"github.com/motewire/coap/message"
)

// streaming is a Mux whose PUT /x reads its body as it arrives.
func streaming(h coap.HandlerFunc, opts ...coap.RouteOption) *coap.Mux {
	mux := coap.NewMux()
	mux.Handle("PUT /x", h, append(opts, coap.StreamBody())...)
	return mux
}

// The handler reads the body as it arrives; a block is answered when it was read, and the
// response goes with the last one.
func TestStreamBody(t *testing.T) {
	var got []string
	h := func(w coap.ResponseWriter, r *coap.Request) {
		body := r.BodyReader()
		for {
			b := make([]byte, 24)
			n, err := body.Read(b)
			got = append(got, string(b[:n]))
			if err != nil {
				w.WriteString(err.Error())
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	withServer(t, streaming(h), nil, func(t *testing.T, s *coaptest.Server) {
		p, began := newBlockPeer(t, s), time.Now()
		p.ask(message.PUT, "x", text(32), block1(0, true, 32))
		p.ask(message.PUT, "x", text(32), block1(0, true, 32)) // the same again takes its place
		if v := p.receive(time.Second); v.Code() != message.Empty || v.ID() != 101 {
			t.Errorf("%v, want an Acknowledgement alone", v)
		}
		expectAck(t, p.receive(time.Second), message.Continue, 0, true, 32)
		for num := uint32(1); num < 4; num++ {
			p.ask(message.PUT, "x", text(32), block1(num, num < 3, 32))
			code, more := message.Continue, true
			if num == 3 {
				code, more = message.Changed, false
			}
			expectAck(t, p.receive(time.Second), code, num, more, 32)
		}
		if body := strings.Join(got, ""); body != strings.Repeat(text(32), 4) {
			t.Errorf("read %q", got)
		}
		if took := time.Since(began); took < 140*time.Millisecond {
			t.Errorf("the reader did not hold the client back: %v", took)
		}
		if v := p.do(message.PUT, "x", text(32), block1(3, false, 32)); string(v.Payload()) != "EOF" {
			t.Errorf("the last block again: %v", v)
		}
		p.ask(message.PUT, "x", "in one message")
		if v := p.receive(time.Second); string(v.Payload()) != "EOF" || got[len(got)-2] != "in one message" {
			t.Errorf("%v after reading %q", v, got)
		}
		if n := s.Config.Stats(); n.HandlersAway > 0 || n.Uploads.Transfers != 0 {
			t.Errorf("left: %+v", n)
		}
	})
}

// A gap, a new beginning, silence and the server's end are errors of the reader, never the
// end of the body, and its response is dropped.
func TestStreamBodyEndsEarly(t *testing.T) {
	for name, c := range map[string]struct {
		then func(t *testing.T, p *blockPeer, s *coaptest.Server)
		want error
	}{
		"gap": {func(t *testing.T, p *blockPeer, _ *coaptest.Server) {
			expectAck(t, p.do(message.PUT, "x", text(32), block1(3, true, 32)), message.RequestEntityIncomplete, 3, false, 32)
		}, blockwise.ErrIncomplete},
		"restart": {func(t *testing.T, p *blockPeer, _ *coaptest.Server) {
			expectAck(t, p.do(message.PUT, "x", strings.Repeat("n", 32), block1(0, true, 32)), message.Continue, 0, true, 32)
		}, blockwise.ErrRestarted},
		"silence": {func(*testing.T, *blockPeer, *coaptest.Server) { time.Sleep(248 * time.Second) }, blockwise.ErrExpired},
		"close":   {func(_ *testing.T, _ *blockPeer, s *coaptest.Server) { s.Close() }, coap.ErrClosed},
	} {
		t.Run(name, func(t *testing.T) {
			ended := make(chan error, 2)
			h := func(w coap.ResponseWriter, r *coap.Request) {
				_, err := io.ReadAll(r.BodyReader())
				<-r.Context().Done()
				ended <- err
			}
			withServer(t, streaming(h), nil, func(t *testing.T, s *coaptest.Server) {
				p := newBlockPeer(t, s)
				expectAck(t, p.do(message.PUT, "x", text(32), block1(0, true, 32)), message.Continue, 0, true, 32)
				expectAck(t, p.do(message.PUT, "x", text(32), block1(1, true, 32)), message.Continue, 1, true, 32)
				c.then(t, p, s)
				if err := <-ended; !errors.Is(err, c.want) || !errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
					t.Errorf("the reader's error is %v, want %v", err, c.want)
				}
			})
		})
	}
}

// A request with a block that another one takes the place of, or that the server's end
// leaves unread, is over for the Trace as well.
func TestStreamBodyTrace(t *testing.T) {
	var begun, ended atomic.Int32
	h := func(_ coap.ResponseWriter, r *coap.Request) {
		time.Sleep(time.Second)
		io.Copy(io.Discard, r.BodyReader())
	}
	setup := func(s *coaptest.Server) {
		s.Config.Trace = &coap.Trace{
			Begin: func(coap.TraceExchange) { begun.Add(1) },
			End:   func(coap.TraceExchange) { s.Config.Stats(); ended.Add(1) }, // no lock is held
		}
	}
	withServer(t, streaming(h), setup, func(t *testing.T, s *coaptest.Server) {
		p := newBlockPeer(t, s)
		expect := func(wantBegun, wantEnded int32) {
			t.Helper()
			synctest.Wait()
			if b, e := begun.Load(), ended.Load(); b != wantBegun || e != wantEnded {
				t.Errorf("%d requests began and %d ended, want %d and %d", b, e, wantBegun, wantEnded)
			}
		}
		p.ask(message.PUT, "x", text(32), block1(0, true, 32))
		time.Sleep(10 * time.Millisecond)
		p.ask(message.PUT, "x", text(32), block1(0, true, 32))
		time.Sleep(10 * time.Millisecond)
		expect(2, 1)
		s.Close()
		time.Sleep(2 * time.Second)
		expect(2, 2)
	})
}

// A handler that returns early answers at once with an error, and with the last block
// otherwise.
func TestStreamBodyHandlerReturnsEarly(t *testing.T) {
	code := message.Changed
	h := func(w coap.ResponseWriter, r *coap.Request) {
		io.ReadFull(r.BodyReader(), make([]byte, 40))
		w.SetCode(code)
		w.WriteString("early")
	}
	withServer(t, streaming(h), nil, func(t *testing.T, s *coaptest.Server) {
		p := newBlockPeer(t, s)
		for num := range uint32(4) {
			want := message.Continue
			if num == 3 {
				want = message.Changed
			}
			expectAck(t, p.do(message.PUT, "x", text(32), block1(num, num < 3, 32)), want, num, num < 3, 32)
		}
		code = message.Forbidden
		expectAck(t, p.do(message.PUT, "x", text(32), block1(0, true, 32)), message.Continue, 0, true, 32)
		v := p.do(message.PUT, "x", text(32), block1(1, true, 32))
		if v.Code() != message.Forbidden || string(v.Payload()) != "early" {
			t.Errorf("%v, want the handler's error", v)
		}
		expectAck(t, p.do(message.PUT, "x", text(32), block1(2, true, 32)), message.RequestEntityIncomplete, 2, false, 32)
		time.Sleep(248 * time.Second)
		if n := s.Config.Stats(); n.HandlersAway != 0 || n.Uploads.Transfers+n.Uploads.Finished != 0 {
			t.Errorf("left: %+v", n)
		}
	})
}

// What the handler can't see because its reader waits is still checked: preconditions with
// the first block, the limit with each, and how many handlers there may be.
func TestStreamBodyLimits(t *testing.T) {
	h := func(w coap.ResponseWriter, r *coap.Request) { io.Copy(io.Discard, r.BodyReader()) }
	setup := func(s *coaptest.Server) { s.Config.Limits.Handlers = 1; s.Config.Limits.BodyBytes = 20 }
	withServer(t, streaming(h, coap.BodyLimit(100)), setup, func(t *testing.T, s *coaptest.Server) {
		p, q := newBlockPeer(t, s), newBlockPeer(t, s)
		expectAck(t, p.do(message.PUT, "x", text(64), block1(0, true, 64), message.Option{Number: message.IfNoneMatch}), message.PreconditionFailed, 0, false, 64)
		expectAck(t, p.do(message.PUT, "x", text(64), block1(0, true, 64)), message.Continue, 0, true, 64)
		expectAck(t, q.do(message.PUT, "x", text(64), block1(0, true, 64)), message.ServiceUnavailable, 0, false, 64)
		expectAck(t, p.do(message.PUT, "x", text(64), block1(1, true, 64)), message.RequestEntityTooLarge, 1, false, 64)
		time.Sleep(time.Millisecond) // the handler ends
		expectAck(t, q.do(message.PUT, "x", text(64), block1(0, true, 64)), message.Continue, 0, true, 64)
		expectAck(t, q.do(message.PUT, "x", text(36), block1(1, false, 64)), message.Changed, 1, false, 64)
	})
}

// A detached response goes with the last block as well, and a panic is 5.00.
func TestStreamBodyDetachesAndPanics(t *testing.T) {
	panics := false
	h := func(w coap.ResponseWriter, r *coap.Request) {
		io.Copy(io.Discard, r.BodyReader())
		if panics {
			panic("at the end")
		}
		later := w.Detach()
		go func() {
			time.Sleep(10 * time.Second)
			later.WriteString("later")
			later.Send()
		}()
	}
	withServer(t, streaming(h), nil, func(t *testing.T, s *coaptest.Server) {
		p := newBlockPeer(t, s)
		upload := func() *message.View {
			expectAck(t, p.do(message.PUT, "x", text(32), block1(0, true, 32)), message.Continue, 0, true, 32)
			p.ask(message.PUT, "x", "end", block1(1, false, 32))
			return p.receive(11 * time.Second)
		}
		if v := upload(); v.Code() != message.Empty || v.Type() != message.Acknowledgement {
			t.Errorf("%v, want the Acknowledgement", v)
		}
		v := p.receive(11 * time.Second)
		if expectAck(t, v, message.Changed, 1, false, 32); string(v.Payload()) != "later" {
			t.Errorf("%v", v)
		}
		p.send(datagram(t, message.Acknowledgement, message.Empty, v.ID(), message.Token{}, ""))
		panics = true
		expectAck(t, upload(), message.InternalServerError, 1, false, 32)
	})
}

// A handler that detaches and never sends is not waited for longer than HandlerTimeout and a
// second, counted from the last block, or a second from when it is known that the rest of the
// body won't come. Until then it may take its time.
func TestStreamBodyDetachesForGood(t *testing.T) {
	for name, c := range map[string]struct {
		gap  bool
		late time.Duration // of the answer, after the last block
	}{"complete": {late: 11 * time.Second}, "gap": {gap: true}} {
		t.Run(name, func(t *testing.T) {
			contexts, sends := make(chan context.Context, 1), make(chan coap.Responder, 1)
			h := func(w coap.ResponseWriter, r *coap.Request) {
				d, body := w.Detach(), r.BodyReader()
				contexts <- r.Context()
				go func() {
					io.Copy(io.Discard, body)
					sends <- d
				}()
			}
			setup := func(s *coaptest.Server) { s.Config.Limits.HandlerTimeout = 10 * time.Second }
			withServer(t, streaming(h), setup, func(t *testing.T, s *coaptest.Server) {
				p := newBlockPeer(t, s)
				expectAck(t, p.do(message.PUT, "x", text(32), block1(0, true, 32)), message.Continue, 0, true, 32)
				ctx := <-contexts
				time.Sleep(time.Minute)
				if ctx.Err() != nil {
					t.Errorf("while the body arrives: %v", ctx.Err())
				}
				if c.gap {
					expectAck(t, p.do(message.PUT, "x", text(32), block1(3, true, 32)), message.RequestEntityIncomplete, 3, false, 32)
					time.Sleep(2 * time.Second)
				} else {
					began := time.Now()
					p.ask(message.PUT, "x", "end", block1(1, false, 32))
					p.receive(2 * time.Second) // the Acknowledgement
					v := p.separate()
					expectAck(t, v, message.ServiceUnavailable, 1, false, 32)
					if took := time.Since(began); took != c.late || context.Cause(ctx) != context.DeadlineExceeded {
						t.Errorf("after %v, %v", took, context.Cause(ctx))
					}
				}
				synctest.Wait()
				if n := s.Config.Stats(); n.HandlersAway != 0 || n.Uploads.Transfers != 0 || n.Messages.PendingRequests != 0 {
					t.Errorf("left: %+v", n)
				}
				if err := (<-sends).Send(); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("Send: %v", err)
				}
			})
		})
	}
}

// A panickingReader has one byte.
type panickingReader struct{ told bool }

func (p *panickingReader) Read(b []byte) (int, error) {
	if p.told {
		panic("read too far")
	}
	p.told = true
	return copy(b, "x"), nil
}

// A handler that reads its request's body as it arrives may answer with a stream as well,
// be it before the last block or behind it.
func TestStreamBodyAnswersWithStream(t *testing.T) {
	early, broken := false, false
	h := func(w coap.ResponseWriter, r *coap.Request) {
		if !early {
			io.Copy(io.Discard, r.BodyReader())
		}
		if w.SetBody(coap.Stream(strings.NewReader(text(100)), message.OctetStream)); broken {
			w.SetBody(coap.Stream(&panickingReader{}, message.OctetStream))
		}
	}
	withServer(t, streaming(h), nil, func(t *testing.T, s *coaptest.Server) {
		p := newBlockPeer(t, s)
		for range 2 {
			expectAck(t, p.do(message.PUT, "x", text(32), block1(0, true, 32)), message.Continue, 0, true, 32)
			v := p.do(message.PUT, "x", text(32), block1(1, false, 32), block2(0, 64))
			expectAck(t, v, message.Changed, 1, false, 32)
			expectPiece(t, v, message.Changed, 0, true, 64, text(100)[:64])
			expectPiece(t, p.do(message.PUT, "x", "", block2(1, 64)), message.Changed, 1, false, 64, text(100)[64:])
			early = true
		}
		early, broken = false, true
		expectAck(t, p.do(message.PUT, "x", text(32), block1(0, true, 32)), message.Continue, 0, true, 32)
		expectAck(t, p.do(message.PUT, "x", text(32), block1(1, false, 32), block2(0, 64)), message.InternalServerError, 1, false, 32)
		if n := s.Config.Stats(); n.HandlerPanics != 1 || n.HandlersAway != 0 {
			t.Errorf("%+v", n)
		}
	})
}
