package coap_test

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/coaptest"
	"github.com/motewire/coap/message"
	"github.com/motewire/coap/transport"
	"github.com/motewire/coap/transport/simnet"
)

// A readerLog is a Conn that counts how often its reader has waited, and whether two did so
// at the same time.
type readerLog struct {
	*simnet.Conn
	mu       sync.Mutex
	now      int
	together bool
}

func (l *readerLog) ReadBatch(p []transport.Packet) (int, error) {
	l.enter(1)
	defer l.enter(-1)
	return l.Conn.ReadBatch(p)
}

func (l *readerLog) enter(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now += n
	l.together = l.together || l.now > 1
}

// While a transfer reads the socket for itself, the calls of others get their responses, by
// whatever they end: there is one reader at a time, and there is always one.
func TestTransferReadsForAll(t *testing.T) {
	var stored sync.Map
	h := coap.HandlerFunc(func(w coap.ResponseWriter, r *coap.Request) {
		if r.Method == message.PUT {
			stored.Store(r.Path(), bytes.Clone(r.Payload()))
		} else if body, ok := stored.Load(r.Path()); ok {
			w.Write(body.([]byte))
		}
	})
	withServer(t, h, nil, func(t *testing.T, s *coaptest.Server) {
		s.Network.SetDefault(simnet.Link{Delay: 10 * time.Millisecond, Jitter: 10 * time.Millisecond, Loss: 0.02})
		var conn *readerLog
		c := newClient(t, s, func(c *coap.Client) {
			listen := c.Listen
			c.Params.NStart = -1
			c.Listen = func(ctx context.Context, network string) (transport.Conn, error) {
				inner, err := listen(ctx, network)
				conn = &readerLog{Conn: inner.(*simnet.Conn)}
				return conn, err
			}
		})
		var all sync.WaitGroup
		for i := range 4 {
			all.Go(func() {
				url := fmt.Sprintf("%s/%d", s.URL, i)
				want := randomBody(uint64(i), 1000*(i+1))
				for range 10 {
					if resp, err := c.Put(t.Context(), url, coap.Raw(want), coap.BlockSize(64)); err != nil || !resp.Code.IsSuccess() {
						t.Errorf("PUT: %v, %v", resp, err)
						return
					}
					expectBytes(t, get(t, c, url, coap.BlockSize(64)), want)
				}
			})
			all.Go(func() { // small requests, some of which their callers leave
				for n := range 200 {
					c.Get(timeout(t, time.Duration(5+n)*time.Millisecond), s.URL+"/none")
				}
			})
		}
		all.Wait()
		synctest.Wait()
		if conn.mu.Lock(); conn.together || conn.now != 1 {
			t.Errorf("two readers at once: %v; %d readers now", conn.together, conn.now)
		}
		conn.mu.Unlock()
	})
}

// A transfer that reads the socket ends at once when its context does or the client is
// closed, and when nobody answers; the client's next request is answered as ever.
func TestTransferReadingEnds(t *testing.T) {
	withBlocks(t, 32, func(t *testing.T, s *blockServer) {
		for name, end := range map[string]func(c *coap.Client, cancel func()){
			"context": func(_ *coap.Client, cancel func()) { cancel() },
			"close":   func(c *coap.Client, _ func()) { c.Close() },
			"silence": func(*coap.Client, func()) {},
		} {
			c := s.client(nil)
			s.scripted(silentAfter(5))
			ctx, cancel := context.WithCancel(t.Context())
			began := time.Now()
			time.AfterFunc(time.Second, func() { end(c, cancel) })
			_, err := c.Put(ctx, s.url, coap.Raw(make([]byte, 1000)), coap.BlockSize(32))
			want := map[string]error{"context": context.Canceled, "close": coap.ErrClosed, "silence": coap.ErrTimeout}[name]
			expectError(t, err, want, "byte 160")
			if took := time.Since(began); name != "silence" && took != time.Second {
				t.Errorf("%s: after %v", name, took)
			}
			cancel()
			s.scripted(nil)
			s.take()
			if name != "close" {
				s.serve(message.Content, []byte("alive"))
				checkResponse(t, get(t, c, s.url), message.Content, "alive")
			}
		}
	})
}
