package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/motewire/coap/message"
)

// A request is what a command line asks for.
type request struct {
	requestFlags
	code    message.Code
	uri     string           // with scheme
	sorted  []message.Option // of all flags, ascending
	payload []byte           // of -e, or of what must be one message; nil: none
	source  *source          // of -f; nil: payload is all
}

// requestCommand returns the command of a method. do carries the request out.
func (c *cli) requestCommand(m method, do func(context.Context, *request) error) *cobra.Command {
	r := &request{code: m.code}
	cmd := &cobra.Command{
		Use:   m.name + " URI",
		Short: m.short,
		Long: fmt.Sprintf(`%s sends a %v request and prints the body of the response. A URI without scheme
means coap://.

Flags are those of coap-client, with two exceptions: -e takes the text as it stands,
without percent-decoding, and -v is repeated instead of taking a number.

Bodies have any length: what does not fit into one message goes in blocks (RFC 7959), and
-f and -o hold none of it in memory. -b SIZE bounds the blocks both ways. -b NUM,SIZE is
for one block alone: of the payload where PUT, POST, PATCH or iPATCH has one, otherwise of
the response.

Without -B a request is given up when nothing has come for 90 seconds, or longer where
retransmissions take longer; each block counts.`, m.name, m.code.Name()),
		Example:     m.example,
		Annotations: map[string]string{isRequest: m.name},
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if err := r.check(m.name); err != nil {
				return err
			}
			if r.uri, err = uriArgument(m.name, args); err != nil {
				return err
			}
			if err = c.openPayload(cmd.Context(), r); err != nil {
				return err
			}
			defer r.source.close()
			r.sorted = r.sortedOptions()
			return do(cmd.Context(), r)
		},
	}
	r.define(cmd.Flags())
	return cmd
}

// openPayload finds what -e or -f say.
func (c *cli) openPayload(ctx context.Context, r *request) (err error) {
	if r.text.set {
		r.payload = []byte(r.text.text)
	}
	if r.file != "" {
		r.source, err = c.openSource(ctx, r.file)
	}
	return err
}

// hold reads the payload of -f, for a request that must be one message.
func (r *request) hold() (err error) {
	if r.source == nil {
		return nil
	}
	r.payload, err = r.source.all()
	r.source.close()
	r.source = nil
	return err
}
