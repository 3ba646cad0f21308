package main

import (
	"context"
	"fmt"
	"math"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/transport"
)

// patience is how long a request takes at most where -B says nothing.
const patience = 90 * time.Second

// params returns the transmission parameters (RFC 7252 §4.8). Those that no endpoint can
// work with are refused.
func (t *travelFlags) params() (coap.Params, error) {
	p := coap.Params{AckTimeout: t.ackTimeout, MaxRetransmit: -1}
	if t.retries > 0 {
		p.MaxRetransmit = int(min(t.retries, math.MaxInt32))
	}
	if err := p.Validate(); err != nil {
		return p, usageErrorf("--retries %d, --ack-timeout %v: too much, no exchange would ever end", t.retries, t.ackTimeout)
	}
	return p, nil
}

// withClient runs do with a client that sends as the flags say, and with a context that
// ends as -B says, or else when nothing has come for the time given (0: never), which
// begins anew with each block of a body. It closes client and capture.
func (c *cli) withClient(ctx context.Context, t *travelFlags, limit time.Duration, do func(context.Context, *coap.Client) error) error {
	params, err := t.params()
	if err != nil {
		return err
	}
	w, err := openWire(c.stderr, t)
	if err != nil {
		return err
	}
	c.transfer = &transfer{total: -1}
	client := &coap.Client{Params: params, Trace: c.transfer.trace(w.trace()), Listen: t.listener(w)}
	cancel := context.CancelFunc(func() {})
	if t.timeout != 0 {
		ctx, cancel = context.WithTimeoutCause(ctx, t.timeout, givenUp(t.timeout))
	} else if limit != 0 {
		ctx, cancel = c.transfer.impatient(ctx, max(limit, params.MaxTransmitWait()))
	}
	defer cancel()
	if c.stderrTerminal && t.verbose == 0 && c.getenv("TERM") != "dumb" {
		c.transfer.bar = newProgressBar(c.stderr, func() int { return columns(c.stderr) })
		defer c.transfer.bar.close()
	}
	err = do(ctx, client)
	closeErr := client.Close()
	if wireErr := w.close(); closeErr == nil {
		closeErr = wireErr
	}
	if err != nil {
		return err
	}
	return ioError(closeErr)
}

// listener returns what opens the client's sockets: as -p and -a say, and behind a bad
// link where -l asks for one.
func (t *travelFlags) listener(w *wire) func(context.Context, string) (transport.Conn, error) {
	return func(ctx context.Context, network string) (transport.Conn, error) {
		var cfg transport.Config
		host := ""
		if a := t.localAddress; a.IsValid() {
			if a.Unmap().Is4() != (network == "udp4") {
				return nil, usageErrorf("-a %v: the peer's address is of the other IP version", a)
			}
			host, cfg.MulticastInterface = a.String(), interfaceOf(a)
		}
		conn, err := transport.Listen(ctx, network, net.JoinHostPort(host, strconv.Itoa(int(t.localPort))), cfg)
		if err != nil {
			return nil, ioError(fmt.Errorf("can't send from the local address: %w", err))
		}
		link := transport.LossyConfig{Seed: t.seed, Send: float64(t.loss), Receive: float64(t.loss)}
		if w.listens() {
			link.Tap = w.tap(conn)
		}
		return transport.Lossy(conn, link), nil
	}
}

// A givenUp is the error of a request that took longer than -B allows.
type givenUp time.Duration

func (g givenUp) Error() string { return fmt.Sprintf("given up after %v", time.Duration(g)) }

// Is makes it what contexts end with.
func (g givenUp) Is(target error) bool { return target == context.DeadlineExceeded }

// interfaceOf returns the interface that has an address, nil where none has.
func interfaceOf(a netip.Addr) *net.Interface {
	all, err := net.Interfaces()
	if err != nil {
		return nil
	}
	for i := range all {
		addrs, err := all[i].Addrs()
		if err != nil {
			continue
		}
		for _, have := range addrs {
			if prefix, err := netip.ParsePrefix(have.String()); err == nil && prefix.Addr() == a.Unmap().WithZone("") {
				return &all[i]
			}
		}
	}
	return nil
}
