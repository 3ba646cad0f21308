package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// cpuTime returns how long the threads of a process have run, 0 for pid 0. Linux tells it
// to the nanosecond in /proc.
func cpuTime(pid uint) (total time.Duration, err error) {
	if pid == 0 {
		return 0, nil
	}
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	for _, file := range files {
		b, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue // the thread has just ended
		}
		var ns int64
		if err == nil {
			_, err = fmt.Sscan(string(b), &ns)
		}
		if err != nil {
			return 0, ioError(err)
		}
		total += time.Duration(ns)
	}
	if len(files) == 0 {
		return 0, usageErrorf("--pid %d: no such process here, or the system has no /proc/PID/task/*/schedstat", pid)
	}
	return total, nil
}
