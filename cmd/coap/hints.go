package main

import (
	"errors"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// requestHints says what to write instead of flags that other clients have and requests
// here have not: coap-client, aiocoap-client and curl. Flags that mean the same by the
// same name need no hint.
var requestHints = map[string]string{
	// coap-client
	"r": "for TCP write coap+tcp:// (not supported yet)",
	"k": securityHint,
	"u": securityHint,
	"c": securityHint,
	"j": securityHint,
	"n": securityHint,
	"C": securityHint,
	"J": securityHint,
	"M": securityHint,
	"R": securityHint,
	"E": "OSCORE is not supported yet",
	"K": "coap ping URI sends pings; a request needs no keep-alive",
	"G": "give one request after the other; --count is for coap ping",
	"L": "block-wise transfer needs no mode; -b SIZE asks for a block size",
	"V": "repeat -v for more output: -v -v",
	"2": securityHint,

	// Letters that mean one thing to coap-client and another to curl or aiocoap-client.
	"X": "a method is the command, coap put URI, or -m put; a message size is for TCP, which is not supported yet",
	"d": "the payload is given with -e TEXT or -f FILE; a connection ID is for DTLS, which is not supported yet",
	"q": "nothing but the body goes to standard output, drop it; a TLS engine is for coaps://, which is not supported yet",
	"x": "a proxy is given with -P URI; payloads are printed with -v -v alone",

	// aiocoap-client
	"observe":             "use coap observe URI, or -s SECONDS",
	"observe-exec":        "use coap observe URI | while read -r state; do …; done",
	"payload-initial-szx": "use -b SIZE",
	"set-hostname":        "Uri-Host is sent where it is due; -U leaves it out",
	"no-set-hostname":     "use -U",
	"hostname":            "use -O 3,HOST",
	"pretty-print":        "on a terminal the body is laid out for reading",
	"no-pretty-print":     "pipe the output (| cat) for the bytes as they are",
	"no-color":            "use --color never",
	"quiet":               "nothing but the body goes to standard output; drop --quiet",
	"interactive":         "there is no interactive mode; give one request after the other",
	"credentials":         securityHint,
	"secure":              securityHint,
	"broadcast":           "a group address needs no flag: coap discover coap://224.0.1.187",

	// curl
	"request":         "the method is the command: coap put URI, or -m put",
	"data":            "the payload is given with -e TEXT or -f FILE",
	"data-raw":        "the payload is given with -e TEXT",
	"data-binary":     "the payload is given with -f FILE",
	"upload-file":     "use coap put -f FILE URI",
	"F":               "CoAP has no forms; the payload is given with -e TEXT or -f FILE",
	"form":            "CoAP has no forms; the payload is given with -e TEXT or -f FILE",
	"header":          "an option is given with -O NUM,VALUE, Content-Format with -t, Accept with -A",
	"user-agent":      "CoAP has no such option; -A is Accept",
	"i":               "use --include",
	"I":               "CoAP has no HEAD; --include prints status and options",
	"head":            "CoAP has no HEAD; --include prints status and options",
	"S":               "errors always go to standard error; drop -S",
	"show-error":      "errors always go to standard error; drop it",
	"silent":          "nothing but the body goes to standard output; drop --silent",
	"max-time":        "use -B SECONDS",
	"connect-timeout": "use -B SECONDS; CoAP over UDP has no connection",
	"retry":           "use --retries N",
	"proxy-header":    "an option is given with -O NUM,VALUE",
	"interface":       "use -a ADDR",
	"local-port":      "use -p PORT",
	"insecure":        securityHint,
	"cert":            securityHint,
	"cacert":          securityHint,
	"key":             securityHint,
	"location":        "CoAP has no redirects; drop it",
	"compressed":      "CoAP has no content coding of its own; -A names a format that has",
	"url":             "the URI is given without a flag",
	"4":               "write an IPv4 address into the URI",
	"6":               "write an IPv6 address into the URI: coap://[::1]/",
}

// commandHints are for single commands: flags of ping(8), of servers, of packet analysers
// and of load generators for HTTP. They go before requestHints.
var commandHints = map[string]map[string]string{
	"ping": {
		"n": "use --count N",
		"w": "use -B SECONDS",
		"W": "use --ack-timeout SECONDS",
		"t": "pings go on until an interrupt; --count N ends them",
		"s": "a ping has no payload (RFC 7252 §4.3)",
		"q": "the summary comes at the end; pipe to tail -1",
	},
	"discover": {
		"o": "redirect standard output: coap discover URI > FILE",
		"e": "discovery has no payload; a query filters: ?rt=light",
		"t": "discovery has no payload; -A is the format that is wanted",
		"b": "coap get -b SIZE URI/.well-known/core asks for a block size",
		"s": "coap observe URI follows a resource",
	},
	"serve":    servingHints,
	"plugtest": servingHints,
	"decode": {
		"r": "use -f FILE",
		"i": "decode captures nothing: tcpdump -w - -U udp port 5683 | coap decode -",
		"w": "decode writes text; redirect standard output",
		"p": "use --port PORT",
		"v": "all is printed; --map shows each byte",
		"x": "use --map",
		"T": "use --json",
	},
	"bench": {
		"c":           "use --ports N, and --window N for requests at once on each",
		"concurrency": "use --ports N, and --window N for requests at once on each",
		"connections": "use --ports N, and --window N for requests at once on each",
		"d":           "use -s SECONDS; the payload is given with -e TEXT or -f FILE",
		"z":           "use -s SECONDS",
		"q":           "use --rate N",
		"R":           "use --rate N",
		"qps":         "use --rate N",
	},
}

var servingHints = map[string]string{
	"p":         "use --addr :PORT",
	"port":      "use --addr :PORT",
	"A":         "use --addr ADDR:5683",
	"a":         "use --addr ADDR:5683",
	"bind":      "use --addr ADDR:5683",
	"d":         "use --dir DIR",
	"directory": "use --dir DIR",
	"v":         "a server prints no messages; coap get -v does",
	"k":         securityHint,
	"c":         securityHint,
	"cert":      securityHint,
	"G":         "use --multicast",
}

const securityHint = "coaps:// is not supported yet"

// isRequest is the annotation of the commands that send a request.
const isRequest = "request"

// flagError says what to do about a flag that can't be parsed.
func flagError(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	var missing *pflag.ValueRequiredError
	var invalid *pflag.InvalidValueError
	switch {
	case errors.As(err, &unknown):
		return unknownFlag(cmd, unknown)
	case errors.As(err, &missing):
		_, what := pflag.UnquoteUsage(missing.GetFlag())
		return usageErrorf("%s needs a value: %s", dashed(missing.GetSpecifiedName()), what)
	case errors.As(err, &invalid):
		return usageErrorf("%s %.60q: %s", flagName(invalid.GetFlag()), invalid.GetValue(), rightValue(invalid))
	}
	return usageErrorf("%w; see %s --help", err, cmd.CommandPath())
}

// rightValue says what a flag takes. Values of our own say so themselves.
func rightValue(wrong *pflag.InvalidValueError) string {
	switch wrong.GetFlag().Value.Type() {
	case "uint16":
		return "say a number of 0 to 65535"
	case "uint", "uint64":
		return "say a number that is not negative"
	case "int", "intSlice", "float64":
		return "say a number"
	case "duration":
		return "say a time such as 500ms, 10m or 24h"
	}
	return wrong.Unwrap().Error()
}

func unknownFlag(cmd *cobra.Command, unknown *pflag.NotExistError) error {
	name := unknown.GetSpecifiedName()
	hint := commandHints[cmd.Name()][name]
	if hint == "" && cmd.Annotations[isRequest] != "" {
		hint = requestHints[name]
	}
	if hint != "" {
		return usageErrorf("unknown flag %s: %s", dashed(name), hint)
	}
	if near := nearestFlag(cmd, name); near != "" {
		return usageErrorf("unknown flag %s: did you mean --%s?", dashed(name), near)
	}
	return usageErrorf("unknown flag %s; see %s --help", dashed(name), cmd.CommandPath())
}

// dashed returns a flag as it is typed: one letter with one dash, a word with two.
func dashed(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

func flagName(f *pflag.Flag) string {
	if f.Shorthand != "" {
		return "-" + f.Shorthand
	}
	return "--" + f.Name
}

// nearestFlag returns the flag that differs least from a word: by two letters
// at most. Empty: none is near.
func nearestFlag(cmd *cobra.Command, name string) string {
	if len(name) < 3 {
		return ""
	}
	nearest, least := "", 3
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if d := distance(name, f.Name); d < least && !f.Hidden {
			nearest, least = f.Name, d
		}
	})
	return nearest
}

// distance is the number of letters to insert, delete or replace that turn a into b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
