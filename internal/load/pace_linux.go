package load

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// steady prepares this goroutine to sleep for microseconds, and returns what undoes it:
// the runtime's own timers are good for milliseconds.
func steady() func() {
	runtime.LockOSThread()
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	return func() {
		_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 0, 0, 0, 0) // the default again
		runtime.UnlockOSThread()
	}
}

func sleep(d time.Duration) {
	ts := unix.NsecToTimespec(int64(d))
	_ = unix.Nanosleep(&ts, nil) // one cut short is followed by another
}
