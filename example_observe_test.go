package coap_test

import (
	"context"
	"fmt"

	"github.com/motewire/coap"
	"github.com/motewire/coap/coaptest"
	"github.com/motewire/coap/message"
)

// An observable value, and a loop that follows it.
func ExampleState() {
	temperature := coap.NewState(21.5)
	mux := coap.NewMux()
	mux.Handle("GET /temperature", temperature)
	node := coaptest.NewServer(mux) // a program has a coap.Server
	defer node.Close()

	for resp, err := range node.Client().Observe(context.Background(), node.URL+"/temperature") {
		if err != nil {
			panic(err)
		}
		fmt.Printf("%s\n", resp.Payload())
		if temperature.Get() == 22 {
			break // ends the observation at the server, too
		}
		temperature.Set(22)
	}
	// Output:
	// 21.5
	// 22
}

// What is more than a value says by itself that it has changed. Its handler answers
// observers as it answers everybody.
func ExampleSubject() {
	log, changed := []string{"start"}, new(coap.Subject)
	mux := coap.NewMux()
	mux.HandleFunc("GET /log/last", func(w coap.ResponseWriter, _ *coap.Request) {
		w.SetContentFormat(message.TextPlain)
		w.WriteString(log[len(log)-1])
	}, coap.Observable(changed))
	node := coaptest.NewServer(mux)
	defer node.Close()

	for resp, err := range node.Client().Observe(context.Background(), node.URL+"/log/last") {
		if err != nil {
			fmt.Println(resp.Code, err)
			break
		}
		fmt.Printf("%s\n", resp.Payload())
		if len(log) == 2 {
			changed.End(message.NotFound) // the resource is gone
			continue
		}
		log = append(log, "door open")
		changed.Notify()
	}
	// Output:
	// start
	// door open
	// 4.04 coap: observe coap://10.0.0.1/log/last at 10.0.0.1:5683: coap: observation ended by the server: coap: 4.04 Not Found
}

// The end of an observation is an event: the last pair says why.
func ExampleClient_Observe() {
	node := lampServer()
	defer node.Close()
	for resp, err := range node.Client().Observe(context.Background(), node.URL+"/lamp") {
		if err != nil {
			fmt.Println(err)
			continue // after coap.ErrStale there is more to come
		}
		fmt.Printf("%s\n", resp.Payload())
	}
	// Output:
	// off
	// coap: observe coap://10.0.0.1/lamp at 10.0.0.1:5683: coap: not observed by the server
}
