// Package leak finds goroutines that tests leave behind. It imports no package of this
// module, so that every one of them can have the check in its TestMain.
package leak

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// Main runs a package's tests, then cleanup, and exits; it fails where goroutines of this
// module are left afterwards. It is the body of a TestMain.
func Main(m *testing.M, cleanup ...func()) {
	status := m.Run()
	for _, f := range cleanup {
		f()
	}
	if left := leftovers(time.Now().Add(patience)); left != "" {
		fmt.Fprintf(os.Stderr, "goroutines left after the tests:\n\n%s\n", left)
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
