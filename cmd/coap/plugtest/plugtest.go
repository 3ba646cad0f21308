// Package plugtest serves the resources that plugtest clients expect, those of Californium
// among them:
//
//	/test /seg1 /seg1/seg2 /seg1/seg2/seg3 /query /empty /options /location-query
//	/counter /echo /link1 /link2 /link3 /path /path/sub1../path/sub3 /multi-format
//	/separate       answers after an Empty Acknowledgement (RFC 7252 §5.2.2)
//	/validate       has ETags and preconditions (RFC 7252 §5.10.6, §5.10.8)
//	/create1        comes and goes
//	/fetch          takes FETCH, PATCH and iPATCH (RFC 8132)
//	/large /large-update /large-create /large-post /large-separate
//	                are transferred in blocks (RFC 7959)
//	/obs /obs-non /obs-large
//	                change every 2 s and can be observed (RFC 7641)
//	/obs-reset      ends all observations
package plugtest

import (
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/message"
)

// maxBody is the longest body of a request in bytes. A longer one gets 4.13.
const maxBody = 8192

// A Server is the state of the resources, shared by all clients. It is safe for
// concurrent use.
type Server struct {
	counter     atomic.Int64
	validate    stored
	create      created
	fetch       listed
	largeUpdate stored
	largeCreate children
	clocks      [3]*clock // /obs, /obs-non and /obs-large
}

// New returns the resources in their first state. Those that can be observed change by
// themselves with [Server.Run] alone.
func New() *Server {
	s := &Server{clocks: newClocks(time.Now())}
	s.validate.initial = entity{body: []byte("Validate me"), format: message.TextPlain}
	s.validate.reset()
	s.fetch.doc = document{{"a", "1"}, {"b", "2"}}
	s.largeUpdate.initial = large
	s.largeUpdate.reset()
	return s
}

// Mux returns the resources.
func (s *Server) Mux() *coap.Mux {
	m := coap.NewMux()
	s.addPlain(m)
	s.addLinked(m)
	s.addSeparate(m)
	s.validate.add(m, "/validate")
	s.validate.addDelete(m, "/validate")
	s.create.add(m)
	s.fetch.add(m)
	s.addLarge(m)
	s.addClocks(m)
	return m
}

// exists declares that a resource is always there and has no ETag (RFC 7252 §5.10.8).
func exists(*coap.Request) ([]byte, bool) { return nil, true }

// always are the declarations of a resource that is always there, with those of its own.
func always(own ...coap.RouteOption) []coap.RouteOption {
	return append(own, coap.Validate(exists), coap.BodyLimit(maxBody))
}

// text declares a resource of format 0.
var text = coap.Produces(message.TextPlain)

func writeText(w coap.ResponseWriter, text string) {
	w.SetContentFormat(message.TextPlain)
	w.WriteString(text)
}

// diagnostic describes a request's header in lines, without its token where that is empty.
func diagnostic(v *message.View) string {
	token := ""
	if v.Token().Len() > 0 {
		token = fmt.Sprintf("\nToken: %x", v.Token().Append(nil))
	}
	return header(v) + token
}

// header describes a request's type, code and message ID in lines.
func header(v *message.View) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Type: %d (%v)\n", uint8(v.Type()), v.Type())
	fmt.Fprintf(&b, "Code: %d (%s)\n", uint8(v.Code()), v.Code().Name())
	fmt.Fprintf(&b, "MID: %d", v.ID())
	return b.String()
}
