package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// A cli is one run of the command: its streams and what flags of all commands say.
type cli struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	stdinTerminal  bool
	stdoutTerminal bool
	stderrTerminal bool
	getenv         func(string) string
	color          colorMode
	transfer       *transfer // of the request under way; nil: there is none
	helpErr        error     // of printing a help
}

// run carries out a command line without the program's name and returns the exit status.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	c := &cli{
		stdin: stdin, stdout: stdout, stderr: stderr,
		stdinTerminal:  isTerminal(stdin),
		stdoutTerminal: isTerminal(stdout),
		stderrTerminal: isTerminal(stderr),
		getenv:         os.Getenv,
	}
	return c.run(ctx, args)
}

func (c *cli) run(ctx context.Context, args []string) int {
	root := c.rootCommand()
	if line, ok := completing(args); ok {
		root.SetArgs(line)
	} else {
		root.SetArgs(withCommand(args))
	}
	err := root.ExecuteContext(ctx)
	if err == nil {
		err = ioError(c.helpErr)
	}
	status := exitStatus(err)
	if err != nil && err.Error() != "" && status != exitPipe { // coap … | head is no mistake
		fmt.Fprintln(c.stderr, "coap:", oneLine(err))
	}
	return status
}

// oneLine returns the text of an error, which may quote what the user typed, without
// line breaks.
func oneLine(err error) string {
	return strings.Join(strings.Fields(err.Error()), " ")
}

func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// columns returns the width of the terminal that a stream is, 80 where it doesn't tell.
func columns(stream any) int {
	if f, ok := stream.(*os.File); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
			return width
		}
	}
	return 80
}

func (c *cli) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "coap [-m METHOD] URI",
		Short: "CoAP client, server and dissector",
		Long: `coap talks CoAP (RFC 7252).

  coap get coap://host/path      is a request; a URI without scheme means coap://
  coap -m put -e 22.5 host/path  is coap put -e 22.5 host/path

Exit status: 0 a 2.xx, 1 usage, 2 local I/O, 3 time-out or unreachable, 4 a 4.xx,
5 a 5.xx, 6 Reset or protocol violation, 7 security, 8 observation refused or ended
early, 130 interrupted.`,
		DisableFlagsInUseLine: true,
		SilenceErrors:         true,
		SilenceUsage:          true,
		Args:                  cobra.ArbitraryArgs,
		RunE:                  unknownCommand,
	}
	root.Version = moduleVersion(buildInfo())
	root.SetVersionTemplate("coap {{.Version}}\n")
	root.Flags().Bool("version", false, "print the version") // without -v, which is --verbose
	root.SetIn(c.stdin)
	root.SetOut(c.stdout)
	root.SetErr(c.stderr)
	root.SetFlagErrorFunc(flagError)
	root.PersistentFlags().Var(&c.color, "color", "colour the output: auto, always or never")
	c.defineHelp(root)
	for _, m := range requestMethods {
		root.AddCommand(c.requestCommand(m, c.send))
	}
	root.AddCommand(c.observeCommand(), c.discoverCommand(), c.pingCommand(), c.decodeCommand(), c.versionCommand())
	root.AddCommand(c.codesCommand(), c.costCommand(), c.serveCommand(), c.plugtestCommand(), c.demoCommand(), c.benchCommand(), c.manCommand())
	root.AddCommand(c.completionCommand(), scriptTopic())
	root.CompletionOptions.DisableDefaultCmd = true // ours has examples
	defineCompletions(root)
	return root
}

// unknownCommand is what coap does without one of its commands.
func unknownCommand(root *cobra.Command, args []string) error {
	if len(args) == 0 {
		return usageErrorf("no command; coap --help lists them")
	}
	root.SuggestionsMinimumDistance = 2
	if near := root.SuggestionsFor(args[0]); len(near) > 0 {
		nearest := slices.MinFunc(near, func(a, b string) int { return distance(args[0], a) - distance(args[0], b) })
		return usageErrorf("unknown command %q; did you mean coap %s?", args[0], nearest)
	}
	return usageErrorf("unknown command %q; coap --help lists them", args[0])
}

// noArguments is the check of commands that take none.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return usageErrorf("%s takes no argument, got %q", cmd.Name(), args[0])
}

// A colorMode is the value of --color.
type colorMode int

const (
	colorAuto colorMode = iota
	colorAlways
	colorNever
)

var colorModes = []string{"auto", "always", "never"}

// String returns the mode as it is typed.
func (m *colorMode) String() string { return colorModes[*m] }

// Type names the value in the help.
func (m *colorMode) Type() string { return "WHEN" }

// Set parses the mode.
func (m *colorMode) Set(s string) error {
	for i, name := range colorModes {
		if s == name {
			*m = colorMode(i)
			return nil
		}
	}
	return errors.New("say auto, always or never")
}

// colored tells whether standard output gets colours. NO_COLOR, set to anything, and a
// dumb terminal turn them off where the command line doesn't ask for them.
func (c *cli) colored() bool {
	switch c.color {
	case colorAlways:
		return true
	case colorNever:
		return false
	}
	return c.stdoutTerminal && c.getenv("NO_COLOR") == "" && c.getenv("TERM") != "dumb"
}
