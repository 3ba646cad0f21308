package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/message"
)

// send carries out a request and shows its response; with -s it observes.
func (c *cli) send(ctx context.Context, r *request) error {
	if r.observeFor != 0 {
		return c.observe(ctx, &observation{request: *r})
	}
	req, err := r.build()
	if err != nil {
		return err
	}
	return c.withClient(ctx, &r.travelFlags, patience, func(ctx context.Context, client *coap.Client) error {
		resp, err := client.Do(ctx, req)
		if err != nil {
			return requestError(ctx, err)
		}
		return c.show(&r.outputFlags, resp)
	})
}

// build returns the request, and an error for a command line that makes none.
func (r *request) build() (*coap.Request, error) {
	if err := r.missing(); err != nil {
		return nil, err
	}
	options := r.requestOptions()
	url := r.uri
	if r.proxy != "" {
		if err := r.checkProxied(); err != nil {
			return nil, err
		}
		// Proxy-Uri takes the place of all Uri-* options (RFC 7252 §5.10.2).
		options = append(options, coap.Option(message.ProxyURI, []byte(r.uri)), coap.NoURIHost)
		url = withScheme(r.proxy)
	}
	u, err := parseURI(url)
	if err != nil {
		return nil, err
	}
	switch {
	case r.proxy != "" && (u.Path != nil || u.Query != nil):
		return nil, usageErrorf("-P %s: a proxy is scheme, host and port alone, such as coap://proxy:5683", r.proxy)
	case u.Addr.IsMulticast() && !r.nonConfirmable:
		return nil, usageErrorf("%v is a group: coap discover asks all of it, -N takes the first answer", u.Addr)
	}
	return coap.NewRequest(r.code, url, coap.Raw(r.payload), options...), nil
}

// requestOptions returns what the flags say about header and options.
func (r *request) requestOptions() []coap.RequestOption {
	var options []coap.RequestOption
	if r.nonConfirmable {
		options = append(options, coap.NonConfirmable)
	}
	if r.token.set {
		options = append(options, coap.Token(r.token.token))
	}
	hosted := r.noURIHost
	for _, o := range r.sorted {
		options = append(options, coap.Option(o.Number, o.Value))
		hosted = hosted || o.Number == message.URIHost // -O 3,HOST replaces the URI's
	}
	if hosted {
		options = append(options, coap.NoURIHost)
	}
	return options
}

// checkProxied refuses a URI that can't be the value of Proxy-Uri: an absolute one, of any
// scheme, without fragment (RFC 7252 §5.10.2).
func (r *request) checkProxied() error {
	scheme, _, _ := strings.Cut(r.uri, "://")
	info, _ := message.ProxyURI.Info()
	switch {
	case len(r.uri) > info.MaxLength:
		return usageErrorf("the URI has %d bytes, Proxy-Uri takes %d", len(r.uri), info.MaxLength)
	case strings.Contains(r.uri, "#"):
		return usageErrorf("%s: a fragment (#) stays with the client, drop it", r.uri)
	case strings.EqualFold(scheme, "coap") || strings.EqualFold(scheme, "coaps"):
		if _, err := message.ParseURI(r.uri); err != nil {
			return uriError(err)
		}
	}
	return nil
}

// parseURI takes apart the URI that a message is sent to.
func parseURI(uri string) (message.URI, error) {
	u, err := message.ParseURI(uri)
	if err != nil {
		return u, uriError(err)
	}
	if u.Secure {
		return u, usageErrorf("%s", securityHint)
	}
	return u, nil
}

func uriError(err error) error {
	return usageErrorf("%s", strings.TrimPrefix(err.Error(), "message: "))
}

// show prints a response as the flags say. A 4.xx or 5.xx becomes an error; its diagnostic
// payload goes into the error's line, as standard output is for representations.
func (c *cli) show(o *outputFlags, resp *coap.Response) error {
	if resp.Code == message.Empty {
		return nil // none was wanted (RFC 7967 §2.1)
	}
	r := received(resp)
	if err := c.showHead(o, r); err != nil {
		return err
	}
	if !resp.Code.IsSuccess() {
		return c.showError(o, resp)
	}
	if err := c.showBody(o, resp); err != nil {
		return err
	}
	return firstBlock(resp)
}

// received returns a response that has just arrived.
func received(resp *coap.Response) *response {
	r := &response{
		at: time.Now(), peer: resp.Peer(), kind: resp.Message().Type(), code: resp.Code,
		body: resp.Payload(), rtt: resp.RTT, retransmissions: max(resp.Attempts-1, 0),
	}
	for n, value := range resp.Message().Options() {
		r.options = append(r.options, message.Option{Number: n, Value: value})
	}
	return r
}

// showHead prints what --json or --include ask for.
func (c *cli) showHead(o *outputFlags, r *response) error {
	switch {
	case o.json:
		return r.writeJSON(c.stdout)
	case o.include:
		return c.style(false).writeHead(c.stdout, r.code, r.options)
	}
	return nil
}

// showBody prints the body, or writes it to the file of -o.
func (c *cli) showBody(o *outputFlags, resp *coap.Response) error {
	if o.output != "" && o.output != "-" {
		return o.writeFile(resp.Payload())
	}
	if o.json {
		return nil // it is within the object
	}
	return c.style(o.newline).writeBody(c.stdout, formatOfBody(resp), resp.Payload())
}

func (o *outputFlags) writeFile(body []byte) error {
	f, err := os.Create(o.output)
	if err != nil {
		return ioError(err)
	}
	err = style{newline: o.newline}.writeBody(f, nil, body)
	if closeErr := f.Close(); err == nil {
		err = ioError(closeErr)
	}
	return err
}

// formatOfBody returns the Content-Format, nil where the peer names none.
func formatOfBody(resp *coap.Response) *message.Format {
	if f, ok := resp.ContentFormat(); ok {
		return &f
	}
	return nil
}

// showError returns the error that a 4.xx or 5.xx is. A payload that is no diagnostic
// message but a representation (RFC 7252 §5.5.2) goes to standard error as well, or to
// standard output behind the head that --include has printed there.
func (c *cli) showError(o *outputFlags, resp *coap.Response) error {
	format := formatOfBody(resp)
	text := strings.TrimSpace(resp.Code.String() + " " + resp.Code.Name())
	switch {
	case o.json:
	case o.include:
		if err := c.style(o.newline).writeBody(c.stdout, format, resp.Payload()); err != nil {
			return err
		}
	case format != nil && *format != message.TextPlain:
		_ = style{terminal: true}.writeBody(c.stderr, format, resp.Payload()) // its line follows anyway
	case len(resp.Payload()) > 0 && string(resp.Payload()) != resp.Code.Name():
		text += ": " + cell(string(resp.Payload()))
	}
	if o.noFail {
		fmt.Fprintln(c.stderr, "coap:", text)
		return nil
	}
	return &statusError{codeStatus(resp.Code), fmt.Errorf("%s", text)}
}

// codeStatus returns the exit status of a response that is no success.
func codeStatus(code message.Code) int {
	switch code.Class() {
	case 4:
		return exitClientError
	case 5:
		return exitServerError
	}
	return exitProtocol
}

// hostOf names the endpoint of a URI, without path.
func hostOf(u message.URI) string {
	if !u.Addr.IsValid() {
		return fmt.Sprintf("%s:%d", u.Host, u.Port)
	}
	return netip.AddrPortFrom(u.Addr, u.Port).String()
}
