package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestCost(t *testing.T) {
	for name, line := range map[string]string{
		"get":      "localhost/temperature --answer 22.5 --answer-format text",
		"report":   "-m post -t json -e {\"v\":22.5} [2001:db8::1]/readings --link 802.15.4 --every 10m --awake 20ms",
		"observe":  "--observe --answer 22.5 localhost/t --link lora --sf 12 --node server --every 1h --battery 1000 --sleep 2",
		"separate": "-N --separate 192.0.2.1:9999/slow?x=1 --ipv4 --link ethernet --link nb-iot --keep-alive -A cbor -O 258,0x1a",
		"upload":   "-m put --size 200 -b 64 --token-length 0 192.0.2.1/f --link 802.15.4 --separate",
		"download": "--size 300 -b 128 --token-length 2 localhost/f --link nb-iot --answer-format octet -N",
		"bare":     "--link none --current 20 --token-length 0 --answer 223 192.0.2.1/temperature",
	} {
		got := command(t, "", append([]string{"cost"}, strings.Fields(line)...)...)
		if got.status != exitOK || got.stderr != "" {
			t.Errorf("%s: %+v", name, got)
		}
		golden(t, "cost/"+name, got.stdout)
	}
}

// What one reckons by hand: 24 bytes at 250 kbit/s and 20 mA.
func TestCostByHand(t *testing.T) {
	got := command(t, "", strings.Fields("cost --link none --rate 250 --current 20 --token-length 0 --answer 223 192.0.2.1/temperature")...)
	for _, want := range []string{
		"24 B x 8 / 250 kbit/s = 768 µs", "768 µs x 20.0 mA = 15.4 µC = 4.27 nAh",
	} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("no %q in\n%s", want, got.stdout)
		}
	}
}

// Bodies in blocks by hand, without token: a PUT of 200 bytes has 4 header, 2 Uri-Path, 3
// Block1, marker and 64 three times, then 8; each response 4 header and 3 Block1. A GET
// has 4 and 2, then 2 Block2 besides; responses 4, 5 ETag, 3 Block2, marker and 128.
func TestCostOfBlocksByHand(t *testing.T) {
	for line, want := range map[string]int{
		"-m put --size 200 -b 64": 3*(4+2+3+1+64) + (4 + 2 + 3 + 1 + 8) + 4*(4+3),
		"-m put --size 64 -b 64":  (4 + 2 + 1 + 64) + 4,
		"-m put --size 65 -b 64":  (4 + 2 + 3 + 1 + 64) + (4 + 2 + 3 + 1 + 1) + 2*(4+3),
		"--size 256 -b 128":       (4 + 2) + (4 + 2 + 2) + 2*(4+5+3+1+128),
		"--observe --size 129":    4 + 4 + 1 + 129 + 4, // one notification and its ACK
		"--observe --size 257 -b 128": (4 + 5 + 4 + 3 + 1 + 128) + 4 + // ETag, Observe, Block2
			(4 + 2 + 2) + (4 + 5 + 3 + 1 + 128) + (4 + 2 + 2) + (4 + 5 + 3 + 1 + 1),
		"-m fetch -e ab --size 20 -b 16": (4 + 2 + 1 + 2) + (4 + 2 + 2 + 1 + 2) + (4 + 5 + 3 + 1 + 16) + (4 + 5 + 3 + 1 + 4),
		"-m post --size 17 -b 16 --answer 12345678901234567": (4 + 2 + 3 + 1 + 16) + (4 + 3) + // Continue
			(4 + 2 + 3 + 1 + 1) + (4 + 5 + 3 + 2 + 1 + 16) + (4 + 2 + 2) + (4 + 5 + 3 + 1 + 1),
		// From NUM 16 on Block2 has two bytes.
		"--size 4112 -b 16": (4 + 2) + 15*(4+2+2) + 241*(4+2+3) + 16*(4+5+3+1+16) + 241*(4+5+4+1+16),
	} {
		got := command(t, "", strings.Fields("cost --link none --token-length 0 192.0.2.1/f "+line)...)
		if total := fmt.Sprintf("CoAP               %5d B\n", want); got.status != exitOK || !strings.Contains(got.stdout, total) {
			t.Errorf("%s: no %q in\n%s%s", line, total, got.stdout, got.stderr)
		}
	}
}

func TestCostPlot(t *testing.T) {
	file := filepath.Join(t.TempDir(), "cost.svg")
	got := command(t, "", "cost", "localhost/t", "--every", "10m", "--svg", file)
	bars := 0
	for _, element := range elementsOf(t, file) {
		if element == "rect" {
			bars++
		}
	}
	if got.status != exitOK || bars != 1+4*5*2 { // the ground, and four figures of five links and two protocols
		t.Errorf("%d bars, %+v", bars, got)
	}
}

func TestCostErrors(t *testing.T) {
	for line, want := range map[string]string{
		"":                         "takes a URI",
		"h/t --link pigeon":        `--link "pigeon": say ethernet, wifi, 802.15.4, lora, nb-iot, none`,
		"h/t --sf 6":               "--sf 6: say 7 to 12",
		"h/t --node both":          "say client or server",
		"h/t --rate -1":            "--rate -1",
		"h/t --current NaN":        "--current NaN",
		"h/t --battery 0":          "--battery 0",
		"h/t --awake 1s":           "needs --every",
		"h/t --frame 20":           "--frame 20",
		"h/t -m head":              "-m head: say get",
		"h/t --answer-code 0.01":   "say a response code",
		"h/t --token-length 9":     "say 0 to 8",
		"coap://h:99999/":          "port",
		"h/t -b 3,64":              "all blocks are reckoned",
		"h/t --svg -":              "--svg -: say a file",
		"h/t -b 63":                "say a block size",
		"h/t --size 1048577 -b 16": "1048577 bytes has 65537 blocks, of which 65536 are reckoned at most",
		"h/t --size 16777217":      "--size 16777217: say 16777216 at most",
		"h/t --size 5 --answer x":  "--answer and --size: say one of them",
		"h/t -m put --size 5 -e x": "-e and --size: say one of them",
	} {
		got := command(t, "", append([]string{"cost"}, strings.Fields(line)...)...)
		if got.status != exitUsage || !strings.Contains(got.stderr, want) || got.stdout != "" {
			t.Errorf("%.40s: %+v, want %q", line, got, want)
		}
	}
}

// The figures of a link can all be set.
func TestCostParameters(t *testing.T) {
	f := costFlags{bitRate: 1, transmit: 2, receive: 3, header: 0, room: 200, node: choice{value: "client"}, battery: 1}
	links, err := f.chosen()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		if !slices.Equal([]float64{l.UpRate, l.DownRate, l.Transmit, l.Receive, float64(l.Header), float64(l.Room)}, []float64{1e3, 1e3, 2e-3, 3e-3, 0, 200}) {
			t.Errorf("%+v", l)
		}
	}
}
