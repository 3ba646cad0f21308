package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func write(text string, err error) func(io.Writer) error {
	return func(w io.Writer) error {
		io.WriteString(w, text)
		return err
	}
}

// A file gets its name once it is whole; otherwise nothing happens to what was there.
func TestNewFiles(t *testing.T) {
	dir, failed := t.TempDir(), errors.New("failed")
	path := filepath.Join(dir, "file")
	expect := func(want string) {
		t.Helper()
		if b, _ := os.ReadFile(path); string(b) != want {
			t.Errorf("%q, want %q", b, want)
		}
	}
	if err := toFile(path, write("half", failed)); !errors.Is(err, failed) {
		t.Error(err)
	}
	expectFiles(t, dir)
	if err := toFile(path, write("one", nil)); err != nil {
		t.Error(err)
	}
	expect("one")
	if err := toFile(path, write("half", failed)); !errors.Is(err, failed) {
		t.Error(err)
	}
	expect("one")
	err := toFile(path, func(w io.Writer) error {
		io.WriteString(w, "two")
		expect("one")
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	expect("two")
	expectFiles(t, dir, "file")
	if err := toFile(dir, write("x", nil)); exitStatus(err) != exitIO {
		t.Errorf("directory: %v", err)
	}
	missing := filepath.Join(dir, "none", "file")
	if err := toFile(missing, write("x", nil)); exitStatus(err) != exitIO || !strings.Contains(err.Error(), missing+": ") {
		t.Errorf("no directory: %v", err)
	}
}

// A file keeps its permissions and a link stays one.
func TestNewFilesTakeThePlace(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no permissions and links of this kind")
	}
	dir := t.TempDir()
	path, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("file", link); err != nil {
		t.Fatal(err)
	}
	if err := toFile(link, write("x", nil)); err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != 0o600 || info.Size() != 1 {
		t.Errorf("%v %v", info, err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("%v %v", info, err)
	}
	expectFiles(t, dir, "file", "link")
}
