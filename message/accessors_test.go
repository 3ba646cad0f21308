package message

import (
	"bytes"
	"slices"
	"testing"
	"time"
)

// manyOptions has each option that an accessor reads, once or twice.
func manyOptions(t testing.TB) *View {
	t.Helper()
	m := Message{Code: PUT, ID: 1, Options: []Option{
		{IfMatch, nil}, {IfMatch, []byte("\x01\x02")},
		{URIHost, []byte("h")},
		{ETag, []byte("\xaa")}, {ETag, []byte("12345678")},
		{IfNoneMatch, nil},
		{Observe, []byte{1, 2, 3}},
		{URIPort, []byte{0x16, 0x33}},
		{LocationPath, []byte("l")}, {LocationPath, []byte("")},
		{URIPath, []byte("a")}, {URIPath, []byte("")}, {URIPath, []byte("b")},
		{ContentFormat, []byte{50}},
		{MaxAge, []byte{0, 90}},
		{URIQuery, []byte("q=1")}, {URIQuery, []byte("r")},
		{HopLimit, []byte{16}},
		{Accept, nil},
		{LocationQuery, []byte("m")},
		{Block2, []byte{0x1e}},
		{Block1, []byte{0x12, 0x34, 0x5f}},
		{Size2, []byte{1, 0, 0, 0}},
		{ProxyURI, []byte("coap://p/")},
		{ProxyScheme, []byte("coap")},
		{Size1, []byte{9}},
		{Echo, []byte("echo")},
		{NoResponse, []byte{26}},
		{RequestTag, []byte("t")}, {RequestTag, nil},
	}}
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

func TestAccessors(t *testing.T) {
	v := manyOptions(t)
	texts := func(values [][]byte) string { return string(bytes.Join(values, []byte("|"))) }
	check := func(name string, got, want any) {
		t.Helper()
		if got != want {
			t.Errorf("%s = %v, want %v", name, got, want)
		}
	}
	check("PathSegments", texts(slices.Collect(v.PathSegments())), "a||b")
	check("AppendValues", texts(v.AppendValues([][]byte{[]byte("x")}, URIPath)), "x|a||b")
	check("Queries", texts(slices.Collect(v.Queries())), "q=1|r")
	check("LocationPath", texts(slices.Collect(v.LocationPath())), "l|")
	check("LocationQueries", texts(slices.Collect(v.LocationQueries())), "m")
	if got, want := slices.Collect(v.ETags()), []Tag{tag(t, "\xaa"), tag(t, "12345678")}; !slices.Equal(got, want) {
		t.Errorf("ETags = %v", got)
	}
	if got, want := slices.Collect(v.IfMatch()), []Tag{{}, tag(t, "\x01\x02")}; !slices.Equal(got, want) {
		t.Errorf("IfMatch = %v", got)
	}
	if got, want := slices.Collect(v.RequestTags()), []Tag{tag(t, "t"), {}}; !slices.Equal(got, want) {
		t.Errorf("RequestTags = %v", got)
	}
	check("IfNoneMatch", v.IfNoneMatch(), true)
	both := func(name string, got, want any, ok bool) {
		t.Helper()
		check(name, got, want)
		check(name+" ok", ok, true)
	}
	text := func(name string, read func() ([]byte, bool), want string) {
		t.Helper()
		b, ok := read()
		both(name, string(b), want, ok)
	}
	text("URIHost", v.URIHost, "h")
	text("ProxyURI", v.ProxyURI, "coap://p/")
	text("ProxyScheme", v.ProxyScheme, "coap")
	text("Echo", v.Echo, "echo")
	etag, ok := v.ETag()
	both("ETag", etag, tag(t, "\xaa"), ok)
	requestTag, ok := v.RequestTag()
	both("RequestTag", requestTag, tag(t, "t"), ok)
	port, ok := v.URIPort()
	both("URIPort", port, uint16(5683), ok)
	contentFormat, ok := v.ContentFormat()
	both("ContentFormat", contentFormat, AppJSON, ok)
	accept, ok := v.Accept()
	both("Accept", accept, TextPlain, ok)
	age, ok := v.MaxAge()
	both("MaxAge", age, 90*time.Second, ok)
	observe, ok := v.Observe()
	both("Observe", observe, uint32(0x010203), ok)
	block1, ok := v.Block1()
	both("Block1", block1, Block{Num: 0x12345, More: true, SZX: 7}, ok)
	block2, ok := v.Block2()
	both("Block2", block2, Block{Num: 1, More: true, SZX: 6}, ok)
	size1, ok := v.Size1()
	both("Size1", size1, uint32(9), ok)
	size2, ok := v.Size2()
	both("Size2", size2, uint32(1<<24), ok)
	hops, ok := v.HopLimit()
	both("HopLimit", hops, uint8(16), ok)
	classes, ok := v.NoResponse()
	both("NoResponse", classes, uint8(26), ok)
}

func TestAccessorsAbsent(t *testing.T) {
	v := parsed(t, "40 01 0001")
	if age, ok := v.MaxAge(); ok || age != 60*time.Second {
		t.Errorf("MaxAge = %v, %t", age, ok)
	}
	if _, ok := v.Observe(); ok {
		t.Error("Observe there")
	}
	if _, ok := v.ETag(); ok {
		t.Error("ETag there")
	}
	if _, ok := v.Echo(); ok {
		t.Error("Echo there")
	}
	if v.IfNoneMatch() {
		t.Error("If-None-Match there")
	}
	for range v.PathSegments() {
		t.Error("path segment there")
	}
	if got := v.AppendValues(nil, RequestTag); got != nil {
		t.Errorf("AppendValues = %q", got)
	}
}

// RFC 7252 §5.4.3: "If the length of an option value in a request is outside the defined
// range, that option MUST be treated like an unrecognized option".
func TestAccessorsIllegalLength(t *testing.T) {
	m := Message{Code: GET, Options: []Option{
		{ETag, nil}, {ETag, []byte("ok")}, {ETag, []byte("123456789")},
		{IfNoneMatch, []byte{1}},
		{Observe, []byte{0, 0, 0, 1}},
		{URIPort, []byte{0, 22, 51}},
		{MaxAge, []byte{0, 0, 0, 0, 1}},
		{Block2, []byte{0, 0, 0, 6}},
		{Echo, bytes.Repeat([]byte{1}, 41)},
		{RequestTag, []byte("123456789")},
	}}
	b, _ := m.MarshalBinary()
	var v View
	if err := v.Parse(b); err != nil {
		t.Fatal(err)
	}
	if got := slices.Collect(v.ETags()); !slices.Equal(got, []Tag{tag(t, "ok")}) {
		t.Errorf("ETags = %v", got)
	}
	if got, ok := v.ETag(); !ok || got != tag(t, "ok") {
		t.Errorf("ETag = %v, %t", got, ok)
	}
	if v.IfNoneMatch() {
		t.Error("IfNoneMatch")
	}
	if _, ok := v.Observe(); ok {
		t.Error("Observe")
	}
	if _, ok := v.URIPort(); ok {
		t.Error("URIPort")
	}
	if age, ok := v.MaxAge(); ok || age != DefaultMaxAge {
		t.Error("MaxAge", age)
	}
	if _, ok := v.Block2(); ok {
		t.Error("Block2")
	}
	if _, ok := v.Echo(); ok {
		t.Error("Echo")
	}
	if _, ok := v.RequestTag(); ok {
		t.Error("RequestTag")
	}
	if value, ok := v.Option(Observe); !ok || len(value) != 4 {
		t.Errorf("Option = %x, %t: the raw value is to stay", value, ok)
	}
}

// RFC 7252 §5.4.5: "each supernumerary option occurrence that appears subsequently in the
// message MUST be treated like an unrecognized option".
func TestAccessorsFirstOccurrence(t *testing.T) {
	v := parsed(t, "40 01 0001 61 05 01 07") // Observe 5, Observe 7
	if value, ok := v.Observe(); !ok || value != 5 {
		t.Errorf("Observe = %d, %t", value, ok)
	}
	// The first is illegal and still the first.
	v = parsed(t, "40 01 0001 64 00000005 01 07")
	if value, ok := v.Observe(); ok {
		t.Errorf("Observe = %d", value)
	}
}

// RFC 7252 §3.2: "A recipient MUST be prepared to process values with leading zero bytes."
func TestUintLeadingZeros(t *testing.T) {
	v := parsed(t, "40 01 0001 d2 04 00 28") // Accept 40
	if f, ok := v.Accept(); !ok || f != AppLinkFormat {
		t.Errorf("Accept = %v, %t", f, ok)
	}
}

func TestUintOfUnknownOption(t *testing.T) {
	m := Message{Code: GET, Options: []Option{{65000, []byte{1, 2, 3, 4}}, {65002, []byte{1, 2, 3, 4, 5}}}}
	b, _ := m.MarshalBinary()
	var v View
	if err := v.Parse(b); err != nil {
		t.Fatal(err)
	}
	if value, ok := v.Uint(65000); !ok || value != 0x01020304 {
		t.Errorf("%#x, %t", value, ok)
	}
	if value, ok := v.Uint(65002); ok {
		t.Errorf("five bytes: %#x", value)
	}
}
