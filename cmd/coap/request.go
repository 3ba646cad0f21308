package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/motewire/coap/message"
)

// A request is what a command line asks for.
type request struct {
	requestFlags
	code    message.Code
	uri     string           // with scheme
	sorted  []message.Option // of all flags, ascending
	payload []byte           // nil: none
}

// requestCommand returns the command of a method. do carries the request out.
func (c *cli) requestCommand(m method, do func(context.Context, *request) error) *cobra.Command {
	r := &request{code: m.code}
	cmd := &cobra.Command{
		Use:   m.name + " URI",
		Short: m.short,
		Long: fmt.Sprintf(`%s sends a %v request and prints the body of the response. A URI without scheme
means coap://. Flags are those of coap-client, but -e takes the text as it stands, without
percent-decoding, and -v is repeated instead of taking a number. A request is given up
after -B SECONDS, 90 without it, or later where retransmissions take longer.`, m.name, m.code.Name()),
		Example:     m.example,
		Annotations: map[string]string{isRequest: m.name},
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if err := r.check(m.name); err != nil {
				return err
			}
			if r.uri, err = uriArgument(m.name, args); err != nil {
				return err
			}
			if r.payload, err = c.readPayload(cmd.Context(), &r.requestFlags); err != nil {
				return err
			}
			r.sorted = r.sortedOptions()
			return do(cmd.Context(), r)
		},
	}
	r.define(cmd.Flags())
	return cmd
}

// readPayload returns what -e or -f say, nil where there is neither.
func (c *cli) readPayload(ctx context.Context, r *requestFlags) ([]byte, error) {
	switch r.file {
	case "":
		if r.text.set {
			return []byte(r.text.text), nil
		}
		return nil, nil
	case "-":
		return c.readStdin(ctx)
	}
	b, err := os.ReadFile(r.file)
	return b, ioError(err)
}

// readStdin ends with the input or with ctx, as standard input may be a pipe that nobody
// closes.
func (c *cli) readStdin(ctx context.Context) (b []byte, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		b, err = io.ReadAll(c.stdin)
	}()
	select {
	case <-done:
		return b, ioError(err)
	case <-ctx.Done():
		return nil, &statusError{status: exitInterrupted}
	}
}
