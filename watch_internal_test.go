package coap

import (
	"testing"
	"testing/synctest"
	"time"
)

// The watch of an idle server rests, that of a busy one is not woken by each request.
func TestWatchRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w readerWatch
		shards := [2]shard{{done: make(chan struct{})}, {done: make(chan struct{})}}
		for i := range shards {
			w.add(&shards[i])
		}
		woken := 0
		serve := func(s *shard) {
			s.sequence++
			s.serving.Store(s.sequence << 8)
			if !w.awake.Load() {
				woken++
			}
			w.wake()
		}
		rests := func(after time.Duration) {
			t.Helper()
			time.Sleep(after)
			synctest.Wait()
			if w.awake.Load() {
				t.Errorf("awake %v after the last request", after)
			}
		}
		serve(&shards[0])
		rests(watchInterval + watchLongest)
		for i := range 100 {
			serve(&shards[i%2])
			time.Sleep(watchLongest / 2)
		}
		if woken != 2 {
			t.Errorf("woken %d times, want once by the first request and once by those that followed", woken)
		}
		rests(2 * watchLongest)
	})
}
