package main

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/motewire/coap/message"
)

// isCBOR tells whether a format is CBOR, and whether it is a sequence of items (RFC 8742).
func isCBOR(f message.Format) (item, sequence bool) {
	info, _ := f.Info()
	if info.Coding != "" {
		return false, false
	}
	mediaType, _, _ := strings.Cut(info.MediaType, ";")
	sequence = mediaType == "application/cbor-seq" || strings.HasSuffix(mediaType, "+cbor-seq")
	return mediaType == "application/cbor" || strings.HasSuffix(mediaType, "+cbor"), sequence
}

// cborDepth is how deep items may be nested.
const cborDepth = 64

// diagnose returns CBOR in diagnostic notation (RFC 8949 §8), laid out like indented JSON,
// and false where the body is not well-formed.
func diagnose(body []byte, sequence bool) ([]byte, bool) {
	d := diagnosis{in: body}
	for first := true; first || sequence && len(d.in) > 0 && !d.bad; first = false {
		if !first {
			d.out.WriteByte('\n')
		}
		d.item(0)
	}
	return d.out.Bytes(), !d.bad && len(d.in) == 0
}

// A diagnosis is a body on its way to diagnostic notation.
type diagnosis struct {
	in  []byte // what is left
	out bytes.Buffer
	bad bool // not well-formed: in is of no use any more
}

// A cborHead begins an item (RFC 8949 §3): major type, the five bits behind it, and their
// argument.
type cborHead struct {
	major, info byte
	argument    uint64
}

const indefinite = 31 // of cborHead.info

// head takes the head of the next item. What it finds broken, or at the end of the body,
// makes the diagnosis bad.
func (d *diagnosis) head() (h cborHead) {
	b := d.take(1)
	if b == nil {
		return h
	}
	h.major, h.info = b[0]>>5, b[0]&31
	switch {
	case h.info < 24:
		h.argument = uint64(h.info)
	case h.info < 28:
		var wide [8]byte
		n := 1 << (h.info - 24)
		copy(wide[8-n:], d.take(uint64(n)))
		h.argument = binary.BigEndian.Uint64(wide[:])
	case h.info < indefinite, h.major < 2, h.major == 6:
		d.bad = true // reserved, or without indefinite length (§3.2)
	}
	return h
}

// take takes n bytes.
func (d *diagnosis) take(n uint64) []byte {
	if d.bad || n > uint64(len(d.in)) {
		d.bad = true
		return nil
	}
	b := d.in[:n]
	d.in = d.in[n:]
	return b
}

// item writes the next item, nested as deep as said.
func (d *diagnosis) item(depth int) {
	h := d.head()
	if depth > cborDepth {
		d.bad = true
	}
	if d.bad {
		return
	}
	switch h.major {
	case 0:
		d.out.WriteString(strconv.FormatUint(h.argument, 10))
	case 1:
		d.negative(h.argument)
	case 2, 3:
		d.text(h)
	case 4:
		d.container(h, "[", "]", depth)
	case 5:
		d.container(h, "{", "}", depth)
	case 6:
		d.out.WriteString(strconv.FormatUint(h.argument, 10) + "(")
		d.item(depth + 1)
		d.out.WriteByte(')')
	case 7:
		d.simple(h)
	}
}

// negative writes -1 less n (§3.1).
func (d *diagnosis) negative(n uint64) {
	if n == math.MaxUint64 {
		d.out.WriteString("-18446744073709551616")
		return
	}
	d.out.WriteString("-" + strconv.FormatUint(n+1, 10))
}

// text writes a string of bytes or text, or its pieces where the length is indefinite
// (§3.2.3).
func (d *diagnosis) text(h cborHead) {
	if h.info != indefinite {
		d.piece(h)
		return
	}
	d.out.WriteString("(_ ")
	for i := 0; !d.ended(); i++ {
		if i > 0 {
			d.out.WriteString(", ")
		}
		piece := d.head()
		if piece.major != h.major || piece.info == indefinite {
			d.bad = true
		}
		d.piece(piece)
	}
	d.out.WriteByte(')')
}

func (d *diagnosis) piece(h cborHead) {
	b := d.take(h.argument)
	if h.major == 2 {
		d.out.WriteString("h'" + hex.EncodeToString(b) + "'")
		return
	}
	if !utf8.Valid(b) {
		d.bad = true
	}
	var quoted bytes.Buffer
	e := json.NewEncoder(&quoted)
	e.SetEscapeHTML(false)
	_ = e.Encode(string(b)) // a string can't fail
	d.out.Write(escapeInvisible(bytes.TrimSuffix(quoted.Bytes(), []byte("\n"))))
}

// ended takes the break that ends what has an indefinite length, if it is next. It is true
// for a bad body, so that loops end.
func (d *diagnosis) ended() bool {
	if !d.bad && len(d.in) > 0 && d.in[0] != 0xff {
		return false
	}
	d.take(1)
	return true
}

// container writes an array or a map, a line for each element or pair.
func (d *diagnosis) container(h cborHead, open, end string, depth int) {
	d.out.WriteString(open)
	if h.info == indefinite {
		d.out.WriteByte('_')
	}
	n := uint64(0)
	for ; ; n++ {
		if h.info == indefinite && d.ended() || h.info != indefinite && n == h.argument || d.bad {
			break
		}
		if n > 0 {
			d.out.WriteByte(',')
		}
		d.newline(depth + 1)
		d.item(depth + 1)
		if h.major == 5 {
			d.out.WriteString(": ")
			d.item(depth + 1)
		}
	}
	if n > 0 {
		d.newline(depth)
	}
	d.out.WriteString(end)
}

func (d *diagnosis) newline(depth int) {
	d.out.WriteString("\n" + strings.Repeat("  ", depth))
}

// simple writes a simple value or a floating-point number (§3.3).
func (d *diagnosis) simple(h cborHead) {
	switch {
	case h.info == 20:
		d.out.WriteString("false")
	case h.info == 21:
		d.out.WriteString("true")
	case h.info == 22:
		d.out.WriteString("null")
	case h.info == 23:
		d.out.WriteString("undefined")
	case h.info == 25:
		d.out.WriteString(cborFloat(half(uint16(h.argument))))
	case h.info == 26:
		d.out.WriteString(cborFloat(float64(math.Float32frombits(uint32(h.argument)))))
	case h.info == 27:
		d.out.WriteString(cborFloat(math.Float64frombits(h.argument)))
	case h.info == indefinite, h.info == 24 && h.argument < 32:
		d.bad = true // a break out of place; two bytes for what takes one
	default:
		d.out.WriteString("simple(" + strconv.FormatUint(h.argument, 10) + ")")
	}
}

// half converts a number of 16 bits (RFC 8949 Appendix D).
func half(bits uint16) float64 {
	exponent, mantissa := int(bits>>10&31), float64(bits&1023)
	var f float64
	switch exponent {
	case 0:
		f = math.Ldexp(mantissa, -24)
	case 31:
		if f = math.Inf(1); mantissa != 0 {
			f = math.NaN()
		}
	default:
		f = math.Ldexp(mantissa+1024, exponent-25)
	}
	if bits&0x8000 != 0 {
		f = -f
	}
	return f
}

// cborFloat writes a number as the RFC's examples have it: always with a decimal point.
func cborFloat(f float64) string {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 0):
		return strings.TrimPrefix(strconv.FormatFloat(f, 'f', -1, 64), "+") + "inity"
	}
	b, _ := json.Marshal(f) // finite
	digits, exponent, found := strings.Cut(string(b), "e")
	if !strings.Contains(digits, ".") {
		digits += ".0"
	}
	if found {
		digits += "e" + exponent
	}
	return digits
}
