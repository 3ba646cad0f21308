package message

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// seedDatagrams gives a fuzzer the bad inputs, and of the captured messages that are
// short one of each kind: the same code, options and lengths.
func seedDatagrams(f *testing.F) {
	f.Helper()
	for _, in := range badInputs(f) {
		f.Add(in.datagram)
	}
	seen := make(map[string]bool)
	for _, rows := range capturedRows(f) {
		for _, row := range rows {
			datagram := unhexed(f, row.Raw)
			if kind := kindOf(datagram); !seen[kind] && len(datagram) <= 200 {
				seen[kind] = true
				f.Add(datagram)
			}
		}
	}
}

func kindOf(datagram []byte) string {
	var v View
	if err := v.Parse(datagram); err != nil {
		return err.Error()
	}
	kind := fmt.Sprint(v.Type(), v.Code(), v.Payload() != nil)
	for n, value := range v.Options() {
		kind += fmt.Sprint(" ", n, len(value))
	}
	return kind
}

func FuzzParse(f *testing.F) {
	seedDatagrams(f)
	f.Fuzz(func(t *testing.T, datagram []byte) { checkDatagram(t, datagram) })
}

// checkDatagram parses any bytes: an error says where, and a message means its bytes.
func checkDatagram(t testing.TB, datagram []byte) {
	t.Helper()
	before := bytes.Clone(datagram)
	var v View
	err := v.Parse(datagram)
	if len(datagram) <= 300 {
		checkPrintable(t, &v)
	}
	if err != nil {
		checkFormatError(t, &v, err)
		return
	}
	again, err := reencode(nil, &v)
	if err != nil || !bytes.Equal(again, before) {
		t.Fatalf("%x encodes again to %x, %v", before, again, err)
	}
	var m Message
	if err := m.UnmarshalBinary(datagram); err != nil {
		t.Fatalf("%x: %v", before, err)
	}
	if again, err := m.AppendBinary(nil); err != nil || !bytes.Equal(again, before) {
		t.Fatalf("%x encodes again to %x, %v", before, again, err)
	}
	checkOptions(t, &v)
	checkOptionCheck(t, &v, &recognizedInTests)
	readAll(&v)
	if !bytes.Equal(datagram, before) {
		t.Fatal("the datagram changed")
	}
}

func checkFormatError(t testing.TB, v *View, err error) {
	t.Helper()
	var format *FormatError
	if !errors.As(err, &format) || format.Offset < 0 || format.Offset > len(v.datagram) || format.Err == nil {
		t.Fatalf("%x: %v", v.datagram, err)
	}
	if format.Intact {
		_, _, _ = v.Type(), v.Code(), v.ID()
	}
	if format.Intact != (len(v.datagram) >= headerLength && v.datagram[0]>>6 == 1) {
		t.Fatalf("%x: %v, intact %t", v.datagram, err, format.Intact)
	}
	for n := range v.Options() {
		t.Fatalf("%x: option %v in spite of %v", v.datagram, n, err)
	}
}

// checkOptions compares Has, Option and Values with a walk over all options.
func checkOptions(t testing.TB, v *View) {
	t.Helper()
	last, values := OptionNumber(0), make(map[OptionNumber][][]byte)
	for n, value := range v.Options() {
		if n < last {
			t.Fatalf("%v: option %d behind %d", v, n, last)
		}
		last = n
		values[n] = append(values[n], value)
	}
	for n, want := range values {
		if value, ok := v.Option(n); !ok || !v.Has(n) || !bytes.Equal(value, want[0]) {
			t.Fatalf("%v: option %d is %x, %t, want %x", v, n, value, ok, want[0])
		}
		legal := slices.DeleteFunc(want, func(b []byte) bool { return !legalLength(n, len(b)) })
		if got := slices.Collect(v.Values(n)); !slices.EqualFunc(got, legal, bytes.Equal) {
			t.Fatalf("%v: option %d is %x, want %x", v, n, got, legal)
		}
		if got := v.AppendValues(nil, n); !slices.EqualFunc(got, legal, bytes.Equal) {
			t.Fatalf("%v: option %d is %x, want %x", v, n, got, legal)
		}
	}
	for _, info := range optionRegistry {
		if v.Has(info.Number) != (values[info.Number] != nil) {
			t.Fatalf("%v: Has(%v) = %t", v, info.Number, v.Has(info.Number))
		}
	}
}

func FuzzURI(f *testing.F) {
	for _, s := range []string{"coap://h", "coap://H:5683/a/../b/./?c&d", "coaps://[fe80::1%25en0]:61616//%2F//?%2F%2F&?%26",
		"coap://192.0.2.1/%e2%82%ac", "coap://[ff02::fd]/.well-known/core?rt=*", "coap://%41b:/%2E%2e", "coap://h/#", "coap://"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := ParseURI(s)
		if err != nil {
			if !errors.Is(err, ErrURI) {
				t.Fatal(err)
			}
			return
		}
		again, err := ParseURI(u.String())
		if err != nil || !sameURI(again, u) {
			t.Fatalf("%q is %+v, its normal form %q is %+v, %v", s, u, u.String(), again, err)
		}
		for _, to := range []netip.AddrPort{dest4, netip.AddrPortFrom(u.Addr, u.Port)} {
			if to.Addr().IsValid() {
				checkTravels(t, u, to)
			}
		}
	})
}

// checkTravels sends a URI as options to an address and composes it there.
func checkTravels(t *testing.T, u URI, to netip.AddrPort) {
	t.Helper()
	v := wireOf(t, &u, to)
	if n, bad := v.UnrecognizedCritical(&recognizedInTests); bad {
		t.Fatalf("%+v gives a bad %v", u, n)
	}
	composed, err := ComposeURI(v, u.Secure, to)
	if err != nil {
		if host, _ := v.URIHost(); !validHost(string(host)) {
			return // §6.5 step 2: what has to be escaped in a host can't come back
		}
		t.Fatalf("%+v: %v", u, err)
	}
	got, err := ParseURI(composed)
	if strings.Contains(u.Host, "%") {
		return // a percent sign in a host is taken for an encoding (§6.5 step 2), or begins a zone
	}
	// A mapped destination is the IPv4 one.
	u.Addr, got.Addr = u.Addr.Unmap(), got.Addr.Unmap()
	u.Host, got.Host = hostText(u), hostText(got)
	if err != nil || !sameURI(got, u) {
		t.Fatalf("%+v travels to %v as %v and is then %q, %v", u, to, v, composed, err)
	}
}

func hostText(u URI) string {
	if u.Addr.IsValid() {
		return u.Addr.String()
	}
	return u.Host
}

func sameURI(a, b URI) bool {
	return a.Secure == b.Secure && a.Host == b.Host && a.Addr == b.Addr && a.Port == b.Port &&
		slices.Equal(a.Path, b.Path) && slices.Equal(a.Query, b.Query)
}

func FuzzComposeURI(f *testing.F) {
	seedDatagrams(f)
	f.Fuzz(func(t *testing.T, datagram []byte) {
		var v View
		if v.Parse(datagram) != nil {
			return
		}
		s, err := ComposeURI(&v, false, dest4)
		if err != nil {
			if s != "" || !errors.Is(err, ErrURI) {
				t.Fatalf("%q, %v", s, err)
			}
			return
		}
		u, err := ParseURI(s)
		if err != nil {
			if port, ok := v.URIPort(); ok && port == 0 {
				return // port 0 can be said but not asked
			}
			t.Fatalf("%v composes to %q: %v", &v, s, err)
		}
		var path, query []string
		for segment := range v.PathSegments() {
			path = append(path, string(segment))
		}
		for argument := range v.Queries() {
			query = append(query, string(argument))
		}
		if len(path) == 1 && path[0] == "" {
			path = nil // §6.4 step 8: a single slash has no segment
		}
		if !slices.Equal(u.Path, path) || !slices.Equal(u.Query, query) {
			t.Fatalf("%v composes to %q: %+v", &v, s, u)
		}
	})
}
