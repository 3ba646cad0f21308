// Command client reads, replaces and creates resources of the node that examples/server is.
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
	"github.com/motewire/coap/message"
)

func main() {
	node := cmp.Or(strings.Join(os.Args[1:], ""), "coap://localhost")
	if err := run(context.Background(), os.Stdout, node); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, out io.Writer, node string) error {
	client := &coap.Client{}
	defer client.Close()

	resp, err := client.Get(ctx, node+"/config", coap.Accept(message.AppJSON))
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "GET /config: %v %s\n", resp.Code, resp.Payload())

	resp, err = client.Put(ctx, node+"/config", coap.JSON(map[string]any{"name": "lab", "interval": 30}))
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "PUT /config: %v\n", resp.Code)

	resp, err = client.Post(ctx, node+"/readings", coap.Text("22.5"))
	if err != nil {
		return err
	}
	created := resp.Location()
	fmt.Fprintf(out, "POST /readings: %v %s\n", resp.Code, created)

	resp, err = client.Get(ctx, node+created)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "GET %s: %v %s\n", created, resp.Code, resp.Payload())

	resp, err = client.Get(ctx, node+"/nowhere")
	if err != nil {
		return err // no answer; a 4.04 is one
	}
	fmt.Fprintln(out, "GET /nowhere:", resp.Err())
	return nil
}
