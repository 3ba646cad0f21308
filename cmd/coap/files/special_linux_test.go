package files

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/motewire/coap"
	"github.com/motewire/coap/message"
)

// What is no regular file is not served, and a pipe keeps nobody waiting.
func TestSpecialFiles(t *testing.T) {
	serving(t, Config{Write: true}, nil, func(t *testing.T, n *node) {
		if err := syscall.Mkfifo(filepath.Join(n.dir, "pipe"), 0o666); err != nil {
			t.Fatal(err)
		}
		n.do(t, message.GET, "/pipe", coap.Body{}, message.NotFound)
		n.do(t, message.PUT, "/pipe", coap.Text("x"), message.Forbidden)
		n.do(t, message.DELETE, "/pipe", coap.Body{}, message.Forbidden)
		if got := n.get(t, "/"); got != "" {
			t.Errorf("listed: %s", got)
		}
	})
}

// A pipe that takes the place of a file between the look at it and its opening is not
// waited for either.
func TestPipeInPlaceOfAFile(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "file"), "")
	info, err := os.Stat(filepath.Join(dir, "file"))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o666); err != nil {
		t.Fatal(err)
	}
	s, err := Open(dir, Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.getFile(nil, nil, "pipe", info); err != errNotFound {
		t.Errorf("%v", err)
	}
}
