package main

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/motewire/coap/cmd/coap/svg"
	"github.com/motewire/coap/internal/load"
)

// percentiles are those that the plots name.
var percentiles = []float64{50, 75, 90, 99, 99.9, 99.99}

// writePercentiles draws a bar for each percentile that the number of answers gives a meaning.
// Latencies spread over powers of ten: the scale is logarithmic, from the shortest one.
func writePercentiles(b *strings.Builder, h *load.Histogram) {
	least, most := max(h.Min(), 1), max(h.Max(), 2)
	span := math.Log(float64(most) / float64(least))
	row := func(name string, d time.Duration) {
		length := barWidth
		if span > 0 {
			length = 1 + int(math.Log(float64(max(d, least))/float64(least))/span*(barWidth-1))
		}
		fmt.Fprintf(b, "%-7s %10s ms %s\n", name, milliseconds(d), strings.Repeat("▒", length))
	}
	for _, p := range percentiles {
		if meaningful(p, h.Count()) {
			row("p"+percentName(p), h.Quantile(p/100))
		}
	}
	row("max", h.Max())
}

// meaningful reports whether at least one of so many values is above a percentile.
func meaningful(p float64, n uint64) bool { return float64(n)*(1-p/100) >= 0.999 }

func percentName(p float64) string { return strings.TrimSuffix(fmt.Sprintf("%g", p), ".0") }

// Where things stand in the picture of percentiles, in pixels.
const (
	plotLeft, plotTop     = 70.0, 40.0
	plotWidth, plotHeight = 560.0, 260.0
)

// percentilePlot draws latency over percentile: each step of the level axis is a tenth of what is
// above, so that the tail has its room.
func percentilePlot(title string, kinds []plotted) []byte {
	var p svg.Picture
	p.Text(svg.Title, svg.Start, plotLeft, 20, title)
	most, n := time.Duration(1), uint64(1)
	for _, k := range kinds {
		most, n = max(most, k.latency.Max()), max(n, k.latency.Count())
	}
	decades := max(1, math.Ceil(math.Log10(float64(n))))
	x := func(q float64) float64 { return plotLeft + plotWidth*math.Log10(1/(1-q))/decades }
	y := func(d time.Duration) float64 { return plotTop + plotHeight*(1-float64(d)/float64(most)) }
	for i := range 5 {
		d := most * time.Duration(i) / 4
		p.Line(svg.Faint, plotLeft, y(d), plotLeft+plotWidth, y(d))
		p.Text(svg.Faint, svg.End, plotLeft-6, y(d)+4, milliseconds(d))
	}
	p.Text(svg.Faint, svg.Start, 6, plotTop-8, "ms")
	for i := range int(decades) + 1 {
		q := 1 - math.Pow(10, -float64(i))
		p.Line(svg.Faint, x(q), plotTop, x(q), plotTop+plotHeight)
		p.Text(svg.Faint, svg.Middle, x(q), plotTop+plotHeight+18, fmt.Sprintf("p%.6g", 100*q))
	}
	longest := 0
	for i, k := range kinds {
		class := []svg.Class{svg.First, svg.Second, svg.Third}[i%3]
		var xs, ys []float64
		last := math.Log10(float64(max(k.latency.Count(), 2)))
		for step := range 201 {
			q := 1 - math.Pow(10, -last*float64(step)/200)
			xs, ys = append(xs, x(q)), append(ys, y(k.latency.Quantile(q)))
		}
		p.Path(class, xs, ys)
		p.Text(class, svg.Start, plotLeft+plotWidth+8, plotTop+4+16*float64(i), k.name)
		longest = max(longest, len(k.name))
	}
	p.Width = max(p.Width, plotLeft+plotWidth+8+7.5*float64(longest))
	return p.Bytes(title)
}

// A plotted is a line of the picture.
type plotted struct {
	name    string
	latency *load.Histogram
}
