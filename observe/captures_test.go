package observe

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/motewire/coap/message"
)

// What other servers have sent to other clients where nothing overtakes anything,
// though some is lost or doubled: each state is newer than the one before by RFC 7641 §3.4, and what is repeated is
// not. See the README of the captures.
func TestCapturedNotifications(t *testing.T) {
	for scenario, want := range map[string]int{
		"s06": 14, "s07": 10, "s08": 9, "s09": 8, "s10": 16, "s16": 8, "s18": 3, "s30": 8, "s35": 11,
	} {
		files, err := filepath.Glob("../testdata/captures/" + scenario + "-*.jsonl")
		if err != nil || len(files) != 1 {
			t.Fatalf("%s: %v, %v", scenario, files, err)
		}
		t.Run(strings.TrimSuffix(filepath.Base(files[0]), ".jsonl"), func(t *testing.T) {
			data, err := os.ReadFile(files[0])
			if err != nil {
				t.Fatal(err)
			}
			if fresh := capturedStates(t, data); fresh != want {
				t.Errorf("%d fresh states, want %d", fresh, want)
			}
		})
	}
}

// capturedStates counts the fresh ones among the responses with an Observe option.
func capturedStates(t *testing.T, rows []byte) (fresh int) {
	seen := map[message.Token]*Freshness{}
	ids := map[message.ID]bool{} // of one server
	for line := range bytes.Lines(rows) {
		var row struct {
			Frame int
			Time  float64
			Raw   string
		}
		if err := json.Unmarshal(line, &row); err != nil {
			t.Fatal(err)
		}
		raw, err := hex.DecodeString(row.Raw)
		if err != nil {
			t.Fatal(err)
		}
		var v message.View
		if err := v.Parse(raw); err != nil {
			t.Fatalf("frame %d: %v", row.Frame, err)
		}
		sequence, ok := v.Observe()
		if v.Code().IsRequest() {
			delete(seen, v.Token()) // libcoap's client takes the same token each time
		}
		if !ok || !v.Code().IsSuccess() {
			continue
		}
		f := seen[v.Token()]
		if f == nil {
			f = new(Freshness)
			seen[v.Token()] = f
		}
		accepted := f.Accept(epoch.Add(time.Duration(row.Time*float64(time.Second))), sequence)
		if accepted == ids[v.ID()] {
			t.Errorf("frame %d: Observe %d, fresh %t, ID seen before %t", row.Frame, sequence, accepted, ids[v.ID()])
		}
		if ids[v.ID()] = true; accepted {
			fresh++
		}
	}
	return fresh
}
