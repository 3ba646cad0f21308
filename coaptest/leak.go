package coaptest

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/motewire/coap"
)

// Main runs a package's tests and exits; it fails where goroutines of a client or server
// are left afterwards, as one that was not closed leaves them. It closes
// [coap.DefaultClient] itself. It is the body of a TestMain:
//
//	func TestMain(m *testing.M) { coaptest.Main(m) }
func Main(m *testing.M) {
	status := m.Run()
	coap.DefaultClient.Close()
	if left := leftovers(time.Now().Add(patience)); left != "" {
		fmt.Fprintf(os.Stderr, "coaptest: goroutines left after the tests:\n\n%s\n", left)
		status = max(status, 1)
	}
	os.Exit(status)
}

// patience is how long goroutines may take to end that are about to.
const patience = 2 * time.Second

// leftovers returns the stacks of goroutines that run, or were started by, code of this
// module, other than the caller's. It looks again until there are none or time is up.
func leftovers(until time.Time) string {
	for {
		left := strings.Join(goroutines(), "\n\n")
		if left == "" || time.Now().After(until) {
			return left
		}
		runtime.Gosched()
	}
}

// module is how functions of this module begin in a stack.
const module = "github.com/motewire/coap"

func goroutines() (stacks []string) {
	buf := make([]byte, 1<<20)
	all := strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n")
	for _, stack := range all[1:] { // the first one is the caller's
		if strings.Contains(stack, module) {
			stacks = append(stacks, stack)
		}
	}
	return stacks
}
