package linkformat_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/motewire/coap/linkformat"
)

type link = linkformat.Link

func attributes(a ...linkformat.Attribute) []linkformat.Attribute { return a }

func value(name, v string) linkformat.Attribute {
	return linkformat.Attribute{Name: name, Value: v}
}

func flag(name string) linkformat.Attribute {
	return linkformat.Attribute{Name: name, Flag: true}
}

// RFC 6690 §5, the line breaks of the printed text left out, as they are not part of the
// format.
const sensors = `</sensors>;ct=40;title="Sensor Index",` +
	`</sensors/temp>;rt="temperature-c";if="sensor",` +
	`</sensors/light>;rt="light-lux";if="sensor",` +
	`<http://www.example.com/sensors/t123>;anchor="/sensors/temp";rel="describedby",` +
	`</t>;anchor="/sensors/temp";rel="alternate"`

var sensorLinks = []link{
	{"/sensors", attributes(value("ct", "40"), value("title", "Sensor Index"))},
	{"/sensors/temp", attributes(value("rt", "temperature-c"), value("if", "sensor"))},
	{"/sensors/light", attributes(value("rt", "light-lux"), value("if", "sensor"))},
	{"http://www.example.com/sensors/t123", attributes(value("anchor", "/sensors/temp"), value("rel", "describedby"))},
	{"/t", attributes(value("anchor", "/sensors/temp"), value("rel", "alternate"))},
}

var parseTests = []struct {
	name, text string
	want       []link
	again      string // what Append makes of want; "": text
}{
	{name: "RFC 6690 §5", text: sensors, want: sensorLinks},
	{name: "RFC 6690 §5: size", text: `</firmware/v2.1>;rt="firmware";sz=262144`,
		want: []link{{"/firmware/v2.1", attributes(value("rt", "firmware"), value("sz", "262144"))}}},
	{name: "RFC 6690 §3.3: large size", text: `</l>;sz=340282366920938463463374607431768211456`,
		want: []link{{"/l", attributes(value("sz", "340282366920938463463374607431768211456"))}}},
	{name: "RFC 6690 §2: href is no attribute", text: `</l>;href="/m";ct=0;HREF=x`, want: []link{{"/l", attributes(value("ct", "0"))}},
		again: `</l>;ct=0`},
	{name: "RFC 7641 §6: obs has no value", text: `</l>;obs="1";ct=0,</m>;OBS=no;obs`,
		want:  []link{{"/l", attributes(flag("obs"), value("ct", "0"))}, {"/m", attributes(flag("OBS"))}},
		again: `</l>;obs;ct=0,</m>;OBS`},
	{name: "nothing", text: "", want: nil},
	{name: "bare link", text: "</a>", want: []link{{"/a", nil}}},
	{name: "empty target", text: "<>,<>", want: []link{{}, {}}},
	{name: "flag", text: "</o>;obs", want: []link{{"/o", attributes(flag("obs"))}}},
	{name: "empty value", text: `</o>;title=""`, want: []link{{"/o", attributes(value("title", ""))}}},
	{name: "separators in a string", text: `</l>;obs;title="a,b;c=<d>"`,
		want: []link{{"/l", attributes(flag("obs"), value("title", "a,b;c=<d>"))}}},
	{name: "separators in a target", text: `</l,m;n="o">;obs`, want: []link{{`/l,m;n="o"`, attributes(flag("obs"))}}},
	{name: "escapes", text: `</l>;title="\"a\\\"b\\"`, want: []link{{"/l", attributes(value("title", `"a\"b\`))}}},
	{name: "needless escape", text: `</l>;title="a\bc"`, want: []link{{"/l", attributes(value("title", "abc"))}},
		again: `</l>;title="abc"`},
	{name: "one escape", text: `</l>;title="\"",</m>`, want: []link{{"/l", attributes(value("title", `"`))}, {"/m", nil}}},
	{name: "escaped control", text: "</l>;title=\"a\\\nb\tc\"", want: []link{{"/l", attributes(value("title", "a\nb\tc"))}}},
	{name: "UTF-8", text: `</l>;title="größe €"`, want: []link{{"/l", attributes(value("title", "größe €"))}}},
	{name: "title twice over", text: `</l>;title="size";title*=UTF-8'de'gr%C3%B6%c3%9fe;x*=utf-8''`,
		want: []link{{"/l", attributes(value("title", "size"), value("title*", "UTF-8'de'gr%C3%B6%c3%9fe"), value("x*", "utf-8''"))}}},
	{name: "lists", text: `</l>;rt="a b  c";ct="0 41";rev="x"`,
		want: []link{{"/l", attributes(value("rt", "a b  c"), value("ct", "0 41"), value("rev", "x"))}}},
	{name: "plain values", text: `</l>;rt=a;if=1;sz="12";ct="0";type=text/plain;hreflang="en";foo=!#$%&'()*+-./09:<=>?@AZ[]^_` + "`az{|}~",
		want: []link{{"/l", attributes(value("rt", "a"), value("if", "1"), value("sz", "12"), value("ct", "0"),
			value("type", "text/plain"), value("hreflang", "en"), value("foo", "!#$%&'()*+-./09:<=>?@AZ[]^_`az{|}~"))}},
		again: `</l>;rt="a";if="1";sz=12;ct=0;type="text/plain";hreflang=en;foo="!#$%&'()*+-./09:<=>?@AZ[]^_` + "`az{|}~\""},
	{name: "no cardinals", text: `</l>;sz="01";ct="-1";ep="";lt="4 "`,
		want: []link{{"/l", attributes(value("sz", "01"), value("ct", "-1"), value("ep", ""), value("lt", "4 "))}}},
	{name: "case of names", text: `</l>;RT="1";Sz=1;TITLE="2"`,
		want: []link{{"/l", attributes(value("RT", "1"), value("Sz", "1"), value("TITLE", "2"))}}},
	{name: "first of duplicates", text: `</l>;rt="a";sz=1;RT="b";hreflang=en;rt;sz=2;hreflang=de;x;x`,
		want:  []link{{"/l", attributes(value("rt", "a"), value("sz", "1"), value("hreflang", "en"), value("hreflang", "de"), flag("x"), flag("x"))}},
		again: `</l>;rt="a";sz=1;hreflang=en;hreflang=de;x;x`},
	// Captured from libcoap, its resource directory and aiocoap.
	{name: "libcoap", text: `</>;title="General Info";ct=0,</time>;if="clock";rt="ticks";title="Internal Clock";ct=0;obs,</async>;ct=0`,
		want: []link{{"/", attributes(value("title", "General Info"), value("ct", "0"))},
			{"/time", attributes(value("if", "clock"), value("rt", "ticks"), value("title", "Internal Clock"), value("ct", "0"), flag("obs"))},
			{"/async", attributes(value("ct", "0"))}}},
	{name: "libcoap RD", text: `</rd>;ins="default";rt="core.rd";ct=40,</rd/6e05-67a>;A=127.0.0.1:47582`,
		want: []link{{"/rd", attributes(value("ins", "default"), value("rt", "core.rd"), value("ct", "40"))},
			{"/rd/6e05-67a", attributes(value("A", "127.0.0.1:47582"))}},
		again: `</rd>;ins="default";rt="core.rd";ct=40,</rd/6e05-67a>;A="127.0.0.1:47582"`},
	{name: "aiocoap", text: `</.well-known/core>;ct="40",</a/b bü/c>,<https://christian.amsuess.com/tools/aiocoap/#version-0.4.17.post0>;rel="impl-info"`,
		want: []link{{"/.well-known/core", attributes(value("ct", "40"))}, {"/a/b bü/c", nil},
			{"https://christian.amsuess.com/tools/aiocoap/#version-0.4.17.post0", attributes(value("rel", "impl-info"))}},
		again: `</.well-known/core>;ct=40,</a/b bü/c>,<https://christian.amsuess.com/tools/aiocoap/#version-0.4.17.post0>;rel="impl-info"`},
}

func TestParse(t *testing.T) {
	for _, test := range parseTests {
		t.Run(test.name, func(t *testing.T) {
			got, err := linkformat.Parse([]byte(test.text))
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got  %+v\nwant %+v", got, test.want)
			}
		})
	}
}

func TestParseErrors(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       error
		offset     int
	}{
		{"no brackets", "/a", linkformat.ErrTarget, 0},
		{"white space first", " </a>", linkformat.ErrTarget, 0},
		{"captured", "<bad", linkformat.ErrTarget, 4},
		{"only the bracket", "<", linkformat.ErrTarget, 1},
		{"bracket within", "</a</b>", linkformat.ErrTarget, 3},
		{"control in the target", "</a\n>", linkformat.ErrTarget, 3},
		{"delete in the target", "</a\x7f>", linkformat.ErrTarget, 3},
		{"comma at the end", "</a>,", linkformat.ErrTarget, 5},
		{"two commas", "</a>,,</b>", linkformat.ErrTarget, 5},
		{"space after the comma", "</a>, </b>", linkformat.ErrTarget, 5},
		{"no comma", "</a></b>", linkformat.ErrSeparator, 4},
		{"space after the link", "</a> ;obs", linkformat.ErrSeparator, 4},
		{"space after the value", "</a>;ct=0 ", linkformat.ErrSeparator, 9},
		{"after the string", `</a>;rt="a"b`, linkformat.ErrSeparator, 11},
		{"string in a plain value", `</a>;rt=a"b"`, linkformat.ErrSeparator, 9},
		{"space in the name", "</a>;o bs", linkformat.ErrSeparator, 6},
		{"no name", "</a>;", linkformat.ErrName, 5},
		{"semicolon at the end", "</a>;obs;", linkformat.ErrName, 9},
		{"empty name", "</a>;=1", linkformat.ErrName, 5},
		{"space before the name", "</a>; obs", linkformat.ErrName, 5},
		{"asterisk alone", "</a>;*=utf-8''", linkformat.ErrName, 5},
		{"no value", "</a>;ct=", linkformat.ErrValue, 8},
		{"empty value", "</a>;ct=;obs", linkformat.ErrValue, 8},
		{"backslash in a plain value", `</a>;ct=\"`, linkformat.ErrValue, 8},
		{"UTF-8 in a plain value", "</a>;title=ö", linkformat.ErrValue, 11},
		{"ext-name without value", "</a>;title*", linkformat.ErrValue, 11},
		{"ext-value in quotes", `</a>;title*="utf-8''x"`, linkformat.ErrValue, 12},
		{"ext-value without charset", "</a>;title*=''x", linkformat.ErrValue, 12},
		{"ext-value without language", "</a>;title*=utf-8'x", linkformat.ErrValue, 12},
		{"ext-value of bad language", "</a>;title*=utf-8'e.n'x", linkformat.ErrValue, 12},
		{"ext-value of bad text", "</a>;title*=utf-8'en'x(", linkformat.ErrValue, 12},
		{"ext-value half encoded", "</a>;title*=utf-8'en'%4", linkformat.ErrValue, 12},
		{"ext-value encoded badly", "</a>;title*=utf-8'en'%4g", linkformat.ErrValue, 12},
		{"unterminated string", `</a>;rt="a`, linkformat.ErrString, 10},
		{"escaped end", `</a>;rt="a\"`, linkformat.ErrString, 12},
		{"escape at the end", `</a>;rt="a\`, linkformat.ErrString, 11},
		{"escaped UTF-8", `</a>;rt="\ö"`, linkformat.ErrString, 10},
		{"line break in a string", "</a>;rt=\"a\r\n b\"", linkformat.ErrString, 10},
		{"delete in a string", "</a>;rt=\"a\x7f\"", linkformat.ErrString, 10},
		{"not UTF-8", "</a>;rt=\"a\xff\"", linkformat.ErrUTF8, 10},
		{"not UTF-8 in the target", "</\xc3>", linkformat.ErrUTF8, 2},
		{"not UTF-8 before another error", "</a\n\xff", linkformat.ErrUTF8, 4},
		{"replacement character", "</\ufffd>,", linkformat.ErrTarget, 7},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := linkformat.Parse([]byte(test.text))
			if got != nil {
				t.Errorf("got %+v with the error", got)
			}
			var syntax *linkformat.SyntaxError
			if !errors.As(err, &syntax) || !errors.Is(err, test.want) || syntax.Offset != test.offset {
				t.Fatalf("error = %v, want %v at offset %d", err, test.want, test.offset)
			}
			if !strings.Contains(err.Error(), test.want.Error()) {
				t.Errorf("text = %q", err)
			}
		})
	}
}

// The links do not refer to the text, which the caller may use again.
func TestParseCopies(t *testing.T) {
	text := []byte(sensors)
	got, err := linkformat.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	clear(text)
	if !reflect.DeepEqual(got, sensorLinks) {
		t.Errorf("got %+v", got)
	}
}

// Allocations do not grow faster than the text, whatever it consists of.
func TestParseBounded(t *testing.T) {
	for _, unit := range []string{"<>,", "<>;a;a;a;a,", `<>;t="\"\"\"\"",`, `<>;rt;rt;rt;rt,`} {
		cost := func(n int) float64 {
			text := []byte(strings.TrimSuffix(strings.Repeat(unit, n), ","))
			return testing.AllocsPerRun(5, func() {
				if _, err := linkformat.Parse(text); err != nil {
					t.Fatal(err)
				}
			})
		}
		if few, many := cost(1000), cost(10000); many > 11*few {
			t.Errorf("%q: %v allocations for 1,000, %v for 10,000", unit, few, many)
		}
	}
}

func TestAttribute(t *testing.T) {
	l := link{"/a", attributes(value("hreflang", "en"), value("hreflang", "de"), flag("obs"))}
	if a, ok := l.Attribute("HREFLANG"); !ok || a.Value != "en" {
		t.Errorf("hreflang = %+v, %v", a, ok)
	}
	if a, ok := l.Attribute("obs"); !ok || !a.Flag {
		t.Errorf("obs = %+v, %v", a, ok)
	}
	if a, ok := l.Attribute("rt"); ok {
		t.Errorf("rt = %+v", a)
	}
}
