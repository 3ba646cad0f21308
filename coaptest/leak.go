package coaptest

import (
	"testing"

	"github.com/motewire/coap"
	"github.com/motewire/coap/internal/leak"
)

// Main runs a package's tests and exits; it fails where goroutines of a client or server
// are left afterwards, as one that was not closed leaves them. It closes
// [coap.DefaultClient] itself. It is the body of a TestMain:
//
//	func TestMain(m *testing.M) { coaptest.Main(m) }
func Main(m *testing.M) {
	leak.Main(m, func() { coap.DefaultClient.Close() })
}
