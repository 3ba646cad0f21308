package script

import (
	"testing"

	"github.com/motewire/coap/coaptest"
)

// The example is a script, and all of its resources answer.
func TestExample(t *testing.T) {
	s, err := Load("../../../examples/scripts/greenhouse.json")
	if err != nil {
		t.Fatal(err)
	}
	coaptest.Run(t, func(t *testing.T) {
		server := coaptest.NewServer(New(s).Mux())
		defer server.Close()
		for _, r := range s.resources {
			if resp := get(t, server, r.path); resp.Code.Class() == 4 || resp.Code.IsSuccess() && len(resp.Payload()) == 0 {
				t.Errorf("%s: %v", r.path, resp.Message())
			}
		}
	})
}
