package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/motewire/coap/cmd/coap/cost"
	"github.com/motewire/coap/message"
)

// costFlags are the flags of coap cost.
type costFlags struct {
	exchange exchangeFlags

	links    []string
	node     choice
	keepOpen bool
	ipv4     bool

	bitRate, current  float64 // 0: the link's own
	transmit, receive float64 // mA, 0: the link's own
	header, room      int     // -1: the link's own
	spreadingFactor   int
	every, awake      time.Duration
	battery, sleep    float64 // mAh, µA
	svg               string
}

func (c *cli) costCommand() *cobra.Command {
	f := &costFlags{node: choice{names: []string{"client", "server"}, value: "client"}}
	cmd := &cobra.Command{
		Use:   "cost [URI]",
		Short: "Reckon bytes, air time, charge and battery life of an exchange",
		Long: `cost encodes a request and its response, adds the headers of each layer and reckons air time,
charge of the radio and battery life, beside the same over HTTP/1.1 over TCP, with the arithmetic.
Long bodies go in blocks (RFC 7959). Links: ethernet, wifi, 802.15.4 (6LoWPAN), lora (LoRaWAN with
SCHC), nb-iot and none (no headers); flags replace their usual parameters.`,
		Example: `  coap cost -m post -e 22.5 localhost/readings --link 802.15.4 --every 10m
  coap cost -m put --size 100000 -b 64 localhost/firmware --link 802.15.4`,
		RunE: func(_ *cobra.Command, args []string) error {
			uri, err := uriArgument("cost", args)
			if err != nil {
				return err
			}
			return c.cost(f, uri)
		},
	}
	f.define(cmd.Flags())
	cmd.Annotations = map[string]string{helpFlags: allBut(cmd.Flags(), "content-format", "accept", "option", "non"), helpRest: "-t, -A, -O, -N"}
	return cmd
}

func (f *costFlags) define(s *pflag.FlagSet) {
	s.SortFlags = false
	f.exchange.define(s)
	s.StringSliceVar(&f.links, "link", nil, "reckon for `LINK` alone; may be repeated (default: all but none)")
	s.Var(&f.node, "node", "the node is client or server of the request")
	s.BoolVar(&f.keepOpen, "keep-alive", false, "HTTP keeps its connection open: no handshake, no close")
	s.BoolVar(&f.ipv4, "ipv4", false, "IPv4 instead of IPv6")
	s.Float64Var(&f.bitRate, "rate", 0, "bit rate in `KBIT/S`")
	s.Float64Var(&f.current, "current", 0, "the radio takes that many `MA`, sending or receiving")
	s.Float64Var(&f.transmit, "tx", 0, "sending it takes that many `MA`")
	s.Float64Var(&f.receive, "rx", 0, "receiving it takes that many `MA`")
	s.IntVar(&f.header, "header", -1, "`BYTES` around the content of a frame")
	s.IntVar(&f.room, "frame", -1, "`BYTES` of content that a frame takes")
	s.IntVar(&f.spreadingFactor, "sf", 0, "spreading factor `N` of lora, 7 to 12 (default 9)")
	s.DurationVar(&f.every, "every", 0, "the exchange takes place every `TIME`, like 10m: gives battery life")
	s.DurationVar(&f.awake, "awake", 0, "with --every: the radio listens for `TIME` besides, each time")
	s.Float64Var(&f.battery, "battery", 2400, "capacity of the battery in `MAH`")
	s.Float64Var(&f.sleep, "sleep", 5, "current between exchanges in `UA` (µA)")
	for _, name := range []string{"header", "frame"} {
		s.Lookup(name).DefValue = "0" // which the help leaves out: the link's own
	}
	s.StringVar(&f.svg, "svg", "", "draw the figures as a picture into `FILE`")
}

// cost prints what the exchange costs.
func (c *cli) cost(f *costFlags, uri string) error {
	links, err := f.chosen()
	if err != nil {
		return err
	}
	x, err := f.exchange.encode(uri)
	if err != nil {
		return err
	}
	report := f.report(links, x)
	var b bytes.Buffer
	x.describe(&b)
	b.WriteByte('\n')
	if err := errors.Join(report.WriteTable(&b), report.WriteArithmetic(&b)); err != nil {
		return err
	}
	if _, err := c.stdout.Write(b.Bytes()); err != nil {
		return ioError(err)
	}
	if f.svg != "" {
		return ioError(os.WriteFile(f.svg, report.Plot(), 0o666))
	}
	return nil
}

// report reckons an exchange for each link.
func (f *costFlags) report(links []cost.Link, x *costExchange) *cost.Report {
	r := &cost.Report{}
	if f.every > 0 {
		r.Schedule = &cost.Schedule{Every: f.every, Awake: f.awake, Capacity: f.battery / 1e3 * 3600, Sleep: f.sleep / 1e6}
	}
	isClient := f.node.value == "client"
	for _, l := range links {
		var packets []cost.Packet
		for _, m := range x.messages {
			packets = append(packets, cost.Packet{What: m.what, Up: m.fromClient == isClient, Bytes: len(m.raw), Headers: l.UDP})
		}
		r.Links = append(r.Links, cost.Comparison{
			Link: l,
			CoAP: cost.Reckon(&l, packets),
			HTTP: cost.Reckon(&l, cost.OverTCP(&l, len(x.httpRequest), len(x.httpResponse), isClient, f.keepOpen)),
		})
	}
	return r
}

// chosen returns the links that are asked for, with the parameters of the flags.
func (f *costFlags) chosen() ([]cost.Link, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	var chosen []cost.Link
	var names []string
	for _, l := range cost.Links() {
		names = append(names, l.Name)
		if len(f.links) == 0 && l.Name != "none" || slices.Contains(f.links, l.Name) {
			chosen = append(chosen, f.adjusted(l))
		}
	}
	for _, name := range f.links {
		if !slices.Contains(names, name) {
			return nil, usageErrorf("--link %q: say %s", name, strings.Join(names, ", "))
		}
	}
	return chosen, nil
}

// check finds figures that make no sense.
func (f *costFlags) check() error {
	for name, v := range map[string]float64{"rate": f.bitRate, "current": f.current, "tx": f.transmit, "rx": f.receive, "sleep": f.sleep} {
		if !(v >= 0 && v < 1e12) {
			return usageErrorf("--%s %v: say a number that is not negative", name, v)
		}
	}
	switch {
	case f.spreadingFactor != 0 && (f.spreadingFactor < 7 || f.spreadingFactor > 12):
		return usageErrorf("--sf %d: say 7 to 12", f.spreadingFactor)
	case f.every < 0 || f.awake < 0:
		return usageErrorf("--every and --awake take a time above 0, such as 10m")
	case f.awake > 0 && f.every == 0:
		return usageErrorf("--awake needs --every: how often that is")
	case !(f.battery > 0 && f.battery < 1e12):
		return usageErrorf("--battery %v: say a capacity in mAh", f.battery)
	case f.room >= 0 && f.room < 32:
		return usageErrorf("--frame %d: say 32 or more", f.room)
	}
	return refuseStandard("--svg", f.svg)
}

// adjusted returns a link with what the flags say about it.
func (f *costFlags) adjusted(l cost.Link) cost.Link {
	if f.ipv4 {
		l = l.WithIPv4()
	}
	if f.bitRate > 0 {
		l.UpRate, l.DownRate = f.bitRate*1e3, f.bitRate*1e3
	}
	for _, a := range []struct {
		value  float64
		fields []*float64
	}{{f.current, []*float64{&l.Transmit, &l.Receive}}, {f.transmit, []*float64{&l.Transmit}}, {f.receive, []*float64{&l.Receive}}} {
		for _, field := range a.fields {
			if a.value > 0 {
				*field = a.value / 1e3
			}
		}
	}
	if l.LoRa != nil && f.spreadingFactor != 0 {
		l.LoRa.SpreadingFactor = f.spreadingFactor
		l.Room = l.LoRa.Room()
	}
	if f.header >= 0 {
		l.Header = f.header
	}
	if f.room >= 0 {
		l.Room = f.room
	}
	return l
}

// A choice is a flag that takes one of some words.
type choice struct {
	names []string
	value string
}

func (v *choice) String() string { return v.value }
func (v *choice) Type() string   { return strings.Join(v.names, "|") }

func (v *choice) Set(s string) error {
	if !slices.Contains(v.names, s) {
		return fmt.Errorf("say %s", strings.Join(v.names, " or "))
	}
	v.value = s
	return nil
}

// codeValue is a response code.
type codeValue message.Code

func (v *codeValue) String() string {
	if *v == 0 {
		return ""
	}
	return message.Code(*v).String()
}

func (v *codeValue) Type() string { return "CODE" }

func (v *codeValue) Set(s string) error {
	code, err := message.ParseCode(s)
	if err != nil || !code.IsResponse() {
		return errors.New("say a response code such as 2.05 or content")
	}
	*v = codeValue(code)
	return nil
}

// tokenLengthValue is how long the token is.
type tokenLengthValue int

func (v *tokenLengthValue) String() string { return strconv.Itoa(int(*v)) }
func (v *tokenLengthValue) Type() string   { return "BYTES" }

func (v *tokenLengthValue) Set(s string) error {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || n > message.MaxTokenLength {
		return fmt.Errorf("say 0 to %d", message.MaxTokenLength)
	}
	*v = tokenLengthValue(n)
	return nil
}
