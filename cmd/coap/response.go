package main

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/netip"
	"time"
	"unicode/utf8"

	"github.com/motewire/coap/message"
)

// A response is what came back, as the output shows it.
type response struct {
	at              time.Time
	peer            netip.AddrPort
	kind            message.Type
	code            message.Code
	options         []message.Option // ascending
	body            []byte
	rtt             time.Duration // from the first transmission of the request
	retransmissions int           // of the request
	failure         error         // what a 4.xx or 5.xx is; nil: it is a success
}

// A responseRow is the object that --json prints for a response.
type responseRow struct {
	Time            string      `json:"time"` // RFC 3339
	Peer            string      `json:"peer"`
	Type            string      `json:"type"` // CON, NON or ACK
	Code            string      `json:"code"` // c.dd
	CodeName        string      `json:"code_name"`
	Options         []optionRow `json:"options"`
	Payload         string      `json:"payload"` // the text, or base64 of what is none
	PayloadBase64   bool        `json:"payload_base64,omitempty"`
	RTT             float64     `json:"rtt_ms"`
	Retransmissions int         `json:"retransmissions"`
}

// An optionRow is an option with its value by format: a number, a string, hex for
// opaque values, or nothing but "" for empty ones. A value that its format does not
// allow is hex.
type optionRow struct {
	Number message.OptionNumber `json:"number"`
	Name   string               `json:"name"`
	Value  any                  `json:"value"`
}

// writeJSON prints the response as one object on one line.
func (r *response) writeJSON(w io.Writer) error {
	row := responseRow{
		Time:            r.at.Format(time.RFC3339Nano),
		Peer:            r.peer.String(),
		Type:            r.kind.String(),
		Code:            r.code.String(),
		CodeName:        r.code.Name(),
		Options:         []optionRow{},
		Payload:         string(r.body),
		RTT:             float64(r.rtt) / float64(time.Millisecond),
		Retransmissions: r.retransmissions,
	}
	for _, o := range r.options {
		row.Options = append(row.Options, optionRow{o.Number, o.Number.String(), optionValue(o)})
	}
	if !utf8.Valid(r.body) {
		row.Payload, row.PayloadBase64 = base64.StdEncoding.EncodeToString(r.body), true
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return ioError(e.Encode(row))
}

func optionValue(o message.Option) any {
	info, assigned := o.Number.Info()
	legal := assigned && len(o.Value) >= info.MinLength && len(o.Value) <= info.MaxLength
	switch {
	case legal && info.Format == message.UintValue:
		return uintValue(o.Value)
	case legal && info.Format == message.StringValue && utf8.Valid(o.Value):
		return string(o.Value)
	}
	return hex.EncodeToString(o.Value)
}

// uintValue reads an unsigned integer of up to four bytes (RFC 7252 §3.2).
func uintValue(b []byte) (n uint32) {
	for _, octet := range b {
		n = n<<8 | uint32(octet)
	}
	return n
}
