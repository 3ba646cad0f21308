package coaptest_test

import (
	"context"
	"fmt"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/coaptest"
	"github.com/motewire/coap/message"
	"github.com/motewire/coap/transport/simnet"
)

// setLamp is the handler under test.
func setLamp(w coap.ResponseWriter, r *coap.Request) {
	if len(r.Payload()) == 0 {
		coap.Error(w, message.BadRequest, "how bright?")
		return
	}
	w.WriteString("now " + string(r.Payload()))
}

func ExampleRecorder() {
	rec := coaptest.NewRecorder()
	rec.Method = message.PUT
	setLamp(rec, coaptest.NewRequest(message.PUT, "/lamp", coap.Text("50 %")))

	resp := rec.Result()
	fmt.Printf("%v %s\n", resp.Code, resp.Payload())
	// Output: 2.04 now 50 %
}

func ExampleNewRequest() {
	r := coaptest.NewRequest(message.GET, "/lamp?unit=lm", coap.Body{}, coap.Accept(message.AppJSON))
	fmt.Println(r.Path(), r.Query("unit"))
	// Output: /lamp lm
}

func ExampleServer() {
	mux := coap.NewMux()
	mux.HandleFunc("PUT /lamp", setLamp)
	s := coaptest.NewServer(mux)
	defer s.Close()

	resp, err := s.Client().Put(context.Background(), s.URL+"/lamp", coap.Body{})
	if err != nil {
		panic(err)
	}
	fmt.Println(resp.Err())
	// Output: coap: 4.00 Bad Request: "how bright?"
}

// In a test the whole of it goes into [coaptest.Run], where losses cost no time.
func ExampleListen() {
	s := coaptest.NewServer(coap.HandlerFunc(setLamp))
	defer s.Close()
	s.Network.SetDefault(simnet.Link{Delay: time.Millisecond})

	client := &coap.Client{Listen: coaptest.Listen(s.Network), Params: coap.Params{AckTimeout: time.Second}}
	defer client.Close()
	resp, err := client.Put(context.Background(), s.URL, coap.Text("on"))
	fmt.Printf("%s %v\n", resp.Payload(), err)
	// Output: now on <nil>
}
