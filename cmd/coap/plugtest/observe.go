package plugtest

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/message"
)

// tickInterval is from one tick to the next.
const tickInterval = 2 * time.Second

// NotifyInterval is the [coap.Server.NotifyInterval] that the resources need: an endpoint
// with 64 observations and more is told of each tick before the next.
const NotifyInterval = 10 * time.Millisecond

// A clock is an observable resource: the time of the last tick or, until the next one,
// what a client has put there.
type clock struct {
	subject coap.Subject
	render  func(now time.Time) string

	mu     sync.Mutex
	entity entity
	due    time.Time // the next tick
}

func (s *Server) addClocks(m *coap.Mux) {
	s.clocks[0].add(m, "/obs", coap.NotifyConfirmable)
	s.clocks[0].addChanges(m, "/obs")
	s.clocks[1].add(m, "/obs-non", coap.NotifyNonConfirmable)
	s.clocks[1].addChanges(m, "/obs-non")
	s.clocks[2].add(m, "/obs-large", coap.NotifyConfirmable)
	m.HandleFunc("POST /obs-reset", s.resetObservations, always()...)
}

func (c *clock) add(m *coap.Mux, path string, notifications coap.NotifyType) {
	m.HandleFunc("GET "+path, c.get, always(coap.Observable(&c.subject), coap.ResourceType("observe"),
		coap.Notifications(coap.NotifyPolicy{Type: notifications}))...)
}

func (c *clock) addChanges(m *coap.Mux, path string) {
	m.HandleFunc("PUT "+path, c.put, always(coap.RequireFormat())...)
	m.HandleFunc("DELETE "+path, c.delete, always()...)
}

// Run ticks until the context ends.
func (s *Server) Run(ctx context.Context) {
	var all sync.WaitGroup
	for i := range s.clocks {
		all.Go(func() { s.clocks[i].run(ctx) })
	}
	all.Wait()
}

func (c *clock) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		timer.Reset(time.Until(c.next()))
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			c.tick(time.Now())
		}
	}
}

func (c *clock) next() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.due
}

// newClocks returns /obs, /obs-non and /obs-large.
func newClocks(now time.Time) (clocks [3]*clock) {
	for i, render := range []func(time.Time) string{timeOfDay, timeOfDay, largeTimeOfDay} {
		clocks[i] = &clock{render: render}
		clocks[i].start(now)
	}
	return clocks
}

func timeOfDay(now time.Time) string { return now.Format(time.TimeOnly) }

// largeTimeOfDay is the time within 22 lines of 64 bytes each.
func largeTimeOfDay(now time.Time) string {
	const lines, width = 22, 63
	line := strings.Repeat("-", width) + "\n"
	return line + fmt.Sprintf("%-*s\n", width, timeOfDay(now)) + strings.Repeat(line, lines-2)
}

// start makes the time the representation.
func (c *clock) start(now time.Time) {
	c.entity = entity{body: []byte(c.render(now)), format: message.TextPlain}
	c.due = now.Add(tickInterval)
}

// tick is a change of state, even within the same second. After a PUT it comes too early
// and does nothing.
func (c *clock) tick(now time.Time) {
	c.mu.Lock()
	due := !now.Before(c.due)
	if due {
		c.start(now)
	}
	c.mu.Unlock()
	if due {
		c.subject.Notify()
	}
}

func (c *clock) get(w coap.ResponseWriter, _ *coap.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w.SetMaxAge(tickInterval)
	c.entity.write(w)
}

// put stores the body, and puts off the next tick. Observers have asked for the format of
// before: they are told that it is gone where it is (RFC 7641 §4.2).
func (c *clock) put(_ coap.ResponseWriter, r *coap.Request) {
	format, _ := r.ContentFormat() // there is one
	c.mu.Lock()
	same := format == c.entity.format
	c.entity, c.due = entityOf(r, format), time.Now().Add(tickInterval)
	c.mu.Unlock()
	if same {
		c.subject.Notify()
	} else {
		c.subject.End(message.NotAcceptable)
	}
}

// delete ends all observations; the resource stays.
func (c *clock) delete(coap.ResponseWriter, *coap.Request) { c.subject.End(message.NotFound) }

// resetObservations ends the observations of all resources: without a message or, where the
// query says so, with 4.04.
func (s *Server) resetObservations(w coap.ResponseWriter, r *coap.Request) {
	if string(r.Payload()) != "sesame" {
		w.SetCode(message.Forbidden)
		return
	}
	_, told := r.LookupQuery("notfound")
	for i := range s.clocks {
		if told {
			s.clocks[i].subject.End(message.NotFound)
		} else {
			s.clocks[i].subject.Drop()
		}
	}
}
