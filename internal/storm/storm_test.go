package storm

import (
	"bytes"
	"testing"

	"github.com/motewire/coap/coaptest"
	"github.com/motewire/coap/message"
)

func TestMain(m *testing.M) { coaptest.Main(m) }

var testPaths = []string{"hello", "slow", "detached", "body", "stream", "number", "page", ".well-known/core", "none"}

// The same seed makes the same datagrams, another one others.
func TestDeterministic(t *testing.T) {
	a, b, other := New(1, testPaths...), New(1, testPaths...), New(2, testPaths...)
	same := 0
	for i := range 10_000 {
		d := a.Next(nil)
		if !bytes.Equal(d, b.Next([]byte("before"))[6:]) {
			t.Fatalf("datagram %d differs", i)
		}
		if bytes.Equal(d, other.Next(nil)) {
			same++
		}
		if i%7 == 0 {
			a.Overhear(d)
			b.Overhear(d)
		}
	}
	if same > 1000 {
		t.Errorf("%d of 10,000 datagrams are the same for two seeds", same)
	}
}

// The codec and the oracle, which know nothing of each other, agree on what is well-formed.
func TestOracle(t *testing.T) {
	m := New(3, testPaths...)
	for range 200_000 {
		d := m.Next(nil)
		var v message.View
		wellFormed := v.Parse(d) == nil
		// Of Acknowledgements and Resets the oracle looks at nothing else.
		if info := judge(d, false, true, 1<<16); len(d) >= 4 && d[0]>>4&3 < ack && wellFormed != (info.remember || len(d) == 4 && d[1] == empty && d[0]&0xcf == 0x40) {
			t.Fatalf("%x: %v for the codec, %+v for the oracle", d, v.Parse(d), info)
		}
	}
}

// A storm has of everything: each verdict, each rule of the format that can be broken, each
// option that the stack knows something about, and enough that is right.
func TestVariety(t *testing.T) {
	m := New(4, testPaths...)
	const n = 100_000
	verdicts, rules := map[verdict]int{}, map[error]int{}
	var wellFormed, requests, registrations, blocks, extended int
	options := map[message.OptionNumber]int{}
	for range n {
		d := m.Next(nil)
		if len(d) > maxDatagram {
			t.Fatalf("%d bytes", len(d))
		}
		verdicts[judge(d, false, true, 2048).verdict]++
		var v message.View
		err := v.Parse(d)
		if format, ok := err.(*message.FormatError); ok {
			rules[format.Err]++
			if format.Err == message.ErrTokenLength && v.ParseExtended(d) == nil {
				extended++
			}
			continue
		}
		wellFormed++
		for number := range v.Options() {
			options[number]++
		}
		if v.Code().IsRequest() {
			requests++
		}
		if _, ok := v.Block1(); ok {
			blocks++
		}
		if value, ok := v.Observe(); ok && value == 0 && v.Code() == message.GET {
			registrations++
		}
	}
	for v := silence; v <= mayReset; v++ {
		if verdicts[v] < n/200 {
			t.Errorf("only %d of %d datagrams have verdict %d", verdicts[v], n, v)
		}
	}
	for _, rule := range []error{message.ErrTruncated, message.ErrVersion, message.ErrTokenLength, message.ErrOptionDelta, message.ErrOptionLength,
		message.ErrOptionNumber, message.ErrPayloadMarker, message.ErrEmptyMessage, message.ErrCode, message.ErrType} {
		if rules[rule] < n/1000 {
			t.Errorf("only %d of %d datagrams break %q", rules[rule], n, rule)
		}
	}
	for number := range message.OptionNumber(300) {
		if _, assigned := number.Info(); assigned && options[number] == 0 && number <= message.Block1 {
			t.Errorf("no datagram has option %v", number)
		}
	}
	for what, count := range map[string]int{"well-formed": wellFormed - n/3, "requests": requests - n/4, "registrations": registrations - n/100,
		"block-wise": blocks - n/50, "with extended tokens": extended - n/200} {
		if count < 0 {
			t.Errorf("too few datagrams are %s, by %d", what, -count)
		}
	}
	t.Logf("%d datagrams: verdicts %v, rules %v, %d well-formed", n, verdicts, rules, wellFormed)
}
