package peer

import (
	"net"
	"net/netip"
	"reflect"
	"strconv"
	"testing"
)

func TestAddr(t *testing.T) {
	for _, test := range []struct {
		in        string
		want      string // in when empty
		is4       bool
		multicast bool
		scope     uint32
	}{
		{in: "192.0.2.1:5683", is4: true},
		{in: "[::ffff:192.0.2.1]:5683", want: "192.0.2.1:5683", is4: true},
		{in: "0.0.0.0:0", is4: true},
		{in: "223.255.255.255:1", is4: true},
		{in: "224.0.1.187:5683", is4: true, multicast: true},
		{in: "239.255.255.255:1", is4: true, multicast: true},
		{in: "240.0.0.0:1", is4: true},
		{in: "[2001:db8::1]:65535"},
		{in: "[::1]:5683"},
		{in: "[::192.0.2.1]:5683"},
		{in: "[fe80::1%2]:5683", scope: 2},
		{in: "[ff02::fd%3]:5683", multicast: true, scope: 3},
		{in: "[ff05::fd]:5683", multicast: true},
		{in: "[fe80::1%no-such-interface]:5683", want: "[fe80::1]:5683"},
	} {
		a := From(netip.MustParseAddrPort(test.in))
		want := test.want
		if want == "" {
			want = test.in
		}
		if got := a.String(); got != netip.MustParseAddrPort(want).String() {
			t.Errorf("%s is printed as %s, want %s", test.in, got, want)
		}
		if a.Is4() != test.is4 || a.IsMulticast() != test.multicast || a.Scope() != test.scope || !a.IsValid() {
			t.Errorf("%s: Is4 %v, IsMulticast %v, Scope %d", test.in, a.Is4(), a.IsMulticast(), a.Scope())
		}
		if got := From(a.AddrPort()); got != a {
			t.Errorf("%s there and back is %v", test.in, got)
		}
		ip := a.Bytes()
		if got := FromBytes(&ip, a.Scope(), a.Port()); got != a {
			t.Errorf("%s by its bytes is %v", test.in, got)
		}
	}
}

// An IPv4 address and its mapped form are one endpoint; all else that differs makes two.
func TestEquality(t *testing.T) {
	from := func(s, local string) Addr {
		a := From(netip.MustParseAddrPort(s))
		if local != "" {
			a = a.WithLocal(netip.MustParseAddr(local))
		}
		return a
	}
	if from("192.0.2.1:1", "192.0.2.2") != from("[::ffff:192.0.2.1]:1", "::ffff:192.0.2.2") {
		t.Error("a mapped address is another endpoint")
	}
	distinct := []Addr{
		{},
		from("192.0.2.1:1", ""),
		from("192.0.2.1:2", ""),
		from("192.0.2.3:1", ""),
		from("[::192.0.2.1]:1", ""),
		from("192.0.2.1:1", "192.0.2.2"),
		from("192.0.2.1:1", "192.0.2.3"),
		from("[fe80::1]:1", ""),
		from("[fe80::1%1]:1", ""),
		from("[fe80::1%2]:1", ""),
	}
	table := map[Addr]int{}
	for i, a := range distinct {
		if j, there := table[a]; there {
			t.Errorf("%v (%d) is %v (%d)", a, i, distinct[j], j)
		}
		table[a] = i
	}
}

func TestLocal(t *testing.T) {
	a := From(netip.MustParseAddrPort("[2001:db8::1]:5683"))
	if a.Local().IsValid() || a.LocalBytes() != [16]byte{} {
		t.Errorf("local address %v, want unknown", a.Local())
	}
	local := netip.MustParseAddr("2001:db8::2")
	b := a.WithLocal(local)
	ip := b.LocalBytes()
	if b.Local() != local || ip != local.As16() || a.WithLocalBytes(&ip) != b {
		t.Errorf("local address %v, want %v", b.Local(), local)
	}
	if b == a || b.Remote() != a || b.WithLocal(netip.Addr{}) != a {
		t.Errorf("%v with and without its local address", b)
	}
	for _, any := range []string{"::", "0.0.0.0", "::ffff:0.0.0.0"} {
		if b.WithLocal(netip.MustParseAddr(any)) != a {
			t.Errorf("the local address %s is a known one", any)
		}
	}
	if got := From(netip.MustParseAddrPort("192.0.2.1:1")).WithLocal(netip.MustParseAddr("192.0.2.2")).Local(); got != netip.MustParseAddr("192.0.2.2") {
		t.Errorf("IPv4 local address %v", got)
	}
}

// The zone of a link-local address that was asked is the peer's as well, but no part of a
// global peer's own address.
func TestZoneOfLocal(t *testing.T) {
	local := netip.MustParseAddr("fe80::2%4")
	global := From(netip.MustParseAddrPort("[2001:db8::1]:1"))
	if a := global.WithLocal(local); a.Scope() != 4 || a.Remote() != global {
		t.Errorf("global peer: scope %d, remote %v", a.Scope(), a.Remote())
	}
	near := From(netip.MustParseAddrPort("[fe80::1%3]:1"))
	if a := near.WithLocal(local); a.Scope() != 3 || a.Remote() != near {
		t.Errorf("link-local peer: scope %d, remote %v", a.Scope(), a.Remote())
	}
	group := From(netip.MustParseAddrPort("[ff02::fd%3]:1"))
	if group.Remote() != group {
		t.Errorf("a group's zone is gone: %v", group.Remote())
	}
	if a := near.WithScope(9); a.Scope() != 9 {
		t.Errorf("scope %d, want 9", a.Scope())
	}
}

func TestZoneByName(t *testing.T) {
	all, err := net.Interfaces()
	if err != nil || len(all) == 0 {
		t.Skipf("no interfaces: %v", err)
	}
	a := From(netip.MustParseAddrPort("[fe80::1%" + all[0].Name + "]:1"))
	if got, want := a.AddrPort().Addr().Zone(), strconv.Itoa(all[0].Index); got != want {
		t.Errorf("zone %s, want %s", got, want)
	}
}

func TestZeroAddr(t *testing.T) {
	var a Addr
	if a.IsValid() || a.Is4() || a.IsMulticast() || a.Local().IsValid() {
		t.Errorf("the zero Addr is an endpoint: %v", a)
	}
}

// Tables keyed by it cost the garbage collector nothing.
func TestNoPointers(t *testing.T) {
	typ := reflect.TypeFor[Addr]()
	for i := range typ.NumField() {
		if k := typ.Field(i).Type.Kind(); k < reflect.Bool || k > reflect.Uint64 {
			t.Errorf("field %s is a %v", typ.Field(i).Name, k)
		}
	}
	if typ.Size() != 40 {
		t.Errorf("an Addr has %d bytes, want 40", typ.Size())
	}
}

var sink struct {
	addr  Addr
	bytes [16]byte
	ap    netip.AddrPort
}

func TestAllocations(t *testing.T) {
	remote, local := netip.MustParseAddrPort("192.0.2.1:5683"), netip.MustParseAddr("2001:db8::1")
	ip := [16]byte{0: 0xfe, 1: 0x80, 15: 1}
	table := map[Addr]int{}
	if n := testing.AllocsPerRun(100, func() {
		sink.addr = From(remote).WithLocal(local)
		sink.ap = sink.addr.Remote().AddrPort()
		sink.addr = FromBytes(&ip, 2, 5683).WithLocalBytes(&ip).WithScope(3)
		sink.bytes = sink.addr.LocalBytes()
		table[sink.addr]++
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// What is set in place is what is made of the same bytes.
func TestSetInPlace(t *testing.T) {
	ip, local := [16]byte{10: 0xff, 11: 0xff, 12: 192, 13: 0, 14: 2, 15: 1}, [16]byte{10: 0xff, 11: 0xff, 12: 127, 15: 2}
	want := FromBytes(&ip, 0, 5683)
	a := FromBytes(&[16]byte{0xfe, 0x80, 15: 9}, 7, 1).WithLocalBytes(&[16]byte{0xfe, 0x80, 15: 8})
	if a.Set4([4]byte(ip[12:]), 5683); a != want {
		t.Errorf("Set4: %v, local %v, want %v", a, a.Local(), want)
	}
	if a.SetLocal4([4]byte(local[12:])); a != want.WithLocalBytes(&local) {
		t.Errorf("SetLocal4: %v, local %v", a, a.Local())
	}
	b := want.WithScope(3).WithLocalBytes(&local)
	if a.Assign(&b); a != b {
		t.Errorf("Assign: %v, want %v", a, b)
	}
}
