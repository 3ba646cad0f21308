package coaptest

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/message"
)

// A Recorder is a [coap.ResponseWriter] that keeps what a handler says:
//
//	rec := coaptest.NewRecorder()
//	handler.ServeCoAP(rec, coaptest.NewRequest(message.GET, "/lamp", coap.Body{}))
//	resp := rec.Result()
//
// What a server makes of a finished response (2.03 for an ETag that the client has, 4.06
// for a format it did not ask for, suppression by No-Response, 5.00 after a panic) is
// not the handler's and not recorded: for that there is [Server].
type Recorder struct {
	// Method is the request's method, which decides what the silence of a handler
	// means; zero is GET.
	Method message.Code

	code    message.Code // 0: not set
	options []message.Option
	payload []byte
	sent    chan struct{} // closed by Send; nil: not detached
}

var _ coap.Responder = (*Recorder)(nil)

// NewRecorder returns a Recorder for a GET.
func NewRecorder() *Recorder { return new(Recorder) }

// SetCode sets the response code. A code that is no response code panics.
func (r *Recorder) SetCode(code message.Code) {
	if !code.IsResponse() {
		panic("coaptest: SetCode(" + code.String() + "): not a response code")
	}
	r.code = code
}

// SetContentFormat says what the payload is (RFC 7252 §5.10.3).
func (r *Recorder) SetContentFormat(format message.Format) {
	r.setUint(message.ContentFormat, uint32(format))
}

// SetETag labels the representation. A length that is not 1 to 8 bytes panics.
func (r *Recorder) SetETag(tag []byte) {
	if len(tag) < 1 || len(tag) > 8 {
		panic("coaptest: SetETag: an ETag has 1 to 8 bytes")
	}
	r.remove(message.ETag)
	r.AddOption(message.ETag, tag)
}

// SetMaxAge says how long the response is fresh, in whole seconds (RFC 7252 §5.10.5).
func (r *Recorder) SetMaxAge(age time.Duration) {
	r.setUint(message.MaxAge, uint32(min(max(age/time.Second, 0), math.MaxUint32)))
}

// SetLocation names the resource that was created (RFC 7252 §5.10.7).
func (r *Recorder) SetLocation(path string) {
	r.remove(message.LocationPath)
	r.remove(message.LocationQuery)
	path, query, found := strings.Cut(path, "?")
	if path = strings.TrimPrefix(path, "/"); path != "" {
		for segment := range strings.SplitSeq(path, "/") {
			r.AddOption(message.LocationPath, []byte(segment))
		}
	}
	if found {
		for q := range strings.SplitSeq(query, "&") {
			r.AddOption(message.LocationQuery, []byte(q))
		}
	}
}

// AddOption adds any other option; the value is copied.
func (r *Recorder) AddOption(n message.OptionNumber, value []byte) {
	r.options = append(r.options, message.Option{Number: n, Value: slices.Clone(value)})
}

// Write appends to the payload.
func (r *Recorder) Write(p []byte) (int, error) {
	r.payload = append(r.payload, p...)
	return len(p), nil
}

// WriteString appends to the payload.
func (r *Recorder) WriteString(s string) (int, error) {
	r.payload = append(r.payload, s...)
	return len(s), nil
}

// SetBody sets payload and Content-Format. A Stream is read to its end; an error of its
// reader panics.
func (r *Recorder) SetBody(b coap.Body) {
	payload, err := b.Bytes()
	if err != nil {
		panic(err)
	}
	if format, ok := b.ContentFormat(); ok {
		r.SetContentFormat(format)
	}
	r.payload = slices.Clone(payload)
}

// Reset drops code, options and payload written so far.
func (r *Recorder) Reset() { r.code, r.options, r.payload = 0, nil, nil }

// Detach lets the handler return before the response is there. A second call panics.
func (r *Recorder) Detach() coap.Responder {
	if r.sent != nil {
		panic("coaptest: Detach called twice")
	}
	r.sent = make(chan struct{})
	return r
}

// Send ends a detached response; the error is always nil. A second call, and one without
// Detach, panics.
func (r *Recorder) Send() error {
	if r.sent == nil {
		panic("coaptest: Send called without Detach")
	}
	close(r.sent) // panics the second time
	return nil
}

// Detached reports whether the handler called Detach.
func (r *Recorder) Detached() bool { return r.sent != nil }

// Result returns the response, a copy that later writes don't touch. Where the handler
// has detached it waits for Send. An option that no message can carry panics, as the
// server would answer 5.00.
func (r *Recorder) Result() *coap.Response {
	if r.sent != nil {
		<-r.sent
	}
	code := r.code
	if code == 0 {
		code = r.silence()
	}
	options := slices.Clone(r.options)
	message.SortOptions(options)
	e := message.AppendHeader(nil, message.Acknowledgement, code, 0, message.Token{})
	for _, o := range options {
		e.Option(o.Number, o.Value)
	}
	datagram, err := e.Finish(r.payload)
	if err != nil {
		panic(fmt.Errorf("coaptest: Result: %w", err))
	}
	resp, err := coap.ParseResponse(datagram)
	if err != nil {
		panic(fmt.Errorf("coaptest: Result: %w", err))
	}
	return resp
}

// silence is the code of a handler that set none; see [coap.Handler].
func (r *Recorder) silence() message.Code {
	switch r.Method {
	case message.Empty, message.GET, message.FETCH:
		return message.Content
	case message.DELETE:
		return message.Deleted
	}
	return message.Changed
}

func (r *Recorder) remove(n message.OptionNumber) {
	r.options = slices.DeleteFunc(r.options, func(o message.Option) bool { return o.Number == n })
}

// setUint replaces an option by an unsigned integer in its shortest form (RFC 7252 §3.2).
func (r *Recorder) setUint(n message.OptionNumber, v uint32) {
	r.remove(n)
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], v)
	i := 0
	for i < len(b) && b[i] == 0 {
		i++
	}
	r.AddOption(n, b[i:])
}
