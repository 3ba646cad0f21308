//go:build unix

package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// What is no regular file is written to and stays what it is. The test takes a pipe of its
// own: where the rule is broken, a device would be lost to the whole machine.
func TestPipesAreWrittenTo(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0) // does not wait for the other end
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := toFile(path, write("x", nil)); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Type() != fs.ModeNamedPipe {
		t.Fatalf("%v %v", info, err)
	}
	b := make([]byte, 2)
	if n, err := f.Read(b); err != nil || string(b[:n]) != "x" {
		t.Errorf("%q %v", b[:n], err)
	}
	expectFiles(t, dir, "pipe")
}
