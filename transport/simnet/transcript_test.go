package simnet_test

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/motewire/coap/transport"
	"github.com/motewire/coap/transport/simnet"
)

var update = flag.Bool("update", false, "rewrite the transcripts in testdata")

var rough = simnet.Link{
	Loss: 0.15, Duplicate: 0.1, Reorder: 0.2,
	Delay: 20 * time.Millisecond, Jitter: 5 * time.Millisecond, HoldBack: 30 * time.Millisecond,
	MTU: 8,
}

// scenario runs clients that all send at the same instants to one server, which echoes,
// and returns what became of each datagram. Nothing in it fixes which goroutine runs first.
func scenario(t *testing.T, seed uint64, clients int) []simnet.Record {
	t.Helper()
	var records []simnet.Record
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New(seed)
		n.SetDefault(rough)
		n.Tap(func(r simnet.Record) { records = append(records, r) })
		server := listen(t, n, "192.0.2.100:5683")
		go echo(server)
		for i := range clients {
			c := listen(t, n, fmt.Sprintf("192.0.2.%d:40000", i+1))
			in := collect(c)
			go func() {
				for k := range 6 {
					runtime.Gosched()
					send(t, c, server.LocalAddr(), strings.Repeat("x", 2*k))
					time.Sleep(10 * time.Millisecond)
				}
				in.settle(t, c)
			}()
		}
		time.Sleep(2 * time.Hour)
		server.Close()
	})
	slices.SortStableFunc(records, simnet.Record.Compare)
	return records
}

// echo answers each datagram with itself until c is closed.
func echo(c *simnet.Conn) {
	p := make([]transport.Packet, 4)
	for i := range p {
		p[i].Buf = make([]byte, 64)
	}
	for {
		n, err := c.ReadBatch(p)
		if err != nil {
			return
		}
		c.WriteBatch(p[:n])
	}
}

func transcript(records []simnet.Record) string {
	var b strings.Builder
	for _, r := range records {
		fmt.Fprintln(&b, r)
	}
	return b.String()
}

// The same seed gives the same transcript in every run and on every machine; the file
// pins it.
func TestTranscript(t *testing.T) {
	got := transcript(scenario(t, 42, 2))
	file := filepath.Join("testdata", "transcript.txt")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("transcript is not that of %s:\n%s", file, got)
	}
}

func TestSameSeedSameTranscript(t *testing.T) {
	first := transcript(scenario(t, 1, 20))
	for range 10 {
		if again := transcript(scenario(t, 1, 20)); again != first {
			t.Fatalf("transcripts of one seed differ:\n%s\n%s", first, again)
		}
	}
	if transcript(scenario(t, 2, 20)) == first {
		t.Error("two seeds have the same transcript")
	}
}

// What is on one link does not change the fates on another.
func TestLinksAreIndependent(t *testing.T) {
	fates := func(records []simnet.Record) string {
		records = slices.DeleteFunc(records, func(r simnet.Record) bool {
			return r.From.String() != "192.0.2.1:40000"
		})
		return transcript(records)
	}
	if alone, crowd := fates(scenario(t, 5, 1)), fates(scenario(t, 5, 9)); alone != crowd {
		t.Errorf("alone:\n%s\nin a crowd:\n%s", alone, crowd)
	}
}

// Every datagram has one record, a duplicated one two.
func TestRecordsAreComplete(t *testing.T) {
	seen := make(map[string]int)
	copies := 0
	for _, r := range scenario(t, 3, 10) {
		if r.From.Port() != 40000 {
			continue
		}
		if r.Copy {
			copies++
			continue
		}
		seen[fmt.Sprint(r.From, r.Seq)]++
		if wantLong := len(r.Data) > rough.MTU; (r.Fate == simnet.TooLong) != wantLong {
			t.Errorf("%d bytes: %v", len(r.Data), r)
		}
	}
	if len(seen) != 60 || copies == 0 {
		t.Errorf("%d datagrams and %d copies, want 60 and some", len(seen), copies)
	}
	for id, count := range seen {
		if count != 1 {
			t.Errorf("%s has %d records", id, count)
		}
	}
}

// A tap may use the network, and several are called in the order they were added.
func TestTapUsesNetwork(t *testing.T) {
	twoHosts(t, simnet.Link{}, func(t *testing.T, n *simnet.Network, a, b *simnet.Conn) {
		var order []string
		n.Tap(func(r simnet.Record) {
			order = append(order, "first "+string(r.Data))
			if string(r.Data) == "x" {
				mustSend(t, a, b.LocalAddr(), "from the tap")
				n.SetDefault(simnet.Link{Loss: 1})
			}
		})
		n.Tap(func(r simnet.Record) { order = append(order, "second "+string(r.Data)) })
		mustSend(t, a, b.LocalAddr(), "x")
		if got, want := fmt.Sprint(order), "[first x second x first from the tap second from the tap]"; got != want {
			t.Errorf("taps = %v, want %v", got, want)
		}
		mustSend(t, a, b.LocalAddr(), "y")
		in := collect(b)
		if got, want := fmt.Sprint(in.settle(t, b).data), "[x from the tap]"; got != want {
			t.Errorf("received %v, want %v", got, want)
		}
	})
}

// A tap that ends its goroutine, as t.FailNow does, leaves the network in order.
func TestTapEndsGoroutine(t *testing.T) {
	twoHosts(t, simnet.Link{}, func(t *testing.T, n *simnet.Network, a, b *simnet.Conn) {
		calls := 0
		n.Tap(func(simnet.Record) {
			if calls++; calls == 1 {
				runtime.Goexit()
			}
		})
		done := make(chan struct{})
		go func() {
			defer close(done)
			mustSend(t, a, b.LocalAddr(), "1")
		}()
		<-done
		mustSend(t, a, b.LocalAddr(), "2")
		if calls != 2 {
			t.Errorf("%d calls, want 2", calls)
		}
	})
}

func TestRecordString(t *testing.T) {
	twoHosts(t, simnet.Link{Duplicate: 1, Delay: 1500 * time.Microsecond}, func(t *testing.T, n *simnet.Network, a, b *simnet.Conn) {
		if err := b.JoinGroup(allNodes4, nil); err != nil {
			t.Fatal(err)
		}
		var got []simnet.Record
		n.Tap(func(r simnet.Record) { got = append(got, r) })
		mustSend(t, a, b.LocalAddr(), "abc")
		time.Sleep(time.Second)
		n.SetDefault(simnet.Link{Loss: 1})
		mustSend(t, a, b.LocalAddr(), "")
		n.SetDefault(simnet.Link{})
		mustSend(t, a, netip.MustParseAddrPort("224.0.1.187:2"), "abcd")
		want := `00:00:00.001500 192.0.2.1:1 > 192.0.2.2:2 #0, 3 bytes, delivered after 1.5ms
00:00:00.001500 192.0.2.1:1 > 192.0.2.2:2 #0, 3 bytes, delivered after 1.5ms, copy
00:00:01.000000 192.0.2.1:1 > 192.0.2.2:2 #1, 0 bytes, lost
00:00:01.000000 192.0.2.1:1 > 192.0.2.2:2 (224.0.1.187:2) #2, 4 bytes, delivered
`
		if got := transcript(got); got != want {
			t.Errorf("records:\n%swant:\n%s", got, want)
		}
	})
	if got, want := fmt.Sprint(simnet.Cut, simnet.Overflow, simnet.Fate(99)), "cut overflow Fate(99)"; got != want {
		t.Errorf("fates = %q, want %q", got, want)
	}
}
