package main

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/motewire/coap/message"
)

// A method is a command that is a request method.
type method struct {
	name    string
	code    message.Code
	short   string // of the help
	example string // of the help
}

var requestMethods = []method{
	{"get", message.GET, "Get a representation", `  coap get localhost/temperature
  coap get -A json --include coap://[::1]/config`},
	{"put", message.PUT, "Create or replace a resource", `  coap put -e 22.5 localhost/temperature
  coap put -t json -f config.json localhost/config`},
	{"post", message.POST, "Have a resource process a payload", `  coap post -t json -e '{"value":22.5}' localhost/readings
  date | coap post -f - localhost/log`},
	{"delete", message.DELETE, "Delete a resource", `  coap delete localhost/readings/7`},
	{"fetch", message.FETCH, "Get what a payload asks for", `  coap fetch -t json -e '["temperature"]' localhost/readings`},
	{"patch", message.PATCH, "Change a resource in part", `  coap patch -t application/merge-patch+json -e '{"interval":60}' localhost/config`},
	{"ipatch", message.IPATCH, "Change a resource in part, idempotently", `  coap ipatch -t application/merge-patch+json -e '{"interval":60}' localhost/config`},
}

// isMethod tells whether s names a request method, in any case.
func isMethod(s string) bool {
	for _, m := range requestMethods {
		if strings.EqualFold(s, m.name) {
			return true
		}
	}
	return false
}

// requestFlags are the flags of the commands that send a request, parsed.
type requestFlags struct {
	method string // -m; empty, or the command itself

	// The request.
	nonConfirmable bool
	text           textValue        // -e
	file           string           // -f; "-" is standard input
	contentFormat  formatValue      // -t
	accept         formatValue      // -A
	options        []message.Option // -O, in the order of the command line
	token          tokenValue       // -T
	noURIHost      bool             // -U
	hopLimit       uint8            // -H; 0: none given
	block          blockValue       // -b
	proxy          string           // -P; a URI
	observeFor     time.Duration    // -s; 0: not observed

	travelFlags
	outputFlags
}

// travelFlags say how messages travel, and what is told of their way.
type travelFlags struct {
	localPort    uint16        // -p; 0: any
	localAddress netip.Addr    // -a; invalid: any
	loss         lossValue     // -l; share of datagrams, 0 to 1
	seed         uint64        // of the losses
	timeout      time.Duration // -B; 0: none given
	retries      uint          // MAX_RETRANSMIT
	ackTimeout   time.Duration // ACK_TIMEOUT
	pcap         string
	verbose      countValue // -v
}

// outputFlags say how a response is shown.
type outputFlags struct {
	output  string // -o
	newline bool   // -w
	include bool
	json    bool
	noFail  bool
}

// define adds the flags to a set.
func (r *requestFlags) define(f *pflag.FlagSet) {
	f.StringVarP(&r.method, "method", "m", "", "")
	_ = f.MarkHidden("method")
	f.SortFlags = false
	f.VarP(&r.text, "payload", "e", "send `TEXT` as it stands, without percent-decoding")
	f.StringVarP(&r.file, "file", "f", "", "send the content of `FILE`, - is standard input")
	f.VarP(&r.contentFormat, "content-format", "t", "Content-Format of the payload: number, media type or alias")
	r.defineOptions(f)
	f.VarP(&r.block, "block", "b", "block size of 16 to 1024 bytes, or one block of that size")
	f.StringVarP(&r.proxy, "proxy", "P", "", "send the request to the proxy `URI`")
	f.VarP((*secondsValue)(&r.observeFor), "subscribe", "s", "observe the resource for that time")
	r.travelFlags.define(f, 4)
	r.outputFlags.define(f)
}

// defineOptions adds the flags for header and options, which requests without payload
// have too.
func (r *requestFlags) defineOptions(f *pflag.FlagSet) {
	f.VarP(&r.accept, "accept", "A", "Content-Format that is wanted: number, media type or alias")
	f.BoolVarP(&r.nonConfirmable, "non", "N", false, "send the request non-confirmable")
	f.VarP((*optionsValue)(&r.options), "option", "O", "add an option; 0x… is hex; may be repeated")
	f.VarP(&r.token, "token", "T", "use this token; 0x… is hex")
	f.BoolVarP(&r.noURIHost, "no-uri-host", "U", false, "send neither Uri-Host nor Uri-Port")
	f.VarP((*hopLimitValue)(&r.hopLimit), "hop-limit", "H", "proxies that the request may pass, 1 to 255")
}

// define adds the flags to a set; retries is how often messages are sent again by default.
func (t *travelFlags) define(f *pflag.FlagSet, retries uint) {
	f.Uint16VarP(&t.localPort, "port", "p", 0, "send from the local `PORT`")
	f.VarP((*addressValue)(&t.localAddress), "address", "a", "send from this local address")
	f.VarP(&t.loss, "loss", "l", "drop that share of the datagrams, both ways: 20% or 0.2")
	f.Uint64Var(&t.seed, "seed", 1, "choose with `N` which datagrams -l drops")
	f.VarP((*secondsValue)(&t.timeout), "timeout", "B", "give up after that time")
	f.UintVar(&t.retries, "retries", retries, "retransmit up to `N` times")
	t.ackTimeout = 2 * time.Second
	f.Var((*secondsValue)(&t.ackTimeout), "ack-timeout", "wait that long to 1.5 times it for an acknowledgement")
	f.StringVar(&t.pcap, "pcap", "", "write what goes over the wire to `FILE`, as pcapng")
	f.VarPF(&t.verbose, "verbose", "v", "print the messages on standard error; twice: with hex").NoOptDefVal = "true"
}

// define adds the flags to a set.
func (o *outputFlags) define(f *pflag.FlagSet) {
	f.StringVarP(&o.output, "output", "o", "", "write the body to `FILE`, - is standard output")
	f.BoolVarP(&o.newline, "newline", "w", false, "end the body with a newline")
	f.BoolVar(&o.include, "include", false, "print status and options before the body")
	f.BoolVar(&o.json, "json", false, "print one JSON object per response")
	f.BoolVar(&o.noFail, "no-fail", false, "exit with 0 for a 4.xx or 5.xx too")
}

// check finds what flags say together and each alone does not.
func (r *requestFlags) check(command string) error {
	switch {
	case r.method != "" && !isMethod(r.method):
		return usageErrorf("-m %s: say get, put, post, delete, fetch, patch or ipatch", r.method)
	case r.method != "" && !strings.EqualFold(r.method, command):
		return usageErrorf("%s and -m %s: say one of them", command, r.method)
	case r.text.set && r.file != "":
		return usageErrorf("-e and -f: say one of them")
	}
	return nil
}

// sortedOptions returns the options of -t, -A, -H and -O by ascending number, those of -O
// with one number in the order of the command line.
func (r *requestFlags) sortedOptions() []message.Option {
	options := slices.Clone(r.options)
	if r.contentFormat.set {
		options = append(options, uintOption(message.ContentFormat, uint32(r.contentFormat.format)))
	}
	if r.accept.set {
		options = append(options, uintOption(message.Accept, uint32(r.accept.format)))
	}
	if r.hopLimit != 0 {
		options = append(options, uintOption(message.HopLimit, uint32(r.hopLimit)))
	}
	message.SortOptions(options)
	return options
}

// uriArgument returns the URI of a request: the one argument, where a missing scheme
// means coap.
func uriArgument(command string, args []string) (string, error) {
	switch {
	case len(args) == 0:
		return "", usageErrorf("%s takes a URI, such as coap://localhost/temperature", command)
	case len(args) > 1 && isNumber(args[0]):
		return "", usageErrorf("%s takes one URI, got %q before it; -v takes no number, it is repeated: -v -v", command, args[0])
	case len(args) > 1:
		return "", usageErrorf("%s takes one URI, got %q too; quote what belongs together", command, args[1])
	}
	return withScheme(args[0]), nil
}

// withScheme returns a URI that may have been typed without its scheme.
func withScheme(uri string) string {
	if hasScheme(uri) {
		return uri
	}
	return "coap://" + uri
}

// hasScheme tells whether an argument begins with a scheme and two slashes.
func hasScheme(uri string) bool {
	scheme, _, ok := strings.Cut(uri, "://")
	return ok && scheme != "" && !strings.ContainsAny(scheme, "/?#[]:%")
}

func isNumber(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// uintOption makes an option of an unsigned integer in its shortest form (RFC 7252
// §3.2).
func uintOption(n message.OptionNumber, value uint32) message.Option {
	var b []byte
	for shift := 24; shift >= 0; shift -= 8 {
		if octet := byte(value >> shift); octet != 0 || len(b) > 0 {
			b = append(b, octet)
		}
	}
	return message.Option{Number: n, Value: b}
}
