package coap_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"testing/iotest"

	"github.com/motewire/coap"
	"github.com/motewire/coap/message"
)

// onlyReader hides all but Read.
type onlyReader struct{ io.Reader }

// A stream of any length arrives whole, with Size1 where its length can be known.
func TestStream(t *testing.T) {
	name := filepath.Join(t.TempDir(), "body")
	want := randomBody(1, 100)
	if err := os.WriteFile(name, append([]byte("read before "), want...), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.Seek(12, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	stat, err := os.DirFS(filepath.Dir(name)).Open("body")
	if err != nil {
		t.Fatal(err)
	}
	defer stat.Close()
	for _, tt := range []struct {
		name   string
		reader io.Reader
		first  string
		length int
		want   []byte
	}{
		{"unknown", onlyReader{bytes.NewReader(want)}, "POST 1:0/1/32 32", -1, want},
		{"Len", bytes.NewReader(want), "POST 1:0/1/32 size1=100 32", 100, want},
		{"file", file, "POST 1:0/1/32 size1=100 32", 100, want},
		{"fs.File", struct{ io.Reader }{stat}, "POST 1:0/1/32 32", -1, append([]byte("read before "), want...)},
		{"empty", onlyReader{bytes.NewReader(nil)}, "POST 0", -1, nil},
		{"one block", onlyReader{bytes.NewReader(want[:32])}, "POST 32", -1, want[:32]},
		{"two blocks", onlyReader{bytes.NewReader(want[:64])}, "POST 1:0/1/32 32", -1, want[:64]},
	} {
		t.Run(tt.name, func(t *testing.T) {
			withBlocks(t, 1024, func(t *testing.T, s *blockServer) {
				body := coap.Stream(tt.reader, message.OctetStream)
				if body.Len() != tt.length {
					t.Errorf("%d bytes long, want %d", body.Len(), tt.length)
				}
				c := s.client(nil)
				resp, err := c.Post(t.Context(), s.url, body, coap.BlockSize(32))
				if err != nil {
					t.Fatal(err)
				}
				expectBytes(t, resp, tt.want)
				list := s.take()
				if line := blockLines(list[:1])[0]; line != tt.first && line != tt.first[:len("POST")]+" 2:0/0/32"+tt.first[len("POST"):] {
					t.Errorf("%s, want %s", line, tt.first)
				}
				if f, ok := list[0].ContentFormat(); !ok || f != message.OctetStream {
					t.Errorf("format %v", f)
				}
				_, err = c.Post(t.Context(), s.url, body)
				expectError(t, err, coap.ErrStreamUsed)
				expectLines(t, s)
			})
		})
	}
}

// An error of the reader ends the call with it, and says where; nobody takes what was sent
// for the whole.
func TestStreamError(t *testing.T) {
	withBlocks(t, 32, func(t *testing.T, s *blockServer) {
		broken := errors.New("broken")
		r := io.MultiReader(bytes.NewReader(make([]byte, 70)), iotest.ErrReader(broken))
		_, err := s.client(nil).Put(t.Context(), s.url, coap.Stream(r, message.OctetStream), coap.BlockSize(32))
		expectError(t, err, broken, "PUT", "block 2/1/32, byte 64: broken")
		expectBlock(t, err, 64)
		if s.ran() != 0 {
			t.Error("the handler ran")
		}
	})
}

// What must be one message takes no stream.
func TestStreamInOneMessage(t *testing.T) {
	withBlocks(t, 32, func(t *testing.T, s *blockServer) {
		c := s.client(nil)
		body := func() coap.Body { return coap.Stream(bytes.NewReader(nil), message.TextPlain) }
		_, err := c.Put(t.Context(), s.url, body(), coap.Block(0, 16))
		expectError(t, err, coap.ErrOption)
		for _, err := range c.ObserveRequest(t.Context(), coap.NewRequest(message.FETCH, s.url, body())) {
			expectError(t, err, coap.ErrOption)
		}
		if _, err := coap.NewRequest(message.PUT, s.url, body()).AppendBinary(nil); !errors.Is(err, coap.ErrOption) {
			t.Error(err)
		}
	})
}
