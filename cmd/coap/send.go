package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
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
	if r.oneMessage() {
		if err := r.hold(); err != nil {
			return requestError(ctx, err)
		}
	}
	req, err := r.build()
	if err != nil {
		return err
	}
	return c.withClient(ctx, &r.travelFlags, patience, func(ctx context.Context, client *coap.Client) error {
		if r.source != nil {
			r.source.ctx, r.source.transfer = ctx, c.transfer
		}
		resp, err := client.Do(ctx, req)
		if err != nil {
			return requestError(ctx, err)
		}
		return c.show(ctx, &r.outputFlags, resp)
	})
}

// build returns the request, and an error for a command line that makes none.
func (r *request) build() (*coap.Request, error) {
	options := r.requestOptions()
	body, block, err := r.body()
	if err != nil {
		return nil, err
	}
	options = append(options, block...)
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
	return coap.NewRequest(r.code, url, body, options...), nil
}

// byHand tells whether -O sets options of blocks, which leaves them to the user.
func (r *request) byHand() bool {
	return slices.ContainsFunc(r.sorted, func(o message.Option) bool {
		return o.Number == message.Block1 || o.Number == message.Block2
	})
}

// oneMessage tells whether the request can't be a transfer.
func (r *request) oneMessage() bool {
	return r.byHand() || r.block.single && !r.sendsBlock()
}

// sendsBlock tells whether -b NUM,SIZE is about the payload: where that is what the method
// is for.
func (r *request) sendsBlock() bool {
	switch r.code {
	case message.PUT, message.POST, message.PATCH, message.IPATCH:
		return r.block.single && (r.payload != nil || r.source != nil)
	}
	return false
}

// body returns the request's body and what -b asks for.
func (r *request) body() (coap.Body, []coap.RequestOption, error) {
	size := 16 << r.block.szx
	switch {
	case r.block.set && r.byHand():
		return coap.Body{}, nil, usageErrorf("-b and -O with a block: say one of them")
	case r.sendsBlock():
		return r.oneBlock(int(r.block.num), size)
	}
	var options []coap.RequestOption
	switch {
	case r.block.single:
		options = append(options, coap.Block(int(r.block.num), size))
	case r.block.set:
		options = append(options, coap.BlockSize(size))
	}
	if r.source != nil {
		return coap.RawStream(r.source), options, nil
	}
	return coap.Raw(r.payload), options, nil
}

// oneBlock returns a block of the payload, and the option that says which one it is.
func (r *request) oneBlock(num, size int) (coap.Body, []coap.RequestOption, error) {
	from := r.source
	if from == nil {
		from = &source{reader: bytes.NewReader(r.payload), direct: true}
	}
	block, more, err := from.block(num, size)
	if err != nil {
		return coap.Body{}, nil, err
	}
	option := uintOption(message.Block1, message.Block{Num: uint32(num), More: more, SZX: r.block.szx}.Encode())
	return coap.Raw(block), []coap.RequestOption{coap.Option(option.Number, option.Value)}, nil
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
	if hint := schemeHint(uri); hint != "" {
		return message.URI{}, usageErrorf("%s", hint)
	}
	u, err := message.ParseURI(uri)
	if host := bareIPv6(uri); err != nil && host != "" {
		return u, usageErrorf("an IPv6 address in a URI has brackets: [%s]", host)
	}
	if err != nil {
		return u, uriError(err)
	}
	if u.Secure {
		return u, usageErrorf("%s", securityHint)
	}
	return u, nil
}

// schemeHint says what to do about a scheme that other clients take; empty: nothing.
func schemeHint(uri string) string {
	scheme, rest, _ := strings.Cut(uri, "://")
	switch scheme = strings.ToLower(scheme); scheme {
	case "coap+tcp", "coaps+tcp", "coap+ws", "coaps+ws":
		return scheme + ":// is not supported yet; coap:// is CoAP over UDP"
	case "http", "https":
		return fmt.Sprintf("%s:// is not CoAP: write coap://%s, or ask a proxy with -P", scheme, rest)
	}
	return ""
}

// bareIPv6 returns the host of a URI that is an IPv6 address without brackets; empty: it is
// none.
func bareIPv6(uri string) string {
	_, rest, _ := strings.Cut(uri, "://")
	host, _, _ := strings.Cut(rest, "/")
	if a, err := netip.ParseAddr(host); err != nil || !a.Is6() {
		return ""
	}
	return host
}

func uriError(err error) error {
	return usageErrorf("%s", strings.TrimPrefix(err.Error(), "message: "))
}

// show prints a response as the flags say. A 4.xx or 5.xx becomes an error; its diagnostic
// payload goes into the error's line, as standard output is for representations.
func (c *cli) show(ctx context.Context, o *outputFlags, resp *coap.Response) error {
	if resp.Code == message.Empty {
		return nil // none was wanted (RFC 7967 §2.1)
	}
	c.transfer.rest()
	if resp.Code.IsSuccess() && !o.json && (o.toFile() || !c.stdoutTerminal) {
		return c.stream(ctx, o, resp)
	}
	r, err := whole(ctx, resp)
	if err != nil {
		return err
	}
	c.transfer.rest()
	if err := c.showHead(o, r); err != nil {
		return err
	}
	if !resp.Code.IsSuccess() {
		return c.showError(o, resp, r.body)
	}
	return c.showBody(o, resp, r.body)
}

// stream prints a response, its body block by block as it arrives.
func (c *cli) stream(ctx context.Context, o *outputFlags, resp *coap.Response) error {
	copyTo := func(w io.Writer) error {
		if _, err := io.Copy(w, resp.Body); err != nil {
			return requestError(ctx, err)
		}
		return style{newline: o.newline}.writeBody(w, nil, nil)
	}
	if err := c.showHead(o, received(resp)); err != nil {
		return err
	}
	if o.toFile() {
		return toFile(o.output, copyTo)
	}
	return copyTo(c.stdout)
}

// toFile tells whether the body goes into a file.
func (o *outputFlags) toFile() bool { return o.output != "" && o.output != "-" }

// received returns a response that has just arrived, with the part of its body that came
// with it.
func received(resp *coap.Response) *response {
	r := &response{
		at: time.Now(), peer: resp.Peer(), kind: resp.Message().Type(), code: resp.Code, failure: resp.Err(),
		body: resp.Payload(), rtt: resp.RTT, retransmissions: max(resp.Attempts-1, 0),
	}
	for n, value := range resp.Message().Options() {
		r.options = append(r.options, message.Option{Number: n, Value: value})
	}
	return r
}

// goesOn tells whether the body has more blocks than came with the response.
func goesOn(resp *coap.Response) bool {
	b, ok := resp.Message().Block2()
	return ok && b.More
}

// whole returns a response with all of its body.
func whole(ctx context.Context, resp *coap.Response) (*response, error) {
	body, err := resp.Bytes()
	switch {
	case errors.Is(err, coap.ErrTooLarge):
		return nil, ioError(fmt.Errorf("%s; without --json -o FILE takes a body of any length", libraryText(err)))
	case err != nil:
		return nil, requestError(ctx, err)
	}
	r := received(resp) // now, as it may have begun again
	r.body = body
	return r, nil
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
func (c *cli) showBody(o *outputFlags, resp *coap.Response, body []byte) error {
	if o.toFile() {
		return toFile(o.output, func(w io.Writer) error {
			return style{newline: o.newline}.writeBody(w, nil, body)
		})
	}
	if o.json {
		return nil // it is within the object
	}
	return c.style(o.newline).writeBody(c.stdout, formatOfBody(resp), body)
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
func (c *cli) showError(o *outputFlags, resp *coap.Response, body []byte) error {
	format := formatOfBody(resp)
	text := strings.TrimSpace(resp.Code.String()+" "+resp.Code.Name()) + blockText(resp)
	switch {
	case o.json:
	case o.include:
		if err := c.style(o.newline).writeBody(c.stdout, format, body); err != nil {
			return err
		}
	case format != nil && *format != message.TextPlain:
		_ = style{terminal: true}.writeBody(c.stderr, format, body) // its line follows anyway
	case len(body) > 0 && string(body) != resp.Code.Name():
		text += ": " + cell(string(body))
	}
	if o.noFail {
		fmt.Fprintln(c.stderr, "coap:", text)
		return nil
	}
	return &statusError{codeStatus(resp.Code), fmt.Errorf("%s", text)}
}

// blockText says which block of a body an error is about, and what the server takes.
func blockText(resp *coap.Response) (text string) {
	if b, ok := resp.Message().Block1(); ok {
		text = fmt.Sprintf(" at block %d", b.Num)
	}
	if size, ok := resp.Message().Size1(); ok && resp.Code == message.RequestEntityTooLarge {
		text += fmt.Sprintf(", the server takes %d bytes", size)
	}
	return text
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
