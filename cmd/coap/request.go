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
func (c *cli) requestCommand(method string, code message.Code, do func(context.Context, *request) error) *cobra.Command {
	r := &request{code: code}
	cmd := &cobra.Command{
		Use:   method + " URI",
		Short: fmt.Sprintf("Send a %v request", code.Name()),
		Long: fmt.Sprintf(`%s sends a %v request. A URI without scheme means coap://.

Flags are those of coap-client, with two exceptions: -e takes the text as it stands,
without percent-decoding, and -v is repeated instead of taking a number.`, method, code.Name()),
		Annotations: map[string]string{isRequest: method},
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if err := r.check(method); err != nil {
				return err
			}
			if r.uri, err = uriArgument(method, args); err != nil {
				return err
			}
			if r.payload, err = c.readPayload(&r.requestFlags); err != nil {
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
func (c *cli) readPayload(r *requestFlags) ([]byte, error) {
	switch r.file {
	case "":
		if r.text.set {
			return []byte(r.text.text), nil
		}
		return nil, nil
	case "-":
		b, err := io.ReadAll(c.stdin)
		return b, ioError(err)
	}
	b, err := os.ReadFile(r.file)
	return b, ioError(err)
}
