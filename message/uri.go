package message

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Default ports (RFC 7252 §6.1, §6.2).
const (
	DefaultPort       = 5683 // coap
	DefaultSecurePort = 5684 // coaps
)

// maxURIOption is the longest Uri-Host, Uri-Path or Uri-Query in bytes (RFC 7252 §5.10).
const maxURIOption = 255

// ErrURI is wrapped by every error of [ParseURI] and [ComposeURI].
var ErrURI = errors.New("message: invalid uri")

// A URI is a coap or coaps URI taken apart: no percent-encoding, no dot segments
// (RFC 7252 §6).
type URI struct {
	// Secure says coaps instead of coap.
	Secure bool
	// Host is the registered name in lower case, or the text of Addr, without brackets.
	Host string
	// Addr is the host where it is an IP literal, with its zone, and invalid where it is
	// a name. It may be a group address.
	Addr netip.Addr
	// Port is never left to a default.
	Port uint16
	// Path holds the segments, nil for "" and "/"; "/a/" is "a" and "". Each has up to
	// 255 bytes.
	Path []string
	// Query holds the arguments between ampersands, nil where there is no question mark.
	// Each has up to 255 bytes.
	Query []string
}

// ParseURI takes a URI apart as RFC 7252 §6.4 says; dot segments are resolved first
// (RFC 3986 §5.2.4). An IPv6 zone is written "%25zone" (RFC 6874) or "%zone". What the
// URI syntax does not allow as it stands has to be percent-encoded. Errors wrap [ErrURI].
func ParseURI(s string) (URI, error) {
	var u URI
	err := u.Parse(s)
	return u, err
}

// Parse is [ParseURI] into the room that u's Path and Query have: where there is enough of
// it, and nothing in s is percent-encoded or a host in upper case, it allocates nothing. A
// Path or Query that would be nil is then empty. On an error u is the zero URI.
func (u *URI) Parse(s string) error {
	*u = URI{Path: u.Path[:0], Query: u.Query[:0]}
	if err := u.parse(s); err != nil {
		*u = URI{}
		return fmt.Errorf("%w %.80q: %w", ErrURI, s, err)
	}
	return nil
}

func (u *URI) parse(s string) error {
	scheme, rest, ok := strings.Cut(s, "://")
	switch { // §6.4 steps 1 and 3
	case !ok:
		return errors.New("not of the form coap://host/path")
	case strings.EqualFold(scheme, "coap"):
		u.Port = DefaultPort
	case strings.EqualFold(scheme, "coaps"):
		u.Secure, u.Port = true, DefaultSecurePort
	default:
		return errors.New("scheme is neither coap nor coaps")
	}
	if strings.Contains(rest, "#") { // §6.4 step 4
		return errors.New("fragment not allowed")
	}
	rest, query, hasQuery := strings.Cut(rest, "?")
	authority, path := rest, ""
	if slash := strings.IndexByte(rest, '/'); slash >= 0 {
		authority, path = rest[:slash], rest[slash:]
	}
	if err := u.setAuthority(authority); err != nil {
		return err
	}
	if err := u.setPath(path); err != nil {
		return err
	}
	if hasQuery { // §6.4 step 9
		for argument := range strings.SplitSeq(query, "&") {
			value, err := decodePart("query argument", argument, isQueryByte)
			if err != nil {
				return err
			}
			u.Query = append(u.Query, value)
		}
	}
	return nil
}

// setAuthority reads host [":" port] (RFC 7252 §6.1).
func (u *URI) setAuthority(s string) error {
	host, port := s, ""
	if strings.HasPrefix(s, "[") {
		end := strings.IndexByte(s, ']')
		if end < 0 {
			return errors.New("missing ] behind the IPv6 address")
		}
		host, port = s[1:end], s[end+1:]
		if port != "" && port[0] != ':' {
			return errors.New("text between ] and the port")
		}
		if err := u.setLiteral(host); err != nil {
			return err
		}
	} else {
		if colon := strings.IndexByte(s, ':'); colon >= 0 {
			host, port = s[:colon], s[colon:]
		}
		if err := u.setName(host); err != nil {
			return err
		}
	}
	if len(port) <= 1 {
		return nil // §6.1: no port or an empty one is the default
	}
	n, err := strconv.ParseUint(port[1:], 10, 16)
	if err != nil || n == 0 {
		return errors.New("port is not a number from 1 to 65535")
	}
	u.Port = uint16(n)
	return nil
}

// setLiteral reads what stands between the brackets of an IPv6 literal.
func (u *URI) setLiteral(s string) error {
	address, zone, hasZone := strings.Cut(s, "%")
	addr, err := netip.ParseAddr(address)
	if err != nil || !addr.Is6() {
		return errors.New("no IPv6 address between the brackets")
	}
	if hasZone {
		if len(zone) > 2 {
			zone = strings.TrimPrefix(zone, "25") // RFC 6874 §2
		}
		zone, err = decodePart("zone", zone, isUnreserved)
		if err != nil {
			return err
		}
		if zone == "" || zone == "25" || addr.Is4In6() {
			return errors.New("bad zone in the IPv6 address")
		}
		addr = addr.WithZone(zone)
	}
	u.Addr, u.Host = addr, addr.String()
	return nil
}

// setName reads a registered name or an IPv4 address.
func (u *URI) setName(s string) error {
	name, err := decodePart("host", s, isNameByte)
	if err != nil {
		return err
	}
	if name == "" {
		return errors.New("empty host") // §6.1
	}
	// Lower-casing comes after decoding, as "%41" and "a" are the same host (§6.3).
	u.Host = lowerASCII(name)
	if addr, err := netip.ParseAddr(u.Host); err == nil && addr.Is4() {
		u.Addr = addr
	}
	return nil
}

// setPath splits and decodes the path and removes dot segments (§6.4 steps 2 and 8). They
// are recognized behind their percent-encoding: "%2E" is the same as "." (§6.3).
func (u *URI) setPath(s string) error {
	if s == "" || s == "/" {
		return nil
	}
	for s, more := s[1:], true; more; {
		var segment string
		segment, s, more = strings.Cut(s, "/")
		value, err := decodePart("path segment", segment, isSegmentByte)
		if err != nil {
			return err
		}
		if value == ".." && len(u.Path) > 0 {
			u.Path = u.Path[:len(u.Path)-1]
		}
		if value != "." && value != ".." {
			u.Path = append(u.Path, value)
		} else if !more {
			u.Path = append(u.Path, "") // RFC 3986 §5.2.4: "/a/." is "/a/"
		}
	}
	if len(u.Path) == 1 && u.Path[0] == "" {
		u.Path = nil // §6.4 step 8: a single slash
	}
	return nil
}

// decodePart resolves percent-encodings in s, whose other bytes must be legal. Without any
// it returns s.
func decodePart(what, s string, legal func(byte) bool) (string, error) {
	plain := 0 // how many bytes stand for themselves
	for plain < len(s) && plain < maxURIOption && legal(s[plain]) {
		plain++
	}
	if plain == len(s) {
		return s, nil
	}
	var b strings.Builder
	b.WriteString(s[:plain])
	for i := plain; i < len(s); i++ {
		switch c := s[i]; {
		case c == '%':
			if i+2 >= len(s) || !isHex(s[i+1]) || !isHex(s[i+2]) {
				return "", fmt.Errorf("%s with %% not followed by two hex digits", what)
			}
			b.WriteByte(unhex(s[i+1])<<4 | unhex(s[i+2]))
			i += 2
		case legal(c):
			b.WriteByte(c)
		default:
			return "", fmt.Errorf("%s with %q, which has to be percent-encoded", what, s[i:i+1])
		}
	}
	if b.Len() > maxURIOption {
		return "", fmt.Errorf("%s longer than %d bytes", what, maxURIOption)
	}
	return b.String(), nil
}

// lowerASCII works on bytes, as a name need not be UTF-8.
func lowerASCII(s string) string {
	if strings.IndexFunc(s, func(r rune) bool { return r >= 'A' && r <= 'Z' }) < 0 {
		return s
	}
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}
