package coap_test

import (
	"context"
	"encoding/json"
	"slices"
	"testing"

	"github.com/motewire/coap"
)

// Dashboards know counters by their names: a name that is here stays.
func TestStatsNamesAreStable(t *testing.T) {
	b, err := json.Marshal(coap.Stats{})
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]json.RawMessage
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	expectNames(t, got, "Messages", "Observations", "Uploads", "Responses", "Requests", "HandlerPanics", "Shed", "Challenges", "RateLimited", "SlowHandlers",
		"GroupResponsesDropped", "NotificationsStale", "NotificationsConflated", "ReceiveDrops", "HandlersAway")
	var messages map[string]json.RawMessage
	if err := json.Unmarshal(got["Messages"], &messages); err != nil {
		t.Fatal(err)
	}
	expectNames(t, messages, "Received", "Malformed", "Unserved", "Requests", "Responses", "Pings",
		"DuplicatesConfirmable", "DuplicatesNonConfirmable", "RepliesRepeated",
		"AcknowledgementsReceived", "ResetsReceived", "IgnoredAcknowledgements", "IgnoredResets",
		"IgnoredMulticast", "IgnoredEmpty", "UnexpectedResponses", "AcknowledgementsSent", "ResetsSent",
		"Transmissions", "Retransmissions", "Timeouts", "ResponseTimeouts", "Unreachable",
		"OverloadInbound", "OverloadDedup", "NotRemembered", "RepliesUnstored", "RepliesWaived", "RequestsAgain", "ResponsesLost", "Refused",
		"EvictedNonConfirmable", "EvictedIdempotent", "EvictedNonIdempotent",
		"PendingRequests", "OpenExchanges", "Remembered", "RememberedBytes", "Peers")
}

// expectNames fails where a name is missing, and where one has no place in the list yet.
func expectNames(t *testing.T, got map[string]json.RawMessage, want ...string) {
	t.Helper()
	for _, name := range want {
		if _, ok := got[name]; !ok {
			t.Errorf("%s is gone", name)
		}
	}
	for name := range got {
		if !slices.Contains(want, name) {
			t.Errorf("%s is new: name it here", name)
		}
	}
}

// A lossyFeed is a feed whose receive buffer was full seven times.
type lossyFeed struct{ *feed }

func (lossyFeed) ReceiveDrops() (uint64, bool) { return 7, true }

// What the sockets lost is summed, where they tell.
func TestStatsReceiveDrops(t *testing.T) {
	var s coap.Server
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := s.Serve(ctx, lossyFeed{newFeed(nil)}, newFeed(nil), lossyFeed{newFeed(nil)}); err != nil {
		t.Fatal(err)
	}
	if n := s.Stats().ReceiveDrops; n != 14 {
		t.Errorf("%d, want 14", n)
	}
}
