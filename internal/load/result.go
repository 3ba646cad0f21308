package load

import (
	"time"

	"github.com/motewire/coap/message"
)

// A Result is what came of a run.
type Result struct {
	// Sent counts requests, without their retransmissions.
	Sent uint64
	// Answered counts requests that got a response, of any code.
	Answered uint64
	// Codes counts responses by code.
	Codes [256]uint64
	// Retransmissions of Confirmable requests.
	Retransmissions uint64
	// Separate counts responses that did not come with the Acknowledgement (RFC 7252 §5.2.2).
	Separate uint64
	// Observations are responses that took the client on as an observer (RFC 7641),
	// Notifications came to requests that were answered before.
	Observations, Notifications uint64
	// Blocks counts the further messages of transfers in blocks (RFC 7959), Broken the
	// transfers that could not go on: the peer broke a rule, or message IDs ran out.
	Blocks, Broken uint64
	// Bytes of payload that were sent, by requests that were answered, and received.
	Bytes uint64
	// TimedOut requests got no answer in time, Reset ones were rejected by the server,
	// Unanswered ones were under way when the run ended.
	TimedOut, Reset, Unanswered uint64
	// Skipped requests of an open loop were due while no slot was free.
	Skipped uint64
	// Unreachable counts the network's reports of datagrams that did not arrive, Malformed
	// datagrams that are no CoAP, Strays messages that belong to no request under way.
	Unreachable, Malformed, Strays uint64
	// Elapsed is the time from the start to the end of the run's time or, where its
	// requests ended first, to the last answer. InTime counts the answers within it.
	Elapsed time.Duration
	InTime  uint64
	// Latency of the answered requests: from when each was sent first, or in an open loop
	// was due.
	Latency Histogram
	// Kinds are the results of each kind of a mix, in its order; none where there is one alone.
	Kinds []KindResult
}

// Rate returns the requests per second that were answered in time.
func (r *Result) Rate() float64 {
	if r.Elapsed <= 0 {
		return 0
	}
	return float64(r.InTime) / r.Elapsed.Seconds()
}

// Code returns how many responses had a code.
func (r *Result) Code(c message.Code) uint64 { return r.Codes[c] }

// Add adds what came of another run.
func (r *Result) Add(o *Result) {
	for _, sum := range []struct{ to, from *uint64 }{
		{&r.Sent, &o.Sent}, {&r.Answered, &o.Answered}, {&r.Retransmissions, &o.Retransmissions},
		{&r.Separate, &o.Separate}, {&r.TimedOut, &o.TimedOut}, {&r.Reset, &o.Reset},
		{&r.Unanswered, &o.Unanswered}, {&r.Skipped, &o.Skipped}, {&r.Unreachable, &o.Unreachable},
		{&r.Malformed, &o.Malformed}, {&r.Strays, &o.Strays}, {&r.InTime, &o.InTime},
		{&r.Notifications, &o.Notifications}, {&r.Blocks, &o.Blocks}, {&r.Broken, &o.Broken}, {&r.Observations, &o.Observations},
		{&r.Bytes, &o.Bytes},
	} {
		*sum.to += *sum.from
	}
	for i, n := range o.Codes {
		r.Codes[i] += n
	}
	for len(r.Kinds) < len(o.Kinds) {
		r.Kinds = append(r.Kinds, KindResult{})
	}
	for i := range o.Kinds {
		r.Kinds[i].Sent += o.Kinds[i].Sent
		r.Kinds[i].Answered += o.Kinds[i].Answered
		r.Kinds[i].Latency.Add(&o.Kinds[i].Latency)
	}
	r.Elapsed += o.Elapsed
	r.Latency.Add(&o.Latency)
}
