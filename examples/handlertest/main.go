// Command handlertest is a server of one lamp, made to show how its handler is tested: see
// main_test.go.
package main

import (
	"context"
	"log"
	"sync"

	"github.com/motewire/coap"
	"github.com/motewire/coap/message"
)

func main() {
	log.Fatal((&coap.Server{Handler: newLamp()}).ListenAndServe(context.Background(), ":5683"))
}

// newLamp returns a handler for GET and PUT of /lamp, which is "on" or "off".
func newLamp() coap.Handler {
	var mu sync.Mutex
	state := "off"
	mux := coap.NewMux()
	mux.HandleFunc("GET /lamp", func(w coap.ResponseWriter, _ *coap.Request) {
		mu.Lock()
		defer mu.Unlock()
		w.SetContentFormat(message.TextPlain)
		w.WriteString(state)
	})
	mux.HandleFunc("PUT /lamp", func(w coap.ResponseWriter, r *coap.Request) {
		mu.Lock()
		defer mu.Unlock()
		if s := string(r.Payload()); s == "on" || s == "off" {
			state = s
			return
		}
		coap.Error(w, message.BadRequest, "on or off?")
	})
	return mux
}
