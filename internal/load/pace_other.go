//go:build !linux

package load

import "time"

func steady() func() { return func() {} }

func sleep(d time.Duration) { time.Sleep(d) }
