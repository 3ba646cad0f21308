package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
)

// A decoder dissects datagrams one after the other.
type decoder struct {
	file  string   // -f
	json  bool     // --json
	ports []uint16 // --port
	out   *bufio.Writer
	live  bool // the input may still grow: print each message at once
	count tally
}

func (c *cli) decodeCommand() *cobra.Command {
	var d decoder
	var ports []int
	cmd := &cobra.Command{
		Use:   "decode [HEX…]",
		Short: "Dissect messages from hex or a capture file",
		Long: `decode dissects CoAP messages. They come as hex from the arguments, else from -f FILE
or standard input: a message per line in hex, # begins a comment; or a capture file in
the formats pcap and pcapng. In hex spaces and colons between digits are fine.

Of a capture all UDP datagrams from or to port 5683 are decoded, and on other ports
those that are well-formed messages; with --port those of the given ports alone. What
was passed over (TCP, DTLS, fragments, …) is counted on standard error.

Exit status: 0 all messages are well-formed, 6 some are not.`,
		Example: `  coap decode 40017d34b474656d70
  coap decode --json -f trace.pcap`,
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, port := range ports {
				if port < 1 || port > 65535 {
					return usageErrorf("--port %d: say 1 to 65535", port)
				}
				d.ports = append(d.ports, uint16(port))
			}
			return c.decode(cmd.Context(), &d, args)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&d.file, "file", "f", "", "read `FILE`, - is standard input")
	flags.BoolVar(&d.json, "json", false, "print one JSON object per line")
	flags.IntSliceVar(&ports, "port", nil, "decode what goes from or to `PORT`, may be repeated")
	return cmd
}

// decode ends with the input or with ctx, as standard input may be a pipe that nobody
// writes to.
func (c *cli) decode(ctx context.Context, d *decoder, args []string) error {
	d.out = bufio.NewWriter(c.stdout)
	done := make(chan error, 1)
	go func() {
		err := c.decodeInput(d, args)
		if flushErr := d.out.Flush(); err == nil {
			err = ioError(flushErr)
		}
		if err == nil && d.count.malformed > 0 {
			err = &statusError{status: exitProtocol}
		}
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return &statusError{status: exitInterrupted}
	}
}

// decodeInput finds the input and runs the decoder over it.
func (c *cli) decodeInput(d *decoder, args []string) error {
	switch {
	case len(args) > 0 && d.file != "":
		return usageErrorf("decode takes hex arguments or -f FILE, not both")
	case len(args) > 0:
		messages, err := hexArguments(args)
		if err != nil {
			return err
		}
		for i, raw := range messages {
			if err := d.datagram(datagram{frame: i + 1, raw: raw}); err != nil {
				return err
			}
		}
		return nil
	case d.file != "" && d.file != "-":
		file, err := os.Open(d.file)
		if err != nil {
			return ioError(err)
		}
		defer file.Close()
		return c.decodeFile(d, file)
	case d.file == "" && c.stdinTerminal:
		return usageErrorf("decode: give a message in hex, or a file with -f FILE")
	}
	d.live = true
	return c.decodeFile(d, c.stdin)
}

func (c *cli) decodeFile(d *decoder, r io.Reader) error {
	captured, err := readDatagrams(r, d.ports, &d.count, d.datagram)
	if captured {
		if err := d.out.Flush(); err != nil {
			return ioError(err)
		}
		fmt.Fprintln(c.stderr, "coap:", &d.count)
	}
	return err
}

// datagram decodes and prints one datagram.
func (d *decoder) datagram(in datagram) error {
	m := dissect(in.raw)
	d.count.messages++
	if m.malformed != nil {
		d.count.malformed++
	}
	write := writeDissection
	if d.json {
		write = writeJSON
	}
	if err := write(d.out, in, &m); err != nil || !d.live {
		return ioError(err)
	}
	return ioError(d.out.Flush())
}
