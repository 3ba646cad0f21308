// Command upload sends a file in blocks (RFC 7959) and tells how far it is:
// upload FILE coap://localhost/firmware.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"

	"github.com/motewire/coap"
	"github.com/motewire/coap/message"
)

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: upload FILE URL")
	}
	if err := run(context.Background(), os.Stdout, os.Args[1], os.Args[2]); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, out io.Writer, name, url string) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	body := coap.Stream(&progress{File: file, out: out, size: info.Size()}, message.OctetStream)
	resp, err := coap.Put(ctx, url, body)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%v %s\n", resp.Code, resp.Payload())
	return resp.Err()
}

// progress is a file that prints each further tenth of it as it is read.
type progress struct {
	*os.File
	out         io.Writer
	size, done  int64
	lastPercent int64
}

func (p *progress) Read(b []byte) (int, error) {
	n, err := p.File.Read(b)
	p.done += int64(n)
	if percent := p.done * 10 / max(p.size, 1) * 10; percent > p.lastPercent {
		p.lastPercent = percent
		fmt.Fprintf(p.out, "%d %%\n", percent)
	}
	return n, err
}
