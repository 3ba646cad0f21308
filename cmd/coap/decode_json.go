package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/motewire/coap/message"
)

// A rowHead begins each object of decode --json. Times and endpoints are known for
// captures alone.
type rowHead struct {
	Frame int         `json:"frame"`
	Time  json.Number `json:"time,omitempty"` // seconds since the first frame
	Proto string      `json:"proto"`
	*rowEndpoints
	Raw string `json:"raw"` // hex of the whole message, as all hex here
}

type rowEndpoints struct {
	Src   string `json:"src"`
	Sport uint16 `json:"sport"`
	Dst   string `json:"dst"`
	Dport uint16 `json:"dport"`
}

// A messageRow is a message.
type messageRow struct {
	rowHead
	messageFields
}

type messageFields struct {
	Version int          `json:"version"`
	Type    message.Type `json:"type"`
	Code    string       `json:"code"` // c.dd
	ID      message.ID   `json:"mid"`
	Token   string       `json:"token"`
	Options []optionPair `json:"options"` // in wire order
	Payload *string      `json:"payload"` // null without payload marker
}

// A malformedRow is a datagram that no endpoint takes for a message. The fields of a
// message follow where it has them, and its code or type alone are at fault.
type malformedRow struct {
	rowHead
	Error  string `json:"error"`
	Offset int    `json:"offset"` // byte at which the rule is broken
	*messageFields
}

// An optionPair is written as [number, hex].
type optionPair struct {
	number message.OptionNumber
	value  []byte
}

// MarshalJSON returns the pair as an array.
func (o optionPair) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, "[%d,%q]", o.number, hex.EncodeToString(o.value)), nil
}

// writeJSON prints a datagram as one object on one line.
func writeJSON(w io.Writer, d datagram, m *dissection) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	head := newRowHead(d)
	if m.malformed == nil {
		return e.Encode(messageRow{head, newMessageFields(m)})
	}
	row := malformedRow{rowHead: head, Error: ruleText(m.malformed), Offset: m.malformed.Offset}
	if m.laidOut {
		fields := newMessageFields(m)
		row.messageFields = &fields
	}
	return e.Encode(row)
}

func newRowHead(d datagram) rowHead {
	head := rowHead{Frame: d.frame, Proto: "udp", Raw: hex.EncodeToString(d.raw)}
	if d.captured {
		head.Time = json.Number(seconds(d.at))
		head.rowEndpoints = &rowEndpoints{
			d.from.Addr().String(), d.from.Port(),
			d.to.Addr().String(), d.to.Port(),
		}
	}
	return head
}

func newMessageFields(m *dissection) messageFields {
	v := &m.view
	row := messageFields{
		Version: 1,
		Type:    m.kind,
		Code:    m.code.String(),
		ID:      v.ID(),
		Token:   v.Token().String(),
		Options: []optionPair{},
	}
	for n, value := range v.Options() {
		row.Options = append(row.Options, optionPair{n, value})
	}
	if p := v.Payload(); p != nil {
		payload := hex.EncodeToString(p)
		row.Payload = &payload
	}
	return row
}

// seconds writes a duration as decimal seconds, exactly: six digits at least, nine
// where it has them.
func seconds(d time.Duration) string {
	sign := ""
	if d < 0 {
		sign, d = "-", -d
	}
	s := fmt.Sprintf("%s%d.%09d", sign, d/time.Second, d%time.Second)
	return strings.TrimSuffix(s, "000")
}
