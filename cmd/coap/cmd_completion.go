package main

import (
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// shells are those that a completion script is written for.
var shells = []struct {
	name  string
	write func(root *cobra.Command, w io.Writer) error
}{
	{"bash", func(root *cobra.Command, w io.Writer) error { return root.GenBashCompletionV2(w, true) }},
	{"zsh", (*cobra.Command).GenZshCompletion},
	{"fish", func(root *cobra.Command, w io.Writer) error { return root.GenFishCompletion(w, true) }},
	{"powershell", (*cobra.Command).GenPowerShellCompletionWithDesc},
}

func (c *cli) completionCommand() *cobra.Command {
	var names []string
	for _, s := range shells {
		names = append(names, s.name)
	}
	return &cobra.Command{
		Use:   "completion " + strings.Join(names, "|"),
		Short: "Print what makes a shell complete commands, flags and paths",
		Long: `completion prints a script that makes a shell complete commands, flags, their values, and
behind coap://host/ the paths of the node. That for bash needs the package bash-completion.`,
		Example: `  source <(coap completion bash)                          # this shell alone
  coap completion bash > /etc/bash_completion.d/coap      # each new one
  coap completion zsh > "${fpath[1]}/_coap"
  coap completion fish > ~/.config/fish/completions/coap.fish
  coap completion powershell | Out-String | Invoke-Expression`,
		ValidArgs: names,
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, s := range shells {
				if len(args) == 1 && args[0] == s.name {
					return ioError(s.write(cmd.Root(), c.stdout))
				}
			}
			return usageErrorf("completion takes a shell: %s", strings.Join(names, ", "))
		},
	}
}
