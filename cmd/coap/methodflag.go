package main

import (
	"errors"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// withCommand puts the command in front of a command line that has none, as other
// clients have it: coap -m put -e 22.5 URI is coap put -m put -e 22.5 URI, and a URI
// without -m is a GET. A command behind flags is moved to the front.
func withCommand(args []string) []string {
	if !startsRequest(args) {
		return append([]string{}, args...)
	}
	if i := commandBehindFlags(args); i > 0 {
		return slices.Concat([]string{args[i]}, args[:i], args[i+1:])
	}
	return append([]string{methodOf(args)}, args...)
}

// commandBehindFlags returns where a command that sends requests stands as the first word
// that is no flag, as in coap -N get URI; 0: nowhere.
func commandBehindFlags(args []string) int {
	flags := anyRequestFlags()
	flags.SetInterspersed(false)
	if flags.Parse(args) != nil || flags.NArg() == 0 {
		return 0
	}
	word := flags.Arg(0)
	if !slices.Contains([]string{"observe", "ping", "discover"}, word) && !isMethod(word) {
		return 0
	}
	return len(args) - flags.NArg()
}

// startsRequest tells whether a command line begins with a URI or with flags of a
// request, rather than with a command or with flags of all commands.
func startsRequest(args []string) bool {
	if len(args) == 0 || args[0] == "--version" {
		return false
	}
	requestFlag := false
	flags := anyRequestFlags()
	flags.SetInterspersed(false)
	err := flags.ParseAll(args, func(f *pflag.Flag, _ string) error {
		requestFlag = requestFlag || f.Name != "color"
		return nil
	})
	switch {
	case errors.Is(err, pflag.ErrHelp):
		return false
	case err != nil || requestFlag:
		return true
	}
	return strings.ContainsAny(flags.Arg(0), ":/.[")
}

// methodOf returns the command of -m METHOD, get where there is none. A flag that is
// unknown or lacks its value is left to the command to complain about.
func methodOf(args []string) string {
	method := "get"
	_ = anyRequestFlags().ParseAll(args, func(f *pflag.Flag, value string) error {
		if f.Name == "method" && isMethod(value) {
			method = strings.ToLower(value)
		}
		return nil
	})
	return method
}

// anyRequestFlags returns the flags that may stand in a request, with those of all
// commands.
func anyRequestFlags() *pflag.FlagSet {
	flags := pflag.NewFlagSet("request", pflag.ContinueOnError)
	flags.Usage = func() {}
	new(requestFlags).define(flags)
	flags.Var(new(colorMode), "color", "")
	return flags
}
