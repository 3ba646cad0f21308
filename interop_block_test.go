package coap_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/message"
)

// Bodies go to libcoap's server and come back, at every size at which the number of blocks
// changes and with several block sizes; one of a mebibyte, and one as a stream.
func TestInteropBlocksLibcoapServer(t *testing.T) {
	url := libcoapServer(t, "-d", "100")
	c := &coap.Client{}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	check := func(name string, body coap.Body, want []byte, opts ...coap.RequestOption) {
		t.Helper()
		resp, err := c.Put(ctx, url+name, body, opts...)
		if err != nil || !resp.Code.IsSuccess() {
			t.Fatalf("PUT of %d bytes: %v, %v", len(want), resp, err)
		}
		if resp, err = c.Get(ctx, url+name, opts...); err != nil || resp.Code != message.Content {
			t.Fatalf("GET of %d bytes: %v, %v", len(want), resp, err)
		}
		if got, err := resp.Bytes(); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%d bytes, %v, want %d", len(got), err, len(want))
		}
	}
	for _, size := range []int{0, 1, 15, 16, 17, 1023, 1024, 1025, 8192, 65536} {
		want := randomBody(uint64(size), size)
		check("/example_data", coap.Raw(want), want)
		for _, block := range []int{16, 128, 512} {
			if size/block <= 1024 {
				check(fmt.Sprintf("/blocks%d", block), coap.Raw(want), want, coap.BlockSize(block))
			}
		}
	}
	want := randomBody(1, 1<<20)
	check("/example_data", coap.Stream(onlyReader{bytes.NewReader(want)}, message.OctetStream), want)

	a, err := c.ReaderAt(ctx, url+"/example_data")
	if err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 3000)
	if n, err := a.ReadAt(p, 500_000); n != len(p) || err != nil || !bytes.Equal(p, want[500_000:503_000]) {
		t.Errorf("%d bytes, %v", n, err)
	}
	if n, err := a.ReadAt(p, 1<<20-100); n != 100 || err != io.EOF {
		t.Errorf("%d bytes, %v", n, err)
	}
	resp, err := c.Get(ctx, url+"/example_data", coap.Block(3, 64))
	if err != nil || !bytes.Equal(resp.Payload(), want[3*64:4*64]) {
		t.Errorf("%v, %v", resp, err)
	}
}
