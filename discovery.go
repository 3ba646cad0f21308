package coap

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/motewire/coap/linkformat"
	"github.com/motewire/coap/message"
)

// discoveryPath is where a server lists its resources (RFC 6690 §4).
const discoveryPath = "/.well-known/core"

// A catalog is what discovery tells of a table: it is made on its first use.
type catalog struct {
	once     sync.Once
	links    []linkformat.Link          // one per path, in the order of registration
	computed []func() []linkformat.Link // what Links options add
	text     []byte                     // links in link-format
}

// addDiscovery adds the route of GET /.well-known/core to t unless there is one.
func (t *table) addDiscovery(middleware []func(Handler) Handler) {
	p, err := parsePattern("GET " + discoveryPath)
	if err != nil {
		panic(err)
	}
	l := t.root.leaf(p.segments)
	if l[0] != nil || l[message.GET] != nil {
		return
	}
	options := []RouteOption{Produces(message.AppLinkFormat), Multicast()}
	rt := newRoute(p, HandlerFunc(t.serveDiscovery), options)
	rt.wrap(middleware)
	l[message.GET] = rt
	t.routes = slices.Insert(t.routes, 0, rt)
}

// serveDiscovery answers with the links that pass the filter in the first Uri-Query, an
// empty payload where none does (RFC 6690 §4, §4.1).
func (t *table) serveDiscovery(w ResponseWriter, r *Request) {
	w.SetContentFormat(message.AppLinkFormat)
	c := &t.discovery
	c.once.Do(t.fillCatalog)
	var filter linkformat.Filter // all
	for query := range r.Queries() {
		filter = linkformat.ParseFilter(string(query))
		break
	}
	if filter.Name == "" && len(c.computed) == 0 {
		w.Write(c.text)
		return
	}
	w.Write(filter.Append(nil, c.current()...))
}

// fillCatalog collects what the routes declare.
func (t *table) fillCatalog() {
	c, at := &t.discovery, map[string]int{}
	for _, rt := range t.routes {
		if rt.links != nil {
			c.computed = append(c.computed, rt.links)
		}
		if rt.hidden || rt.wildcard {
			continue
		}
		target := rt.parsed.path()
		i, listed := at[target]
		if !listed {
			i, at[target] = len(c.links), len(c.links)
			c.links = append(c.links, linkformat.Link{Target: target})
		}
		for _, a := range rt.attributes {
			c.links[i].Attributes = addAttribute(c.links[i].Attributes, a)
		}
	}
	if len(c.computed) == 0 {
		c.text = linkformat.Append(nil, c.links...)
	}
}

// current returns the links of this moment, not to be modified.
func (c *catalog) current() []linkformat.Link {
	if len(c.computed) == 0 {
		return c.links
	}
	links := slices.Clone(c.links)
	at := make(map[string]int, len(links))
	for i, l := range links {
		at[l.Target] = i
	}
	for _, compute := range c.computed {
		for _, l := range compute() {
			if err := l.Validate(); err != nil {
				panic(fmt.Errorf("coap: Links: %w", err))
			}
			i, listed := at[l.Target]
			if _, elsewhere := l.Attribute("anchor"); elsewhere {
				links = append(links, l) // tells of another resource than its target
				continue
			}
			if !listed {
				at[l.Target] = len(links)
				links = append(links, l)
				continue
			}
			links[i].Attributes = override(links[i].Attributes, l.Attributes)
		}
	}
	return links
}

// override returns attributes, those of the names in by replaced by by.
func override(attributes, by []linkformat.Attribute) []linkformat.Attribute {
	var merged []linkformat.Attribute
	for _, a := range attributes {
		if indexAttribute(by, a.Name) < 0 {
			merged = append(merged, a)
		}
	}
	return append(merged, by...)
}

func indexAttribute(attributes []linkformat.Attribute, name string) int {
	return slices.IndexFunc(attributes, func(a linkformat.Attribute) bool {
		return strings.EqualFold(a.Name, name)
	})
}

// lists are the attributes whose value is a list of words (RFC 6690 §3.1, §3.2;
// RFC 7252 §7.2.1).
var lists = []string{"rt", "if", "ct", "rel"}

// addAttribute merges an attribute into those of the same link: lists are joined, and of
// what a link has once at most the first one stays.
func addAttribute(attributes []linkformat.Attribute, a linkformat.Attribute) []linkformat.Attribute {
	i := indexAttribute(attributes, a.Name)
	switch {
	case i >= 0 && slices.Contains(lists, a.Name):
		attributes[i].Value = joinWords(attributes[i].Value, a.Value)
		return attributes
	case slices.Contains(attributes, a):
		return attributes
	}
	merged := append(attributes, a)
	if errors.Is(linkformat.Link{Attributes: merged}.Validate(), linkformat.ErrDuplicate) {
		return attributes
	}
	return merged
}

// joinWords appends the words of more that list doesn't have.
func joinWords(list, more string) string {
	words := strings.Fields(list)
	for _, w := range strings.Fields(more) {
		if !slices.Contains(words, w) {
			words = append(words, w)
		}
	}
	return strings.Join(words, " ")
}
