package main

import (
	"errors"
	"math"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/motewire/coap/cmd/coap/files"
)

// directoryFlags are those of coap serve that are about files.
type directoryFlags struct {
	dir     string
	write   bool
	maxBody bytesValue
	set     *pflag.FlagSet
}

func (f *directoryFlags) add(set *pflag.FlagSet) {
	f.maxBody, f.set = files.DefaultMaxBody, set
	set.StringVar(&f.dir, "dir", "", "serve the files of `DIR` instead, read-only")
	set.BoolVar(&f.write, "write", false, "with --dir: allow PUT and DELETE")
	set.Var(&f.maxBody, "max-body", "with --write: the longest body of a PUT; K, M, G are units")
}

// check refuses flags that belong to one that is missing.
func (f *directoryFlags) check() error {
	switch {
	case f.dir == "" && f.set.Changed("dir"):
		return usageErrorf("--dir: say a directory")
	case f.dir == "" && f.write:
		return usageErrorf("--write needs --dir DIR")
	case !f.write && f.set.Changed("max-body"):
		return usageErrorf("--max-body needs --dir DIR --write")
	}
	return nil
}

// A bytesValue is a number of bytes.
type bytesValue int

// units are the powers of 1024.
var units = []struct {
	name  string
	bytes int
}{{"G", 1 << 30}, {"M", 1 << 20}, {"K", 1 << 10}}

// String returns the number with the largest unit that leaves it whole.
func (v *bytesValue) String() string {
	for _, u := range units {
		if n := int(*v); n > 0 && n%u.bytes == 0 {
			return strconv.Itoa(n/u.bytes) + u.name
		}
	}
	return strconv.Itoa(int(*v))
}

// Type names the value in the help.
func (v *bytesValue) Type() string { return "SIZE" }

// Set parses a number with a unit or without.
func (v *bytesValue) Set(s string) error {
	number, unit := strings.ToUpper(s), 1
	for _, u := range units {
		if rest, found := strings.CutSuffix(number, u.name); found {
			number, unit = rest, u.bytes
			break
		}
	}
	n, err := strconv.ParseUint(number, 10, 31)
	if err != nil || n == 0 || int(n) > math.MaxInt32/unit {
		return errors.New("say a number of bytes from 1 to 2147483647, like 500, 64K or 16M")
	}
	*v = bytesValue(int(n) * unit)
	return nil
}
