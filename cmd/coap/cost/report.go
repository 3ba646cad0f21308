package cost

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// A Comparison is an exchange over one link: with CoAP, and the same with HTTP.
type Comparison struct {
	Link       Link
	CoAP, HTTP Sum
}

// A Report is an exchange over some links.
type Report struct {
	Links    []Comparison
	Schedule *Schedule // nil: a single exchange
}

// WriteTable prints a row for each link and protocol.
func (r *Report) WriteTable(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	head := "packets\tframes\tmessages/B\theaders/B\tlink/B\tall/B\tair time\tcharge\t"
	if r.Schedule != nil {
		head += "battery\t"
	}
	fmt.Fprintln(t, head)
	for i := range r.Links {
		c := &r.Links[i]
		for _, p := range c.protocols() {
			s := p.sum
			fmt.Fprintf(t, "%d\t%d\t%d\t%d\t%d\t%d\t%s\t%s\t", s.Packets, s.Frames, s.Messages, s.Headers, s.LinkBytes,
				s.Bytes(), duration(s.AirTime()), quantity(s.Charge, "C"))
			if r.Schedule != nil {
				fmt.Fprintf(t, "%s\t", life(r.Schedule.Life(&c.Link, s)))
			}
			fmt.Fprintf(t, "  %s, %s\n", c.Link.Name, p.name)
		}
	}
	return t.Flush()
}

type protocol struct {
	name string
	sum  *Sum
}

func (c *Comparison) protocols() []protocol {
	return []protocol{{"CoAP", &c.CoAP}, {"HTTP", &c.HTTP}}
}

// WriteArithmetic prints how the figures come about.
func (r *Report) WriteArithmetic(w io.Writer) error {
	var b strings.Builder
	for i := range r.Links {
		c := &r.Links[i]
		fmt.Fprintf(&b, "\n%s\n", c.Link.describe())
		for _, p := range c.protocols() {
			r.arithmetic(&b, &c.Link, p)
		}
		fmt.Fprintf(&b, "  HTTP takes %.1f times the bytes and %.1f times the charge of CoAP.\n",
			float64(c.HTTP.Bytes())/float64(c.CoAP.Bytes()), c.HTTP.Charge/c.CoAP.Charge)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// describe says what the parameters are.
func (l *Link) describe() string {
	var speed string
	switch {
	case l.LoRa != nil:
		speed = fmt.Sprintf("SF %d, %s, coding rate 4/%d", l.LoRa.SpreadingFactor, quantity(l.LoRa.Bandwidth, "Hz"), 4+l.LoRa.CodingRate)
	case l.UpRate == l.DownRate:
		speed = rate(l.UpRate)
	default:
		speed = rate(l.UpRate) + " up, " + rate(l.DownRate) + " down"
	}
	text := fmt.Sprintf("%s (%s): %s; %d B around a frame", l.Title, l.Name, speed, l.Header)
	if l.Ack > 0 {
		text += fmt.Sprintf(", %d B to acknowledge it", l.Ack)
	}
	if l.PerFrame > 0 {
		text += ", " + duration(l.PerFrame) + " beside it"
	}
	return fmt.Sprintf("%s; IP with UDP %d B, with TCP %d B; sends with %s, receives with %s", text,
		l.UDP, l.TCP, quantity(l.Transmit, "A"), quantity(l.Receive, "A"))
}

func (r *Report) arithmetic(b *strings.Builder, l *Link, p protocol) {
	s := p.sum
	fmt.Fprintf(b, "  %s  bytes     %d messages + %d headers of %d packets + %d link, %d frames = %d B, %d B sent, %d B received\n", p.name,
		s.Messages, s.Headers, s.Packets, s.LinkBytes, s.Frames, s.Bytes(), s.UpBytes, s.DownBytes)
	fmt.Fprintf(b, "        air time  %s\n", airTimeText(l, s))
	fmt.Fprintf(b, "        charge    %s\n", chargeText(l, s))
	if r.Schedule == nil {
		return
	}
	sc := r.Schedule
	each := quantity(s.Charge, "C")
	if sc.Awake > 0 {
		each = fmt.Sprintf("(%s + %s x %s)", each, duration(sc.Awake), quantity(l.Receive, "A"))
	}
	mean := quantity(sc.Mean(l, s), "A")
	fmt.Fprintf(b, "        battery   %s / %s + %s = %s on average; %s / %s = %s\n", each, duration(sc.Every),
		quantity(sc.Sleep, "A"), mean, quantity(sc.Capacity/ampereHour, "Ah"), mean, life(sc.Life(l, s)))
}

func airTimeText(l *Link, s *Sum) string {
	switch {
	case l.LoRa != nil:
		return fmt.Sprintf("%s sent + %s received = %s; a symbol takes %s", duration(s.UpTime), duration(s.DownTime),
			duration(s.AirTime()), duration(l.LoRa.Symbol()))
	case l.UpRate == l.DownRate:
		return fmt.Sprintf("%d B x 8 / %s%s = %s", s.Bytes(), rate(l.UpRate), gapText(l, s), duration(s.AirTime()))
	}
	return fmt.Sprintf("%d B x 8 / %s + %d B x 8 / %s%s = %s", s.UpBytes, rate(l.UpRate), s.DownBytes, rate(l.DownRate),
		gapText(l, s), duration(s.AirTime()))
}

func gapText(l *Link, s *Sum) string {
	if l.PerFrame == 0 {
		return ""
	}
	return fmt.Sprintf(" + %d x %s", s.Frames, duration(l.PerFrame))
}

func chargeText(l *Link, s *Sum) string {
	if l.Transmit == l.Receive {
		return fmt.Sprintf("%s x %s = %s", duration(s.AirTime()), quantity(l.Transmit, "A"), charge(s.Charge))
	}
	return fmt.Sprintf("%s x %s + %s x %s = %s", duration(s.UpTime), quantity(l.Transmit, "A"),
		duration(s.DownTime), quantity(l.Receive, "A"), charge(s.Charge))
}
