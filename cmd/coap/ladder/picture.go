package ladder

import (
	"fmt"

	"github.com/motewire/coap/cmd/coap/svg"
)

// Where things stand in a picture, in pixels.
const (
	timeX   = 100.0 // right end of the times
	clientX = 120.0
	serverX = 640.0
	noteX   = 652.0
	stepY   = 26.0 // from one arrow to the next
)

// Picture draws the conversations one below the other as a picture in SVG.
func Picture(all []*Conversation) []byte {
	var p svg.Picture
	y := 24.0
	p.Width = noteX + 300
	for _, c := range all {
		p.Text(svg.Title, svg.Start, 12, y, fmt.Sprintf("#%d  %s", c.Number, heading(c)))
		y += 20
		p.Text(svg.Faint, svg.Start, clientX, y, c.Client.String())
		p.Text(svg.Faint, svg.End, serverX, y, c.Server.String())
		y += 6
		bottom := y + float64(len(c.Steps))*stepY + 6
		p.Line(svg.Faint, clientX, y, clientX, bottom)
		p.Line(svg.Faint, serverX, y, serverX, bottom)
		for _, s := range c.Steps {
			y += stepY
			drawStep(&p, s, y-6)
		}
		y += 40
	}
	if len(all) == 0 {
		p.Text(svg.Faint, svg.Start, 12, y, "no messages")
	}
	return p.Bytes(fmt.Sprintf("%d conversations", len(all)))
}

func drawStep(p *svg.Picture, s *Step, y float64) {
	class := map[Part]svg.Class{
		Success: svg.Good, Failure: svg.Bad, Repeated: svg.Warn, Other: svg.First,
	}[partOf(s)]
	p.Text(svg.Faint, svg.End, timeX, y+4, seconds(s.At))
	from, to := clientX, serverX
	if !s.Conversation.fromClient(s) {
		from, to = to, from
	}
	p.Arrow(class, from, to, y)
	p.Text(svg.Plain, svg.Middle, (clientX+serverX)/2, y-5, shortened(Label(s), 66))
	p.Text(svg.Faint, svg.Start, noteX, y+4, Note(s))
}

// shortened cuts a text that has more than some characters.
func shortened(text string, most int) string {
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return text
}
