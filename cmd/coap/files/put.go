package files

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/message"
)

// A place is where a file is, or could be: a directory that is open, so that it stays the
// same when directories are renamed, and a name in it.
type place struct {
	dir  *os.Root
	name string
}

// place returns where the path of a request leads. The caller closes its dir.
func (s *Server) place(r *coap.Request) (p place, err error) {
	name, slash, ok := nameOf(r)
	switch {
	case !ok:
		return p, errName
	case slash || name == ".":
		return p, errDirectory
	}
	p.name = path.Base(name)
	info, err := s.root.Stat(path.Dir(name))
	if err == nil && !info.IsDir() {
		err = fs.ErrNotExist
	}
	if err == nil {
		p.dir, err = s.root.OpenRoot(path.Dir(name))
	}
	return p, err
}

// check returns what is there, nil for nothing, where a request may change it.
func (p place) check(r *coap.Request) (fs.FileInfo, error) {
	info, err := p.dir.Lstat(p.name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if !meets(r, false, message.Tag{}) {
			return nil, errPrecondition
		}
		return nil, nil
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, errDirectory
	case !info.Mode().IsRegular():
		return nil, errNotRegular
	case !meets(r, true, tagOf(info)):
		return nil, errPrecondition
	case info.Mode()&0o200 == 0:
		return nil, errReadOnly
	}
	return info, nil
}

// put makes the body a file.
func (s *Server) put(w coap.ResponseWriter, r *coap.Request) {
	if err := s.store(w, r); err != nil {
		s.refuse(w, r, err)
	}
}

func (s *Server) store(w coap.ResponseWriter, r *coap.Request) error {
	p, err := s.place(r)
	if errors.Is(err, fs.ErrNotExist) {
		return errNoDirectory
	} else if err != nil {
		return err
	}
	defer p.dir.Close()
	old, err := p.check(r) // before the body is on its way
	if err != nil {
		return err
	}
	mode := fs.FileMode(0o666)
	if old != nil {
		mode = old.Mode().Perm()
	}
	draft := place{p.dir, draftName()}
	defer draft.dir.Remove(draft.name) // does nothing once it has another name
	if err := draft.write(r.BodyReader(), mode); err != nil {
		return err
	}
	return s.commit(w, r, draft, p)
}

// write makes a file of a body. It may be there when that fails.
func (p place) write(body io.Reader, mode fs.FileMode) error {
	f, err := p.dir.OpenFile(p.name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, body)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = errIncomplete // nobody hears of it
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// commit has a draft take the place of a file.
func (s *Server) commit(w coap.ResponseWriter, r *coap.Request, draft, p place) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, err := p.check(r)
	if err != nil {
		return err
	}
	if old != nil {
		err = draft.dir.Chmod(draft.name, old.Mode().Perm())
	}
	if err == nil {
		at := s.next(time.Now())
		err = draft.dir.Chtimes(draft.name, at, at)
	}
	if err == nil {
		err = p.dir.Rename(draft.name, p.name)
	}
	if err != nil {
		return err
	}
	if old == nil {
		w.SetCode(message.Created)
	}
	if info, err := p.dir.Lstat(p.name); err == nil {
		setTag(w, tagOf(info))
	}
	return nil
}

// next returns the time of a file that is put now, which no other one has: an inode may be
// used again, and the system's times are coarse.
func (s *Server) next(now time.Time) time.Time {
	now = now.Round(0) // as the file system knows it
	if !now.After(s.last) {
		now = s.last.Add(1)
	}
	s.last = now
	return now
}

// delete removes a file. That there was none is a success, too (RFC 7252 §5.8.4).
func (s *Server) delete(w coap.ResponseWriter, r *coap.Request) {
	if err := s.remove(r); err != nil {
		s.refuse(w, r, err)
	}
}

func (s *Server) remove(r *coap.Request) error {
	p, err := s.place(r)
	switch {
	case errors.Is(err, fs.ErrNotExist) && meets(r, false, message.Tag{}):
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return errPrecondition
	case err != nil:
		return err
	}
	defer p.dir.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	if info, err := p.check(r); info == nil {
		return err
	}
	return p.dir.Remove(p.name)
}
