package main

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/motewire/coap/message"
)

// requestMethods are the commands that are a request method.
var requestMethods = []struct {
	name string
	code message.Code
}{
	{"get", message.GET},
	{"put", message.PUT},
	{"post", message.POST},
	{"delete", message.DELETE},
	{"fetch", message.FETCH},
	{"patch", message.PATCH},
	{"ipatch", message.IPATCH},
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

	// How it travels.
	proxy        string        // -P; a URI
	localPort    uint16        // -p; 0: any
	localAddress netip.Addr    // -a; invalid: any
	loss         lossValue     // -l; share of datagrams, 0 to 1
	seed         uint64        // of the losses
	timeout      time.Duration // -B; 0: none given
	observeFor   time.Duration // -s; 0: not observed
	retries      uint          // MAX_RETRANSMIT
	ackTimeout   time.Duration // ACK_TIMEOUT

	// What comes out.
	output  string // -o
	pcap    string
	newline bool // -w
	include bool
	json    bool
	noFail  bool
	verbose int // -v, counted
}

// define adds the flags to a set.
func (r *requestFlags) define(f *pflag.FlagSet) {
	f.StringVarP(&r.method, "method", "m", "", "")
	_ = f.MarkHidden("method")
	f.SortFlags = false

	f.BoolVarP(&r.nonConfirmable, "non", "N", false, "send the request non-confirmable")
	f.VarP(&r.text, "payload", "e", "send `TEXT` as it stands, without percent-decoding")
	f.StringVarP(&r.file, "file", "f", "", "send the content of `FILE`, - is standard input")
	f.VarP(&r.contentFormat, "content-format", "t", "Content-Format of the payload: number, media type or alias")
	f.VarP(&r.accept, "accept", "A", "Content-Format that is wanted: number, media type or alias")
	f.VarP((*optionsValue)(&r.options), "option", "O", "add an option; 0x… is hex; may be repeated")
	f.VarP(&r.token, "token", "T", "use this token; 0x… is hex")
	f.BoolVarP(&r.noURIHost, "no-uri-host", "U", false, "send neither Uri-Host nor Uri-Port")
	f.VarP((*hopLimitValue)(&r.hopLimit), "hop-limit", "H", "proxies that the request may pass, 1 to 255")
	f.VarP(&r.block, "block", "b", "block size of 16 to 1024 bytes, or one block of that size")

	f.StringVarP(&r.proxy, "proxy", "P", "", "send the request to the proxy `URI`")
	f.Uint16VarP(&r.localPort, "port", "p", 0, "send from the local `PORT`")
	f.VarP((*addressValue)(&r.localAddress), "address", "a", "send from this local address")
	f.VarP(&r.loss, "loss", "l", "drop that share of the datagrams, both ways: 20% or 0.2")
	f.Uint64Var(&r.seed, "seed", 1, "choose with `N` which datagrams -l drops")
	f.VarP((*secondsValue)(&r.timeout), "timeout", "B", "give up after that time")
	f.VarP((*secondsValue)(&r.observeFor), "subscribe", "s", "observe the resource for that time")
	f.UintVar(&r.retries, "retries", 4, "retransmit up to `N` times")
	r.ackTimeout = 2 * time.Second
	f.Var((*secondsValue)(&r.ackTimeout), "ack-timeout", "wait that long, half as much again at most, before the first retransmission")

	f.StringVarP(&r.output, "output", "o", "", "write the body to `FILE`")
	f.StringVar(&r.pcap, "pcap", "", "write what goes over the wire to `FILE`, as pcapng")
	f.BoolVarP(&r.newline, "newline", "w", false, "end the body with a newline")
	f.BoolVar(&r.include, "include", false, "print status and options before the body")
	f.BoolVar(&r.json, "json", false, "print one JSON object per response")
	f.BoolVar(&r.noFail, "no-fail", false, "exit with 0 for a 4.xx or 5.xx too")
	f.CountVarP(&r.verbose, "verbose", "v", "print the messages on standard error; repeated: with hex")
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
	case hasScheme(args[0]):
		return args[0], nil
	}
	return "coap://" + args[0], nil
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
