package reliability

import (
	"testing"
	"time"

	"github.com/motewire/coap/message"
)

// RFC 7641 §4.5.2: a newer state may take the place of an unacknowledged one, in a message
// with a new ID; the retransmission counter and the timeout are kept.
func TestReplaceKeepsCounterAndTimeout(t *testing.T) {
	b := newBench(t, Config{})
	x := b.send(alice, encode(message.Confirmable, message.Content, 0, "t", "old"), SendOptions{Confirmable: true})
	first := b.transmitted()
	at, _ := b.e.Deadline()
	b.pass(at.Sub(b.now))
	if again := b.transmitted(); idOf(again) != idOf(first) {
		t.Fatalf("retransmission with ID %v, want %v", idOf(again), idOf(first))
	}
	due, _ := b.e.Deadline()
	if !b.e.Replace(b.now, x, encode(message.Confirmable, message.Content, 0, "t", "new")) {
		t.Fatal("not replaced")
	}
	events := b.events()
	if len(events) != 1 || events[0].Attempt != 2 || idOf(events[0].Datagram) == idOf(first) {
		t.Fatalf("got %+v, want one transmission as attempt 2 under another ID than %v", events, idOf(first))
	}
	fresh := idOf(events[0].Datagram)
	if at, _ := b.e.Deadline(); !at.Equal(due) {
		t.Errorf("timeout moved from %v to %v", due, at)
	}
	b.receive(alice, empty(message.Acknowledgement, idOf(first)))
	if events := b.events(); len(events) != 0 {
		t.Errorf("an Acknowledgement of the old message ID led to %+v", events)
	}
	b.receive(alice, empty(message.Acknowledgement, fresh))
	if events := b.events(); len(events) != 1 || events[0].Kind != Acknowledged || events[0].Outbound != x {
		t.Errorf("got %+v, want Acknowledged", events)
	}
	if b.e.Replace(b.now.Add(time.Second), x, empty(message.Confirmable, 1)) {
		t.Error("replaced what is over")
	}
}
