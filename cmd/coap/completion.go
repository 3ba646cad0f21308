package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/motewire/coap"
	"github.com/motewire/coap/cmd/coap/cost"
	"github.com/motewire/coap/linkformat"
	"github.com/motewire/coap/message"
)

// completionPatience is how long a shell waits for the links of a node.
const completionPatience = 700 * time.Millisecond

// A completer returns what may stand where the cursor is, each with its meaning behind a
// tab.
type completer = func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective)

// flagCompletions are the flags with values that can be listed, by command and flag; a
// command of "" stands for all.
var flagCompletions = []struct {
	command, flag string
	values        completer
}{
	{"", "color", words("auto", "always", "never")},
	{"", "method", completeMethod},
	{"", "content-format", completeFormat},
	{"", "accept", completeFormat},
	{"", "answer-format", completeFormat},
	{"", "answer-code", completeCode},
	{"", "block", words("16", "32", "64", "128", "256", "512", "1024")},
	{"", "option", completeOption},
	{"", "link", completeLink},
	{"", "node", words("client", "server")},
	{"", "validate", words(validations...)},
	{"", "sf", words("7", "8", "9", "10", "11", "12")},
}

// defineCompletions says what a shell offers behind each command and flag.
func defineCompletions(root *cobra.Command) {
	for _, cmd := range root.Commands() {
		switch {
		case cmd.Annotations[isRequest] != "", cmd.Name() == "cost":
			cmd.ValidArgsFunction = completeURI
		case cmd.ValidArgs == nil && cmd.Name() != "man":
			cmd.ValidArgsFunction = cobra.NoFileCompletions
		}
		for _, c := range flagCompletions {
			if (c.command == "" || c.command == cmd.Name()) && cmd.Flags().Lookup(c.flag) != nil {
				_ = cmd.RegisterFlagCompletionFunc(c.flag, c.values) // the flag is there, once
			}
		}
	}
	_ = root.RegisterFlagCompletionFunc("color", words("auto", "always", "never"))
}

// completing returns the command line of a shell that asks what may follow: with a command
// in front as withCommand puts it there.
func completing(args []string) ([]string, bool) {
	if len(args) == 0 || args[0] != cobra.ShellCompRequestCmd && args[0] != cobra.ShellCompNoDescRequestCmd {
		return nil, false
	}
	return append([]string{args[0]}, withCommand(args[1:])...), true
}

// words completes a word of a list.
func words(list ...string) completer {
	return func(_ *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
		return offer(list, begun), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
	}
}

// offer returns what begins with what was typed.
func offer(all []string, begun string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(s string) bool { return !strings.HasPrefix(s, begun) })
}

func completeMethod(_ *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
	var all []string
	for _, m := range requestMethods {
		all = append(all, m.name+"\t"+m.short)
	}
	return offer(all, begun), cobra.ShellCompDirectiveNoFileComp
}

// formatWords are the aliases that are offered; any number and media type can be typed.
var formatWords = []string{
	"text", "json", "cbor", "link", "octet", "xml", "cbor-seq", "senml-json", "senml-cbor", "merge-patch", "json-patch", "problem", "exi", "cwt",
}

func completeFormat(_ *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
	var all []string
	if strings.Contains(begun, "/") {
		for info := range message.Formats() {
			if info.Coding == "" && !strings.Contains(info.MediaType, ";") {
				all = append(all, fmt.Sprintf("%s\t%d", info.MediaType, info.Format))
			}
		}
		return offer(all, begun), cobra.ShellCompDirectiveNoFileComp
	}
	for _, word := range formatWords {
		if f, err := message.ParseFormat(word); err == nil {
			all = append(all, fmt.Sprintf("%s\t%v", word, f))
		}
	}
	return offer(all, begun), cobra.ShellCompDirectiveNoFileComp
}

func completeCode(_ *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
	var all []string
	for n := range 256 {
		if c := message.Code(n); c.IsResponse() && c.Name() != "" {
			all = append(all, c.String()+"\t"+c.Name())
		}
	}
	return offer(all, begun), cobra.ShellCompDirectiveNoFileComp
}

// completeOption completes the number of an option and its comma.
func completeOption(_ *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
	var all []string
	for n := range message.OptionNumber(message.RequestTag) + 1 {
		if info, assigned := n.Info(); assigned {
			all = append(all, fmt.Sprintf("%d,\t%s", n, info.Name))
		}
	}
	return offer(all, begun), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

func completeLink(_ *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
	var all []string
	for _, l := range cost.Links() {
		all = append(all, l.Name+"\t"+l.Title)
	}
	return offer(all, begun), cobra.ShellCompDirectiveNoFileComp
}

// completeURI completes scheme and, of a node that is named with a slash behind it, the
// paths of its links (RFC 6690), which it asks the node for.
func completeURI(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	const end = cobra.ShellCompDirectiveNoFileComp
	host, _, named := strings.Cut(strings.TrimPrefix(begun, "coap://"), "/")
	switch {
	case len(args) > 0:
		return nil, end
	case named && host != "":
		node := begun[:strings.Index(begun, host)+len(host)]
		return offer(linksOf(cmd.Context(), node), begun), end
	}
	return offer([]string{"coap://", "coap://localhost/", "localhost/"}, begun), end | cobra.ShellCompDirectiveNoSpace
}

// linksOf returns the URIs of a node's links: none where it doesn't answer at once, or is
// a group.
func linksOf(ctx context.Context, node string) []string {
	if u, err := message.ParseURI(withScheme(node)); err != nil || u.Secure || u.Addr.IsMulticast() {
		return nil
	}
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, cancel := context.WithTimeout(ctx, completionPatience)
	defer cancel()
	client := &coap.Client{}
	defer client.Close()
	resp, err := client.Get(ctx, withScheme(node)+"/.well-known/core")
	if err != nil || resp.Err() != nil {
		return nil
	}
	links, err := linkformat.Parse(resp.Payload())
	if err != nil {
		return nil
	}
	var all []string
	for _, l := range links {
		title, _ := l.Attribute("title")
		if line := node + l.Target + "\t" + title.Value; strings.HasPrefix(l.Target, "/") && oneField(l.Target) && oneField(title.Value) {
			all = append(all, strings.TrimSuffix(line, "\t"))
		}
	}
	slices.Sort(all)
	return all
}

// oneField tells whether a text of a peer can stand in what a shell reads.
func oneField(text string) bool {
	return printable([]byte(text)) && !strings.ContainsAny(text, "\n\t\r")
}
