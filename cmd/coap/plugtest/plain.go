package plugtest

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/message"
)

// maxEcho is the longest response that /echo can be asked for, in bytes.
const maxEcho = 8192

func (s *Server) addPlain(m *coap.Mux) {
	m.HandleFunc("GET /test", getTest, always(text, coap.Title("Test"))...)
	m.HandleFunc("POST /test", postTest, always(text)...)
	m.HandleFunc("PUT /test", nothing, always(text)...)
	m.HandleFunc("DELETE /test", nothing, always(text)...)
	m.HandleFunc("GET /seg1", longPath, always(text, coap.Title("Long path"))...)
	m.HandleFunc("GET /seg1/seg2", longPath, always(text)...)
	m.HandleFunc("GET /seg1/seg2/seg3", longPath, always(text)...)
	m.HandleFunc("GET /query", query, always(text, coap.Title("Query"))...)
	m.HandleFunc("GET /empty", empty, always()...)
	m.HandleFunc("GET /options", options, always(text)...)
	m.HandleFunc("POST /location-query", locationQuery, always()...)
	m.HandleFunc("GET /counter", s.getCounter, always(text)...)
	m.HandleFunc("POST /counter", s.postCounter, always(text)...)
	m.HandleFunc("PUT /counter", s.putCounter, always(text)...)
	m.HandleFunc("POST /echo", echo, always()...)
}

func getTest(w coap.ResponseWriter, r *coap.Request) {
	w.SetMaxAge(30 * time.Second)
	writeText(w, diagnostic(r.Message())) // 62 characters at most
}

func postTest(w coap.ResponseWriter, _ *coap.Request) {
	w.SetCode(message.Created)
	w.SetLocation("/location1/location2/location3")
}

// nothing answers with the usual code of the method and does no more.
func nothing(coap.ResponseWriter, *coap.Request) {}

func longPath(w coap.ResponseWriter, r *coap.Request) {
	writeText(w, "Long path resource\n"+diagnostic(r.Message()))
}

func query(w coap.ResponseWriter, r *coap.Request) {
	var queries []string
	for q := range r.Queries() {
		queries = append(queries, string(q))
	}
	writeText(w, header(r.Message())+"\n?"+strings.Join(queries, "&"))
}

// empty has a representation without content, which no Content-Format describes: what
// Accept asks for it can't be.
func empty(w coap.ResponseWriter, r *coap.Request) {
	if r.Message().Has(message.Accept) {
		w.SetCode(message.NotAcceptable)
	}
}

func options(w coap.ResponseWriter, r *coap.Request) {
	var b strings.Builder
	for number, value := range r.Message().Options() {
		fmt.Fprintf(&b, "%d %x\n", uint16(number), value)
	}
	writeText(w, b.String())
}

func locationQuery(w coap.ResponseWriter, _ *coap.Request) {
	w.SetCode(message.Created)
	w.SetLocation("?first=1&second=2")
}

func (s *Server) getCounter(w coap.ResponseWriter, _ *coap.Request) {
	writeText(w, strconv.FormatInt(s.counter.Load(), 10))
}

func (s *Server) postCounter(w coap.ResponseWriter, _ *coap.Request) {
	writeText(w, strconv.FormatInt(s.counter.Add(1), 10))
}

func (s *Server) putCounter(w coap.ResponseWriter, r *coap.Request) {
	value, err := strconv.ParseInt(strings.TrimSpace(string(r.Payload())), 10, 64)
	if err != nil {
		coap.Error(w, message.BadRequest, "counter: not a number")
		return
	}
	s.counter.Store(value)
}

// echo returns the request's body, cut or padded to the length that rlen asks for.
func echo(w coap.ResponseWriter, r *coap.Request) {
	format, ok := r.ContentFormat()
	if !ok {
		format = message.OctetStream
	}
	if accept, ok := r.Message().Accept(); ok && accept != format {
		w.SetCode(message.NotAcceptable)
		return
	}
	body := r.Payload()
	if rlen, ok := r.LookupQuery("rlen"); ok {
		n, err := strconv.ParseUint(rlen, 10, 16)
		if err != nil || n > maxEcho {
			coap.Error(w, message.BadRequest, fmt.Sprintf("rlen is not 0 to %d", maxEcho))
			return
		}
		body = resize(body, int(n))
	}
	w.SetContentFormat(format)
	w.Write(body)
}

// resize returns b, or a copy, with n bytes.
func resize(b []byte, n int) []byte {
	if n <= len(b) {
		return b[:n]
	}
	return append(bytes.Clone(b), bytes.Repeat([]byte("*"), n-len(b))...)
}
