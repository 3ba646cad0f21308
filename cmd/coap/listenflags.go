package main

import (
	"errors"
	"strconv"

	"github.com/spf13/pflag"

	"github.com/motewire/coap"
)

// listenFlags are those of the commands that serve.
type listenFlags struct {
	addr     string
	validate choice
	rate     rateValue // 0: no bound
}

// defenses is what the help says about them.
const defenses = `Against forged source addresses --validate small keeps answers short, echo-large has
clients whose answer is long come again with an Echo option (RFC 9175), echo has all. --rate
answers 4.29 (RFC 8516) beyond N requests a second of one client.`

// validations are the words of --validate.
var validations = []string{"off", "small", "echo-large", "echo"}

// add adds the flags to a set.
func (f *listenFlags) add(set *pflag.FlagSet) {
	f.validate = choice{names: validations, value: "off"}
	set.StringVar(&f.addr, "addr", defaultAddr, "listen on `HOST:PORT`; without HOST on all addresses")
	set.Var(&f.validate, "validate", "`HOW` to meet forged sources: off, small, echo-large, echo")
	set.Var(&f.rate, "rate", "serve `N` requests a second of each client, answer 4.29 beyond")
}

// configure makes a server heed the flags.
func (f *listenFlags) configure(srv *coap.Server) {
	srv.AddressValidation = map[string]coap.AddressValidation{
		"off": coap.AddressValidationOff, "small": coap.SmallBlocks, "echo-large": coap.EchoLarge, "echo": coap.EchoAlways,
	}[f.validate.value]
	srv.RateLimit.Peer.PerSecond = float64(f.rate)
}

// A rateValue is a number of requests a second.
type rateValue float64

// String returns the number as it may be typed, empty for none.
func (v *rateValue) String() string {
	if *v == 0 {
		return ""
	}
	return strconv.FormatFloat(float64(*v), 'f', -1, 64)
}

// Type names the value in the help.
func (v *rateValue) Type() string { return "N" }

// Set parses the number.
func (v *rateValue) Set(s string) error {
	rate, err := strconv.ParseFloat(s, 64)
	if err != nil || !(rate >= 0.001 && rate <= 1e9) {
		return errors.New("say a number of requests a second, 0.001 to 1e9")
	}
	*v = rateValue(rate)
	return nil
}
