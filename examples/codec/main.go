// Command codec builds and reads messages with package message alone, which needs the
// standard library and nothing else: no socket, no goroutine, no clock.
package main

import (
	"fmt"
	"io"
	"log"
	"os"

	"github.com/motewire/coap/message"
)

func main() {
	if err := run(os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(out io.Writer) error {
	token, err := message.MakeToken([]byte{0xca, 0xfe})
	if err != nil {
		return err
	}
	e := message.AppendHeader(nil, message.Confirmable, message.PUT, 0x7d34, token)
	e.OptionString(message.URIPath, "lamp") // options go in ascending order
	e.OptionUint(message.ContentFormat, uint32(message.TextPlain))
	datagram, err := e.Finish([]byte("on"))
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "% x\n", datagram)

	var v message.View // points into the datagram
	if err := v.Parse(datagram); err != nil {
		return err
	}
	fmt.Fprintln(out, v.Type(), v.Code().Name(), v.Token())
	for number, value := range v.Options() {
		fmt.Fprintln(out, number, number.FormatValue(value))
	}
	fmt.Fprintf(out, "%s\n", v.Payload())
	return nil
}
