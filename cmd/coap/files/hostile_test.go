package files

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/motewire/coap"
	"github.com/motewire/coap/message"
)

// secret is what no response holds.
const secret = "not for anyone"

// besiege puts links and secrets around and into a directory.
func besiege(t *testing.T, dir string) {
	t.Helper()
	above := filepath.Dir(dir)
	write(t, filepath.Join(above, "secret"), secret)
	write(t, filepath.Join(above, "served-too", "secret"), secret)
	write(t, filepath.Join(dir, ".hidden"), secret)
	write(t, filepath.Join(dir, ".git", "config"), secret)
	for link, to := range map[string]string{
		"out":      "../secret",
		"outdir":   "..",
		"sibling":  "../served-too",
		"absolute": filepath.Join(above, "secret"),
		"absdir":   above,
		"chain":    "out",
		"sub/up":   "../../secret",
		"round":    "../served/../secret",
		"dangling": "../made",
		"loop":     "loop",
		"etc":      "/etc",
	} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Skip("no symbolic links here:", err)
		}
	}
}

// hostile are paths that no method may get anywhere with, as Uri-Path options.
var hostile = [][]string{
	{".."}, {"..", "secret"}, {"..", "served-too", "secret"}, {"sub", "..", "..", "secret"}, {"."}, {".", "a.txt"},
	{"sub", "..", "a.txt"}, {"..."}, {"a.txt", ".."}, {"sub", ".", "b.txt"},
	{"", "a.txt"}, {"", "..", "secret"}, {"", "", ""}, {"sub", "", "b.txt"}, {"", "etc", "passwd"},
	{"/etc/passwd"}, {"/"}, {"../secret"}, {"sub/b.txt"}, {"sub/../../secret"}, {"a.txt/"}, {"/a.txt"}, {"//"},
	{"..\\secret"}, {"sub\\b.txt"}, {"C:\\boot.ini"}, {"C:"}, {"a.txt:stream"}, {"a.txt::$DATA"}, {"\\\\host\\share"},
	{"..%2fsecret"}, {"..%00"}, {"..", "%2e%2e"},
	{"a.txt\x00"}, {"a.txt\x00.png"}, {"\x00"}, {"new\nline"}, {"bell\x07"}, {"del\x7f"}, {"c1\u0085"},
	{"\xff"}, {"\xc0\xae\xc0\xae", "secret"}, {"\xc0\xaf"}, {"a\xc3"},
	{".hidden"}, {".git", "config"}, {".git"}, {".new"}, {"sub", ".new"},
	{"con"}, {"NUL"}, {"nul.txt"}, {"Aux.tar.gz"}, {"com1"}, {"LPT9.log"}, {"com¹"}, {"prn .txt"}, {"CONIN$"}, {"sub", "nul"},
	{"a.txt."}, {"a.txt "}, {"a.txt. ."},
	{"out"}, {"outdir"}, {"outdir", "secret"}, {"sibling", "secret"}, {"absolute"}, {"absdir", "secret"}, {"chain"},
	{"sub", "up"}, {"round"}, {"dangling"}, {"loop"}, {"loop", "x"}, {"etc", "passwd"}, {"outdir", "made"},
}

// Nothing outside of the directory, and nothing hidden, is read, listed or changed; nor
// does a response tell where on the machine the directory is.
func TestHostilePaths(t *testing.T) {
	served := map[string]string{"a.txt": "a", "sub/b.txt": "b"}
	serving(t, Config{Write: true}, served, func(t *testing.T, n *node) {
		besiege(t, n.dir)
		above := filepath.Dir(n.dir)
		before := tree(t, above)
		for _, path := range hostile {
			for _, method := range []message.Code{message.GET, message.PUT, message.DELETE} {
				n.attack(t, method, path)
			}
		}
		if after := tree(t, above); !maps.Equal(before, after) {
			t.Errorf("before %q\nafter %q", before, after)
		}
		for _, path := range []string{"/", "/sub", "/.well-known/core"} {
			if body := n.get(t, path); strings.Contains(body, "hidden") || strings.Contains(body, "out") || strings.Contains(body, "etc") {
				t.Errorf("%s lists %s", path, body)
			}
		}
	})
}

// attack sends a request with a path as it stands, which must be an error of the client.
func (n *node) attack(t *testing.T, method message.Code, path []string) {
	t.Helper()
	var opts []coap.RequestOption
	for _, segment := range path {
		opts = append(opts, coap.Option(message.URIPath, []byte(segment)))
	}
	var body coap.Body
	if method == message.PUT {
		body = coap.Raw([]byte("overwritten"))
	}
	resp, err := n.Client().Do(t.Context(), coap.NewRequest(method, n.URL, body, opts...))
	if err != nil {
		t.Errorf("%v %q: %v", method, path, err)
		return
	}
	switch resp.Code {
	case message.NotFound, message.Forbidden, message.MethodNotAllowed:
	default:
		t.Errorf("%v %q: %v %q", method, path, resp.Code, resp.Payload())
	}
	if p := resp.Payload(); bytes.Contains(p, []byte(secret)) || bytes.Contains(p, []byte(n.dir)) || bytes.Contains(p, []byte(filepath.Dir(n.dir))) {
		t.Errorf("%v %q tells %q", method, path, p)
	}
}

// RFC 7252 §6.4: what a Uri-Path option holds is decoded already, so that an escape in it is
// part of a name.
func TestNamesAreNotDecodedAgain(t *testing.T) {
	serving(t, Config{Write: true}, nil, func(t *testing.T, n *node) {
		write(t, filepath.Join(filepath.Dir(n.dir), "secret"), secret)
		for _, name := range []string{"%2e%2e", "%2e%2e%2fsecret", "..%2f", "100%", "%00"} {
			path := coap.Option(message.URIPath, []byte(name))
			if name[0] == '.' {
				n.do(t, message.GET, "", coap.Body{}, message.NotFound, path)
				continue
			}
			n.do(t, message.PUT, "", coap.Text(name), message.Created, path)
			if body := n.do(t, message.GET, "", coap.Body{}, message.Content, path).Payload(); string(body) != name {
				t.Errorf("%s holds %q", name, body)
			}
			if content, err := os.ReadFile(filepath.Join(n.dir, name)); string(content) != name {
				t.Errorf("%s is %q, %v", name, content, err)
			}
		}
	})
}

// Links within the directory are followed, and left alone by PUT and DELETE.
func TestLinksWithin(t *testing.T) {
	serving(t, Config{Write: true}, map[string]string{"sub/b.txt": "b"}, func(t *testing.T, n *node) {
		for link, to := range map[string]string{"file.txt": "sub/b.txt", "dir": "sub", "sub/back": "../sub/b.txt"} {
			if err := os.Symlink(to, filepath.Join(n.dir, link)); err != nil {
				t.Skip("no symbolic links here:", err)
			}
		}
		for _, path := range []string{"/file.txt", "/dir/b.txt", "/sub/back", "/dir/back"} {
			if body := n.get(t, path); body != "b" {
				t.Errorf("%s is %q", path, body)
			}
		}
		if got := n.get(t, "/"); got != `</dir/>;ct=40,</file.txt>;ct=0;sz=1,</sub/>;ct=40` {
			t.Errorf("listed: %s", got)
		}
		n.do(t, message.PUT, "/file.txt", coap.Text("x"), message.Forbidden)
		n.do(t, message.DELETE, "/file.txt", coap.Body{}, message.Forbidden)
		n.do(t, message.DELETE, "/dir", coap.Body{}, message.Forbidden)
		n.do(t, message.PUT, "/dir/c.txt", coap.Text("c"), message.Created)
		if got := tree(t, n.dir); got["file.txt"] != "sub/b.txt" || got["sub/b.txt"] != "b" || got["sub/c.txt"] != "c" {
			t.Error(got)
		}
	})
}
