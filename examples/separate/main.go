// Command separate shows what goes over the wire when a handler is slow: an empty
// Acknowledgement at first, the response in a message of its own later (RFC 7252 §5.2.2).
// The handler just blocks.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/message"
	"github.com/motewire/coap/transport"
)

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, out io.Writer) error {
	conn, err := transport.Listen(ctx, "udp", "127.0.0.1:0", transport.Config{})
	if err != nil {
		return err
	}
	slow := func(w coap.ResponseWriter, _ *coap.Request) {
		time.Sleep(500 * time.Millisecond)
		w.WriteString("at last")
	}
	go (&coap.Server{Handler: coap.HandlerFunc(slow)}).Serve(ctx, conn)

	lines := make(chan string, 64) // trace hooks run on the client's goroutines
	client := &coap.Client{Trace: &coap.Trace{
		Sent:     func(d coap.TraceDatagram) { lines <- "-> " + describe(d.Bytes) },
		Received: func(d coap.TraceDatagram) { lines <- "<- " + describe(d.Bytes) },
	}}
	defer client.Close()
	if _, err := client.Get(ctx, fmt.Sprintf("coap://%v/slow", conn.LocalAddr())); err != nil {
		return err
	}
	for range 4 { // request, Acknowledgement, response, Acknowledgement
		fmt.Fprintln(out, <-lines)
	}
	return nil
}

func describe(datagram []byte) string {
	var v message.View
	if err := v.Parse(datagram); err != nil {
		return err.Error()
	}
	return v.String()
}
