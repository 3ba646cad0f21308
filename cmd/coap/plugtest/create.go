package plugtest

import (
	"sync"

	"github.com/motewire/coap"
	"github.com/motewire/coap/linkformat"
	"github.com/motewire/coap/message"
)

// created is /create1, a resource that comes and goes and has no ETag.
type created struct {
	mu     sync.Mutex
	entity *entity // nil: it does not exist
}

func (c *created) add(m *coap.Mux) {
	m.HandleFunc("GET /create1", c.get, own(coap.Hidden(), coap.Links(c.links))...)
	m.HandleFunc("PUT /create1", c.put, own(coap.Hidden())...)
	m.HandleFunc("DELETE /create1", c.delete, own(coap.Hidden())...)
}

// links lists the resource in discovery while it exists.
func (c *created) links() []linkformat.Link {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entity == nil {
		return nil
	}
	return []linkformat.Link{{Target: "/create1"}}
}

// meets checks the preconditions of a request and answers where they don't hold.
func (c *created) meets(w coap.ResponseWriter, r *coap.Request) bool {
	if meets(r, message.Tag{}, c.entity != nil) {
		return true
	}
	w.SetCode(message.PreconditionFailed)
	return false
}

func (c *created) get(w coap.ResponseWriter, r *coap.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.entity == nil:
		w.SetCode(message.NotFound)
	case c.meets(w, r):
		c.entity.write(w)
	}
}

// put stores the body. A PUT that must not meet the resource but does ends it, so that
// the next one can succeed.
func (c *created) put(w coap.ResponseWriter, r *coap.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.meets(w, r) {
		if r.IfNoneMatch() {
			c.entity = nil
		}
		return
	}
	format, ok := r.ContentFormat()
	if !ok {
		coap.Error(w, message.BadRequest, noFormat)
		return
	}
	if c.entity == nil {
		w.SetCode(message.Created)
	}
	e := entityOf(r, format)
	c.entity = &e
}

func (c *created) delete(w coap.ResponseWriter, r *coap.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.meets(w, r) {
		c.entity = nil
	}
}
