package files

import (
	"crypto/rand"
	"io/fs"
	"strings"
	"time"
)

// A draft is the hidden file that a body is written to on its way.
const draftPrefix, draftSuffix = ".coap-", ".part"

// abandoned is how long a draft has not been written to when nobody works on it any more.
// A body whose blocks stay away is given up within minutes.
const abandoned = time.Hour

// maxSwept is how many entries are looked at for drafts, so that a server of any directory
// starts soon.
const maxSwept = 100000

// draftName returns a name that no file has.
func draftName() string { return draftPrefix + rand.Text() + draftSuffix }

// isDraft recognises the names that draftName makes.
func isDraft(name string) bool {
	text, begins := strings.CutPrefix(name, draftPrefix)
	text, ends := strings.CutSuffix(text, draftSuffix)
	return begins && ends && len(text) == len(rand.Text()) && strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == ""
}

// sweep removes the drafts that processes have left behind which were killed. Another one
// may be at work in the same directory: its drafts are younger.
func (s *Server) sweep(now time.Time) {
	entries, removed := 0, 0
	_ = fs.WalkDir(s.root.FS(), ".", func(path string, e fs.DirEntry, err error) error {
		entries++
		switch {
		case entries > maxSwept:
			return fs.SkipAll
		case err != nil && e != nil && e.IsDir():
			return fs.SkipDir // it can't be read
		case err != nil || !e.Type().IsRegular() || !isDraft(e.Name()):
			return nil
		}
		if info, err := e.Info(); err == nil && now.Sub(info.ModTime()) > abandoned && s.root.Remove(path) == nil {
			removed++
		}
		return nil
	})
	if removed > 0 {
		s.cfg.Logger.Info("coap: removed what was left of uploads", "files", removed)
	}
}
