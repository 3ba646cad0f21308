package coap_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/message"
	"github.com/motewire/coap/transport/simnet"
)

// followBodies observes in the background and tells of whole bodies.
func followBodies(ctx context.Context, c *coap.Client, url string, opts ...coap.RequestOption) <-chan update {
	updates := make(chan update, 1000)
	go func() {
		defer close(updates)
		for resp, err := range c.Observe(ctx, url, opts...) {
			u := update{err: err, at: time.Now()}
			if resp != nil {
				body, failed := resp.Bytes()
				u.value, u.err = string(body), errors.Join(err, failed)
			}
			updates <- u
		}
	}()
	return updates
}

// withObserved runs f beside a server that is observed, with 10 ms in each direction, and
// has told of its first state of 100 bytes.
func withObserved(t *testing.T, setup func(*coap.Client), f func(t *testing.T, s *blockServer, c *coap.Client, updates <-chan update)) {
	withBlocks(t, 32, func(t *testing.T, s *blockServer) {
		s.network.SetDefault(simnet.Link{Delay: 10 * time.Millisecond})
		s.serve(message.Content, randomBody(1, 100))
		c := s.client(setup)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		updates := followBodies(ctx, c, s.url+"/x")
		expectState(t, updates, time.Second, string(randomBody(1, 100)))
		s.take()
		f(t, s, c, updates)
	})
}

// RFC 7959 §2.6: a notification has the first block, and the client fetches the others by
// requests of their own, without Observe. A state is yielded when it is whole, as one of
// one message is.
func TestObserveBlocks(t *testing.T) {
	withObserved(t, nil, func(t *testing.T, s *blockServer, c *coap.Client, updates <-chan update) {
		s.notify(2, randomBody(2, 90))
		expectState(t, updates, 90*time.Millisecond, string(randomBody(2, 90)))
		list := s.take()
		expectLines(t, s)
		for i, line := range []string{"GET 2:1/0/32 0", "GET 2:2/0/32 0"} {
			if got := blockLines(list); got[i] != line || list[i].Token() == s.token {
				t.Errorf("%q, token %v", got, list[i].Token())
			}
		}
		s.notify(3, []byte("short"))
		expectState(t, updates, 20*time.Millisecond, "short")
		if n := c.Stats().NotificationsConflated; n != 0 {
			t.Errorf("%d conflated", n)
		}
	})
}

// A newer notification ends the fetch of an older state, which nobody needs any more.
func TestObserveAbandonsFetch(t *testing.T) {
	withObserved(t, nil, func(t *testing.T, s *blockServer, c *coap.Client, updates <-chan update) {
		for n := range 10 {
			s.notify(uint32(n+2), randomBody(uint64(n+2), 1000))
			time.Sleep(100 * time.Millisecond)
		}
		expectState(t, updates, time.Second, string(randomBody(11, 1000)))
		if n := len(updates); n > 0 {
			t.Errorf("%d updates more", n)
		}
		if n := c.Stats().NotificationsConflated; n != 9 {
			t.Errorf("%d conflated, want 9", n)
		}
		s.notify(30, randomBody(30, 1000))
		time.Sleep(50 * time.Millisecond)
		s.notify(29, randomBody(29, 1000)) // older: reordered, and nothing
		s.notify(31, []byte("short"))      // newer, and whole
		expectState(t, updates, 20*time.Millisecond, "short")
		time.Sleep(time.Minute)
		if n := len(updates); n > 0 {
			t.Errorf("%d updates more", n)
		}
	})
}

// A state that can't be fetched is an error, and the observation goes on.
func TestObserveFetchFails(t *testing.T) {
	setup := func(c *coap.Client) { c.Limits.BodyBytes = 500 }
	withObserved(t, setup, func(t *testing.T, s *blockServer, _ *coap.Client, updates <-chan update) {
		s.notify(2, randomBody(2, 1000))
		expectError(t, next(t, updates, time.Second).err, coap.ErrBlockIncomplete, "observe", "at most 500 bytes")
		s.notify(3, randomBody(3, 100))
		expectState(t, updates, time.Second, string(randomBody(3, 100)))
		gone := true
		s.scripted(func(v *message.View) *message.Message {
			if b, _ := v.Block2(); b.Num > 0 && gone {
				return &message.Message{Code: message.NotFound}
			}
			return nil
		})
		s.notify(4, randomBody(4, 100))
		u := next(t, updates, time.Second)
		expectError(t, u.err, coap.ErrBlockIncomplete, "block 1/0/32, byte 32", "4.04")
		s.scripted(nil)
		s.notify(5, randomBody(5, 100))
		expectState(t, updates, time.Second, string(randomBody(5, 100)))
		// Nobody tells of the state that is lost: the registration after Max-Age brings one.
		gone = true
		s.scripted(func(v *message.View) *message.Message {
			if b, _ := v.Block2(); b.Num > 0 && gone {
				gone = false
				return &message.Message{Code: message.NotFound}
			}
			return nil
		})
		s.notify(6, randomBody(6, 100))
		expectError(t, next(t, updates, time.Second).err, coap.ErrBlockIncomplete)
		expectState(t, updates, 100*time.Second, string(randomBody(6, 100)))
	})
}

// The representation may change while it is fetched and the notification of it be lost.
func TestObserveFetchRestarts(t *testing.T) {
	withObserved(t, nil, func(t *testing.T, s *blockServer, _ *coap.Client, updates <-chan update) {
		changed := false
		s.scripted(func(v *message.View) *message.Message {
			if b, _ := v.Block2(); b.Num == 2 && !changed {
				changed = true
				s.network.Partition(s.addr)
				go func() {
					s.notify(3, randomBody(3, 100))
					s.network.Heal()
				}()
				return &message.Message{} // sent again in 2 s
			}
			return nil
		})
		s.notify(2, randomBody(2, 100))
		time.Sleep(time.Second)
		s.scripted(nil)
		s.mu.Lock()
		clear(s.answers)
		s.mu.Unlock()
		expectState(t, updates, 5*time.Second, string(randomBody(3, 100)))
		expectLines(t, s, "GET 2:1/0/32 0", "GET 2:2/0/32 0", "GET 2:2/0/32 0",
			"GET 2:0/0/32 0", "GET 2:1/0/32 0", "GET 2:2/0/32 0", "GET 2:3/0/32 0")
	})
}

// Leaving the loop, the context and Close stop a fetch.
func TestObserveLeftWhileFetching(t *testing.T) {
	for name, leave := range map[string]func(cancel context.CancelFunc, c *coap.Client){
		"context": func(cancel context.CancelFunc, _ *coap.Client) { cancel() },
		"close":   func(_ context.CancelFunc, c *coap.Client) { c.Close() },
	} {
		for range 20 { // who notices first is a matter of luck
			withBlocks(t, 32, func(t *testing.T, s *blockServer) {
				s.network.SetDefault(simnet.Link{Delay: 10 * time.Millisecond})
				s.serve(message.Content, []byte("short"))
				c := s.client(nil)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				updates := followBodies(ctx, c, s.url)
				expectState(t, updates, time.Second, "short")
				s.notify(2, randomBody(2, 10_000))
				time.Sleep(200 * time.Millisecond)
				s.take()
				leave(cancel, c)
				synctest.Wait()
				u, ok := <-updates
				if !ok || !errors.Is(u.err, context.Canceled) && !errors.Is(u.err, coap.ErrClosed) || errors.Is(u.err, coap.ErrBlockIncomplete) {
					t.Errorf("%v", u.err)
				}
				if _, more := <-updates; more {
					t.Error("it goes on")
				}
				time.Sleep(time.Minute)
				if lines := blockLines(s.take()); len(lines) > 3 || lines[len(lines)-1] != "GET observe 0" {
					t.Errorf("%s: requests then:\n%q", name, lines)
				}
			})
		}
	}
}

// What ends an observation may be larger than a message.
func TestObserveEndsWithBlocks(t *testing.T) {
	withObserved(t, nil, func(t *testing.T, s *blockServer, _ *coap.Client, updates <-chan update) {
		text := bytes.Repeat([]byte("gone "), 20)
		s.serve(message.NotFound, text)
		s.mu.Lock()
		m := &message.Message{Type: message.NonConfirmable, Code: message.NotFound, ID: 77, Token: s.token, Payload: text[:32],
			Options: []message.Option{uintOption(message.Block2, message.Block{More: true, SZX: 1}.Encode())}}
		s.mu.Unlock()
		s.push(m)
		u := next(t, updates, time.Second)
		if !errors.Is(u.err, coap.ErrObservationEnded) || u.value != string(text) {
			t.Errorf("%q, %v", u.value, u.err)
		}
		if _, more := <-updates; more {
			t.Error("it goes on")
		}
	})
}
