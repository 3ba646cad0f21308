package coap

import (
	"errors"
	"io"
	"slices"
	"sync"

	"github.com/motewire/coap/blockwise"
	"github.com/motewire/coap/message"
)

// A content is the body of a response that is read as blocks of it are asked for. What can
// be read at random is; of anything else the newest block is kept, and blocks come in
// order.
type content struct {
	size int64 // in bytes; -1: not known

	mu     sync.Mutex // one block at a time
	reader io.Reader
	at     io.ReaderAt // reader, where it can do that; nil otherwise
	origin int64       // where the body begins for at
	base   int64       // where window begins in the body
	window []byte      // what is here of it
	ended  bool        // nothing comes after window
	closed bool
}

func newContent(r io.Reader, size int64) *content {
	c := &content{reader: r, size: size}
	if seeker, ok := r.(io.Seeker); ok {
		if at, ok := r.(io.ReaderAt); ok {
			if origin, err := seeker.Seek(0, io.SeekCurrent); err == nil {
				c.at, c.origin = at, origin
			}
		}
	}
	return c
}

// errNoBlock and errPassed say that a block is not there, or not any more.
var (
	errNoBlock = errors.New("coap: no such block")
	errPassed  = errors.New("coap: block was passed")
)

// block appends the block that is wished for to dst.
func (c *content) block(dst []byte, w blockwise.Wish, szx uint8) ([]byte, blockwise.Slice, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return dst, blockwise.Slice{}, errPassed
	}
	start := int64(0)
	if w.Asked {
		start, szx = int64(w.Block.Offset()), min(szx, w.Block.SZX)
	}
	n := 16<<szx + 1
	if err := c.advance(start, n); err != nil {
		return dst, blockwise.Slice{}, err
	}
	if err := c.bounded(start, n); err != nil {
		return dst, blockwise.Slice{}, err
	}
	piece, ok := w.Slice(int(c.base)+len(c.window), szx)
	if !ok {
		return dst, blockwise.Slice{}, errNoBlock
	}
	from := int64(piece.Start) - c.base
	return append(dst, c.window[from:int64(piece.End)-c.base]...), piece, nil
}

// advance has the window begin at start, with n bytes, or fewer where the body ends.
func (c *content) advance(start int64, n int) error {
	switch {
	case c.at != nil:
		return c.fill(start, n)
	case start < c.base || start > c.base+int64(len(c.window)):
		return errPassed
	}
	c.window = append(c.window[:0], c.window[start-c.base:]...)
	c.base = start
	for len(c.window) < n && !c.ended {
		have := len(c.window)
		c.window = slices.Grow(c.window, n-have)
		read, err := c.reader.Read(c.window[have:n])
		c.window = c.window[:have+read]
		if c.ended = err == io.EOF; err != nil && !c.ended { // a wrapped EOF is no end
			return err
		}
	}
	return nil
}

// fill reads at random.
func (c *content) fill(start int64, n int) error {
	if cap(c.window) < n {
		c.window = make([]byte, n)
	}
	c.base, c.window = start, c.window[:n]
	read, err := c.at.ReadAt(c.window, c.origin+start)
	c.window = c.window[:read]
	if err == io.EOF { // a wrapped one is no end
		err = nil
	}
	return err
}

// bounded holds the window against the length that was told: what has grown since ends there,
// and what has shrunk is another body.
func (c *content) bounded(start int64, n int) error {
	if c.size < 0 {
		return nil
	}
	end := c.base + int64(len(c.window))
	if end < min(start+int64(n), c.size) {
		return errPassed
	}
	c.window = c.window[:max(min(end, c.size)-c.base, 0)]
	return nil
}

// Close closes the reader, where that has to be.
func (c *content) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil
	}
	c.closed = true
	if closer, ok := c.reader.(io.Closer); ok {
		return closer.Close()
	}
	return nil
}

// whole reads all of a body that must not be longer than limit.
func (c *content) whole(limit int) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(c.reader, int64(limit)+1))
	if err == nil && len(b) > limit {
		err = ErrTooLarge
	}
	return b, err
}

// read reads the piece of the response that this message takes, where the response is read
// as blocks are asked for. It runs like the handler, as it calls the program's code.
func (x *exchange) read() {
	c := x.source()
	if c == nil {
		return
	}
	x.decideCode()
	if !x.options.has(message.ETag) {
		x.setTag(x.shard.core.uniqueTag())
	}
	var err error
	x.payload, x.piece, err = c.block(x.payload[:0], x.wish(), x.szx(true))
	switch {
	case err == nil:
	case errors.Is(err, errNoBlock):
		x.beyond()
	case errors.Is(err, errPassed), errors.Is(err, ErrETagChanged):
		x.forsake()
		x.incomplete()
	default:
		x.shard.core.logError("coap: body of a response", err)
		x.forsake()
		x.SetCode(message.InternalServerError)
	}
}

// source is what the response is read from, nil where it is here.
func (x *exchange) source() *content {
	if kept, ok := x.snapshot.Content.(*content); ok {
		return kept
	}
	return x.content
}
