package coap_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/coaptest"
	"github.com/motewire/coap/message"
)

// rules is a Mux for what the core decides about requests and responses.
func rules() *coap.Mux {
	mux := coap.NewMux()
	mux.Handle("GET /hello", say("hello"))
	mux.HandleFunc("GET /json", func(w coap.ResponseWriter, _ *coap.Request) {
		w.SetContentFormat(message.AppJSON)
		w.SetETag([]byte{1, 2})
		w.SetMaxAge(90 * time.Second)
		w.WriteString("{}")
	})
	mux.HandleFunc("/silent", func(coap.ResponseWriter, *coap.Request) {})
	mux.HandleFunc("GET /error", func(w coap.ResponseWriter, _ *coap.Request) {
		coap.Error(w, message.Unauthorized, "who are you?")
	})
	mux.HandleFunc("POST /fail", func(w coap.ResponseWriter, _ *coap.Request) { w.SetCode(message.BadGateway) })
	return mux
}

func TestResponseCodes(t *testing.T) {
	unknown := coap.Option(65001, []byte{1}) // critical, in the range for experiments
	tests := []struct {
		name    string
		method  message.Code
		path    string
		options []coap.RequestOption
		code    message.Code
		payload string
	}{
		{"representation", message.GET, "/hello", nil, message.Content, "hello"},
		{"no such path", message.GET, "/nothing", nil, message.NotFound, ""},
		{"no such method here", message.PUT, "/hello", nil, message.MethodNotAllowed, ""},
		// §5.8: "A request with an unrecognized or unsupported Method Code MUST generate a 4.05".
		{"no such method anywhere", message.MakeCode(0, 31), "/hello", nil, message.MethodNotAllowed, ""},
		// §5.4.1: "MUST cause the return of a 4.02 (Bad Option) response".
		{"unrecognized critical option", message.GET, "/hello", []coap.RequestOption{unknown}, message.BadOption,
			"unrecognized critical option 65001"},
		{"4.02 before 4.04", message.GET, "/nothing", []coap.RequestOption{unknown}, message.BadOption,
			"unrecognized critical option 65001"},
		{"4.02 before 5.05", message.GET, "/hello", []coap.RequestOption{unknown, coap.Option(message.ProxyScheme, []byte("coap"))},
			message.BadOption, "unrecognized critical option 65001"},
		{"4.04 before 4.15", message.PUT, "/nothing", []coap.RequestOption{coap.Option(message.ContentFormat, []byte{60})}, message.NotFound, ""},
		{"4.04 before 4.12", message.PUT, "/nothing", []coap.RequestOption{coap.IfNoneMatch}, message.NotFound, ""},
		{"4.05 before 4.12", message.PUT, "/hello", []coap.RequestOption{coap.IfNoneMatch}, message.MethodNotAllowed, ""},
		{"4.05 before 4.06", message.PUT, "/json", []coap.RequestOption{coap.Accept(message.AppCBOR)}, message.MethodNotAllowed, ""},
		// RFC 8768 §3: a server answers a Hop-Limit of 0 with 4.00.
		{"Hop-Limit", message.GET, "/hello", []coap.RequestOption{coap.Option(message.HopLimit, []byte{1})}, message.Content, "hello"},
		{"elective option", message.GET, "/hello", []coap.RequestOption{coap.Option(65000, []byte{1})}, message.Content, "hello"},
		// §5.10.2: "An endpoint receiving a request with a Proxy-Uri Option that is unable or
		// unwilling to act as a forward-proxy for the request MUST cause the return of a 5.05".
		{"Proxy-Uri", message.GET, "/hello", []coap.RequestOption{coap.Option(message.ProxyURI, []byte("coap://a/b"))},
			message.ProxyingNotSupported, ""},
		{"Proxy-Scheme before 4.04", message.GET, "/nothing", []coap.RequestOption{coap.Option(message.ProxyScheme, []byte("coap"))},
			message.ProxyingNotSupported, ""},
		// §5.10.4: "If the preferred Content-Format cannot be returned, then a 4.06 "Not
		// Acceptable" MUST be sent as a response".
		{"other format", message.GET, "/json", []coap.RequestOption{coap.Accept(message.AppCBOR)}, message.NotAcceptable, ""},
		{"same format", message.GET, "/json", []coap.RequestOption{coap.Accept(message.AppJSON)}, message.Content, "{}"},
		{"format of an error", message.GET, "/error", []coap.RequestOption{coap.Accept(message.AppJSON)}, message.Unauthorized, "who are you?"},
		// §5.10.6.2: "a 2.03 (Valid) response".
		{"valid", message.GET, "/json", []coap.RequestOption{coap.ETag([]byte{9}), coap.ETag([]byte{1, 2})}, message.Valid, ""},
		{"stale", message.GET, "/json", []coap.RequestOption{coap.ETag([]byte{1})}, message.Content, "{}"},
		// §5.10.8: "the server MUST NOT perform the requested method. Instead, the server MUST
		// respond with the 4.12"; §5.10.8.2: "If the target resource does exist".
		{"If-None-Match", message.PUT, "/silent", []coap.RequestOption{coap.IfNoneMatch}, message.PreconditionFailed, ""},
		{"If-Match that nobody heeds", message.PUT, "/silent", []coap.RequestOption{coap.IfMatch([]byte{1})}, message.BadOption,
			"If-Match is not supported here"},
		{"silence on GET", message.GET, "/silent", nil, message.Content, ""},
		{"silence on FETCH", message.FETCH, "/silent", nil, message.Content, ""},
		{"silence on PUT", message.PUT, "/silent", nil, message.Changed, ""},
		{"silence on POST", message.POST, "/silent", nil, message.Changed, ""},
		{"silence on DELETE", message.DELETE, "/silent", nil, message.Deleted, ""},
		{"silence on PATCH", message.PATCH, "/silent", nil, message.Changed, ""},
		{"silence on iPATCH", message.IPATCH, "/silent", nil, message.Changed, ""},
		{"discovery", message.GET, "/.well-known/core?href=/hello", nil, message.Content, "</hello>"},
	}
	withServer(t, rules(), nil, func(t *testing.T, s *coaptest.Server) {
		for _, test := range tests {
			resp, err := s.Client().Do(t.Context(), coap.NewRequest(test.method, s.URL+test.path, coap.Body{}, test.options...))
			if err != nil {
				t.Errorf("%s: %v", test.name, err)
				continue
			}
			if resp.Code != test.code || string(resp.Payload()) != test.payload {
				t.Errorf("%s: %v %q, want %v %q", test.name, resp.Code, resp.Payload(), test.code, test.payload)
			}
		}
	})
}

// RFC 7252 §5.10.6.2: a 2.03 has the ETag and the freshness, no payload, no format.
func TestValidResponse(t *testing.T) {
	withServer(t, rules(), nil, func(t *testing.T, s *coaptest.Server) {
		resp := get(t, s.Client(), s.URL+"/json", coap.ETag([]byte{1, 2}))
		tag, _ := resp.ETag()
		if _, described := resp.ContentFormat(); resp.Code != message.Valid || tag.String() != "0102" ||
			resp.MaxAge() != 90*time.Second || described || resp.Payload() != nil || resp.Err() != nil {
			t.Errorf("%v", resp.Message())
		}
	})
}

func TestResponseError(t *testing.T) {
	withServer(t, rules(), nil, func(t *testing.T, s *coaptest.Server) {
		var e *coap.ResponseError
		err := get(t, s.Client(), s.URL+"/error").Err()
		if !errors.As(err, &e) || e.Code != message.Unauthorized || e.Diagnostic != "who are you?" {
			t.Errorf("%v", err)
		}
	})
}

// RFC 7252 §5.2.3: "If the request message is Non-confirmable, then the response SHOULD be
// returned in a Non-confirmable message as well."
func TestNonConfirmableRequests(t *testing.T) {
	withServer(t, rules(), nil, func(t *testing.T, s *coaptest.Server) {
		p := newRawPeer(t, s)
		p.send(datagram(t, message.NonConfirmable, message.GET, 9, tokenOf(1), "", path("hello")))
		if v := p.receive(0); v.Type() != message.NonConfirmable || v.Code() != message.Content || v.Token() != tokenOf(1) {
			t.Errorf("%v", v)
		}
		p.send(datagram(t, message.NonConfirmable, message.GET, 10, tokenOf(2), "", path("nothing")))
		if v := p.receive(0); v.Type() != message.NonConfirmable || v.Code() != message.NotFound {
			t.Errorf("%v", v)
		}
		// §5.4.1: "Unrecognized options of class "critical" that occur in a Non-confirmable
		// message MUST cause the message to be rejected"; §4.3: silence will do.
		p.send(datagram(t, message.NonConfirmable, message.GET, 11, tokenOf(3), "", path("hello"), message.Option{Number: 65001}))
		p.silence(time.Minute)
	})
}

// A slow answer to a NON request is not acknowledged, as there is nothing to acknowledge.
func TestSlowNonConfirmable(t *testing.T) {
	withServer(t, slow(10*time.Second, "late"), nil, func(t *testing.T, s *coaptest.Server) {
		w := tap(s)
		checkResponse(t, get(t, s.Client(), s.URL, coap.NonConfirmable), message.Content, "late")
		w.expect(t, "0s > NON 0.01", "10s < NON 2.05")
	})
}

// RFC 7967 §2.1: the server doesn't respond in the classes that are not wanted. §2.1, too:
// the Acknowledgement is sent even so.
func TestNoResponse(t *testing.T) {
	withServer(t, rules(), nil, func(t *testing.T, s *coaptest.Server) {
		w := tap(s)
		resp := get(t, s.Client(), s.URL+"/hello", coap.NoResponse(coap.NoClientError))
		checkResponse(t, resp, message.Content, "hello")
		w.expect(t, "0s > CON 0.01", "0s < ACK 2.05")
		all := coap.NoResponse(coap.NoSuccess | coap.NoClientError | coap.NoServerError)
		if resp := get(t, s.Client(), s.URL+"/hello", all); resp.Code != message.Empty || resp.Err() != nil {
			t.Errorf("%v", resp.Message())
		}
		w.expect(t, "0s > CON 0.01", "0s < ACK 0.00")
		if resp := get(t, s.Client(), s.URL+"/hello", all, coap.NonConfirmable); resp.Code != message.Empty {
			t.Errorf("%v", resp.Message())
		}
		w.expect(t, "0s > NON 0.01")
		// An unwanted class leaves the caller waiting for what won't come.
		_, err := s.Client().Post(timeout(t, time.Minute), s.URL+"/fail", coap.Body{}, coap.NoResponse(coap.NoServerError))
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		w.expect(t, "0s > CON 0.02", "0s < ACK 0.00")
	})
}

func TestDetach(t *testing.T) {
	h := func(w coap.ResponseWriter, _ *coap.Request) {
		w.WriteString("begun, ")
		d := w.Detach()
		go func() {
			time.Sleep(time.Minute)
			d.WriteString("done")
			if err := d.Send(); err != nil {
				t.Error(err)
			}
		}()
	}
	withServer(t, coap.HandlerFunc(h), nil, func(t *testing.T, s *coaptest.Server) {
		w := tap(s)
		checkResponse(t, get(t, s.Client(), s.URL), message.Content, "begun, done")
		w.expect(t, "0s > CON 0.01", "0s < ACK 0.00", "1m0s < CON 2.05", "1m0s > ACK 0.00")
		if n := s.Config.Stats(); n.HandlersAway != 0 || n.Messages.PendingRequests != 0 {
			t.Errorf("%+v", n)
		}
	})
}

// A response sent before its handler has returned is a response as well.
func TestSendWithinHandler(t *testing.T) {
	h := func(w coap.ResponseWriter, r *coap.Request) {
		d := w.Detach()
		d.WriteString("at once")
		if err := d.Send(); err != nil {
			t.Error(err)
		}
		for name, misuse := range map[string]func(){"Send": func() { d.Send() }, "Detach": func() { w.Detach() }} {
			if !panics(misuse) {
				t.Errorf("a second %s did not panic", name)
			}
		}
		if r.Path() != "/x" {
			t.Errorf("the request is gone: %v", r.Path())
		}
	}
	withServer(t, coap.HandlerFunc(h), nil, func(t *testing.T, s *coaptest.Server) {
		for range 3 {
			checkResponse(t, get(t, s.Client(), s.URL+"/x"), message.Content, "at once")
		}
	})
}

func panics(f func()) (did bool) {
	defer func() { did = recover() != nil }()
	f()
	return false
}

// Who sends after the server was closed is told.
func TestSendAfterClose(t *testing.T) {
	responders := make(chan coap.Responder, 1)
	h := coap.HandlerFunc(func(w coap.ResponseWriter, _ *coap.Request) { responders <- w.Detach() })
	withServer(t, h, nil, func(t *testing.T, s *coaptest.Server) {
		go s.Client().Get(timeout(t, time.Hour), s.URL)
		d := <-responders
		synctest.Wait()
		s.Close()
		if err := d.Send(); !errors.Is(err, coap.ErrClosed) {
			t.Errorf("%v", err)
		}
	})
}

// contexts is a handler that tells how its context ended.
func contexts(ended chan<- error, linger time.Duration) coap.Handler {
	return coap.HandlerFunc(func(_ coap.ResponseWriter, r *coap.Request) {
		select {
		case <-r.Context().Done():
			ended <- context.Cause(r.Context())
		case <-time.After(linger):
			ended <- nil
		}
	})
}

func TestContextDeadline(t *testing.T) {
	ended := make(chan error, 1)
	setup := func(s *coaptest.Server) { s.Config.Limits.HandlerTimeout = 7 * time.Second }
	withServer(t, contexts(ended, time.Hour), setup, func(t *testing.T, s *coaptest.Server) {
		began := time.Now()
		get(t, s.Client(), s.URL)
		if err := <-ended; !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 7*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

// RFC 7252 §4.2: a Reset says that the client has lost its interest; §5.2.2: in answer to
// the empty Acknowledgement.
func TestContextEndsByReset(t *testing.T) {
	ended := make(chan error, 1)
	withServer(t, contexts(ended, time.Hour), nil, func(t *testing.T, s *coaptest.Server) {
		p := newRawPeer(t, s)
		p.send(datagram(t, message.Confirmable, message.GET, 1, tokenOf(1), ""))
		if v := p.receive(time.Second); v.Type() != message.Acknowledgement || v.Code() != message.Empty {
			t.Fatalf("%v", v)
		}
		p.send(datagram(t, message.Reset, message.Empty, 1, message.Token{}, ""))
		if err := <-ended; !errors.Is(err, coap.ErrReset) {
			t.Error(err)
		}
	})
}

// The context ends with the exchange, also for copies and for who asks late.
func TestContextEndsWithResponse(t *testing.T) {
	kept := make(chan *coap.Request, 1)
	h := coap.HandlerFunc(func(w coap.ResponseWriter, r *coap.Request) {
		type key struct{}
		wrapped := r.WithContext(context.WithValue(r.Context(), key{}, "v"))
		if wrapped.Context().Value(key{}) != "v" || r.Context().Value(key{}) != nil {
			t.Error("WithContext changes the original, or not the copy")
		}
		if err := r.Context().Err(); err != nil {
			t.Errorf("ended while handled: %v", err)
		}
		kept <- r.Clone()
	})
	withServer(t, h, nil, func(t *testing.T, s *coaptest.Server) {
		get(t, s.Client(), s.URL+"/kept?a=b", coap.NonConfirmable)
		r := <-kept
		if r.Context() == nil || r.Context().Err() == nil {
			t.Error("the context lives on")
		}
		get(t, s.Client(), s.URL+"/another/path") // uses what the first one used
		<-kept
		if r.Path() != "/kept" || r.Query("a") != "b" || r.Confirmable() {
			t.Errorf("a clone has changed: %v", r.Message())
		}
	})
}

// A clone keeps its peer and a context even where nobody asked for one in time.
func TestClone(t *testing.T) {
	clones := make(chan *coap.Request, 2)
	h := coap.HandlerFunc(func(_ coap.ResponseWriter, r *coap.Request) { clones <- r.Clone() })
	withServer(t, h, nil, func(t *testing.T, s *coaptest.Server) {
		first, second := newClient(t, s, nil), newClient(t, s, nil)
		get(t, first, s.URL+"/one")
		get(t, second, s.URL+"/two")
		one, two := <-clones, <-clones
		if one.Peer().AddrPort() == two.Peer().AddrPort() || !one.Peer().AddrPort().IsValid() {
			t.Errorf("peers %v and %v", one.Peer(), two.Peer())
		}
		if one.Context() == nil || one.Context().Err() == nil || one.Path() != "/one" {
			t.Errorf("%v, %v", one.Context(), one.Path())
		}
	})
}

// A handler asks its peer over the socket that the request came from, and answers by what
// it hears: both endpoints are client and server at once.
func TestRequestToThePeer(t *testing.T) {
	h := func(w coap.ResponseWriter, r *coap.Request) {
		resp, err := r.Peer().Do(r.Context(), coap.NewRequest(message.GET, "/name?short", coap.Body{}))
		if err != nil {
			coap.Error(w, message.BadGateway, err.Error())
			return
		}
		w.WriteString("hello, " + string(resp.Payload()))
	}
	withServer(t, coap.HandlerFunc(h), nil, func(t *testing.T, s *coaptest.Server) {
		name := coap.NewMux()
		name.HandleFunc("GET /name", func(w coap.ResponseWriter, r *coap.Request) {
			if _, ok := r.LookupQuery("short"); !ok {
				t.Errorf("no query short in %v", r.Message())
			}
			w.WriteString("node 7")
		})
		c := newClient(t, s, func(c *coap.Client) { c.Handler = name })
		w := tap(s)
		checkResponse(t, get(t, c, s.URL), message.Content, "hello, node 7")
		w.expect(t, "0s > CON 0.01", "0s < CON 0.01", "0s > ACK 2.05", "2ms < ACK 2.05")
		checkResponse(t, get(t, c, s.URL), message.Content, "hello, node 7") // the route is known to be slow
		w.expect(t, "2ms > CON 0.01", "2ms < CON 0.01", "2ms > ACK 2.05", "2ms < ACK 2.05")
		// A client that serves nothing rejects requests.
		checkResponse(t, get(t, newClient(t, s, nil), s.URL), message.BadGateway,
			"coap: GET /name?short at 10.0.0.3:49153: reset by peer (1 sent)")
	})
}

// No lock of the library is held while user code runs, whatever that calls.
func TestUserCodeMayCallBack(t *testing.T) {
	var server *coaptest.Server
	var client *coap.Client
	var traced atomic.Int32
	look := func() { server.Config.Stats(); client.Stats(); traced.Add(1) }
	trace := &coap.Trace{
		Sent: func(coap.TraceDatagram) { look() }, Received: func(coap.TraceDatagram) { look() },
		Duplicate: func(coap.TraceDatagram) { look() }, Retransmission: func(coap.TraceDatagram) { look() },
		Timeout: func(coap.TraceExchange) { look() },
		Begin:   func(coap.TraceExchange) { look() }, End: func(coap.TraceExchange) { look() },
	}
	h := coap.HandlerFunc(func(w coap.ResponseWriter, r *coap.Request) {
		look()
		if r.Path() == "/inner" {
			return
		}
		if _, err := client.Get(r.Context(), server.URL+"/inner", coap.NonConfirmable); err != nil {
			t.Error(err)
		}
		if r.Path() == "/shutdown" {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			if err := server.Config.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Shutdown within a handler, which it waits for: %v", err)
			}
		}
	})
	setup := func(s *coaptest.Server) { s.Config.Trace = trace }
	withServer(t, h, setup, func(t *testing.T, s *coaptest.Server) {
		server = s
		client = newClient(t, s, func(c *coap.Client) { c.Trace = trace })
		get(t, client, s.URL+"/outer")
		before := traced.Load()
		client.Get(timeout(t, time.Minute), s.URL+"/shutdown")
		if before < 10 || traced.Load() <= before {
			t.Errorf("%d and %d callbacks", before, traced.Load())
		}
	})
}

// A Trace tells of every datagram and exchange of both sides.
func TestTrace(t *testing.T) {
	var counts [6]atomic.Int32
	var ended coap.TraceExchange
	trace := &coap.Trace{
		Sent:           func(coap.TraceDatagram) { counts[0].Add(1) },
		Received:       func(coap.TraceDatagram) { counts[1].Add(1) },
		Duplicate:      func(coap.TraceDatagram) { counts[2].Add(1) },
		Retransmission: func(coap.TraceDatagram) { counts[3].Add(1) },
		Begin:          func(coap.TraceExchange) { counts[4].Add(1) },
		End:            func(e coap.TraceExchange) { counts[5].Add(1); ended = e },
	}
	expect := func(t *testing.T, want ...int32) {
		t.Helper()
		synctest.Wait() // an answer arrives before its sender tells of it
		for i, n := range want {
			if got := counts[i].Load(); got != n {
				t.Errorf("callback %d was called %d times, want %d", i, got, n)
			}
			counts[i].Store(0)
		}
	}
	setup := func(s *coaptest.Server) { s.Config.Trace = trace }
	withServer(t, rules(), setup, func(t *testing.T, s *coaptest.Server) {
		p := newRawPeer(t, s)
		request := datagram(t, message.Confirmable, message.GET, 1, tokenOf(1), "", path("hello"))
		p.send(request)
		p.receive(0)
		expect(t, 1, 1, 0, 0, 1, 1)
		if !ended.Inbound || ended.Code != message.Content || ended.Method != message.GET || ended.Token != tokenOf(1) {
			t.Errorf("%+v", ended)
		}
		p.send(request)
		p.receive(0)
		expect(t, 1, 1, 1, 0, 0, 0)
		p.send([]byte{0x40}) // malformed, in the place of the duplicate
		synctest.Wait()
		expect(t, 0, 1, 0, 0, 0, 0)
	})
}
