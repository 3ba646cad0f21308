package coap_test

import (
	"runtime"
	"testing"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/coaptest"
	"github.com/motewire/coap/message"
)

// A handler that ends its goroutine, as a test's FailNow does, answers 5.00; the server
// lives on, in place and on a slow route.
func TestHandlerThatEndsItsGoroutine(t *testing.T) {
	coaptest.Run(t, func(t *testing.T) {
		mux := coap.NewMux()
		mux.HandleFunc("GET /exit", func(coap.ResponseWriter, *coap.Request) { runtime.Goexit() })
		mux.HandleFunc("GET /late", func(coap.ResponseWriter, *coap.Request) {
			time.Sleep(time.Second)
			runtime.Goexit()
		})
		mux.HandleFunc("GET /hello", func(w coap.ResponseWriter, _ *coap.Request) { w.WriteString("hello") })
		s := coaptest.NewServer(mux)
		defer s.Close()
		for _, path := range []string{"/exit", "/hello", "/late", "/late", "/hello"} {
			want := message.InternalServerError
			if path == "/hello" {
				want = message.Content
			}
			resp, err := s.Client().Get(t.Context(), s.URL+path)
			if err != nil || resp.Code != want {
				t.Errorf("%s: %v, %v; want %v", path, resp, err, want)
			}
		}
	})
}

// A Mux within middleware answers group requests as it does without.
func TestGroupRequestThroughMiddleware(t *testing.T) {
	coaptest.Run(t, func(t *testing.T) {
		mux := coap.NewMux()
		mux.HandleFunc("GET /hello", func(w coap.ResponseWriter, _ *coap.Request) { w.WriteString("hello") })
		mux.HandleFunc("GET /all", func(w coap.ResponseWriter, _ *coap.Request) { w.WriteString("all") }, coap.Multicast())
		s := coaptest.NewUnstartedServer(coap.HandlerFunc(mux.ServeCoAP))
		s.Config.Groups = coap.AllCoAPNodes[:1]
		s.Start()
		defer s.Close()
		for path, want := range map[string]int{"/hello": 0, "/all": 1, "/.well-known/core": 1} {
			n := 0
			for _, err := range s.Client().Group(t.Context(), "coap://224.0.1.187"+path) {
				if err != nil {
					t.Fatal(err)
				}
				n++
			}
			if n != want {
				t.Errorf("%s: %d answers, want %d", path, n, want)
			}
		}
	})
}
