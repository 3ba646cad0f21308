// Package files serves the files of a directory.
//
//	GET     a file, with Content-Format by extension and an ETag; of a directory its entries
//	        as links (RFC 6690)
//	PUT     replaces or makes a file, where that is allowed
//	DELETE  removes one, likewise
//
// # Names
//
// A path is taken segment by segment, and each is one name: nothing in it is decoded or
// cleaned. What is not served, listed or written, on any system, is a name that begins with
// a dot, as that of a hidden file and "..", ends in a dot or a space, holds a slash, a
// backslash, a colon, a control character or what is not UTF-8, is empty, or is a device of
// Windows (con, nul.txt). GET of a directory may end in a slash. Links are followed within
// the directory and never out of it; PUT and DELETE leave them alone. Only regular files
// are served.
//
// # Writing
//
// A body is written as it arrives to a hidden file beside its target, which takes the
// target's place when the body is whole: whoever reads meanwhile has the old file or the
// new one. A body that doesn't come to its end leaves nothing behind, unless the process is
// killed: Open removes such a hidden file when nobody has written to it for an hour. The file is on the disk (fsync) when the answer goes out; whether its name is,
// after a loss of power, is the file system's to know: there is the old file or the new one.
// If-Match and If-None-Match are checked when the body begins and again when it takes its
// place, under a lock. The permissions of a file that is replaced stay, and one that its
// owner may not write is not replaced. The Content-Format of a PUT is not kept.
//
// # ETags
//
// An ETag is made of size, time of modification and, where the system tells, inode and time
// of change: what is cheap enough for every request. Files that are put differ by the time.
// A change in place by another program, of the same size and within the resolution of the
// file system's clock (some milliseconds), is not seen.
package files

import (
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/motewire/coap"
)

// DefaultMaxBody is the longest body of a PUT in bytes unless the Config says otherwise.
const DefaultMaxBody = 64 << 20

// Config says how a directory is served. The zero value is read-only.
type Config struct {
	// Write allows PUT and DELETE.
	Write bool
	// MaxBody is the longest body of a PUT in bytes; a longer one gets 4.13. 0 means
	// DefaultMaxBody.
	MaxBody int
	// Logger takes what clients are not told of; nil is silence.
	Logger *slog.Logger
}

// A Server serves one directory. It is safe for concurrent use.
type Server struct {
	root *os.Root
	cfg  Config

	// mu is held while a precondition is checked and what it guards is changed. It is one
	// for all files, as two paths may lead to the same one.
	mu   sync.Mutex
	last time.Time // time of modification of the file that was put last
}

// Open returns a Server for a directory, which Close gives back. With Write it removes what
// killed processes have left of uploads. An error says that the
// directory can't be opened, or that MaxBody is negative.
func Open(dir string, cfg Config) (*Server, error) {
	if cfg.MaxBody < 0 {
		return nil, fmt.Errorf("files: MaxBody %d is negative", cfg.MaxBody)
	}
	if cfg.MaxBody == 0 {
		cfg.MaxBody = DefaultMaxBody
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	s := &Server{root: root, cfg: cfg}
	if cfg.Write {
		s.sweep(time.Now())
	}
	return s, nil
}

// Close ends the use of the directory. Handlers that run, and responses that are being
// sent, go on.
func (s *Server) Close() error { return s.root.Close() }

// Mux returns the resources. Discovery lists the entries of the directory itself.
func (s *Server) Mux() *coap.Mux {
	m := coap.NewMux()
	m.HandleFunc("GET /{path...}", s.get, coap.Preconditions(), coap.Links(s.links))
	if s.cfg.Write {
		m.HandleFunc("PUT /{path...}", s.put, coap.Preconditions(), coap.StreamBody(), coap.BodyLimit(s.cfg.MaxBody))
		m.HandleFunc("DELETE /{path...}", s.delete, coap.Preconditions())
	}
	return m
}
