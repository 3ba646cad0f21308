package main

import (
	"testing"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/coaptest"
	"github.com/motewire/coap/message"
	"github.com/motewire/coap/transport/simnet"
)

// A Recorder takes what a handler answers; there is no server and no network.
func TestLampRefuses(t *testing.T) {
	rec := coaptest.NewRecorder()
	newLamp().ServeCoAP(rec, coaptest.NewRequest(message.PUT, "/lamp", coap.Text("dim")))
	if resp := rec.Result(); resp.Code != message.BadRequest {
		t.Errorf("PUT dim: %v, want 4.00", resp.Code)
	}
}

// A Server is on a network in memory, which may be bad. In Run time is virtual: that
// requests are retransmitted after seconds costs none.
func TestLampOnBadLink(t *testing.T) {
	coaptest.Run(t, func(t *testing.T) {
		s := coaptest.NewServer(newLamp())
		defer s.Close()
		s.Network.SetDefault(simnet.Link{Loss: 0.2, Delay: 50 * time.Millisecond})
		if _, err := s.Client().Put(t.Context(), s.URL+"/lamp", coap.Text("on")); err != nil {
			t.Fatal(err)
		}
		resp, err := s.Client().Get(t.Context(), s.URL+"/lamp")
		if err != nil || string(resp.Payload()) != "on" {
			t.Errorf("GET after PUT on: %v, %v", resp, err)
		}
	})
}
