package linkformat_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/motewire/coap/linkformat"
)

func TestFilter(t *testing.T) {
	links, err := linkformat.Parse([]byte(sensors + `,` +
		`</link1>;rt="Type1 Type2";if="If1",` +
		`</link2>;rt="Type2  Type3";if="If2",` +
		`</link3>;rev="Type1 Type3";foo="bar barley";foo=bar2,` +
		`</multi>;ct="0 41 50 60";hreflang=en;hreflang=de,` +
		`</a*>;title*=utf-8''x;title="a*",` +
		`</empty>;rt="";title="",` +
		`</spaces>;rev="  a  b  ",` +
		`</obs>;obs;type="text/plain";sz=7`))
	if err != nil {
		t.Fatal(err)
	}
	all := "/sensors /sensors/temp /sensors/light http://www.example.com/sensors/t123 /t /link1 /link2 /link3 /multi /a* /empty /spaces /obs"
	for query, want := range map[string]string{
		"rt=light-lux":   "/sensors/light",
		"rt=light":       "",
		"rt=light*":      "/sensors/light",
		"rt=light-lux*":  "/sensors/light",
		"rt=light-lux**": "",
		"if=sensor":      "/sensors/temp /sensors/light",
		"IF=sensor":      "/sensors/temp /sensors/light",
		"if=Sensor":      "",
		"rt=*":           "/sensors/temp /sensors/light /link1 /link2 /empty",
		"rt":             "/sensors/temp /sensors/light /link1 /link2 /empty",
		"rt=":            "/empty",
		"nothing=*":      "",
		"nothing":        "",

		// Lists, value by value.
		"rt=Type1":       "/link1",
		"rt=Type2":       "/link1 /link2",
		"rt=Type3":       "/link2",
		"rt=Type*":       "/link1 /link2",
		"rt=Type1 Type2": "",
		"rt=Type1 *":     "",
		"rt=ype2":        "",
		"rev=Type3":      "/link3",
		"rev=a":          "/spaces",
		"rev=b":          "/spaces",
		"rev=":           "",
		"rel=alternate":  "/t",
		"ct=0":           "/multi",
		"ct=41":          "/multi",
		"ct=4*":          "/sensors /multi",
		"ct=60":          "/multi",
		"ct=6":           "",

		// Everything else as a whole, and each of several.
		"foo=bar barley":  "/link3",
		"foo=bar":         "",
		"foo=bar2":        "/link3",
		"foo=bar*":        "/link3",
		"foo=barley":      "",
		"title=Sensor*":   "/sensors",
		"title=Index":     "",
		"title=":          "/empty",
		"title*=utf-8''x": "/a*",
		"hreflang=de":     "/multi",
		"type=text/plain": "/obs",

		// Flags.
		"obs":   "/obs",
		"obs=*": "/obs",
		"obs=":  "/obs",
		"obs=1": "",

		// Targets and contexts.
		"href=/link1":                  "/link1",
		"HREF=/link1":                  "/link1",
		"href=/link*":                  "/link1 /link2 /link3",
		"href=/sensors":                "/sensors",
		"href=/sensors*":               "/sensors /sensors/temp /sensors/light",
		"href=http*":                   "http://www.example.com/sensors/t123",
		"href=/a*":                     "/a*",
		"href=link1":                   "",
		"href=*":                       all,
		"href":                         all,
		"anchor=/sensors/temp":         "http://www.example.com/sensors/t123 /t",
		"anchor=/sensors/temp=x&rt=*":  "",
		"title=a*":                     "/a*",
		"sz=7":                         "/obs",
		"\u017fz=7":                    "", // a long s folds to s
		"":                             all,
		"=x":                           all,
		"rel=describedby":              "http://www.example.com/sensors/t123",
		"rel=*":                        "http://www.example.com/sensors/t123 /t",
		"anchor=/sensors*":             "http://www.example.com/sensors/t123 /t",
		"anchor=/sensors/temperature*": "",
	} {
		f := linkformat.ParseFilter(query)
		var got []string
		var selected []link
		for _, l := range links {
			if f.Match(l) {
				got = append(got, l.Target)
				selected = append(selected, l)
			}
		}
		if got := strings.Join(got, " "); got != want {
			t.Errorf("%q selects %q, want %q", query, got, want)
		}
		if got, want := string(f.Append(nil, links...)), string(linkformat.Append(nil, selected...)); got != want {
			t.Errorf("%q appends %s, want %s", query, got, want)
		}
	}
}

func TestParseFilter(t *testing.T) {
	for query, want := range map[string]linkformat.Filter{
		"rt=a":    {Name: "rt", Value: "a"},
		"rt=a*":   {Name: "rt", Value: "a", Prefix: true},
		"rt=*":    {Name: "rt", Prefix: true},
		"rt=**":   {Name: "rt", Value: "*", Prefix: true},
		"rt=":     {Name: "rt"},
		"rt=a=b*": {Name: "rt", Value: "a=b", Prefix: true},
		"obs":     {Name: "obs", Prefix: true},
	} {
		if got := linkformat.ParseFilter(query); got != want {
			t.Errorf("ParseFilter(%q) = %+v, want %+v", query, got, want)
		}
	}
}

func TestMatchAllocatesNothing(t *testing.T) {
	for _, query := range []string{"href=/sensors*", "rt=light-lux", "obs", "ct=0"} {
		f := linkformat.ParseFilter(query)
		matches := 0
		allocs := testing.AllocsPerRun(100, func() {
			for _, l := range sensorLinks {
				if f.Match(l) {
					matches++
				}
			}
		})
		if allocs != 0 {
			t.Errorf("%s: %v allocations, %d matches", query, allocs, matches)
		}
	}
}

func ExampleParse() {
	links, err := linkformat.Parse([]byte(`</sensors/temp>;rt="temperature-c";if="sensor",</led>;obs;ct=0`))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, l := range links {
		fmt.Println(l.Target)
		for _, a := range l.Attributes {
			fmt.Printf("  %s %q\n", a.Name, a.Value)
		}
	}
	// Output:
	// /sensors/temp
	//   rt "temperature-c"
	//   if "sensor"
	// /led
	//   obs ""
	//   ct "0"
}

func ExampleAppend() {
	text := linkformat.Append(nil,
		linkformat.Link{Target: "/temperature", Attributes: []linkformat.Attribute{
			{Name: "rt", Value: "temperature-c"}, {Name: "ct", Value: "0 50"}, {Name: "obs", Flag: true},
		}},
		linkformat.Link{Target: "/firmware", Attributes: []linkformat.Attribute{{Name: "sz", Value: "262144"}}},
	)
	fmt.Printf("%s\n", text)
	// Output: </temperature>;rt="temperature-c";ct="0 50";obs,</firmware>;sz=262144
}

func ExampleFilter() {
	links, err := linkformat.Parse([]byte(`</a>;rt="light switch",</b>;rt="lamp",</c>`))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s\n", linkformat.ParseFilter("rt=switch").Append(nil, links...))
	fmt.Printf("%s\n", linkformat.ParseFilter("rt=la*").Append(nil, links...))
	// Output:
	// </a>;rt="light switch"
	// </b>;rt="lamp"
}
