package main

import (
	"github.com/spf13/cobra"

	"github.com/motewire/coap"
	"github.com/motewire/coap/cmd/coap/plugtest"
)

func (c *cli) plugtestCommand() *cobra.Command {
	var addr string
	cmd := &cobra.Command{
		Use:   "plugtest",
		Short: "Serve the resources that plugtest clients expect",
		Long: `plugtest serves what plugtest clients expect, Californium's among them: plain and
separate responses, validation and creation, content negotiation, FETCH and PATCH,
block-wise transfer, observation. A request's body has 8192 bytes at most.

coap discover localhost lists the resources. State is in memory. It runs until an interrupt
or SIGTERM, finishes the requests in hand and ends with status 0.`,
		Example: `  coap plugtest --addr :5700`,
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			conns, err := listenOn(cmd.Context(), addr)
			if err != nil {
				return err
			}
			resources := plugtest.New()
			srv := &coap.Server{Handler: resources.Mux(), NotifyInterval: plugtest.NotifyInterval}
			return c.serve(cmd.Context(), cmd.Name(), srv, conns, resources.Run)
		},
	}
	cmd.Flags().StringVar(&addr, "addr", defaultAddr, "listen on `HOST:PORT`; without HOST on all addresses")
	return cmd
}
