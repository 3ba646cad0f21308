// Package demo is a guided run of the whole stack: a sensor node and a client on loopback,
// over real sockets and a link that loses datagrams, with a timeline of all that goes over
// the wire, a body that is transferred in blocks, and a comparison with HTTP/1.1.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/cmd/coap/lab"
	"github.com/motewire/coap/transport"
)

// A Config says how bad the link is and how the output looks.
type Config struct {
	// Seed decides which datagrams are lost, and which notifications come late.
	Seed uint64
	// Loss is the share of datagrams that are lost each way, 0 to 1.
	Loss float64
	// Color marks losses and retransmissions with the colours of terminals.
	Color bool
}

// ErrResponse is wrapped by the error of a run in which the node answered something else
// than it should.
var ErrResponse = errors.New("demo: unexpected response")

// params are RFC 7252's (§4.8) but for shorter timeouts, so that the run is quick, and more
// retransmissions, so that it does not fail: of 10,000 exchanges one loses all of nine
// transmissions, or their answers, at 20 %.
var params = coap.Params{AckTimeout: 150 * time.Millisecond, MaxRetransmit: 8}

const (
	// limit is when a run gives up as a whole.
	limit = time.Minute
	// pause between two steps lets stragglers of the first arrive before the second.
	pause = 20 * time.Millisecond
	// grace is how long the node may take to end.
	grace = 2 * time.Second
)

// A session is what the steps share.
type session struct {
	client  *coap.Client // behind the bad link
	bulk    *coap.Client // behind one that is not so bad
	other   *coap.Client // beside the node, on a good one
	node    *node
	base    string // the node's URL, without path
	created string // path of the resource that POST created
	rec     *recorder
}

// Run carries out the demo and prints it. Errors are those of w, of the sockets, of the
// context and of [coap.Client.Do], or wrap ErrResponse.
func Run(ctx context.Context, w io.Writer, cfg Config) error {
	return run(ctx, newRecorder(w, cfg.Color), cfg, func(ctx context.Context) (transport.Conn, error) {
		return transport.Listen(ctx, "udp4", "127.0.0.1:0", transport.Config{})
	})
}

// A listener opens a socket on the network of the run.
type listener func(context.Context) (transport.Conn, error)

func run(ctx context.Context, rec *recorder, cfg Config, listen listener) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	node, err := startNode(ctx, listen)
	if err != nil {
		return err
	}
	defer node.end()
	s := &session{node: node, base: "coap://" + node.addr, rec: rec}
	s.client = behindLink(listen, rec, cfg.Seed, cfg.Loss)
	defer s.client.Close()
	s.bulk = behindLink(listen, rec, cfg.Seed, min(cfg.Loss, transferLoss))
	defer s.bulk.Close()
	s.other = &coap.Client{Listen: func(ctx context.Context, _ string) (transport.Conn, error) { return listen(ctx) }}
	defer s.other.Close()
	printIntroduction(rec, node.addr, cfg)
	for i := range steps {
		if err := errors.Join(s.run(ctx, i), rec.failure()); err != nil {
			return err
		}
	}
	if err := errors.Join(s.observe(ctx, "/temperature"), rec.failure()); err != nil {
		return err
	}
	if err := errors.Join(s.transfer(ctx, cfg), rec.failure()); err != nil {
		return err
	}
	node.end() // while the client is there to acknowledge
	return errors.Join(printSummary(rec, node.addr), rec.failure())
}

// behindLink returns a client whose link loses a share of the datagrams each way.
func behindLink(listen listener, rec *recorder, seed uint64, loss float64) *coap.Client {
	return &coap.Client{Params: params, Listen: func(ctx context.Context, _ string) (transport.Conn, error) {
		conn, err := listen(ctx)
		if err != nil {
			return nil, err
		}
		return newLateLink(transport.Lossy(conn, transport.LossyConfig{
			Seed: seed, Send: loss, Receive: loss, Tap: rec.tap,
		}), seed, rec), nil
	}}
}

func printIntroduction(rec *recorder, addr string, cfg Config) {
	rec.printf("A sensor node at %s and a client, over UDP on loopback. The link between them\n", addr)
	rec.printf("loses %.0f %% of the datagrams each way; --seed %d decides which.\n\n", cfg.Loss*100, cfg.Seed)
	p := params.WithDefaults()
	rec.printf("ACK_TIMEOUT %v (RFC 7252: 2s), ACK_RANDOM_FACTOR %v, MAX_RETRANSMIT %d (4), NSTART %d\n\n",
		p.AckTimeout, p.AckRandomFactor, p.MaxRetransmit, p.NStart)
	rec.printf("Seen from the client: --> sent, <-- received, --x and x-- lost on the way. CON wants an\n")
	rec.printf("ACK; the message ID ties these two together, the token ties a response to its request.\n")
}

// begin prints the head of a step.
func (s *session) begin(i int, headline string, shows []string) {
	s.rec.begin(i)
	s.rec.printf("\n%s\n", s.rec.paint(bold, fmt.Sprintf("%d. %s", i+1, headline)))
	for _, line := range shows {
		s.rec.printf("   %s\n", line)
	}
	s.rec.printf("%s\n", columns)
}

// run carries out one step, prints its outcome and checks it.
func (s *session) run(ctx context.Context, i int) error {
	st := &steps[i]
	s.begin(i, st.headline, st.shows)
	resp, err := s.client.Do(ctx, st.request(s))
	if err != nil {
		return fmt.Errorf("demo: step %d: %w", i+1, err)
	}
	time.Sleep(pause)
	s.rec.printf("   = %v %s after %.3f s, the request sent %s\n",
		resp.Code, resp.Code.Name(), resp.RTT.Seconds(), times(resp.Attempts))
	if resp.Code != st.code {
		return fmt.Errorf("%w: step %d: %v, not %v", ErrResponse, i+1, resp.Code, st.code)
	}
	if st.check == nil {
		return nil
	}
	if err := st.check(s, resp); err != nil {
		return fmt.Errorf("%w: step %d: %w", ErrResponse, i+1, err)
	}
	return nil
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprint(n, " times")
}

// A node is the lab's server, with a place for firmware, on a free port.
type node struct {
	addr   string
	server *coap.Server
	served chan error
}

func startNode(ctx context.Context, listen listener) (*node, error) {
	conn, err := listen(ctx)
	if err != nil {
		return nil, err
	}
	mux := lab.New().Mux()
	new(firmware).add(mux)
	n := &node{
		addr:   conn.LocalAddr().String(),
		server: &coap.Server{Handler: mux, Params: params, NotifyInterval: lab.NotifyInterval},
		served: make(chan error, 1),
	}
	go func() { n.served <- n.server.Serve(context.WithoutCancel(ctx), conn) }()
	return n, nil
}

// end shuts the node down; a second call does nothing.
func (n *node) end() {
	if n.served == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	_ = n.server.Shutdown(ctx) // what is left after the grace is closed
	<-n.served
	n.served = nil
}
