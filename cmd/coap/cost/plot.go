package cost

import (
	"fmt"
	"math"

	"github.com/motewire/coap/cmd/coap/svg"
)

// Where things stand in a plot, in pixels.
const (
	nameX    = 130.0 // right end of the names
	barX     = 140.0
	barWidth = 380.0
	barY     = 18.0 // from one bar to the next
)

// Plot draws bars for bytes, air time and charge, CoAP beside HTTP on each link. Times and
// charges are far apart between links, so that their scales are logarithmic.
func (r *Report) Plot() []byte {
	var p svg.Picture
	p.Width = barX + barWidth + 120
	y := 24.0
	y = r.panel(&p, y, "Bytes on air", false, func(s *Sum, _ *Link) (float64, string) {
		return float64(s.Bytes()), fmt.Sprintf("%d B", s.Bytes())
	})
	y = r.panel(&p, y, "Air time", true, func(s *Sum, _ *Link) (float64, string) {
		return s.AirTime().Seconds(), duration(s.AirTime())
	})
	y = r.panel(&p, y, "Charge", true, func(s *Sum, _ *Link) (float64, string) {
		return s.Charge, quantity(s.Charge, "C")
	})
	if r.Schedule != nil {
		r.panel(&p, y, "Battery life", true, func(s *Sum, l *Link) (float64, string) {
			t := r.Schedule.Life(l, s)
			return t, life(t)
		})
	}
	return p.Bytes("Cost of an exchange over CoAP and HTTP")
}

// panel draws the bars of one figure and returns where the next panel begins.
func (r *Report) panel(p *svg.Picture, y float64, title string, logarithmic bool, figure func(*Sum, *Link) (float64, string)) float64 {
	scale := title
	if logarithmic {
		scale += ", logarithmic scale"
	}
	p.Text(svg.Title, svg.Start, barX, y, scale)
	length := r.scale(logarithmic, figure)
	for i := range r.Links {
		c := &r.Links[i]
		y += 8
		for j, pr := range c.protocols() {
			v, text := figure(pr.sum, &c.Link)
			class := []svg.Class{svg.First, svg.Third}[j]
			p.Bar(class, barX, y, length(v), barY-4)
			p.Text(svg.Plain, svg.End, nameX, y+11, c.Link.Name+" "+pr.name)
			p.Text(svg.Faint, svg.Start, barX+length(v)+6, y+11, text)
			y += barY
		}
	}
	return y + 36
}

// scale returns the length of a bar for a value.
func (r *Report) scale(logarithmic bool, figure func(*Sum, *Link) (float64, string)) func(float64) float64 {
	least, most := math.Inf(1), 0.0
	for i := range r.Links {
		for _, pr := range r.Links[i].protocols() {
			v, _ := figure(pr.sum, &r.Links[i].Link)
			least, most = min(least, v), max(most, v)
		}
	}
	if !logarithmic {
		return func(v float64) float64 { return v / most * barWidth }
	}
	low := math.Floor(math.Log10(least)) - 0.2
	return func(v float64) float64 { return (math.Log10(v) - low) / (math.Log10(most) - low) * barWidth }
}
