package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/motewire/coap"
	"github.com/motewire/coap/message"
)

// An observation is what a command line asks to follow.
type observation struct {
	request
	count uint // states after which it ends; 0: none
}

func (c *cli) observeCommand() *cobra.Command {
	o := &observation{}
	cmd := &cobra.Command{
		Use:   "observe URI",
		Short: "Follow the state of a resource",
		Long: `observe prints the state of a resource (RFC 7641), and each newer one on a line of its
own, until it is interrupted, for the -s SECONDS, or until there were --count N. Then it
tells the server that it is no longer interested. On a terminal numbers get a sparkline
and, at the end, their minimum, mean and maximum.

With -m fetch it observes what a payload asks for. -B SECONDS gives up where the first
state is not there by then, otherwise after 90 seconds.

Exit status: 0 the time is over or all N states came, 3 no answer, 4 a 4.xx and 5 a 5.xx
as the first answer, 8 the resource is not observable or the observation ended early,
130 interrupted.`,
		Example: `  coap observe localhost/temperature
  coap observe --count 10 --json coap://[::1]/temperature | jq -r .payload`,
		Annotations: map[string]string{isRequest: "observe", helpFlags: "count subscribe timeout accept output include json pcap color"},
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if err := o.checkMethod(); err != nil {
				return err
			}
			if o.uri, err = uriArgument("observe", args); err != nil {
				return err
			}
			if err = c.openPayload(cmd.Context(), &o.request); err != nil {
				return err
			}
			defer o.source.close()
			o.sorted = o.sortedOptions()
			return c.observe(cmd.Context(), o)
		},
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().UintVarP(&o.count, "count", "c", 0, "end after `N` states (default: until interrupted)")
	o.define(cmd.Flags())
	return cmd
}

// checkMethod finds the method of -m, GET where there is none.
func (o *observation) checkMethod() error {
	name := cmp.Or(o.method, "get")
	for _, m := range requestMethods {
		if strings.EqualFold(name, m.name) {
			o.code = m.code
		}
	}
	return o.check(name)
}

// observe follows a resource until the command line's end of it.
func (c *cli) observe(ctx context.Context, o *observation) error {
	if o.code != message.GET && o.code != message.FETCH {
		return usageErrorf("%s can't observe; only get and fetch can", strings.ToLower(o.code.Name()))
	}
	if o.block.single {
		return usageErrorf("-b %v: one block can't be observed; -b %d is a block size", &o.block, 16<<o.block.szx)
	}
	if err := o.hold(); err != nil {
		return requestError(ctx, err)
	}
	req, err := o.build()
	if err != nil {
		return err
	}
	if u, err := parseURI(req.URL); err == nil && u.Addr.IsMulticast() {
		return usageErrorf("%v is a group and can't be observed; coap discover %[1]v finds its members", u.Addr)
	}
	travel := o.travelFlags
	travel.timeout = 0 // it is for the first state alone
	return c.withClient(ctx, &travel, 0, func(ctx context.Context, client *coap.Client) error {
		w := &watcher{cli: c, observation: o, out: c.stdout}
		err := w.follow(ctx, client, req)
		return errors.Join(err, w.close())
	})
}

// A watcher shows the states of an observation.
type watcher struct {
	*cli
	*observation
	out   io.Writer
	file  *os.File // of -o; nil: not open
	seen  uint     // states
	chart chart
}

// errTimeUp is the end that -s asks for.
var errTimeUp = errors.New("the time of -s is over")

// follow shows states until an end, and says what to make of that.
func (w *watcher) follow(ctx context.Context, client *coap.Client, req *coap.Request) error {
	limited, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	limit := w.timeout
	if limit == 0 {
		params, _ := w.params() // they were checked
		limit = max(patience, params.MaxTransmitWait())
	}
	first := time.AfterFunc(limit, func() { cancel(givenUp(limit)) })
	defer first.Stop()
	if w.observeFor != 0 {
		defer time.AfterFunc(w.observeFor, func() { cancel(errTimeUp) }).Stop()
	}
	for resp, err := range client.ObserveRequest(limited, req) {
		switch {
		case errors.Is(err, coap.ErrStale):
			fmt.Fprintln(w.stderr, "coap: no news for longer than the state is good for; asking again")
			continue
		case err != nil:
			return w.end(ctx, resp, err)
		}
		first.Stop()
		if err := w.show(ctx, resp); err != nil {
			return err
		}
		if w.seen == w.count {
			break
		}
	}
	return nil
}

// end gives the end of an observation its exit status.
func (w *watcher) end(ctx context.Context, resp *coap.Response, err error) error {
	var ended *coap.OpError
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return &statusError{status: exitInterrupted}
	case errors.Is(err, errTimeUp) && w.seen > 0:
		return nil
	case errors.Is(err, errTimeUp):
		return &statusError{exitTimeout, fmt.Errorf("no answer within %v; check host and port", w.observeFor)}
	case errors.Is(err, coap.ErrNotObserved) && w.seen == 1:
		return &statusError{exitObservation, errors.New("the resource is not observable: this was its state")}
	case errors.Is(err, coap.ErrNotObserved):
		return &statusError{exitObservation, errors.New("the server has ended the observation")}
	case resp != nil:
		return w.refused(ctx, resp)
	case w.seen > 0 && errors.As(err, &ended):
		return &statusError{exitObservation, fmt.Errorf("the observation ended: %w", requestError(ctx, ended.Err))}
	}
	return requestError(ctx, err)
}

// refused shows an error response: to the registration, or as the last notification.
func (w *watcher) refused(ctx context.Context, resp *coap.Response) error {
	r, err := whole(ctx, resp)
	if err != nil {
		return err
	}
	if err := w.showHead(&w.outputFlags, r); err != nil {
		return err
	}
	if w.seen == 0 {
		return w.showError(&w.outputFlags, resp, r.body)
	}
	flags := w.outputFlags
	flags.noFail = false // which is for 4.xx and 5.xx
	return &statusError{exitObservation, fmt.Errorf("the server has ended the observation: %w", w.showError(&flags, resp, r.body))}
}

// show prints a state.
func (w *watcher) show(ctx context.Context, resp *coap.Response) error {
	r, err := whole(ctx, resp)
	if err != nil {
		return err
	}
	if w.seen > 0 && r.kind != message.Acknowledgement {
		r.rtt, r.retransmissions = 0, 0 // a notification answers no request
	}
	w.seen++
	if err := w.showHead(&w.outputFlags, r); err != nil {
		return err
	}
	if w.output != "" && w.output != "-" {
		return w.save(r.body)
	}
	if w.json {
		return nil // it is within the object
	}
	line := w.line(resp, r.body)
	if w.stdoutTerminal && !w.include {
		line = w.chart.add(line)
	}
	_, err = w.out.Write(append(line, '\n'))
	return ioError(err)
}

// save appends a state to the file of -o, which the first one makes anew.
func (w *watcher) save(body []byte) (err error) {
	if w.file == nil {
		if w.file, err = os.Create(w.output); err != nil {
			return ioError(err)
		}
	}
	_, err = w.file.Write(append(bytes.TrimSuffix(body, []byte("\n")), '\n'))
	return ioError(err)
}

// line returns a state without the newline at its end: on a terminal for reading, and as
// it is otherwise.
func (w *watcher) line(resp *coap.Response, body []byte) []byte {
	body = bytes.TrimSuffix(bytes.Clone(body), []byte("\n"))
	if !w.stdoutTerminal {
		return body
	}
	s := w.style(false)
	if format, ok := resp.ContentFormat(); ok {
		item, sequence := isCBOR(format)
		var compact bytes.Buffer
		switch {
		case isJSON(format) && json.Compact(&compact, body) == nil && printable(compact.Bytes()):
			body = compact.Bytes()
			if s.color {
				body = colorJSON(body)
			}
			return body
		case item, sequence:
			if text, ok := diagnoseLine(body, sequence); ok {
				return text
			}
		}
	}
	if printable(body) {
		return body
	}
	return fmt.Appendf(nil, "%x", body)
}

// close ends the output: with a summary of the numbers where they were drawn.
func (w *watcher) close() error {
	if summary := w.chart.summary(); summary != "" {
		fmt.Fprintln(w.stderr, summary)
	}
	if w.file != nil {
		return ioError(w.file.Close())
	}
	return nil
}
