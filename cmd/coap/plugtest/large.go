package plugtest

import (
	"fmt"
	"strings"

	"github.com/motewire/coap"
	"github.com/motewire/coap/linkformat"
	"github.com/motewire/coap/message"
)

// large is a representation of 1,280 bytes: more than fits into a block.
var large = entity{body: []byte(largeText()), format: message.TextPlain}

func largeText() string {
	const blocks = 5
	edge := strings.Repeat("-", 61)
	var b strings.Builder
	for n := 1; n <= blocks; n++ {
		fmt.Fprintf(&b, "/%s\\\n", edge)
		fmt.Fprintf(&b, "|                 RESOURCE BLOCK NO. %d OF %d                   |\n", n, blocks)
		b.WriteString("|               [each line contains 64 bytes]                 |\n")
		fmt.Fprintf(&b, "\\%s/\n", edge)
	}
	return b.String()
}

// block is the resource type of what is transferred in blocks (RFC 7959).
var block = coap.ResourceType("block")

func (s *Server) addLarge(m *coap.Mux) {
	unchanging := []coap.RouteOption{text, block, coap.Size(len(large.body)), coap.BodyLimit(maxBody),
		coap.Validate(func(*coap.Request) ([]byte, bool) { return large.tag().Append(nil), true })}
	m.HandleFunc("GET /large", getLarge, unchanging...)
	m.HandleFunc("GET /large-separate", getLargeSeparate, unchanging...)
	s.largeUpdate.add(m, "/large-update", block, coap.Links(s.linkLargeUpdate))
	m.HandleFunc("POST /large-post", capitals, always(text, block, coap.RequireFormat(), coap.Consumes(message.TextPlain))...)
	s.largeCreate.add(m)
}

func getLarge(w coap.ResponseWriter, _ *coap.Request) {
	w.SetETag(large.tag().Append(nil))
	large.write(w)
}

// getLargeSeparate answers late. Blocks behind the first are there by then.
func getLargeSeparate(w coap.ResponseWriter, r *coap.Request) {
	if delay, ok := delayOf(w, r); ok {
		getLarge(w, r)
		sendAfter(w, delay)
	}
}

// linkLargeUpdate tells discovery how long the representation is now.
func (s *Server) linkLargeUpdate() []linkformat.Link {
	size := fmt.Sprint(s.largeUpdate.size())
	return []linkformat.Link{{Target: "/large-update", Attributes: []linkformat.Attribute{{Name: "sz", Value: size}}}}
}

// capitals answers with the request's body in upper case, as far as it is ASCII.
func capitals(w coap.ResponseWriter, r *coap.Request) {
	w.SetContentFormat(message.TextPlain)
	body := make([]byte, len(r.Payload()))
	for i, c := range r.Payload() {
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		body[i] = c
	}
	w.Write(body)
}
