package main

import (
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
		"":                                    "takes a URI",
		"h/t --link pigeon":                   `--link "pigeon": say ethernet, wifi, 802.15.4, lora, nb-iot, none`,
		"h/t --sf 6":                          "--sf 6: say 7 to 12",
		"h/t --node both":                     "say client or server",
		"h/t --rate -1":                       "--rate -1",
		"h/t --current NaN":                   "--current NaN",
		"h/t --battery 0":                     "--battery 0",
		"h/t --awake 1s":                      "needs --every",
		"h/t --frame 20":                      "--frame 20",
		"h/t -m head":                         "-m head: say get",
		"h/t --answer-code 0.01":              "say a response code",
		"h/t --token-length 9":                "say 0 to 8",
		"coap://h:99999/":                     "port",
		"h/t -e " + strings.Repeat("x", 1025): "in blocks",
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
