package blockwise

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/motewire/coap/message"
	"github.com/motewire/coap/peer"
)

// A capturedRow is one line of testdata/captures/*.jsonl: see the README there.
type capturedRow struct {
	Frame        int
	Raw          string
	Src, Dst     string
	Sport, Dport uint16
}

// An exchange is a request and its response between two other implementations.
type exchange struct {
	frame             int
	from              peer.Addr
	request, response *message.View
}

// capturedExchanges pairs requests with their responses by peer and message ID, or by
// peer and token where both are Non-confirmable.
func capturedExchanges(t *testing.T, scenario string) (all []*exchange) {
	t.Helper()
	files, err := filepath.Glob("../testdata/captures/" + scenario + "-*.jsonl")
	if err != nil || len(files) != 1 {
		t.Fatalf("%s: %v, %v", scenario, files, err)
	}
	data, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	open := map[string]*exchange{}
	for line := range bytes.Lines(data) {
		var row capturedRow
		if err := json.Unmarshal(line, &row); err != nil {
			t.Fatal(err)
		}
		raw, err := hex.DecodeString(row.Raw)
		if err != nil {
			t.Fatal(err)
		}
		v := new(message.View)
		if err := v.Parse(raw); err != nil {
			t.Fatalf("frame %d: %v", row.Frame, err)
		}
		port := max(row.Sport, row.Dport) // the server's is 5683
		name := fmt.Sprint(port, " ", v.ID())
		if v.Type() == message.NonConfirmable {
			name = fmt.Sprint(port, " ", v.Token())
		}
		if v.Code().IsRequest() {
			x := &exchange{row.Frame, peer.From(netip.AddrPortFrom(netip.MustParseAddr(row.Src), row.Sport)), v, nil}
			open[name] = x
			all = append(all, x)
		} else if x := open[name]; x != nil && x.response == nil && v.Code().IsResponse() {
			x.response = v
		}
	}
	return all
}

// How many uploads and downloads of other implementations each capture has.
var capturedTransfers = []struct {
	scenario           string
	uploads, downloads int
	refused            int // where the other server refused what is legal here
}{
	{"s11", 0, 3, 1}, {"s12", 3, 1, 0}, {"s13", 2, 4, 0}, {"s14", 2, 5, 0}, {"s36", 3, 0, 2},
}

// The requests of other clients get from our server what they got from theirs: the same
// codes and Block1 options, but for the block size that a server prefers, and their bodies
// are put together as they were sent.
func TestCapturedUploads(t *testing.T) {
	for _, c := range capturedTransfers {
		t.Run(c.scenario, func(t *testing.T) {
			a := mustAssembler(t, Config{})
			uploads, want := 0, map[peer.Addr][]byte{}
			for _, x := range capturedExchanges(t, c.scenario) {
				b, blockwise := x.request.Block1()
				r := a.Receive(epoch, x.from, x.request, 0)
				if !blockwise {
					if r.Outcome != Whole || !bytes.Equal(r.Body, x.request.Payload()) {
						t.Errorf("frame %d: %v", x.frame, r.Outcome)
					}
					continue
				}
				want[x.from] = append(want[x.from][:b.Offset()], x.request.Payload()...)
				if theirs, ok := x.response.Block1(); ok && (r.Block1.Num != theirs.Num || r.Block1.More != theirs.More) {
					t.Errorf("frame %d: Block1 %v, theirs %v", x.frame, r.Block1, theirs)
				}
				if b.More {
					if r.Outcome != Continue {
						t.Errorf("frame %d: %v", x.frame, r.Outcome)
					}
					continue
				}
				if uploads++; r.Outcome != Complete || !bytes.Equal(r.Body, want[x.from]) || len(r.Body) < 500 {
					t.Errorf("frame %d: %v, %d bytes, want %d", x.frame, r.Outcome, len(r.Body), len(want[x.from]))
				}
			}
			if uploads != c.uploads {
				t.Errorf("%d uploads, want %d", uploads, c.uploads)
			}
		})
	}
}

// Our client sends what other clients sent, in reply to what other servers answered.
func TestCapturedUploadsAsClient(t *testing.T) {
	for _, c := range capturedTransfers {
		t.Run(c.scenario, func(t *testing.T) {
			all := capturedExchanges(t, c.scenario)
			var u *Upload
			for i, x := range all {
				b, ok := x.request.Block1()
				if !ok {
					continue
				}
				if b.Num == 0 {
					var body []byte
					for _, later := range all[i:] { // up to the last block of this upload
						lb, ok := later.request.Block1()
						if !ok || later.from != x.from {
							continue
						}
						body = append(body[:lb.Offset()], later.request.Payload()...)
						if !lb.More {
							break
						}
					}
					u, _ = NewUpload(body, UploadConfig{BlockSize: b.Size()})
				}
				p, err := u.Next()
				if err != nil || p.Block1 != b && x.response.Code() != message.MethodNotAllowed || !bytes.Equal(p.Payload, x.request.Payload()) {
					t.Fatalf("frame %d: %v %d bytes, %v; they sent %v", x.frame, p.Block1, len(p.Payload), err, b)
				}
				if final, err := u.Response(x.response); err != nil || final != (x.response.Code() != message.Continue) {
					t.Fatalf("frame %d: %t, %v", x.frame, final, err)
				}
			}
		})
	}
}

// Our client asks other servers for what other clients asked for, and gets their bodies.
func TestCapturedDownloads(t *testing.T) {
	for _, c := range capturedTransfers {
		t.Run(c.scenario, func(t *testing.T) {
			downloads, refused := 0, 0
			var d *Download
			var whole []byte
			for _, x := range capturedExchanges(t, c.scenario) {
				b, blockwise := x.response.Block2()
				wish, asks := x.request.Block2()
				if !asks || wish.Num == 0 || d == nil {
					cfg := DownloadConfig{Restarts: -1}
					if asks {
						cfg.BlockSize, cfg.Start = wish.Size(), wish.Num
					}
					d, _ = NewDownload(cfg)
					whole = nil
				}
				if next, ok := d.Next(); asks && x.response.Code().IsSuccess() && (!ok || next.Num != wish.Num || next.SZX != wish.SZX) {
					t.Fatalf("frame %d: asks for %v, %t; they for %v", x.frame, next, ok, wish)
				}
				chunk, err := d.Add(x.response)
				if !x.response.Code().IsSuccess() {
					if wish.Num > 0 {
						refused++
					}
					d = nil
					continue
				}
				if err != nil || blockwise && chunk.Done == b.More {
					t.Fatalf("frame %d: %+v, %v", x.frame, chunk, err)
				}
				if whole = append(whole[:chunk.Offset], chunk.Payload...); !chunk.Done {
					continue
				}
				d = nil
				if size2, ok := x.response.Size2(); ok && int(size2) != len(whole) {
					t.Errorf("frame %d: %d bytes, Size2 says %d", x.frame, len(whole), size2)
				}
				if blockwise {
					downloads++
				}
			}
			if downloads != c.downloads || refused != c.refused {
				t.Errorf("%d downloads, %d refused; want %d, %d", downloads, refused, c.downloads, c.refused)
			}
		})
	}
}

// Our server cuts what other servers cut, for the requests of other clients.
func TestCapturedSlices(t *testing.T) {
	for _, c := range capturedTransfers {
		t.Run(c.scenario, func(t *testing.T) {
			all := capturedExchanges(t, c.scenario)
			bodies := map[peer.Addr][]byte{} // of the newest transfer that begins
			n := 0
			for i, x := range all {
				b, ok := x.response.Block2()
				if !ok {
					continue
				}
				if b.Num == 0 {
					bodies[x.from] = nil
					for _, later := range all[i:] {
						lb, ok := later.response.Block2()
						if later.from != x.from || !ok || lb.Num == 0 && later != x {
							if later != x && later.from == x.from {
								break
							}
							continue
						}
						bodies[x.from] = append(bodies[x.from][:lb.Offset()], later.response.Payload()...)
					}
				}
				slice, ok := WishOf(x.request).Slice(len(bodies[x.from]), b.SZX)
				n++
				partly := b.Num == 0 && slice.End == len(bodies[x.from]) // the client stopped there
				if !ok || slice.Block2 != b && !partly || slice.Block2.SZX != b.SZX || !bytes.Equal(bodies[x.from][slice.Start:slice.End], x.response.Payload()) {
					t.Fatalf("frame %d: %+v, %t; theirs %v", x.frame, slice, ok, b)
				}
			}
			if n == 0 {
				t.Error("nothing compared")
			}
		})
	}
}
