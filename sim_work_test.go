package coap_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"testing/iotest"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/message"
)

// simBody returns a body that says what it is for, and is no other's: of a call's request
// or response, or of a state.
func simBody(of simOwner, number, size int) []byte {
	b := make([]byte, max(size, simMinBody)+8)
	binary.BigEndian.PutUint64(b, uint64(of)<<32|uint64(number))
	rng := rand.NewPCG(uint64(of), uint64(number))
	for i := simMinBody; i < max(size, simMinBody); i += 8 {
		binary.LittleEndian.PutUint64(b[i:], rng.Uint64())
	}
	return b[:size]
}

type simOwner uint64

const (
	ofRequest simOwner = 1 + iota
	ofResponse
	ofState
)

// mux returns the resources of one incarnation of the server.
func (w *simWorld) mux(incarnation int) *coap.Mux {
	mux := coap.NewMux()
	mux.HandleFunc("POST /work/{n}", w.handler(incarnation, w.serveWork))
	mux.HandleFunc("GET /doc/{n}", w.handler(incarnation, w.serveWork))
	mux.HandleFunc("GET /source/{n}", w.handler(incarnation, w.serveSource))
	mux.Handle("PUT /stream/{n}", w.handler(incarnation, w.serveStream), coap.StreamBody())
	mux.Handle("GET /number", w.number, coap.Notifications(w.policy))
	mux.HandleFunc("GET /page", func(rw coap.ResponseWriter, _ *coap.Request) {
		rw.Write(w.pageOf(w.number.Get()))
	}, coap.Observable(w.page), coap.Notifications(w.policy))
	return mux
}

// pageOf returns the representation of a state in three blocks or so.
func (w *simWorld) pageOf(state int) []byte {
	return simBody(ofState, state, simMinBody+2*w.blocks+state%w.blocks)
}

// handler wraps what serves a call, which reports whether it got to its end.
func (w *simWorld) handler(incarnation int, serve func(coap.ResponseWriter, *coap.Request, int) bool) coap.HandlerFunc {
	return func(rw coap.ResponseWriter, r *coap.Request) {
		n, err := strconv.Atoi(r.PathValue("n"))
		if err != nil || n < 0 || n >= len(w.plans) {
			w.breaks("body", "a handler is asked for call %q", r.PathValue("n"))
			return
		}
		run := simRun{n, incarnation, r.Peer().AddrPort()}
		if !serve(rw, r, n) {
			return
		}
		w.log("server %d has run call %d for %v", incarnation, n, run.from)
		w.mu.Lock()
		defer w.mu.Unlock()
		w.runs[run]++
	}
}

func (w *simWorld) serveWork(rw coap.ResponseWriter, r *coap.Request, n int) bool {
	p := &w.plans[n]
	w.checkBody("request", n, r.Payload(), simBody(ofRequest, n, p.up))
	if p.detach {
		later := rw.Detach()
		go func() {
			time.Sleep(p.slow)
			later.Write(simBody(ofResponse, n, p.down))
			later.Send() // too late where the server was closed
		}()
		return true
	}
	time.Sleep(p.slow)
	rw.Write(simBody(ofResponse, n, p.down))
	return true
}

func (w *simWorld) serveSource(rw coap.ResponseWriter, _ *coap.Request, n int) bool {
	body := bytes.NewReader(simBody(ofResponse, n, w.plans[n].down))
	if n%2 == 0 {
		rw.SetBody(coap.Stream(body, message.OctetStream)) // in any order
	} else {
		rw.SetBody(coap.Stream(iotest.HalfReader(body), message.OctetStream))
	}
	return true
}

func (w *simWorld) serveStream(rw coap.ResponseWriter, r *coap.Request, n int) bool {
	got, err := io.ReadAll(r.BodyReader())
	want := simBody(ofRequest, n, w.plans[n].up)
	if err != nil {
		if !bytes.HasPrefix(want, got) {
			w.breaks("body", "call %d: a stream that ended early is not the start of the body", n)
		}
		return false
	}
	w.checkBody("stream", n, got, want)
	rw.Write(simBody(ofResponse, n, w.plans[n].down))
	return true
}

func (w *simWorld) checkBody(what string, n int, got, want []byte) {
	if !bytes.Equal(got, want) {
		w.breaks("body", "call %d: %s has %d bytes, want %d: %.40x, want %.40x", n, what, len(got), len(want), got, want)
	}
}

// call makes a call.
func (w *simWorld) call(n int, p *simPlan) {
	ctx, cancel := context.Background(), context.CancelFunc(func() {})
	switch {
	case p.cancel:
		ctx, cancel = context.WithCancel(ctx)
		time.AfterFunc(p.deadline, cancel)
	case p.deadline > 0:
		ctx, cancel = context.WithTimeout(ctx, p.deadline)
	}
	defer cancel()
	w.log("call %d begins", n)
	o := simOutcome{begun: time.Now()}
	o.code, o.body, o.err = w.do(ctx, n, p)
	o.ended = time.Now()
	w.log("call %d ends: %v, %d bytes, %v", n, o.code, len(o.body), o.err)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.outcomes[n] = o
}

func (w *simWorld) do(ctx context.Context, n int, p *simPlan) (message.Code, []byte, error) {
	c := w.clients[p.client]
	var opts []coap.RequestOption
	if p.non {
		opts = append(opts, coap.NonConfirmable)
	}
	url := func(path string) string { return w.site.url(fmt.Sprintf("/%s/%d", path, n)) }
	body := simBody(ofRequest, n, p.up)
	var resp *coap.Response
	var err error
	switch p.kind {
	case simPing:
		_, err = c.Ping(ctx, w.site.url(""))
		return message.Empty, nil, err
	case simPost:
		resp, err = c.Post(ctx, url("work"), coap.Raw(body), opts...)
	case simGet:
		resp, err = c.Get(ctx, url("doc"), opts...)
	case simSource:
		resp, err = c.Get(ctx, url("source"), opts...)
	case simStream:
		resp, err = c.Put(ctx, url("stream"), coap.Stream(bytes.NewReader(body), message.OctetStream), opts...)
	}
	if err != nil {
		return 0, nil, err
	}
	got, err := resp.Bytes()
	return resp.Code, got, err
}

// A simView is what an observer makes of the state, which only grows.
type simView struct {
	simObserver
	ctx    context.Context
	cancel context.CancelFunc
	last   int
}

// follow observes until its context ends, again and again.
func (v *simView) follow(w *simWorld) {
	for v.ctx.Err() == nil {
		for resp, err := range w.clients[v.client].Observe(v.ctx, w.site.url(v.path)) {
			if err != nil {
				w.log("observer of %s: %v", v.path, err)
				w.checkObservation(v, resp, err)
				continue
			}
			v.see(w, resp)
		}
		if v.ctx.Err() == nil {
			time.Sleep(time.Second)
		}
	}
}

func (v *simView) see(w *simWorld, resp *coap.Response) {
	got, err := resp.Bytes()
	state, scanErr := strconv.Atoi(string(got))
	if v.path == "/page" {
		if state, scanErr = 0, nil; len(got) >= simMinBody {
			state = int(uint32(binary.BigEndian.Uint64(got)))
		}
		if !bytes.Equal(got, w.pageOf(state)) {
			scanErr = errors.New("not the body of that state")
		}
	}
	w.log("observer of %s at client %d: %d", v.path, v.client, state)
	if err != nil || scanErr != nil || !resp.Code.IsSuccess() {
		w.breaks("body", "observer of %s gets %v, %d bytes, %v, %v", v.path, resp.Code, len(got), err, scanErr)
		return
	}
	if state < v.last {
		w.breaks("order", "observer of %s at client %d gets %d after %d", v.path, v.client, state, v.last)
	}
	v.last = state
}
