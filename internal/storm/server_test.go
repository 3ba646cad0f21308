package storm

import (
	"bytes"
	"flag"
	"io"
	"net/netip"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/coaptest"
)

var (
	datagrams = flag.Int("datagrams", 0, "how many hostile datagrams a server and a client take each; 0: 100,000, with -short 20,000")
	stormSeed = flag.Uint64("seed", 1, "of the hostile datagrams")
)

// The server's limits, so low that a storm reaches them.
var stormLimits = coap.Limits{
	DedupBytes: 256 << 10, BodyBytes: 8 << 10, Transfers: 16, TransfersPerPeer: 3, TransferBytes: 128 << 10, TransferBytesPerPeer: 16 << 10,
	Observers: 32, ObserversPerPeer: 4, Handlers: 100,
}

var stormGroup = netip.MustParseAddrPort("224.0.1.187:5683")

// A victim is a server with resources of all kinds.
type victim struct {
	*coaptest.Server
	number *coap.State[int]
	page   coap.Subject
}

var stormBody = bytes.Repeat([]byte("0123456789abcdef"), 180) // three blocks

func newVictim() *victim {
	v := &victim{number: coap.NewState(0)}
	mux := coap.NewMux()
	often := coap.Notifications(coap.NotifyPolicy{Every: 3})
	mux.HandleFunc("/hello", func(w coap.ResponseWriter, _ *coap.Request) { w.WriteString("hello") }, coap.Multicast())
	mux.HandleFunc("/slow", func(_ coap.ResponseWriter, r *coap.Request) {
		select {
		case <-r.Context().Done():
		case <-time.After(time.Second):
		}
	})
	mux.HandleFunc("/detached", func(w coap.ResponseWriter, _ *coap.Request) {
		later := w.Detach()
		time.AfterFunc(time.Second, func() { later.Send() })
	})
	mux.HandleFunc("GET /body", func(w coap.ResponseWriter, _ *coap.Request) { w.Write(stormBody) })
	echo := func(w coap.ResponseWriter, r *coap.Request) { w.Write(r.Payload()) }
	mux.HandleFunc("PUT /body", echo)
	mux.HandleFunc("POST /body", echo)
	mux.HandleFunc("FETCH /body", echo)
	mux.HandleFunc("PUT /stream", func(_ coap.ResponseWriter, r *coap.Request) { io.Copy(io.Discard, r.BodyReader()) }, coap.StreamBody())
	mux.Handle("GET /number", v.number, often)
	mux.HandleFunc("GET /page", func(w coap.ResponseWriter, _ *coap.Request) { w.Write(stormBody) }, coap.Observable(&v.page), often)
	v.Server = coaptest.NewUnstartedServer(mux)
	v.Config.Groups = []coap.Group{{Addr: stormGroup.Addr()}}
	v.Config.Limits = stormLimits
	v.Config.NotifyInterval = 200 * time.Millisecond
	v.Start()
	return v
}

func (v *victim) change() {
	v.number.Set(v.number.Get() + 1)
	v.page.Notify()
}

// epochBursts is after how many bursts all lifetimes pass, and everything must be forgotten.
const epochBursts = 256

// A server under a storm answers what is to be answered, is silent where RFC 7252 wants
// silence, keeps its limits, serves others in as many round trips as without, and has
// forgotten everything when the lifetimes are over.
func TestStormServer(t *testing.T) {
	coaptest.Run(t, func(t *testing.T) {
		v := newVictim()
		defer v.Close()
		// Who behaves well is 10 ms away.
		honest := newHonest(v)
		defer honest.client.Close()
		var attackers []*attacker
		for i := range uint64(3) {
			a := newAttacker(t, v, *stormSeed+i)
			defer a.close()
			attackers = append(attackers, a)
		}
		before := heap()
		for sent, bursts := 0, 0; sent < enough() && !t.Failed(); {
			honest.begin(t, v.URL)
			for range epochBursts {
				a := attackers[bursts%len(attackers)]
				sent += a.burst(v.Addr)
				time.Sleep(50 * time.Millisecond) // a handler may hold the reader up before it is known to be slow
				a.check()
				if bursts++; bursts%20 == 0 {
					v.change()
				}
				checkLimits(t, v.Config.Stats())
			}
			honest.end(t)
			if grown := heap() - before; grown > 16<<20 {
				t.Errorf("the heap is %d bytes larger in a storm", grown)
			}
			v.settle(t)
			for _, a := range attackers {
				a.forget()
			}
		}
		if grown := heap() - before; grown > 4<<20 {
			t.Errorf("the heap is %d bytes larger", grown)
		}
		n := v.Config.Stats()
		checkReached(t, &n)
		if uint64(honest.late) > n.SlowHandlers { // the first request of a slow route holds the reader up
			t.Errorf("%d requests of others took longer than their round trips, %d handlers were found slow", honest.late, n.SlowHandlers)
		}
		if honest.resets > 0 {
			t.Errorf("%d requests of others were reset", honest.resets)
		}
		t.Logf("%d requests of others; %+v", honest.done, n)
	})
}

// settle lets the lifetimes pass: every observer misses a Confirmable notification.
func (v *victim) settle(t *testing.T) {
	t.Helper()
	for range 5 {
		v.change()
		time.Sleep(5 * time.Minute)
	}
	synctest.Wait()
	n := v.Config.Stats()
	m, u, r := n.Messages, n.Uploads, n.Responses
	if n.HandlersAway != 0 || m.PendingRequests != 0 || m.OpenExchanges != 0 || m.Remembered != 0 || m.Peers != 0 || n.Observations.Observers != 0 ||
		u.Transfers != 0 || u.TransferBytes != 0 || u.Finished != 0 || r.Snapshots != 0 || r.SnapshotBytes != 0 {
		t.Errorf("left without load: %+v", n)
	}
}

// checkLimits: nothing exceeds its bound.
func checkLimits(t *testing.T, n coap.Stats) {
	t.Helper()
	l := stormLimits
	for _, table := range []struct {
		name       string
		held, most int
	}{
		{"RememberedBytes", n.Messages.RememberedBytes, l.DedupBytes * 9 / 8},
		{"Transfers", n.Uploads.Transfers, l.Transfers}, {"TransferBytes", n.Uploads.TransferBytes, l.TransferBytes},
		{"SnapshotBytes", n.Responses.SnapshotBytes, l.TransferBytes}, {"Snapshots", n.Responses.Snapshots, l.Transfers},
		{"Observers", n.Observations.Observers, l.Observers}, {"HandlersAway", int(n.HandlersAway), l.Handlers},
	} {
		if table.held > table.most {
			t.Errorf("%s is %d, at most %d", table.name, table.held, table.most)
		}
	}
}

// enough returns how many datagrams to send.
func enough() int {
	switch {
	case *datagrams > 0:
		return *datagrams
	case testing.Short():
		return 20_000
	}
	return telling
}

// telling is how many datagrams a storm needs to meet all that it was made for.
const telling = 100_000

// checkReached: the storm met what it was made for.
func checkReached(t *testing.T, n *coap.Stats) {
	t.Helper()
	if enough() < telling {
		return
	}
	m := &n.Messages
	for name, count := range map[string]uint64{
		"malformed": m.Malformed, "pings": m.Pings, "duplicates": m.DuplicatesConfirmable, "Non-confirmable duplicates": m.DuplicatesNonConfirmable,
		"acknowledgements that matched": m.AcknowledgementsReceived, "Resets that matched": m.ResetsReceived + n.Observations.DroppedReset,
		"unexpected responses": m.UnexpectedResponses, "ignored from the group": m.IgnoredMulticast,
		"records evicted": m.EvictedIdempotent + m.EvictedNonConfirmable, "observations": n.Observations.Registered,
		"notifications timed out": n.Observations.DroppedTimeout, "registrations refused": n.Observations.RefusedPeer,
		"uploads": n.Uploads.Completed, "uploads evicted": n.Uploads.Evicted, "uploads incomplete": n.Uploads.Incomplete, "downloads": n.Responses.Found,
		"requests": n.Requests,
	} {
		if count == 0 {
			t.Errorf("no %s: %+v", name, *n)
		}
	}
}

// heap returns the bytes in use.
func heap() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}
