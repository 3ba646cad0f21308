// Package coaptest is to CoAP what net/http/httptest is to HTTP: a [Recorder] and
// [NewRequest] to call handlers directly, and a [Server] with its [Server.Client] on a
// network in memory that loses, duplicates, delays and reorders datagrams as a test says.
//
// # Virtual time
//
// CoAP is full of time: a request is retransmitted after two to three seconds, given up
// after 93, and remembered for 247. [Run] puts a test into a testing/synctest bubble, in
// which all of these pass in no time and time.Sleep is free:
//
//	func TestLamp(t *testing.T) {
//		coaptest.Run(t, func(t *testing.T) {
//			s := coaptest.NewServer(newLamp())
//			defer s.Close()
//			s.Network.SetDefault(simnet.Link{Loss: 0.2, Delay: 50 * time.Millisecond})
//			resp, err := s.Client().Get(t.Context(), s.URL+"/lamp")
//			…
//		})
//	}
//
// Outside of Run everything works as well, in real time.
package coaptest

import (
	"testing"
	"testing/synctest"
)

// Run runs a test in virtual time: the clock stands still while anything can go on, and
// jumps to the next timer when nothing can. The test must start its servers, clients and
// networks within f and close them; a goroutine that is left blocked fails it. Real
// sockets don't work in it, and neither does what was made outside.
func Run(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}
