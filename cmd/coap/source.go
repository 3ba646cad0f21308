package main

import (
	"context"
	"io"
	"os"
)

// A source is the payload of -f, read while it is sent.
type source struct {
	ctx      context.Context // ends a read that takes long; set before the first one
	transfer *transfer       // is told of reads that take long; nil: nobody is
	reader   io.Reader
	closer   io.Closer // nil: nothing is to be closed
	size     int64     // left to read, in bytes; -1: not known
	direct   bool      // the reader is a regular file, which never takes long

	unread  []byte        // of a read that took long
	failed  error         // behind unread
	pending chan struct{} // closed when the read under way is over; nil: there is none
	buf     []byte
}

// openSource opens the payload of -f; "-" is standard input.
func (c *cli) openSource(ctx context.Context, file string) (*source, error) {
	s := &source{ctx: ctx, size: -1, reader: c.stdin}
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, ioError(err)
		}
		s.reader, s.closer = f, f
	}
	if f, ok := s.reader.(*os.File); ok {
		s.size, s.direct = sizeLeft(f)
	}
	return s, nil
}

// sizeLeft returns how many bytes a regular file has behind the place it is read from.
func sizeLeft(f *os.File) (bytes int64, regular bool) {
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return -1, false
	}
	at, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return -1, false
	}
	return max(info.Size()-at, 0), true
}

// Len returns the length in bytes, which is told to the server in advance; -1: not known.
func (s *source) Len() int { return int(s.size) }

// Read ends with the input or with the context, as standard input may be a pipe that
// nobody closes. Its errors are those of the context, or have the exit status of local
// ones.
func (s *source) Read(p []byte) (int, error) {
	if s.direct {
		n, err := s.reader.Read(p)
		return n, sourceError(err)
	}
	if len(s.unread) == 0 && s.failed == nil {
		if err := s.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, s.unread)
	if s.unread = s.unread[n:]; n > 0 || len(p) == 0 {
		return n, nil
	}
	return 0, sourceError(s.failed)
}

// fill waits for more input. What it gets after the context's end is lost.
func (s *source) fill() error {
	if s.pending == nil {
		if s.buf == nil {
			s.buf = make([]byte, 4096)
		}
		done := make(chan struct{})
		s.pending = done
		go func() {
			defer close(done)
			var n int
			n, s.failed = s.reader.Read(s.buf)
			s.unread = s.buf[:n]
		}()
	}
	s.transfer.pause()
	defer s.transfer.resume()
	select {
	case <-s.pending:
		s.pending = nil
		return nil
	case <-s.ctx.Done():
		return context.Cause(s.ctx)
	}
}

// sourceError marks an error of the input, but not its end.
func sourceError(err error) error {
	if err == io.EOF { //nolint:errorlint // io.Reader says so
		return err
	}
	return ioError(err)
}

// all returns the whole payload.
func (s *source) all() ([]byte, error) { return io.ReadAll(s) }

// block returns block num of the payload, in blocks of so many bytes, and whether there is
// more behind it.
func (s *source) block(num, size int) (block []byte, more bool, err error) {
	if _, err := io.CopyN(io.Discard, s, int64(num)*int64(size)); err != nil && err != io.EOF { //nolint:errorlint // io.CopyN's own
		return nil, false, err
	}
	b := make([]byte, size+1)
	n, err := io.ReadFull(s, b)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF { //nolint:errorlint // io.ReadFull's own
		return nil, false, err
	}
	if n == 0 && num > 0 {
		return nil, false, usageErrorf("-b %d,%d: the payload has no such block", num, size)
	}
	return b[:min(n, size)], n > size, nil
}

// close closes a file. s may be nil.
func (s *source) close() {
	if s != nil && s.closer != nil {
		s.closer.Close() // it was read only
	}
}
