package coap_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/coaptest"
	"github.com/motewire/coap/message"
)

// A source is a reader that counts what is asked of it; it can't be read at random.
type source struct {
	io.Reader
	read, closed atomic.Int64
}

func (s *source) Read(b []byte) (int, error) {
	n, err := s.Reader.Read(b)
	s.read.Add(int64(n))
	return n, err
}

func (s *source) Close() error { s.closed.Add(1); return nil }

// A response's stream is read block by block, no further than the client has asked, and
// closed when that asks no more.
func TestSetBodyStream(t *testing.T) {
	src := &source{Reader: strings.NewReader(text(150))}
	runs := 0
	h := coap.HandlerFunc(func(w coap.ResponseWriter, _ *coap.Request) {
		runs++
		w.SetBody(coap.Stream(src, message.OctetStream))
	})
	withServer(t, h, nil, func(t *testing.T, s *coaptest.Server) {
		p := newBlockPeer(t, s)
		first := p.do(message.GET, "x", "", block2(0, 64))
		expectPiece(t, first, message.Content, 0, true, 64, text(150)[:64])
		if n := src.read.Load(); n != 65 || first.Has(message.Size2) {
			t.Errorf("%d bytes read for %v", n, first)
		}
		for range 2 {
			expectPiece(t, p.do(message.GET, "x", "", block2(1, 64)), message.Content, 1, true, 64, text(150)[64:128])
		}
		if v := p.do(message.GET, "x", "", block2(0, 16)); v.Code() != message.Content { // runs the handler again
			t.Error(v)
		}
		expectPiece(t, p.do(message.GET, "x", "", block2(1, 16)), message.Content, 1, false, 16, text(150)[145:])
	})
	if n := src.closed.Load(); n != 2 || runs != 2 {
		t.Errorf("closed %d times after %d runs", n, runs)
	}
}

// What can be read at random is, from where it stands, and Size2 tells its length.
func TestSetBodyReaderAt(t *testing.T) {
	h := coap.HandlerFunc(func(w coap.ResponseWriter, _ *coap.Request) {
		r := strings.NewReader("skipped" + text(100))
		r.Seek(7, io.SeekStart)
		w.SetETag([]byte("tag"))
		w.SetBody(coap.Stream(r, message.OctetStream))
	})
	withServer(t, h, nil, func(t *testing.T, s *coaptest.Server) {
		p := newBlockPeer(t, s)
		first := p.do(message.GET, "x", "", block2(0, 32))
		expectPiece(t, first, message.Content, 0, true, 32, text(100)[:32])
		if size, ok := first.Size2(); !ok || size != 100 {
			t.Errorf("%v", first)
		}
		for _, num := range []uint32{3, 1, 2, 0} {
			start, end := num*32, min(num*32+32, 100)
			v := p.do(message.GET, "x", "", block2(num, 32))
			expectPiece(t, v, message.Content, num, end < 100, 32, text(100)[start:end])
			if tag, _ := v.ETag(); tag.String() == "" || !bytes.Equal(tag.Append(nil), []byte("tag")) {
				t.Errorf("%v", v)
			}
		}
		if v := p.do(message.GET, "x", "", block2(4, 32)); v.Code() != message.BadRequest {
			t.Error(v)
		}
		if v := p.do(message.GET, "x", "", message.Option{Number: message.ETag, Value: []byte("tag")}); v.Code() != message.Valid || len(v.Payload()) > 0 {
			t.Error(v)
		}
	})
}

// A stream is closed with what drops it: validation, another body, a panic, the server's
// end, and the last word of a transfer.
func TestSetBodyStreamIsClosed(t *testing.T) {
	src := &source{Reader: strings.NewReader(text(5000))}
	mux := coap.NewMux()
	stream := func(then func(w coap.ResponseWriter)) coap.HandlerFunc {
		return func(w coap.ResponseWriter, _ *coap.Request) {
			w.SetETag([]byte("tag"))
			w.SetBody(coap.Stream(src, message.OctetStream))
			then(w)
		}
	}
	mux.Handle("GET /plain", stream(func(coap.ResponseWriter) {}))
	mux.Handle("GET /replaced", stream(func(w coap.ResponseWriter) { w.SetBody(coap.Text("other")) }))
	mux.Handle("GET /error", stream(func(w coap.ResponseWriter) { coap.Error(w, message.Forbidden, "no") }))
	mux.Handle("GET /panic", stream(func(coap.ResponseWriter) { panic("now") }))
	withServer(t, mux, nil, func(t *testing.T, s *coaptest.Server) {
		p := newBlockPeer(t, s)
		expect := func(want int64, v *message.View, code message.Code) {
			t.Helper()
			time.Sleep(time.Millisecond)
			if n := src.closed.Load(); n != want || v.Code() != code {
				t.Errorf("%v, closed %d times, want %v and %d", v, n, code, want)
			}
		}
		expect(1, p.do(message.GET, "replaced", ""), message.Content)
		expect(2, p.do(message.GET, "error", ""), message.Forbidden)
		expect(3, p.do(message.GET, "panic", ""), message.InternalServerError)
		expect(4, p.do(message.GET, "plain", "", message.Option{Number: message.ETag, Value: []byte("tag")}), message.Valid)
		expect(5, p.do(message.GET, "plain", "", message.Option{Number: message.Accept}), message.NotAcceptable)
		expect(5, p.do(message.GET, "plain", ""), message.Content)
		expect(6, p.do(message.GET, "plain", ""), message.Content) // takes the place of the one before
	})
	if n := src.closed.Load(); n != 7 {
		t.Errorf("closed %d times in the end", n)
	}
}

// An error of the stream is the server's: 5.00 and a line in the log.
func TestSetBodyStreamFails(t *testing.T) {
	var log logBuffer
	setup := func(s *coaptest.Server) { s.Config.Logger = log.logger() }
	h := coap.HandlerFunc(func(w coap.ResponseWriter, _ *coap.Request) {
		broken := io.MultiReader(strings.NewReader(text(100)), errorReader{})
		w.SetBody(coap.Stream(broken, message.OctetStream))
	})
	withServer(t, h, setup, func(t *testing.T, s *coaptest.Server) {
		p := newBlockPeer(t, s)
		expectPiece(t, p.do(message.GET, "x", "", block2(0, 64)), message.Content, 0, true, 64, text(100)[:64])
		if v := p.do(message.GET, "x", "", block2(1, 64)); v.Code() != message.InternalServerError || !strings.Contains(log.String(), "disk on fire") {
			t.Errorf("%v\n%s", v, log.String())
		}
	})
}

// A stream that is no longer what it was is never mixed with what it is now: the client is
// told to begin again, and finds the new state then.
func TestSetBodyStreamChanges(t *testing.T) {
	version := "a"
	h := coap.HandlerFunc(func(w coap.ResponseWriter, _ *coap.Request) {
		begun := version
		w.SetBody(coap.Stream(readerAtFunc(func(p []byte, off int64) (int, error) {
			if version != begun {
				return 0, fmt.Errorf("replaced: %w", coap.ErrETagChanged)
			}
			return strings.NewReader(strings.Repeat(begun, 100)).ReadAt(p, off)
		}), message.OctetStream))
	})
	withServer(t, h, nil, func(t *testing.T, s *coaptest.Server) {
		p := newBlockPeer(t, s)
		expectPiece(t, p.do(message.GET, "x", "", block2(0, 64)), message.Content, 0, true, 64, strings.Repeat("a", 64))
		version = "b"
		if v := p.do(message.GET, "x", "", block2(1, 64)); v.Code() != message.RequestEntityIncomplete {
			t.Error(v)
		}
		version = "c"
		resp, err := s.Client().Get(t.Context(), s.URL+"/x", coap.BlockSize(64))
		if err != nil {
			t.Fatal(err)
		}
		version = "d"
		if body, err := resp.Bytes(); string(body) != strings.Repeat("d", 100) || err != nil {
			t.Errorf("%q, %v", body, err)
		}
	})
}

// readerAtFunc is a reader at random that begins at 0.
type readerAtFunc func(p []byte, off int64) (int, error)

func (f readerAtFunc) ReadAt(p []byte, off int64) (int, error) { return f(p, off) }
func (f readerAtFunc) Read(p []byte) (int, error)              { return f(p, 0) }
func (f readerAtFunc) Seek(int64, int) (int64, error)          { return 0, nil }

type errorReader struct{}

func (errorReader) Read([]byte) (int, error) { return 0, errors.New("disk on fire") }

// A server that closes gives the streams that it holds away to be closed and keeps none,
// so that a handler that returns after that leaves them alone.
func TestSetBodyStreamGivenAwayAtTheEnd(t *testing.T) {
	src := &source{Reader: strings.NewReader(text(150))}
	h := coap.HandlerFunc(func(w coap.ResponseWriter, _ *coap.Request) { w.SetBody(coap.Stream(src, message.OctetStream)) })
	withServer(t, h, nil, func(t *testing.T, s *coaptest.Server) {
		get(t, newClient(t, s, nil), s.URL, coap.Block(0, 64))
		s.Close()
		if n, closed := s.Config.Closing(), src.closed.Load(); n != 0 || closed != 1 {
			t.Errorf("%d streams held, closed %d times", n, closed)
		}
	})
}

// shortReader tells a length that it doesn't have, or ends by an error that holds io.EOF.
type shortReader struct {
	*strings.Reader
	length int
	err    error
}

func (r *shortReader) Len() int { return r.length }

func (r *shortReader) ReadAt(b []byte, off int64) (int, error) {
	n, err := r.Reader.ReadAt(b, off)
	if err == io.EOF && r.err != nil {
		err = r.err
	}
	return n, err
}

// A body that ends before its time is never the whole one, be it that it shrank, or that its
// reader failed by an error about an end; one that grew ends where it was said to.
func TestSetBodyStreamIsNeverShort(t *testing.T) {
	broken := func() io.Reader { return strings.NewReader(text(100)) }
	for name, c := range map[string]struct {
		reader func() io.Reader
		code   message.Code
		last   string
	}{
		"at random, shrunk": {func() io.Reader { return &shortReader{strings.NewReader(text(100)), 130, nil} }, message.RequestEntityIncomplete, ""},
		"at random, grown":  {func() io.Reader { return &shortReader{strings.NewReader(text(150)), 100, nil} }, message.Content, text(100)[64:]},
		"at random, wrapped end": {func() io.Reader {
			return &shortReader{strings.NewReader(text(100)), 100, fmt.Errorf("gone: %w", io.EOF)}
		}, message.InternalServerError, ""},
		"in turn, truncated":   {func() io.Reader { return io.MultiReader(broken(), failing{io.ErrUnexpectedEOF}) }, message.InternalServerError, ""},
		"in turn, wrapped end": {func() io.Reader { return io.MultiReader(broken(), failing{fmt.Errorf("gone: %w", io.EOF)}) }, message.InternalServerError, ""},
	} {
		t.Run(name, func(t *testing.T) {
			h := coap.HandlerFunc(func(w coap.ResponseWriter, _ *coap.Request) { w.SetBody(coap.Stream(c.reader(), message.OctetStream)) })
			withServer(t, h, nil, func(t *testing.T, s *coaptest.Server) {
				p := newBlockPeer(t, s)
				expectPiece(t, p.do(message.GET, "x", "", block2(0, 64)), message.Content, 0, true, 64, text(100)[:64])
				if v := p.do(message.GET, "x", "", block2(1, 64)); v.Code() != c.code || c.last != "" && string(v.Payload()) != c.last {
					t.Errorf("%v, want %v", v, c.code)
				}
			})
		})
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// The stream of a notification is read like its handler runs: a panic of it is 5.00, and ends
// the observation as any error does.
func TestSetBodyStreamPanicsForObservers(t *testing.T) {
	var subject coap.Subject
	panics := false
	mux := coap.NewMux()
	mux.HandleFunc("GET /x", func(w coap.ResponseWriter, _ *coap.Request) {
		if panics {
			w.SetBody(coap.Stream(panicking{}, message.OctetStream))
			return
		}
		w.SetBody(coap.Stream(strings.NewReader("fine"), message.OctetStream))
	}, coap.Observable(&subject), coap.Notifications(allConfirmable))
	withServer(t, mux, nil, func(t *testing.T, s *coaptest.Server) {
		p := newBlockPeer(t, s)
		p.do(message.GET, "x", "", message.Option{Number: message.Observe})
		for _, want := range []message.Code{message.Content, message.InternalServerError} {
			subject.Notify()
			v := p.receive(time.Second)
			if v.Code() != want || want == message.Content && string(v.Payload()) != "fine" {
				t.Errorf("%v, want %v", v, want)
			}
			p.send(datagram(t, message.Acknowledgement, message.Empty, v.ID(), message.Token{}, ""))
			panics = true
		}
		time.Sleep(time.Millisecond)
		if n := s.Config.Stats(); n.HandlerPanics != 1 || n.Observations.Observers != 0 {
			t.Errorf("%+v", n)
		}
	})
}

type panicking struct{}

func (panicking) Read([]byte) (int, error) { panic("while it is read") }
