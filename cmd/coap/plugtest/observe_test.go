package plugtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/coaptest"
	"github.com/motewire/coap/message"
)

// ticking runs a test in virtual time, which begins at midnight, against resources that
// tick.
func ticking(t *testing.T, f func(t *testing.T, s *coaptest.Server)) {
	coaptest.Run(t, func(t *testing.T) {
		resources := New()
		s := coaptest.NewUnstartedServer(resources.Mux())
		s.Config.NotifyInterval = NotifyInterval
		s.Start()
		defer s.Close()
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { resources.Run(ctx) })
		defer running.Wait()
		defer stop()
		s.Client() // made before it is shared
		f(t, s)
	})
}

// An observer is a client that follows a resource.
type observer struct {
	stop context.CancelFunc

	mu  sync.Mutex
	log []string // a line for each arrival
	err error    // the end's
}

// follow observes a resource until the test ends, or stop is called.
func follow(t *testing.T, s *coaptest.Server, path string, opts ...coap.RequestOption) *observer {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	o := &observer{stop: stop}
	began := time.Now()
	go func() {
		for resp, err := range s.Client().Observe(ctx, s.URL+path, opts...) {
			o.mu.Lock()
			o.err = err
			if resp != nil {
				o.log = append(o.log, fmt.Sprintf("%v %v", time.Since(began), describe(resp)))
			}
			o.mu.Unlock()
		}
	}()
	synctest.Wait()
	return o
}

// describe tells what matters of a state: type, code, format, Max-Age, payload.
func describe(resp *coap.Response) string {
	text := fmt.Sprintf("%v %v", resp.Message().Type(), resp.Code)
	if _, ok := resp.Message().Observe(); ok {
		text += " observe"
	}
	if f, ok := resp.ContentFormat(); ok {
		text += fmt.Sprintf(" %d", f)
	}
	if age, ok := resp.Message().MaxAge(); ok {
		text += fmt.Sprintf(" %v", age)
	}
	return strings.TrimSpace(text + " " + string(resp.Payload()))
}

// state returns what has arrived, and the error that was the end.
func (o *observer) state() (log []string, err error) {
	synctest.Wait()
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.log), o.err
}

// saw fails the test where the observer's arrivals are others.
func (o *observer) saw(t *testing.T, want ...string) {
	t.Helper()
	log, _ := o.state()
	if got := strings.Join(log, "\n"); got != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}

// clockAt is the text of a clock that ticked so long after the start of virtual time.
func clockAt(begin time.Time, after time.Duration) string {
	return begin.Add(after).Format(time.TimeOnly)
}

// Both resources tick every 2 s, and the type of the notifications follows the resource,
// not the request.
func TestObservationTicks(t *testing.T) {
	for path, kind := range map[string]message.Type{"/obs": message.Confirmable, "/obs-non": message.NonConfirmable} {
		for _, opts := range [][]coap.RequestOption{nil, {coap.NonConfirmable}} {
			ticking(t, func(t *testing.T, s *coaptest.Server) {
				begin := time.Now()
				answer := message.Acknowledgement
				if opts != nil {
					answer = message.NonConfirmable
				}
				o := follow(t, s, path, opts...)
				time.Sleep(7 * time.Second)
				want := []string{fmt.Sprintf("0s %v 2.05 observe 0 2s %s", answer, clockAt(begin, 0))}
				for _, at := range []time.Duration{2, 4, 6} {
					at *= time.Second
					want = append(want, fmt.Sprintf("%v %v 2.05 observe 0 2s %s", at, kind, clockAt(begin, at)))
				}
				o.saw(t, want...)
			})
		}
	}
}

// A PUT is told at once and puts the next tick off, which comes a full 2 s later.
func TestObservationOfPut(t *testing.T) {
	ticking(t, func(t *testing.T, s *coaptest.Server) {
		begin := time.Now()
		o := follow(t, s, "/obs-non")
		time.Sleep(1500 * time.Millisecond)
		done(message.PUT, "/obs-non", coap.Text("hello"), message.Changed).run(t, s)
		get("/obs-non", "hello").run(t, s)
		time.Sleep(1999 * time.Millisecond)
		o.saw(t, "0s ACK 2.05 observe 0 2s "+clockAt(begin, 0), "1.5s NON 2.05 observe 0 2s hello")
		time.Sleep(3 * time.Second)
		o.saw(t, "0s ACK 2.05 observe 0 2s "+clockAt(begin, 0), "1.5s NON 2.05 observe 0 2s hello",
			"3.5s NON 2.05 observe 0 2s "+clockAt(begin, 3500*time.Millisecond),
			"5.5s NON 2.05 observe 0 2s "+clockAt(begin, 5500*time.Millisecond))
	})
}

// A PUT of another format ends all observations with 4.06 without Observe; the tick sets
// the format back. A DELETE ends them with 4.04, and the resource stays.
func TestObservationsEnd(t *testing.T) {
	json := coap.Bytes([]byte("1"), message.AppJSON)
	for path, kind := range map[string]message.Type{"/obs": message.Confirmable, "/obs-non": message.NonConfirmable} {
		ticking(t, func(t *testing.T, s *coaptest.Server) {
			begin := time.Now()
			first := fmt.Sprintf("0s ACK 2.05 observe 0 2s %s", clockAt(begin, 0))
			one, two := follow(t, s, path), follow(t, s, path, coap.Accept(message.TextPlain))
			refused(message.PUT, path, coap.Raw([]byte("x")), message.BadRequest).run(t, s)
			time.Sleep(time.Second)
			done(message.PUT, path, json, message.Changed).run(t, s)
			time.Sleep(time.Second / 2)
			for _, o := range []*observer{one, two} {
				log, err := o.state()
				if len(log) != 2 || log[0] != first || !strings.HasSuffix(log[1], fmt.Sprintf(" %v 4.06", kind)) {
					t.Errorf("%s: %q", path, log)
				}
				if !errors.Is(err, coap.ErrObservationEnded) {
					t.Errorf("%s: ended by %v", path, err)
				}
			}
			get(path, "1").as(message.AppJSON).run(t, s)
			refused(message.GET, path, none, message.NotAcceptable, coap.Accept(message.TextPlain)).run(t, s)
			time.Sleep(2 * time.Second)
			get(path, clockAt(begin, 3*time.Second)).run(t, s)
			three := follow(t, s, path)
			done(message.DELETE, path, none, message.Deleted).run(t, s)
			time.Sleep(5 * time.Second)
			three.saw(t, "0s ACK 2.05 observe 0 2s "+clockAt(begin, 3*time.Second), fmt.Sprintf("0s %v 4.04", kind))
			get(path, anyPayload).run(t, s)
			if n := s.Config.Stats().Observations.Observers; n != 0 {
				t.Errorf("%d observers", n)
			}
		})
	}
}

// The state of one resource is none of the other's.
func TestObservablesAreApart(t *testing.T) {
	ticking(t, func(t *testing.T, s *coaptest.Server) {
		begin := time.Now()
		o := follow(t, s, "/obs")
		done(message.PUT, "/obs-non", coap.Text("x"), message.Changed).run(t, s)
		done(message.DELETE, "/obs-non", none, message.Deleted).run(t, s)
		o.saw(t, "0s ACK 2.05 observe 0 2s "+clockAt(begin, 0))
	})
}

// /obs-reset drops all observers of all resources without a message, or tells them 4.04.
func TestObservationReset(t *testing.T) {
	ticking(t, func(t *testing.T, s *coaptest.Server) {
		begin := time.Now()
		reset := func(path, payload string, code message.Code) {
			step{method: message.POST, path: path, body: coap.Text(payload), code: code, format: noFormatOption}.run(t, s)
			synctest.Wait()
		}
		first := "0s ACK 2.05 observe 0 2s " + clockAt(begin, 0)
		con, non := follow(t, s, "/obs"), follow(t, s, "/obs-non")
		reset("/obs-reset", "open", message.Forbidden)
		reset("/obs-reset?notfound", "", message.Forbidden)
		if n := s.Config.Stats().Observations.Observers; n != 2 {
			t.Fatalf("%d observers", n)
		}
		reset("/obs-reset?x=1", "sesame", message.Changed)
		if n := s.Config.Stats().Observations.Observers; n != 0 {
			t.Errorf("%d observers", n)
		}
		time.Sleep(5 * time.Second)
		con.saw(t, first)
		non.saw(t, first)
		con.stop() // a client that goes on observing would not register again (RFC 7641 §3.1)
		non.stop()
		synctest.Wait()

		at := clockAt(begin, 4*time.Second)
		con, non = follow(t, s, "/obs"), follow(t, s, "/obs-non")
		reset("/obs-reset?notfound", "sesame", message.Changed)
		con.saw(t, "0s ACK 2.05 observe 0 2s "+at, "0s CON 4.04")
		non.saw(t, "0s ACK 2.05 observe 0 2s "+at, "0s NON 4.04")
	})
}

// One endpoint may have 64 observations and is told of each tick in each of them, whatever
// the type, before the next tick.
func TestManyObservationsOfOneEndpoint(t *testing.T) {
	for _, path := range []string{"/obs", "/obs-non"} {
		ticking(t, func(t *testing.T, s *coaptest.Server) {
			var all []*observer
			for range 64 {
				all = append(all, follow(t, s, path))
			}
			time.Sleep(7999 * time.Millisecond)
			for i, o := range all {
				if log, err := o.state(); len(log) != 4 || err != nil {
					t.Errorf("%s: observer %d saw %q, %v", path, i, log, err)
				}
			}
		})
	}
}

// What does not fit the resources is refused.
func TestObservationRefusals(t *testing.T) {
	s := start(t)
	for _, path := range []string{"/obs", "/obs-non"} {
		for _, st := range []step{
			refused(message.POST, path, none, message.MethodNotAllowed),
			refused(message.GET, path, none, message.NotAcceptable, coap.Accept(message.AppJSON)),
			refused(message.PUT, path, coap.Text("x"), message.PreconditionFailed, coap.IfNoneMatch),
			refused(message.PUT, path, coap.Text(strings.Repeat("x", maxBody+1)), message.RequestEntityTooLarge),
			refused(message.PUT, path, none, message.BadRequest),
		} {
			st.run(t, s)
		}
	}
	refused(message.GET, "/obs-reset", none, message.MethodNotAllowed).run(t, s)
	refused(message.GET, "/obs-larger", none, message.NotFound).run(t, s)
}
