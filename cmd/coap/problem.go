package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/fxamacker/cbor/v2"

	"github.com/motewire/coap/message"
)

// problemNames are the Standard Problem Detail Keys (RFC 9290 §6.1) in the order of their
// numbers, from -1 downwards; -8 is unprocessed-coap-option (§3.1.1).
var problemNames = []string{
	"title", "detail", "instance", "response-code", "base-uri", "base-lang", "base-rtl", "unprocessed-coap-option",
}

// Keys with a reading of their own.
const (
	problemTitle   = -1
	problemDetail  = -2
	problemCode    = -4
	problemOptions = -8
)

// layOutProblem lays problem details out, a line for each, and returns false where the
// body holds none.
func (s style) layOutProblem(body []byte) ([]byte, bool) {
	var details map[any]cbor.RawMessage
	if _, ok := diagnoseLine(body, false); !ok || cbor.Unmarshal(body, &details) != nil || len(details) == 0 {
		return nil, false
	}
	var standard []int64
	var custom []string // key, tab, entry
	for key, value := range details {
		if n, ok := key.(int64); ok && n < 0 {
			standard = append(standard, n)
		} else {
			custom = append(custom, cell(fmt.Sprint(key))+"\t"+diagnosedValue(value))
		}
	}
	slices.SortFunc(standard, func(a, b int64) int { return int(min(max(b-a, -1), 1)) })
	slices.Sort(custom)
	var b strings.Builder
	for _, key := range standard {
		fmt.Fprintf(&b, "%s: %s\n", s.paint(bold, problemName(key)), problemValue(key, details[key]))
	}
	for _, entry := range custom {
		name, value, _ := strings.Cut(entry, "\t")
		fmt.Fprintf(&b, "%s: %s\n", s.paint(bold, name), value)
	}
	return []byte(b.String()), true
}

func problemName(key int64) string {
	if i := -key - 1; i < int64(len(problemNames)) {
		return problemNames[i]
	}
	return strconv.FormatInt(key, 10)
}

// problemValue reads the value of a standard key; what is not as it should be is shown in
// diagnostic notation.
func problemValue(key int64, value cbor.RawMessage) string {
	switch key {
	case problemCode:
		var code uint8
		if cbor.Unmarshal(value, &code) == nil {
			c := message.Code(code)
			return strings.TrimSpace(c.String() + " " + c.Name())
		}
	case problemOptions:
		if text, ok := problemOptionNames(value); ok {
			return text
		}
	case problemTitle, problemDetail:
		if text, ok := taggedText(value); ok {
			return text
		}
	}
	var text string
	if cbor.Unmarshal(value, &text) == nil {
		return cell(text)
	}
	return diagnosedValue(value)
}

// problemOptionNames reads one option number, or an array of them.
func problemOptionNames(value cbor.RawMessage) (string, bool) {
	var numbers []uint16
	if cbor.Unmarshal(value, &numbers) != nil {
		var one uint16
		if cbor.Unmarshal(value, &one) != nil {
			return "", false
		}
		numbers = []uint16{one}
	}
	var all []string
	for _, n := range numbers {
		name := strconv.Itoa(int(n))
		if info, assigned := message.OptionNumber(n).Info(); assigned {
			name += " " + info.Name
		}
		all = append(all, name)
	}
	return strings.Join(all, ", "), true
}

// taggedText reads a text with its language: tag 38 on an array of both (RFC 9290
// Appendix A).
func taggedText(value cbor.RawMessage) (string, bool) {
	var tag cbor.RawTag
	if cbor.Unmarshal(value, &tag) != nil || tag.Number != 38 {
		return "", false
	}
	var parts []cbor.RawMessage
	var language, text string
	if cbor.Unmarshal(tag.Content, &parts) != nil || len(parts) < 2 ||
		cbor.Unmarshal(parts[0], &language) != nil || cbor.Unmarshal(parts[1], &text) != nil {
		return "", false
	}
	return cell(text) + " (" + cell(language) + ")", true
}

// diagnosedValue is any item on one line.
func diagnosedValue(value cbor.RawMessage) string {
	text, _ := diagnoseLine(value, false) // it is part of what is well-formed
	return string(text)
}
