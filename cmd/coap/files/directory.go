package files

import (
	"cmp"
	"errors"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path"
	"slices"
	"strconv"

	"github.com/motewire/coap"
	"github.com/motewire/coap/linkformat"
	"github.com/motewire/coap/message"
)

// maxEntries is how many entries of a directory are looked at: those that the system names
// first.
const maxEntries = 1000

// getDirectory answers with the entries of a directory.
func (s *Server) getDirectory(w coap.ResponseWriter, r *coap.Request, name string) error {
	links, err := s.list(name)
	if err != nil {
		return err
	}
	text := linkformat.Append(nil, links...)
	if !meets(r, true, hashOf(text)) {
		return errPrecondition
	}
	setTag(w, hashOf(text))
	w.SetBody(coap.Bytes(text, message.AppLinkFormat))
	return nil
}

// links lists the directory itself for discovery.
func (s *Server) links() []linkformat.Link {
	links, err := s.list(".")
	if err != nil {
		s.cfg.Logger.Error("coap: directory", "error", err)
	}
	return links
}

// list returns the entries of a directory that are served, in the order of their names.
func (s *Server) list(name string) ([]linkformat.Link, error) {
	dir, err := s.root.OpenFile(name, os.O_RDONLY|nonblock, 0)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	entries, err := dir.ReadDir(maxEntries)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return cmp.Compare(a.Name(), b.Name()) })
	var links []linkformat.Link
	for _, entry := range entries {
		if link, ok := s.link(path.Join(name, entry.Name())); ok {
			links = append(links, link)
		}
	}
	return links, nil
}

// link returns the link to an entry, which may itself be a link; not ok: it is not served.
func (s *Server) link(name string) (l linkformat.Link, ok bool) {
	if !served(path.Base(name)) {
		return l, false
	}
	info, err := s.root.Stat(name)
	switch {
	case err != nil:
		return l, false // it is gone, or leads out
	case info.IsDir():
		return linkformat.Link{Target: target(name) + "/", Attributes: []linkformat.Attribute{ct(message.AppLinkFormat)}}, true
	case info.Mode().IsRegular():
		size := linkformat.Attribute{Name: "sz", Value: strconv.FormatInt(info.Size(), 10)}
		return linkformat.Link{Target: target(name), Attributes: []linkformat.Attribute{ct(formatOf(name)), size}}, true
	}
	return l, false
}

// target returns the path of a file as it is written in a link.
func target(name string) string { return (&url.URL{Path: "/" + name}).EscapedPath() }

func ct(f message.Format) linkformat.Attribute {
	return linkformat.Attribute{Name: "ct", Value: strconv.Itoa(int(f))}
}
