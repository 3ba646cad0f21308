package files

import (
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/motewire/coap"
)

// get answers with a file or a directory. ETag and Accept (RFC 7252 §5.10.6.2, §5.10.4)
// are the server's to deal with.
func (s *Server) get(w coap.ResponseWriter, r *coap.Request) {
	name, slash, ok := nameOf(r)
	if !ok {
		s.refuse(w, r, errNotFound)
		return
	}
	info, err := s.root.Stat(name)
	switch {
	case err != nil:
	case info.IsDir():
		err = s.getDirectory(w, r, name)
	case slash:
		err = errNotFound
	default:
		err = s.getFile(w, r, name, info)
	}
	if err != nil {
		s.refuse(w, r, err)
	}
}

// getFile answers with a file as it is now. That it is a regular one must be known before
// it is opened, as opening others has effects, and again afterwards.
func (s *Server) getFile(w coap.ResponseWriter, r *coap.Request, name string, info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return errNotFound
	}
	f, err := s.root.OpenFile(name, os.O_RDONLY|nonblock, 0)
	if err != nil {
		return err
	}
	if info, err = f.Stat(); err == nil && !info.Mode().IsRegular() {
		err = errNotFound
	}
	if err == nil && !meets(r, true, tagOf(info)) {
		err = errPrecondition
	}
	if err != nil {
		f.Close()
		return err
	}
	setTag(w, tagOf(info))
	w.SetBody(coap.Stream(newSnapshot(f, info), formatOf(name)))
	return nil
}

// A snapshot is an open file that is read as long as it is what it was when its ETag was
// made. One that another file takes the place of stays readable to the end.
type snapshot struct {
	*io.SectionReader // of the version
	version           version
}

type version struct {
	file *os.File
	info fs.FileInfo
}

func newSnapshot(f *os.File, info fs.FileInfo) *snapshot {
	v := version{f, info}
	return &snapshot{io.NewSectionReader(v, 0, info.Size()), v}
}

// Stat tells the length.
func (s *snapshot) Stat() (fs.FileInfo, error) { return s.version.info, nil }

// Close closes the file.
func (s *snapshot) Close() error { return s.version.file.Close() }

// ReadAt reads from the file, or fails with ErrETagChanged where that has changed.
func (v version) ReadAt(p []byte, off int64) (int, error) {
	n, err := v.file.ReadAt(p, off)
	now, statErr := v.file.Stat()
	switch {
	case statErr != nil:
		return 0, statErr
	case now.Size() != v.info.Size() || !now.ModTime().Equal(v.info.ModTime()):
		return 0, fmt.Errorf("files: %w", coap.ErrETagChanged)
	}
	return n, err
}
