package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// A spread is the median of several figures with its 95 % interval.
type spread struct{ low, median, high float64 }

// spreadOf takes the interval from the order of the figures: the median of what they are
// drawn from lies between the k-th smallest and the k-th largest but for a chance of twice
// the binomial distribution below k. With 10 figures k is 2.
func spreadOf(figures []float64) spread {
	s := slices.Sorted(slices.Values(figures))
	n := len(s)
	if n == 0 {
		return spread{math.NaN(), math.NaN(), math.NaN()}
	}
	k, tail, term := 0, 0.0, math.Pow(0.5, float64(n)) // term: k-1 heads of n
	for k < n/2 && 2*(tail+term) <= 0.05 {
		tail += term
		term *= float64(n-k) / float64(k+1)
		k++
	}
	k = max(k, 1)
	return spread{s[k-1], (s[(n-1)/2] + s[n/2]) / 2, s[n-k]}
}

func (s spread) String() string {
	digits := 2
	switch {
	case s.median >= 1000:
		digits = 0
	case s.median >= 20:
		digits = 1
	}
	return fmt.Sprintf("%.*f (%.*f–%.*f)", digits, s.median, digits, s.low, digits, s.high)
}

// ratios divides figures of the same round.
func ratios(of, by []float64) []float64 {
	var r []float64
	for i := range min(len(of), len(by)) {
		r = append(r, of[i]/by[i])
	}
	return r
}

// verdict says whether a target is met: the whole interval must lie on the right side.
func verdict(s spread, mark float64, atLeast bool) string {
	sign, met := "≤", s.high <= mark
	if atLeast {
		sign, met = "≥", s.low >= mark
	}
	if met {
		return fmt.Sprintf("%s %v: met", sign, mark)
	}
	return fmt.Sprintf("%s %v: **missed**", sign, mark)
}

// A table is printed as Markdown.
type table struct {
	title string
	head  []string
	lines [][]string
	notes []string
}

func (t *table) add(cells ...string) { t.lines = append(t.lines, cells) }

func (t *table) note(format string, args ...any) {
	t.notes = append(t.notes, fmt.Sprintf(format, args...))
}

func (t *table) print(w io.Writer) {
	fmt.Fprintf(w, "\n### %s\n\n", t.title)
	if len(t.lines) > 0 {
		fmt.Fprintf(w, "| %s |\n|%s\n", strings.Join(t.head, " | "), strings.Repeat("---|", len(t.head)))
		for _, cells := range t.lines {
			fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | "))
		}
	}
	for _, n := range t.notes {
		fmt.Fprintf(w, "\n%s\n", n)
	}
}
