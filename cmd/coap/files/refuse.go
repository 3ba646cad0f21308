package files

import (
	"errors"
	"io/fs"
	"syscall"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/message"
)

// A refusal is an error response.
type refusal struct {
	code message.Code
	text string // for the client: nothing of the machine
}

// Error returns the diagnostic text.
func (r *refusal) Error() string { return "files: " + r.text }

var (
	errNotFound     = &refusal{message.NotFound, "there is no such file"}
	errName         = &refusal{message.Forbidden, "files of this name are not served"}
	errForbidden    = &refusal{message.Forbidden, "permission denied"}
	errOutside      = &refusal{message.Forbidden, "the path is not within the directory that is served"}
	errNotRegular   = &refusal{message.Forbidden, "this is no regular file"}
	errReadOnly     = &refusal{message.Forbidden, "the file is read-only"}
	errDirectory    = &refusal{message.MethodNotAllowed, "this is a directory"}
	errPrecondition = &refusal{message.PreconditionFailed, "the file is in another state"}
	errNoDirectory  = &refusal{message.NotFound, "there is no such directory"}
	errIncomplete   = &refusal{message.RequestEntityIncomplete, "the body has no end"}
	errBusy         = &refusal{message.ServiceUnavailable, "too many files are open"}
	errFailed       = &refusal{message.InternalServerError, "the server can't do that with the file"}
)

// refuse answers with an error, which is logged where its cause is the server's.
func (s *Server) refuse(w coap.ResponseWriter, r *coap.Request, err error) {
	e := refusalOf(err)
	if e == errFailed || e == errBusy {
		s.cfg.Logger.Error("coap: file", "method", r.Method.String(), "path", r.Path(), "error", err)
	}
	coap.Error(w, e.code, e.text)
	if e == errBusy {
		w.SetMaxAge(time.Second)
	}
}

// refusalOf returns what a client is told of an error.
func refusalOf(err error) *refusal {
	var r *refusal
	var failed *fs.PathError
	var errno syscall.Errno
	is := func(targets ...error) bool {
		for _, target := range targets {
			if errors.Is(err, target) {
				return true
			}
		}
		return false
	}
	switch {
	case errors.As(err, &r):
		return r
	case is(fs.ErrNotExist, syscall.ENOTDIR, syscall.ENAMETOOLONG, syscall.ELOOP):
		return errNotFound
	case is(fs.ErrPermission, syscall.EROFS):
		return errForbidden
	case is(syscall.EMFILE, syscall.ENFILE):
		return errBusy
	case errors.As(err, &failed) && !errors.As(err, &errno) && !is(fs.ErrClosed):
		return errOutside // os.Root's refusal, as it is not the system's
	}
	return errFailed
}
