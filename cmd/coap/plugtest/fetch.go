package plugtest

import (
	"errors"
	"sync"

	"github.com/motewire/coap"
	"github.com/motewire/coap/message"
)

// listed is /fetch, a document that can be read and changed in part (RFC 8132). Like
// /validate it checks preconditions itself.
type listed struct {
	mu  sync.Mutex
	doc document
}

func (l *listed) add(m *coap.Mux) {
	m.HandleFunc("GET /fetch", l.guard(l.get), own()...)
	m.HandleFunc("PUT /fetch", l.guard(l.put), own()...)
	m.HandleFunc("FETCH /fetch", l.guard(l.fetch), own()...)
	m.HandleFunc("PATCH /fetch", l.guard(l.patch), own()...)
	m.HandleFunc("iPATCH /fetch", l.guard(l.patch), own()...)
}

func (l *listed) entity() entity {
	return entity{body: []byte(l.doc.text()), format: message.TextPlain}
}

// guard returns a handler that holds the lock and runs f where nothing is wrong with the
// request's options.
func (l *listed) guard(f func(coap.ResponseWriter, *coap.Request)) func(coap.ResponseWriter, *coap.Request) {
	return func(w coap.ResponseWriter, r *coap.Request) {
		l.mu.Lock()
		defer l.mu.Unlock()
		if code, text := l.refuse(r); code != 0 {
			coap.Error(w, code, text)
			return
		}
		f(w, r)
	}
}

// refuse returns the code and diagnostic payload for a request that is wrong before its
// body is read, 0 for one that is not.
func (l *listed) refuse(r *coap.Request) (code message.Code, text string) {
	if !meets(r, l.entity().tag(), true) {
		return message.PreconditionFailed, ""
	}
	if r.Method != message.GET {
		switch format, ok := r.ContentFormat(); {
		case !ok:
			return message.BadRequest, noFormat
		case format != message.TextPlain:
			return message.UnsupportedContentFormat, ""
		}
	}
	if accept, ok := r.Message().Accept(); ok && accept != message.TextPlain {
		return message.NotAcceptable, ""
	}
	return 0, ""
}

func (l *listed) get(w coap.ResponseWriter, _ *coap.Request) {
	e := l.entity()
	w.SetETag(e.tag().Append(nil))
	e.write(w)
}

func (l *listed) put(w coap.ResponseWriter, r *coap.Request) {
	doc, err := parseDocument(string(r.Payload()))
	if err != nil {
		coap.Error(w, message.BadRequest, "a line is malformed")
		return
	}
	l.doc = doc // as long as the body at most
}

// fetch answers with the lines of the keys in the body. A FETCH response has no ETag here:
// it is not the representation that the ETag of a GET labels.
func (l *listed) fetch(w coap.ResponseWriter, r *coap.Request) {
	writeText(w, l.doc.pick(lines(string(r.Payload()))).text())
}

// patch applies all lines of the body or none (RFC 8132 §3).
func (l *listed) patch(w coap.ResponseWriter, r *coap.Request) {
	changes, err := parseChanges(string(r.Payload()), r.Method == message.PATCH)
	if err != nil {
		coap.Error(w, message.UnprocessableEntity, "a line is malformed")
		return
	}
	doc, err := l.doc.with(changes)
	switch {
	case errors.Is(err, errNotInteger):
		coap.Error(w, message.Conflict, "what is to be added to is not an integer")
	case len(doc.text()) > maxBody:
		coap.Error(w, message.RequestEntityTooLarge, "the document would become too long")
	default:
		l.doc = doc
	}
}
