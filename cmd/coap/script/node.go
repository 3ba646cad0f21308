package script

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/motewire/coap"
	"github.com/motewire/coap/message"
)

// maxWritten is the longest body of a PUT in bytes.
const maxWritten = 1024

// A Node is a script at work. It is safe for concurrent use.
type Node struct {
	resources []*served

	mu  sync.Mutex // held for moments only
	rng *rand.Rand
}

// A served is a resource with its value.
type served struct {
	*resource
	node    *Node
	subject coap.Subject

	value any // under the node's lock: a float64 or a string
}

// New returns a node whose resources have their first values. It takes the script over:
// signals have a state.
func New(s *Script) *Node {
	n := &Node{rng: rand.New(rand.NewPCG(s.seed, s.seed))}
	for _, r := range s.resources {
		x := &served{resource: r, node: n}
		x.value, _ = r.signal.next(0, n.rng)
		n.resources = append(n.resources, x)
	}
	return n
}

// Mux returns the node's resources.
func (n *Node) Mux() *coap.Mux {
	m := coap.NewMux()
	for _, r := range n.resources {
		m.HandleFunc("GET "+r.path, r.get, r.options()...)
		if r.writable {
			m.HandleFunc("PUT "+r.path, r.put, coap.BodyLimit(maxWritten))
		}
	}
	return m
}

// options declares what discovery tells.
func (r *served) options() []coap.RouteOption {
	options := []coap.RouteOption{coap.Produces(r.format)}
	if r.observable {
		options = append(options, coap.Observable(&r.subject), coap.Notifications(r.notify))
	}
	if r.resourceType != "" {
		options = append(options, coap.ResourceType(r.resourceType))
	}
	if r.iface != "" {
		options = append(options, coap.Interface(r.iface))
	}
	if r.title != "" {
		options = append(options, coap.Title(r.title))
	}
	return options
}

// Run measures until the context ends. Each resource has its own cadence.
func (n *Node) Run(ctx context.Context) {
	var all sync.WaitGroup
	began := time.Now()
	for _, r := range n.resources {
		if r.every > 0 {
			all.Go(func() { r.run(ctx, began) })
		}
	}
	all.Wait()
}

// run measures at whole multiples of the interval, so that no delay adds up.
func (r *served) run(ctx context.Context, began time.Time) {
	timer := time.NewTimer(r.every)
	defer timer.Stop()
	for i := time.Duration(1); ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		if !r.measure(i * r.every) {
			return
		}
		timer.Reset(time.Until(began.Add((i + 1) * r.every)))
	}
}

// measure takes the next value and tells the observers. It reports false behind the last
// one.
func (r *served) measure(at time.Duration) bool {
	r.node.mu.Lock()
	value, ok := r.signal.next(at, r.node.rng)
	if ok {
		r.value = value
	}
	r.node.mu.Unlock()
	if ok {
		r.subject.Notify()
	}
	return ok
}

// get answers after the delay, with an error where chance wants one.
func (r *served) get(w coap.ResponseWriter, req *coap.Request) {
	observe, has := req.Message().Observe()
	if !r.wait(req.Context()) || r.fails(w, has && observe == 0) {
		return
	}
	r.node.mu.Lock()
	value := r.value
	r.node.mu.Unlock()
	w.SetContentFormat(r.format)
	if r.every > 0 {
		w.SetMaxAge(r.every)
	}
	w.Write(r.payload(value))
}

// wait takes the time of the delay. It reports false where nobody waits any more.
func (r *served) wait(ctx context.Context) bool {
	d := r.least
	if spread := r.most - r.least; spread > 0 {
		r.node.mu.Lock()
		d += time.Duration(r.node.rng.Int64N(int64(spread) + 1))
		r.node.mu.Unlock()
	}
	if d == 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// fails answers with one of the errors, or leaves the answer to the caller.
func (r *served) fails(w coap.ResponseWriter, observer bool) bool {
	if len(r.failures) == 0 {
		return false
	}
	r.node.mu.Lock()
	draw := r.node.rng.Float64()
	r.node.mu.Unlock()
	for _, f := range r.failures {
		if draw -= f.rate; draw >= 0 {
			continue
		}
		if observer && !f.observers {
			return false
		}
		coap.Error(w, f.code, "simulated")
		if f.maxAge > 0 {
			w.SetMaxAge(f.maxAge)
		}
		return true
	}
	return false
}

// put takes a value until the next measurement.
func (r *served) put(w coap.ResponseWriter, req *coap.Request) {
	text := strings.TrimSpace(string(req.Payload()))
	if !r.wait(req.Context()) || r.fails(w, false) {
		return
	}
	var value any = text
	if v, err := strconv.ParseFloat(text, 64); err == nil {
		value = v
	}
	r.node.mu.Lock()
	r.value = value
	r.node.mu.Unlock()
	r.subject.Notify()
}

// payload writes a value as the resource has it.
func (r *served) payload(value any) []byte {
	text := fmt.Sprint(value)
	if v, ok := value.(float64); ok {
		text = strconv.FormatFloat(v, 'f', r.decimals, 64)
		if strings.Trim(text, "-0.") == "" {
			text = strings.TrimPrefix(text, "-") // nothing is less than zero by what was rounded off
		}
	}
	switch {
	case r.body != "":
		return []byte(strings.ReplaceAll(r.body, "{value}", text))
	case r.format == message.AppCBOR:
		if v, err := strconv.ParseFloat(text, 64); err == nil {
			value = v // rounded
		}
		b, _ := cbor.Marshal(value) // a number or a text
		return b
	}
	return []byte(text)
}
