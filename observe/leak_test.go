package observe

import (
	"testing"

	"github.com/motewire/coap/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }
