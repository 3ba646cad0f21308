package coap

import (
	"encoding/binary"
	"fmt"

	"github.com/motewire/coap/message"
)

// Up to inlineOptions options with values of up to inlineValue bytes are held without a
// heap allocation.
const (
	inlineOptions = 8
	inlineValue   = 16
)

// option is one entry of an optionList.
type option struct {
	number message.OptionNumber
	length uint8             // of small; long is used when long is not empty
	small  [inlineValue]byte // a short value
	long   string            // a value above inlineValue bytes
}

// optionList holds options in ascending order of their numbers, equal numbers in the
// order of their arrival, as the encoder wants them (RFC 7252 §3.1). The zero value is
// empty.
type optionList struct {
	n      int
	inline [inlineOptions]option
	extra  []option
}

func (l *optionList) at(i int) *option {
	if i < inlineOptions {
		return &l.inline[i]
	}
	return &l.extra[i-inlineOptions]
}

// add inserts an option behind those with a smaller or equal number and copies value.
func (l *optionList) add(n message.OptionNumber, value []byte) {
	o := l.insert(n)
	if len(value) > inlineValue {
		o.long, o.length = string(value), 0
		return
	}
	o.long, o.length = "", uint8(copy(o.small[:], value))
}

// addString is add for a string, which it needn't copy.
func (l *optionList) addString(n message.OptionNumber, value string) {
	o := l.insert(n)
	if len(value) > inlineValue {
		o.long, o.length = value, 0
		return
	}
	o.long, o.length = "", uint8(copy(o.small[:], value))
}

// addUint adds an unsigned integer in its shortest form (RFC 7252 §3.2).
func (l *optionList) addUint(n message.OptionNumber, value uint32) {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], value)
	i := 0
	for i < len(b) && b[i] == 0 {
		i++
	}
	l.add(n, b[i:])
}

// insert makes room in order and returns the new entry.
func (l *optionList) insert(n message.OptionNumber) *option {
	if l.n >= inlineOptions {
		l.extra = append(l.extra[:l.n-inlineOptions], option{})
	}
	i := l.n
	l.n++
	for ; i > 0 && l.at(i-1).number > n; i-- {
		*l.at(i) = *l.at(i - 1)
	}
	o := l.at(i)
	o.number = n
	return o
}

// remove drops every option with this number.
func (l *optionList) remove(n message.OptionNumber) {
	kept := 0
	for i := range l.n {
		if l.at(i).number != n {
			if kept != i {
				*l.at(kept) = *l.at(i)
			}
			kept++
		}
	}
	l.n = kept
}

func (l *optionList) reset() { l.n = 0 }

// set makes l a copy of another list.
func (l *optionList) set(from *optionList) {
	l.n, l.inline = from.n, from.inline
	l.extra = append(l.extra[:0], from.extra...)
}

// size returns how many bytes the options take in a message (RFC 7252 §3.1).
func (l *optionList) size() int {
	n, last := 0, message.OptionNumber(0)
	for i := range l.n {
		o := l.at(i)
		length := max(len(o.long), int(o.length))
		n += 1 + extended(int(o.number-last)) + extended(length) + length
		last = o.number
	}
	return n
}

// extended returns how many bytes an option's delta or length takes beside its nibble.
func extended(value int) int {
	switch {
	case value < 13:
		return 0
	case value < 269:
		return 1
	}
	return 2
}

// has reports whether an option with this number is there.
func (l *optionList) has(n message.OptionNumber) bool {
	for i := range l.n {
		if l.at(i).number == n {
			return true
		}
	}
	return false
}

// value returns the first value of an option, which aliases the list.
func (l *optionList) value(n message.OptionNumber) ([]byte, bool) {
	for i := range l.n {
		if o := l.at(i); o.number == n {
			return o.bytes(), true
		}
	}
	return nil, false
}

// bytes returns the value, which may alias the option.
func (o *option) bytes() []byte {
	if o.long != "" {
		return []byte(o.long)
	}
	return o.small[:o.length]
}

// check returns [ErrOption] for a segment of a location that must not be sent, "." or ".."
// (RFC 7252 §5.10.7).
func (l *optionList) check() error {
	for i := range l.n {
		o := l.at(i)
		if o.number != message.LocationPath {
			continue
		}
		if v := o.small[:o.length]; string(v) == "." || string(v) == ".." {
			return fmt.Errorf("%w: %v %q", ErrOption, o.number, v)
		}
	}
	return nil
}

// encode appends the options to a message.
func (l *optionList) encode(e *message.Encoder) {
	for i := range l.n {
		l.at(i).encode(e)
	}
}

func (o *option) encode(e *message.Encoder) {
	if o.long != "" {
		e.OptionString(o.number, o.long)
	} else {
		e.Option(o.number, o.small[:o.length])
	}
}
