package main

import (
	"fmt"
	"io"
	"math"
	"strings"
	"sync"
	"time"
)

const (
	// barDelay is how long a transfer takes before its progress is shown.
	barDelay = time.Second
	// barInterval is from one drawing to the next.
	barInterval = 200 * time.Millisecond
)

// A flow is the direction of a transfer.
type flow string

const (
	flowSent     flow = "sent"
	flowReceived flow = "received"
)

// A progressBar shows on one line of a terminal how far a transfer has come. Its methods
// may be called from several goroutines.
type progressBar struct {
	w     io.Writer
	width func() int // of the terminal, in columns

	mu     sync.Mutex
	flow   flow
	began  time.Time // first block of this direction
	bytes  int64     // so far
	total  int64     // -1: not known
	moving bool
	drawn  bool // there is a line on the terminal

	stop chan struct{}
	done sync.WaitGroup
}

// newProgressBar returns a bar that draws itself until it is closed.
func newProgressBar(w io.Writer, width func() int) *progressBar {
	b := &progressBar{w: w, width: width, total: -1, stop: make(chan struct{})}
	b.done.Go(b.run)
	return b
}

func (b *progressBar) run() {
	ticker := time.NewTicker(barInterval)
	defer ticker.Stop()
	for {
		select {
		case <-b.stop:
			return
		case now := <-ticker.C:
			b.draw(now)
		}
	}
}

// move notes how many bytes have arrived of how many; -1: not known, or said before.
func (b *progressBar) move(f flow, bytes, total int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.flow != f {
		b.flow, b.began, b.total = f, time.Now(), -1
	}
	b.bytes, b.moving = bytes, true
	if total >= 0 {
		b.total = total
	}
}

// draw shows the bar where it is time to.
func (b *progressBar) draw(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	taken := now.Sub(b.began)
	if !b.moving || taken < barDelay {
		return
	}
	b.drawn = true
	fmt.Fprintf(b.w, "\r%s\x1b[K", barLine(b.flow, b.bytes, b.total, taken, b.width()))
}

// rest clears the line, which stays so until the next move.
func (b *progressBar) rest() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.moving = false; b.drawn {
		fmt.Fprint(b.w, "\r\x1b[K")
		b.drawn = false
	}
}

// close clears the line for good.
func (b *progressBar) close() {
	close(b.stop)
	b.done.Wait()
	b.rest()
}

// barLine is the text of the bar, in fewer columns than width so that it doesn't wrap.
func barLine(f flow, bytes, total int64, taken time.Duration, width int) string {
	rate := float64(bytes) / taken.Seconds()
	figures := fmt.Sprintf("%s %s", byteCount(float64(bytes)), f)
	if total >= bytes && total > 0 {
		figures = fmt.Sprintf("%s of %s %s", byteCount(float64(bytes)), byteCount(float64(total)), f)
	}
	figures += fmt.Sprintf("  %s/s", byteCount(rate))
	if total < bytes || total <= 0 {
		return figures[:min(len(figures), max(width-1, 0))]
	}
	if rate > 0 {
		figures += "  " + clockTime(float64(total-bytes)/rate) + " left"
	}
	share := float64(bytes) / float64(total)
	line := fmt.Sprintf("%3.0f %%", share*100)
	if room := min(width-1-len(line)-len(figures)-len("  []  "), 30); room >= 5 {
		full := int(share * float64(room))
		line += "  [" + strings.Repeat("#", full) + strings.Repeat("-", room-full) + "]"
	}
	line += "  " + figures
	return line[:min(len(line), max(width-1, 0))]
}

// byteCount is a number of bytes in three or four figures.
func byteCount(n float64) string {
	for _, unit := range []string{"B", "KiB", "MiB"} {
		if n < 1000 {
			if unit == "B" {
				return fmt.Sprintf("%.0f B", n)
			}
			return fmt.Sprintf("%.1f %s", n, unit)
		}
		n /= 1024
	}
	return fmt.Sprintf("%.1f GiB", n)
}

// clockTime is a time as a clock shows it, with hours where there are any.
func clockTime(seconds float64) string {
	const most = 100*3600 - 1
	s := int(math.Round(min(seconds, most)))
	if s >= 3600 {
		return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
	}
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}
