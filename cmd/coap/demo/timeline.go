package demo

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/motewire/coap/cmd/coap/overhttp"
	"github.com/motewire/coap/message"
	"github.com/motewire/coap/transport"
)

// columns is the head of the timeline.
const columns = "   SECONDS      TYPE CODE     ID TOKEN            BYTES"

// How a terminal shows text (ECMA-48, SGR).
const (
	bold   = "1"
	red    = "31"
	yellow = "33"
)

// A recorder prints the timeline and keeps what went over the wire. It is safe for
// concurrent use: each direction of the link tells it on a goroutine of its own.
type recorder struct {
	color bool

	mu        sync.Mutex
	w         io.Writer
	err       error // of w, the first one
	start     time.Time
	step      int  // being carried out
	brief     bool // what went well is left out, but for the first datagrams
	told      int  // datagrams of the step that were printed
	untold    int  // datagrams left out since
	datagrams []datagram
	copies    map[string]int        // how often a direction saw a datagram
	byToken   map[message.Token]int // steps of requests and responses
	byID      map[string]int        // steps of messages that are acknowledged
	holding   bool                  // the client has yet to deal with what the link holds back
	news      chan struct{}         // there is another datagram, or holding is over
}

// A fate is what the link does to a datagram.
type fate uint8

const (
	passed fate = iota
	lost
	held // on its way, and comes late
	late // arrives, behind a newer one
)

// A datagram is one that the client sent, or that reached the lossy end of its link.
type datagram struct {
	step   int
	at     time.Duration // since the start
	sent   bool          // by the client
	fate   fate
	copies int           // of it that went before, in the same direction
	view   *message.View // of a copy
}

func newRecorder(w io.Writer, color bool) *recorder {
	return &recorder{
		color: color, w: w, start: time.Now(),
		copies: map[string]int{}, byToken: map[message.Token]int{}, byID: map[string]int{},
		news: make(chan struct{}, 1),
	}
}

// begin says which step comes now.
func (r *recorder) begin(step int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.step, r.told, r.untold = step, 0, 0
}

// setBrief says whether datagrams that went well are left out.
func (r *recorder) setBrief(yes bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.brief = yes
	r.skip()
}

// enough is how many datagrams of a step are printed where it is told in brief.
const enough = 4

// tell prints a datagram, or leaves it out.
func (r *recorder) tell(d *datagram) {
	if r.brief && r.told >= enough && d.fate == passed && d.copies == 0 {
		r.untold++
		return
	}
	r.skip()
	r.told++
	r.print(r.line(d))
}

// skip tells how many datagrams were left out.
func (r *recorder) skip() {
	if r.untold > 0 {
		r.print(fmt.Sprintf("%14s  %d more\n", "...", r.untold))
		r.untold = 0
	}
}

// tap takes what the lossy link tells, but for the datagrams that arrive: the link behind
// it decides when.
func (r *recorder) tap(f transport.Fate) {
	switch {
	case f.Dropped:
		r.add(f.Sent, lost, &f.Packet)
	case f.Sent:
		r.add(true, passed, &f.Packet)
	}
}

// add takes one datagram.
func (r *recorder) add(sent bool, fate fate, p *transport.Packet) {
	v := new(message.View)
	if err := v.Parse(bytes.Clone(p.Buf[:p.N])); err != nil {
		r.printf("   %v\n", err) // neither side sends such
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	key := direction(sent) + string(v.Datagram())
	d := datagram{
		step: r.stepOf(sent, v), at: time.Since(r.start), sent: sent, fate: fate,
		copies: r.copies[key], view: v,
	}
	if fate != held { // it is yet to come
		r.copies[key]++
	}
	r.datagrams = append(r.datagrams, d)
	r.tell(&d)
	r.wake()
}

// hold says whether the link holds a notification back.
func (r *recorder) hold(yes bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.holding = yes
	r.wake()
}

func (r *recorder) wake() {
	select {
	case r.news <- struct{}{}:
	default:
	}
}

// await waits until what went over the wire fulfils a condition, which is called under the
// lock. Only one goroutine may wait.
func (r *recorder) await(ctx context.Context, fulfilled func([]datagram) bool) error {
	for {
		r.mu.Lock()
		ok := fulfilled(r.datagrams)
		r.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-r.news:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func direction(sent bool) string {
	if sent {
		return ">"
	}
	return "<"
}

// stepOf returns the step that a message belongs to: a straggler may come later.
func (r *recorder) stepOf(sent bool, v *message.View) int {
	if v.Code() == message.Empty { // answers a message that went the other way
		if step, ok := r.byID[fmt.Sprint(!sent, v.ID())]; ok {
			return step
		}
		return r.step
	}
	step, ok := r.byToken[v.Token()]
	if !ok {
		step = r.step
		r.byToken[v.Token()] = step
	}
	r.byID[fmt.Sprint(sent, v.ID())] = step
	return step
}

// line describes a datagram.
func (r *recorder) line(d *datagram) string {
	v := d.view
	line := fmt.Sprintf("%10.3f %s  %-4v %-6s %5d %-16v %5d  %s", d.at.Seconds(), d.arrow(),
		v.Type(), codeText(v.Code()), v.ID(), v.Token(), len(v.Datagram()), content(v))
	line = strings.TrimRight(line, " ")
	if note := d.note(); note != "" {
		line += "  [" + note + "]"
	}
	switch {
	case d.fate == lost:
		return r.paint(red, line) + "\n"
	case d.fate != passed, d.copies > 0:
		return r.paint(yellow, line) + "\n"
	}
	return line + "\n"
}

func (d *datagram) arrow() string {
	switch {
	case d.fate == lost && d.sent:
		return "--x"
	case d.fate == lost:
		return "x--"
	case d.fate == held:
		return "~~~"
	case d.sent:
		return "-->"
	}
	return "<--"
}

// note says whether the datagram went before and what the link does to it.
func (d *datagram) note() string {
	var notes []string
	if d.copies > 0 {
		what := "same answer again" // to a retransmission (RFC 7252 §4.5)
		if d.view.Type() == message.Confirmable {
			what = fmt.Sprintf("retransmission %d", d.copies)
		}
		notes = append(notes, what)
	}
	switch d.fate {
	case lost:
		notes = append(notes, "lost")
	case held:
		notes = append(notes, "held back")
	case late: // older than what the client has (RFC 7641 §3.4)
		notes = append(notes, "late: stale, discarded")
	case passed:
	}
	return strings.Join(notes, ", ")
}

// codeText is the method, or the number of a response code.
func codeText(c message.Code) string {
	if c.IsRequest() || c == message.Empty {
		return c.Name()
	}
	return fmt.Sprintf("%d.%02d", c.Class(), c.Detail())
}

// maxContent is how much of a payload is shown, in bytes.
const maxContent = 32

// content describes what a message is about: path, Observe, location and payload.
func content(v *message.View) string {
	var parts []string
	if v.Code().IsRequest() {
		parts = append(parts, overhttp.Target(v))
	}
	if b, ok := v.Block1(); ok {
		parts = append(parts, fmt.Sprint("Block1 ", b))
	}
	if b, ok := v.Block2(); ok {
		parts = append(parts, fmt.Sprint("Block2 ", b))
	}
	if number, ok := v.Observe(); ok {
		parts = append(parts, fmt.Sprint("Observe ", number))
	}
	if location, ok := v.Location(); ok {
		parts = append(parts, location)
	}
	p := v.Payload()
	switch {
	case len(p) == 0:
	case !isText(p):
		parts = append(parts, fmt.Sprint(len(p), " bytes"))
	case len(p) > maxContent:
		parts = append(parts, fmt.Sprintf("%#q...", p[:maxContent]))
	default:
		parts = append(parts, fmt.Sprintf("%#q", p))
	}
	return strings.Join(parts, " ")
}

// isText reports whether a payload can be shown.
func isText(p []byte) bool {
	return utf8.Valid(p) && !bytes.ContainsFunc(p, func(r rune) bool { return unicode.IsControl(r) && !unicode.IsSpace(r) })
}

func (r *recorder) paint(color, text string) string {
	if !r.color {
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}

func (r *recorder) printf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.print(fmt.Sprintf(format, args...))
}

// print writes under the lock. What can't be written is told at the end.
func (r *recorder) print(text string) {
	if r.err == nil {
		_, r.err = io.WriteString(r.w, text)
	}
}

// failure returns the first error of the output.
func (r *recorder) failure() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}
