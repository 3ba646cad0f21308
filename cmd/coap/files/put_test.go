package files

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/message"
)

// drafts returns what the directory holds of uploads that are under way.
func (n *node) drafts(t *testing.T) (names []string) {
	t.Helper()
	for name := range tree(t, n.dir) {
		if strings.HasPrefix(filepath.Base(name), ".coap-") {
			names = append(names, name)
		}
	}
	return names
}

// block sends one block of a PUT, 64 bytes of a letter, and returns the response.
func (n *node) block(t *testing.T, path string, letter byte, num uint32, more bool, want message.Code, opts ...coap.RequestOption) *coap.Response {
	t.Helper()
	b := message.Block{Num: num, More: more, SZX: 2}.Encode()
	value := []byte{byte(b >> 8), byte(b)}
	if b < 256 {
		value = value[1:]
	}
	opts = append(opts, coap.Option(message.Block1, value), coap.Option(message.RequestTag, []byte{letter}))
	resp := n.do(t, message.PUT, path, coap.Raw(content(letter)), want, opts...)
	synctest.Wait() // for the handler to have written it
	return resp
}

func content(letter byte) []byte { return []byte(strings.Repeat(string(letter), 64)) }

func TestPutAndDelete(t *testing.T) {
	serving(t, Config{Write: true}, map[string]string{"old.txt": "old", "sub/x": ""}, func(t *testing.T, n *node) {
		resp := n.do(t, message.PUT, "/new.txt", coap.Text("1"), message.Created)
		n.do(t, message.GET, "/new.txt", coap.Body{}, message.Valid, coap.ETag(tag(t, resp)))
		n.do(t, message.PUT, "/new.txt", coap.Text("2"), message.Changed)
		n.do(t, message.PUT, "/old.txt", coap.Text(strings.Repeat("long", 1000)), message.Changed)
		n.do(t, message.PUT, "/sub/empty", coap.Body{}, message.Created)
		n.do(t, message.DELETE, "/sub/x", coap.Body{}, message.Deleted)
		n.do(t, message.DELETE, "/sub/x", coap.Body{}, message.Deleted) // RFC 7252 §5.8.4: or did not exist
		n.do(t, message.DELETE, "/absent/x", coap.Body{}, message.Deleted)
		n.do(t, message.PUT, "/absent/x", coap.Text(""), message.NotFound)
		n.do(t, message.PUT, "/old.txt/x", coap.Text(""), message.NotFound)
		for _, path := range []string{"", "/", "/sub", "/sub/"} {
			n.do(t, message.PUT, path, coap.Text("x"), message.MethodNotAllowed)
			n.do(t, message.DELETE, path, coap.Body{}, message.MethodNotAllowed)
		}
		got := tree(t, n.dir)
		if len(got) != 3 || got["new.txt"] != "2" || got["old.txt"] != strings.Repeat("long", 1000) || got["sub/empty"] != "" {
			t.Errorf("%q", got)
		}
	})
}

func TestPermissionsStay(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("permissions are others there")
	}
	serving(t, Config{Write: true}, map[string]string{"private": "", "open": "", "fixed": "kept"}, func(t *testing.T, n *node) {
		modes := map[string]os.FileMode{"private": 0o600, "open": 0o757, "fixed": 0o444}
		for name, mode := range modes {
			if err := os.Chmod(filepath.Join(n.dir, name), mode); err != nil {
				t.Fatal(err)
			}
		}
		n.do(t, message.PUT, "/private", coap.Text("x"), message.Changed)
		n.do(t, message.PUT, "/open", coap.Text("x"), message.Changed)
		n.do(t, message.PUT, "/fixed", coap.Text("x"), message.Forbidden)
		n.do(t, message.DELETE, "/fixed", coap.Body{}, message.Forbidden)
		for name, mode := range modes {
			if info, err := os.Stat(filepath.Join(n.dir, name)); err != nil || info.Mode() != mode {
				t.Errorf("%s: %v %v", name, info.Mode(), err)
			}
		}
		if got := tree(t, n.dir); got["fixed"] != "kept" || got["private"] != "x" {
			t.Error(got)
		}
	})
}

// RFC 7252 §5.10.8: "if the condition given is not fulfilled, then the server MUST NOT perform the
// requested method."
func TestPreconditions(t *testing.T) {
	serving(t, Config{Write: true}, map[string]string{"a": "1"}, func(t *testing.T, n *node) {
		first := tag(t, n.do(t, message.GET, "/a", coap.Body{}, message.Content))
		no := message.PreconditionFailed
		n.do(t, message.PUT, "/a", coap.Text("x"), no, coap.IfNoneMatch)
		n.do(t, message.PUT, "/a", coap.Text("x"), no, coap.IfMatch([]byte("other")))
		n.do(t, message.PUT, "/b", coap.Text("x"), no, coap.IfMatch(first))
		n.do(t, message.PUT, "/b", coap.Text("x"), no, coap.IfMatch(nil))
		n.do(t, message.DELETE, "/a", coap.Body{}, no, coap.IfMatch([]byte("other")))
		n.do(t, message.DELETE, "/b", coap.Body{}, no, coap.IfMatch(nil))
		n.do(t, message.DELETE, "/absent/b", coap.Body{}, no, coap.IfMatch(nil))
		n.do(t, message.GET, "/a", coap.Body{}, no, coap.IfMatch([]byte("other")))
		n.do(t, message.GET, "/", coap.Body{}, no, coap.IfMatch([]byte("other")))
		if got := tree(t, n.dir); len(got) != 1 || got["a"] != "1" {
			t.Error(got)
		}
		n.do(t, message.GET, "/a", coap.Body{}, message.Content, coap.IfMatch(first))
		second := tag(t, n.do(t, message.PUT, "/a", coap.Text("2"), message.Changed, coap.IfMatch([]byte("other")), coap.IfMatch(first)))
		n.do(t, message.PUT, "/a", coap.Text("x"), no, coap.IfMatch(first))
		n.do(t, message.PUT, "/b", coap.Text("b"), message.Created, coap.IfNoneMatch)
		n.do(t, message.DELETE, "/a", coap.Body{}, message.Deleted, coap.IfMatch(second))
		n.do(t, message.DELETE, "/b", coap.Body{}, message.Deleted, coap.IfMatch(nil))
		if got := tree(t, n.dir); len(got) != 0 {
			t.Error(got)
		}
	})
}

// Of two uploads that begin with the same precondition the first to end wins, and the
// other one finds it no longer fulfilled.
func TestPreconditionsAreCheckedWhenCommitted(t *testing.T) {
	serving(t, Config{Write: true}, map[string]string{"old": "1"}, func(t *testing.T, n *node) {
		match := coap.IfMatch(tag(t, n.do(t, message.GET, "/old", coap.Body{}, message.Content)))
		tests := []struct {
			path string
			with []coap.RequestOption // in block 0
			all  []coap.RequestOption // in every block
			code message.Code
		}{
			{"/new", []coap.RequestOption{coap.IfNoneMatch}, nil, message.Created},
			{"/old", []coap.RequestOption{match}, []coap.RequestOption{match}, message.Changed},
		}
		for _, tt := range tests {
			n.block(t, tt.path, 'a', 0, true, message.Continue, tt.with...)
			n.block(t, tt.path, 'b', 0, true, message.Continue, tt.with...)
			if got := n.drafts(t); len(got) != 2 {
				t.Errorf("%s: under way are %q", tt.path, got)
			}
			n.block(t, tt.path, 'b', 1, false, tt.code, tt.all...)
			n.block(t, tt.path, 'a', 1, false, message.PreconditionFailed, tt.all...)
			if body := n.get(t, tt.path); body != strings.Repeat("b", 128) {
				t.Errorf("%s: %q", tt.path, body)
			}
		}
		if got := n.drafts(t); len(got) != 0 {
			t.Errorf("left: %q", got)
		}
	})
}

// Until the body is whole the old file is there, and a draft is neither served nor listed.
func TestPutIsAtomic(t *testing.T) {
	serving(t, Config{Write: true}, map[string]string{"a.txt": "old"}, func(t *testing.T, n *node) {
		n.block(t, "/a.txt", 'n', 0, true, message.Continue)
		n.block(t, "/a.txt", 'n', 1, true, message.Continue)
		drafts := n.drafts(t)
		if len(drafts) != 1 || tree(t, n.dir)[drafts[0]] != strings.Repeat("n", 128) {
			t.Fatalf("under way is %q", drafts)
		}
		if body := n.get(t, "/a.txt"); body != "old" {
			t.Errorf("meanwhile %q", body)
		}
		n.do(t, message.GET, "/"+drafts[0], coap.Body{}, message.NotFound)
		if list := n.get(t, "/"); list != `</a.txt>;ct=0;sz=3` {
			t.Errorf("listed: %s", list)
		}
		n.block(t, "/a.txt", 'n', 2, false, message.Changed)
		if got := tree(t, n.dir); len(got) != 1 || got["a.txt"] != strings.Repeat("n", 192) {
			t.Errorf("%q", got)
		}
	})
}

// An upload that does not come to its end leaves the old file and nothing else.
func TestUploadsThatEndEarly(t *testing.T) {
	tests := map[string]func(t *testing.T, n *node){
		"abandoned": func(t *testing.T, n *node) {
			time.Sleep(246 * time.Second)
			if len(n.drafts(t)) != 1 {
				t.Error("given up before the idle time-out")
			}
			time.Sleep(2 * time.Second)
		},
		"gap":      func(t *testing.T, n *node) { n.block(t, "/a", 'x', 7, true, message.RequestEntityIncomplete) },
		"too long": func(t *testing.T, n *node) { n.block(t, "/a", 'x', 1, true, message.RequestEntityTooLarge) },
		"the end":  func(_ *testing.T, n *node) { n.Close() },
		"directory": func(t *testing.T, n *node) {
			if err := os.Remove(filepath.Join(n.dir, "a")); err != nil {
				t.Fatal(err)
			}
			if err := os.Mkdir(filepath.Join(n.dir, "a"), 0o777); err != nil {
				t.Fatal(err)
			}
			n.block(t, "/a", 'x', 1, false, message.MethodNotAllowed)
			if err := os.Remove(filepath.Join(n.dir, "a")); err != nil {
				t.Error(err)
			}
			write(t, filepath.Join(n.dir, "a"), "old")
		},
		"restart": func(t *testing.T, n *node) {
			n.block(t, "/a", 'x', 0, true, message.Continue)
			if got := n.drafts(t); len(got) != 1 {
				t.Errorf("under way are %q", got)
			}
			time.Sleep(248 * time.Second)
		},
	}
	for name, end := range tests {
		t.Run(name, func(t *testing.T) {
			limit := 1000
			if name == "too long" {
				limit = 100
			}
			serving(t, Config{Write: true, MaxBody: limit}, map[string]string{"a": "old"}, func(t *testing.T, n *node) {
				n.block(t, "/a", 'x', 0, true, message.Continue)
				if len(n.drafts(t)) != 1 {
					t.Fatal("no upload is under way")
				}
				end(t, n)
				synctest.Wait()
				if got := tree(t, n.dir); len(got) != 1 || got["a"] != "old" {
					t.Errorf("left: %q", got)
				}
			})
		})
	}
}

// RFC 7252 §5.9.2.9: 4.13 says in Size1 how much is taken.
func TestBodyLimit(t *testing.T) {
	serving(t, Config{Write: true, MaxBody: 100}, nil, func(t *testing.T, n *node) {
		resp := n.do(t, message.PUT, "/a", coap.Raw(make([]byte, 101)), message.RequestEntityTooLarge)
		if size, ok := resp.Message().Size1(); size != 100 || !ok {
			t.Errorf("Size1 %d", size)
		}
		n.do(t, message.PUT, "/b", coap.Raw(make([]byte, 100)), message.Created)
		if got := tree(t, n.dir); len(got) != 1 || len(got["b"]) != 100 {
			t.Errorf("%q", got)
		}
	})
}

// Renaming the directory of an upload on its way does no harm.
func TestDirectoryIsRenamedMeanwhile(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a directory in use can't be renamed there")
	}
	serving(t, Config{Write: true}, map[string]string{"sub/a": "old"}, func(t *testing.T, n *node) {
		n.block(t, "/sub/a", 'x', 0, true, message.Continue)
		if err := os.Rename(filepath.Join(n.dir, "sub"), filepath.Join(n.dir, "moved")); err != nil {
			t.Fatal(err)
		}
		n.block(t, "/sub/a", 'y', 0, true, message.NotFound)
		n.block(t, "/sub/a", 'x', 1, false, message.Changed)
		if got := tree(t, n.dir); len(got) != 1 || got["moved/a"] != strings.Repeat("x", 128) {
			t.Errorf("%q", got)
		}
	})
}

// What is put within one instant, as long as a file system takes to count on, has a time of
// its own each; and so it is where the clock is set back.
func TestTimesOfFilesDiffer(t *testing.T) {
	serving(t, Config{Write: true}, map[string]string{"a": ""}, func(t *testing.T, n *node) {
		began := time.Now()
		for range 3 {
			n.do(t, message.PUT, "/a", coap.Text("same"), message.Changed)
			info, err := os.Stat(filepath.Join(n.dir, "a"))
			if err != nil {
				t.Fatal(err)
			}
			if !info.ModTime().After(began) && !info.ModTime().Equal(began) || time.Since(began) > time.Millisecond {
				t.Errorf("modified at %v, put at %v", info.ModTime(), time.Now())
			}
			began = info.ModTime().Add(1)
		}
	})
	s := &Server{}
	last := time.Time{}
	for _, now := range []time.Time{time.Unix(7, 0), time.Unix(7, 0), time.Unix(6, 0), time.Unix(7, 1), time.Unix(8, 0)} {
		next := s.next(now)
		if !next.After(last) || next.Before(now) || next.Sub(now) > 2*time.Second {
			t.Errorf("%v after %v at %v", next, last, now)
		}
		last = next
	}
}

// What can be refused with the first block is, before the rest is on its way.
func TestRefusedWithTheFirstBlock(t *testing.T) {
	serving(t, Config{Write: true}, map[string]string{"a": "", "sub/x": ""}, func(t *testing.T, n *node) {
		n.block(t, "/a", 'x', 0, true, message.PreconditionFailed, coap.IfNoneMatch)
		n.block(t, "/sub", 'x', 0, true, message.MethodNotAllowed)
		n.block(t, "/absent/x", 'x', 0, true, message.NotFound)
		n.block(t, "/.x", 'x', 0, true, message.Forbidden)
		if got := n.drafts(t); len(got) != 0 {
			t.Errorf("under way are %q", got)
		}
	})
}

// The new content of a private file is private from the first block on.
func TestDraftsAreAsPrivateAsTheirTarget(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("permissions are others there")
	}
	serving(t, Config{Write: true}, map[string]string{"a": ""}, func(t *testing.T, n *node) {
		if err := os.Chmod(filepath.Join(n.dir, "a"), 0o600); err != nil {
			t.Fatal(err)
		}
		n.block(t, "/a", 'x', 0, true, message.Continue)
		for _, draft := range n.drafts(t) {
			if info, err := os.Stat(filepath.Join(n.dir, draft)); err != nil || info.Mode() != 0o600 {
				t.Errorf("%v %v", info.Mode(), err)
			}
		}
		n.block(t, "/a", 'x', 1, false, message.Changed)
	})
}
