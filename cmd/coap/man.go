package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func (c *cli) manCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "man DIR",
		Short: "Write the manual pages into a directory",
		Long: `man writes a manual page for coap and for each of its commands into a directory, from
what --help says: coap.1, coap-get.1, …`,
		Example: `  coap man /usr/local/share/man/man1
  coap man . && man ./coap-get.1`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageErrorf("man takes the directory to write to")
			}
			return writeManual(cmd.Root(), args[0])
		},
	}
}

// writeManual writes the pages of all commands.
func writeManual(root *cobra.Command, dir string) error {
	pages := append([]*cobra.Command{root}, root.Commands()...)
	for _, cmd := range pages {
		if cmd != root && !cmd.IsAvailableCommand() && !cmd.IsAdditionalHelpTopicCommand() {
			continue
		}
		name := filepath.Join(dir, pageName(cmd)+".1")
		if err := os.WriteFile(name, []byte(manualPage(cmd)), 0o666); err != nil {
			return ioError(err)
		}
	}
	return nil
}

func pageName(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }

// manualPage is the page of a command in the language of man(7).
func manualPage(cmd *cobra.Command) string {
	var b strings.Builder
	name := pageName(cmd)
	fmt.Fprintf(&b, ".TH %s 1 \"\" \"coap\" \"CoAP tools\"\n", quoteRoff(strings.ToUpper(name)))
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n", escapeRoff(name), escapeRoff(lowered(cmd.Short)))
	topic := cmd.IsAdditionalHelpTopicCommand()
	if !topic {
		fmt.Fprintf(&b, ".SH SYNOPSIS\n.B %s\n", escapeRoff(usageLine(cmd)))
	}
	b.WriteString(".SH DESCRIPTION\n")
	writeProse(&b, cmd.Long)
	if cmd.HasAvailableSubCommands() {
		writeCommands(&b, cmd)
	}
	if !topic {
		b.WriteString(".SH OPTIONS\n")
		cmd.Flags().AddFlagSet(cmd.InheritedFlags())
		cmd.Flags().VisitAll(func(f *pflag.Flag) { writeOption(&b, f) })
	}
	if cmd.Example != "" {
		fmt.Fprintf(&b, ".SH EXAMPLES\n.nf\n%s\n.fi\n", escapeRoff(cmd.Example))
	}
	if cmd.HasParent() {
		b.WriteString(".SH SEE ALSO\n.BR coap (1)\n")
	}
	return b.String()
}

// lowered returns a sentence without its capital, where that is the first word's only one.
func lowered(s string) string {
	word, _, _ := strings.Cut(s, " ")
	first, size := utf8.DecodeRuneInString(s)
	if word[size:] != strings.ToLower(word[size:]) {
		return s
	}
	return string(unicode.ToLower(first)) + s[size:]
}

// writeProse writes paragraphs; one with indented lines is set as it stands.
func writeProse(b *strings.Builder, text string) {
	for _, paragraph := range strings.Split(text, "\n\n") {
		b.WriteString(".PP\n")
		asIs := strings.Contains("\n"+paragraph, "\n  ")
		if asIs {
			b.WriteString(".nf\n")
		}
		fmt.Fprintln(b, escapeRoff(paragraph))
		if asIs {
			b.WriteString(".fi\n")
		}
	}
}

// writeCommands lists the commands with their pages.
func writeCommands(b *strings.Builder, cmd *cobra.Command) {
	b.WriteString(".SH COMMANDS\n")
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() || sub.IsAdditionalHelpTopicCommand() {
			fmt.Fprintf(b, ".TP\n.BR %s (1)\n%s\n", escapeRoff(pageName(sub)), escapeRoff(sub.Short))
		}
	}
}

// writeOption describes a flag.
func writeOption(b *strings.Builder, f *pflag.Flag) {
	if f.Hidden {
		return
	}
	names := "\\fB" + escapeRoff("--"+f.Name) + "\\fR"
	if f.Shorthand != "" {
		names = "\\fB" + escapeRoff("-"+f.Shorthand) + "\\fR, " + names
	}
	value, usage := pflag.UnquoteUsage(f)
	if value != "" {
		names += " \\fI" + escapeRoff(value) + "\\fR"
	}
	if f.DefValue != "" && f.DefValue != "0" && f.DefValue != "false" && f.DefValue != "[]" && f.DefValue != "0s" && !strings.Contains(usage, "default") {
		usage += fmt.Sprintf(" (default %s)", f.DefValue)
	}
	fmt.Fprintf(b, ".TP\n%s\n%s\n", names, escapeRoff(usage))
}

// roffEscapes are what troff would read as its own.
var roffEscapes = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`, "…", "...", "µ", `\(mc`)

// escapeRoff returns a text that troff sets as it stands.
func escapeRoff(text string) string {
	var b strings.Builder
	for line := range strings.Lines(roffEscapes.Replace(text)) {
		if strings.HasPrefix(line, ".") {
			b.WriteString(`\&`) // else a request
		}
		b.WriteString(line)
	}
	return b.String()
}

func quoteRoff(text string) string { return `"` + escapeRoff(text) + `"` }
