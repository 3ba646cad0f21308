package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/motewire/coap"
)

// A pinger sends pings one after the other (RFC 7252 §4.3) and keeps their times.
type pinger struct {
	travelFlags
	count    uint // 0: until interrupted
	interval time.Duration
	uri      string
	host     string // for the output
	out      io.Writer

	sent, answered uint
	least, most    time.Duration
	sum            time.Duration
}

func (c *cli) pingCommand() *cobra.Command {
	p := &pinger{interval: time.Second}
	cmd := &cobra.Command{
		Use:   "ping URI",
		Short: "Measure round-trip times by CoAP pings",
		Long: `ping sends Empty messages to the host of a URI and measures the time until the Resets
that answer them (RFC 7252 §4.3). One ping is under way at a time; it is sent once and
waits for --ack-timeout, unless --retries says otherwise. Some peers answer a few pings
per second only.

Exit status: 0 some were answered, 3 none was, 130 interrupted.`,
		Example: `  coap ping --count 5 localhost
  coap ping -i 0.2 -l 20% coap://[::1]:5683`,
		Annotations: map[string]string{isRequest: "ping"},
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if p.uri, err = uriArgument("ping", args); err != nil {
				return err
			}
			p.out = c.stdout
			return c.ping(cmd.Context(), p)
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.UintVarP(&p.count, "count", "c", 0, "send `N` pings (default: until interrupted)")
	f.VarP((*secondsValue)(&p.interval), "interval", "i", "from one ping to the next")
	p.travelFlags.define(f, 0)
	return cmd
}

// ping ends with the last ping, with -B, or with an interrupt.
func (c *cli) ping(ctx context.Context, p *pinger) error {
	u, err := parseURI(p.uri)
	if err != nil {
		return err
	}
	if u.Addr.IsMulticast() {
		return usageErrorf("%v is a group and never answers a ping; coap discover %[1]v finds its members", u.Addr)
	}
	p.host = hostOf(u)
	return c.withClient(ctx, &p.travelFlags, 0, func(ctx context.Context, client *coap.Client) error {
		if err := p.run(ctx, client); err != nil {
			return err
		}
		if err := p.summary(); err != nil {
			return err
		}
		switch {
		case errors.Is(ctx.Err(), context.Canceled):
			return &statusError{status: exitInterrupted}
		case p.answered == 0:
			return &statusError{exitTimeout, fmt.Errorf("%s answered no ping; check host and port", p.host)}
		}
		return nil
	})
}

// run sends the pings. Its errors are those that a further ping would meet as well.
func (p *pinger) run(ctx context.Context, client *coap.Client) error {
	next := time.Now()
	for p.count == 0 || p.sent < p.count {
		if !waitUntil(ctx, next) {
			return nil
		}
		next = time.Now().Add(p.interval)
		rtt, err := client.Ping(ctx, p.uri)
		if err != nil && errors.Is(ctx.Err(), context.Canceled) {
			return nil
		}
		if err := lasting(ctx, err); err != nil {
			return err
		}
		p.sent++
		if err := p.report(rtt, err); err != nil {
			return err
		}
	}
	return nil
}

// waitUntil waits for a moment. It reports false where the context ended first.
func waitUntil(ctx context.Context, at time.Time) bool {
	timer := time.NewTimer(time.Until(at))
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// lasting returns the error of a ping where it is none that passes by itself.
func lasting(ctx context.Context, err error) error {
	var lookup *net.DNSError
	if err == nil {
		return nil
	}
	classified := requestError(ctx, err)
	if exitStatus(classified) == exitTimeout && !errors.As(err, &lookup) {
		return nil
	}
	return classified
}

// report prints a line for a ping, and counts it.
func (p *pinger) report(rtt time.Duration, err error) error {
	if err != nil {
		_, err = fmt.Fprintf(p.out, "no answer from %s: seq=%d%s\n", p.host, p.sent, whyNot(err))
		return ioError(err)
	}
	if p.answered == 0 || rtt < p.least {
		p.least = rtt
	}
	p.most = max(p.most, rtt)
	p.sum += rtt
	p.answered++
	_, err = fmt.Fprintf(p.out, "answer from %s: seq=%d time=%s ms\n", p.host, p.sent, milliseconds(rtt))
	return ioError(err)
}

// whyNot tells what the network said about a ping, nothing where it kept silent.
func whyNot(err error) string {
	var cause syscall.Errno
	switch {
	case errors.As(err, &cause):
		return fmt.Sprintf(" (%v)", cause)
	case errors.Is(err, coap.ErrUnreachable):
		return " (unreachable)"
	}
	return ""
}

// summary prints what ping(8) ends with.
func (p *pinger) summary() error {
	line := fmt.Sprintf("%d sent, %d answered", p.sent, p.answered)
	if p.sent > 0 {
		line += fmt.Sprintf(", %d%% lost", 100*(p.sent-p.answered)/p.sent)
	}
	if p.answered > 0 {
		line += fmt.Sprintf("; round trip min/avg/max %s/%s/%s ms", milliseconds(p.least),
			milliseconds(p.sum/time.Duration(p.answered)), milliseconds(p.most))
	}
	_, err := fmt.Fprintf(p.out, "--- %s ---\n%s\n", p.host, line)
	return ioError(err)
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.3f", float64(d)/float64(time.Millisecond))
}
