package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// helpFlags is the annotation of a command whose help lists some flags alone, their names
// with blanks between; all others are those of coap get.
const helpFlags = "help-flags"

// helpRest is the annotation that names these others, where they are not all.
const helpRest = "help-rest"

// defineHelp makes the help of all commands: one that fits a screen.
func (c *cli) defineHelp(root *cobra.Command) {
	root.PersistentFlags().BoolP("help", "h", false, "print this help")
	_ = root.PersistentFlags().MarkHidden("help")
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) {
		_, c.helpErr = io.WriteString(c.stdout, helpText(cmd))
	})
}

// helpText is what a command is, how it is used, examples, and its commands or flags.
func helpText(cmd *cobra.Command) string {
	var b strings.Builder
	about := cmd.Long
	if about == "" {
		about = cmd.Short + "."
	}
	if cmd.IsAdditionalHelpTopicCommand() {
		return about + "\n"
	}
	fmt.Fprintf(&b, "%s\n\nUsage: %s\n", about, usageLine(cmd))
	if cmd.Example != "" {
		fmt.Fprintf(&b, "\nExamples:\n%s\n", cmd.Example)
	}
	if cmd.HasAvailableSubCommands() {
		b.WriteString("\nCommands, each with --help of its own:\n")
		for _, sub := range cmd.Commands() {
			if sub.IsAvailableCommand() {
				fmt.Fprintf(&b, "  %-*s  %s\n", cmd.NamePadding(), sub.Name(), sub.Short)
			}
		}
	}
	for _, sub := range cmd.Commands() {
		if sub.IsAdditionalHelpTopicCommand() {
			fmt.Fprintf(&b, "\ncoap help %s: %s\n", sub.Name(), lowered(sub.Short))
		}
	}
	fmt.Fprintf(&b, "\nFlags:\n%s", listedFlags(cmd).FlagUsages())
	if cmd.Annotations[helpFlags] != "" {
		rest := cmd.Annotations[helpRest]
		if rest == "" {
			rest = "those"
		}
		fmt.Fprintf(&b, "and %s of coap get: see coap get --help.\n", rest)
	}
	return b.String()
}

// usageLine is the command line without what goes without saying.
func usageLine(cmd *cobra.Command) string {
	line := cmd.UseLine()
	if cmd.HasAvailableSubCommands() && cmd.HasParent() {
		line += " COMMAND"
	}
	return line
}

// allBut is a helpFlags of all flags but some.
func allBut(flags *pflag.FlagSet, some ...string) string {
	var names []string
	flags.VisitAll(func(f *pflag.Flag) {
		if !slices.Contains(some, f.Name) {
			names = append(names, f.Name)
		}
	})
	return strings.Join(append(names, "color"), " ")
}

// listedFlags returns the flags that the help of a command shows.
func listedFlags(cmd *cobra.Command) *pflag.FlagSet {
	listed := strings.Fields(cmd.Annotations[helpFlags])
	if len(listed) == 0 {
		return cmd.Flags()
	}
	some := pflag.NewFlagSet(cmd.Name(), pflag.ContinueOnError)
	some.SortFlags = false
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if slices.Contains(listed, f.Name) {
			some.AddFlag(f)
		}
	})
	return some
}
