package linkformat_test

import (
	"errors"
	"reflect"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/motewire/coap/linkformat"
)

func TestAppend(t *testing.T) {
	for _, test := range parseTests {
		t.Run(test.name, func(t *testing.T) {
			want := test.again
			if want == "" {
				want = test.text
			}
			if got := string(linkformat.Append(nil, test.want...)); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

func TestAppendKeepsPrefix(t *testing.T) {
	got := linkformat.Append([]byte("x,"), link{Target: "/a"}, link{Target: "/b"})
	if want := "x,</a>,</b>"; string(got) != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestValidate(t *testing.T) {
	for _, test := range []struct {
		name string
		link link
		want error
	}{
		{"all there is", sensorLinks[3], nil},
		{"empty", link{}, nil},
		{"bracket", link{Target: "/a>"}, linkformat.ErrTarget},
		{"control", link{Target: "/a\x00"}, linkformat.ErrTarget},
		{"target not UTF-8", link{Target: "/\xff"}, linkformat.ErrTarget},
		{"no name", link{"/a", attributes(value("", "x"))}, linkformat.ErrName},
		{"bad name", link{"/a", attributes(value("a b", "x"))}, linkformat.ErrName},
		{"semicolon in the name", link{"/a", attributes(flag("a;b"))}, linkformat.ErrName},
		{"two asterisks", link{"/a", attributes(value("a**", "utf-8''"))}, linkformat.ErrName},
		{"flag with a value", link{"/a", attributes(linkformat.Attribute{Name: "obs", Value: "1", Flag: true})}, linkformat.ErrValue},
		{"obs with a value", link{"/a", attributes(value("Obs", "1"))}, linkformat.ErrValue},
		{"obs without one", link{"/a", attributes(flag("obs"))}, nil},
		{"reserved name", link{"/a", attributes(value("href", "/b"))}, linkformat.ErrName},
		{"ext-name as a flag", link{"/a", attributes(flag("title*"))}, linkformat.ErrValue},
		{"no ext-value", link{"/a", attributes(value("title*", "size"))}, linkformat.ErrValue},
		{"value not UTF-8", link{"/a", attributes(value("title", "\xff"))}, linkformat.ErrUTF8},
		{"duplicate", link{"/a", attributes(value("rt", "a"), value("Rt", "b"))}, linkformat.ErrDuplicate},
		{"duplicates of another kind", link{"/a", attributes(value("hreflang", "de"), value("hreflang", "en"))}, nil},
	} {
		if err := test.link.Validate(); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", test.name, err, test.want)
		}
	}
}

// Each attribute of which there can be one only, whatever its place in the table.
func TestSingleAttributes(t *testing.T) {
	for _, name := range []string{"rt", "if", "sz", "ct", "obs", "rel", "anchor", "title", "media", "type"} {
		l := link{"/a", attributes(flag(name), flag(name))}
		if err := l.Validate(); !errors.Is(err, linkformat.ErrDuplicate) {
			t.Errorf("two of %s: %v", name, err)
		}
		text := `<>;` + name + `="first";` + name + `="second"`
		got, err := linkformat.Parse([]byte(text))
		if err != nil || len(got[0].Attributes) != 1 || got[0].Attributes[0].Value != "first" && name != "obs" {
			t.Errorf("Parse(%s) = %+v, %v", text, got, err)
		}
	}
	twice := attributes(value("title*", "utf-8''a"), value("title*", "utf-8''b"))
	if err := (link{"/a", twice}).Validate(); !errors.Is(err, linkformat.ErrDuplicate) {
		t.Errorf("two of title*: %v", err)
	}
}

// anyLinks generates links, mostly valid ones.
func anyLinks() *rapid.Generator[[]link] {
	known := rapid.SampledFrom([]string{"rt", "if", "sz", "ct", "rel", "rev", "title", "anchor", "hreflang", "foo", "RT"})
	name := rapid.OneOf(known, known, rapid.StringMatching(`[a-z!#$&+.^_|~-]{1,4}`), rapid.String())
	text := rapid.OneOf(rapid.StringMatching(`[0-9]{0,3}( [0-9]{0,2})*`), rapid.StringMatching(`[ -~]{0,8}`), rapid.String())
	attribute := rapid.Custom(func(t *rapid.T) linkformat.Attribute {
		switch rapid.IntRange(0, 5).Draw(t, "kind") {
		case 0:
			return flag(name.Draw(t, "flag"))
		case 1:
			return value("title*", rapid.StringMatching(`(utf-8|x)'(en)?'([a-z]|%[0-9a-fA-F]{2}){0,3}`).Draw(t, "ext-value"))
		}
		return value(name.Draw(t, "name"), text.Draw(t, "value"))
	})
	one := rapid.Custom(func(t *rapid.T) link {
		return link{
			Target:     rapid.OneOf(rapid.StringMatching(`/[a-z/,;"=]{0,8}`), rapid.String()).Draw(t, "target"),
			Attributes: rapid.SliceOfN(attribute, 0, 5).Draw(t, "attributes"),
		}
	})
	return rapid.SliceOfN(one, 0, 5)
}

// What Validate accepts comes back from Parse as it was; and it accepts much.
func TestRoundTrip(t *testing.T) {
	valid, attributes := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		var links []link
		for _, l := range anyLinks().Draw(t, "links") {
			if l.Validate() != nil {
				continue
			}
			if len(l.Attributes) == 0 {
				l.Attributes = nil
			}
			links = append(links, l)
			valid++
			attributes += len(l.Attributes)
		}
		text := linkformat.Append(nil, links...)
		if !utf8.Valid(text) {
			t.Fatalf("%q is not UTF-8", text)
		}
		got, err := linkformat.Parse(text)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if !reflect.DeepEqual(got, links) {
			t.Fatalf("%q:\ngot  %+v\nwant %+v", text, got, links)
		}
	})
	if floor := 50; !testing.Short() && (valid < floor || attributes < floor) { // -short draws few
		t.Errorf("only %d links with %d attributes were valid", valid, attributes)
	}
}

func TestAppendAllocatesNothing(t *testing.T) {
	links := append([]link{{"/x", attributes(value("title", "a\"b\\c\nd"), value("title*", "utf-8''x"), flag("obs"))}}, sensorLinks...)
	dst := make([]byte, 0, 1024)
	if got := testing.AllocsPerRun(100, func() { dst = linkformat.Append(dst[:0], links...) }); got != 0 {
		t.Errorf("Append: %v allocations", got)
	}
	if len(dst) == 0 {
		t.Error("nothing was appended")
	}
	f := linkformat.ParseFilter("rt=light*")
	if got := testing.AllocsPerRun(100, func() { dst = f.Append(dst[:0], links...) }); got != 0 {
		t.Errorf("Filter.Append: %v allocations", got)
	}
	if len(dst) == 0 {
		t.Error("nothing was appended")
	}
}
