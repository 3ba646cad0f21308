package message

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// AppendOptions appends the Uri-Host, Uri-Port, Uri-Path and Uri-Query options of a
// request that is sent to this address, in ascending order (RFC 7252 §6.4 steps 5 to 9).
// A literal host gives a Uri-Host only where it differs from the address, as towards a
// proxy; zones don't leave the host and count for nothing.
func (u *URI) AppendOptions(dst []Option, to netip.AddrPort) []Option {
	if host, ok := u.hostOption(to.Addr()); ok {
		dst = append(dst, Option{URIHost, []byte(host)})
	}
	if u.Port != to.Port() {
		dst = append(dst, Option{URIPort, uintBytes(uint32(u.Port))})
	}
	for _, segment := range u.Path {
		dst = append(dst, Option{URIPath, []byte(segment)})
	}
	for _, argument := range u.Query {
		dst = append(dst, Option{URIQuery, []byte(argument)})
	}
	return dst
}

// hostOption returns the value of Uri-Host where one is needed.
func (u *URI) hostOption(to netip.Addr) (string, bool) {
	if !u.Addr.IsValid() {
		return u.Host, true
	}
	if u.Addr.Unmap().WithZone("") == to.Unmap().WithZone("") {
		return "", false
	}
	return literal(u.Addr.WithZone("")), true
}

// String returns the URI in normal form (RFC 7252 §6.3): lower case, no default port, a
// path of at least "/".
func (u *URI) String() string {
	b := appendScheme(nil, u.Secure)
	if u.Addr.IsValid() {
		b = append(b, literal(u.Addr)...)
	} else {
		b = appendEscaped(b, u.Host, isNameByte)
	}
	b = appendPort(b, u.Port, u.Secure)
	for _, segment := range u.Path {
		b = appendEscaped(append(b, '/'), segment, isSegmentByte)
	}
	if len(u.Path) == 0 {
		b = append(b, '/')
	}
	separator := byte('?')
	for _, argument := range u.Query {
		b = appendEscaped(append(b, separator), argument, isArgumentByte)
		separator = '&'
	}
	return string(b)
}

// ComposeURI returns the URI that the request v asks for, when it came to this address
// (RFC 7252 §6.5); secure says that it came over DTLS. It fails, with an error that wraps
// [ErrURI], where Uri-Host is no valid host, and where a Uri-Path is "." or "..", which is
// forbidden (§5.10.1) and which a URI cannot express.
func ComposeURI(v *View, secure bool, to netip.AddrPort) (string, error) {
	b := appendScheme(nil, secure)
	if host, ok := v.URIHost(); !ok {
		b = append(b, literal(to.Addr().Unmap())...)
	} else if validHost(string(host)) {
		b = appendEscaped(b, string(host), func(c byte) bool { return c < 0x80 })
	} else {
		return "", fmt.Errorf("%w: Uri-Host %.80q is no host", ErrURI, host)
	}
	port, ok := v.URIPort()
	if !ok {
		port = to.Port()
	}
	b = appendPort(b, port, secure)
	reference, err := appendReference(b, v, URIPath, URIQuery)
	return string(reference), err
}

// reservedLocation are the options for further parts of a Location URI, none of which is
// defined (RFC 7252 §5.10.7).
var reservedLocation = [...]OptionNumber{128, 132, 136, 140}

// Location returns Location-Path and Location-Query as a relative reference, such as
// "/readings/7?unit=c", or "?unit=c" where there is no path (RFC 7252 §5.10.7). It reports false where there is neither, or
// where they make no valid reference: a reserved Location-* option beside them may change
// what they mean.
func (v *View) Location() (reference string, ok bool) {
	if !v.Has(LocationPath) && !v.Has(LocationQuery) {
		return "", false
	}
	for _, n := range reservedLocation {
		if v.Has(n) {
			return "", false
		}
	}
	b, err := appendReference(nil, v, LocationPath, LocationQuery)
	if err == nil && !v.Has(LocationPath) {
		b = b[len("/"):] // "either of an absolute path, a query string, or both"
	}
	return string(b), err == nil
}

// appendReference appends path and query (§6.5 steps 6 to 9).
func appendReference(b []byte, v *View, path, query OptionNumber) ([]byte, error) {
	start := len(b)
	for segment := range v.Values(path) {
		if string(segment) == "." || string(segment) == ".." {
			return nil, fmt.Errorf("%w: %v %q", ErrURI, path, segment)
		}
		b = appendEscaped(append(b, '/'), string(segment), isSegmentByte)
	}
	if len(b) == start {
		b = append(b, '/')
	}
	separator := byte('?')
	for argument := range v.Values(query) {
		b = appendEscaped(append(b, separator), string(argument), isArgumentByte)
		separator = '&'
	}
	return b, nil
}

func appendScheme(b []byte, secure bool) []byte {
	if secure {
		return append(b, "coaps://"...)
	}
	return append(b, "coap://"...)
}

func appendPort(b []byte, port uint16, secure bool) []byte {
	if !secure && port == DefaultPort || secure && port == DefaultSecurePort {
		return b
	}
	return strconv.AppendUint(append(b, ':'), uint64(port), 10)
}

// literal returns an address as it stands in a URI, in the form of RFC 5952.
func literal(addr netip.Addr) string {
	if addr.Is4() {
		return addr.String()
	}
	b := append([]byte{'['}, addr.WithZone("").String()...)
	if zone := addr.Zone(); zone != "" {
		b = appendEscaped(append(b, "%25"...), zone, isUnreserved) // RFC 6874 §2
	}
	return string(append(b, ']'))
}

// validHost reports whether s is a reg-name, IP-literal or IPv4address (RFC 3986 §3.2.2),
// non-ASCII bytes being as good as percent-encoded.
func validHost(s string) bool {
	if inner, ok := strings.CutPrefix(s, "["); ok {
		addr, err := netip.ParseAddr(strings.TrimSuffix(inner, "]"))
		return err == nil && addr.Is6() && addr.Zone() == "" && strings.HasSuffix(s, "]")
	}
	_, err := decodePart("host", s, func(c byte) bool { return c >= 0x80 || isNameByte(c) })
	return err == nil
}

// appendEscaped appends s with all bytes percent-encoded that are not legal as they are.
func appendEscaped(b []byte, s string, legal func(byte) bool) []byte {
	const digits = "0123456789ABCDEF" // §6.5: upper case
	for _, c := range []byte(s) {
		if legal(c) {
			b = append(b, c)
		} else {
			b = append(b, '%', digits[c>>4], digits[c&15])
		}
	}
	return b
}

// uintBytes returns the shortest form of an unsigned integer (§3.2).
func uintBytes(value uint32) []byte {
	b := binary.BigEndian.AppendUint32(nil, value)
	for len(b) > 0 && b[0] == 0 {
		b = b[1:]
	}
	return b
}

// Character classes of RFC 3986 §2 and §3, without the percent sign.

func isUnreserved(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
		c == '-' || c == '.' || c == '_' || c == '~'
}

func isNameByte(c byte) bool {
	return isUnreserved(c) || c != 0 && strings.IndexByte("!$&'()*+,;=", c) >= 0
}

func isSegmentByte(c byte) bool { return isNameByte(c) || c == ':' || c == '@' }

func isQueryByte(c byte) bool { return isSegmentByte(c) || c == '/' || c == '?' }

// isArgumentByte leaves out the ampersand, which separates arguments.
func isArgumentByte(c byte) bool { return isQueryByte(c) && c != '&' }

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c <= 'F':
		return c - 'A' + 10
	}
	return c - 'a' + 10
}
