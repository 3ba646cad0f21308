package plugtest

import (
	"slices"
	"strconv"
	"sync"

	"github.com/motewire/coap"
	"github.com/motewire/coap/linkformat"
	"github.com/motewire/coap/message"
)

// maxChildren is how many children are kept; a further one takes the place of the oldest.
const maxChildren = 100

// children is /large-create, a collection of what clients have posted.
type children struct {
	mu   sync.Mutex
	made int     // so far
	list []child // by number
}

type child struct {
	number int
	entity
}

func (c child) path() string { return "/large-create/" + strconv.Itoa(c.number) }

func (c *children) add(m *coap.Mux) {
	m.HandleFunc("POST /large-create", c.post, always(block, coap.RequireFormat())...)
	m.HandleFunc("GET /large-create", c.get, always(coap.Produces(message.AppLinkFormat), coap.Links(c.links))...)
	m.HandleFunc("/large-create/{number}", c.child, coap.Preconditions(), coap.BodyLimit(maxBody))
}

func (c *children) post(w coap.ResponseWriter, r *coap.Request) {
	format, _ := r.ContentFormat() // there is one
	c.mu.Lock()
	defer c.mu.Unlock()
	c.made++
	made := child{c.made, entityOf(r, format)}
	if len(c.list) == maxChildren {
		c.list = slices.Delete(c.list, 0, 1)
	}
	c.list = append(c.list, made)
	w.SetCode(message.Created)
	w.SetLocation(made.path())
}

func (c *children) get(w coap.ResponseWriter, _ *coap.Request) {
	w.SetContentFormat(message.AppLinkFormat)
	w.Write(linkformat.Append(nil, c.links()...))
}

// links lists the children, for discovery too.
func (c *children) links() []linkformat.Link {
	c.mu.Lock()
	defer c.mu.Unlock()
	var links []linkformat.Link
	for _, one := range c.list {
		links = append(links, linkformat.Link{Target: one.path()})
	}
	return links
}

// child serves one of the children. One that is not there has no methods either.
func (c *children) child(w coap.ResponseWriter, r *coap.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(c.list, func(one child) bool { return strconv.Itoa(one.number) == r.PathValue("number") })
	switch {
	case i < 0:
		w.SetCode(message.NotFound)
	case r.Method != message.GET && r.Method != message.DELETE:
		w.SetCode(message.MethodNotAllowed)
	case !meets(r, c.list[i].tag(), true):
		w.SetCode(message.PreconditionFailed)
	case r.Method == message.DELETE:
		c.list = slices.Delete(c.list, i, i+1)
	default:
		w.SetETag(c.list[i].tag().Append(nil))
		c.list[i].write(w)
	}
}
