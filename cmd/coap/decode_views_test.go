package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gopacket/gopacket/layers"

	"github.com/motewire/coap/cmd/coap/ladder"
	"github.com/motewire/coap/message"
)

// Captures with something of everything: methods, notifications, blocks, losses,
// duplicates, a group, answers without token, OSCORE.
var drawn = []string{
	"s05-basic-coapsimple-nodecoap", "s08-observe-californium-aiocoap", "s13-block1block2-aiocoap-californium",
	"s15-loss-libcoap-aiocoap", "s16-loss-aiocoap-californium", "s18-dup-libcoap-libcoap", "s19-multicast-gocoap-libcoap",
	"s22-qblock-libcoap-libcoap", "s30-blockobserve-aiocoap-aiocoap",
}

func TestLadders(t *testing.T) {
	for _, name := range drawn {
		got := command(t, "", "decode", "--ladder", "--stats", "-f", filepath.Join(captures, name+".pcap"))
		if got.status != exitOK {
			t.Errorf("%s: %+v", name, got)
		}
		golden(t, "ladder/"+name, got.stdout)
	}
}

// Each message of each capture has one arrow in the ladder and one in the picture.
func TestEveryCaptureIsDrawn(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(captures, "*.pcap"))
	if err != nil || len(files) < 30 {
		t.Fatalf("%d captures, %v", len(files), err)
	}
	for _, file := range files {
		picture := filepath.Join(t.TempDir(), "ladder.svg")
		got := command(t, "", "decode", "--ladder", "--svg", picture, "-f", file)
		var messages int
		if _, err := fmt.Sscanf(got.stderr, "coap: %d messages", &messages); err != nil {
			t.Fatalf("%s: %+v", file, got)
		}
		if arrows := strings.Count(got.stdout, "▶│") + strings.Count(got.stdout, "│◀"); arrows != messages {
			t.Errorf("%s: %d arrows for %d messages", file, arrows, messages)
		}
		paths := 0
		for _, element := range elementsOf(t, picture) {
			if element == "path" {
				paths++
			}
		}
		if paths != messages {
			t.Errorf("%s: %d arrow heads for %d messages", file, paths, messages)
		}
	}
}

// elementsOf returns the names of the elements of an XML file.
func elementsOf(t *testing.T, file string) (names []string) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	d := xml.NewDecoder(f)
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return names
		} else if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if e, ok := token.(xml.StartElement); ok {
			names = append(names, e.Name.Local)
		}
	}
}

// A ladder is as wide as the terminal allows.
func TestLadderWidth(t *testing.T) {
	for columns, want := range map[int]int{0: 0, 40: 40, 80: 40, 120: 65, 155: 100, 300: 100} {
		if got := ladderWidth(columns); got != want {
			t.Errorf("%d columns: %d, want %d", columns, got, want)
		}
	}
	var stdout, stderr bytes.Buffer // whose width nobody knows: 80
	c := &cli{stdout: &stdout, stderr: &stderr, stdoutTerminal: true, color: colorNever, getenv: os.Getenv}
	if status := c.run(t.Context(), []string{"decode", "--ladder", "-f", filepath.Join(captures, "s15-loss-libcoap-aiocoap.pcap")}); status != exitOK {
		t.Fatal(status, &stderr)
	}
	for line := range strings.Lines(stdout.String()) {
		if _, rest, ok := strings.Cut(line, "│"); ok {
			if arrow, _, _ := strings.Cut(rest, "│"); utf8.RuneCountInString(arrow) != 40 {
				t.Errorf("%q", line)
			}
		}
	}
}

// A capture that still grows is drawn message by message.
func TestLadderOfAPipe(t *testing.T) {
	file, err := os.ReadFile(filepath.Join(captures, "s08-observe-californium-aiocoap.pcap"))
	if err != nil {
		t.Fatal(err)
	}
	got := command(t, string(file), "decode", "--ladder")
	golden(t, "ladder/live", got.stdout)
}

// The figures of a capture as one object are those of the tables.
func TestStatsAsJSON(t *testing.T) {
	file := filepath.Join(captures, "s15-loss-libcoap-aiocoap.pcap")
	golden(t, "ladder/stats-json", command(t, "", "decode", "--stats", "--json", "-f", file).stdout)
	got := command(t, pcapFile(t, layers.LinkTypeRaw, 0), "decode", "--stats", "--json")
	if want := `"requests":0,"unanswered":0,"confirmable":0,"retransmissions":0,"retransmission_rate":0,"duplicates":0}`; !strings.Contains(got.stdout, want) {
		t.Errorf("%+v", got)
	}
}

// A capture that was cut off has its ladder and its figures, up to the cut.
func TestLadderOfADamagedCapture(t *testing.T) {
	file, err := os.ReadFile(filepath.Join(captures, "s15-loss-libcoap-aiocoap.pcap"))
	if err != nil {
		t.Fatal(err)
	}
	cut := filepath.Join(t.TempDir(), "cut.pcap")
	if err := os.WriteFile(cut, file[:3000], 0o666); err != nil {
		t.Fatal(err)
	}
	got := command(t, "", "decode", "--ladder", "--stats", "-f", cut)
	if got.status != exitIO || strings.Count(got.stdout, "▶│")+strings.Count(got.stdout, "│◀") != 37 ||
		!strings.Contains(got.stdout, "37   1202          in all") || !strings.HasSuffix(got.stderr, "in the middle of frame 38\n") {
		t.Errorf("%+v", got)
	}
}

// An endlessPipe is an input that stays open when all of it has been read; then end is
// called.
type endlessPipe struct {
	io.Reader
	end  func()
	open chan struct{}
}

func (p *endlessPipe) Read(b []byte) (int, error) {
	n, err := p.Reader.Read(b)
	if err == nil {
		return n, nil
	}
	p.end()
	<-p.open
	return 0, io.EOF
}

// Who follows a capture that grows and interrupts it gets what is known at the end.
func TestAnInterruptShowsTheStats(t *testing.T) {
	file, err := os.ReadFile(filepath.Join(captures, "s15-loss-libcoap-aiocoap.pcap"))
	if err != nil {
		t.Fatal(err)
	}
	picture := filepath.Join(t.TempDir(), "ladder.svg")
	ctx, interrupt := context.WithCancel(t.Context())
	in := &endlessPipe{bytes.NewReader(file), interrupt, make(chan struct{})}
	defer close(in.open)
	var stdout, stderr bytes.Buffer
	status := run(ctx, []string{"decode", "--ladder", "--stats", "--svg", picture, "-"}, in, &stdout, &stderr)
	if status != exitInterrupted || !strings.Contains(stdout.String(), "63   4828          in all") ||
		stderr.String() != "coap: 63 messages, 0 of them malformed\n" {
		t.Errorf("status %d, %s%s", status, &stdout, &stderr)
	}
	if len(elementsOf(t, picture)) == 0 {
		t.Error("no picture")
	}
}

func TestViewErrors(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"--ladder", "40000001"}, "take a capture file, not hex"},
		{[]string{"--svg", "x.svg", "40000001"}, "take a capture file, not hex"},
		{[]string{"--ladder", "--json", "40000001"}, "say one of"},
		{[]string{"--svg", "-", "-f", "x"}, "--svg -: say a file"},
		{[]string{"--map", "--stats", "40000001"}, "say one of"},
		{[]string{"--svg", filepath.Join(t.TempDir(), "none", "x.svg"), "-f", filepath.Join(captures, drawn[0]+".pcap")}, "none"},
	} {
		got := command(t, "", append([]string{"decode"}, tt.args...)...)
		if got.status == exitOK || !strings.Contains(got.stderr, tt.want) {
			t.Errorf("%q: %+v", tt.args, got)
		}
	}
}

// The byte map for reading, without and with colours.
func TestByteMap(t *testing.T) {
	const input = `
44011234deadbeefb474656d7060ff6869              # GET
6245 1234 abcd 420102 813c ff a16b74656d706572617475726516   # CBOR behind an ETag
4101 1234 01 e80017 0102030405060708 edfbb803 0123456789abcdef0123456789abcdef   # extended deltas and length
4101 1234 01 73010203 a0   # an illegal length, an empty Accept
70001234
49011234                                   # token length 9
40011234b474656d70bd00                     # cut inside an option
40011234b47465                             # cut inside a value
40201234b161ff62                           # class 1
40011234f100                               # delta 15
40011234b161ff                             # a marker before nothing
6401                                       # cut inside the header
8001123400                                 # version 2
`
	golden(t, "decode/map", command(t, input, "decode", "--map").stdout)
	colored := command(t, input, "decode", "--map", "--color", "always").stdout
	golden(t, "decode/map-color", strings.ReplaceAll(colored, "\x1b", "<ESC>"))
	if got := withoutColors(colored); got != command(t, input, "decode", "--map").stdout {
		t.Errorf("colours change the text: %s", got)
	}
}

// Each hostile datagram that is malformed has one mark, at the byte that the codec names.
func TestByteMapOfBadInputs(t *testing.T) {
	files, err := filepath.Glob("../../testdata/badinputs/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		got := command(t, "", "decode", "--map", "-f", file)
		for _, one := range strings.Split(got.stdout, "malformed: ")[1:] {
			at := strings.TrimSpace(one[strings.Index(one, " at byte ")+len(" at byte ") : strings.Index(one, "\n")])
			if strings.Count(one, "^^ byte "+at) != 1 || strings.Count(one, "^^") != 1 {
				t.Errorf("%s: marks of byte %s:\n%s", file, at, one)
			}
		}
	}
}

// Fields cover a datagram without a gap, whatever is in it, and a message's fields are
// what the codec reads.
func FuzzFields(f *testing.F) {
	for _, seed := range []string{"", "44011234deadbeefb474656d7060ff6869", "40011234bd00", "40011234e1", "6401", "40011234f1"} {
		b, _ := hex.DecodeString(seed)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		next, options := 0, 0
		var payload []byte
		for _, field := range fieldsOf(raw) {
			if field.start != next || field.end <= field.start {
				t.Fatalf("%x: a field from %d to %d behind byte %d", raw, field.start, field.end, next)
			}
			next = field.end
			switch field.part {
			case optionHeadPart:
				options++
			case payloadPart:
				payload = raw[field.start:field.end]
			}
			if !printable([]byte(field.text)) {
				t.Fatalf("%x: %q", raw, field.text)
			}
		}
		if next != len(raw) {
			t.Fatalf("%x: fields end at %d", raw, next)
		}
		var v message.View
		if v.Parse(raw) != nil {
			return
		}
		for range v.Options() {
			options--
		}
		if options != 0 || string(payload) != string(v.Payload()) {
			t.Errorf("%x: %d options too many, payload %x", raw, options, payload)
		}
	})
}

// A capture can't upset a terminal.
func FuzzLadder(f *testing.F) {
	f.Add([]byte("\x44\x01\x12\x34\xde\xad\xbe\xef\xb4temp"), []byte("\x64\x45\x12\x34\xde\xad\xbe\xefx"))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		var tracked ladder.Tracker
		tracked.Add(ladder.Datagram{Frame: 1, Raw: first})
		tracked.Add(ladder.Datagram{Frame: 2, Raw: second})
		var b strings.Builder
		if err := (ladder.Style{}).WriteText(&b, tracked.Conversations); err != nil || !printable([]byte(b.String())) {
			t.Errorf("%x, %x: %q", first, second, b.String())
		}
	})
}
