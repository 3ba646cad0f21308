package plugtest

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/coaptest"
	"github.com/motewire/coap/message"
	"github.com/motewire/coap/transport/simnet"
)

// A wire keeps what goes over a server's network.
type wire struct {
	mu      sync.Mutex
	records []simnet.Record
}

func watch(s *coaptest.Server) *wire {
	w := new(wire)
	s.Network.Tap(func(r simnet.Record) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.records = append(w.records, r)
	})
	return w
}

func (w *wire) messages(t *testing.T) []*message.View {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	var list []*message.View
	for _, r := range w.records {
		v := new(message.View)
		if err := v.Parse(r.Data); err != nil {
			t.Fatal(err)
		}
		list = append(list, v)
	}
	return list
}

// ladder describes the messages: when each was sent since begin, type and code.
func (w *wire) ladder(t *testing.T, begin time.Time) string {
	t.Helper()
	var lines []string
	for i, v := range w.messages(t) {
		lines = append(lines, fmt.Sprintf("%v %v %v", w.records[i].Sent.Sub(begin), v.Type(), v.Code()))
	}
	return strings.Join(lines, ", ")
}

// RFC 7252 §5.2.2, and §5.2.3 for Non-confirmable requests.
func TestSeparate(t *testing.T) {
	non := []coap.RequestOption{coap.NonConfirmable}
	con, nonText := "Type: 0 (CON)\nCode: 1 (GET)\nMID: ", "Type: 1 (NON)\nCode: 1 (GET)\nMID: "
	tests := []struct {
		step
		text   string // the payload begins with it
		ladder string
	}{
		{get("/separate", anyPayload), con, "0s CON 0.01, 0s ACK 0.00, 1s CON 2.05, 1s ACK 0.00"},
		{get("/separate", anyPayload, non...), nonText, "0s NON 0.01, 1s NON 2.05"},
		{get("/separate?delay=0", anyPayload), con, "0s CON 0.01, 0s ACK 0.00, 0s CON 2.05, 0s ACK 0.00"},
		{get("/separate?delay=10000", anyPayload), con, "0s CON 0.01, 0s ACK 0.00, 10s CON 2.05, 10s ACK 0.00"},
		{get("/separate?delay=250", anyPayload, non...), nonText, "0s NON 0.01, 250ms NON 2.05"},
		{step{method: message.POST, path: "/separate", code: message.Changed, want: "1"}, "1", "0s CON 0.02, 0s ACK 0.00, 1s CON 2.04, 1s ACK 0.00"},
		{refused(message.GET, "/separate?delay=10001", none, message.BadRequest), "", "0s CON 0.01, 0s ACK 4.00"},
		{refused(message.GET, "/separate?delay=x", none, message.BadRequest), "", "0s CON 0.01, 0s ACK 4.00"},
		{refused(message.POST, "/separate", none, message.NotAcceptable, coap.Accept(message.AppJSON)), "", "0s CON 0.02, 0s ACK 4.06"},
	}
	for _, tt := range tests {
		t.Run(tt.String(), func(t *testing.T) {
			coaptest.Run(t, func(t *testing.T) {
				s := coaptest.NewServer(New().Mux())
				defer s.Close()
				w := watch(s)
				begin := time.Now()
				resp := tt.run(t, s)
				if !strings.HasPrefix(string(resp.Payload()), tt.text) {
					t.Errorf("payload %q, want %q…", resp.Payload(), tt.text)
				}
				synctest.Wait()
				if got := w.ladder(t, begin); got != tt.ladder {
					t.Errorf("%s\nwant %s", got, tt.ladder)
				}
			})
		})
	}
}

// The counter is raised when a POST is first executed, not when it is answered, and not
// for a duplicate.
func TestSeparatePostCountsOnce(t *testing.T) {
	coaptest.Run(t, func(t *testing.T) {
		s := coaptest.NewServer(New().Mux())
		defer s.Close()
		s.Network.SetDefault(simnet.Link{Duplicate: 1})
		var answered sync.WaitGroup
		answered.Go(func() {
			step{method: message.POST, path: "/separate?delay=5000", code: message.Changed, want: "1"}.run(t, s)
		})
		synctest.Wait()
		other := &coap.Client{Listen: coaptest.Listen(s.Network)}
		defer other.Close()
		resp, err := other.Get(t.Context(), s.URL+"/counter")
		if err != nil || string(resp.Payload()) != "1" {
			t.Errorf("counter before the answer: %v %v", resp, err)
		}
		answered.Wait()
		get("/counter", "1").run(t, s)
	})
}

// Waiting must not block other requests, of the same or other endpoints.
func TestSeparateDelaysNobody(t *testing.T) {
	coaptest.Run(t, func(t *testing.T) {
		s := coaptest.NewServer(New().Mux())
		defer s.Close()
		client := &coap.Client{Listen: coaptest.Listen(s.Network), Params: coap.Params{NStart: -1}}
		defer client.Close()
		begin := time.Now()
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				resp, err := client.Get(t.Context(), s.URL+"/separate?delay=3000")
				if err != nil || resp.Code != message.Content || time.Since(begin) != 3*time.Second {
					t.Errorf("%v %v after %v", resp, err, time.Since(begin))
				}
			})
		}
		synctest.Wait()
		for range 20 {
			if resp, err := client.Get(t.Context(), s.URL+"/test"); err != nil || resp.Code != message.Content {
				t.Errorf("%v %v", resp, err)
			}
		}
		if d := time.Since(begin); d != 0 {
			t.Errorf("others waited %v", d)
		}
		all.Wait()
	})
}
