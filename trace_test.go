package coap_test

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/motewire/coap"
	"github.com/motewire/coap/coaptest"
	"github.com/motewire/coap/message"
)

// A client's trace tells of every transmission by its number, and of a time-out before
// the end of the exchange.
func TestTraceOfRequests(t *testing.T) {
	var mu sync.Mutex
	var sent, retransmitted []int
	var told []string
	var last coap.TraceExchange
	tell := func(what string) func(coap.TraceExchange) {
		return func(e coap.TraceExchange) {
			mu.Lock()
			defer mu.Unlock()
			told, last = append(told, what), e
		}
	}
	attempts := func(list *[]int) func(coap.TraceDatagram) {
		return func(d coap.TraceDatagram) {
			mu.Lock()
			defer mu.Unlock()
			*list = append(*list, d.Attempt)
		}
	}
	withServer(t, say("hello"), nil, func(t *testing.T, s *coaptest.Server) {
		c := newClient(t, s, func(c *coap.Client) {
			c.Trace = &coap.Trace{
				Sent: attempts(&sent), Retransmission: attempts(&retransmitted),
				Begin: tell("begin"), Timeout: tell("time-out"), End: tell("end"),
			}
		})
		get(t, c, s.URL)
		expectTold(t, &told, "begin", "end")
		if last.Inbound || last.Method != message.GET || last.Code != message.Content || last.Attempts != 1 || last.Err != nil {
			t.Errorf("%+v", last)
		}
		sent = nil
		s.Network.Partition(s.Addr)
		_, err := c.Get(t.Context(), s.URL)
		expectTold(t, &told, "begin", "time-out", "end")
		if last.Code != 0 || last.Attempts != 5 || last.Err != err || !errors.Is(err, coap.ErrTimeout) {
			t.Errorf("%+v, %v", last, err)
		}
		if !slices.Equal(sent, []int{1, 2, 3, 4, 5}) || !slices.Equal(retransmitted, []int{2, 3, 4, 5}) {
			t.Errorf("sent %v, of these again %v", sent, retransmitted)
		}
	})
}

// expectTold compares what was told, and forgets it.
func expectTold(t *testing.T, told *[]string, want ...string) {
	t.Helper()
	synctest.Wait()
	if !slices.Equal(*told, want) {
		t.Errorf("told %v, want %v", *told, want)
	}
	*told = nil
}
