// Command server is the node of a small lab: a temperature that can be observed, a
// configuration, readings that clients post, and a place for a file.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/transport"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout, strings.Join(os.Args[1:], "")); err != nil {
		log.Fatal(err)
	}
}

// run serves until ctx ends. [coap.Server.ListenAndServe] is one line instead of these, but
// does not say which port it got for ":0".
func run(ctx context.Context, out io.Writer, addr string) error {
	conn, err := transport.Listen(ctx, "udp", addr, transport.Config{})
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "coap://%v\n", conn.LocalAddr())
	temperature := coap.NewState(21.5)
	go measure(temperature)
	return (&coap.Server{Handler: newMux(temperature)}).Serve(ctx, conn)
}

// measure stands in for a sensor.
func measure(temperature *coap.State[float64]) {
	for range time.Tick(time.Second) {
		temperature.Set(temperature.Get() + 0.5)
	}
}

func newMux(temperature *coap.State[float64]) *coap.Mux {
	mux := coap.NewMux()
	mux.Handle("GET /temperature", temperature, coap.ResourceType("temperature-c"), coap.Title("Room"))
	addConfig(mux)
	addReadings(mux)
	mux.HandleFunc("PUT /firmware", takeFirmware, coap.StreamBody())
	return mux
}
