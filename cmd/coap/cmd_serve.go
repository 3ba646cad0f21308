package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os/signal"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/motewire/coap"
	"github.com/motewire/coap/cmd/coap/files"
	"github.com/motewire/coap/cmd/coap/lab"
	"github.com/motewire/coap/cmd/coap/script"
	"github.com/motewire/coap/transport"
)

// grace is how long requests in hand may take once a server has been told to end.
const grace = 5 * time.Second

// defaultAddr is where the servers listen unless --addr says otherwise.
const defaultAddr = ":5683"

func (c *cli) serveCommand() *cobra.Command {
	var listen listenFlags
	var scriptFile string
	var multicast bool
	var files directoryFlags
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve the lab node of a sensor, or files",
		Long: `serve is a sensor node to try clients against:

  /temperature /led /config /config/interval   GET and PUT
  /humidity /hello                             GET
  /slow                                        GET, a separate response after 1 s
  /readings                                    GET, and POST of JSON

/temperature and /humidity change every 2 seconds, or as often as /config/interval says,
and can be observed. State is in memory. It runs until an interrupt or SIGTERM, finishes the
requests in hand, tells the observers and ends with status 0.

With --script it is the node of a description in JSON instead: resources with values that
ramp, swing, walk or come from a CSV file, delays and error rates; see coap help script.

With --dir it serves the files of a directory instead: a GET of a file has an ETag, of a
directory links. --write allows PUT, which replaces a file as a whole or not at all, and
DELETE; If-Match and If-None-Match hold. Nothing outside of the directory is reached, also
not by links; hidden files are not served.

` + defenses,
		Example: `  coap serve --multicast
  coap serve --addr 127.0.0.1:5700 --script greenhouse.json
  coap serve --dir inbox --write --max-body 4M`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			srv, change, done, err := c.served(scriptFile, &files)
			if err != nil {
				return err
			}
			defer done()
			listen.configure(srv)
			conns, err := listenOn(cmd.Context(), listen.addr)
			if err != nil {
				return err
			}
			if multicast {
				if srv.Groups, err = groupsOf(conns[0].LocalAddr()); err != nil {
					closeAll(conns)
					return err
				}
			}
			return c.serve(cmd.Context(), cmd.Name(), srv, conns, change)
		},
	}
	listen.add(cmd.Flags())
	cmd.Flags().StringVar(&scriptFile, "script", "", "simulate the node that `FILE` describes")
	cmd.Flags().BoolVar(&multicast, "multicast", false, "join All CoAP Nodes, so that discovery finds the node without its address")
	files.add(cmd.Flags())
	return cmd
}

// scriptTopic is the manual of scripts: coap help script.
func scriptTopic() *cobra.Command {
	return &cobra.Command{
		Use: "script", Short: "What coap serve --script takes",
		Long: strings.TrimSuffix(script.Format, "\n"), Example: "  coap serve --script greenhouse.json",
	}
}

// served returns the server of a directory or of a script where flags name one, of the lab
// node otherwise: with what changes its resources, and what is to be called when it is over.
func (c *cli) served(scriptFile string, f *directoryFlags) (srv *coap.Server, change func(context.Context), done func(), err error) {
	if err := f.check(); err != nil {
		return nil, nil, nil, err
	}
	if f.dir == "" {
		node, err := nodeOf(scriptFile)
		if err != nil {
			return nil, nil, nil, err
		}
		return &coap.Server{Handler: node.Mux(), NotifyInterval: lab.NotifyInterval}, node.Run, func() {}, nil
	}
	if scriptFile != "" {
		return nil, nil, nil, usageErrorf("--script and --dir exclude each other")
	}
	s, err := files.Open(f.dir, files.Config{Write: f.write, MaxBody: int(f.maxBody), Logger: c.logger()})
	if err != nil {
		return nil, nil, nil, ioError(err)
	}
	return &coap.Server{Handler: s.Mux()}, func(context.Context) {}, func() { s.Close() }, nil
}

// logger returns where a server tells what goes wrong.
func (c *cli) logger() *slog.Logger { return slog.New(slog.NewTextHandler(c.stderr, nil)) }

// A simulatedNode has resources, and changes them until a context ends.
type simulatedNode interface {
	Mux() *coap.Mux
	Run(context.Context)
}

// nodeOf returns the node of a script, without one the lab node.
func nodeOf(scriptFile string) (simulatedNode, error) {
	if scriptFile == "" {
		return lab.New(), nil
	}
	s, err := script.Load(scriptFile)
	var wrong *script.Error
	switch {
	case errors.As(err, &wrong):
		return nil, usageErrorf("%w", err)
	case err != nil:
		return nil, ioError(err)
	}
	return script.New(s), nil
}

// groupsOf returns the groups of All CoAP Nodes that a socket can join. One that is bound
// to a single address would get nothing of what is sent to a group.
func groupsOf(local netip.AddrPort) ([]coap.Group, error) {
	ip := local.Addr()
	if !ip.IsUnspecified() {
		return nil, usageErrorf("--multicast listens on all addresses: say --addr :%d", local.Port())
	}
	var groups []coap.Group
	for _, g := range coap.AllCoAPNodes {
		if ip.Is6() || g.Addr.Is4() {
			groups = append(groups, g)
		}
	}
	return groups, nil
}

// serve runs a server on sockets until the context ends or SIGTERM comes, and lets it
// finish the requests in hand then. change alters the server's resources meanwhile, until
// its context ends.
func (c *cli) serve(ctx context.Context, name string, srv *coap.Server, conns []transport.Conn, change func(context.Context)) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM)
	defer stop()
	changing, still := context.WithCancel(ctx)
	var changes sync.WaitGroup
	changes.Go(func() { change(changing) })
	defer changes.Wait()
	defer still()
	srv.Logger = c.logger()
	fmt.Fprintf(c.stderr, "coap %s: listening on coap://%v\n", name, conns[0].LocalAddr())
	served := make(chan error, 1)
	go func() { served <- srv.Serve(context.WithoutCancel(ctx), conns...) }()
	select {
	case err := <-served:
		return ioError(err)
	case <-ctx.Done():
		stop() // a second signal ends the process at once
	}
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	if err := srv.Shutdown(limit); errors.Is(err, context.DeadlineExceeded) {
		fmt.Fprintf(c.stderr, "coap %s: requests in hand given up after %v\n", name, grace)
	}
	err := <-served
	if errors.Is(err, coap.ErrClosed) { // told to end before it began
		return nil
	}
	return ioError(err)
}

// listenOn opens as many sockets on an address as there are processors.
func listenOn(ctx context.Context, addr string) ([]transport.Conn, error) {
	_, port, err := net.SplitHostPort(addr)
	if err == nil {
		_, err = net.DefaultResolver.LookupPort(ctx, "udp", port)
	}
	if err != nil {
		return nil, usageErrorf("--addr %q: say HOST:PORT, like :5683 or [::1]:5683", addr)
	}
	if err := checkFree(ctx, addr); err != nil {
		return nil, err
	}
	shards, err := transport.ListenShards(ctx, "udp", addr, runtime.GOMAXPROCS(0), transport.Config{})
	if err != nil {
		return nil, ioError(err)
	}
	conns := make([]transport.Conn, len(shards))
	for i, s := range shards {
		conns[i] = s
	}
	return conns, nil
}

// checkFree finds that another server listens on an address. Sockets that share a port, as
// those of a server here do, would share its clients as well.
func checkFree(ctx context.Context, addr string) error {
	var alone net.ListenConfig
	conn, err := alone.ListenPacket(ctx, "udp", addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return ioError(fmt.Errorf("another server listens on %s; choose a port with --addr", addr))
	case err == nil:
		conn.Close()
	}
	return nil // other errors come again
}

func closeAll(conns []transport.Conn) {
	for _, conn := range conns {
		conn.Close()
	}
}
