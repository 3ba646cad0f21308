package coap_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/message"
)

// interopSizes are where the number of blocks changes, and some that take many.
var interopSizes = []int{0, 1, 15, 16, 17, 1023, 1024, 1025, 8192, 65536, 1 << 20}

// A libcoapRun runs libcoap's client.
type libcoapRun struct {
	t    *testing.T
	path string
	dir  string
}

func (l *libcoapRun) run(args ...string) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), 60*time.Second)
	defer cancel()
	if out, err := exec.CommandContext(ctx, l.path, append([]string{"-B", "50"}, args...)...).CombinedOutput(); err != nil || len(out) > 0 {
		l.t.Fatalf("%v: %q, %v", args, out, err)
	}
}

// libcoap's client uploads bodies of every size in blocks of every size to our server, and
// downloads them.
func TestInteropBlocksLibcoapClient(t *testing.T) {
	t.Parallel()
	l := &libcoapRun{t: t, path: libcoap(t, "coap-client"), dir: t.TempDir()}
	url := serveUDP(t, storing())
	from, to := filepath.Join(l.dir, "from"), filepath.Join(l.dir, "to")
	for szx := range 7 {
		for _, size := range interopSizes {
			if testing.Short() && size>>(szx+4) > 1024 {
				continue
			}
			want := randomBody(uint64(size+szx), size)
			if err := os.WriteFile(from, want, 0o600); err != nil {
				t.Fatal(err)
			}
			block := fmt.Sprint(16 << szx)
			l.run("-m", "put", "-b", block, "-f", from, url+"/x")
			if err := os.WriteFile(to, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			l.run("-m", "get", "-b", block, "-o", to, url+"/x")
			if got, err := os.ReadFile(to); err != nil || !bytes.Equal(got, want) {
				t.Fatalf("blocks of %s: %d bytes, %v, want %d", block, len(got), err, size)
			}
		}
	}
}

// Our client uploads bodies of every size in blocks of every size to libcoap's server, and
// downloads them.
func TestInteropBlocksLibcoapServerSizes(t *testing.T) {
	t.Parallel()
	url := libcoapServer(t) + "/example_data"
	// Message IDs have to come back soon: 65,536 blocks take more of them than there are.
	c := &coap.Client{Params: coap.Params{AckTimeout: 200 * time.Millisecond, MaxLatency: -1, ProcessingDelay: -1}}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	for szx := range 7 {
		for _, size := range interopSizes {
			// 1 MiB in blocks of 16 bytes takes some 15 s each way: libcoap's server looks
			// through the blocks that it has for each one that comes.
			if testing.Short() && size>>(szx+4) > 1024 {
				continue
			}
			want := randomBody(uint64(size+szx), size)
			resp, err := c.Put(ctx, url, coap.Raw(want), coap.BlockSize(16<<szx))
			if err != nil || !resp.Code.IsSuccess() {
				t.Fatalf("blocks of %d: PUT of %d bytes: %v, %v", 16<<szx, size, resp, err)
			}
			resp, err = c.Get(ctx, url, coap.BlockSize(16<<szx))
			if err != nil || resp.Code != message.Content {
				t.Fatalf("blocks of %d: GET of %d bytes: %v, %v", 16<<szx, size, resp, err)
			}
			if got, err := resp.Bytes(); err != nil || !bytes.Equal(got, want) {
				t.Fatalf("blocks of %d: %d bytes, %v, want %d", 16<<szx, len(got), err, size)
			}
		}
	}
}
