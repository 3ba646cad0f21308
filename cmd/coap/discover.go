package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/motewire/coap"
	"github.com/motewire/coap/linkformat"
	"github.com/motewire/coap/message"
)

// A discovery asks for the resources of a node, or of all nodes of a group (RFC 6690,
// RFC 7252 §7, §8).
type discovery struct {
	request
	raw bool
}

func (c *cli) discoverCommand() *cobra.Command {
	d := &discovery{request: request{code: message.GET}}
	cmd := &cobra.Command{
		Use:   "discover URI",
		Short: "List the resources of a node, or the nodes of a group",
		Long: `discover gets /.well-known/core, or the path that the URI has, and prints its links as
a table. A query filters them: ?rt=light, ?href=/sensors/*.

A group address, such as 224.0.1.187 of all CoAP nodes, gives a row per answering node.
Nodes answer within 5 seconds or so; -B SECONDS says how long to wait, -a ADDR
from which interface to ask.

Exit status: 0 links, 3 no answer, 4 a 4.xx, 5 a 5.xx, 6 no link-format.`,
		Example: `  coap discover localhost
  coap discover 'coap://[::1]?rt=temperature*'
  coap discover -B 3 -a 192.0.2.1 224.0.1.187`,
		Annotations: map[string]string{isRequest: "discover"},
		RunE: func(cmd *cobra.Command, args []string) error {
			uri, err := uriArgument("discover", args)
			if err != nil {
				return err
			}
			d.sorted = d.sortedOptions()
			return c.discover(cmd.Context(), d, uri)
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.BoolVar(&d.raw, "raw", false, "print link-format instead of a table")
	f.BoolVar(&d.json, "json", false, "print one JSON object per response")
	f.BoolVar(&d.noFail, "no-fail", false, "exit with 0 for a 4.xx or 5.xx too")
	d.defineOptions(f)
	d.travelFlags.define(f, 4)
	return cmd
}

func (c *cli) discover(ctx context.Context, d *discovery, uri string) error {
	u, err := parseURI(uri)
	if err != nil {
		return err
	}
	if u.Path == nil {
		u.Path = []string{".well-known", "core"} // RFC 6690 §4
	}
	d.uri = u.String()
	if u.Addr.IsMulticast() {
		travel := d.travelFlags
		travel.timeout = 0 // it is for first blocks alone
		return c.withClient(ctx, &travel, 0, func(ctx context.Context, client *coap.Client) error {
			client.GroupWindow = d.timeout
			return c.discoverGroup(ctx, d, client)
		})
	}
	req, err := d.build()
	if err != nil {
		return err
	}
	return c.withClient(ctx, &d.travelFlags, patience, func(ctx context.Context, client *coap.Client) error {
		resp, err := client.Do(ctx, req)
		if err != nil {
			return requestError(ctx, err)
		}
		return c.showLinks(ctx, d, resp)
	})
}

// showLinks prints what one node answered.
func (c *cli) showLinks(ctx context.Context, d *discovery, resp *coap.Response) error {
	if d.json || !resp.Code.IsSuccess() {
		return c.show(ctx, &d.outputFlags, resp)
	}
	r, err := whole(ctx, resp)
	if err != nil {
		return err
	}
	c.transfer.rest()
	s := c.style(false)
	if d.raw {
		return s.writeBody(c.stdout, nil, r.body)
	}
	links, err := linkformat.Parse(r.body)
	if err != nil {
		return &statusError{exitProtocol, fmt.Errorf("the answer is no link-format: %s; --raw shows it", libraryText(err))}
	}
	_, err = c.stdout.Write(s.linkTable(links))
	return ioError(err)
}

// discoverGroup prints a row for each node as its answer arrives.
func (c *cli) discoverGroup(ctx context.Context, d *discovery, client *coap.Client) error {
	nodes := 0
	var later []*coap.Response
	began := time.Now()
	for resp, err := range client.Group(ctx, d.uri, d.requestOptions()...) {
		if err != nil {
			return requestError(ctx, err)
		}
		if goesOn(resp) {
			later = append(later, resp) // so that the others need not wait
			continue
		}
		if err := c.showNode(d, received(resp), nodes == 0); err != nil {
			return err
		}
		nodes++
	}
	for _, resp := range later {
		r, err := whole(ctx, resp)
		switch {
		case err != nil && ctx.Err() != nil:
			return err
		case err != nil:
			fmt.Fprintln(c.stderr, "coap:", oneLine(err))
			continue
		}
		if err := c.showNode(d, r, nodes == 0); err != nil {
			return err
		}
		nodes++
	}
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return &statusError{status: exitInterrupted}
	case nodes == 0:
		return &statusError{exitTimeout, fmt.Errorf("no node answered within %s s; try -a ADDR for another interface, or more time with -B",
			fmt.Sprintf("%.1f", time.Since(began).Seconds()))}
	}
	return nil
}

// showNode prints a row of the table of nodes: peer, round-trip time, and the targets of
// its links or, with --raw, the links themselves.
func (c *cli) showNode(d *discovery, r *response, first bool) error {
	if d.json {
		return r.writeJSON(c.stdout)
	}
	if d.raw {
		_, err := fmt.Fprintf(c.stdout, "%v\t%s\n", r.peer, cell(string(r.body)))
		return ioError(err)
	}
	row := fmt.Sprintf("%-24v  %9s  %s\n", r.peer, milliseconds(r.rtt), targets(r))
	if first {
		head := fmt.Sprintf("%-24s  %9s  %s", "PEER", "TIME/MS", "LINKS")
		row = c.style(false).paint(bold, head) + "\n" + row
	}
	_, err := c.stdout.Write([]byte(row))
	return ioError(err)
}

// targets sums up what a node of a group answered.
func targets(r *response) string {
	if r.failure != nil {
		return libraryText(r.failure)
	}
	links, err := linkformat.Parse(r.body)
	if err != nil {
		return "no link-format: " + libraryText(err)
	}
	var all []string
	for _, link := range links {
		all = append(all, cell(link.Target))
	}
	return strings.Join(all, " ")
}
