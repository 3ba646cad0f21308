package plugtest

import (
	"fmt"
	"strconv"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/message"
)

// The delay of a separate response, and the longest one that a query can ask for.
const (
	usualDelay = time.Second
	maxDelay   = 10 * time.Second
)

func (s *Server) addSeparate(m *coap.Mux) {
	m.HandleFunc("GET /separate", s.getSeparate, always(text, coap.Title("Separate"))...)
	m.HandleFunc("POST /separate", s.postSeparate, always(text)...)
}

func (s *Server) getSeparate(w coap.ResponseWriter, r *coap.Request) {
	if delay, ok := delayOf(w, r); ok {
		writeText(w, diagnostic(r.Message()))
		sendAfter(w, delay)
	}
}

func (s *Server) postSeparate(w coap.ResponseWriter, r *coap.Request) {
	if delay, ok := delayOf(w, r); ok {
		s.postCounter(w, r)
		sendAfter(w, delay)
	}
}

// delayOf returns the delay that a request asks for. Where that makes no sense it writes
// the response and reports false.
func delayOf(w coap.ResponseWriter, r *coap.Request) (time.Duration, bool) {
	value, ok := r.LookupQuery("delay")
	if !ok {
		return usualDelay, true
	}
	ms, err := strconv.ParseUint(value, 10, 32)
	delay := time.Duration(ms) * time.Millisecond
	if err != nil || delay > maxDelay {
		coap.Error(w, message.BadRequest, fmt.Sprintf("delay is not 0 to %d milliseconds", maxDelay.Milliseconds()))
		return 0, false
	}
	return delay, true
}

// sendAfter acknowledges the request and sends what has been written after the delay
// (RFC 7252 §5.2.2).
func sendAfter(w coap.ResponseWriter, delay time.Duration) {
	later := w.Detach()
	time.AfterFunc(delay, func() {
		_ = later.Send() // the server may be closed by now
	})
}
