package message

import (
	"errors"
	"fmt"
	"testing"
)

// recognizedInTests is what the README of the bad inputs takes for recognized: the
// options of RFC 7252, 7641, 7959, 7967, 8132, 8768 and 9175, without those of OSCORE.
var recognizedInTests = NewOptionSet(IfMatch, URIHost, ETag, IfNoneMatch, Observe, URIPort,
	LocationPath, URIPath, ContentFormat, MaxAge, URIQuery, HopLimit, Accept, LocationQuery,
	Block2, Block1, Size2, ProxyURI, ProxyScheme, Size1, Echo, NoResponse, RequestTag)

func TestBadInputs(t *testing.T) {
	inputs := badInputs(t)
	if len(inputs) < 55 {
		t.Fatalf("only %d bad inputs", len(inputs))
	}
	seen := make(map[string]int)
	for _, in := range inputs {
		got := outcome(in.datagram)
		if got != in.expect {
			t.Errorf("%x: %s, want %s (%s)", in.datagram, got, in.expect, in.comment)
		}
		var kind string
		fmt.Sscan(in.expect, &kind)
		seen[kind]++
	}
	for _, kind := range []string{"format-error", "unrecognized-critical-option", "ignored-elective", "ok"} {
		if seen[kind] == 0 {
			t.Errorf("no bad input with %s", kind)
		}
	}
}

// outcome puts what decoder and option check find into the words of the bad inputs.
func outcome(datagram []byte) string {
	var v View
	if err := v.Parse(datagram); err != nil {
		var format *FormatError
		if !errors.As(err, &format) {
			return err.Error()
		}
		return "format-error"
	}
	if n, ok := v.UnrecognizedCritical(&recognizedInTests); ok {
		return fmt.Sprintf("unrecognized-critical-option %d", uint16(n))
	}
	if n, ok := v.IgnoredElective(&recognizedInTests); ok {
		return fmt.Sprintf("ignored-elective %d", uint16(n))
	}
	return "ok"
}
