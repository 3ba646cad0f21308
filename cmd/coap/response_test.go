package main

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/motewire/coap/message"
)

func TestResponseJSON(t *testing.T) {
	at := time.Date(2026, 3, 4, 5, 6, 7, 89_000_000, time.UTC)
	const head = `{"time":"2026-03-04T05:06:07.089Z","peer":"[2001:db8::1]:5683","type":"ACK",`
	tests := []struct {
		name string
		r    response
		want string
	}{
		{
			"text, options of every format",
			response{
				code: message.Content,
				options: []message.Option{
					{Number: message.ETag, Value: []byte{0, 0xff}},
					{Number: message.IfNoneMatch},
					{Number: message.LocationPath, Value: []byte("é<")},
					{Number: message.LocationPath, Value: []byte{0xff}},
					{Number: message.ContentFormat},
					{Number: message.MaxAge, Value: []byte{255, 255, 255, 255}},
					{Number: message.Size2, Value: []byte{1, 2, 3, 4, 5}},
					{Number: 65001, Value: []byte("x")},
				},
				body: []byte("22.5 °C & <more>"), rtt: 1500 * time.Microsecond, retransmissions: 2,
			},
			`"code":"2.05","code_name":"Content","options":[{"number":4,"name":"ETag","value":"00ff"},` +
				`{"number":5,"name":"If-None-Match","value":""},{"number":8,"name":"Location-Path","value":"é<"},` +
				`{"number":8,"name":"Location-Path","value":"ff"},{"number":12,"name":"Content-Format","value":0},` +
				`{"number":14,"name":"Max-Age","value":4294967295},{"number":28,"name":"Size2","value":"0102030405"},` +
				`{"number":65001,"name":"65001","value":"78"}],"payload":"22.5 °C & <more>","rtt_ms":1.5,"retransmissions":2}`,
		},
		{
			"bytes", response{code: message.NotFound, body: []byte{0xff, 0}},
			`"code":"4.04","code_name":"Not Found","options":[],"payload":"/wA=","payload_base64":true,"rtt_ms":0,"retransmissions":0}`,
		},
		{
			"no payload, unassigned code", response{code: message.MakeCode(2, 30)},
			`"code":"2.30","code_name":"","options":[],"payload":"","rtt_ms":0,"retransmissions":0}`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.r.at, tt.r.kind = at, message.Acknowledgement
			tt.r.peer = netip.MustParseAddrPort("[2001:db8::1]:5683")
			var b bytes.Buffer
			if err := tt.r.writeJSON(&b); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(head+tt.want+"\n", b.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
