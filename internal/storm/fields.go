package storm

import (
	"encoding/binary"
	"slices"
	"strings"
)

// Types of messages (RFC 7252 §3).
const (
	con = 0
	non = 1
	ack = 2
	rst = 3
)

// Codes that are used by name (RFC 7252 §12.1).
const (
	empty   = 0x00
	get     = 0x01
	post    = 0x02
	put     = 0x03
	fetch   = 0x05
	content = 0x45
)

// Numbers of options (RFC 7252 §12.2 and others).
const (
	ifMatch       = 1
	uriHost       = 3
	eTag          = 4
	ifNoneMatch   = 5
	observe       = 6
	uriPath       = 11
	contentFormat = 12
	uriQuery      = 15
	hopLimit      = 16
	accept        = 17
	block2        = 23
	block1        = 27
	size2         = 28
	proxyURI      = 35
	size1         = 60
	echo          = 252
	noResponse    = 258
	requestTag    = 292
)

// fields are a message before it is encoded, right or wrong.
type fields struct {
	version, typ byte
	code         byte
	id           uint16
	token        []byte
	tkl          int // what the header says instead of the token's length; negative: the truth
	options      []option
	marker       bool // without a payload, too
	payload      []byte
}

// An option has a value and what its header says wrong.
type option struct {
	number int
	value  []byte
	lie    int  // is added to the length
	header byte // if not 0, the whole first byte
}

func (f *fields) clear() {
	*f = fields{version: 1, tkl: -1, options: f.options[:0], payload: f.payload[:0]}
}

// add puts an option behind those of its number and below.
func (f *fields) add(number int, value []byte) {
	i := len(f.options)
	for i > 0 && f.options[i-1].number > number {
		i--
	}
	f.options = slices.Insert(f.options, i, option{number: number, value: value})
}

// addUint adds an option with an integer in its shortest form (RFC 7252 §3.2).
func (f *fields) addUint(number int, value uint32) {
	b := binary.BigEndian.AppendUint32(nil, value)
	for len(b) > 0 && b[0] == 0 {
		b = b[1:]
	}
	f.add(number, b)
}

func (f *fields) addPath(path string) {
	for segment := range strings.SplitSeq(path, "/") {
		f.add(uriPath, []byte(segment))
	}
}

func (f *fields) addBlock(number int, num uint32, more bool, szx uint32) {
	value := num<<4 | szx
	if more {
		value |= 8
	}
	f.addUint(number, value)
}

// append encodes the message behind dst.
func (f *fields) append(dst []byte) []byte {
	tkl := f.tkl
	if tkl < 0 {
		tkl = nibble(len(f.token))
	}
	dst = append(dst, f.version<<6|f.typ<<4|byte(tkl), f.code, byte(f.id>>8), byte(f.id))
	if f.tkl < 0 {
		dst = appendExtended(dst, len(f.token)) // RFC 8974 §2.1
	}
	dst = append(dst, f.token...)
	last := 0
	for _, o := range f.options {
		delta, length := o.number-last, max(len(o.value)+o.lie, 0)
		last = o.number
		header := byte(nibble(delta)<<4 | nibble(length))
		if o.header != 0 {
			header = o.header
		}
		dst = append(dst, header)
		dst = appendExtended(dst, delta)
		dst = appendExtended(dst, length)
		dst = append(dst, o.value...)
	}
	if f.marker || len(f.payload) > 0 {
		dst = append(dst, 0xff)
	}
	return append(dst, f.payload...)
}

// nibble and appendExtended write a length as RFC 7252 §3.1 does.
func nibble(v int) int {
	switch {
	case v < 13:
		return v
	case v < 269:
		return 13
	}
	return 14
}

func appendExtended(b []byte, v int) []byte {
	switch {
	case v < 13:
		return b
	case v < 269:
		return append(b, byte(v-13))
	}
	return binary.BigEndian.AppendUint16(b, uint16(v-269))
}
