package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/spf13/cobra"

	"github.com/motewire/coap/cmd/coap/ladder"
)

// A decoder dissects datagrams one after the other.
type decoder struct {
	file   string   // -f
	json   bool     // --json
	bytes  bool     // --map
	ladder bool     // --ladder
	stats  bool     // --stats
	svg    string   // --svg
	ports  []uint16 // --port

	style style
	width int  // columns of the terminal; 0: standard output is none
	live  bool // the input may still grow: print each message at once

	mu       sync.Mutex // guards what follows: an interrupt ends the output while the input is read
	ended    bool       // the output is complete
	out      *bufio.Writer
	captured bool // the input is a capture
	count    tally
	tracked  ladder.Tracker // for --ladder, --stats and --svg
}

func (c *cli) decodeCommand() *cobra.Command {
	var d decoder
	var ports []int
	cmd := &cobra.Command{
		Use:   "decode [HEX…]",
		Short: "Dissect messages from hex or a capture file",
		Long: `decode dissects CoAP messages. They come as hex from the arguments, else from -f FILE
or standard input (also -): a message per line in hex, # begins a comment; or a capture
in the formats pcap and pcapng. In hex spaces and colons between digits are fine.

Of a capture all UDP datagrams from or to port 5683 are decoded, and on other ports
those that are well-formed messages; with --port those of the given ports alone. Links
are Ethernet, also with VLAN tags, Linux cooked, PPP, loopback and raw IP. What was
passed over (TCP, WebSockets, DTLS, fragments, 802.15.4, …) is counted on standard error.

--map shows which bytes are what; on a terminal it is the view of hex. --ladder draws
the conversations of a capture: exchanges by token and message ID, observations and
block-wise transfers as one each; of standard input each message as it comes. --stats
goes with it, or with --json as one object. An interrupt shows what is known by then.

Exit status: 0 all messages are well-formed, 6 some are not.`,
		Example: `  coap decode 40017d34b474656d70
  coap decode --json -f trace.pcap
  tcpdump -w - -U udp port 5683 | coap decode --ladder -
  tail -c +1 -f trace.pcap | coap decode --ladder --stats -
  coap decode --stats --svg trace.svg -f trace.pcap`,
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
	flags.BoolVar(&d.bytes, "map", false, "show which bytes are what")
	flags.BoolVar(&d.ladder, "ladder", false, "draw the conversations of a capture as ladder diagrams")
	flags.StringVar(&d.svg, "svg", "", "draw them as a picture into `FILE`")
	flags.BoolVar(&d.stats, "stats", false, "print round-trip times, retransmissions and bytes by kind")
	flags.IntSliceVar(&ports, "port", nil, "decode what goes from or to `PORT`, may be repeated")
	return cmd
}

// decode ends with the input or with ctx, as standard input may be a pipe that nobody
// writes to. What is known by then is shown.
func (c *cli) decode(ctx context.Context, d *decoder, args []string) error {
	if err := d.check(); err != nil {
		return err
	}
	d.out, d.style = bufio.NewWriter(c.stdout), c.style(false)
	if c.stdoutTerminal {
		d.width = columns(c.stdout)
	}
	done := make(chan error, 1)
	go func() {
		err := c.decodeInput(d, args)
		done <- errors.Join(c.conclude(d), err)
	}()
	select {
	case err := <-done:
		if err == nil && d.count.malformed > 0 {
			return &statusError{status: exitProtocol}
		}
		return err
	case <-ctx.Done():
		if err := c.conclude(d); err != nil {
			return err
		}
		return &statusError{status: exitInterrupted}
	}
}

// decodeInput finds the input and runs the decoder over it.
func (c *cli) decodeInput(d *decoder, args []string) error {
	if len(args) == 1 && args[0] == "-" && d.file == "" {
		args, d.file = nil, "-"
	}
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
	b := bufio.NewReader(r)
	magic, err := b.Peek(4)
	if err != nil && err != io.EOF {
		return ioError(err)
	}
	if bytes.HasPrefix(magic, []byte{0x1f, 0x8b}) {
		return usageErrorf("the input is compressed: zcat FILE | coap decode -")
	}
	frames, ok := captureReader(b, magic)
	if !ok {
		return readHexLines(b, d.datagram)
	}
	d.mu.Lock()
	d.captured = true
	d.mu.Unlock()
	return d.readCapture(frames)
}

// conclude ends the output once, with what is known at the end alone.
func (c *cli) conclude(d *decoder) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ended {
		return nil
	}
	d.ended = true
	if d.captured {
		if err := d.out.Flush(); err != nil {
			return ioError(err)
		}
		fmt.Fprintln(c.stderr, "coap:", &d.count)
	}
	if err := d.summarize(); err != nil {
		return err
	}
	return ioError(d.out.Flush())
}
