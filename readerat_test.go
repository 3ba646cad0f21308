package coap_test

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/motewire/coap"
	"github.com/motewire/coap/blockwise"
	"github.com/motewire/coap/message"
)

var _ io.ReaderAt = (*coap.ReaderAt)(nil)

// A ReaderAt reads any range, by as many requests as it has blocks.
func TestReaderAt(t *testing.T) {
	withBlocks(t, 64, func(t *testing.T, s *blockServer) {
		for _, size := range []int{0, 1, 63, 64, 65, 1000} {
			want := randomBody(1, size)
			s.serve(message.Content, want)
			a, err := s.client(nil).ReaderAt(t.Context(), s.url+"/x")
			if err != nil {
				t.Fatal(err)
			}
			if n, known := a.Size(); n != int64(size) || !known {
				t.Errorf("size %d, %t, want %d", n, known, size)
			}
			if err := iotest.TestReader(io.NewSectionReader(a, 0, int64(size)), want); err != nil {
				t.Errorf("%d bytes: %v", size, err)
			}
		}
		a, err := s.client(nil).ReaderAt(t.Context(), s.url)
		if err != nil {
			t.Fatal(err)
		}
		s.take()
		p, want := make([]byte, 100), randomBody(1, 1000)
		if n, err := a.ReadAt(p, 130); n != 100 || err != nil || !bytes.Equal(p, want[130:230]) {
			t.Errorf("%d bytes, %v", n, err)
		}
		expectLines(t, s, "GET 2:2/0/64 0", "GET 2:3/0/64 0")
		for _, tt := range []struct {
			off int64
			n   int
		}{{950, 50}, {960, 40}, {999, 1}, {1000, 0}, {5000, 0}, {1 << 40, 0}} {
			if n, err := a.ReadAt(p, tt.off); n != tt.n || err != io.EOF || !bytes.Equal(p[:n], want[1000-n:]) {
				t.Errorf("at %d: %d bytes, %v", tt.off, n, err)
			}
		}
		if _, err := a.ReadAt(p, -1); err == nil || err == io.EOF {
			t.Errorf("at -1: %v", err)
		}
		if n, err := a.ReadAt(nil, 5); n != 0 || err != nil {
			t.Errorf("nothing: %d, %v", n, err)
		}
		var group sync.WaitGroup
		for i := range 8 {
			group.Go(func() {
				p := make([]byte, 100)
				if n, err := a.ReadAt(p, int64(i*100)); n != 100 || err != nil || !bytes.Equal(p, want[i*100:i*100+100]) {
					t.Errorf("at %d: %d bytes, %v", i*100, n, err)
				}
			})
		}
		group.Wait()
	})
}

// What a representation that has changed has in it is never taken for a part of the first
// one, nor its end for that one's.
func TestReaderAtPinned(t *testing.T) {
	withBlocks(t, 64, func(t *testing.T, s *blockServer) {
		body := randomBody(1, 1000)
		size2 := true
		s.scripted(func(v *message.View) *message.Message {
			slice, ok := blockwise.WishOf(v).Slice(len(body), s.szx)
			if !ok {
				return &message.Message{Code: message.BadRequest}
			}
			slice.Size2 = slice.Size2 && size2
			return blockMessage(&blockwise.Result{}, &blockwise.Snapshot{Code: message.Content, Body: body, ETag: blockwise.ETag(body)}, slice)
		})
		open := func() *coap.ReaderAt {
			body = randomBody(1, 1000)
			a, err := s.client(nil).ReaderAt(t.Context(), s.url)
			if err != nil {
				t.Fatal(err)
			}
			return a
		}
		for _, size2 = range []bool{true, false} {
			a, p := open(), make([]byte, 10)
			if n, err := a.ReadAt(p, 2000); n != 0 || err != io.EOF { // behind the end, not known yet
				t.Errorf("%d bytes, %v", n, err)
			}
			body = randomBody(2, 1000)
			n, err := a.ReadAt(p, 500)
			expectError(t, err, coap.ErrETagChanged, "block 7/0/64", "want ETag")
			if n != 0 {
				t.Errorf("%d bytes of another representation", n)
			}
			a = open()
			body = randomBody(2, 100)
			if _, err := a.ReadAt(p, 500); errors.Is(err, io.EOF) || err == nil {
				t.Errorf("%v of what became shorter", err)
			}
			a = open()
			s.szx = 0 // smaller blocks are no change
			if n, err := a.ReadAt(p, 60); n != 10 || err != nil || !bytes.Equal(p, body[60:70]) {
				t.Errorf("%d bytes, %v", n, err)
			}
			if n, err := a.ReadAt(p, 3*64+40); n != 10 || err != nil || !bytes.Equal(p, body[232:242]) {
				t.Errorf("%d bytes, %v", n, err)
			}
			s.szx = 2
		}
	})
}

// A response that is no representation is an error.
func TestReaderAtRefused(t *testing.T) {
	withBlocks(t, 64, func(t *testing.T, s *blockServer) {
		c := s.client(nil)
		s.serve(message.NotFound, nil)
		_, err := c.ReaderAt(t.Context(), s.url)
		var e *coap.ResponseError
		if !errors.As(err, &e) || e.Code != message.NotFound {
			t.Error(err)
		}
		s.serve(message.Valid, nil)
		_, err = c.ReaderAt(t.Context(), s.url)
		expectError(t, err, coap.ErrBlockProtocol, "2.03")
		_, err = c.ReaderAt(t.Context(), s.url, coap.Block(1, 64))
		expectError(t, err, coap.ErrOption)
		_, err = c.ReaderAt(t.Context(), "http://x")
		expectError(t, err, coap.ErrURL)
	})
}
