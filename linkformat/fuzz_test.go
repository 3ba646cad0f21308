package linkformat_test

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"github.com/motewire/coap/linkformat"
)

// What Parse accepts is valid, and what Append makes of it means the same and is stable.
// What Parse refuses is a SyntaxError with an offset within the text.
func FuzzParse(f *testing.F) {
	for _, test := range parseTests {
		f.Add([]byte(test.text))
	}
	f.Add([]byte("</a>;rt=\"a\\"))
	f.Add([]byte("</a>;title*=utf-8'en'%4"))
	f.Fuzz(func(t *testing.T, text []byte) {
		links, err := linkformat.Parse(text)
		if err != nil {
			var syntax *linkformat.SyntaxError
			if !errors.As(err, &syntax) || syntax.Offset < 0 || syntax.Offset > len(text) || links != nil {
				t.Fatalf("links %+v, error %#v", links, err)
			}
			return
		}
		for _, l := range links {
			if err := l.Validate(); err != nil {
				t.Fatalf("%+v: %v", l, err)
			}
			if !(linkformat.Filter{Name: "href", Value: l.Target}).Match(l) {
				t.Fatalf("%+v does not match its own target", l)
			}
			for _, a := range l.Attributes {
				if !(linkformat.Filter{Name: a.Name, Prefix: true}).Match(l) && a.Name != "href" {
					t.Fatalf("%+v does not match its own %s", l, a.Name)
				}
			}
		}
		built := linkformat.Append(nil, links...)
		again, err := linkformat.Parse(built)
		if err != nil || !reflect.DeepEqual(again, links) {
			t.Fatalf("%q became %q: %+v, %v", text, built, again, err)
		}
		if twice := linkformat.Append(nil, again...); !bytes.Equal(twice, built) {
			t.Fatalf("%q became %q, then %q", text, built, twice)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	text := []byte(sensors)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := linkformat.Parse(text); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	dst := make([]byte, 0, len(sensors))
	b.SetBytes(int64(len(sensors)))
	b.ReportAllocs()
	for b.Loop() {
		dst = linkformat.Append(dst[:0], sensorLinks...)
	}
}
