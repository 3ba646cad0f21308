package coap_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/blockwise"
	"github.com/motewire/coap/coaptest"
	"github.com/motewire/coap/message"
	"github.com/motewire/coap/peer"
	"github.com/motewire/coap/transport/simnet"
)

var blockBodies = []int{0, 1, 15, 16, 17, 63, 64, 65, 1023, 1024, 1025, 2048, 8192, 65536}

// Bodies of every size go up and come down whole, with every block size on either side, as
// bytes and as a stream.
func TestTransferSizes(t *testing.T) {
	for szx := range 7 {
		withBlocks(t, 16<<szx, func(t *testing.T, s *blockServer) {
			c := s.client(nil)
			for i, size := range blockBodies {
				want := randomBody(uint64(size), size)
				body := coap.Raw(want)
				if i%2 == 0 {
					body = coap.Stream(iotest.HalfReader(bytes.NewReader(want)), message.OctetStream)
				}
				resp, err := c.Post(t.Context(), s.url, body, coap.BlockSize(16<<((szx+3)%7)))
				if err != nil || resp.Code != message.Changed {
					t.Fatalf("%d bytes: %v, %v", size, resp, err)
				}
				expectBytes(t, resp, want)
			}
			if s.ran() != len(blockBodies) {
				t.Errorf("the handler ran %d times", s.ran())
			}
		})
	}
}

// hostile is a link that loses, duplicates and reorders.
func hostile(loss float64) simnet.Link {
	return simnet.Link{Loss: loss, Duplicate: 0.1, Reorder: 0.1, Delay: 20 * time.Millisecond, Jitter: 10 * time.Millisecond}
}

// At 10 % loss each way, with duplicates and reordering, a mebibyte arrives whole in both
// directions.
func TestTransferOverLoss(t *testing.T) {
	if testing.Short() {
		t.Skip("a mebibyte in both directions")
	}
	withBlocks(t, 1024, func(t *testing.T, s *blockServer) {
		s.network.SetDefault(hostile(0.1))
		want := randomBody(1, 1<<20)
		resp, err := s.client(nil).Post(t.Context(), s.url, coap.Raw(want))
		if err != nil {
			t.Fatal(err)
		}
		expectBytes(t, resp, want)
		if s.ran() != 1 {
			t.Errorf("the handler ran %d times", s.ran())
		}
	})
}

// At 20 % loss one message in 170 fails for good: only that a block which timed out is sent
// again brings 64 KiB through in both directions.
func TestTransferOverHeavyLoss(t *testing.T) {
	withBlocks(t, 64, func(t *testing.T, s *blockServer) {
		s.network.SetDefault(hostile(0.2))
		var timeouts int
		c := s.client(func(c *coap.Client) {
			c.Trace = &coap.Trace{Timeout: func(coap.TraceExchange) { timeouts++ }}
		})
		want := randomBody(2, 64<<10)
		resp, err := c.Post(t.Context(), s.url, coap.Raw(want))
		if err != nil {
			t.Fatal(err)
		}
		expectBytes(t, resp, want)
		if synctest.Wait(); timeouts < 3 || s.ran() != 1 {
			t.Errorf("%d messages timed out, the handler ran %d times", timeouts, s.ran())
		}
	})
}

// So with Non-confirmable messages, each of which is lost for good.
func TestTransferNonConfirmable(t *testing.T) {
	withBlocks(t, 64, func(t *testing.T, s *blockServer) {
		s.network.SetDefault(hostile(0.05))
		c := s.client(func(c *coap.Client) { c.ResponseTimeout, c.Params.ProbingRate = 2*time.Second, -1 })
		want := randomBody(3, 8<<10)
		resp, err := c.Post(t.Context(), s.url, coap.Raw(want), coap.NonConfirmable)
		if err != nil {
			t.Fatal(err)
		}
		expectBytes(t, resp, want)
		for _, v := range s.take() {
			if v.Type() != message.NonConfirmable {
				t.Fatalf("%v", v)
			}
		}
	})
}

// A Non-confirmable block that is not answered is sent again after 3, 6 and 12 s, under new
// message IDs with the same token: a late response is one to it. The last one waits for
// ResponseTimeout.
func TestTransferNonConfirmableTimeout(t *testing.T) {
	withBlocks(t, 32, func(t *testing.T, s *blockServer) {
		var sent []time.Duration
		var began time.Time
		c := s.client(func(c *coap.Client) {
			c.Trace = &coap.Trace{Sent: func(d coap.TraceDatagram) { sent = append(sent, d.Time.Sub(began)) }}
		})
		began = time.Now()
		s.scripted(silentAfter(2))
		_, err := c.Put(t.Context(), s.url, coap.Raw(make([]byte, 100)), coap.BlockSize(32), coap.NonConfirmable)
		expectError(t, err, coap.ErrResponseTimeout, "block 2/1/32, byte 64")
		if want := []time.Duration{0, 0, 0, 3 * time.Second, 9 * time.Second, 21 * time.Second}; !slices.Equal(sent, want) {
			t.Errorf("%v, want %v", sent, want)
		}
		if took := time.Since(began); took != (21+247)*time.Second {
			t.Errorf("%v", took)
		}
		all, tokens, ids := s.take(), map[message.Token]int{}, map[message.ID]int{}
		for _, v := range all[2:] {
			tokens[v.Token()]++
			ids[v.ID()]++
		}
		if len(all) != 6 || len(tokens) != 1 || len(ids) != 4 {
			t.Errorf("%d messages; of the last block tokens %v, IDs %v", len(all), tokens, ids)
		}
	})
}

// So a transfer outlives loss with the defaults, also where each round trip takes longer than
// the first wait.
func TestTransferNonConfirmableDefaults(t *testing.T) {
	for name, link := range map[string]simnet.Link{"loss": {Loss: 0.05, Delay: 20 * time.Millisecond}, "delay": {Delay: 2 * time.Second}} {
		t.Run(name, func(t *testing.T) {
			withBlocks(t, 64, func(t *testing.T, s *blockServer) {
				s.network.SetDefault(link)
				want, began := randomBody(3, 4<<10), time.Now()
				resp, err := s.client(nil).Post(t.Context(), s.url, coap.Raw(want), coap.NonConfirmable, coap.BlockSize(64))
				if err != nil {
					t.Fatal(err)
				}
				expectBytes(t, resp, want)
				if took := time.Since(began); took > 10*time.Minute || s.ran() != 1 {
					t.Errorf("%v, %d runs", took, s.ran())
				}
			})
		})
	}
}

// On a slow link without loss each block goes once, the first one as well.
func TestTransferNonConfirmableIsPatient(t *testing.T) {
	withBlocks(t, 64, func(t *testing.T, s *blockServer) {
		s.network.SetDefault(simnet.Link{Delay: 4500 * time.Millisecond})
		want := randomBody(3, 512)
		resp, err := s.client(nil).Post(t.Context(), s.url, coap.Raw(want), coap.NonConfirmable, coap.BlockSize(64))
		if err != nil {
			t.Fatal(err)
		}
		expectBytes(t, resp, want)
		if n := len(s.take()); n != 8+7 {
			t.Errorf("%d messages for 8 blocks up and 7 more down", n)
		}
	})
}

// One block is outstanding at a time: a transfer takes as many round trips as it has
// blocks, and no more than 10 % beside.
func TestTransferTime(t *testing.T) {
	const blocks, rtt = 1024, 100 * time.Millisecond
	withBlocks(t, 1024, func(t *testing.T, s *blockServer) {
		s.network.SetDefault(simnet.Link{Delay: rtt / 2})
		c, want := s.client(nil), randomBody(1, blocks*1024)
		began := time.Now()
		resp, err := c.Put(t.Context(), s.url, coap.Raw(want))
		if err != nil {
			t.Fatal(err)
		}
		up := time.Since(began)
		expectBytes(t, resp, want)
		down := time.Since(began) - up
		if most := blocks * rtt * 11 / 10; up > most || down > most {
			t.Errorf("up in %v, down in %v, want at most %v", up, down, most)
		}
	})
}

// blockLines tells requests: code, blocks and what else matters.
func blockLines(list []*message.View) (lines []string) {
	for _, v := range list {
		line := v.Code().Name()
		if b, ok := v.Block1(); ok {
			line += " 1:" + b.String()
		}
		if n, ok := v.Size1(); ok {
			line += fmt.Sprintf(" size1=%d", n)
		}
		if b, ok := v.Block2(); ok {
			line += " 2:" + b.String()
		}
		for _, o := range []struct {
			number message.OptionNumber
			name   string
		}{{message.IfNoneMatch, "if-none-match"}, {message.NoResponse, "no-response"}, {message.Observe, "observe"}, {message.ETag, "etag"}, {message.Size2, "size2"}} {
			if v.Has(o.number) {
				line += " " + o.name
			}
		}
		if tag, ok := v.RequestTag(); ok {
			line += " tag=" + tag.String()
		}
		lines = append(lines, fmt.Sprintf("%s %d", line, len(v.Payload())))
	}
	return lines
}

func expectLines(t *testing.T, s *blockServer, want ...string) {
	t.Helper()
	if got := blockLines(s.take()); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("requests:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// What goes into which message: Size1 and If-None-Match into the first, No-Response and the
// wish for Block2 into the last (RFC 7959 §2.10, §3.3, §4), and of all these nothing into
// the requests for later blocks of the response (§2.4, §2.7). Tokens are new each time.
func TestTransferOptions(t *testing.T) {
	withBlocks(t, 32, func(t *testing.T, s *blockServer) {
		c := s.client(nil)
		first, _ := message.MakeToken([]byte("first"))
		resp, err := c.Put(t.Context(), s.url, coap.Raw(randomBody(1, 70)), coap.BlockSize(64), coap.IfNoneMatch,
			coap.NoResponse(coap.NoClientError), coap.ETag([]byte("x")), coap.Token(first),
			coap.Option(message.Size1, []byte{5})) // ours knows better
		if err != nil {
			t.Fatal(err)
		}
		expectBytes(t, resp, randomBody(1, 70))
		s.mu.Lock()
		list := s.requests
		s.mu.Unlock()
		expectLines(t, s,
			"PUT 1:0/1/64 size1=70 if-none-match etag 64",
			"PUT 1:2/0/32 2:0/0/64 no-response etag 6",
			"PUT 2:1/0/32 etag 0", "PUT 2:2/0/32 etag 0")
		tokens := map[message.Token]bool{}
		for _, v := range list {
			tokens[v.Token()] = true
		}
		if len(tokens) != len(list) || !tokens[first] {
			t.Errorf("tokens %v", tokens)
		}
	})
}

// The body is as it is without BlockSize, which is a wish with a GET too.
func TestBlockSize(t *testing.T) {
	withBlocks(t, 1024, func(t *testing.T, s *blockServer) {
		s.serve(message.Content, randomBody(1, 100))
		c := s.client(nil)
		expectBytes(t, get(t, c, s.url), randomBody(1, 100))
		expectBytes(t, get(t, c, s.url, coap.BlockSize(64)), randomBody(1, 100))
		expectLines(t, s, "GET 0", "GET 2:0/0/64 0", "GET 2:1/0/64 0")

		small := s.client(func(c *coap.Client) { c.Limits.BlockBytes = 32 })
		s.serve(message.Content, randomBody(1, 2000))
		expectBytes(t, get(t, small, s.url), randomBody(1, 2000))
		if lines := blockLines(s.take()); lines[0] != "GET 0" || lines[1] != "GET 2:32/0/32 0" || len(lines) != 32 {
			t.Errorf("requests:\n%s", strings.Join(lines, "\n"))
		}
		for _, option := range []coap.RequestOption{coap.BlockSize(0), coap.BlockSize(100), coap.BlockSize(2048), coap.BlockSize(-16),
			coap.Block(-1, 64), coap.Block(1<<20, 64), coap.Block(0, 63)} {
			_, err := c.Get(t.Context(), s.url, option)
			expectError(t, err, coap.ErrOption, "lock")
			_, err = c.Put(t.Context(), s.url, coap.Raw(make([]byte, 2000)), option)
			expectError(t, err, coap.ErrOption)
		}
		expectLines(t, s)
	})
}

// RFC 7252 §4.6: "CoAP messages [...] SHOULD fit within a single IP packet": options count.
func TestMessageBytes(t *testing.T) {
	withBlocks(t, 1024, func(t *testing.T, s *blockServer) {
		c := s.client(nil)
		for _, query := range []int{0, 50, 200} {
			url := s.url + "/x?" + strings.Repeat("q", query)
			for _, size := range []int{900, 1024, 1100, 3000} {
				want := randomBody(1, size)
				resp, err := c.Put(t.Context(), url, coap.Raw(want), coap.NoURIHost)
				if err != nil {
					t.Fatal(err)
				}
				expectBytes(t, resp, want)
			}
		}
		whole := 0
		for _, v := range s.take() {
			if len(v.Datagram()) > 1152 {
				t.Errorf("a message of %d bytes: %v", len(v.Datagram()), v)
			}
			if len(v.Payload()) == 1024 {
				whole++
			}
		}
		if whole < 4 {
			t.Errorf("%d blocks of 1024 bytes", whole)
		}
		for limit := 56; limit < 130; limit++ {
			narrow := s.client(func(c *coap.Client) { c.Limits.MessageBytes = limit })
			want := randomBody(1, 300)
			resp, err := narrow.Put(t.Context(), s.url, coap.Raw(want))
			if err != nil {
				t.Fatalf("at most %d bytes: %v", limit, err)
			}
			expectBytes(t, resp, want)
			for _, v := range s.take() {
				if len(v.Datagram()) > limit {
					t.Errorf("a message of %d bytes, at most %d: %v", len(v.Datagram()), limit, v)
				}
			}
		}
		narrow := s.client(func(c *coap.Client) { c.Limits.MessageBytes = 60 })
		_, err := narrow.Get(t.Context(), s.url+"/"+strings.Repeat("x", 60))
		expectError(t, err, coap.ErrTooLarge)
	})
}

// §2.9.3: 4.13 with a smaller size, or to a request without Block1, is a hint. With Size1 it
// is the answer, and its error is ErrTooLarge.
func TestTooLargeHint(t *testing.T) {
	withBlocks(t, 32, func(t *testing.T, s *blockServer) {
		s.scripted(func(v *message.View) *message.Message {
			switch b, ok := v.Block1(); {
			case ok && b.Size() > 32:
				return &message.Message{Code: message.RequestEntityTooLarge, Options: []message.Option{
					uintOption(message.Block1, message.Block{SZX: 1, More: true}.Encode())}}
			case !ok && len(v.Payload()) > 64:
				return &message.Message{Code: message.RequestEntityTooLarge}
			}
			return nil
		})
		want := randomBody(1, 70)
		for name, body := range map[string]coap.Body{"large": coap.Raw(want), "stream": coap.Stream(bytes.NewReader(want), message.OctetStream)} {
			resp, err := s.client(nil).Put(t.Context(), s.url, body)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			expectBytes(t, resp, want)
			lines := blockLines(s.take())
			if lines[0] != "PUT 70" || lines[1] != "PUT 1:0/1/64 size1=70 64" || lines[2] != "PUT 1:0/1/32 size1=70 32" {
				t.Errorf("%s:\n%s", name, strings.Join(lines, "\n"))
			}
		}
		s.scripted(nil)
		resp, err := s.client(nil).Put(t.Context(), s.url, coap.Raw(make([]byte, 3<<20)))
		if err != nil || resp.Code != message.RequestEntityTooLarge || !errors.Is(resp.Err(), coap.ErrTooLarge) {
			t.Errorf("%v, %v", resp, err)
		}
		expectLines(t, s, "PUT 1:0/1/1024 size1=3145728 1024")
	})
}

// A body begins again after 4.08 once; then 4.08 is the answer.
func TestRestartUpload(t *testing.T) {
	withBlocks(t, 32, func(t *testing.T, s *blockServer) {
		c, want := s.client(nil), randomBody(1, 70)
		fails := 1
		s.scripted(func(v *message.View) *message.Message {
			if b, _ := v.Block1(); b.Num == 1 && fails > 0 {
				fails--
				return &message.Message{Code: message.RequestEntityIncomplete}
			}
			return nil
		})
		resp, err := c.Put(t.Context(), s.url, coap.Raw(want), coap.BlockSize(32))
		if err != nil {
			t.Fatal(err)
		}
		expectBytes(t, resp, want)
		fails = 2
		resp, err = c.Put(t.Context(), s.url, coap.Raw(want), coap.BlockSize(32))
		if err != nil || resp.Code != message.RequestEntityIncomplete || !errors.Is(resp.Err(), coap.ErrBlockIncomplete) {
			t.Errorf("%v, %v", resp, err)
		}
	})
}

// silence after so many requests.
func silentAfter(n int) func(*message.View) *message.Message {
	return func(*message.View) *message.Message {
		if n--; n < 0 {
			return &message.Message{}
		}
		return nil
	}
}

// A block that timed out is sent three times more, under new message IDs and tokens, and
// the error names it. A request of one message is not.
func TestBlockTimeout(t *testing.T) {
	withBlocks(t, 32, func(t *testing.T, s *blockServer) {
		c := s.client(nil)
		s.scripted(silentAfter(2))
		_, err := c.Put(t.Context(), s.url, coap.Raw(make([]byte, 100)), coap.BlockSize(32))
		expectError(t, err, coap.ErrTimeout, "block 2/1/32, byte 64", "(5 sent)")
		expectBlock(t, err, 64)
		if lines := blockLines(s.take()); len(lines) != 2+4 {
			t.Errorf("%s", strings.Join(lines, "\n"))
		}
		s.serve(message.Content, make([]byte, 100))
		s.scripted(silentAfter(2))
		resp := get(t, c, s.url)
		_, err = resp.Bytes()
		expectError(t, err, coap.ErrTimeout, "GET", "block 2/0/32, byte 64", "(5 sent)")
		expectBlock(t, err, 64)
		if _, again := resp.Bytes(); again != err {
			t.Errorf("then %v", again)
		}
		if lines := blockLines(s.take()); len(lines) != 2+4 {
			t.Errorf("%s", strings.Join(lines, "\n"))
		}
		s.scripted(silentAfter(0))
		_, err = c.Put(t.Context(), s.url, coap.Raw(make([]byte, 32)))
		expectError(t, err, coap.ErrTimeout, "(5 sent)")
		if lines := blockLines(s.take()); len(lines) != 1 {
			t.Errorf("%s", strings.Join(lines, "\n"))
		}
	})
}

// expectBlock checks that an error says at which byte a transfer failed.
func expectBlock(t *testing.T, err error, offset int) {
	t.Helper()
	var block *blockwise.Error
	if !errors.As(err, &block) || block.Offset != offset || block.Block.Offset() != offset {
		t.Errorf("%+v, want byte %d", block, offset)
	}
}

// The context ends an upload between and within blocks, and a download that Do left to be
// read; so does Close.
func TestTransferEnds(t *testing.T) {
	withBlocks(t, 32, func(t *testing.T, s *blockServer) {
		s.network.SetDefault(simnet.Link{Delay: 50 * time.Millisecond})
		c := s.client(nil)
		_, err := c.Put(timeout(t, 250*time.Millisecond), s.url, coap.Raw(make([]byte, 1000)), coap.BlockSize(32))
		expectError(t, err, context.DeadlineExceeded, "block 2/1/32, byte 64")
		s.serve(message.Content, make([]byte, 1000))
		resp, err := c.Get(timeout(t, 250*time.Millisecond), s.url)
		if err != nil {
			t.Fatal(err)
		}
		_, err = resp.Bytes()
		expectError(t, err, context.DeadlineExceeded, "block 2/0/32, byte 64")
		resp = get(t, c, s.url)
		c.Close()
		_, err = io.Copy(io.Discard, resp.Body)
		expectError(t, err, coap.ErrClosed, "byte 32")
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = s.client(nil).Put(ended, s.url, coap.Stream(iotest.ErrReader(errors.New("read in vain")), message.OctetStream))
		expectError(t, err, context.Canceled)
	})
}

// A peer that breaks RFC 7959 fails the call with a typed error.
func TestTransferProtocolError(t *testing.T) {
	withBlocks(t, 32, func(t *testing.T, s *blockServer) {
		c := s.client(nil)
		s.scripted(func(v *message.View) *message.Message {
			return &message.Message{Code: message.Continue, Options: []message.Option{uintOption(message.Block1, message.Block{Num: 7, SZX: 1}.Encode())}}
		})
		_, err := c.Put(t.Context(), s.url, coap.Raw(make([]byte, 100)), coap.BlockSize(32))
		expectError(t, err, coap.ErrBlockProtocol, "want Block1 0/1/32, got Block1 7/0/32")
		s.scripted(func(v *message.View) *message.Message {
			return &message.Message{Code: message.Content, Payload: make([]byte, 32), Options: []message.Option{uintOption(message.Block2, message.Block{Num: 7, More: true, SZX: 1}.Encode())}}
		})
		_, err = c.Get(t.Context(), s.url)
		expectError(t, err, coap.ErrBlockProtocol, "block 0/0/1024, byte 0", "got Block2 7/1/32")
		_, err = c.Put(t.Context(), s.url, coap.Raw(nil))
		expectError(t, err, coap.ErrBlockProtocol)
	})
}

// Peer.Do sends and fetches in blocks like Client.Do.
func TestPeerTransfer(t *testing.T) {
	withBlocks(t, 64, func(t *testing.T, s *blockServer) {
		want, failed := randomBody(1, 3000), make(chan error, 1)
		other := coaptest.NewUnstartedServer(coap.HandlerFunc(func(_ coap.ResponseWriter, r *coap.Request) {
			body := coap.Stream(bytes.NewReader(want), message.OctetStream)
			resp, err := r.Peer().Do(r.Context(), coap.NewRequest(message.POST, "/x", body))
			var got []byte
			if err == nil {
				got, err = resp.Bytes()
			}
			if !bytes.Equal(got, want) {
				err = fmt.Errorf("%d bytes, %w", len(got), err)
			}
			failed <- err
			_, err = r.Peer().Do(r.Context(), coap.NewRequest(message.POST, "/x", body))
			failed <- err
		}))
		other.Network = s.network
		other.Start()
		defer other.Close()
		s.observer.from = peer.From(other.Addr)
		s.push(&message.Message{Type: message.NonConfirmable, Code: message.POST, ID: 7})
		if err := <-failed; err != nil {
			t.Error(err)
		}
		expectError(t, <-failed, coap.ErrStreamUsed)
	})
}

// Each block is an exchange of its own for Trace.
func TestTransferTrace(t *testing.T) {
	withBlocks(t, 32, func(t *testing.T, s *blockServer) {
		var begun, ended int
		c := s.client(func(c *coap.Client) {
			c.Trace = &coap.Trace{Begin: func(coap.TraceExchange) { begun++ }, End: func(coap.TraceExchange) { ended++ }}
		})
		resp, err := c.Post(t.Context(), s.url, coap.Raw(randomBody(1, 90)), coap.BlockSize(32))
		if err != nil {
			t.Fatal(err)
		}
		expectBytes(t, resp, randomBody(1, 90))
		if begun != 5 || ended != 5 {
			t.Errorf("%d begun, %d ended, want 5", begun, ended)
		}
	})
}

// With No-Response for all classes a call ends when the last block has arrived.
func TestTransferNoResponse(t *testing.T) {
	withBlocks(t, 32, func(t *testing.T, s *blockServer) {
		s.scripted(func(v *message.View) *message.Message {
			if v.Has(message.NoResponse) {
				s.runs++
				return &message.Message{} // not even an Acknowledgement is needed
			}
			return nil
		})
		c := s.client(nil)
		all := coap.NoResponse(coap.NoSuccess | coap.NoClientError | coap.NoServerError)
		resp, err := c.Post(t.Context(), s.url, coap.Raw(randomBody(1, 90)), coap.BlockSize(32), coap.NonConfirmable, all)
		if err != nil || resp.Code != message.Empty {
			t.Fatalf("%v, %v", resp, err)
		}
		expectLines(t, s, "POST 1:0/1/32 size1=90 32", "POST 1:1/1/32 32", "POST 1:2/0/32 2:0/0/32 no-response 26")
		if s.ran() != 1 {
			t.Errorf("ran %d times", s.ran())
		}
	})
}

// Both ends take what they asked for, but of others no more than a server does: bodies of
// requests have a default limit of 1 MiB, those of responses one of 64 MiB.
func TestDefaultBodyBytes(t *testing.T) {
	const large = 1<<20 + 1
	h := coap.HandlerFunc(func(w coap.ResponseWriter, r *coap.Request) {
		if r.Method == message.GET {
			w.Write(randomBody(1, large))
			return
		}
		resp, err := r.Peer().Do(r.Context(), coap.NewRequest(message.GET, "/", coap.Body{}))
		if err == nil {
			var body []byte
			body, err = resp.Bytes()
			fmt.Fprint(w, len(body))
		}
		if err != nil {
			t.Error(err)
		}
		if resp, err = r.Peer().Do(r.Context(), coap.NewRequest(message.PUT, "/", coap.Raw(make([]byte, large)))); err != nil || resp.Code != message.RequestEntityTooLarge {
			t.Errorf("%v, %v", resp, err)
		}
	})
	withServer(t, h, nil, func(t *testing.T, s *coaptest.Server) {
		c := newClient(t, s, func(c *coap.Client) { c.Handler = h })
		expectBytes(t, get(t, c, s.URL), randomBody(1, large))
		resp, err := c.Post(t.Context(), s.URL, coap.Text("x"))
		if err != nil {
			t.Fatal(err)
		}
		checkResponse(t, resp, message.Changed, fmt.Sprint(large))
	})
}

// A RawStream goes without a Content-Format, in one message and in blocks.
func TestRawStream(t *testing.T) {
	withBlocks(t, 64, func(t *testing.T, s *blockServer) {
		for _, n := range []int{10, 5000} {
			body := bytes.Repeat([]byte("x"), n)
			resp, err := s.client(nil).Put(t.Context(), s.url, coap.RawStream(bytes.NewReader(body)))
			if err != nil || resp.Code != message.Changed {
				t.Fatalf("%v %v", resp, err)
			}
			for _, v := range s.take() {
				if v.Has(message.ContentFormat) {
					t.Errorf("%v", v)
				}
			}
		}
	})
}
