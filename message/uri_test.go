package message

import (
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var (
	dest4 = netip.MustParseAddrPort("192.0.2.1:5683")
	dest6 = netip.MustParseAddrPort("[2001:db8::1]:5683")
)

// wireOf puts the options of a URI into a message sent to that address.
func wireOf(t testing.TB, u *URI, to netip.AddrPort) *View {
	t.Helper()
	m := Message{Code: GET, Options: u.AppendOptions(nil, to)}
	b, err := m.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	var v View
	if err := v.Parse(b); err != nil {
		t.Fatal(err)
	}
	return &v
}

// optionsText writes options as "Uri-Host=a Uri-Path=b".
func optionsText(v *View) string {
	var parts []string
	for n, value := range v.Options() {
		text := string(value)
		if n == URIPort {
			port, _ := v.URIPort()
			text = strconv.Itoa(int(port))
		}
		parts = append(parts, n.String()+"="+text)
	}
	return strings.Join(parts, " ")
}

// RFC 7252 §6.4: "The steps to parse a request's options from a string |url|".
func TestDecomposeURI(t *testing.T) {
	tests := []struct {
		name, uri, want, normal string
		to                      netip.AddrPort
	}{
		{"§6.3 first", "coap://example.com:5683/~sensors/temp.xml",
			"Uri-Host=example.com Uri-Path=~sensors Uri-Path=temp.xml", "coap://example.com/~sensors/temp.xml", dest4},
		{"§6.3 second", "coap://EXAMPLE.com/%7Esensors/temp.xml",
			"Uri-Host=example.com Uri-Path=~sensors Uri-Path=temp.xml", "coap://example.com/~sensors/temp.xml", dest4},
		{"§6.3 third", "coap://EXAMPLE.com:/%7esensors/temp.xml",
			"Uri-Host=example.com Uri-Path=~sensors Uri-Path=temp.xml", "coap://example.com/~sensors/temp.xml", dest4},
		{"appendix B: nothing", "coap://[2001:db8::1]/", "", "coap://[2001:db8::1]/", dest6},
		{"appendix B: host", "coap://example.net/", "Uri-Host=example.net", "coap://example.net/", dest6},
		{"appendix B: well-known", "coap://example.net/.well-known/core",
			"Uri-Host=example.net Uri-Path=.well-known Uri-Path=core", "coap://example.net/.well-known/core", dest6},
		{"appendix B: punycode and UTF-8", "coap://xn--18j4d.example/%E3%81%93%E3%82%93%E3%81%AB%E3%81%A1%E3%81%AF",
			"Uri-Host=xn--18j4d.example Uri-Path=こんにちは",
			"coap://xn--18j4d.example/%E3%81%93%E3%82%93%E3%81%AB%E3%81%A1%E3%81%AF", dest6},
		// The appendix escapes the slashes of the query, §6.5 step 8 does not.
		{"appendix B: slashes", "coap://198.51.100.1:61616//%2F//?%2F%2F&?%26",
			"Uri-Path= Uri-Path=/ Uri-Path= Uri-Path= Uri-Query=// Uri-Query=?&",
			"coap://198.51.100.1:61616//%2F//?//&?%26", netip.MustParseAddrPort("198.51.100.1:61616")},

		{"no path", "coap://h", "Uri-Host=h", "coap://h/", dest4},
		{"one slash", "coap://h/", "Uri-Host=h", "coap://h/", dest4},
		{"trailing slash", "coap://h/a/", "Uri-Host=h Uri-Path=a Uri-Path=", "coap://h/a/", dest4},
		{"two slashes", "coap://h//", "Uri-Host=h Uri-Path= Uri-Path=", "coap://h//", dest4},
		{"empty segment", "coap://h/a//b", "Uri-Host=h Uri-Path=a Uri-Path= Uri-Path=b", "coap://h/a//b", dest4},
		{"RFC 3986 §5.2.4", "coap://h/a/b/c/./../../g", "Uri-Host=h Uri-Path=a Uri-Path=g", "coap://h/a/g", dest4},
		{"dots above the root", "coap://h/../../g", "Uri-Host=h Uri-Path=g", "coap://h/g", dest4},
		{"dots at the end", "coap://h/a/b/..", "Uri-Host=h Uri-Path=a Uri-Path=", "coap://h/a/", dest4},
		{"one dot at the end", "coap://h/a/.", "Uri-Host=h Uri-Path=a Uri-Path=", "coap://h/a/", dest4},
		{"dots up to the root", "coap://h/a/..", "Uri-Host=h", "coap://h/", dest4},
		{"encoded dots", "coap://h/a/%2e%2E/b", "Uri-Host=h Uri-Path=b", "coap://h/b", dest4},
		{"three dots", "coap://h/.../..a", "Uri-Host=h Uri-Path=... Uri-Path=..a", "coap://h/.../..a", dest4},
		{"encoded percent", "coap://h/%2541", "Uri-Host=h Uri-Path=%41", "coap://h/%2541", dest4},
		{"query without path", "coap://h?a=1&b", "Uri-Host=h Uri-Query=a=1 Uri-Query=b", "coap://h/?a=1&b", dest4},
		{"empty query", "coap://h/?", "Uri-Host=h Uri-Query=", "coap://h/?", dest4},
		{"empty arguments", "coap://h/?&a&", "Uri-Host=h Uri-Query= Uri-Query=a Uri-Query=", "coap://h/?&a&", dest4},
		{"slashes in the query", "coap://h/a?b/../c?d", "Uri-Host=h Uri-Path=a Uri-Query=b/../c?d", "coap://h/a?b/../c?d", dest4},
		{"encoded ampersand", "coap://h/?a%26b", "Uri-Host=h Uri-Query=a&b", "coap://h/?a%26b", dest4},

		{"IPv4 destination", "coap://192.0.2.1/a", "Uri-Path=a", "coap://192.0.2.1/a", dest4},
		{"IPv4 destination, mapped", "coap://192.0.2.1/a", "Uri-Path=a", "coap://192.0.2.1/a", netip.MustParseAddrPort("[::ffff:192.0.2.1]:5683")},
		{"IPv4 through another", "coap://192.0.2.9/a", "Uri-Host=192.0.2.9 Uri-Path=a", "coap://192.0.2.9/a", dest4},
		{"IPv6 through another", "coap://[2001:db8::2]/a", "Uri-Host=[2001:db8::2] Uri-Path=a", "coap://[2001:db8::2]/a", dest4},
		{"IPv6 in long form", "coap://[2001:DB8:0::0:1]/", "", "coap://[2001:db8::1]/", dest6},
		{"IPv6 zone", "coap://[fe80::1%25eth0]/", "", "coap://[fe80::1%25eth0]/", netip.MustParseAddrPort("[fe80::1%3]:5683")},
		{"IPv6 bare zone", "coap://[fe80::1%eth0]/", "", "coap://[fe80::1%25eth0]/", netip.MustParseAddrPort("[fe80::1%eth0]:5683")},
		{"zone through another", "coap://[fe80::1%25eth0]/", "Uri-Host=[fe80::1]", "coap://[fe80::1%25eth0]/", dest6},
		{"IPv4 group", "coap://224.0.1.187/a", "Uri-Path=a", "coap://224.0.1.187/a", netip.MustParseAddrPort("224.0.1.187:5683")},
		{"IPv6 group", "coap://[ff02::fd%25eth0]/a", "Uri-Path=a", "coap://[ff02::fd%25eth0]/a", netip.MustParseAddrPort("[ff02::fd%eth0]:5683")},
		{"not quite IPv4", "coap://192.0.2.01/", "Uri-Host=192.0.2.01", "coap://192.0.2.01/", dest4},

		{"port of the socket", "coap://h:61616/", "Uri-Host=h", "coap://h:61616/", netip.MustParseAddrPort("192.0.2.1:61616")},
		{"port of another", "coap://h:61616/", "Uri-Host=h Uri-Port=61616", "coap://h:61616/", dest4},
		{"secure", "coaps://h/", "Uri-Host=h", "coaps://h/", netip.MustParseAddrPort("192.0.2.1:5684")},
		{"secure on the other port", "COAPS://h:5683/", "Uri-Host=h Uri-Port=5683", "coaps://h:5683/", netip.MustParseAddrPort("192.0.2.1:5684")},
		{"host not UTF-8", "coap://%FFA/", "Uri-Host=\xffa", "coap://%FFa/", dest4},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			u, err := ParseURI(tt.uri)
			if err != nil {
				t.Fatal(err)
			}
			v := wireOf(t, &u, tt.to)
			if got := optionsText(v); got != tt.want {
				t.Errorf("options %q, want %q", got, tt.want)
			}
			if got := u.String(); got != tt.normal {
				t.Errorf("normal form %q, want %q", got, tt.normal)
			}
			composed, err := ComposeURI(v, u.Secure, tt.to)
			if err != nil {
				t.Error(err)
			}
			if withoutZone(composed) != withoutZone(tt.normal) {
				t.Errorf("composed %q, want %q", composed, tt.normal)
			}
		})
	}
}

// withoutZone cuts a zone out: it never travels, so the receiver knows its own alone.
func withoutZone(uri string) string {
	before, rest, ok := strings.Cut(uri, "%25")
	if _, after, found := strings.Cut(rest, "]"); ok && found && strings.Contains(before, "[") {
		return before + "]" + after
	}
	return uri
}

func TestParseURIRefuses(t *testing.T) {
	long := strings.Repeat("a", 256)
	tests := []struct{ name, uri, reason string }{
		{"empty", "", "not of the form"},
		{"relative", "/a", "not of the form"},
		{"no authority", "coap:/a", "not of the form"},
		{"another scheme", "http://h/", "scheme"},
		{"no scheme", "://h/", "scheme"},
		{"fragment", "coap://h/#", "fragment"},
		{"empty host", "coap:///a", "empty host"},
		{"empty host with port", "coap://:5683/", "empty host"},
		{"user", "coap://u@h/", "host"},
		{"port not a number", "coap://h:a/", "port"},
		{"port with a sign", "coap://h:+5/", "port"},
		{"port 0", "coap://h:0/", "port"},
		{"port 65536", "coap://h:65536/", "port"},
		{"IPv6 without brackets", "coap://2001:db8::1/", "port"},
		{"IPv6 without end", "coap://[2001:db8::1/", "]"},
		{"IPv6 with tail", "coap://[2001:db8::1]a/", "]"},
		{"IPv4 in brackets", "coap://[192.0.2.1]/", "IPv6"},
		{"future literal", "coap://[v1.a]/", "IPv6"},
		{"empty zone", "coap://[fe80::1%25]/", "zone"},
		{"empty bare zone", "coap://[fe80::1%]/", "zone"},
		{"zone with a colon", "coap://[fe80::1%25a:b]/", "zone"},
		{"slash in the zone", "coap://[fe80::1%25a/b]/", "]"},
		{"space", "coap://h/a b", "percent-encoded"},
		{"control character", "coap://h/a\nb", "percent-encoded"},
		{"not ASCII", "coap://h/é", "percent-encoded"},
		{"bracket in the path", "coap://h/[", "percent-encoded"},
		{"half an encoding", "coap://h/%4", "hex"},
		{"bad encoding", "coap://h/%zz", "hex"},
		{"percent at the end", "coap://h/?a%", "hex"},
		{"long host", "coap://" + long + "/", "longer than 255"},
		{"long segment", "coap://h/" + long, "longer than 255"},
		{"long argument", "coap://h/?" + long, "longer than 255"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			u, err := ParseURI(tt.uri)
			if !errors.Is(err, ErrURI) {
				t.Fatalf("ParseURI(%q) = %+v, %v", tt.uri, u, err)
			}
			if _, reason, _ := strings.Cut(err.Error(), "\": "); tt.uri != "" && !strings.Contains(reason, tt.reason) {
				t.Errorf("error %q does not say %q", err, tt.reason)
			}
		})
	}
}

func TestURILengthBounds(t *testing.T) {
	long := strings.Repeat("a", 255)
	u, err := ParseURI("coap://" + long + "/" + long + "?" + strings.Repeat("%41", 255))
	if err != nil {
		t.Fatal(err)
	}
	if len(u.Host) != 255 || len(u.Path[0]) != 255 || len(u.Query[0]) != 255 {
		t.Errorf("lengths %d, %d, %d", len(u.Host), len(u.Path[0]), len(u.Query[0]))
	}
}

func TestParseURIParts(t *testing.T) {
	u, err := ParseURI("coaps://[FF02::FD%25eth0]:5000/a/?b&c")
	if err != nil {
		t.Fatal(err)
	}
	if !u.Secure || u.Host != "ff02::fd%eth0" || u.Addr != netip.MustParseAddr("ff02::fd%eth0") || u.Port != 5000 ||
		!slices.Equal(u.Path, []string{"a", ""}) || !slices.Equal(u.Query, []string{"b", "c"}) {
		t.Errorf("%+v", u)
	}
	if !u.Addr.IsMulticast() {
		t.Error("group address not recognized")
	}
}

// Parse leaves nothing of what was there before, and needs no memory where there is room.
func TestURIParseReuses(t *testing.T) {
	long := "coap://192.0.2.1:5000/a/b/c?d&e&f"
	for _, s := range []string{long, "coap://h", "coap://h/", "coap://h/.", "coap://h/a/../b/", "coaps://[2001:db8::1]/x?", "coap://H/%41", "coap://h/a b"} {
		var u URI
		if err := u.Parse(long); err != nil {
			t.Fatal(err)
		}
		want, wantErr := ParseURI(s)
		err := u.Parse(s)
		if (err == nil) != (wantErr == nil) || u.Secure != want.Secure || u.Host != want.Host || u.Addr != want.Addr || u.Port != want.Port ||
			!slices.Equal(u.Path, want.Path) || !slices.Equal(u.Query, want.Query) {
			t.Errorf("%s: %+v, %v; want %+v, %v", s, u, err, want, wantErr)
		}
	}
	var u URI
	if n := testing.AllocsPerRun(100, func() { _ = u.Parse(long) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// RFC 7252 §6.5 step 2: "If |host| is not a valid reg-name or IP-literal or IPv4address,
// fail the algorithm."
func TestComposeURIHost(t *testing.T) {
	tests := []struct{ host, want string }{
		{"example.net", "coap://example.net/"},
		{"EXAMPLE.net", "coap://EXAMPLE.net/"},
		{"é", "coap://%C3%A9/"},
		{"%C3%A9", "coap://%C3%A9/"},
		{"192.0.2.7", "coap://192.0.2.7/"},
		{"[2001:db8::7]", "coap://[2001:db8::7]/"},
		{"2001:db8::7", ""},
		{"[fe80::1%25eth0]", ""},
		{"[192.0.2.7]", ""},
		{"[::1", ""},
		{"a/b", ""},
		{"a b", ""},
		{"%4", ""},
		{"h\x00", ""},
	}
	for _, tt := range tests {
		m := Message{Code: GET, Options: []Option{{URIHost, []byte(tt.host)}}}
		b, _ := m.MarshalBinary()
		var v View
		if err := v.Parse(b); err != nil {
			t.Fatal(err)
		}
		got, err := ComposeURI(&v, false, dest4)
		if got != tt.want || (err == nil) != (tt.want != "") || err != nil && !errors.Is(err, ErrURI) {
			t.Errorf("host %q: %q, %v, want %q", tt.host, got, err, tt.want)
		}
	}
}

// RFC 7252 §5.10.1: "The value of a Uri-Path Option MUST NOT be "." or ".."".
func TestComposeURIRefusesDots(t *testing.T) {
	for _, segment := range []string{".", ".."} {
		m := Message{Code: GET, Options: []Option{{URIPath, []byte("a")}, {URIPath, []byte(segment)}}}
		b, _ := m.MarshalBinary()
		var v View
		if err := v.Parse(b); err != nil {
			t.Fatal(err)
		}
		if got, err := ComposeURI(&v, false, dest4); got != "" || !errors.Is(err, ErrURI) {
			t.Errorf("segment %q: %q, %v", segment, got, err)
		}
	}
}

func TestLocation(t *testing.T) {
	tests := []struct {
		name    string
		options []Option
		want    string
		ok      bool
	}{
		{"none", nil, "", false},
		{"path and query", []Option{{LocationPath, []byte("readings")}, {LocationPath, []byte("7 b")},
			{LocationQuery, []byte("u=c&d")}, {LocationQuery, []byte("v")}}, "/readings/7%20b?u=c%26d&v", true},
		{"query alone", []Option{{LocationQuery, []byte("a")}}, "?a", true},
		{"dots", []Option{{LocationPath, []byte("..")}}, "", false},
		// RFC 7252 §5.10.7: a reserved Location-* option that is not understood.
		{"reserved", []Option{{LocationPath, []byte("a")}, {140, nil}}, "", false},
		{"not reserved", []Option{{LocationPath, []byte("a")}, {144, nil}}, "/a", true},
	}
	for _, tt := range tests {
		m := Message{Type: Acknowledgement, Code: Created, Options: tt.options}
		b, _ := m.MarshalBinary()
		var v View
		if err := v.Parse(b); err != nil {
			t.Fatal(err)
		}
		if got, ok := v.Location(); got != tt.want || ok != tt.ok {
			t.Errorf("%s: %q, %t, want %q, %t", tt.name, got, ok, tt.want, tt.ok)
		}
	}
}
