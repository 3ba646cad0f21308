package blockwise

import (
	"bytes"
	"testing"

	"github.com/motewire/coap/message"
)

var sizes = []int{0, 1, 15, 16, 17, 63, 64, 65, 1023, 1024, 1025, 2048, 8192, 65536}

// Every size of body with every block size of either side, up, down and both.
func TestTransfers(t *testing.T) {
	for _, size := range sizes {
		for szx := range uint8(7) {
			server, client := 16<<szx, 16<<((szx+3)%7)
			want := body(size, size)
			s := newSite(t, server, echo)
			s.limit = 1 << 17
			c := newCall(t, message.POST, "x", want, UploadConfig{BlockSize: client}, DownloadConfig{BlockSize: client, Restarts: -1})
			if err := c.run(s, peerNumber(1), 10000); err != nil {
				t.Fatalf("%d bytes, blocks of %d and %d: %v", size, server, client, err)
			}
			if c.response.Code() != message.Changed || !bytes.Equal(c.body, want) || s.runs != 1 {
				t.Errorf("%d bytes, blocks of %d and %d: %v, %d bytes, handler ran %d times", size, server, client, c.response, len(c.body), s.runs)
			}
			if stats := s.assembler.Stats(); stats.Transfers != 0 || stats.TransferBytes != 0 {
				t.Errorf("%d transfers, %d bytes left", stats.Transfers, stats.TransferBytes)
			}
		}
	}
}
