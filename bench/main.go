// Command bench compares servers and clients side by side: this library, a raw echo, and
// other CoAP stacks where they are installed. README.md beside it says how to read and to
// repeat the figures. It runs on Linux.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// settings are what the command line says.
type settings struct {
	rounds   int
	duration time.Duration // of one measurement
	rows     string
	sockets  int
	profile  string
	ours     bool
}

func main() {
	log.SetFlags(0)
	var s settings
	flag.IntVar(&s.rounds, "rounds", 10, "measure each contestant so often, in turn")
	flag.DurationVar(&s.duration, "duration", 700*time.Millisecond, "how long one measurement takes")
	flag.StringVar(&s.rows, "rows", "", "comma-separated `names` of the rows to measure (default: all)")
	flag.IntVar(&s.sockets, "sockets", runtime.GOMAXPROCS(0), "sockets of each server that can have several")
	flag.StringVar(&s.profile, "profile", "", "`FILE` that this library's server writes its CPU profile to")
	flag.BoolVar(&s.ours, "ours", false, "leave the other stacks out")
	role := flag.String("role", "", "what to be as a child: for the command's own use")
	observers := flag.Int("count", 0, "of peers, for a child")
	dedup := flag.Int("dedup", 0, "Limits.DedupBytes, for a child")
	segments := flag.Bool("segments", false, "let the server use UDP_SEGMENT, for a child")
	to := flag.String("to", "", "address to ask, for a child")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if *role != "" {
		c := child{sockets: s.sockets, count: *observers, dedup: *dedup, to: *to, profile: s.profile, segments: *segments}
		if err := c.run(ctx, *role); err != nil {
			log.Fatalf("%s: %v", *role, err)
		}
		return
	}
	if err := s.measure(ctx); err != nil {
		log.Fatal(err)
	}
}

// measure measures the rows and prints their tables.
func (s *settings) measure(ctx context.Context) error {
	if s.rounds < 6 {
		fmt.Println("fewer than 6 rounds have no 95 % interval of the median; the whole range stands for it")
	}
	var wanted []string
	if s.rows != "" {
		wanted = strings.Split(s.rows, ",")
	}
	for _, w := range wanted {
		if !slices.ContainsFunc(rows, func(r row) bool { return r.name == w }) {
			return fmt.Errorf("no row %q; there are %s", w, rowNames())
		}
	}
	for _, r := range rows {
		if wanted != nil && !slices.Contains(wanted, r.name) {
			continue
		}
		began := time.Now()
		t := &table{title: r.title}
		if err := r.run(ctx, s, t); err != nil {
			return fmt.Errorf("row %s: %w", r.name, err)
		}
		t.print(os.Stdout)
		log.Printf("%s took %v", r.name, time.Since(began).Round(time.Second))
	}
	return nil
}
