package main

import (
	"errors"
	"os"

	"github.com/motewire/coap/cmd/coap/ladder"
)

// check finds what flags say together and each alone does not.
func (d *decoder) check() error {
	switch {
	case d.json && (d.bytes || d.ladder), d.bytes && (d.ladder || d.stats):
		return usageErrorf("say one of --json, --map, and --ladder; --stats goes with --json or --ladder")
	}
	return refuseStandard("--svg", d.svg)
}

// tracks tells whether conversations are asked for.
func (d *decoder) tracks() bool { return d.ladder || d.stats || d.svg != "" }

// prints tells whether each message is shown by itself.
func (d *decoder) prints() bool { return d.json && !d.stats || d.bytes || !d.tracks() }

// errEnded ends the reading of an input when nobody wants to see it any more.
var errEnded = errors.New("interrupted")

// datagram decodes one datagram, and prints it.
func (d *decoder) datagram(in datagram) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ended {
		return errEnded
	}
	return d.take(in)
}

// take is datagram under the lock.
func (d *decoder) take(in datagram) error {
	m := dissect(in.raw)
	d.count.messages++
	if m.malformed != nil {
		d.count.malformed++
	}
	if d.tracks() {
		if err := d.track(in); err != nil {
			return err
		}
	}
	if d.prints() {
		if err := d.print(in, &m); err != nil {
			return ioError(err)
		}
	}
	if d.live {
		return ioError(d.out.Flush())
	}
	return nil
}

func (d *decoder) print(in datagram, m *dissection) error {
	switch {
	case d.json:
		return writeJSON(d.out, in, m)
	case d.bytes, d.style.terminal && !in.captured:
		return d.style.writeMap(d.out, in, m)
	}
	return writeDissection(d.out, in, m)
}

// track puts a datagram into its conversation. Of input that still grows it is drawn at
// once.
func (d *decoder) track(in datagram) error {
	if !in.captured {
		return usageErrorf("--ladder, --stats and --svg take a capture file, not hex: it says who sent what to whom")
	}
	step := d.tracked.Add(ladder.Datagram{Frame: in.frame, At: in.at, From: in.from, To: in.to, Raw: in.raw})
	if d.ladder && d.live {
		return ioError(d.ladderStyle().WriteStep(d.out, step))
	}
	return nil
}

// summarize prints what is known at the end of the input alone.
func (d *decoder) summarize() error {
	if !d.tracks() || !d.captured {
		return nil
	}
	all := d.tracked.Conversations
	if d.ladder && !d.live {
		if err := d.ladderStyle().WriteText(d.out, all); err != nil {
			return ioError(err)
		}
	}
	if d.stats {
		if err := d.writeStats(all); err != nil {
			return ioError(err)
		}
	}
	if d.svg != "" {
		return ioError(os.WriteFile(d.svg, ladder.Picture(all), 0o666))
	}
	return nil
}

func (d *decoder) writeStats(all []*ladder.Conversation) error {
	stats := ladder.Summarize(all)
	if d.json {
		return stats.WriteJSON(d.out)
	}
	if d.ladder {
		d.out.WriteByte('\n')
	}
	return stats.WriteText(d.out)
}

// ladderWidth is how wide the ladder is on a terminal of some columns, besides which times,
// frames and most notes have room. On a narrow one labels still can be read.
func ladderWidth(columns int) int {
	if columns == 0 {
		return 0
	}
	return min(max(columns-55, 40), 100)
}

func (d *decoder) ladderStyle() ladder.Style {
	colors := map[ladder.Part]string{ladder.Heading: bold, ladder.Success: green, ladder.Failure: red, ladder.Repeated: yellow}
	return ladder.Style{Width: ladderWidth(d.width), Paint: func(p ladder.Part, text string) string {
		if color := colors[p]; color != "" {
			return d.style.paint(color, text)
		}
		return text
	}}
}
