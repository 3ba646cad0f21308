package coap

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/motewire/coap/blockwise"
	"github.com/motewire/coap/message"
	"github.com/motewire/coap/peer"
)

// A ReaderAt reads a representation at random, block by block (RFC 7959 §2.4). It is an
// io.ReaderAt and safe for concurrent use; reads happen one after the other. The newest
// block is kept, so that small reads in order take one request per block.
//
// All that it reads is of the representation that was there when it was made: once the
// server's ETag is another, reads fail with [ErrETagChanged]. Of a server that gives no
// ETag a change can't be seen.
type ReaderAt struct {
	transfer *clientTransfer // a copy of it makes each request
	first    *Response

	mu   sync.Mutex
	szx  uint8
	size int64 // of the body in bytes, as the server says; -1: not known
	end  int64 // of the body, where it was seen; -1: it was not
	at   int64 // where block begins
	// block is the newest block.
	block []byte
}

// ReaderAt asks for a representation's first block and length, by a GET, and returns what
// reads the rest with the same context. A response that is no 2.05 is an error, which
// wraps [*ResponseError].
func (c *Client) ReaderAt(ctx context.Context, url string, opts ...RequestOption) (*ReaderAt, error) {
	r := NewRequest(message.GET, url, Body{}, append([]RequestOption{Option(message.Size2, nil)}, opts...)...)
	if r.call.byHand() {
		return nil, &OpError{Op: "GET", URL: url, Err: fmt.Errorf("%w: a block by hand", ErrOption)}
	}
	var t target
	if err := c.resolve(ctx, url, &t); err != nil {
		return nil, &OpError{Op: "GET", URL: url, Phase: "resolve", Err: err}
	}
	var a *ReaderAt
	err := c.tryEach(ctx, t.addrs, "GET", url, func(s *shard, to peer.Addr) (err error) {
		if r.call.blockSize == 0 {
			r.call.blockSize = s.core.limits.BlockBytes // so that the first block counts like the others
		}
		options := r.options(&t.uri, to)
		a, err = s.readerAt(ctx, to, &options, r)
		return err
	})
	return a, err
}

// readerAt asks for the first block.
func (s *shard) readerAt(ctx context.Context, to peer.Addr, options *optionList, r *Request) (*ReaderAt, error) {
	t, err := s.newTransfer(ctx, to, options, r)
	if err != nil {
		return nil, (&call{to: to}).failed(r, err)
	}
	a := &ReaderAt{transfer: t, size: -1, end: -1}
	a.szx, _ = message.SZXForSize(r.call.blockSize)
	if a.first, err = s.exchange(ctx, to, options, r); err != nil {
		return nil, err
	}
	t.options.remove(message.Size2)
	t.options.remove(message.ETag)
	t.message.call.tokenSet = false
	if a.first.Code != message.Content {
		return nil, t.failed(cmp.Or(a.first.Err(), fmt.Errorf("%w: %v", ErrBlockProtocol, a.first.Code)))
	}
	chunk, err := t.download.Add(&a.first.view)
	if err != nil {
		return nil, t.failed(err)
	}
	a.keep(&a.first.view, chunk)
	if size, ok := a.first.view.Size2(); ok && a.end < 0 {
		a.size = int64(size)
	}
	return a, nil
}

// Size returns the length of the body in bytes, false where the server doesn't tell and
// its end was not read yet.
func (a *ReaderAt) Size() (bytes int64, known bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.size, a.size >= 0
}

// Response returns the response with the first block: its options are those of the
// representation.
func (a *ReaderAt) Response() *Response { return a.first }

// ReadAt reads len(p) bytes from byte off of the body on. It returns fewer only with an
// error: io.EOF where the body ends, else an *[OpError].
func (a *ReaderAt) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, a.transfer.failed(errors.New("coap: negative offset"))
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for n < len(p) {
		at := off + int64(n)
		if at < a.at || at >= a.at+int64(len(a.block)) {
			if err := a.fetch(at); err != nil {
				return n, err
			}
		}
		n += copy(p[n:], a.block[at-a.at:])
	}
	return n, nil
}

// fetch gets the block with the byte at.
func (a *ReaderAt) fetch(at int64) error {
	for {
		if a.end >= 0 && at >= a.end || at>>(a.szx+4) > message.MaxBlockNum {
			return io.EOF
		}
		if err := a.ask(at); err != nil {
			return err
		}
		if at < a.at+int64(len(a.block)) {
			return nil
		}
		// The body ended before, or the server has shrunk its blocks: it is a later one.
	}
}

// ask fetches the block that begins at the byte, or before it.
func (a *ReaderAt) ask(at int64) error {
	t := *a.transfer
	num := uint32(at >> (a.szx + 4))
	var err error
	t.download, err = blockwise.NewDownload(blockwise.DownloadConfig{BlockSize: 16 << a.szx, Start: num, Restarts: -1})
	if err != nil {
		return t.failed(err)
	}
	awaited := t.download.Where(ErrETagChanged)
	chunk, resp, err := t.fetch()
	if err != nil {
		return err
	}
	if resp.Code != message.Content {
		return a.refused(resp, awaited, at)
	}
	want, _ := a.first.ETag()
	if got, _ := resp.ETag(); got != want {
		awaited.Want, awaited.Got = "ETag "+want.String(), "ETag "+got.String()
		return t.failed(awaited)
	}
	a.keep(&resp.view, chunk)
	return nil
}

// refused says what an error response to a block means: the end of the body where that may
// be and the first block is still the same.
func (a *ReaderAt) refused(resp *Response, awaited *blockwise.Error, at int64) error {
	if resp.Code == message.BadRequest && a.end < 0 && at > 0 && at >= a.size {
		if err := a.ask(0); err != nil {
			return err
		}
		return io.EOF
	}
	awaited.Want, awaited.Got, awaited.Err = message.Content.String(), resp.Code.String(), ErrBlockIncomplete
	return a.transfer.failed(awaited)
}

// keep takes a block.
func (a *ReaderAt) keep(v *message.View, chunk blockwise.Chunk) {
	if b, ok := v.Block2(); ok {
		a.szx = min(a.szx, b.SZX)
	}
	a.at, a.block = int64(chunk.Offset), chunk.Payload
	if chunk.Done {
		a.end = a.at + int64(len(a.block))
		a.size = a.end
	}
}
