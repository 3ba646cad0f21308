package load

import (
	"testing"

	"github.com/motewire/coap/coaptest"
)

func TestMain(m *testing.M) { coaptest.Main(m) }
