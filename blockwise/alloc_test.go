package blockwise

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/motewire/coap/message"
	"github.com/motewire/coap/peer"
)

// A workload is one step of something done again and again; it is measured by a
// benchmark and must not allocate.
type workload struct {
	name string
	make func(tb) func()
}

// uploadDatagrams returns the messages of an upload of n blocks of 1,024 bytes.
func uploadDatagrams(t tb, n int) (datagrams [][]byte) {
	for num := range n {
		v := get(t, message.PUT, body(num, 1024), path("firmware"), uintOption(message.ContentFormat, 42),
			blockOption(message.Block1, num, num < n-1, 1024), message.Option{Number: message.RequestTag, Value: []byte("1234")})
		datagrams = append(datagrams, v.Datagram())
	}
	return datagrams
}

// blocks is an upload of 1 MiB, block by block, again and again.
func blocks(t tb, receive func(*Assembler, time.Time, peer.Addr, *message.View) Result) func() {
	a := mustAssembler(t, Config{})
	datagrams := uploadDatagrams(t, 1024)
	now, from, n := epoch, peerNumber(1), 0
	var v message.View
	return func() {
		v.Parse(datagrams[n])
		r := receive(a, now, from, &v)
		if n++; n < len(datagrams) {
			if r.Outcome != Continue {
				t.Fatalf("block %d: %v", n-1, r.Outcome)
			}
			return
		}
		if r.Outcome != Complete {
			t.Fatalf("last block: %v", r.Outcome)
		}
		a.Recycle(r.Body)
		now, n = now.Add(time.Second), 0
	}
}

var workloads = []workload{
	{"Block1/assemble", func(t tb) func() {
		return blocks(t, func(a *Assembler, now time.Time, from peer.Addr, v *message.View) Result {
			return a.Receive(now, from, v, 0)
		})
	}},
	{"Block1/stream", func(t tb) func() {
		return blocks(t, func(a *Assembler, now time.Time, from peer.Addr, v *message.View) Result {
			return a.Stream(now, from, v, 2<<20)
		})
	}},
	{"Block1/none", func(t tb) func() {
		a, v := mustAssembler(t, Config{}), get(t, message.PUT, body(1, 100), path("x"))
		return func() {
			if r := a.Receive(epoch, peer.Addr{}, v, 0); r.Outcome != Whole {
				t.Fatal(r.Outcome)
			}
		}
	}},
	{"Block1/foreign", func(t tb) func() {
		a := mustAssembler(t, Config{})
		v := get(t, message.PUT, body(1, 1024), path("x"), blockOption(message.Block1, 7, true, 1024))
		return func() {
			if r := a.Receive(epoch, peerNumber(1), v, 0); r.Outcome != Incomplete {
				t.Fatal(r.Outcome)
			}
		}
	}},
	{"Block2/kept", func(t tb) func() {
		s := mustStore(t, StoreConfig{})
		s.Keep(epoch, peerNumber(1), get(t, message.GET, nil, path("x")), nil, Snapshot{Body: body(1, 64<<10)})
		v := get(t, message.GET, nil, path("x"), blockOption(message.Block2, 9, false, 1024))
		return func() {
			snapshot, ok := s.Find(epoch, peerNumber(1), v, nil)
			slice, fits := WishOf(v).Slice(len(snapshot.Body), 6)
			if !ok || !fits || slice.Start != 9<<10 {
				t.Fatalf("%+v", slice)
			}
		}
	}},
	{"Upload/block", func(t tb) func() {
		up, v := body(1, 1<<20), respond(t, message.Continue, nil, blockOption(message.Block1, 1000, true, 1024)) // two bytes
		raw := v.Datagram()
		var u *Upload
		var p Part
		return func() {
			if u == nil || p.Block1.Num == 1000 {
				p, u = Part{}, reset(u, up)
			}
			p, _ = u.Next()
			binary.BigEndian.PutUint16(raw[len(raw)-2:], uint16(p.Block1.Encode()))
			if final, err := u.Response(v); final || err != nil {
				t.Fatal(final, err, p.Block1, v)
			}
		}
	}},
	{"ETag/1KiB", func(t tb) func() {
		b := body(1, 1024)
		return func() { kept64 = ETag(b) }
	}},
}

var kept64 message.Tag // keeps a result alive

// reset makes an Upload anew, in place of the old one.
func reset(u *Upload, body []byte) *Upload {
	fresh, _ := NewUpload(body, UploadConfig{})
	if u == nil {
		return fresh
	}
	*u = *fresh
	return u
}

// Nothing is allocated per block in the steady state, on either side.
func TestNoAllocations(t *testing.T) {
	for _, w := range workloads {
		t.Run(w.name, func(t *testing.T) {
			step := w.make(t)
			for range 2048 {
				step() // two uploads: buffers have their size
			}
			if n := testing.AllocsPerRun(2048, step); n != 0 {
				t.Errorf("%v allocations", n)
			}
		})
	}
}

func BenchmarkBlocks(b *testing.B) {
	for _, w := range workloads {
		b.Run(w.name, func(b *testing.B) {
			step := w.make(b)
			for range 2048 {
				step()
			}
			b.ReportAllocs()
			for b.Loop() {
				step()
			}
		})
	}
}
