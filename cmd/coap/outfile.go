package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// refuseStandard refuses - for a file beside what goes to standard output, where it would
// be in the way.
func refuseStandard(flag, file string) error {
	if file == "-" {
		return usageErrorf("%s -: say a file; standard output is in use", flag)
	}
	return nil
}

// A newFile is the file of -o on its way: a temporary one beside it, which takes its name
// once it is whole. What is no regular file, such as a device or a pipe, is written to as
// it is.
type newFile struct {
	*os.File
	temporary string // empty: the file itself is written to
	final     string
}

// createFile opens the file that will be at path. Errors have the exit status of local
// ones.
func createFile(path string) (*newFile, error) {
	f := &newFile{final: path}
	mode := fs.FileMode(0o666)
	info, err := os.Stat(path)
	if err == nil {
		if !info.Mode().IsRegular() {
			f.File, err = os.OpenFile(path, os.O_WRONLY, 0)
			return f, ioError(err)
		}
		mode = info.Mode().Perm()
		if f.final, err = filepath.EvalSymlinks(path); err != nil { // a link stays one
			return nil, ioError(err)
		}
	}
	exists := err == nil
	for {
		f.temporary = fmt.Sprintf("%s.%08x.part", f.final, rand.Uint32())
		f.File, err = os.OpenFile(f.temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
		if !errors.Is(err, fs.ErrExist) {
			break
		}
	}
	if err == nil && exists {
		err = f.Chmod(mode) // whatever the umask
		if err != nil {
			f.discard()
		}
	}
	return f, f.named(err)
}

// named makes an error one of a local file, by the name that the user knows.
func (f *newFile) named(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) && path.Path == f.temporary {
		path.Path = f.final
	}
	return ioError(err)
}

// commit gives the file its name.
func (f *newFile) commit() error {
	err := f.Close()
	if f.temporary == "" {
		return f.named(err)
	}
	if err == nil {
		err = os.Rename(f.temporary, f.final)
	}
	if err != nil {
		os.Remove(f.temporary)
	}
	return f.named(err)
}

// discard leaves nothing behind, and what was at the path as it was.
func (f *newFile) discard() {
	f.Close()
	if f.temporary != "" {
		os.Remove(f.temporary)
	}
}

// toFile writes the file at path by a function, or leaves it alone where that fails.
func toFile(path string, write func(io.Writer) error) error {
	f, err := createFile(path)
	if err != nil {
		return err
	}
	if err := write(f); err != nil {
		f.discard()
		return err
	}
	return f.commit()
}
