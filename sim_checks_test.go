package coap_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/message"
)

// checkCalls holds every call against the rules.
func (w *simWorld) checkCalls() {
	for n := range w.plans {
		p, o := &w.plans[n], &w.outcomes[n]
		if o.ended.IsZero() {
			w.breaks("bound", "call %d has not ended", n)
			continue
		}
		w.checkBound(n, p, o)
		w.checkRuns(n, p, o)
		if o.err != nil {
			w.checkError(n, p, o)
		} else {
			w.checkAnswer(n, p, o)
		}
	}
}

// checkRuns: a handler runs exactly once for a request that succeeded and at most once for
// one that failed, as long as the server knows that it is one (RFC 7252 §4.5). A GET may run again
// for a block that is asked for later (RFC 7959 §2.4).
func (w *simWorld) checkRuns(n int, p *simPlan, o *simOutcome) {
	if p.kind == simPing || p.kind == simSource || p.kind == simGet && !w.oneMessage(p) {
		return
	}
	total := 0
	for run, times := range w.runs {
		if run.call != n {
			continue
		}
		total += times
		if times > 1 {
			w.breaks("once", "call %d was handled %d times by server %d for %v", n, times, run.incarnation, run.from)
		}
	}
	if total > 1 && !w.forgetful() {
		w.breaks("once", "call %d was handled %d times", n, total)
	}
	if total == 0 && o.err == nil && o.code.IsSuccess() {
		w.breaks("once", "call %d succeeded and was never handled", n)
	}
}

// checkAnswer: a response is the one to its request, and whole.
func (w *simWorld) checkAnswer(n int, p *simPlan, o *simOutcome) {
	switch {
	case p.kind == simPing:
	case o.code.IsSuccess():
		if want := simBody(ofResponse, n, p.down); !bytes.Equal(o.body, want) {
			w.breaks("answer", "call %d got %d bytes, want %d: %.40x, want %.40x", n, len(o.body), len(want), o.body, want)
		}
	case o.code == message.RequestEntityIncomplete && w.forgot(o): // RFC 7959 §2.9.2
	default:
		w.breaks("answer", "call %d got %v", n, o.code)
	}
}

// forgot reports whether the server may have given up a transfer: it was restarted, the
// client has another address, or so much was lost that no block came for TransferTimeout.
func (w *simWorld) forgot(o *simOutcome) bool {
	return w.forgetful() || o.ended.Sub(o.begun) > w.params.ExchangeLifetime()
}

// checkError: a call fails by an error that says why, and for a reason.
func (w *simWorld) checkError(n int, p *simPlan, o *simOutcome) {
	var op *coap.OpError
	if !errors.As(o.err, &op) {
		w.breaks("typed", "call %d: %T: %v", n, o.err, o.err)
	}
	switch {
	case p.cancel && errors.Is(o.err, context.Canceled), !p.cancel && p.deadline > 0 && errors.Is(o.err, context.DeadlineExceeded):
		if took := o.ended.Sub(o.begun); took != p.deadline {
			w.breaks("bound", "call %d failed after %v by a context that ended after %v", n, took, p.deadline)
		}
	case w.calm():
		w.breaks("calm", "call %d: %v", n, o.err)
	case errors.Is(o.err, coap.ErrTimeout), errors.Is(o.err, coap.ErrResponseTimeout):
	case errors.Is(o.err, coap.ErrUnreachable) && (w.narrow() || w.forgetful() && w.refusals):
	case (errors.Is(o.err, coap.ErrBlockIncomplete) || errors.Is(o.err, coap.ErrETagChanged)) && w.forgot(o):
	default:
		w.breaks("typed", "call %d: %v", n, o.err)
	}
}

// checkBound: a call ends with its context, and in any case when no message can be waited
// for any longer (RFC 7252 §4.8.2).
func (w *simWorld) checkBound(n int, p *simPlan, o *simOutcome) {
	if took, most := o.ended.Sub(o.begun), w.bound(p); took > most {
		w.breaks("bound", "call %d took %v, at most %v", n, took, most)
	}
}

// bound returns how long a call may take.
func (w *simWorld) bound(p *simPlan) time.Duration {
	if p.deadline > 0 {
		return p.deadline
	}
	wait := w.params.MaxTransmitWait()
	response := w.responseTimeout
	if response == 0 {
		response = w.params.ExchangeLifetime()
	}
	ahead := 0 // requests that NSTART may have go first
	if w.params.NStart >= 0 {
		ahead = len(w.plans) + len(w.observers)
	}
	message := time.Duration(ahead)*wait + wait + response
	if w.params.ProbingRate == 0 && p.non { // what went to a silent peer is paid for at a byte a second
		message += time.Duration(w.bytesFrom(p.client)) * time.Second
	}
	if w.oneMessage(p) {
		return message
	}
	// Each block goes out up to four times, and a body begins anew a few times; blocks of
	// 16 bytes are the smallest.
	blocks := time.Duration(2 + (p.up+p.down)/16)
	return 16 * blocks * message
}

// bytesFrom returns how many bytes a client has sent.
func (w *simWorld) bytesFrom(client int) (n int) {
	addrs := w.clients[client].addrs
	for _, l := range w.lines {
		if l.record != nil && slices.Contains(addrs[:], l.record.From) {
			n += len(l.record.Data)
		}
	}
	return n
}

// oneMessage reports whether a call is certainly one message and its response.
func (w *simWorld) oneMessage(p *simPlan) bool {
	least := min(w.ownBlock, w.blocks)
	if w.up.MTU > 0 {
		least = 16
	}
	return p.up <= least && p.down <= least && p.kind != simStream && p.kind != simSource
}

// checkObservation: an observation goes on, or ends by an error that says why.
func (w *simWorld) checkObservation(v *simView, resp *coap.Response, err error) {
	var op *coap.OpError
	switch {
	case !errors.As(err, &op):
		w.breaks("typed", "observer of %s: %T: %v", v.path, err, err)
	case v.ctx.Err() != nil && errors.Is(err, context.Canceled):
	case errors.Is(err, coap.ErrStale), errors.Is(err, coap.ErrTimeout), errors.Is(err, coap.ErrResponseTimeout):
	case errors.Is(err, coap.ErrUnreachable) && (w.narrow() || w.forgetful() && w.refusals):
	case errors.Is(err, coap.ErrBlockIncomplete), errors.Is(err, coap.ErrETagChanged):
	default:
		w.breaks("typed", "observer of %s: %v (%v)", v.path, err, resp)
	}
	if w.calm() && v.ctx.Err() == nil {
		w.breaks("calm", "observer of %s: %v", v.path, err)
	}
}

// checkViews: when changes have stopped and the network has healed, every observer has the
// last state (RFC 7641 §1.3).
func (w *simWorld) checkViews() {
	for i, v := range w.views {
		if v.last != w.number.Get() {
			w.breaks("converge", "observer %d of %s at client %d is left with %d, the state is %d", i, v.path, v.client, v.last, w.number.Get())
		}
	}
}

// checkEmpty: after the lifetimes nothing is held.
func (w *simWorld) checkEmpty(who string, s coap.Stats) {
	m, o, u, r := &s.Messages, &s.Observations, &s.Uploads, &s.Responses
	for _, table := range []struct {
		name string
		held int
	}{
		{"PendingRequests", m.PendingRequests}, {"OpenExchanges", m.OpenExchanges},
		{"Remembered", m.Remembered}, {"RememberedBytes", m.RememberedBytes}, {"Peers", m.Peers},
		{"Observers", o.Observers}, {"peers that observe", o.Peers},
		{"Transfers", u.Transfers}, {"TransferBytes", u.TransferBytes}, {"Finished", u.Finished},
		{"Snapshots", r.Snapshots}, {"SnapshotBytes", r.SnapshotBytes},
		{"HandlersAway", int(s.HandlersAway)},
	} {
		if table.held != 0 {
			w.breaks("empty", "%s is left with %s %d", who, table.name, table.held)
		}
	}
}
