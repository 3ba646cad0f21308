package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/motewire/coap"
	"github.com/motewire/coap/coaptest"
	"github.com/motewire/coap/message"
	"github.com/motewire/coap/transport"
)

// At any loss, and without any, a notification comes late and is discarded, and the client
// leaves by a GET with Observe 1 that is answered. After that the node tells nothing.
func TestObservation(t *testing.T) {
	for _, loss := range []float64{0, 0.1, 0.4} {
		output, _, err := runInMemory(t, Config{Seed: 42, Loss: loss})
		if err != nil {
			t.Fatalf("loss %v: %v after\n%s", loss, err, output)
		}
		_, rest, found := strings.Cut(output, observation.headline)
		for _, want := range []string{
			"-->  CON  GET", "/temperature Observe 0", "<--  ACK  2.05", "~~~  NON  2.05", "[held back]",
			"<--  NON", "[late: stale, discarded]", "/temperature Observe 1", "<--  ACK  2.05", "   = ",
			"discarded", "The node has 0 observers left", "told nobody.",
		} {
			if found {
				if _, rest, found = strings.Cut(rest, want); !found {
					t.Errorf("loss %v: no %q where it belongs in\n%s", loss, want, output)
				}
			}
		}
	}
}

// A resource that is not there, or can't be observed, is an error.
func TestObservationFails(t *testing.T) {
	coaptest.Run(t, func(t *testing.T) {
		listen := inMemory()
		node, err := startNode(t.Context(), listen)
		if err != nil {
			t.Fatal(err)
		}
		defer node.end()
		client := &coap.Client{Listen: func(ctx context.Context, _ string) (transport.Conn, error) { return listen(ctx) }}
		defer client.Close()
		for path, want := range map[string]string{"/nothing": "4.04", "/config/interval": "not observed"} {
			s := &session{client: client, other: client, node: node, base: "coap://" + node.addr, rec: newRecorder(io.Discard, false)}
			if err := s.observe(t.Context(), path); !errors.Is(err, ErrResponse) || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %s", path, err, want)
			}
			o := &observer{session: s, url: s.base + path}
			if err := o.change(t.Context()); !errors.Is(err, ErrResponse) {
				t.Errorf("%s: a change: %v", path, err)
			}
		}
	})
}

// Each of the three checks of the outcome can fail.
func TestObservationIsChecked(t *testing.T) {
	coaptest.Run(t, func(t *testing.T) {
		listen := inMemory()
		var b bytes.Buffer
		rec := newRecorder(&b, false)
		node, err := startNode(t.Context(), listen)
		if err != nil {
			t.Fatal(err)
		}
		defer node.end()
		client := &coap.Client{Listen: func(ctx context.Context, _ string) (transport.Conn, error) { return listen(ctx) }}
		defer client.Close()
		o := &observer{session: &session{client: client, node: node, rec: rec}}
		if err := o.check(); !errors.Is(err, ErrResponse) || !strings.Contains(err.Error(), "0 deregistered") {
			t.Errorf("nobody left: %v", err)
		}
		for _, err := range client.Observe(t.Context(), "coap://"+node.addr+"/temperature") {
			if err != nil {
				t.Error(err)
			}
			break
		}
		client.Close()
		if err := o.check(); err != nil {
			t.Error(err)
		}
		told := datagram{view: view(t, message.NonConfirmable, message.Content, o.current())}
		rec.datagrams = []datagram{told}
		if err := o.check(); !errors.Is(err, ErrResponse) || !strings.Contains(err.Error(), "after the end") {
			t.Errorf("told after the end: %v", err)
		}
		rec.datagrams[0].fate = late
		if err := o.check(); !errors.Is(err, ErrResponse) || !strings.Contains(err.Error(), "1 late notifications, 0 discarded") {
			t.Errorf("not discarded: %v", err)
		}
	})
}

func TestStatesInOrder(t *testing.T) {
	o := new(observer)
	for _, text := range []string{"21.5", "21.6", "21.6", "22", "21.9", "x"} {
		if err := o.take(text); (err != nil) != (text == "21.9" || text == "x") || err != nil && !errors.Is(err, ErrResponse) {
			t.Errorf("%s: %v", text, err)
		}
	}
	if o.states != 4 {
		t.Errorf("%d states, want 4", o.states)
	}
}

func TestFateOf(t *testing.T) {
	number := option(message.Observe, "\x01")
	notification := func(typ message.Type, f fate, value string) datagram {
		return datagram{fate: f, view: view(t, typ, message.Content, value, number)}
	}
	non := func(f fate, value string) datagram { return notification(message.NonConfirmable, f, value) }
	con := func(f fate) datagram { return notification(message.Confirmable, f, "22") }
	ack := func(f fate) datagram {
		return datagram{sent: true, fate: f, view: view(t, message.Acknowledgement, message.Empty, "")}
	}
	tests := []struct {
		in   []datagram
		want string // arrived, settled
	}{
		{nil, "false false"},
		{[]datagram{non(passed, "21")}, "false false"},
		{[]datagram{non(passed, "22")}, "true true"},
		{[]datagram{non(lost, "22")}, "false true"},
		{[]datagram{non(held, "22")}, "false true"},
		{[]datagram{non(held, "21"), non(passed, "22"), non(late, "21")}, "true true"},
		{[]datagram{con(lost)}, "false false"},
		{[]datagram{con(lost), ack(passed)}, "false false"},
		{[]datagram{con(passed)}, "true false"},
		{[]datagram{con(passed), ack(lost)}, "true false"},
		{[]datagram{con(passed), ack(lost), con(passed), ack(passed)}, "true true"},
	}
	for i, tt := range tests {
		arrived, settled := fateOf("22", tt.in)
		if got := fmt.Sprint(arrived, " ", settled); got != tt.want {
			t.Errorf("%d: %s, want %s", i, got, tt.want)
		}
	}
}

func TestDeregistered(t *testing.T) {
	request := func(number string) datagram {
		return datagram{sent: true, view: view(t, message.Confirmable, message.GET, "", option(message.Observe, number))}
	}
	answer := func(f fate) datagram {
		return datagram{fate: f, view: view(t, message.Acknowledgement, message.Content, "22")}
	}
	notification := datagram{view: view(t, message.NonConfirmable, message.Content, "22", option(message.Observe, "\x07"))}
	for i, tt := range []struct {
		in   []datagram
		want bool
	}{
		{[]datagram{request(""), answer(passed)}, false},
		{[]datagram{answer(passed), request("\x01")}, false},
		{[]datagram{request("\x01"), answer(lost)}, false},
		{[]datagram{request("\x01"), notification}, false},
		{[]datagram{request("\x01"), notification, answer(passed)}, true},
	} {
		if got := deregistered(tt.in); got != tt.want {
			t.Errorf("%d: %v", i, got)
		}
	}
}
