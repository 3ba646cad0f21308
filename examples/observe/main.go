// Command observe follows a resource: observe [URL [STATES]].
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"strconv"

	"github.com/motewire/coap"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	url, states := "coap://localhost/temperature", 10
	if len(os.Args) > 1 {
		url = os.Args[1]
	}
	if len(os.Args) > 2 {
		states, _ = strconv.Atoi(os.Args[2])
	}
	if err := run(ctx, os.Stdout, url, states); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, out io.Writer, url string, states int) error {
	client := &coap.Client{}
	defer client.Close() // tells the server that the observation is over
	for resp, err := range client.Observe(ctx, url) {
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%s\n", resp.Payload())
		if states--; states <= 0 {
			break
		}
	}
	return nil
}
