package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func (c *cli) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print version, Go version and VCS revision",
		Example: `  coap version`,
		Args:    noArguments,
		RunE: func(*cobra.Command, []string) error {
			return ioError(writeVersion(c.stdout, buildInfo()))
		},
	}
}

// buildInfo returns what the linker has recorded, nil for a binary built without module
// support.
func buildInfo() *debug.BuildInfo {
	info, _ := debug.ReadBuildInfo()
	return info
}

func moduleVersion(info *debug.BuildInfo) string {
	if info == nil || info.Main.Version == "" {
		return "unknown"
	}
	return info.Main.Version
}

// writeVersion prints versions and revision; info may be nil.
func writeVersion(w io.Writer, info *debug.BuildInfo) error {
	revision, modified := "unknown", ""
	if info != nil {
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision":
				revision = s.Value
			case s.Key == "vcs.modified" && s.Value == "true":
				modified = " (modified)"
			}
		}
	}
	_, err := fmt.Fprintf(w, "coap %s\ngo %s %s/%s\nrevision %s%s\n",
		moduleVersion(info), runtime.Version(), runtime.GOOS, runtime.GOARCH, revision, modified)
	return err
}
