// Command discover lists the resources of a node (RFC 6690).
package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"strings"

	"github.com/motewire/coap"
	"github.com/motewire/coap/linkformat"
)

func main() {
	node := cmp.Or(strings.Join(os.Args[1:], ""), "coap://localhost")
	if err := run(context.Background(), os.Stdout, node); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, out io.Writer, node string) error {
	resp, err := coap.Get(ctx, node+"/.well-known/core")
	if err != nil {
		return err
	}
	if err := resp.Err(); err != nil {
		return err
	}
	text, err := resp.Bytes() // a long list comes in blocks
	if err != nil {
		return err
	}
	links, err := linkformat.Parse(text)
	if err != nil {
		return err
	}
	for _, link := range links {
		rt, _ := link.Attribute("rt")
		_, observable := link.Attribute("obs")
		fmt.Fprintf(out, "%-20s rt=%q observable=%v\n", link.Target, rt.Value, observable)
	}
	return nil
}
