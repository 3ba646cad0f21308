package main

import (
	"github.com/spf13/cobra"

	"github.com/motewire/coap"
	"github.com/motewire/coap/cmd/coap/plugtest"
)

func (c *cli) plugtestCommand() *cobra.Command {
	var listen listenFlags
	cmd := &cobra.Command{
		Use:   "plugtest",
		Short: "Serve the resources that plugtest clients expect",
		Long: `plugtest serves what plugtest clients expect, Californium's among them: plain and
separate responses, validation and creation, content negotiation, FETCH and PATCH,
block-wise transfer, observation. A request's body has 8192 bytes at most.

coap discover localhost lists the resources. State is in memory. It runs until an interrupt
or SIGTERM, finishes the requests in hand and ends with status 0.

` + defenses,
		Example: `  coap plugtest --addr :5700
  coap plugtest --validate echo --rate 10`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			conns, err := listenOn(cmd.Context(), listen.addr)
			if err != nil {
				return err
			}
			resources := plugtest.New()
			srv := &coap.Server{Handler: resources.Mux(), NotifyInterval: plugtest.NotifyInterval}
			listen.configure(srv)
			return c.serve(cmd.Context(), cmd.Name(), srv, conns, resources.Run)
		},
	}
	listen.add(cmd.Flags())
	return cmd
}
