package plugtest

import (
	"sync"

	"github.com/motewire/coap"
	"github.com/motewire/coap/message"
)

// stored is a resource that holds one body: /validate and /large-update. It checks
// preconditions itself, so that nothing comes between the check and the change.
type stored struct {
	mu      sync.Mutex
	initial entity
	entity  entity
}

func (s *stored) reset() { s.entity = s.initial }

// own are the declarations of a resource that checks preconditions itself, with others.
func own(others ...coap.RouteOption) []coap.RouteOption {
	return append(others, coap.Preconditions(), coap.BodyLimit(maxBody))
}

func (s *stored) add(m *coap.Mux, path string, declared ...coap.RouteOption) {
	m.HandleFunc("GET "+path, s.guard(s.get), own(declared...)...)
	m.HandleFunc("PUT "+path, s.guard(s.put), own()...)
}

func (s *stored) addDelete(m *coap.Mux, path string) {
	m.HandleFunc("DELETE "+path, s.guard(s.delete), own()...)
}

// guard returns a handler that holds the lock and runs f where the preconditions hold.
func (s *stored) guard(f func(coap.ResponseWriter, *coap.Request)) func(coap.ResponseWriter, *coap.Request) {
	return func(w coap.ResponseWriter, r *coap.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !meets(r, s.entity.tag(), true) {
			w.SetCode(message.PreconditionFailed)
			return
		}
		f(w, r)
	}
}

// size is the length of the body in bytes.
func (s *stored) size() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.entity.body)
}

// get answers with the representation; what Accept and ETag make of it (RFC 7252 §5.10.4,
// §5.10.6.2) is the server's to do.
func (s *stored) get(w coap.ResponseWriter, _ *coap.Request) {
	w.SetETag(s.entity.tag().Append(nil))
	s.entity.write(w)
}

func (s *stored) put(w coap.ResponseWriter, r *coap.Request) {
	format, ok := r.ContentFormat()
	if !ok {
		coap.Error(w, message.BadRequest, noFormat)
		return
	}
	s.entity = entityOf(r, format)
	w.SetETag(s.entity.tag().Append(nil))
}

func (s *stored) delete(coap.ResponseWriter, *coap.Request) { s.reset() }
