package coap_test

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/motewire/coap"
	"github.com/motewire/coap/blockwise"
	"github.com/motewire/coap/coaptest"
	"github.com/motewire/coap/message"
)

// changing answers what has no Block1 with another representation of 100 bytes after so many requests each
// time, and keeps none for later blocks.
func (s *blockServer) changing(every int) {
	n := 0
	s.scripted(func(v *message.View) *message.Message {
		if v.Has(message.Block1) {
			return nil
		}
		body := randomBody(uint64(n/every), 100)
		n++
		slice, ok := blockwise.WishOf(v).Slice(len(body), s.szx)
		if !ok {
			return &message.Message{Code: message.BadRequest}
		}
		return blockMessage(&blockwise.Result{}, &blockwise.Snapshot{
			Code: message.Content, Body: body, ETag: blockwise.ETag(body),
			Options: []message.Option{uintOption(message.MaxAge, uint32(n))},
		}, slice)
	})
}

// §2.4: "If the ETag Options do not match in a GET transfer, the requester has the option of
// attempting to retrieve fresh values for the blocks it retrieved first."
func TestBytesRestart(t *testing.T) {
	withBlocks(t, 32, func(t *testing.T, s *blockServer) {
		c := s.client(nil)
		s.changing(3)
		resp := get(t, c, s.url, coap.ETag([]byte("old")))
		if !bytes.Equal(resp.Payload(), randomBody(0, 100)[:32]) {
			t.Errorf("payload %x", resp.Payload())
		}
		// Never four in a row are of one representation.
		_, err := resp.Bytes()
		expectError(t, err, coap.ErrETagChanged, "GET", "block 2/0/32", "want ETag")
		lines := blockLines(s.take())
		if lines[1] != "GET 2:1/0/32 etag 0" || lines[4] != "GET 2:0/0/32 0" {
			t.Errorf("requests:\n%q", lines)
		}
		s.changing(7)
		resp = get(t, c, s.url)
		s.take()
		s.changing(100) // as if it had changed behind the first block
		s.mu.Lock()
		script := s.script
		s.script = func(v *message.View) *message.Message {
			m := script(v)
			m.Payload = bytes.Clone(m.Payload)
			for i := range m.Options {
				if m.Options[i].Number == message.ETag {
					m.Options[i].Value = []byte("new")
				}
			}
			return m
		}
		s.mu.Unlock()
		expectBytes(t, resp, randomBody(0, 100))
		if tag, _ := resp.ETag(); tag.String() != "6e6577" {
			t.Errorf("ETag %v is not of what was read", tag)
		}
		expectLines(t, s, "GET 2:1/0/32 0", "GET 2:0/0/32 0", "GET 2:1/0/32 0", "GET 2:2/0/32 0", "GET 2:3/0/32 0")
	})
}

// What Body has given out can't be taken back, and a POST is not to run twice: a changed
// ETag is an error.
func TestNoRestart(t *testing.T) {
	withBlocks(t, 32, func(t *testing.T, s *blockServer) {
		c := s.client(nil)
		s.changing(2)
		resp := get(t, c, s.url)
		got, err := io.ReadAll(resp.Body)
		expectError(t, err, coap.ErrETagChanged, "block 2/0/32, byte 64")
		if !bytes.Equal(got, randomBody(0, 100)[:64]) {
			t.Errorf("%d bytes", len(got))
		}
		if _, err := resp.Body.Read(make([]byte, 1)); !errors.Is(err, coap.ErrETagChanged) {
			t.Errorf("then %v", err)
		}
		s.changing(2)
		resp = get(t, c, s.url)
		if _, err := io.ReadFull(resp.Body, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		_, err = resp.Bytes() // what is left
		expectError(t, err, coap.ErrETagChanged, "byte 64")
		s.changing(2)
		resp, err = c.Post(t.Context(), s.url, coap.Text("x"))
		if err != nil {
			t.Fatal(err)
		}
		_, err = resp.Bytes()
		expectError(t, err, coap.ErrETagChanged, "POST", "byte 64")
		s.changing(2)
		resp, err = c.Fetch(t.Context(), s.url, coap.Raw(make([]byte, 100)), coap.BlockSize(32))
		if err != nil {
			t.Fatal(err)
		}
		_, err = resp.Bytes()
		expectError(t, err, coap.ErrETagChanged, "FETCH") // its request is no longer at hand
	})
}

// What a resource that is gone answers is not its body.
func TestGoneWhileFetched(t *testing.T) {
	withBlocks(t, 32, func(t *testing.T, s *blockServer) {
		c := s.client(nil)
		s.serve(message.Content, make([]byte, 100))
		for _, code := range []message.Code{message.NotFound, message.RequestEntityIncomplete} {
			s.scripted(nil)
			resp := get(t, c, s.url)
			s.scripted(func(v *message.View) *message.Message {
				if b, _ := v.Block2(); b.Num == 0 {
					return &message.Message{Code: message.NotFound}
				}
				return &message.Message{Code: code}
			})
			body, err := resp.Bytes()
			expectError(t, err, coap.ErrBlockIncomplete, "4.04")
			if len(body) > 0 || resp.Code != message.Content {
				t.Errorf("%d bytes, %v", len(body), resp.Code)
			}
		}
	})
}

// A large error response is a response; its Err uses what is at hand.
func TestLargeErrorResponse(t *testing.T) {
	withBlocks(t, 32, func(t *testing.T, s *blockServer) {
		text := bytes.Repeat([]byte("sorry "), 10)
		s.serve(message.InternalServerError, text)
		resp := get(t, s.client(nil), s.url)
		var e *coap.ResponseError
		if err := resp.Err(); !errors.As(err, &e) || e.Diagnostic != string(text[:32]) {
			t.Errorf("%v", err)
		}
		expectBytes(t, resp, text)
	})
}

// Bytes holds up to Limits.BodyBytes: a larger body is refused when Size2 tells, or else
// when it is there. Body has no limit.
func TestBodyBytes(t *testing.T) {
	withBlocks(t, 32, func(t *testing.T, s *blockServer) {
		c := s.client(func(c *coap.Client) { c.Limits.BodyBytes = 99 })
		s.serve(message.Content, randomBody(1, 99))
		expectBytes(t, get(t, c, s.url), randomBody(1, 99))
		s.serve(message.Content, randomBody(1, 100))
		resp := get(t, c, s.url)
		s.take()
		_, err := resp.Bytes()
		expectError(t, err, coap.ErrTooLarge, "at most 99 bytes")
		expectLines(t, s)
		s.scripted(func(v *message.View) *message.Message {
			slice, _ := blockwise.WishOf(v).Slice(100, 1)
			slice.Size2 = false
			return blockMessage(&blockwise.Result{}, &blockwise.Snapshot{Code: message.Content, Body: randomBody(1, 100)}, slice)
		})
		_, err = get(t, c, s.url).Bytes()
		expectError(t, err, coap.ErrTooLarge, "at most 99 bytes")
		body, err := io.ReadAll(get(t, c, s.url).Body)
		if err != nil || !bytes.Equal(body, randomBody(1, 100)) {
			t.Errorf("%d bytes, %v", len(body), err)
		}
	})
}

// A FETCH that is one message is repeated with its body, which says what it asks for; later
// requests of others have none (RFC 7959 §2.7).
func TestFetchRepeatsItsBody(t *testing.T) {
	withBlocks(t, 32, func(t *testing.T, s *blockServer) {
		s.serve(message.Content, randomBody(1, 60))
		c := s.client(nil)
		for _, body := range []coap.Body{coap.Text("which"), coap.Stream(bytes.NewReader([]byte("which")), message.TextPlain)} {
			resp, err := c.Fetch(t.Context(), s.url, body)
			if err != nil {
				t.Fatal(err)
			}
			expectBytes(t, resp, randomBody(1, 60))
			expectLines(t, s, "FETCH 5", "FETCH 2:1/0/32 5")
		}
		resp, err := c.Post(t.Context(), s.url, coap.Text("which"))
		if err != nil {
			t.Fatal(err)
		}
		expectBytes(t, resp, randomBody(1, 60))
		expectLines(t, s, "POST 5", "POST 2:1/0/32 0")
	})
}

// Block gets one block and no more, be it in the midst.
func TestBlock(t *testing.T) {
	withBlocks(t, 1024, func(t *testing.T, s *blockServer) {
		want := randomBody(1, 230)
		s.serve(message.Content, want)
		c := s.client(nil)
		for num, part := range [][]byte{want[:64], want[64:128], want[128:192], want[192:]} {
			resp := get(t, c, s.url, coap.Block(num, 64))
			if b, _ := resp.Message().Block2(); b.Num != uint32(num) || b.Size() != 64 || b.More != (num < 3) {
				t.Errorf("Block2 %v", b)
			}
			expectBytes(t, resp, part)
		}
		if resp := get(t, c, s.url, coap.Block(4, 64)); resp.Code != message.BadRequest {
			t.Errorf("%v behind the end", resp.Code)
		}
		expectLines(t, s, "GET 2:0/0/64 0", "GET 2:1/0/64 0", "GET 2:2/0/64 0", "GET 2:3/0/64 0", "GET 2:4/0/64 0")
	})
}

// RFC 7959 §2.8: "the client retrieves any further blocks using unicast exchanges".
func TestGroupBlocks(t *testing.T) {
	withBlocks(t, 32, func(t *testing.T, s *blockServer) {
		group := netip.MustParseAddr("224.0.1.187")
		if err := s.conn.JoinGroup(group, nil); err != nil {
			t.Fatal(err)
		}
		s.serve(message.Content, randomBody(1, 100))
		c := s.client(nil)
		n := 0
		for resp, err := range c.Group(t.Context(), "coap://224.0.1.187/x") {
			if err != nil {
				t.Fatal(err)
			}
			n++
			expectBytes(t, resp, randomBody(1, 100))
		}
		list := s.take()
		if n != 1 || len(list) != 4 || list[0].Type() != message.NonConfirmable || list[1].Type() != message.Confirmable {
			t.Errorf("%d responses, %q", n, blockLines(list))
		}
		resp := get(t, c, "coap://224.0.1.187/x", coap.NonConfirmable)
		expectBytes(t, resp, randomBody(1, 100))
		if list := s.take(); len(list) != 4 || list[1].Type() != message.Confirmable {
			t.Errorf("%q", blockLines(list))
		}
	})
}

// Body may be replaced, as a middleware does.
func TestBodyReplaced(t *testing.T) {
	withBlocks(t, 32, func(t *testing.T, s *blockServer) {
		s.serve(message.Content, randomBody(1, 100))
		resp := get(t, s.client(nil), s.url)
		resp.Body = io.LimitReader(resp.Body, 40)
		expectBytes(t, resp, randomBody(1, 100)[:40])
	})
}

// A download that its caller leaves holds nothing: the client has no part of it but the
// response itself, and the server closes what it reads from after TransferTimeout.
func TestDownloadAbandoned(t *testing.T) {
	var closed atomic.Int32
	h := coap.HandlerFunc(func(w coap.ResponseWriter, _ *coap.Request) {
		w.SetBody(coap.Stream(&closingReader{Reader: strings.NewReader(text(100_000)), closed: &closed}, message.OctetStream))
	})
	withServer(t, h, nil, func(t *testing.T, s *coaptest.Server) {
		var left []weak.Pointer[coap.Response]
		for range 10 {
			resp := get(t, s.Client(), s.URL)
			if _, err := io.ReadFull(resp.Body, make([]byte, 3000)); err != nil {
				t.Fatal(err)
			}
			left = append(left, weak.Make(resp))
		}
		runtime.GC()
		for i, p := range left {
			if p.Value() != nil {
				t.Errorf("response %d is still held", i)
			}
		}
		if n := s.Client().Stats(); n.Messages.OpenExchanges != 0 || n.Messages.PendingRequests != 0 {
			t.Errorf("the client has %+v", n.Messages)
		}
		time.Sleep(248 * time.Second)
		synctest.Wait()
		if n := s.Config.Stats(); n.Responses.Snapshots != 0 || n.Responses.SnapshotBytes != 0 || closed.Load() != 10 {
			t.Errorf("the server has %+v; closed %d", n.Responses, closed.Load())
		}
	})
}

// A closingReader counts that it was closed.
type closingReader struct {
	io.Reader
	closed *atomic.Int32
}

func (c *closingReader) Close() error {
	c.closed.Add(1)
	return nil
}
