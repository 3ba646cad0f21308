package problem_test

import (
	"encoding/hex"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/motewire/coap"
	"github.com/motewire/coap/coaptest"
	"github.com/motewire/coap/message"
	"github.com/motewire/coap/problem"
)

func TestMain(m *testing.M) { coaptest.Main(m) }

func unhexed(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

type details = problem.Details

var wireTests = []struct {
	name, hex string
	want      details
	again     string // what the encoder makes of want; "": hex
}{
	{"title", "a1 20 62 6869", details{Title: problem.Text{Text: "hi"}}, ""},
	{"title with language", "a1 20 d826 82 62656e 626869", details{Title: problem.Text{Text: "hi", Lang: "en"}}, ""},
	{"title with direction", "a1 20 d826 83 62656e 626869 f4", details{Title: problem.Text{Text: "hi", Lang: "en"}},
		"a1 20 d826 82 62656e 626869"},
	{"all standard entries", "a8 20 6174 21 6164 22 622f69 23 1884 24 66636f61703a2f 25 626672 26 f5 27 190801", details{
		Title: problem.Text{Text: "t"}, Detail: problem.Text{Text: "d"}, Instance: "/i", ResponseCode: message.NotFound,
		BaseURI: "coap:/", BaseLang: "fr", BaseRTL: true, Unprocessed: []message.OptionNumber{2049}}, ""},
	{"options", "a1 27 82 01 190801", details{Unprocessed: []message.OptionNumber{1, 2049}}, ""},
	{"no options", "a2 20 6174 27 80", details{Title: problem.Text{Text: "t"}}, "a1 20 6174"},
	{"entry that is no map", "a2 20 6174 01 02", details{Title: problem.Text{Text: "t"}, Registered: map[uint64][]byte{1: {2}}}, "-"},
	{"direction unknown", "a2 20 6174 26 f6", details{Title: problem.Text{Text: "t"}}, "a1 20 6174"},
	{"registered", "a1 01 a1 0102", details{Registered: map[uint64][]byte{1: {0xa1, 1, 2}}}, ""},
	{"by URI", "a1 63 613a62 a0", details{Custom: map[string][]byte{"a:b": {0xa0}}}, ""},
	{"unknown standard entry", "a2 20 6174 38ff 80", details{Title: problem.Text{Text: "t"}, Unknown: map[int64][]byte{-256: {0x80}}}, ""},
	{"nothing known", "a1 28 f6", details{Unknown: map[int64][]byte{-9: {0xf6}}}, ""},
	{"not in order", "a2 21 6164 20 6174", details{Title: problem.Text{Text: "t"}, Detail: problem.Text{Text: "d"}}, "a2 20 6174 21 6164"},
	{"indefinite length", "bf 20 6174 ff", details{Title: problem.Text{Text: "t"}}, "a1 20 6174"},
}

// RFC 9290 §2: a map with negative keys for the standard entries. §3: unknown ones are ignored,
// and kept: "it is strongly RECOMMENDED to retain the unrecognized entries".
func TestWire(t *testing.T) {
	for _, test := range wireTests {
		t.Run(test.name, func(t *testing.T) {
			var got details
			if err := got.UnmarshalBinary(unhexed(t, test.hex)); err != nil || !reflect.DeepEqual(got, test.want) {
				t.Fatalf("%+v, %v, want %+v", got, err, test.want)
			}
			if test.again == "-" { // read, not written
				return
			}
			if test.again == "" {
				test.again = test.hex
			}
			if b, err := test.want.MarshalBinary(); err != nil || string(b) != string(unhexed(t, test.again)) {
				t.Errorf("%x, %v, want %s", b, err, test.again)
			}
		})
	}
}

var full = details{
	Title:  problem.Text{Text: "title of the error", Lang: "en"},
	Detail: problem.Text{Text: "detailed information"}, Instance: "coaps://pd.example/FA317434",
	ResponseCode: message.InternalServerError, BaseURI: "coap://h/", BaseLang: "de", BaseRTL: true,
	Registered: map[uint64][]byte{0: {0xa0}, 77: {0xa1, 1, 2}},
	Custom:     map[string][]byte{"tag:3gpp.org,2022-03:TS29112": {0xa0}},
}

func TestRoundTrip(t *testing.T) {
	b, err := full.MarshalBinary()
	var got details
	if err != nil || got.UnmarshalBinary(b) != nil || !reflect.DeepEqual(got, full) {
		t.Fatalf("%+v, %v", got, err)
	}
	for range 10 {
		if again, _ := full.MarshalBinary(); string(again) != string(b) {
			t.Errorf("%x and %x", b, again)
		}
	}
}

func TestMalformed(t *testing.T) {
	for name, text := range map[string]string{
		"empty": "", "no map": "80", "null": "f6", "truncated": "a1 20", "trailer": "a0 00", "duplicate": "a2 20 6174 20 6175",
		"title a number": "a1 20 01", "title null": "a1 20 f6", "title bytes": "a1 20 4174", "title not UTF-8": "a1 20 61ff",
		"title another tag": "a1 20 d825 82 62656e 626869", "title without text": "a1 20 d826 81 62656e", "language a number": "a1 20 d826 82 01 626869",
		"code above a byte": "a1 23 190100", "code negative": "a1 23 20", "instance null": "a1 22 f6", "direction a number": "a1 26 01",
		"key an array": "a1 80 00", "key bytes": "a1 4161 a0", "key true": "a1 f5 a0", "no entry": "a0", "option a text": "a1 27 6161", "option negative": "a1 27 8120", "option number too large": "a1 27 1a00010000",
		"deep": "a1 01 a1 00" + strings.Repeat("81", 20) + "00", "long array": "9b ffffffffffffffff", "long map": "bb ffffffffffffffff",
	} {
		got := details{BaseRTL: true}
		if err := got.UnmarshalBinary(unhexed(t, text)); !errors.Is(err, problem.ErrMalformed) || !reflect.DeepEqual(got, details{BaseRTL: true}) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestMarshalRefuses(t *testing.T) {
	for name, d := range map[string]details{
		"nothing": {}, "not UTF-8": {Instance: "\xff"}, "no response": {ResponseCode: message.GET}, "no map": {Registered: map[uint64][]byte{1: {1}}},
		"known entry": {Unknown: map[int64][]byte{-8: {1}}}, "registered entry": {Unknown: map[int64][]byte{1: {0xa0}}}, "no unknown item": {Unknown: map[int64][]byte{-9: nil}},
		"no item": {Custom: map[string][]byte{"a:b": nil}}, "two items": {Custom: map[string][]byte{"a:b": {0xa0, 0xa0}}},
	} {
		if b, err := d.MarshalBinary(); err == nil {
			t.Errorf("%s: %x", name, b)
		}
	}
}

// A server says what is wrong, a client reads it. RFC 9290 §2: "Generators MUST use the same
// response code here as in the actual CoAP response".
func TestWriteAndOf(t *testing.T) {
	mux := coap.NewMux()
	mux.HandleFunc("GET /full", func(w coap.ResponseWriter, _ *coap.Request) {
		w.WriteString("dropped")
		if err := problem.Write(w, message.Conflict, details{Title: full.Title, ResponseCode: message.NotFound}); err != nil {
			t.Error(err)
		}
	})
	mux.HandleFunc("GET /large", func(w coap.ResponseWriter, _ *coap.Request) {
		problem.Write(w, message.Conflict, details{Detail: problem.Text{Text: strings.Repeat("x", 3000)}})
	})
	mux.HandleFunc("GET /wrong", func(w coap.ResponseWriter, _ *coap.Request) {
		if problem.Write(w, message.Conflict, details{Instance: "\xff"}) == nil {
			t.Error("no error")
		}
	})
	mux.HandleFunc("GET /broken", func(w coap.ResponseWriter, _ *coap.Request) {
		w.SetCode(message.Conflict)
		w.SetContentFormat(message.AppProblem)
		w.WriteString("{}")
	})
	coaptest.Run(t, func(t *testing.T) {
		s := coaptest.NewServer(mux)
		defer s.Close()
		read := func(path string) (details, error) {
			resp, err := s.Client().Get(t.Context(), s.URL+path)
			if err != nil || resp.Code != message.Conflict {
				t.Fatalf("%s: %v, %v", path, resp, err)
			}
			return problem.Of(resp)
		}
		if d, err := read("/full"); err != nil || d.Title != full.Title || d.ResponseCode != message.Conflict {
			t.Errorf("%+v, %v", d, err)
		}
		if d, err := read("/large"); err != nil || len(d.Detail.Text) != 3000 {
			t.Errorf("%d bytes, %v", len(d.Detail.Text), err)
		}
		if _, err := read("/wrong"); err != problem.ErrNone {
			t.Error(err)
		}
		if _, err := read("/broken"); !errors.Is(err, problem.ErrMalformed) {
			t.Error(err)
		}
	})
}

// What is read is written again so that it reads the same; the rest is ErrMalformed.
func FuzzUnmarshal(f *testing.F) {
	for _, test := range wireTests {
		f.Add(unhexed(f, test.hex))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var d, again details
		if err := d.UnmarshalBinary(b); err != nil {
			if !errors.Is(err, problem.ErrMalformed) {
				t.Error(err)
			}
			return
		}
		out, err := d.MarshalBinary()
		if err != nil { // read leniently: a code of no response, an entry that is no map, nothing that is known
			return
		}
		if again.UnmarshalBinary(out) != nil || !reflect.DeepEqual(d, again) {
			t.Errorf("%x: %+v, %v", b, again, err)
		}
	})
}
