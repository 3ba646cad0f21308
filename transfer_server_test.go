package coap_test

import (
	"bytes"
	"context"
	"io"
	"testing"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/coaptest"
	"github.com/motewire/coap/message"
	"github.com/motewire/coap/transport/simnet"
)

// echoBody answers with the body of the request.
var echoBody = coap.HandlerFunc(func(w coap.ResponseWriter, r *coap.Request) { w.Write(r.Payload()) })

// Client and server of this package pass a mebibyte over a link that loses, duplicates and
// reorders, whole and both ways; as bytes and as a stream.
func TestTransferBetweenOurs(t *testing.T) {
	if testing.Short() {
		t.Skip("mebibytes in both directions")
	}
	want := randomBody(1, 1<<20)
	for name, body := range map[string]func() coap.Body{
		"bytes":  func() coap.Body { return coap.Bytes(want, message.OctetStream) },
		"stream": func() coap.Body { return coap.Stream(onlyReader{bytes.NewReader(want)}, message.OctetStream) },
	} {
		t.Run(name, func(t *testing.T) {
			withServer(t, echoBody, nil, func(t *testing.T, s *coaptest.Server) {
				s.Network.SetDefault(hostile(0.1))
				resp, err := s.Client().Post(t.Context(), s.URL, body())
				if err != nil || resp.Code != message.Changed {
					t.Fatalf("%v, %v", resp.Message(), err)
				}
				expectBytes(t, resp, want)
			})
		})
	}
}

// At 20 % loss each way, and with small blocks, too.
func TestTransferBetweenOursHeavyLoss(t *testing.T) {
	withServer(t, echoBody, nil, func(t *testing.T, s *coaptest.Server) {
		s.Network.SetDefault(hostile(0.2))
		want := randomBody(2, 16<<10)
		resp, err := s.Client().Post(t.Context(), s.URL, coap.Raw(want), coap.BlockSize(64))
		if err != nil {
			t.Fatal(err)
		}
		expectBytes(t, resp, want)
	})
}

// Several uploads of one client to one resource, over a bad link, keep apart.
func TestTransfersBetweenOursOverlap(t *testing.T) {
	withServer(t, echoBody, nil, func(t *testing.T, s *coaptest.Server) {
		s.Network.SetDefault(hostile(0.1))
		c := newClient(t, s, func(c *coap.Client) { c.Params.NStart = 8 })
		done := make(chan error, 8)
		for i := range 8 {
			go func() {
				want := randomBody(uint64(i), 5000)
				resp, err := c.Post(t.Context(), s.URL, coap.Raw(want), coap.BlockSize(128))
				var got []byte
				if err == nil {
					got, err = resp.Bytes()
				}
				if err == nil && !bytes.Equal(got, want) {
					err = io.ErrUnexpectedEOF
				}
				done <- err
			}()
		}
		for range 8 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	})
}

// Random access and observation against the server of this package.
func TestRangesAndNotificationsBetweenOurs(t *testing.T) {
	value := coap.NewState(string(randomBody(1, 5000)))
	mux := coap.NewMux()
	mux.Handle("GET /value", value)
	withServer(t, mux, func(s *coaptest.Server) { s.Config.NotifyInterval = -1 }, func(t *testing.T, s *coaptest.Server) {
		s.Network.SetDefault(simnet.Link{Delay: 10 * time.Millisecond})
		c := s.Client()
		a, err := c.ReaderAt(t.Context(), s.URL+"/value", coap.BlockSize(256))
		if err != nil {
			t.Fatal(err)
		}
		body := []byte(value.Get())
		if got, err := io.ReadAll(io.NewSectionReader(a, 0, 1<<20)); err != nil || !bytes.Contains(got, body[:100]) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		updates := followBodies(ctx, c, s.URL+"/value")
		first := next(t, updates, time.Second)
		for i := range 5 {
			value.Set(string(randomBody(uint64(i+2), 5000)))
			u := next(t, updates, time.Second)
			if u.err != nil || u.value == first.value || len(u.value) < 5000 {
				t.Errorf("%d bytes, %v", len(u.value), u.err)
			}
			first = u
		}
		value.Set(string(randomBody(9, 5000)))
		if _, err := a.ReadAt(make([]byte, 10), 3000); err == nil {
			t.Error("another representation was read")
		}
	})
}
