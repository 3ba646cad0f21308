package ladder

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/motewire/coap/message"
)

// A Style says how a ladder is drawn as text.
type Style struct {
	// Width is how many columns there are between the two lines of a ladder; 0 means 62.
	Width int
	// Paint puts a text into the colour of a part; nil leaves it as it is.
	Paint func(Part, string) string
}

// A Part of a drawing has a colour of its own.
type Part uint8

// The parts.
const (
	Heading  Part = iota
	Success       // an arrow of a 2.xx
	Failure       // of a 4.xx, a 5.xx, a Reset and what is malformed
	Repeated      // of what came before
	Other         // any other arrow
)

const defaultWidth = 62

// WriteText draws the conversations one below the other, each in the order of time.
func (st Style) WriteText(w io.Writer, all []*Conversation) error {
	for i, c := range all {
		var b strings.Builder
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(st.paint(Heading, fmt.Sprintf("#%d  %s", c.Number, heading(c))) + "\n")
		gap := max(st.width()-utf8.RuneCountInString(c.Client.String()+c.Server.String())+4, 1)
		fmt.Fprintf(&b, "%*s%v%*s%v\n", indent, "", c.Client, gap, "", c.Server)
		for _, s := range c.Steps {
			b.WriteString(st.line(s) + "\n")
		}
		if _, err := io.WriteString(w, b.String()); err != nil {
			return err
		}
	}
	return nil
}

// indent is how many columns stand before a client's address: the time and the frame.
const indent = 12 + 2 + 6 + 2 - 1

// WriteStep draws one step, with the number of its conversation: for captures that still
// grow.
func (st Style) WriteStep(w io.Writer, s *Step) error {
	c := s.Conversation
	var head string
	if len(c.Steps) == 1 {
		head = st.paint(Heading, fmt.Sprintf("#%d  %s   %v - %v", c.Number, c.Title, c.Client, c.Server)) + "\n"
	}
	_, err := fmt.Fprintf(w, "%s#%-4d %s\n", head, c.Number, st.line(s))
	return err
}

// line draws one step: time, frame, arrow and what is to be said about it.
func (st Style) line(s *Step) string {
	c := s.Conversation
	drawn := arrow(Label(s), st.width(), c.fromClient(s))
	line := fmt.Sprintf("%12s  %6d  │%s│", seconds(s.At), s.Frame, st.paint(partOf(s), drawn))
	if note := Note(s); note != "" {
		line += "  " + note
	}
	return line
}

func (st Style) width() int {
	if st.Width == 0 {
		return defaultWidth
	}
	return st.Width
}

func (st Style) paint(p Part, text string) string {
	if st.Paint == nil {
		return text
	}
	return st.Paint(p, text)
}

// arrow draws a label on an arrow of some columns.
func arrow(label string, width int, right bool) string {
	line := "── " + shortened(label, width-8) + " "
	rest := strings.Repeat("─", width-1-utf8.RuneCountInString(line))
	if right {
		return line + rest + "▶"
	}
	return "◀" + line + rest
}

func partOf(s *Step) Part {
	switch {
	case s.Fate != New:
		return Repeated
	case s.Kind == Malformed, s.Kind == Reset && s.Answers != nil && s.Answers.Kind != Ping:
		return Failure
	case s.View.Code().IsSuccess():
		return Success
	case s.View.Code().IsResponse():
		return Failure
	}
	return Other
}

// heading says what a conversation is about.
func heading(c *Conversation) string {
	text := c.Title
	if c.Observes {
		text += fmt.Sprintf(", observation, %d notifications", c.count(Notification))
	}
	if n := c.count(Request); c.Blocks && n > 1 {
		text += fmt.Sprintf(", block-wise, %d requests", n)
	} else if c.Blocks {
		text += ", block-wise"
	}
	return text
}

// Label says what a step's message is.
func Label(s *Step) string {
	if s.Kind == Malformed {
		return fmt.Sprintf("malformed, %d B", len(s.Raw))
	}
	v := &s.View
	parts := []string{v.Type().String(), code(v.Code())}
	if v.Code().IsRequest() {
		parts = append(parts, path(v))
	}
	parts = append(parts, fmt.Sprintf("[0x%04x]", uint16(v.ID())))
	if n, ok := v.Observe(); ok {
		parts = append(parts, fmt.Sprintf("Observe %d", n))
	}
	for n, value := range v.Options() {
		switch n {
		case message.Block1, message.Block2, message.QBlock1, message.QBlock2:
			parts = append(parts, n.String()+" "+n.FormatValue(value))
		}
	}
	if n := len(v.Payload()); n > 0 {
		parts = append(parts, fmt.Sprintf("%d B", n))
	}
	return strings.Join(parts, " ")
}

func code(c message.Code) string {
	if c == message.Empty || c.IsRequest() && c.Name() != "" {
		return c.Name()
	}
	return strings.TrimSpace(c.String() + " " + c.Name())
}

// Note says what is special about a step.
func Note(s *Step) string {
	switch s.Fate {
	case Resent:
		return fmt.Sprintf("retransmission %d, after %s", s.Repeats, span(s.After))
	case Duplicate:
		return fmt.Sprintf("duplicate, after %s", span(s.After))
	case Again:
		return "the same answer again"
	}
	var notes []string
	switch s.Kind {
	case Malformed:
		notes = append(notes, strings.TrimPrefix(s.Err.Error(), "message: "))
	case Response, FurtherResponse:
		notes = responseNotes(s)
	case Acknowledgement:
		notes = append(notes, spanOf(s)...)
	case Reset:
		notes = resetNotes(s)
	case Request:
		if n, ok := s.View.Observe(); ok && n == 1 {
			notes = append(notes, "ends the observation")
		}
	}
	return strings.Join(notes, ", ")
}

func responseNotes(s *Step) []string {
	notes := spanOf(s)
	if s.Separate {
		notes = append(notes, "separate response")
	}
	if s.Kind == FurtherResponse && !s.Answers.To.Addr().IsMulticast() {
		notes = append(notes, "a further response")
	}
	if s.Answers != nil && s.Answers.To.Addr().IsMulticast() {
		notes = append(notes, "from "+s.From.String())
	}
	if s.Answers != nil && s.View.Token() != s.Answers.View.Token() {
		notes = append(notes, "with another token")
	}
	return notes
}

func resetNotes(s *Step) []string {
	notes := spanOf(s)
	if s.Answers == nil {
		return notes
	}
	switch s.Answers.Kind {
	case Ping:
		return append(notes, "pong")
	case Notification:
		return append(notes, "ends the observation")
	}
	return append(notes, "rejected")
}

// spanOf is the time from what a step answers.
func spanOf(s *Step) []string {
	if s.Answers == nil {
		return nil
	}
	return []string{"after " + span(s.After)}
}

// span writes a time to three or four digits.
func span(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return fmt.Sprintf("%.0f µs", float64(d)/float64(time.Microsecond))
	case d < time.Second:
		return fmt.Sprintf("%.3g ms", float64(d)/float64(time.Millisecond))
	}
	return fmt.Sprintf("%.3f s", d.Seconds())
}

// seconds writes a time of a capture to a microsecond.
func seconds(d time.Duration) string { return fmt.Sprintf("%.6f", d.Seconds()) }
