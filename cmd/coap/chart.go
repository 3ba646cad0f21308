package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// chartWidth is how many of the last values a sparkline shows.
const chartWidth = 40

// A chart draws a sparkline beside numbers as they come, and sums them up.
type chart struct {
	recent []float64 // the last ones, oldest first
	n      int
	mean   float64
	least  float64
	most   float64
}

// add returns the line of a value, with a sparkline behind it where it is a number.
func (c *chart) add(line []byte) []byte {
	v, err := strconv.ParseFloat(strings.TrimSpace(string(line)), 64)
	if err != nil || math.IsInf(v, 0) || math.IsNaN(v) {
		return line
	}
	if c.n == 0 {
		c.least, c.most = v, v
	}
	c.n++
	c.mean += (v - c.mean) / float64(c.n)
	c.least, c.most = min(c.least, v), max(c.most, v)
	if len(c.recent) == chartWidth {
		c.recent = c.recent[1:]
	}
	c.recent = append(c.recent, v)
	return fmt.Appendf(nil, "%-10s %s", line, sparkline(c.recent))
}

// sparkline draws values between the least and the greatest of them. Equal ones are drawn
// halfway.
func sparkline(values []float64) string {
	least, most := values[0], values[0]
	for _, v := range values {
		least, most = min(least, v), max(most, v)
	}
	levels := []rune("▁▂▃▄▅▆▇█")
	var b strings.Builder
	for _, v := range values {
		share := 0.5
		if most > least {
			share = (v/2 - least/2) / (most/2 - least/2) // halves: no overflow
		}
		b.WriteRune(levels[min(int(share*float64(len(levels))), len(levels)-1)])
	}
	return b.String()
}

// summary returns a line about the numbers, empty where there were none.
func (c *chart) summary() string {
	if c.n == 0 {
		return ""
	}
	return fmt.Sprintf("min %v, mean %.6g, max %v of %d", c.least, c.mean, c.most, c.n)
}
