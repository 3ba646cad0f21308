package leak

import (
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) { Main(m) }

// A goroutine of this module that waits is found, and no longer once it has ended.
func TestLeftovers(t *testing.T) {
	started, release, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go waitFor(started, release, ended)
	<-started
	found := func() bool { return strings.Contains(leftovers(time.Now()), "waitFor") }
	if !found() {
		t.Error("a waiting goroutine was not found")
	}
	close(release)
	<-ended
	for deadline := time.Now().Add(patience); found() && time.Now().Before(deadline); {
	}
	if found() {
		t.Error("found after its end")
	}
}

func waitFor(started, release, ended chan struct{}) {
	defer close(ended)
	close(started)
	<-release
}
