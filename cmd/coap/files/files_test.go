package files

import (
	"bytes"
	"crypto/sha256"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/coaptest"
	"github.com/motewire/coap/linkformat"
	"github.com/motewire/coap/message"
	"github.com/motewire/coap/transport/simnet"
)

func TestMain(m *testing.M) { coaptest.Main(m) }

// A served directory is on a network in memory.
type node struct {
	*coaptest.Server
	dir string // beside nothing but what a test puts there
}

// serving runs a test in virtual time against a directory with these files.
func serving(t *testing.T, cfg Config, files map[string]string, f func(t *testing.T, n *node)) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "served")
	for name, content := range files {
		write(t, filepath.Join(dir, name), content)
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	coaptest.Run(t, func(t *testing.T) {
		s, err := Open(dir, cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		n := &node{coaptest.NewServer(s.Mux()), dir}
		defer n.Close()
		f(t, n)
	})
}

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o666); err != nil {
		t.Fatal(err)
	}
}

// do sends a request, which must be answered by a code, and returns the response.
func (n *node) do(t *testing.T, method message.Code, path string, body coap.Body, want message.Code, opts ...coap.RequestOption) *coap.Response {
	t.Helper()
	resp, err := n.Client().Do(t.Context(), coap.NewRequest(method, n.URL+path, body, opts...))
	if err != nil {
		t.Fatalf("%v %s: %v", method, path, err)
	}
	if resp.Code != want {
		t.Errorf("%v %s: %v %q, want %v", method, path, resp.Code, resp.Payload(), want)
	}
	return resp
}

// get returns the body of a GET.
func (n *node) get(t *testing.T, path string) string {
	t.Helper()
	body, err := n.do(t, message.GET, path, coap.Body{}, message.Content).Bytes()
	if err != nil {
		t.Errorf("GET %s: %v", path, err)
	}
	return string(body)
}

// tag returns the ETag of a response.
func tag(t *testing.T, resp *coap.Response) []byte {
	t.Helper()
	etag, ok := resp.ETag()
	if !ok {
		t.Errorf("no ETag: %v", resp.Message())
	}
	return etag.Append(nil)
}

// tree returns what is below a directory: files with their contents, links with where they
// lead.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(dir, name)
		if d.Type() == fs.ModeSymlink {
			found[rel], err = os.Readlink(name)
			return err
		}
		content, err := os.ReadFile(name)
		found[rel] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestGetFiles(t *testing.T) {
	large := strings.Repeat("0123456789", 1000)
	files := map[string]string{"a.txt": "text", "b.JSON": "{}", "sub/deep/c.cbor": "\xa0", "d": "octets", "empty.xml": "", "large.png": large, "ü ß.txt": "u"}
	serving(t, Config{}, files, func(t *testing.T, n *node) {
		tests := []struct {
			path, want string
			format     message.Format
		}{
			{"/a.txt", "text", message.TextPlain},
			{"/b.JSON", "{}", message.AppJSON},
			{"/sub/deep/c.cbor", "\xa0", message.AppCBOR},
			{"/d", "octets", message.OctetStream},
			{"/empty.xml", "", message.AppXML},
			{"/large.png", large, 23},
			{"/%C3%BC%20%C3%9F.txt", "u", message.TextPlain},
		}
		for _, tt := range tests {
			resp := n.do(t, message.GET, tt.path, coap.Body{}, message.Content)
			body, err := resp.Bytes()
			if format, ok := resp.ContentFormat(); string(body) != tt.want || err != nil || format != tt.format || !ok {
				t.Errorf("%s: %d bytes of %v, %v", tt.path, len(body), format, err)
			}
			again := n.do(t, message.GET, tt.path, coap.Body{}, message.Valid, coap.ETag(tag(t, resp)))
			if len(again.Payload()) > 0 {
				t.Errorf("%s: 2.03 has a payload", tt.path)
			}
		}
		n.do(t, message.GET, "/a.txt/", coap.Body{}, message.NotFound)
		n.do(t, message.GET, "/a.txt/b", coap.Body{}, message.NotFound)
		n.do(t, message.GET, "/absent", coap.Body{}, message.NotFound)
		n.do(t, message.GET, "/"+strings.Repeat("n", 250)+"/"+strings.Repeat("n", 250), coap.Body{}, message.NotFound)
		n.do(t, message.GET, "/a.txt", coap.Body{}, message.NotAcceptable, coap.Accept(message.AppJSON))
		n.do(t, message.POST, "/a.txt", coap.Body{}, message.MethodNotAllowed)
	})
}

func TestReadOnlyByDefault(t *testing.T) {
	serving(t, Config{}, map[string]string{"a.txt": "kept"}, func(t *testing.T, n *node) {
		n.do(t, message.PUT, "/a.txt", coap.Text("x"), message.MethodNotAllowed)
		n.do(t, message.DELETE, "/a.txt", coap.Body{}, message.MethodNotAllowed)
		n.do(t, message.PUT, "/new.txt", coap.Text("x"), message.MethodNotAllowed)
		if got := tree(t, n.dir); len(got) != 1 || got["a.txt"] != "kept" {
			t.Error(got)
		}
	})
}

// A directory is its entries in link-format, and discovery lists those of the directory
// itself.
func TestGetDirectories(t *testing.T) {
	files := map[string]string{"b.txt": "12345", "a.json": "", "sub/x y<é>.bin": "1", ".hidden": "", "sub/.git/config": "", "nul.txt": "", "new\nline": ""}
	serving(t, Config{}, files, func(t *testing.T, n *node) {
		const root = `</a.json>;ct=50;sz=0,</b.txt>;ct=0;sz=5,</sub/>;ct=40`
		const core = `</.well-known/core>;ct=40`
		const sub = `</sub/x%20y%3C%C3%A9%3E.bin>;ct=42;sz=1`
		for path, want := range map[string]string{"": root, "/": root, "/sub": sub, "/sub/": sub} {
			resp := n.do(t, message.GET, path, coap.Body{}, message.Content)
			if format, _ := resp.ContentFormat(); string(resp.Payload()) != want || format != message.AppLinkFormat {
				t.Errorf("%q: %q", path, resp.Payload())
			}
			n.do(t, message.GET, path, coap.Body{}, message.Valid, coap.ETag(tag(t, resp)))
		}
		if got := n.get(t, "/sub/x%20y%3C%C3%A9%3E.bin"); got != "1" {
			t.Errorf("the link leads to %q", got)
		}
		if got := n.get(t, "/.well-known/core"); got != core+","+root {
			t.Errorf("discovery: %q", got)
		}
		if got := n.get(t, "/.well-known/core?ct=50"); got != `</a.json>;ct=50;sz=0` {
			t.Errorf("discovery with a filter: %q", got)
		}
	})
}

func TestDirectoriesAreBounded(t *testing.T) {
	serving(t, Config{}, nil, func(t *testing.T, n *node) {
		for i := range maxEntries + 100 {
			write(t, filepath.Join(n.dir, "f"+string(rune('a'+i%26))+strings.Repeat("x", i/26)), "")
		}
		for path, others := range map[string]int{"/": 0, "/.well-known/core": 1} {
			links, err := linkformat.Parse([]byte(n.get(t, path)))
			if err != nil || len(links) != maxEntries+others {
				t.Errorf("%s: %d links, %v", path, len(links), err)
			}
		}
	})
}

// Whatever way a file changes, its ETag does: also where files of the same length are put
// within one tick of the clock.
func TestETagsTellStatesApart(t *testing.T) {
	serving(t, Config{Write: true}, nil, func(t *testing.T, n *node) {
		seen := map[string]bool{}
		look := func(resp *coap.Response) {
			t.Helper()
			of := string(tag(t, resp))
			if seen[of] {
				t.Errorf("after %d states the same ETag again", len(seen))
			}
			seen[of] = true
		}
		for i := range 20 {
			resp := n.do(t, message.PUT, "/a", coap.Text(string(rune('a'+i))), map[bool]message.Code{true: message.Created, false: message.Changed}[i == 0])
			look(resp)
			n.do(t, message.GET, "/a", coap.Body{}, message.Valid, coap.ETag(tag(t, resp)))
		}
		file := filepath.Join(n.dir, "a")
		write(t, file, "longer")
		look(n.do(t, message.GET, "/a", coap.Body{}, message.Content))
		if err := os.Chtimes(file, time.Time{}, time.Unix(5, 7)); err != nil {
			t.Fatal(err)
		}
		look(n.do(t, message.GET, "/a", coap.Body{}, message.Content))
	})
}

func TestSameInodeSameSizeSameTime(t *testing.T) {
	serving(t, Config{}, map[string]string{"a": "1", "b": "1"}, func(t *testing.T, n *node) {
		for _, name := range []string{"a", "b"} {
			if err := os.Chtimes(filepath.Join(n.dir, name), time.Time{}, time.Unix(5, 7)); err != nil {
				t.Fatal(err)
			}
		}
		a, b := n.do(t, message.GET, "/a", coap.Body{}, message.Content), n.do(t, message.GET, "/b", coap.Body{}, message.Content)
		if bytes.Equal(tag(t, a), tag(t, b)) && nonblock != 0 { // where inodes are known
			t.Error("two files have the same ETag")
		}
	})
}

// A GET that has begun sees one state to its end: the old file where a PUT replaces it, and
// the new one from its start where it is changed in place.
func TestGetSeesOneState(t *testing.T) {
	old, changed := strings.Repeat("old ", 1000), strings.Repeat("new! ", 1000)
	serving(t, Config{Write: true}, map[string]string{"a": old, "b": old}, func(t *testing.T, n *node) {
		replaced := n.do(t, message.GET, "/a", coap.Body{}, message.Content)
		n.do(t, message.PUT, "/a", coap.Text(changed), message.Changed)
		if body, err := replaced.Bytes(); string(body) != old || err != nil {
			t.Errorf("replaced: %d bytes, %v", len(body), err)
		}
		if body := n.get(t, "/a"); body != changed {
			t.Errorf("afterwards %d bytes", len(body))
		}
		written := n.do(t, message.GET, "/b", coap.Body{}, message.Content)
		write(t, filepath.Join(n.dir, "b"), changed)
		if body, err := written.Bytes(); string(body) != changed || err != nil {
			t.Errorf("in place: %d bytes, %v", len(body), err)
		}
	})
}

// 1 MiB up and down over a link that loses, doubles and reorders.
func TestMebibyteOverALossyLink(t *testing.T) {
	content := make([]byte, 1<<20)
	for i := range content {
		content[i] = byte(i * i >> 7)
	}
	want := sha256.Sum256(content)
	serving(t, Config{Write: true}, nil, func(t *testing.T, n *node) {
		n.Network.SetDefault(simnet.Link{Loss: 0.1, Duplicate: 0.05, Reorder: 0.1, Delay: 20 * time.Millisecond, Jitter: 10 * time.Millisecond})
		up := coap.Stream(bytes.NewReader(content), message.OctetStream)
		n.do(t, message.PUT, "/up.bin", up, message.Created, coap.IfNoneMatch)
		stored, err := os.ReadFile(filepath.Join(n.dir, "up.bin"))
		if err != nil || sha256.Sum256(stored) != want {
			t.Errorf("stored: %d bytes, %v", len(stored), err)
		}
		down := n.get(t, "/up.bin")
		if sha256.Sum256([]byte(down)) != want {
			t.Errorf("fetched: %d bytes", len(down))
		}
		if got := tree(t, n.dir); len(got) != 1 {
			t.Errorf("%d files", len(got))
		}
	})
}

func TestOpenRefusesWhatCannotWork(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, "")
	for _, dir := range []string{file, filepath.Join(file, "x"), filepath.Join(t.TempDir(), "absent")} {
		if s, err := Open(dir, Config{}); err == nil {
			s.Close()
			t.Errorf("%s was opened", dir)
		}
	}
	if _, err := Open(t.TempDir(), Config{MaxBody: -1}); err == nil {
		t.Error("a negative limit was accepted")
	}
}
