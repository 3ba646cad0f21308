package coap

import (
	"errors"
	"net/netip"
	"syscall"
	"testing"

	"github.com/motewire/coap/transport"
)

// RFC 7252 §4.2: "Packet Too Big errors [...] cannot properly occur and SHOULD be ignored",
// "Source Quench and Time Exceeded ICMP messages SHOULD be ignored".
func TestWhichErrorsMeanUnreachable(t *testing.T) {
	v4, v6 := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	for _, test := range []struct {
		name string
		err  error
		want bool
	}{
		{"port unreachable", &transport.DeliveryError{Err: syscall.ECONNREFUSED, Reporter: v4, Type: 3, Code: 3}, true},
		{"host unreachable", &transport.DeliveryError{Err: syscall.EHOSTUNREACH, Reporter: v4, Type: 3, Code: 1}, true},
		{"fragmentation needed", &transport.DeliveryError{Err: syscall.EMSGSIZE, Reporter: v4, Type: 3, Code: 4}, false},
		{"source quench", &transport.DeliveryError{Err: syscall.ECONNREFUSED, Reporter: v4, Type: 4}, false},
		{"time exceeded", &transport.DeliveryError{Err: syscall.EHOSTUNREACH, Reporter: v4, Type: 11}, false},
		{"port unreachable, IPv6", &transport.DeliveryError{Err: syscall.ECONNREFUSED, Reporter: v6, Type: 1, Code: 4}, true},
		{"packet too big, IPv6", &transport.DeliveryError{Err: syscall.EMSGSIZE, Reporter: v6, Type: 2}, false},
		{"time exceeded, IPv6", &transport.DeliveryError{Err: syscall.EHOSTUNREACH, Reporter: v6, Type: 3}, false},
		{"this host", &transport.DeliveryError{Err: syscall.ENETUNREACH}, true},
		{"another transport", errors.New("gone"), true},
	} {
		if got := unreachable(test.err); got != test.want {
			t.Errorf("%s: %t, want %t", test.name, got, test.want)
		}
	}
}
