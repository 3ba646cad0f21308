package plugtest

import (
	"github.com/motewire/coap"
	"github.com/motewire/coap/linkformat"
	"github.com/motewire/coap/message"
)

// addLinked adds the resources that discovery and content negotiation are tried on.
func (s *Server) addLinked(m *coap.Mux) {
	link := func(path, content, types, interfaces string) {
		m.HandleFunc("GET "+path, fixed(message.TextPlain, content),
			always(text, coap.ResourceType(types), coap.Interface(interfaces))...)
	}
	link("/link1", "Link 1", "Type1 Type2", "If1")
	link("/link2", "Link 2", "Type2 Type3", "If2")
	link("/link3", "Link 3", "Type1 Type3", "foo")

	subs := []linkformat.Link{{Target: "/path/sub1"}, {Target: "/path/sub2"}, {Target: "/path/sub3"}}
	list := string(linkformat.Append(nil, subs...))
	m.HandleFunc("GET /path", fixed(message.AppLinkFormat, list), always(coap.Produces(message.AppLinkFormat))...)
	for _, sub := range subs {
		m.HandleFunc("GET "+sub.Target, fixed(message.TextPlain, sub.Target), always(text)...)
	}
	m.HandleFunc("GET /multi-format", multiFormat, always(coap.Produces(
		message.TextPlain, message.AppXML, message.AppJSON, message.AppCBOR))...)
}

// fixed returns a handler with a representation that never changes.
func fixed(format message.Format, content string) func(coap.ResponseWriter, *coap.Request) {
	return func(w coap.ResponseWriter, _ *coap.Request) {
		w.SetContentFormat(format)
		w.WriteString(content)
	}
}

// greetings are the representations of /multi-format: one text in every format.
var greetings = map[message.Format]string{
	message.TextPlain: "hello",
	message.AppXML:    `<msg content="hello"/>`,
	message.AppJSON:   `{"msg":"hello"}`,
	message.AppCBOR:   "\xa1\x63msg\x65hello", // RFC 8949 §3.1: a map of one pair
}

func multiFormat(w coap.ResponseWriter, r *coap.Request) {
	format, _ := r.Message().Accept() // without: 0, text/plain
	w.SetContentFormat(format)
	w.WriteString(greetings[format])
}
