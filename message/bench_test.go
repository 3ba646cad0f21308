package message

import (
	"strings"
	"testing"
)

// samples are messages of testdata and hostile ones.
func samples(t testing.TB) []struct{ name, hex string } {
	t.Helper()
	return []struct{ name, hex string }{
		{"get", captured(t, "s03-basic-gocoap-aiocoap", func(v *View) bool { return v.Code() == GET && v.Has(Accept) })},
		{"content", captured(t, "s02-methods-aiocoap-aiocoap", func(v *View) bool { return v.Code() == Content && v.Has(ETag) })},
		{"block1", captured(t, "s14-size1-size2-libcoap-libcoap", func(v *View) bool { return v.Has(Block1) && v.Has(Size1) && v.Payload() != nil })},
		{"notification", captured(t, "s07-observe-libcoap-aiocoap", func(v *View) bool { return v.Code() == Content && v.Has(Observe) })},
		{"empty", "40000001"},
		{"options", "40010001b0" + strings.Repeat("00", 1300)},  // 1301 empty segments
		{"high", "40010001e00000" + strings.Repeat("20", 1300)}, // 1301 unknown electives above 63
		{"extended", "40010001" + strings.Repeat("dd000061626364656667686970716d6e", 80) + "ff61"},
	}
}

// malformedSamples each break a rule late.
func malformedSamples() []struct{ name, hex string } {
	return []struct{ name, hex string }{
		{"nothing", ""},
		{"version", "80010001"},
		{"marker", "40010001b0" + strings.Repeat("00", 1300) + "ff"},
		{"number", "40010001" + strings.Repeat("e01000", 20)},
		{"truncated", "40010001b0" + strings.Repeat("00", 1300) + "0e"},
	}
}

// captured returns the first captured message of that kind.
func captured(t testing.TB, file string, match func(*View) bool) string {
	t.Helper()
	for _, row := range capturedRows(t)[file] {
		if row.Error == "" && match(parsed(t, row.Raw)) {
			return row.Raw
		}
	}
	t.Fatalf("%s has no such message", file)
	return ""
}

// iterate visits every option.
func iterate(v *View) (sum int) {
	for n, value := range v.Options() {
		sum += int(n) + len(value)
	}
	return sum
}

// reencode appends the message in v to dst.
func reencode(dst []byte, v *View) ([]byte, error) {
	e := AppendHeader(dst, v.Type(), v.Code(), v.ID(), v.Token())
	for n, value := range v.Options() {
		e.Option(n, value)
	}
	return e.Finish(v.Payload())
}

// readAll calls each accessor once.
func readAll(v *View) (sum int) {
	for b := range v.PathSegments() {
		sum += len(b)
	}
	for b := range v.Queries() {
		sum += len(b)
	}
	for b := range v.LocationPath() {
		sum += len(b)
	}
	for b := range v.LocationQueries() {
		sum += len(b)
	}
	for tag := range v.ETags() {
		sum += tag.Len()
	}
	for tag := range v.IfMatch() {
		sum += tag.Len()
	}
	for tag := range v.RequestTags() {
		sum += tag.Len()
	}
	for _, read := range [...]func(*View) ([]byte, bool){(*View).URIHost, (*View).ProxyURI, (*View).ProxyScheme, (*View).Echo} {
		b, _ := read(v)
		sum += len(b)
	}
	for _, read := range [...]func(*View) (uint32, bool){(*View).Observe, (*View).Size1, (*View).Size2} {
		n, _ := read(v)
		sum += int(n)
	}
	for _, read := range [...]func(*View) (Block, bool){(*View).Block1, (*View).Block2} {
		b, _ := read(v)
		sum += b.Offset()
	}
	etag, _ := v.ETag()
	requestTag, _ := v.RequestTag()
	format, _ := v.ContentFormat()
	accept, _ := v.Accept()
	age, _ := v.MaxAge()
	port, _ := v.URIPort()
	hops, _ := v.HopLimit()
	classes, _ := v.NoResponse()
	if v.IfNoneMatch() {
		sum++
	}
	return sum + etag.Len() + requestTag.Len() + int(format) + int(accept) + int(age) + int(port) + int(hops) + int(classes)
}

var sink int // keeps results alive

// operations are what must not allocate, each on a parsed message and a buffer with room.
func operations() []struct {
	name string
	run  func(v *View, datagram, buffer []byte)
} {
	var segments [1400][]byte
	return []struct {
		name string
		run  func(v *View, datagram, buffer []byte)
	}{
		{"Parse", func(v *View, datagram, _ []byte) {
			if v.Parse(datagram) != nil {
				sink++
			}
		}},
		{"Iterate", func(v *View, _, _ []byte) { sink += iterate(v) }},
		{"Encode", func(v *View, _, buffer []byte) {
			b, err := reencode(buffer, v)
			if err != nil {
				sink++
			}
			sink += len(b)
		}},
		{"OptionCheck", func(v *View, _, _ []byte) {
			critical, _ := v.UnrecognizedCritical(&recognizedInTests)
			elective, _ := v.IgnoredElective(&recognizedInTests)
			sink += int(critical) + int(elective)
		}},
		{"Accessors", func(v *View, _, _ []byte) { sink += readAll(v) }},
		{"AppendValues", func(v *View, _, _ []byte) { sink += len(v.AppendValues(segments[:0], URIPath)) }},
	}
}

func TestNoAllocation(t *testing.T) {
	buffer := make([]byte, 0, 4096)
	for _, op := range operations() {
		for _, sample := range samples(t) {
			datagram := unhexed(t, sample.hex)
			v := parsed(t, sample.hex)
			if allocs := testing.AllocsPerRun(20, func() { op.run(v, datagram, buffer) }); allocs != 0 {
				t.Errorf("%s/%s allocates %v times", op.name, sample.name, allocs)
			}
		}
	}
	all := manyOptions(t)
	if allocs := testing.AllocsPerRun(20, func() { sink += readAll(all) }); allocs != 0 {
		t.Errorf("the accessors allocate %v times", allocs)
	}
	for _, sample := range malformedSamples() {
		datagram := unhexed(t, sample.hex)
		var v View
		if err := v.Parse(datagram); err == nil {
			t.Errorf("%s is well-formed", sample.name)
		}
		if allocs := testing.AllocsPerRun(20, func() { sink += len(errorOf(&v, datagram).Err.Error()) }); allocs != 0 {
			t.Errorf("Parse/%s allocates %v times", sample.name, allocs)
		}
	}
}

// errorOf parses and looks at the error as a receiver does.
func errorOf(v *View, datagram []byte) *FormatError {
	format, _ := v.Parse(datagram).(*FormatError) //nolint:errorlint // documented to be this type
	return format
}

func TestSortOptionsDoesNotAllocate(t *testing.T) {
	options := make([]Option, 64)
	allocs := testing.AllocsPerRun(20, func() {
		for i := range options {
			options[i].Number = OptionNumber(i * 37 % 64)
		}
		SortOptions(options)
	})
	if allocs != 0 || options[1].Number != 1 {
		t.Errorf("%v allocations, %v", allocs, options[1].Number)
	}
}

func Benchmark(b *testing.B) {
	buffer := make([]byte, 0, 4096)
	for _, op := range operations() {
		for _, sample := range samples(b) {
			b.Run(op.name+"/"+sample.name, func(b *testing.B) {
				datagram := unhexed(b, sample.hex)
				v := parsed(b, sample.hex)
				b.ReportAllocs()
				b.SetBytes(int64(len(datagram)))
				for b.Loop() {
					op.run(v, datagram, buffer)
				}
			})
		}
	}
}
