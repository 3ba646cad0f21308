package demo

import (
	"fmt"
	"io"
	"testing"

	"github.com/motewire/coap/coaptest"
	"github.com/motewire/coap/message"
)

// What the exchange takes without loss does not depend on what was lost, and is what went
// over the wire where nothing was.
func TestCleanCostIsThatOfARunWithoutLoss(t *testing.T) {
	want, wire := cleanCosts(t, Config{})
	if want != wire {
		t.Errorf("without loss: %s, went over the wire: %s", want, wire)
	}
	again := 0 // seeds that make something be sent again
	for seed := range uint64(20) {
		clean, wire := cleanCosts(t, Config{Seed: seed, Loss: 0.2})
		if clean != want {
			t.Errorf("seed %d: %s, want %s", seed, clean, want)
		}
		if wire != want {
			again++
		}
	}
	if again < 15 {
		t.Errorf("%d of 20 seeds lose anything", again)
	}
}

// cleanCosts runs the demo and returns the costs of its steps without loss, and as they
// were.
func cleanCosts(t *testing.T, cfg Config) (clean, wire string) {
	t.Helper()
	coaptest.Run(t, func(t *testing.T) {
		rec := newRecorder(io.Discard, false)
		if err := run(t.Context(), rec, cfg, inMemory()); err != nil {
			t.Fatal(err)
		}
		costs, err := countCosts(rec.datagrams, "10.0.0.1:5683")
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range costs {
			clean += fmt.Sprint(c.clean, " ")
			wire += fmt.Sprint(c.wire, " ")
		}
	})
	return clean, wire
}

// view returns a message with options in ascending order.
func view(t *testing.T, typ message.Type, code message.Code, payload string, options ...message.Option) *message.View {
	t.Helper()
	e := message.AppendHeader(nil, typ, code, 1, message.Token{})
	for _, o := range options {
		e.Option(o.Number, o.Value)
	}
	b, err := e.Finish([]byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	v := new(message.View)
	if err := v.Parse(b); err != nil {
		t.Fatal(err)
	}
	return v
}

func option(n message.OptionNumber, value string) message.Option {
	return message.Option{Number: n, Value: []byte(value)}
}

func TestConnectionHeaders(t *testing.T) {
	// SYN, SYN, ACK, request, response, FIN, FIN, ACK
	want := tally{packets: 8, bytes: 2*60 + 6*52}
	if got := connectionHeaders(2); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}
