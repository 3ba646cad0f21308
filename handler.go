package coap

import (
	"math"
	"strings"
	"time"

	"github.com/motewire/coap/message"
)

// A ResponseWriter builds the response of one request. It is valid until the handler
// returns; a handler that answers later detaches first. Middleware wraps it by embedding.
type ResponseWriter interface {
	// SetCode sets the response code. Without it the response is a success of the
	// method's usual kind. A code that is no response code panics.
	SetCode(code message.Code)
	// SetContentFormat says what the payload is (RFC 7252 §5.10.3).
	SetContentFormat(format message.Format)
	// SetETag labels the representation with 1 to 8 bytes (RFC 7252 §5.10.6). Any
	// other length panics.
	SetETag(tag []byte)
	// SetMaxAge says how long the response is fresh, in whole seconds (RFC 7252
	// §5.10.5); without it a recipient assumes 60 s.
	SetMaxAge(age time.Duration)
	// SetLocation names the resource that was created, as an absolute path with
	// optional query: "/readings/7" (RFC 7252 §5.10.7).
	SetLocation(path string)
	// AddOption adds any other option; the value is copied.
	AddOption(n message.OptionNumber, value []byte)
	// Write appends to the payload.
	Write(p []byte) (int, error)
	// WriteString appends to the payload.
	WriteString(s string) (int, error)
	// SetBody sets payload and Content-Format, in place of what has been written. A
	// [Stream] is read as the client asks for its blocks, also after the handler has
	// returned: see there. A Body that can't be encoded, or was used before, panics.
	SetBody(b Body)
	// Reset drops code, options and payload written so far.
	Reset()
	// Detach lets the handler return before the response is there. A Confirmable
	// request is acknowledged now; the response follows separately (RFC 7252
	// §5.2.2). What has been written so far stays. Where the response is never sent, or
	// the handler panics before, the request gets an error: see Send. A second call
	// panics.
	Detach() Responder
}

// A Responder is a ResponseWriter that outlives its handler. One goroutine at a time may
// use it; Send must be called once.
type Responder interface {
	ResponseWriter
	// Send sends the response. It returns an error where nothing is sent: [ErrClosed];
	// [context.DeadlineExceeded] a second after Limits.HandlerTimeout, when the request
	// was answered with 5.03; another one where the handler has panicked since, which is
	// 5.00. A second call panics.
	Send() error
}

// A response is what a handler has said so far.
type response struct {
	code    message.Code // 0: the method's default
	options optionList
	payload []byte
	content *content // stands for the payload where it is read block by block; nil otherwise
}

func (r *response) reset() {
	r.code = 0
	r.drop()
	r.options.reset()
}

// drop drops the payload.
func (r *response) drop() {
	r.payload = r.payload[:0]
	if r.content != nil {
		r.content.Close() // who drops it has no use for an error
		r.content = nil
	}
}

func (r *response) SetCode(code message.Code) {
	if !code.IsResponse() {
		panic("coap: SetCode(" + code.String() + "): not a response code")
	}
	r.code = code
}

func (r *response) setUint(n message.OptionNumber, v uint32) {
	r.options.remove(n)
	r.options.addUint(n, v)
}

func (r *response) SetContentFormat(format message.Format) {
	r.setUint(message.ContentFormat, uint32(format))
}

func (r *response) SetETag(tag []byte) {
	if len(tag) < 1 || len(tag) > 8 {
		panic("coap: SetETag: an ETag has 1 to 8 bytes")
	}
	r.options.remove(message.ETag)
	r.options.add(message.ETag, tag)
}

func (r *response) SetMaxAge(age time.Duration) {
	seconds := min(max(age/time.Second, 0), math.MaxUint32)
	r.setUint(message.MaxAge, uint32(seconds))
}

func (r *response) SetLocation(path string) {
	r.options.remove(message.LocationPath)
	r.options.remove(message.LocationQuery)
	path, query, found := strings.Cut(path, "?")
	if path = strings.TrimPrefix(path, "/"); path != "" {
		for segment := range strings.SplitSeq(path, "/") {
			r.options.addString(message.LocationPath, segment)
		}
	}
	if found {
		for q := range strings.SplitSeq(query, "&") {
			r.options.addString(message.LocationQuery, q)
		}
	}
}

func (r *response) AddOption(n message.OptionNumber, value []byte) { r.options.add(n, value) }

func (r *response) Write(p []byte) (int, error) {
	r.payload = append(r.payload, p...)
	return len(p), nil
}

func (r *response) WriteString(s string) (int, error) {
	r.payload = append(r.payload, s...)
	return len(s), nil
}

func (r *response) SetBody(b Body) {
	r.drop()
	if b.err != nil {
		panic(b.err)
	}
	if b.formatted {
		r.SetContentFormat(b.format)
	}
	if b.stream == nil {
		r.payload = append(r.payload, b.data...)
		return
	}
	if err := b.claim(); err != nil {
		panic(err)
	}
	r.content = newContent(b.stream.reader, sizeOf(b.stream.reader))
}

func (r *response) Reset() { r.reset() }
