package coap_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/coaptest"
	"github.com/motewire/coap/message"
)

// A capturedExchange is a request of another client, and what another server answered.
type capturedExchange struct {
	frame             int
	port              uint16 // of the client
	request, response *message.View
}

// capturedExchanges pairs the requests of a capture with their first responses.
func capturedExchanges(t *testing.T, scenario string) (all []*capturedExchange) {
	t.Helper()
	for _, line := range corpusLines(t, "testdata/captures/"+scenario+"-*.jsonl") {
		var row struct {
			Frame        int
			Raw          string
			Sport, Dport uint16
		}
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatal(err)
		}
		v := new(message.View)
		if err := v.Parse(unhex(t, row.Raw)); err != nil {
			t.Fatal(err)
		}
		if v.Code().IsRequest() {
			all = append(all, &capturedExchange{row.Frame, row.Sport, v, nil})
			continue
		}
		for _, x := range all {
			same := x.request.ID() == v.ID() || x.request.Type() == message.NonConfirmable && v.Type() == message.NonConfirmable
			if x.port == row.Dport && x.response == nil && same && x.request.Token() == v.Token() {
				x.response = v
			}
		}
	}
	return all
}

// bodyFrom returns the body of the response that begins with exchange i, and one byte more
// where the client did not fetch all of it.
func bodyFrom(all []*capturedExchange, i int) []byte {
	first := all[i]
	body := bytes.Clone(first.response.Payload())
	b, _ := first.response.Block2()
	for _, x := range all[i+1:] {
		if x.port != first.port || !b.More {
			continue
		}
		next, ok := x.response.Block2()
		if !ok || next.Offset() != len(body) {
			break
		}
		body, b = append(body, x.response.Payload()...), next
	}
	if b.More {
		body = append(body, 0)
	}
	return body
}

// begins reports whether a request is the first of its transfer.
func (x *capturedExchange) begins() bool {
	b1, _ := x.request.Block1()
	b2, _ := x.request.Block2()
	return b1.Num == 0 && b2.Num == 0
}

// The requests of other clients get from a whole server what they got from theirs, block by
// block: code, Block1, Block2 and payload. What is listed apart gets another code: a download
// may begin at any block and change its block size, and a handler without a Mux refuses a
// method when it has the whole body.
func TestCapturedBlocks(t *testing.T) {
	for _, c := range []struct {
		scenario string
		block    int // that the server preferred
		apart    map[int]message.Code
	}{
		{"s11", 1024, map[int]message.Code{111: message.Content}},
		{"s12", 512, nil},
		{"s13", 256, nil},
		{"s14", 1024, map[int]message.Code{43: message.Continue}},
		{"s36", 1024, map[int]message.Code{83: message.Content, 107: message.Content}},
	} {
		t.Run(c.scenario, func(t *testing.T) {
			var code message.Code
			var body []byte
			h := coap.HandlerFunc(func(w coap.ResponseWriter, _ *coap.Request) { w.SetCode(code); w.Write(body) })
			setup := func(s *coaptest.Server) { s.Config.Limits.BlockBytes = c.block }
			withServer(t, h, setup, func(t *testing.T, s *coaptest.Server) {
				all := capturedExchanges(t, c.scenario)
				peers := map[uint16]*rawPeer{}
				for i, x := range all {
					p := peers[x.port]
					if p == nil {
						p = newRawPeer(t, s)
						peers[x.port] = p
					}
					if b1, _ := x.request.Block1(); x.begins() || b1.Num > 0 && !b1.More {
						code, body = x.response.Code(), bodyFrom(all, i)
					}
					p.send(x.request.Datagram())
					v := p.receive(time.Second)
					if want, apart := c.apart[x.frame]; apart {
						if v.Code() != want {
							t.Errorf("frame %d: %v, want %v", x.frame, v, want)
						}
						continue
					}
					x.compare(t, v)
				}
			})
		})
	}
}

// compare checks our response against theirs. libcoap repeats Block1 with later blocks of a
// response.
func (x *capturedExchange) compare(t *testing.T, v *message.View) {
	t.Helper()
	our1, has1 := v.Block1()
	their1, had1 := x.response.Block1()
	if !x.request.Has(message.Block1) {
		their1, had1 = message.Block{}, false
	}
	our2, has2 := v.Block2()
	their2, had2 := x.response.Block2()
	if v.Code() != x.response.Code() || has1 != had1 || our1 != their1 || has2 != had2 || our2 != their2 ||
		!bytes.Equal(v.Payload(), x.response.Payload()) {
		t.Errorf("frame %d: %v\nours   %v %d bytes\ntheirs %v %d bytes", x.frame, x.request, v, len(v.Payload()), x.response, len(x.response.Payload()))
	}
}
