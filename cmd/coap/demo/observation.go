package demo

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/message"
)

const (
	// enoughChanges is how often the observed value changes at least. It goes on until
	// a late notification was seen.
	enoughChanges = 8
	// changePause is how long the value stays as it is, once the fate of its
	// notification is known.
	changePause = 150 * time.Millisecond
)

// observation is the headline of the step that follows the others, and what it shows.
var observation = struct {
	headline string
	shows    []string
}{
	"Observe: the node tells of each change, until the client leaves",
	[]string{
		"GET with Observe 0 registers the client, and another client changes the temperature over a",
		"link of its own. Notifications are NON, each fifth CON; one that is lost, the next makes up",
		"for. Some are overtaken (~~~): their Observe number is lower than that of the last one, so",
		"the client discards them (RFC 7641 §3.4). Leaving the loop sends GET with Observe 1 (§3.6).",
	},
}

// An observer is the client's loop over an observation, and what it knows of the changes.
type observer struct {
	*session
	url     string
	changes int
	states  int     // that the loop got
	value   float64 // the last one of them
}

// observe carries out the observation, prints its outcome and checks it.
func (s *session) observe(ctx context.Context, path string) error {
	number := len(steps) + 1
	s.begin(len(steps), observation.headline, observation.shows)
	o := &observer{session: s, url: s.base + path}
	err := o.carryOut(ctx)
	if err == nil {
		o.printOutcome()
		err = o.check()
	}
	if err != nil {
		return fmt.Errorf("demo: step %d: %w", number, err)
	}
	return nil
}

// carryOut follows the resource, leaves, and changes it once more.
func (o *observer) carryOut(ctx context.Context) error {
	if err := o.follow(ctx); err != nil {
		return err
	}
	if err := o.rec.await(ctx, deregistered); err != nil {
		return err
	}
	if err := o.change(ctx); err != nil {
		return err
	}
	time.Sleep(pause + changePause) // for a notification that must not come
	return nil
}

// follow gets the states, and changes the value until the next one has arrived.
func (o *observer) follow(ctx context.Context) error {
	for resp, err := range o.client.Observe(ctx, o.url) {
		if errors.Is(err, coap.ErrObservationEnded) {
			return fmt.Errorf("%w: %w", ErrResponse, err)
		}
		if err != nil {
			return err
		}
		if !resp.Message().Has(message.Observe) {
			return fmt.Errorf("%w: not observed", ErrResponse)
		}
		if err := o.take(string(resp.Payload())); err != nil {
			return err
		}
		if o.changes >= enoughChanges && o.lateOnes() > 0 {
			return nil
		}
		if err := o.changeUntilNews(ctx); err != nil {
			return err
		}
	}
	return nil
}

// take takes a state. The values rise, so that one below the last would be older.
func (o *observer) take(text string) error {
	value, err := strconv.ParseFloat(text, 64)
	if err != nil || value < o.value {
		return fmt.Errorf("%w: the loop got %q after %v", ErrResponse, text, o.value)
	}
	o.states++
	o.value = value
	return nil
}

// changeUntilNews changes the value until a notification of it arrives.
func (o *observer) changeUntilNews(ctx context.Context) error {
	for {
		time.Sleep(changePause)
		if err := o.change(ctx); err != nil {
			return err
		}
		arrived := false
		err := o.rec.await(ctx, func(datagrams []datagram) (settled bool) {
			arrived, settled = fateOf(o.current(), datagrams)
			// What an arrival has overtaken comes right behind it.
			return settled && !(arrived && o.rec.holding)
		})
		if err != nil || arrived {
			return err
		}
	}
}

// change gives the resource another value.
func (o *observer) change(ctx context.Context) error {
	o.changes++
	resp, err := o.other.Put(ctx, o.url, coap.Text(o.current()))
	if err != nil {
		return err
	}
	if err := resp.Err(); err != nil {
		return fmt.Errorf("%w: %w", ErrResponse, err)
	}
	return nil
}

// current is the value after the last change.
func (o *observer) current() string {
	return strconv.FormatFloat(float64(215+o.changes)/10, 'f', -1, 64)
}

// fateOf reports whether the notification of a value arrived, and whether that is settled:
// a Confirmable one comes again until its Acknowledgement has arrived, too.
func fateOf(value string, datagrams []datagram) (arrived, settled bool) {
	var id message.ID // of a Confirmable one that arrived
	for _, d := range datagrams {
		v := d.view
		switch {
		case d.sent:
			if arrived && v.Type() == message.Acknowledgement && v.ID() == id && d.fate == passed {
				settled = true
			}
		case !isNotification(v) || string(v.Payload()) != value:
		case v.Type() == message.NonConfirmable:
			return d.fate == passed, true
		case d.fate == passed:
			arrived, id = true, v.ID()
		}
	}
	return arrived, settled
}

// deregistered reports whether the client's GET with Observe 1 was answered.
func deregistered(datagrams []datagram) bool {
	var request *message.View
	for _, d := range datagrams {
		v := d.view
		number, has := v.Observe()
		switch {
		case d.sent && v.Code() == message.GET && has && number == 1:
			request = v
		case request != nil && !d.sent && d.fate != lost && v.Token() == request.Token() && !has:
			return true
		}
	}
	return false
}

// lateOnes returns how many notifications were overtaken and arrived then.
func (o *observer) lateOnes() (n uint64) {
	o.rec.mu.Lock()
	defer o.rec.mu.Unlock()
	for _, d := range o.rec.datagrams {
		if d.fate == late {
			n++
		}
	}
	return n
}

func (o *observer) printOutcome() {
	o.rec.printf("   = %d changes; the loop got %d states, in order; the client discarded %d notifications.\n",
		o.changes-1, o.states, o.client.Stats().NotificationsStale)
	o.rec.printf("     The node has %d observers left: of one more change, to %s, it told nobody.\n",
		o.node.server.Stats().Observations.Observers, o.current())
}

// check compares what the timeline shows with what client and node say.
func (o *observer) check() error {
	if n := o.client.Stats().NotificationsStale; n < o.lateOnes() {
		return fmt.Errorf("%w: %d late notifications, %d discarded", ErrResponse, o.lateOnes(), n)
	}
	if s := o.node.server.Stats().Observations; s.Observers != 0 || s.Deregistered != 1 {
		return fmt.Errorf("%w: %d observers, %d deregistered, not 0 and 1", ErrResponse, s.Observers, s.Deregistered)
	}
	o.rec.mu.Lock()
	defer o.rec.mu.Unlock()
	for _, d := range o.rec.datagrams {
		if !d.sent && string(d.view.Payload()) == o.current() {
			return fmt.Errorf("%w: told of %s after the end", ErrResponse, o.current())
		}
	}
	return nil
}
