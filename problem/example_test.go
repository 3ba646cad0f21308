package problem_test

import (
	"context"
	"fmt"
	"log"

	"github.com/motewire/coap"
	"github.com/motewire/coap/coaptest"
	"github.com/motewire/coap/message"
	"github.com/motewire/coap/problem"
)

// A handler says what is wrong in a form that programs understand.
func ExampleWrite() {
	s := coaptest.NewServer(coap.HandlerFunc(func(w coap.ResponseWriter, _ *coap.Request) {
		problem.Write(w, message.Conflict, problem.Details{
			Title:  problem.Text{Text: "valve is locked", Lang: "en"},
			Detail: problem.Text{Text: "locked by hand since 09:40"},
		})
	}))
	defer s.Close()
	resp, err := s.Client().Put(context.Background(), s.URL+"/valve", coap.Text("open"))
	if err != nil {
		log.Fatal(err)
	}
	details, err := problem.Of(resp)
	fmt.Println(details.ResponseCode, details.Title.Text, err)
	// Output: 4.09 valve is locked <nil>
}
