package files

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// What a killed process leaves of an upload goes when a server starts that may write, an
// hour later; nothing else does.
func TestDraftsOfKilledProcessesAreSwept(t *testing.T) {
	now := time.Now()
	old, recent := now.Add(-2*abandoned), now.Add(-abandoned/2)
	tests := []struct {
		name  string
		at    time.Time
		write bool
		gone  bool
	}{
		{draftName(), old, true, true},
		{"sub/dir/" + draftName(), old, true, true},
		{draftName(), old, false, false},
		{draftName(), recent, true, false},
		{".coap-x.part", old, true, false},
		{".coap-abcdefghijklmnopqrstuvwxyz.part", old, true, false},
		{"x" + draftName(), old, true, false},
		{"file.part", old, true, false},
	}
	for _, tt := range tests {
		dir := t.TempDir()
		path := filepath.Join(dir, filepath.FromSlash(tt.name))
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("half"), 0o666); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, tt.at, tt.at); err != nil {
			t.Fatal(err)
		}
		s, err := Open(dir, Config{Write: tt.write})
		if err != nil {
			t.Fatal(err)
		}
		s.Close()
		if _, err := os.Stat(path); os.IsNotExist(err) != tt.gone {
			t.Errorf("%s of %v ago, write %v: %v, want it gone: %v", tt.name, now.Sub(tt.at), tt.write, err, tt.gone)
		}
	}
}

// A draft that is a directory or a link is none.
func TestSweepLeavesOthersAlone(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, draftName())
	if err := os.Mkdir(name, 0o777); err != nil {
		t.Fatal(err)
	}
	s, err := Open(dir, Config{Write: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.sweep(time.Now().Add(24 * time.Hour))
	if _, err := os.Stat(name); err != nil {
		t.Error(err)
	}
}
