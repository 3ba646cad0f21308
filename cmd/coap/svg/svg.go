// Package svg writes the few shapes that diagrams are made of as a picture in SVG 1.1.
//
// A picture has its colours from a style sheet within it, with a second set for readers
// that prefer dark pages, and needs nothing from outside.
package svg

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"strings"
)

// A Class names how a shape looks.
type Class string

// The classes of the style sheet.
const (
	Plain Class = "plain" // lines and text in the colour of text
	Faint Class = "faint" // axes, lifelines, captions
	Good  Class = "good"
	Warn  Class = "warn" // what happened again
	Bad   Class = "bad"
	Title Class = "title"

	// Series of a plot.
	First  Class = "first"
	Second Class = "second"
	Third  Class = "third"
)

// sheet gives each class a colour for lines and one for fillings and text, twice.
const sheet = `text{font:12px ui-monospace,Menlo,Consolas,monospace;stroke:none!important}
.line{fill:none!important;stroke-width:1.5}
.bar{stroke:none!important}
.title{font-weight:bold;font-size:13px}
.back{fill:#fff}
.plain,.title{stroke:#1f2328;fill:#1f2328}.faint{stroke:#8c959f;fill:#656d76}
.good,.second{stroke:#1a7f37;fill:#1a7f37}.warn,.third{stroke:#9a6700;fill:#9a6700}
.bad{stroke:#cf222e;fill:#cf222e}.first{stroke:#0969da;fill:#0969da}
@media(prefers-color-scheme:dark){.back{fill:#0d1117}
.plain,.title{stroke:#e6edf3;fill:#e6edf3}.faint{stroke:#6e7681;fill:#8d96a0}
.good,.second{stroke:#3fb950;fill:#3fb950}.warn,.third{stroke:#d29922;fill:#d29922}
.bad{stroke:#f85149;fill:#f85149}.first{stroke:#4493f8;fill:#4493f8}}
`

// An Anchor says which end of a text is at its point.
type Anchor string

// The anchors.
const (
	Start  Anchor = "start"
	Middle Anchor = "middle"
	End    Anchor = "end"
)

// A Picture is a drawing of some width and height in pixels, which grows as it is drawn
// on: x to the right and y downwards. The zero Picture is empty.
type Picture struct {
	Width, Height float64
	body          bytes.Buffer
}

// Line draws a line.
func (p *Picture) Line(c Class, x1, y1, x2, y2 float64) {
	p.shape(`<line class="line %s" x1="%s" y1="%s" x2="%s" y2="%s"/>`, c, x1, y1, x2, y2)
}

// Arrow draws a level line with a head at x2.
func (p *Picture) Arrow(c Class, x1, x2, y float64) {
	back := 8.0
	if x2 > x1 {
		back = -8
	}
	p.Line(c, x1, y, x2, y)
	p.path("head", c, []float64{x2 + back, x2, x2 + back}, []float64{y - 4, y, y + 4})
}

// Path draws a line through points, which are as many in x as in y.
func (p *Picture) Path(c Class, x, y []float64) { p.path("line", c, x, y) }

// path draws a shape: a line, or the filled head of an arrow.
func (p *Picture) path(shape string, c Class, x, y []float64) {
	var d strings.Builder
	for i := range x {
		command := "L"
		if i == 0 {
			command = "M"
		}
		fmt.Fprintf(&d, "%s%s,%s", command, number(x[i]), number(y[i]))
		p.grow(x[i], y[i])
	}
	fmt.Fprintf(&p.body, `<path class="%s %s" d="%s"/>`+"\n", shape, c, d.String())
}

// Bar draws a filled rectangle.
func (p *Picture) Bar(c Class, x, y, width, height float64) {
	p.grow(x+width, y+height)
	fmt.Fprintf(&p.body, `<rect class="bar %s" x="%s" y="%s" width="%s" height="%s"/>`+"\n",
		c, number(x), number(y), number(width), number(height))
}

// Text writes a text with its base line at y.
func (p *Picture) Text(c Class, a Anchor, x, y float64, text string) {
	p.grow(x, y+4)
	fmt.Fprintf(&p.body, `<text class="%s" text-anchor="%s" x="%s" y="%s">%s</text>`+"\n", c, a, number(x), number(y), escaped(text))
}

func (p *Picture) shape(format string, c Class, x1, y1, x2, y2 float64) {
	p.grow(x1, y1)
	p.grow(x2, y2)
	fmt.Fprintf(&p.body, format+"\n", c, number(x1), number(y1), number(x2), number(y2))
}

func (p *Picture) grow(x, y float64) { p.Width, p.Height = max(p.Width, x), max(p.Height, y) }

// Bytes returns the file. title is what a screen reader says about it.
func (p *Picture) Bytes(title string) []byte {
	var b bytes.Buffer
	w, h := number(p.Width+12), number(p.Height+12)
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%s" height="%s" viewBox="0 0 %[1]s %[2]s" role="img">`+"\n", w, h)
	fmt.Fprintf(&b, "<title>%s</title>\n<style>%s</style>\n", escaped(title), sheet)
	fmt.Fprintf(&b, `<rect class="back" width="%s" height="%s"/>`+"\n", w, h)
	b.Write(p.body.Bytes())
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// escaped returns a text as XML has it; characters that XML has not become U+FFFD.
func escaped(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // a Builder takes everything
	return b.String()
}

// number writes a coordinate, to a tenth of a pixel.
func number(v float64) string {
	return strings.TrimSuffix(fmt.Sprintf("%.1f", v), ".0")
}
