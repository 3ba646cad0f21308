package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/motewire/coap/cmd/coap/overhttp"
	"github.com/motewire/coap/message"
)

// exchangeFlags say what a request and its response are.
type exchangeFlags struct {
	method      string
	non         bool
	text        textValue
	format      formatValue
	accept      formatValue
	options     []message.Option
	tokenLength tokenLengthValue

	answer       textValue
	answerFormat formatValue
	answerCode   codeValue
	separate     bool
	observe      bool
}

func (f *exchangeFlags) define(s *pflag.FlagSet) {
	f.tokenLength = message.MaxTokenLength
	s.StringVarP(&f.method, "method", "m", "get", "`METHOD` of the request")
	s.VarP(&f.text, "payload", "e", "payload of the request")
	s.VarP(&f.format, "content-format", "t", "its Content-Format")
	s.VarP(&f.accept, "accept", "A", "Accept of the request")
	s.VarP((*optionsValue)(&f.options), "option", "O", "an option of the request; 0x… is hex; may be repeated")
	s.BoolVarP(&f.non, "non", "N", false, "non-confirmable messages")
	s.Var(&f.tokenLength, "token-length", "length of the token")
	s.Var(&f.answer, "answer", "payload of the response")
	s.Var(&f.answerFormat, "answer-format", "its Content-Format")
	s.Var(&f.answerCode, "answer-code", "response code (default: the usual one of the method)")
	s.BoolVar(&f.separate, "separate", false, "the response comes in a message of its own")
	s.BoolVar(&f.observe, "observe", false, "reckon one notification; HTTP polls")
}

// A costExchange is the messages of an exchange, and what takes their place with HTTP.
type costExchange struct {
	messages                  []costMessage
	httpRequest, httpResponse []byte
}

type costMessage struct {
	what       string
	fromClient bool
	raw        []byte
}

// costEpoch is the date in HTTP responses: all dates are equally long.
var costEpoch = time.Unix(0, 0)

// encode makes the messages of the exchange.
func (f *exchangeFlags) encode(uri string) (*costExchange, error) {
	request, err := f.request(uri)
	if err != nil {
		return nil, err
	}
	answer, err := f.response(request)
	if err != nil {
		return nil, err
	}
	for _, v := range []*message.View{request, answer} {
		if len(v.Payload()) > 1024 {
			return nil, usageErrorf("a payload of %d bytes goes in blocks, which are not reckoned; say one of 1024 at most", len(v.Payload()))
		}
	}
	u, err := parseURI(uri)
	if err != nil {
		return nil, err
	}
	x := &costExchange{messages: f.sequence(request, answer)}
	if x.httpRequest, err = overhttp.Request(request, httpHost(u)); err != nil {
		return nil, usageErrorf("as HTTP: %w", err)
	}
	x.httpResponse, err = overhttp.Response(answer, costEpoch)
	return x, err
}

// httpHost is the value of Host: without the port where that is the scheme's own.
func httpHost(u message.URI) string {
	host := hostOf(u)
	if u.Port == defaultPort {
		return strings.TrimSuffix(host, fmt.Sprintf(":%d", defaultPort))
	}
	return host
}

// request encodes the request.
func (f *exchangeFlags) request(uri string) (*message.View, error) {
	r := requestFlags{nonConfirmable: f.non, contentFormat: f.format, accept: f.accept, options: f.options}
	token, err := message.MakeToken(bytes.Repeat([]byte{0xa5}, int(f.tokenLength)))
	if err != nil {
		return nil, err
	}
	r.token = tokenValue{set: true, token: token}
	req := request{requestFlags: r, uri: uri, payload: []byte(f.text.text), sorted: r.sortedOptions()}
	for _, m := range requestMethods {
		if strings.EqualFold(f.method, m.name) {
			req.code = m.code
		}
	}
	if req.code == 0 {
		return nil, usageErrorf("-m %s: say get, put, post, delete, fetch, patch or ipatch", f.method)
	}
	built, err := req.build()
	if err != nil {
		return nil, err
	}
	raw, err := built.AppendBinary(nil)
	if err != nil {
		return nil, usageErrorf("%s", libraryText(err))
	}
	return viewOf(raw)
}

// response encodes the response, piggybacked unless flags say otherwise.
func (f *exchangeFlags) response(request *message.View) (*message.View, error) {
	m := message.Message{Type: message.Acknowledgement, Code: message.Code(f.answerCode), Token: request.Token(), Payload: []byte(f.answer.text)}
	if f.non {
		m.Type = message.NonConfirmable
	} else if f.separate || f.observe {
		m.Type = message.Confirmable
	}
	if m.Code == 0 {
		m.Code = map[message.Code]message.Code{
			message.GET: message.Content, message.FETCH: message.Content, message.DELETE: message.Deleted,
		}[request.Code()]
	}
	if m.Code == 0 {
		m.Code = message.Changed
	}
	if f.observe {
		m.Options = append(m.Options, uintOption(message.Observe, 1<<16)) // three bytes, as nearly all numbers take
	}
	if f.answerFormat.set {
		m.Options = append(m.Options, uintOption(message.ContentFormat, uint32(f.answerFormat.format)))
	}
	raw, err := m.MarshalBinary()
	if err != nil {
		return nil, usageErrorf("%s", libraryText(err))
	}
	return viewOf(raw)
}

func viewOf(raw []byte) (*message.View, error) {
	v := new(message.View)
	return v, v.Parse(raw)
}

// sequence returns the messages in their order, with the Empty ones between them.
func (f *exchangeFlags) sequence(request, answer *message.View) []costMessage {
	ack := func(fromClient bool) costMessage {
		return costMessage{"ACK Empty", fromClient, []byte{0x60, 0, 0, 0}}
	}
	var all []costMessage
	if !f.observe {
		all = append(all, costMessage{oneLineOf(request), true, request.Datagram()})
		if f.separate && !f.non {
			all = append(all, ack(false))
		}
	}
	all = append(all, costMessage{oneLineOf(answer), false, answer.Datagram()})
	if answer.Type() == message.Confirmable {
		all = append(all, ack(true))
	}
	return all
}

func oneLineOf(v *message.View) string {
	name := v.Code().Name()
	if !v.Code().IsRequest() {
		name = v.Code().String() + " " + name
	}
	return v.Type().String() + " " + name
}

// describe prints what each message consists of.
func (x *costExchange) describe(w io.Writer) {
	sum := 0
	for _, m := range x.messages {
		sum += len(m.raw)
		fmt.Fprintf(w, "%-18s %5d B = %s\n", m.what, len(m.raw), anatomy(m.raw))
	}
	fmt.Fprintf(w, "%-18s %5d B\n", "CoAP", sum)
	fmt.Fprintf(w, "%-18s %5d B = %d request + %d response\n", "HTTP/1.1", len(x.httpRequest)+len(x.httpResponse), len(x.httpRequest), len(x.httpResponse))
}

// anatomy adds up the parts of a message.
func anatomy(raw []byte) string {
	var sizes [unreadPart + 1]int
	for _, f := range fieldsOf(raw) {
		sizes[f.part] += f.end - f.start
	}
	text := fmt.Sprintf("%d header", sizes[headerPart])
	for _, part := range []struct {
		size int
		name string
	}{
		{sizes[tokenPart], "token"}, {sizes[optionHeadPart] + sizes[optionPart], "options"},
		{sizes[markerPart], "marker"}, {sizes[payloadPart], "payload"},
	} {
		if part.size > 0 {
			text += fmt.Sprintf(" + %d %s", part.size, part.name)
		}
	}
	return text
}
