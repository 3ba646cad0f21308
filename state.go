package coap

import (
	"encoding/json"
	"fmt"
	"sync"

	"github.com/motewire/coap/message"
)

// A State is an observable value: a [Handler] for GET that answers with the value, and
// notifies the observers when Set gives it another. Numbers, booleans and strings are
// text/plain, a []byte is application/octet-stream, anything else application/json. It is
// safe for concurrent use.
type State[T any] struct {
	subject Subject
	mu      sync.Mutex
	value   T
}

// NewState returns a State with its first value.
func NewState[T any](value T) *State[T] { return &State[T]{value: value} }

// Get returns the value.
func (s *State[T]) Get() T {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.value
}

// Set gives the State another value and notifies the observers.
func (s *State[T]) Set(value T) {
	s.mu.Lock()
	s.value = value
	s.mu.Unlock()
	s.subject.Notify()
}

// ServeCoAP answers with the value.
func (s *State[T]) ServeCoAP(w ResponseWriter, _ *Request) {
	format, body, err := render(s.Get())
	if err != nil {
		Error(w, message.InternalServerError, "the value has no representation")
		return
	}
	w.SetContentFormat(format)
	w.Write(body)
}

// observed makes a route of a State observable without further ado.
func (s *State[T]) observed() *Subject { return &s.subject }

func render(value any) (message.Format, []byte, error) {
	switch v := value.(type) {
	case []byte:
		return message.OctetStream, v, nil
	case string:
		return message.TextPlain, []byte(v), nil
	case bool, int, int8, int16, int32, int64, uint, uint8, uint16, uint32, uint64, float32, float64:
		return message.TextPlain, fmt.Append(nil, v), nil
	}
	b, err := json.Marshal(value)
	return message.AppJSON, b, err
}
