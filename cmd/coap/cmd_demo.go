package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/motewire/coap/cmd/coap/demo"
)

// The demo's loss and seed unless flags say otherwise.
const (
	demoLoss = 0.2
	demoSeed = 42
)

func (c *cli) demoCommand() *cobra.Command {
	loss := lossValue(demoLoss)
	var seed uint64
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Guided run of the whole stack on loopback",
		Long: `demo starts the lab node of coap serve on a free loopback port and drives it as a client
over a link that loses datagrams. It prints every datagram: first of requests and their
responses, then of an observation of a value that changes (RFC 7641), with notifications that
come late and are discarded, until the client leaves. Then 64 KiB go to the node and back in
blocks (RFC 7959), over a link that loses 5 % at most, so that it doesn't take long, and are
verified by SHA-256; of these datagrams it prints what is lost or comes again. At the end it
says what the same exchange takes over HTTP/1.1. It ends by itself.`,
		Example: `  coap demo --loss 40% --seed 7`,
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			return demoError(ctx, demo.Run(ctx, c.stdout, demo.Config{
				Seed: seed, Loss: float64(loss), Color: c.colored(),
			}))
		},
	}
	cmd.Flags().Uint64Var(&seed, "seed", demoSeed, "`N` decides what gets lost, and which notifications come late")
	cmd.Flags().Var(&loss, "loss", "lose that share of the datagrams each way: 20% or 0.2")
	return cmd
}

// demoError gives an error of the demo its exit status.
func demoError(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(ctx.Err(), context.Canceled):
		return &statusError{status: exitInterrupted}
	case errors.Is(err, demo.ErrResponse):
		return &statusError{exitProtocol, err}
	}
	return &statusError{networkStatus(err), err}
}
