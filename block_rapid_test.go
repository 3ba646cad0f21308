package coap_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/coaptest"
	"github.com/motewire/coap/message"
	"github.com/motewire/coap/transport"
	"github.com/motewire/coap/transport/simnet"
	"pgregory.net/rapid"
)

// A blockScene is a server, two clients and what these do, over a bad link.
type blockScene struct {
	seed    uint64
	link    simnet.Link
	replay  float64 // how often a datagram sends an older one of its client after it
	server  coap.Limits
	clients [2]coap.Limits
	jobs    []blockJob
}

// A blockJob is one request of a client.
type blockJob struct {
	client int
	method message.Code
	path   string
	size   int
	option int // of the block size; 0: none
	stream bool
	begin  time.Duration
	cancel time.Duration // after its begin; 0: never
	body   []byte
}

// unique reports whether no other job has the same body.
func (j *blockJob) unique() bool { return j.size > 8 }

var blockSizes = []int{16, 32, 64, 128, 256, 512, 1024}

func drawBlockScene(t *rapid.T) *blockScene {
	share := func(name string, of ...float64) float64 { return rapid.SampledFrom(of).Draw(t, name) }
	size := func(name string) int { return rapid.SampledFrom(blockSizes).Draw(t, name) }
	s := &blockScene{
		seed: rapid.Uint64().Draw(t, "seed"),
		link: simnet.Link{
			Loss: share("loss", 0, 0.05, 0.15), Duplicate: share("duplicate", 0, 0.2), Reorder: share("reorder", 0, 0.2),
			Delay: 20 * time.Millisecond, Jitter: 50 * time.Millisecond, HoldBack: time.Second,
		},
		replay: share("replay", 0, 0.3),
		server: coap.Limits{
			BlockBytes: size("server's block"), MessageBytes: rapid.SampledFrom([]int{200, 1152}).Draw(t, "message"),
			Transfers: rapid.SampledFrom([]int{0, 0, 2}).Draw(t, "transfers"),
		},
		clients: [2]coap.Limits{{BlockBytes: size("a block")}, {BlockBytes: size("another block")}},
	}
	for i := range rapid.IntRange(1, 8).Draw(t, "jobs") {
		s.jobs = append(s.jobs, drawBlockJob(t, s.seed+uint64(i)))
	}
	return s
}

func drawBlockJob(t *rapid.T, seed uint64) blockJob {
	j := blockJob{
		client: rapid.IntRange(0, 1).Draw(t, "client"),
		method: rapid.SampledFrom([]message.Code{message.PUT, message.PUT, message.POST, message.FETCH, message.GET, message.GET, message.GET}).Draw(t, "method"),
		path:   rapid.SampledFrom([]string{"/a", "/a", "/b", "/s"}).Draw(t, "path"),
		option: rapid.SampledFrom(append([]int{0, 0, 0}, blockSizes...)).Draw(t, "option"),
		stream: rapid.Bool().Draw(t, "stream"),
		begin:  time.Duration(rapid.IntRange(0, 20).Draw(t, "begin")) * 100 * time.Millisecond,
		cancel: time.Duration(max(0, rapid.IntRange(-20, 20).Draw(t, "cancel"))) * 200 * time.Millisecond,
	}
	// Whatever the block size is: about as many blocks, and sizes beside its multiples.
	j.size = max(0, rapid.SampledFrom(blockSizes).Draw(t, "unit")*rapid.IntRange(0, 30).Draw(t, "units")+rapid.IntRange(-1, 1).Draw(t, "beside"))
	j.body = randomBody(seed, j.size)
	return j
}

// blockBooks is what the server's handlers saw.
type blockBooks struct {
	mu    sync.Mutex
	jobs  []blockJob
	runs  []int
	state map[string][]byte
	wrong []string
}

func (b *blockBooks) errorf(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.wrong = append(b.wrong, fmt.Sprintf(format, args...))
}

// take notes a body that a handler got: one that was sent like that.
func (b *blockBooks) take(r *coap.Request, body []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, j := range b.jobs {
		if j.method == r.Method && j.path == r.Path() && bytes.Equal(j.body, body) {
			b.runs[i]++
			if r.Method == message.PUT {
				b.state[r.Path()] = bytes.Clone(body)
			}
			return
		}
	}
	b.wrong = append(b.wrong, fmt.Sprintf("%v %s with %d bytes that nobody sent", r.Method, r.Path(), len(body)))
}

// held reports whether a body was ever a state of a resource, the first one included.
func (b *blockBooks) held(path string, body []byte) bool {
	for _, j := range b.jobs {
		if j.method == message.PUT && j.path == path && bytes.Equal(j.body, body) {
			return true
		}
	}
	return bytes.Equal(body, firstState)
}

var firstState = randomBody(99, 3000)

// resources are /a and /b, which get a body whole, and /s, which reads it as it arrives.
// Each answers POST and FETCH with what it got.
func (b *blockBooks) resources() *coap.Mux {
	mux := coap.NewMux()
	serve := func(w coap.ResponseWriter, r *coap.Request) {
		if r.Method == message.GET {
			b.mu.Lock()
			defer b.mu.Unlock()
			w.Write(b.state[r.Path()])
			return
		}
		body, err := io.ReadAll(r.BodyReader())
		if err != nil {
			return // of a body that did not come to its end nobody hears
		}
		if b.take(r, body); r.Method == message.PUT {
			return
		}
		if len(body)%2 == 0 {
			w.SetBody(coap.Stream(bytes.NewReader(body), message.OctetStream))
		} else {
			w.Write(body)
		}
	}
	for _, path := range []string{"/a", "/b", "/s"} {
		b.state[path] = firstState
		for _, method := range []string{"GET", "PUT", "POST", "FETCH"} {
			var opts []coap.RouteOption
			if path == "/s" && method != "GET" {
				opts = append(opts, coap.StreamBody())
			}
			mux.Handle(method+" "+path, coap.HandlerFunc(serve), opts...)
		}
	}
	return mux
}

// do carries out a job and judges its end.
func (b *blockBooks) do(ctx context.Context, c *coap.Client, url string, i int) (succeeded bool) {
	j := &b.jobs[i]
	time.Sleep(j.begin)
	if j.cancel > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, j.cancel)
		defer cancel()
	}
	var opts []coap.RequestOption
	if j.option > 0 {
		opts = append(opts, coap.BlockSize(j.option))
	}
	body := coap.Raw(j.body)
	if j.stream {
		body = coap.Stream(bytes.NewReader(j.body), message.OctetStream)
	}
	if j.method == message.GET {
		body = coap.Body{}
	}
	resp, err := c.Do(ctx, coap.NewRequest(j.method, url+j.path, body, opts...))
	var got []byte
	if err == nil {
		got, err = resp.Bytes()
	}
	switch {
	case err != nil:
		b.failed(i, err)
	case !resp.Code.IsSuccess():
		b.refused(i, resp)
	case j.method == message.GET && !b.held(j.path, got):
		b.errorf("job %d: GET %s: %d bytes that were never there", i, j.path, len(got))
	case (j.method == message.POST || j.method == message.FETCH) && !bytes.Equal(got, j.body):
		b.errorf("job %d: %v %s: %d bytes for %d", i, j.method, j.path, len(got), j.size)
	case j.method == message.PUT && j.unique() && b.ran(i) == 0:
		b.errorf("job %d: PUT %s: success without a run of the handler", i, j.path)
	default:
		return true
	}
	return false
}

func (b *blockBooks) ran(i int) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.runs[i]
}

// failed checks that an error is typed and has a reason.
func (b *blockBooks) failed(i int, err error) {
	var op *coap.OpError
	causes := []error{coap.ErrTimeout, coap.ErrResponseTimeout, coap.ErrBlockIncomplete, coap.ErrETagChanged}
	if b.jobs[i].cancel > 0 {
		causes = append(causes, context.DeadlineExceeded)
	}
	for _, cause := range causes {
		if errors.As(err, &op) && errors.Is(err, cause) {
			return
		}
	}
	b.errorf("job %d: %v", i, err)
}

// refused checks that an error response is one of a transfer that was disturbed.
func (b *blockBooks) refused(i int, resp *coap.Response) {
	if resp.Code != message.RequestEntityIncomplete || !errors.Is(resp.Err(), coap.ErrBlockIncomplete) {
		b.errorf("job %d: %v", i, resp.Err())
	}
}

// play runs a scene and returns what was wrong, and how many jobs came to a good end of
// those that nothing but the link was in the way of.
func (s *blockScene) play(t *testing.T) (wrong []string, succeeded, jobs int) {
	books := &blockBooks{jobs: s.jobs, runs: make([]int, len(s.jobs)), state: map[string][]byte{}}
	coaptest.Run(t, func(t *testing.T) {
		server := coaptest.NewUnstartedServer(books.resources())
		server.Network = simnet.New(s.seed)
		server.Network.SetDefault(s.link)
		server.Config.Limits = s.server
		server.Start()
		defer server.Close()
		var clients [2]*coap.Client
		for i := range clients {
			clients[i] = newClient(t, server, func(c *coap.Client) { c.Limits, c.Listen = s.clients[i], s.listen(server.Network) })
		}
		ended := make([]bool, len(s.jobs))
		var all sync.WaitGroup
		for i, j := range s.jobs {
			all.Go(func() { ended[i] = books.do(t.Context(), clients[j.client], server.URL, i) })
		}
		all.Wait()
		for i, j := range s.jobs {
			if j.cancel > 0 || s.server.Transfers > 0 {
				continue
			}
			if jobs++; ended[i] {
				succeeded++
			}
		}
		expectIdle(t, server)
	})
	for i, n := range books.runs {
		if j := &s.jobs[i]; n > 1 && j.method != message.FETCH && j.unique() {
			books.errorf("job %d: %v %s: the handler ran %d times", i, j.method, j.path, n)
		}
	}
	return books.wrong, succeeded, jobs
}

func (s *blockScene) listen(n *simnet.Network) func(context.Context, string) (transport.Conn, error) {
	listen := coaptest.Listen(n)
	return func(ctx context.Context, network string) (transport.Conn, error) {
		conn, err := listen(ctx, network)
		return &replayer{Conn: conn, share: s.replay, rng: rand.New(rand.NewPCG(s.seed, 1))}, err
	}
}

// A replayer sends, after what it is to send, now and then an older datagram again, up to
// MAX_LATENCY after its time (RFC 7252 §4.8.2).
type replayer struct {
	transport.Conn
	share float64

	mu   sync.Mutex
	rng  *rand.Rand
	sent []replayed
}

type replayed struct {
	transport.Packet
	at time.Time
}

func (r *replayer) WriteBatch(p []transport.Packet) (int, error) {
	n, err := r.Conn.WriteBatch(p)
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range p {
		old := p[i]
		old.Buf = bytes.Clone(old.Buf[:old.N])
		r.sent = append(r.sent, replayed{old, time.Now()})
	}
	if old := r.sent[r.rng.IntN(len(r.sent))]; r.rng.Float64() < r.share && time.Since(old.at) < 100*time.Second {
		r.Conn.WriteBatch([]transport.Packet{old.Packet})
	}
	return n, err
}

// Whatever two clients send and fetch at once, over whatever link, with uploads given up
// midway and old datagrams coming again: a handler sees bodies that were sent, whole and
// once; a caller gets the right body or an error that says why not; and nothing is left
// when the lifetimes are over.
func TestBlocksRapid(t *testing.T) {
	jobs, succeeded := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		wrong, good, all := drawBlockScene(rt).play(t)
		succeeded, jobs = succeeded+good, jobs+all
		for _, line := range wrong {
			rt.Error(line)
		}
	})
	t.Logf("%d of %d jobs succeeded", succeeded, jobs)
	if !t.Failed() && succeeded < jobs*9/10 {
		t.Errorf("%d of %d jobs succeeded", succeeded, jobs)
	}
}
