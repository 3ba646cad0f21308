package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/motewire/coap/message"
)

// The types here are flag values: Set parses the argument and says what would have been
// right, String returns it as typed, Type names it in the help.

// A textValue is -e: a payload as it stands.
type textValue struct {
	set  bool // also by the empty text
	text string
}

func (v *textValue) String() string     { return v.text }
func (v *textValue) Type() string       { return "TEXT" }
func (v *textValue) Set(s string) error { v.set, v.text = true, s; return nil }

// A formatValue is a Content-Format.
type formatValue struct {
	set    bool
	format message.Format
}

func (v *formatValue) String() string {
	if !v.set {
		return ""
	}
	return strconv.Itoa(int(v.format))
}

func (v *formatValue) Type() string { return "FORMAT" }

func (v *formatValue) Set(s string) (err error) {
	v.format, err = message.ParseFormat(s)
	if err != nil {
		return errors.New("say a number, a media type such as application/json, or an alias: " +
			"text json cbor link octet xml senml-json …")
	}
	v.set = true
	return nil
}

// optionsValue collects -O NUM,VALUE.
type optionsValue []message.Option

func (v *optionsValue) String() string {
	var all []string
	for _, o := range *v {
		all = append(all, fmt.Sprintf("%d,0x%x", uint16(o.Number), o.Value))
	}
	return strings.Join(all, " ")
}

func (v *optionsValue) Type() string { return "NUM,VALUE" }

func (v *optionsValue) Set(s string) error {
	number, value, _ := strings.Cut(s, ",")
	n, err := strconv.ParseUint(number, 10, 16)
	if err != nil {
		return errors.New("say NUM,VALUE with a NUM of 0 to 65535; coap codes options lists them")
	}
	b, err := textOrHex(value)
	if err != nil {
		return err
	}
	if len(b) > message.MaxOptionLength {
		return fmt.Errorf("a value has at most %d bytes", message.MaxOptionLength)
	}
	*v = append(*v, message.Option{Number: message.OptionNumber(n), Value: b})
	return nil
}

// textOrHex returns the bytes of a text, or of the hex behind 0x.
func textOrHex(s string) ([]byte, error) {
	if len(s) < 2 || s[0] != '0' || s[1]|0x20 != 'x' {
		return []byte(s), nil
	}
	b, err := hex.DecodeString(s[2:])
	if err != nil {
		return nil, errors.New("0x is followed by two hex digits per byte")
	}
	return b, nil
}

// A tokenValue is -T.
type tokenValue struct {
	set   bool // also by the empty token
	token message.Token
}

func (v *tokenValue) String() string { return v.token.String() }
func (v *tokenValue) Type() string   { return "TOKEN" }

func (v *tokenValue) Set(s string) error {
	b, err := textOrHex(s)
	if err != nil {
		return err
	}
	if v.token, err = message.MakeToken(b); err != nil {
		return fmt.Errorf("a token has at most %d bytes", message.MaxTokenLength)
	}
	v.set = true
	return nil
}

// A blockValue is -b: a block size, or one block.
type blockValue struct {
	set    bool
	single bool   // one block was asked for
	num    uint32 // its number
	szx    uint8  // size exponent: the size is 1<<(szx+4) (RFC 7959 §2.2)
}

func (v *blockValue) String() string {
	switch size := strconv.Itoa(16 << v.szx); {
	case !v.set:
		return ""
	case v.single:
		return fmt.Sprintf("%d,%s", v.num, size)
	default:
		return size
	}
}

func (v *blockValue) Type() string { return "[NUM,]SIZE" }

func (v *blockValue) Set(s string) error {
	b := blockValue{set: true}
	size := s
	if num, rest, ok := strings.Cut(s, ","); ok {
		n, err := strconv.ParseUint(num, 10, 32)
		if err != nil || n > message.MaxBlockNum {
			return fmt.Errorf("say a block number of 0 to %d", message.MaxBlockNum)
		}
		b.single, b.num, size = true, uint32(n), rest
	}
	for b.szx = 0; b.szx <= 6; b.szx++ {
		if size == strconv.Itoa(16<<b.szx) {
			*v = b
			return nil
		}
	}
	return errors.New("say a block size of 16, 32, 64, 128, 256, 512 or 1024")
}

// hopLimitValue is -H (RFC 8768 §3).
type hopLimitValue uint8

func (v *hopLimitValue) String() string {
	if *v == 0 {
		return ""
	}
	return strconv.Itoa(int(*v))
}

func (v *hopLimitValue) Type() string { return "HOPS" }

func (v *hopLimitValue) Set(s string) error {
	n, err := strconv.ParseUint(s, 10, 8)
	if err != nil || n == 0 {
		return errors.New("say 1 to 255")
	}
	*v = hopLimitValue(n)
	return nil
}

// addressValue is -a.
type addressValue netip.Addr

func (v *addressValue) String() string {
	if a := (*netip.Addr)(v); a.IsValid() {
		return a.String()
	}
	return ""
}

func (v *addressValue) Type() string { return "ADDR" }

func (v *addressValue) Set(s string) error {
	a, err := netip.ParseAddr(strings.Trim(s, "[]"))
	if err != nil {
		return errors.New("say an IPv4 or IPv6 address of this machine")
	}
	*v = addressValue(a)
	return nil
}

// A lossValue is -l: the share of datagrams that get lost, 0 to 1.
type lossValue float64

func (v *lossValue) String() string {
	if *v == 0 {
		return ""
	}
	return strconv.FormatFloat(float64(*v)*100, 'f', -1, 64) + "%"
}

func (v *lossValue) Type() string { return "LOSS" }

func (v *lossValue) Set(s string) error {
	number, percent := strings.CutSuffix(s, "%")
	share, err := strconv.ParseFloat(number, 64)
	if percent {
		share /= 100
	}
	if err != nil || !(share >= 0 && share <= 1) {
		return errors.New("say a share such as 20% or 0.2; lists of datagrams are not supported")
	}
	*v = lossValue(share)
	return nil
}

// secondsValue is a time in seconds, with or without a fraction.
type secondsValue time.Duration

func (v *secondsValue) String() string {
	if *v == 0 {
		return ""
	}
	return strconv.FormatFloat(time.Duration(*v).Seconds(), 'f', -1, 64)
}

func (v *secondsValue) Type() string { return "SECONDS" }

func (v *secondsValue) Set(s string) error {
	seconds, err := strconv.ParseFloat(strings.TrimSuffix(s, "s"), 64)
	if err != nil || !(seconds > 0) || seconds > math.MaxInt64/float64(time.Second)/2 {
		return errors.New("say a number of seconds above 0")
	}
	*v = secondsValue(seconds * float64(time.Second))
	return nil
}

// countValue counts how often a flag stands that takes no value.
type countValue int

func (v *countValue) String() string { return "" }
func (v *countValue) Type() string   { return "bool" } // the help shows no value

func (v *countValue) Set(s string) error {
	if s != "true" {
		return errors.New("it takes no value and is repeated: -v -v")
	}
	*v++
	return nil
}
