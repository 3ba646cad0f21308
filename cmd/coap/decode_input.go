package main

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"github.com/motewire/coap/message"
)

// A datagram is one thing to decode.
type datagram struct {
	frame    int            // frame of the capture or ordinal of the input, from 1
	captured bool           // at, from and to are known
	at       time.Duration  // since the first frame
	from, to netip.AddrPort // what the IP and UDP headers say
	raw      []byte
}

// maxHexLine is room for the longest UDP payload in spaced hex.
const maxHexLine = 4 * 65536

// readHexLines takes a message per line. A # begins a comment, and a line without hex
// says nothing.
func readHexLines(r io.Reader, yield func(datagram) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxHexLine)
	n := 0
	for line := 1; lines.Scan(); line++ {
		text, _, _ := strings.Cut(lines.Text(), "#")
		if strings.TrimSpace(text) == "" {
			continue
		}
		raw, err := parseHex(text)
		if err != nil {
			return usageErrorf("line %d: %w; nor is the file a capture in pcap or pcapng", line, err)
		}
		n++
		if err := yield(datagram{frame: n, raw: raw}); err != nil {
			return err
		}
	}
	return ioError(lines.Err())
}

// hexArguments returns a message per argument. Where each is shorter than a header, none
// is a message and all are the pieces of one: coap decode 40 01 12 34.
func hexArguments(args []string) ([][]byte, error) {
	var messages [][]byte
	pieces := len(args) > 1
	for _, arg := range args {
		raw, err := parseHex(arg)
		if err != nil {
			return nil, usageErrorf("%w; a capture file goes behind -f", err)
		}
		messages = append(messages, raw)
		pieces = pieces && len(raw) < 4
	}
	if pieces {
		return [][]byte{bytes.Join(messages, nil)}, nil
	}
	return messages, nil
}

// hexSeparators are what may stand between two digits.
var hexSeparators = strings.NewReplacer(" ", "", "\t", "", ":", "", "\r", "")

func parseHex(s string) ([]byte, error) {
	digits := hexSeparators.Replace(strings.TrimSpace(s))
	digits = strings.TrimPrefix(strings.TrimPrefix(digits, "0x"), "0X")
	raw, err := hex.DecodeString(digits)
	if err == nil {
		return raw, nil
	}
	if len(digits) > 20 {
		digits = digits[:20] + "…"
	}
	return nil, fmt.Errorf("%q is not hex: two digits per byte", digits)
}

// wellFormed tells whether raw is a CoAP message.
func wellFormed(raw []byte) bool {
	var v message.View
	return v.Parse(raw) == nil
}
