package coap_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/coaptest"
	"github.com/motewire/coap/message"
	"github.com/motewire/coap/transport/simnet"
)

// expectError checks what a request failed by and that the text says the given things.
func expectError(t *testing.T, err, want error, says ...string) {
	t.Helper()
	var op *coap.OpError
	if !errors.Is(err, want) || !errors.As(err, &op) {
		t.Errorf("%v (%T), want an OpError with %v", err, err, want)
		return
	}
	for _, s := range says {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("%q does not say %q", err, s)
		}
	}
}

// RFC 7252 §4.2, §4.8.2: five transmissions, given up after 62 s to MAX_TRANSMIT_WAIT.
func TestRequestTimesOut(t *testing.T) {
	withServer(t, say(""), nil, func(t *testing.T, s *coaptest.Server) {
		s.Network.Partition(s.Addr)
		w, began := tap(s), time.Now()
		_, err := s.Client().Get(t.Context(), s.URL)
		expectError(t, err, coap.ErrTimeout, "GET", s.URL, "(5 sent)")
		if d := time.Since(began); d < 62*time.Second || d > 93*time.Second {
			t.Errorf("given up after %v", d)
		}
		if lines := w.take(); len(lines) != 5 {
			t.Errorf("sent:\n%s", strings.Join(lines, "\n"))
		}
		var op *coap.OpError
		if errors.As(err, &op) && (op.Attempts != 5 || op.Phase != "acknowledgement" || op.Peer != s.Addr.String()) {
			t.Errorf("%+v", op)
		}
	})
}

// The retransmission of a request whose answer was lost gets the same answer (RFC 7252
// §4.5), and the response says how many transmissions it took.
func TestRetransmission(t *testing.T) {
	withServer(t, say("hello"), nil, func(t *testing.T, s *coaptest.Server) {
		c := newClient(t, s, func(c *coap.Client) { c.Params.AckRandomFactor = 1 })
		s.Network.Partition(s.Addr)
		time.AfterFunc(7*time.Second, s.Network.Heal)
		w := tap(s)
		resp := get(t, c, s.URL)
		if resp.Attempts != 4 || resp.RTT != 14*time.Second {
			t.Errorf("%d attempts, %v", resp.Attempts, resp.RTT)
		}
		w.expect(t, "0s > CON 0.01 cut", "2s > CON 0.01 cut", "6s > CON 0.01 cut", "14s > CON 0.01", "14s < ACK 2.05")
	})
}

// A cancelled context stops retransmissions at once.
func TestCancellation(t *testing.T) {
	withServer(t, say(""), nil, func(t *testing.T, s *coaptest.Server) {
		s.Network.Partition(s.Addr)
		w, began := tap(s), time.Now()
		ctx, cancel := context.WithCancelCause(t.Context())
		errBored := errors.New("bored")
		time.AfterFunc(10*time.Second, func() { cancel(errBored) })
		_, err := s.Client().Get(ctx, s.URL)
		expectError(t, err, errBored, "waiting for acknowledgement (3 sent)")
		if d := time.Since(began); d != 10*time.Second {
			t.Errorf("ended after %v", d)
		}
		time.Sleep(time.Hour)
		if lines := w.take(); len(lines) != 3 {
			t.Errorf("sent:\n%s", strings.Join(lines, "\n"))
		}
		_, err = s.Client().Get(ctx, s.URL) // ended before it began
		expectError(t, err, errBored)
		w.expect(t)
	})
}

func TestDeadline(t *testing.T) {
	withServer(t, slow(time.Hour, ""), nil, func(t *testing.T, s *coaptest.Server) {
		_, err := s.Client().Get(timeout(t, 5*time.Second), s.URL)
		expectError(t, err, context.DeadlineExceeded, "waiting for response (1 sent)")
	})
}

// An acknowledged request without response fails in the end (RFC 7252 §5.2.2).
func TestResponseTimeout(t *testing.T) {
	withServer(t, slow(time.Hour, ""), nil, func(t *testing.T, s *coaptest.Server) {
		began := time.Now()
		_, err := s.Client().Get(t.Context(), s.URL)
		expectError(t, err, coap.ErrResponseTimeout, "no response (1 sent)")
		if d := time.Since(began); d < 247*time.Second || d > 248*time.Second {
			t.Errorf("after %v", d)
		}
		c := newClient(t, s, func(c *coap.Client) { c.ResponseTimeout = 3 * time.Second })
		_, err = c.Get(t.Context(), s.URL, coap.NonConfirmable)
		expectError(t, err, coap.ErrResponseTimeout)
		if d := time.Since(began); d < 250*time.Second || d > 252*time.Second {
			t.Errorf("after %v", d)
		}
	})
}

func TestOtherErrors(t *testing.T) {
	withServer(t, say(""), nil, func(t *testing.T, s *coaptest.Server) {
		c := s.Client()
		_, err := c.Get(t.Context(), "coap://10.99.99.99/x")
		expectError(t, err, coap.ErrUnreachable, "10.99.99.99", "(1 sent)", "refused")
		if !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("%v is no ECONNREFUSED", err)
		}
		deaf := newRawPeer(t, s) // rejects whatever is Confirmable
		go func() {
			v := deaf.receive(time.Second)
			deaf.reply(datagram(t, message.Reset, message.Empty, v.ID(), message.Token{}, ""))
		}()
		_, err = c.Get(t.Context(), "coap://"+deaf.conn.LocalAddr().String())
		expectError(t, err, coap.ErrReset, "reset by peer (1 sent)")
		for _, url := range []string{"http://a/", "coap:/a", "", "/path", "coaps://10.0.0.1/"} {
			_, err = c.Get(t.Context(), url)
			expectError(t, err, coap.ErrURL, url)
		}
		_, err = c.Get(t.Context(), s.URL, coap.Option(message.URIQuery, make([]byte, 1152)))
		expectError(t, err, coap.ErrTooLarge)
		_, err = c.Put(t.Context(), s.URL, coap.JSON(func() {}))
		expectError(t, err, err, "json")
		_, err = c.Get(t.Context(), "coap://224.0.1.187/")
		expectError(t, err, coap.ErrURL, "Group")
		c.Close()
		_, err = c.Get(t.Context(), s.URL)
		expectError(t, err, coap.ErrClosed)
		if err := c.Close(); err != nil {
			t.Errorf("Close twice: %v", err)
		}
	})
}

// Close ends the calls in progress.
func TestClientClose(t *testing.T) {
	withServer(t, slow(time.Hour, ""), nil, func(t *testing.T, s *coaptest.Server) {
		c := newClient(t, s, nil)
		time.AfterFunc(time.Minute, func() { c.Close() })
		_, err := c.Get(t.Context(), s.URL)
		expectError(t, err, coap.ErrClosed)
	})
}

// RFC 7252 §4.3: "Provoking a Reset message [...] (e.g., by sending an Empty Confirmable
// message) is also useful as an inexpensive check of the liveness of an endpoint".
func TestPing(t *testing.T) {
	withServer(t, say(""), nil, func(t *testing.T, s *coaptest.Server) {
		s.Network.SetDefault(simnet.Link{Delay: 30 * time.Millisecond})
		rtt, err := s.Client().Ping(t.Context(), s.URL)
		if rtt != 60*time.Millisecond || err != nil {
			t.Errorf("%v, %v", rtt, err)
		}
		s.Network.Partition(s.Addr)
		_, err = s.Client().Ping(t.Context(), s.URL)
		expectError(t, err, coap.ErrTimeout, "ping", "(5 sent)")
		_, err = s.Client().Ping(t.Context(), "coap://")
		expectError(t, err, coap.ErrURL, "ping")
	})
}

// Responses are matched by token: 200 calls at once get each their own.
func TestConcurrentRequests(t *testing.T) {
	echo := coap.HandlerFunc(func(w coap.ResponseWriter, r *coap.Request) {
		time.Sleep(time.Duration(len(r.Payload())%7) * 50 * time.Millisecond)
		w.Write(r.Payload())
	})
	withServer(t, echo, nil, func(t *testing.T, s *coaptest.Server) {
		s.Network.SetDefault(simnet.Link{Delay: 10 * time.Millisecond, Jitter: 100 * time.Millisecond})
		c := newClient(t, s, func(c *coap.Client) { c.Params.NStart = -1; c.Params.ProbingRate = -1 })
		var group sync.WaitGroup
		for i := range 200 {
			group.Go(func() {
				body := strings.Repeat("x", i%7) + fmt.Sprint(i)
				resp, err := c.Post(t.Context(), s.URL, coap.Text(body))
				if err != nil {
					t.Error(err)
					return
				}
				checkResponse(t, resp, message.Changed, body)
			})
		}
		group.Wait()
		if n := c.Stats().Messages.OpenExchanges; n != 0 {
			t.Errorf("%d exchanges left open", n)
		}
	})
}

// RFC 7252 §4.7: with NSTART 1 one request to a peer is outstanding at a time, and they go
// in the order of the calls; other peers don't wait.
func TestNStart(t *testing.T) {
	var order []string
	var mu sync.Mutex
	h := coap.HandlerFunc(func(_ coap.ResponseWriter, r *coap.Request) {
		mu.Lock()
		defer mu.Unlock()
		order = append(order, r.Path())
	})
	withServer(t, h, nil, func(t *testing.T, s *coaptest.Server) {
		s.Network.SetDefault(simnet.Link{Delay: 500 * time.Millisecond})
		began := time.Now()
		var group sync.WaitGroup
		for i := range 5 {
			group.Go(func() { get(t, s.Client(), fmt.Sprint(s.URL, "/", i)) })
			synctest.Wait()
		}
		impatient := timeout(t, 1500*time.Millisecond)
		group.Go(func() {
			_, err := s.Client().Get(impatient, s.URL+"/impatient")
			expectError(t, err, context.DeadlineExceeded, "waiting to be sent")
		})
		group.Wait()
		if d := time.Since(began); d != 5*time.Second {
			t.Errorf("five round trips took %v", d)
		}
		if want := []string{"/0", "/1", "/2", "/3", "/4"}; !slices.Equal(order, want) {
			t.Errorf("%v", order)
		}
	})
}

// RFC 7252 §8: a group's members answer a NON request from their own addresses at a random
// moment of their leisure, and keep errors to themselves.
func TestGroup(t *testing.T) {
	group := netip.MustParseAddr("224.0.1.187")
	discoverable := func(rt string) *coap.Mux {
		mux := coap.NewMux()
		mux.Handle("GET /r", say("not for groups"), coap.ResourceType(rt))
		mux.Handle("GET /all", say("for groups"), coap.Multicast())
		mux.HandleFunc("GET /fails", func(w coap.ResponseWriter, _ *coap.Request) {
			coap.Error(w, message.InternalServerError, "")
		}, coap.Multicast())
		return mux
	}
	member := func(s *coaptest.Server) { s.Config.Groups = []coap.Group{{Addr: group}} }
	withServer(t, discoverable("light"), member, func(t *testing.T, s *coaptest.Server) {
		for _, rt := range []string{"light", "heat"} {
			other := coaptest.NewUnstartedServer(discoverable(rt))
			other.Network = s.Network
			member(other)
			other.Start()
			defer other.Close()
		}
		s.Network.SetDefault(simnet.Link{Duplicate: 1})
		for path, answers := range map[string]int{
			"/.well-known/core": 3, "/.well-known/core?rt=light": 2, "/all": 3, "/r": 0, "/fails": 0, "/none": 0,
		} {
			began, peers := time.Now(), map[netip.AddrPort]bool{}
			for resp, err := range s.Client().Group(t.Context(), "coap://224.0.1.187"+path) {
				if err != nil {
					t.Fatal(err)
				}
				if peers[resp.Peer()] || resp.Code != message.Content || resp.Message().Type() != message.NonConfirmable {
					t.Errorf("%s: %v from %v", path, resp.Message(), resp.Peer())
				}
				peers[resp.Peer()] = true
				if d := time.Since(began); d > 5*time.Second {
					t.Errorf("%s: answered after %v", path, d)
				}
			}
			if len(peers) != answers || time.Since(began) != 7*time.Second {
				t.Errorf("%s: %d answers in %v, want %d in 7s", path, len(peers), time.Since(began), answers)
			}
		}
		for range s.Client().Group(t.Context(), "coap://224.0.1.187/all") {
			break
		}
		if n := s.Client().Stats().Messages.OpenExchanges; n != 0 {
			t.Errorf("%d exchanges open after the loop was left", n)
		}
		resp, err := s.Client().Get(t.Context(), "coap://224.0.1.187/all", coap.NonConfirmable)
		if err != nil {
			t.Fatal(err)
		}
		checkResponse(t, resp, message.Content, "for groups")
	})
}

// RFC 7252 §8.1: what is sent to a group and is no NON request is ignored.
func TestGroupIgnores(t *testing.T) {
	group := netip.MustParseAddrPort("224.0.1.187:5683")
	mux := coap.NewMux()
	mux.Handle("/", say("hello"), coap.Multicast())
	member := func(s *coaptest.Server) { s.Config.Groups = []coap.Group{{Addr: group.Addr()}} }
	withServer(t, mux, member, func(t *testing.T, s *coaptest.Server) {
		p := rawPeerOn(t, s.Network, netip.MustParseAddrPort("10.8.8.8:4000"), group)
		p.send(datagram(t, message.Confirmable, message.GET, 1, tokenOf(1), ""))
		p.send(datagram(t, message.Confirmable, message.Empty, 2, message.Token{}, ""))
		p.send(datagram(t, message.Confirmable, message.Content, 3, tokenOf(1), ""))
		p.send([]byte{0x49, 1, 0, 4})
		p.send(datagram(t, message.NonConfirmable, message.GET, 5, tokenOf(1), "", message.Option{Number: 65001}))
		p.silence(time.Minute)
		p.send(datagram(t, message.NonConfirmable, message.GET, 6, tokenOf(1), ""))
		if v := p.receive(6 * time.Second); v.Type() != message.NonConfirmable || string(v.Payload()) != "hello" {
			t.Errorf("%v", v)
		}
	})
}

// Under loss, duplication and reordering every Confirmable request is handled exactly once
// and answered, as far as it is answered, by its own response.
func TestBadNetworks(t *testing.T) {
	for name, link := range map[string]simnet.Link{
		"loss":      {Loss: 0.2, Delay: 20 * time.Millisecond},
		"duplicate": {Duplicate: 1, Delay: 20 * time.Millisecond, Jitter: 300 * time.Millisecond},
		"reorder":   {Reorder: 0.5, HoldBack: time.Second, Delay: 20 * time.Millisecond},
		"all":       {Loss: 0.2, Duplicate: 0.3, Reorder: 0.3, HoldBack: 3 * time.Second, Delay: 50 * time.Millisecond, Jitter: 100 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) { badNetwork(t, link) })
	}
}

func badNetwork(t *testing.T, link simnet.Link) {
	const requests = 300
	var runs [requests]atomic.Int32
	h := coap.HandlerFunc(func(w coap.ResponseWriter, r *coap.Request) {
		var i int
		fmt.Sscan(string(r.Payload()), &i)
		runs[i].Add(1)
		if i%3 == 0 {
			time.Sleep(time.Second) // a separate response
		}
		w.Write(r.Payload())
	})
	withServer(t, h, nil, func(t *testing.T, s *coaptest.Server) {
		s.Network.SetDefault(link)
		c := newClient(t, s, func(c *coap.Client) { c.Params.NStart = 8 })
		var failed atomic.Int32
		var group sync.WaitGroup
		for i := range requests {
			group.Go(func() {
				resp, err := c.Post(t.Context(), s.URL, coap.Text(fmt.Sprint(i)))
				switch {
				case errors.Is(err, coap.ErrTimeout) || errors.Is(err, coap.ErrResponseTimeout):
					failed.Add(1)
				case err != nil:
					t.Error(err)
				default:
					checkResponse(t, resp, message.Changed, fmt.Sprint(i))
					if n := runs[i].Load(); n != 1 {
						t.Errorf("request %d was handled %d times", i, n)
					}
				}
			})
		}
		group.Wait()
		for i := range runs {
			if n := runs[i].Load(); n > 1 {
				t.Errorf("request %d was handled %d times", i, n)
			}
		}
		if link.Loss == 0 && failed.Load() > 0 || failed.Load() > requests/20 {
			t.Errorf("%d of %d requests failed", failed.Load(), requests)
		}
		if n := s.Config.Stats().HandlersAway; n != 0 {
			t.Errorf("%d handlers away at the end", n)
		}
	})
}

// RFC 7252 §4.4: "The same Message ID MUST NOT be reused [...] within the
// EXCHANGE_LIFETIME". When all are in use a client takes the next source port, and waits
// where it has none left.
func TestMessageIDsRunOut(t *testing.T) {
	if testing.Short() {
		t.Skip("130,000 requests")
	}
	withServer(t, say(""), nil, func(t *testing.T, s *coaptest.Server) {
		c := newClient(t, s, func(c *coap.Client) { c.SourcePorts = 2 })
		const all = 64512 // message IDs of one port towards one peer
		began := time.Now()
		for i := range 2 * all {
			if _, err := c.Get(t.Context(), s.URL, coap.NonConfirmable); err != nil {
				t.Fatalf("request %d: %v", i, err)
			}
		}
		if d := time.Since(began); d > time.Second {
			t.Errorf("waited %v within what two ports have", d)
		}
		_, err := c.Get(timeout(t, time.Minute), s.URL, coap.NonConfirmable)
		expectError(t, err, coap.ErrMessageIDsExhausted)
		expectError(t, err, context.DeadlineExceeded, "waiting to be sent")
		get(t, c, s.URL)
		if d := time.Since(began); d < 247*time.Second || d > 300*time.Second {
			t.Errorf("the first message ID became free after %v", d)
		}
	})
}
