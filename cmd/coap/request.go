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
means coap://. Flags are those of coap-client, but -e takes the text as it stands, without
percent-decoding, and -v is repeated instead of taking a number. Bodies of any length go in
blocks (RFC 7959): -f and -o hold none in memory, -b SIZE bounds the blocks, -b NUM,SIZE is
for one alone. What gets no answer is given up after -B SECONDS, 90 without it, or later.`, m.name, m.code.Name()),
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
