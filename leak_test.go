package coap_test

import (
	"testing"

	"github.com/motewire/coap"
	"github.com/motewire/coap/coaptest"
)

func TestMain(m *testing.M) {
	coap.Poison()
	coaptest.Main(m)
}
