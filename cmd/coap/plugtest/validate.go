package plugtest

import (
	"sync"

	"github.com/motewire/coap"
	"github.com/motewire/coap/message"
)

// stored is /validate. It checks preconditions itself, so that nothing comes between the
// check and the change.
type stored struct {
	mu     sync.Mutex
	entity entity
}

func (s *stored) reset() {
	s.entity = entity{body: []byte("Validate me"), format: message.TextPlain}
}

func (s *stored) add(m *coap.Mux) {
	own := []coap.RouteOption{coap.Preconditions(), coap.BodyLimit(maxBody)}
	m.HandleFunc("GET /validate", s.guard(s.get), own...)
	m.HandleFunc("PUT /validate", s.guard(s.put), own...)
	m.HandleFunc("DELETE /validate", s.guard(s.delete), own...)
}

// guard returns a handler that holds the lock and runs f where the preconditions hold.
func (s *stored) guard(f func(coap.ResponseWriter, *coap.Request)) func(coap.ResponseWriter, *coap.Request) {
	return func(w coap.ResponseWriter, r *coap.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !meets(r.Message(), s.entity.tag(), true) {
			w.SetCode(message.PreconditionFailed)
			return
		}
		f(w, r)
	}
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
