package coap

import (
	"io"
	"io/fs"
	"math"
	"sync/atomic"

	"github.com/motewire/coap/blockwise"
	"github.com/motewire/coap/message"
)

// Stream is a body of any length that is read while it is sent: one block is held in
// memory. It can be sent once: a further request with it fails with [ErrStreamUsed].
//
// The length is told to the peer in advance (Size1 and Size2, RFC 7959 §4) where r has a
// method Len() int, as a bytes.Reader, or is a regular [fs.File].
//
// Of a request, the reader is called on the goroutine that calls Do, and not after Do has
// returned; an error of it ends the call with that error. As blocks that were sent are gone,
// the upload can't begin again when the server asks for it later than with the first block:
// then its 4.08 or 4.13 is the response.
//
// Of a response, the reader is called whenever the client asks for a block, one call at a
// time, until the client has asked for none for Limits.TransferTimeout; then it is closed, if
// it is an io.Closer. A reader that is an io.ReaderAt and an io.Seeker, as a file, serves
// blocks in any order; of another one the client has to ask for them in turn. The ETag is
// the handler's or one of its own. An error around [ErrETagChanged] says that what is read is
// no longer what it was: the block is answered by 4.08, which has the client begin again; any
// other error by 5.00.
func Stream(r io.Reader, format message.Format) Body {
	return Body{stream: &stream{reader: r}, format: format, formatted: true}
}

// RawStream is a [Stream] without a Content-Format, as [Raw] is for bytes.
func RawStream(r io.Reader) Body { return Body{stream: &stream{reader: r}} }

// A stream is the reader of one body.
type stream struct {
	reader io.Reader
	used   atomic.Bool
	source blockwise.Source
	first  []byte // kept for the next address of the host; nil: nothing was read
	last   bool   // with first
	err    error  // with first
	blocks int    // read
}

// claim takes the stream for one request.
func (s *stream) claim() error {
	if !s.used.CompareAndSwap(false, true) {
		return ErrStreamUsed
	}
	s.source = blockwise.FromReader(s.reader)
	return nil
}

// claim takes the body for one request.
func (b *Body) claim() error {
	if b.stream == nil {
		return nil
	}
	return b.stream.claim()
}

// begin returns the body from its start on. That can be had twice as long as no more than
// the first block was read.
func (s *stream) begin() blockwise.Source {
	again := s.blocks > 0
	return func(n int) ([]byte, bool, error) {
		if again {
			again = false
			if s.blocks > 1 || len(s.first) > n {
				return nil, false, ErrStreamUsed
			}
			return s.first, s.last, s.err
		}
		block, last, err := s.source(n)
		if s.blocks++; s.blocks == 1 {
			s.first, s.last, s.err = block, last, err
		}
		return block, last, err
	}
}

// sizeOf returns how many bytes a reader has left, -1 where it doesn't tell.
func sizeOf(r io.Reader) int64 {
	switch r := r.(type) {
	case interface{ Len() int }:
		return int64(r.Len())
	case fs.File:
		info, err := r.Stat()
		if err != nil || !info.Mode().IsRegular() {
			return -1
		}
		at := int64(0)
		if seeker, ok := r.(io.Seeker); ok {
			if at, err = seeker.Seek(0, io.SeekCurrent); err != nil {
				return -1
			}
		}
		return max(info.Size()-at, 0)
	}
	return -1
}

// size1 returns the length as Size1 can tell it, 0 where it can't.
func (s *stream) size1() int64 {
	if n := sizeOf(s.reader); n > 0 && n <= math.MaxUint32 {
		return n
	}
	return 0
}
