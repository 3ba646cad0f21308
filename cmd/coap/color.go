package main

import (
	"bytes"
	"strings"
)

// Colours and attributes of text, as terminals take them (ECMA-48, SGR).
const (
	bold    = "1"
	red     = "31"
	green   = "32"
	yellow  = "33"
	magenta = "35"
	cyan    = "36"
)

// paint puts a text into a colour, where there are colours.
func (s style) paint(color, text string) string {
	if !s.color {
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}

// bold1st makes the first line bold.
func (s style) bold1st(text string) []byte {
	first, rest, _ := strings.Cut(text, "\n")
	return []byte(s.paint(bold, first) + "\n" + rest)
}

// colorJSON colours valid JSON text: names, strings, and numbers with the three
// literals.
func colorJSON(text []byte) []byte {
	var b []byte
	s := style{color: true}
	for len(text) > 0 {
		token, color := jsonToken(text)
		if color == "" {
			b = append(b, token...)
		} else {
			b = append(b, s.paint(color, string(token))...)
		}
		text = text[len(token):]
	}
	return b
}

// jsonToken returns the first token of a text and its colour, none for what stands
// between values.
func jsonToken(text []byte) (token []byte, color string) {
	const literal = "+-.0123456789abcdefghijklmnopqrstuvwxyzE"
	switch c := text[0]; {
	case c == '"':
		token = text[:stringEnd(text)]
		if bytes.HasPrefix(text[len(token):], []byte(":")) {
			return token, cyan
		}
		return token, green
	case strings.IndexByte(literal, c) >= 0:
		rest := bytes.TrimLeft(text, literal)
		return text[:len(text)-len(rest)], yellow
	}
	return text[:1], ""
}

// stringEnd returns the length of the JSON string that text begins with.
func stringEnd(text []byte) int {
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(text)
}
