package message

import (
	"iter"
	"time"
)

// DefaultMaxAge is how long a response without Max-Age is fresh (RFC 7252 §5.10.5).
const DefaultMaxAge = 60 * time.Second

// The typed accessors read one option each. A value outside the length bounds of its
// option counts as absent (RFC 7252 §5.4.3), and of an option that is not repeatable the
// first occurrence counts (§5.4.5): [View.UnrecognizedCritical] and
// [View.IgnoredElective] tell that there was such a thing. None allocates; slices alias
// the datagram.

// Value returns the value of the first option with this number if its length is legal.
func (v *View) Value(n OptionNumber) (value []byte, ok bool) {
	value, ok = v.Option(n)
	if !ok || !legalLength(n, len(value)) {
		return nil, false
	}
	return value, true
}

// Values iterates over the values of a repeatable option, those of legal length.
func (v *View) Values(n OptionNumber) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		if !v.mayHave(n) {
			return
		}
		for c := v.cursorFrom(n); c.next() && c.number <= n; {
			if c.number == n && legalLength(n, len(c.value)) && !yield(c.value) {
				return
			}
		}
	}
}

// AppendValues appends the values of a repeatable option to dst, those of legal length:
// the indexable form of [View.Values]. The values alias the datagram.
func (v *View) AppendValues(dst [][]byte, n OptionNumber) [][]byte {
	if !v.mayHave(n) {
		return dst
	}
	for c := v.cursorFrom(n); c.next() && c.number <= n; {
		if c.number == n && legalLength(n, len(c.value)) {
			dst = append(dst, c.value)
		}
	}
	return dst
}

// Uint returns the value of the first option with this number as an unsigned integer;
// leading zero bytes are accepted (RFC 7252 §3.2). A value of more than four bytes counts
// as absent.
func (v *View) Uint(n OptionNumber) (value uint32, ok bool) {
	b, ok := v.Value(n)
	if !ok || len(b) > 4 {
		return 0, false
	}
	return decodeUint(b), true
}

func decodeUint(b []byte) uint32 {
	var value uint32
	for _, x := range b {
		value = value<<8 | uint32(x)
	}
	return value
}

// PathSegments iterates over Uri-Path (RFC 7252 §5.10.1).
func (v *View) PathSegments() iter.Seq[[]byte] { return v.Values(URIPath) }

// Queries iterates over Uri-Query, one argument each (RFC 7252 §5.10.1).
func (v *View) Queries() iter.Seq[[]byte] { return v.Values(URIQuery) }

// URIHost returns Uri-Host (RFC 7252 §5.10.1).
func (v *View) URIHost() (host []byte, ok bool) { return v.Value(URIHost) }

// URIPort returns Uri-Port (RFC 7252 §5.10.1).
func (v *View) URIPort() (port uint16, ok bool) {
	n, ok := v.Uint(URIPort)
	return uint16(n), ok
}

// LocationPath iterates over Location-Path (RFC 7252 §5.10.7).
func (v *View) LocationPath() iter.Seq[[]byte] { return v.Values(LocationPath) }

// LocationQueries iterates over Location-Query (RFC 7252 §5.10.7).
func (v *View) LocationQueries() iter.Seq[[]byte] { return v.Values(LocationQuery) }

// ProxyURI returns Proxy-Uri (RFC 7252 §5.10.2).
func (v *View) ProxyURI() (uri []byte, ok bool) { return v.Value(ProxyURI) }

// ProxyScheme returns Proxy-Scheme (RFC 7252 §5.10.2).
func (v *View) ProxyScheme() (scheme []byte, ok bool) { return v.Value(ProxyScheme) }

// ContentFormat returns Content-Format (RFC 7252 §5.10.3).
func (v *View) ContentFormat() (f Format, ok bool) {
	n, ok := v.Uint(ContentFormat)
	return Format(n), ok
}

// Accept returns Accept (RFC 7252 §5.10.4).
func (v *View) Accept() (f Format, ok bool) {
	n, ok := v.Uint(Accept)
	return Format(n), ok
}

// MaxAge returns Max-Age, in a response how long it is fresh (RFC 7252 §5.10.5). Where it
// is absent it reports false and [DefaultMaxAge].
func (v *View) MaxAge() (age time.Duration, ok bool) {
	n, ok := v.Uint(MaxAge)
	if !ok {
		return DefaultMaxAge, false
	}
	return time.Duration(n) * time.Second, true
}

// ETag returns the first ETag, in a response that of its representation
// (RFC 7252 §5.10.6.1).
func (v *View) ETag() (tag Tag, ok bool) { return v.firstTag(ETag) }

// ETags iterates over ETag, in a request those that the client holds (RFC 7252 §5.10.6.2).
func (v *View) ETags() iter.Seq[Tag] { return v.tags(ETag) }

// IfMatch iterates over If-Match; the empty Tag stands for any existing representation
// (RFC 7252 §5.10.8.1).
func (v *View) IfMatch() iter.Seq[Tag] { return v.tags(IfMatch) }

// IfNoneMatch reports whether If-None-Match is there (RFC 7252 §5.10.8.2).
func (v *View) IfNoneMatch() bool {
	_, ok := v.Value(IfNoneMatch)
	return ok
}

// Observe returns Observe: in a request 0 to register and 1 to deregister, in a
// notification a 24-bit sequence number (RFC 7641 §2).
func (v *View) Observe() (value uint32, ok bool) { return v.Uint(Observe) }

// Block1 returns Block1, about the request's body (RFC 7959 §2.1). It need not be valid.
func (v *View) Block1() (b Block, ok bool) {
	n, ok := v.Uint(Block1)
	return DecodeBlock(n), ok
}

// Block2 returns Block2, about the response's body (RFC 7959 §2.1). It need not be valid.
func (v *View) Block2() (b Block, ok bool) {
	n, ok := v.Uint(Block2)
	return DecodeBlock(n), ok
}

// Size1 returns Size1, the size of the request's body in bytes (RFC 7959 §4).
func (v *View) Size1() (sizeBytes uint32, ok bool) { return v.Uint(Size1) }

// Size2 returns Size2, the size of the response's body in bytes (RFC 7959 §4).
func (v *View) Size2() (sizeBytes uint32, ok bool) { return v.Uint(Size2) }

// HopLimit returns Hop-Limit. Zero is not legal, and answered with 4.00 (RFC 8768 §3); of a
// value above 255, which has an illegal length, ok is false.
func (v *View) HopLimit() (hops uint8, ok bool) {
	n, ok := v.Uint(HopLimit)
	return uint8(n), ok
}

// NoResponse returns No-Response, a bit map of the response classes that the client does
// not want: 2 for 2.xx, 8 for 4.xx, 16 for 5.xx (RFC 7967 §2.1).
func (v *View) NoResponse() (classes uint8, ok bool) {
	n, ok := v.Uint(NoResponse)
	return uint8(n), ok
}

// Echo returns Echo, 1 to 40 opaque bytes (RFC 9175 §2.2.1).
func (v *View) Echo() (value []byte, ok bool) { return v.Value(Echo) }

// RequestTag returns the first Request-Tag (RFC 9175 §3.2.1).
func (v *View) RequestTag() (tag Tag, ok bool) { return v.firstTag(RequestTag) }

// RequestTags iterates over Request-Tag: two requests belong to one operation only if all
// of them agree (RFC 9175 §3.3).
func (v *View) RequestTags() iter.Seq[Tag] { return v.tags(RequestTag) }

func (v *View) tags(n OptionNumber) iter.Seq[Tag] {
	return func(yield func(Tag) bool) {
		for value := range v.Values(n) {
			if tag, err := MakeTag(value); err == nil && !yield(tag) {
				return
			}
		}
	}
}

// firstTag returns the first legal value of a repeatable option.
func (v *View) firstTag(n OptionNumber) (Tag, bool) {
	for tag := range v.tags(n) {
		return tag, true
	}
	return Tag{}, false
}
