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
	blockSize   blockValue // of bodies in either direction
	size        uint       // of the body that the method is for, in place of a text; 0: none

	answer       textValue
	answerFormat formatValue
	answerCode   codeValue
	separate     bool
	observe      bool
}

func (f *exchangeFlags) define(s *pflag.FlagSet) {
	f.tokenLength = message.MaxTokenLength
	f.blockSize = blockValue{set: true, szx: message.MaxSZX}
	s.StringVarP(&f.method, "method", "m", "get", "`METHOD` of the request")
	s.VarP(&f.text, "payload", "e", "payload of the request")
	s.VarP(&f.format, "content-format", "t", "its Content-Format")
	s.VarP(&f.accept, "accept", "A", "Accept of the request")
	s.VarP((*optionsValue)(&f.options), "option", "O", "an option of the request; 0x… is hex; may be repeated")
	s.BoolVarP(&f.non, "non", "N", false, "non-confirmable messages")
	s.VarP(&f.blockSize, "block", "b", "a longer body goes in blocks of `SIZE`, either way")
	s.UintVar(&f.size, "size", 0, "`BYTES` of body instead: of the request, of get and fetch the response")
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
	answer := f.response(request)
	if err := f.addBody(request, answer); err != nil {
		return nil, err
	}
	u, err := parseURI(uri)
	if err != nil {
		return nil, err
	}
	x := &costExchange{}
	if x.messages, err = f.sequence(f.pairs(request, answer)); err != nil {
		return nil, err
	}
	whole, err := viewsOf(request, answer)
	if err != nil {
		return nil, err
	}
	if x.httpRequest, err = overhttp.Request(whole[0], httpHost(u)); err != nil {
		return nil, usageErrorf("as HTTP: %w", err)
	}
	x.httpResponse, err = overhttp.Response(whole[1], costEpoch)
	return x, err
}

// addBody gives request and response their bodies.
func (f *exchangeFlags) addBody(request, answer *message.Message) error {
	if f.size > maxCostBody {
		return usageErrorf("--size %d: say %d at most", f.size, maxCostBody)
	}
	request.Payload, answer.Payload = []byte(f.text.text), []byte(f.answer.text)
	if body := bytes.Repeat([]byte{'x'}, int(f.size)); len(body) > 0 {
		of, flag := &request.Payload, "-e"
		if request.Code == message.GET || request.Code == message.FETCH {
			of, flag = &answer.Payload, "--answer"
		}
		if len(*of) > 0 {
			return usageErrorf("%s and --size: say one of them", flag)
		}
		*of = body
	}
	return f.checkBodies(request.Payload, answer.Payload)
}

// httpHost is the value of Host: without the port where that is the scheme's own.
func httpHost(u message.URI) string {
	host := hostOf(u)
	if u.Port == defaultPort {
		return strings.TrimSuffix(host, fmt.Sprintf(":%d", defaultPort))
	}
	return host
}

// request returns the request without its body.
func (f *exchangeFlags) request(uri string) (*message.Message, error) {
	r := requestFlags{nonConfirmable: f.non, contentFormat: f.format, accept: f.accept, options: f.options}
	token, err := message.MakeToken(bytes.Repeat([]byte{0xa5}, int(f.tokenLength)))
	if err != nil {
		return nil, err
	}
	r.token = tokenValue{set: true, token: token}
	req := request{requestFlags: r, uri: uri, sorted: r.sortedOptions()}
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
	m := new(message.Message)
	raw, err := built.AppendBinary(nil)
	if err == nil {
		err = m.UnmarshalBinary(raw)
	}
	if err != nil {
		return nil, usageErrorf("%s", libraryText(err))
	}
	return m, nil
}

// response returns the response without its body, piggybacked unless flags say otherwise.
func (f *exchangeFlags) response(request *message.Message) *message.Message {
	m := &message.Message{Type: message.Acknowledgement, Code: message.Code(f.answerCode), Token: request.Token}
	if f.non {
		m.Type = message.NonConfirmable
	} else if f.separate || f.observe {
		m.Type = message.Confirmable
	}
	if m.Code == 0 {
		m.Code = map[message.Code]message.Code{
			message.GET: message.Content, message.FETCH: message.Content, message.DELETE: message.Deleted,
		}[request.Code]
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
	return m
}

// viewsOf encodes messages.
func viewsOf(messages ...*message.Message) ([]*message.View, error) {
	var all []*message.View
	for _, m := range messages {
		raw, err := m.MarshalBinary()
		v := new(message.View)
		if err == nil {
			err = v.Parse(raw)
		}
		if err != nil {
			return nil, usageErrorf("%s", libraryText(err))
		}
		all = append(all, v)
	}
	return all, nil
}

// sequence returns the messages in their order, with the Empty ones between them.
func (f *exchangeFlags) sequence(pairs []costPair) ([]costMessage, error) {
	ack := func(fromClient bool) costMessage {
		return costMessage{"ACK Empty", fromClient, []byte{0x60, 0, 0, 0}}
	}
	var all []costMessage
	for _, p := range pairs {
		if p.request != nil {
			sent, err := viewsOf(p.request)
			if err != nil {
				return nil, err
			}
			all = append(all, costMessage{oneLineOf(sent[0]), true, sent[0].Datagram()})
			if p.answer.Type == message.Confirmable {
				all = append(all, ack(false))
			}
		}
		answer, err := viewsOf(p.answer)
		if err != nil {
			return nil, err
		}
		all = append(all, costMessage{oneLineOf(answer[0]), false, answer[0].Datagram()})
		if p.answer.Type == message.Confirmable {
			all = append(all, ack(true))
		}
	}
	return all, nil
}

func oneLineOf(v *message.View) string {
	name := v.Code().Name()
	if !v.Code().IsRequest() {
		name = v.Code().String() + " " + name
	}
	return v.Type().String() + " " + name
}

// describe prints what each message consists of, those that are alike once.
func (x *costExchange) describe(w io.Writer) {
	sum := 0
	var lines []string
	times := map[string]int{}
	for _, m := range x.messages {
		sum += len(m.raw)
		line := fmt.Sprintf("%-18s %5d B = %s", m.what, len(m.raw), anatomy(m.raw))
		if times[line]++; times[line] == 1 {
			lines = append(lines, line)
		}
	}
	for _, line := range lines {
		if n := times[line]; n > 1 {
			line += fmt.Sprintf(", %d times", n)
		}
		fmt.Fprintln(w, line)
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
