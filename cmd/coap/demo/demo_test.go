package demo

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/coaptest"
	"github.com/motewire/coap/transport"
	"github.com/motewire/coap/transport/simnet"
)

func TestMain(m *testing.M) { coaptest.Main(m) }

// inMemory returns a listener on a network without loss of its own.
func inMemory() listener {
	network := simnet.New(1)
	return func(context.Context) (transport.Conn, error) {
		return network.Listen(netip.AddrPortFrom(netip.IPv4Unspecified(), 0))
	}
}

// runInMemory carries out the demo in virtual time and returns what it prints.
func runInMemory(t *testing.T, cfg Config) (output string, took time.Duration, err error) {
	t.Helper()
	coaptest.Run(t, func(t *testing.T) {
		var b bytes.Buffer
		begin := time.Now()
		err = run(t.Context(), newRecorder(&b, cfg.Color), cfg, inMemory())
		output, took = b.String(), time.Since(begin)
	})
	return output, took, err
}

// The demo on real sockets ends in time and shows what it promises.
func TestRun(t *testing.T) {
	var b bytes.Buffer
	begin := time.Now()
	if err := Run(t.Context(), &b, Config{Seed: 42, Loss: 0.2}); err != nil {
		t.Fatalf("%v after\n%s", err, &b)
	}
	if took := time.Since(begin); took > 20*time.Second {
		t.Errorf("took %v", took)
	}
	checkOutput(t, b.String())
}

func checkOutput(t *testing.T, output string) {
	t.Helper()
	for _, want := range []string{"loses 20 %", "--seed 42", "ACK_TIMEOUT 150ms", "[retransmission 1", "lost]", "--x  CON", "x--  ", "~~~  NON", "[held back]", "[late: stale, discarded]", "HTTP/1.1"} {
		if !strings.Contains(output, want) {
			t.Errorf("no %q in\n%s", want, output)
		}
	}
	_, transfers, _ := strings.Cut(output, "13. PUT: 64 KiB")
	_, sum, _ := strings.Cut(transfers, "65536 bytes in ")
	_, sum, _ = strings.Cut(sum, "SHA-256 ")
	sum, _, _ = strings.Cut(sum, "\n")
	if len(sum) != 64 || strings.Count(transfers, sum) != 2 || !strings.Contains(transfers, "loses 5 % here") {
		t.Errorf("no transfer of one body both ways in\n%s", output)
	}
	for _, want := range []string{"Block1 0/1/1024", "2.31", "...  ", "14. GET", "Block2 1/0/1024"} {
		if !strings.Contains(transfers, want) {
			t.Errorf("no %q behind step 13 in\n%s", want, output)
		}
	}
	if !strings.Contains(output, "The node has 0 observers left") || strings.Count(output, "/temperature Observe 1") == 0 {
		t.Errorf("no clean end of the observation in\n%s", output)
	}
	// In this order: the request, its Empty Acknowledgement, the response of its own, and
	// the Acknowledgement of that.
	_, rest, found := strings.Cut(output, "/slow")
	for _, want := range []string{"<--  ACK  Empty", "<--  CON  2.05", "-->  ACK  Empty"} {
		if found {
			_, rest, found = strings.Cut(rest, want)
		}
	}
	if !found {
		t.Errorf("no separate response in\n%s", output)
	}
}

func TestRunInMemory(t *testing.T) {
	output, _, err := runInMemory(t, Config{Seed: 42, Loss: 0.2})
	if err != nil {
		t.Fatal(err)
	}
	checkOutput(t, output)
	if strings.Contains(output, "\x1b") {
		t.Error("colours without Config.Color")
	}
	colored, _, err := runInMemory(t, Config{Seed: 42, Loss: 0.2, Color: true})
	if err != nil || !strings.Contains(colored, "\x1b[1m1. Discovery") || !strings.Contains(colored, "\x1b[33m") || !strings.Contains(colored, "\x1b[31m") {
		t.Errorf("%v: no colours in\n%s", err, colored)
	}
}

// The seed decides alone which datagrams are lost, and no seed makes the demo fail. Jitter
// of time-outs, message IDs and tokens differ from run to run.
func TestSeeds(t *testing.T) {
	for seed := range uint64(100) {
		output, took, err := runInMemory(t, Config{Seed: seed, Loss: 0.2})
		if err != nil {
			t.Errorf("seed %d: %v after\n%s", seed, err, output)
		}
		if took > 30*time.Second { // jitter of one seed among the hundred takes it to 21 s
			t.Errorf("seed %d: took %v", seed, took)
		}
	}
	first, _, _ := runInMemory(t, Config{Seed: 42, Loss: 0.2})
	second, _, _ := runInMemory(t, Config{Seed: 42, Loss: 0.2})
	other, _, _ := runInMemory(t, Config{Seed: 4, Loss: 0.2})
	if arrows(first) != arrows(second) || arrows(first) == arrows(other) {
		t.Errorf("%s\n%s\n%s", arrows(first), arrows(second), arrows(other))
	}
}

// arrows returns the fates of an output's datagrams in order.
func arrows(output string) string {
	var fates []string
	for line := range strings.Lines(output) {
		if fields := strings.Fields(line); len(fields) > 2 && strings.Contains("--> <-- --x x-- ~~~", fields[1]) {
			fates = append(fates, fields[1])
		}
	}
	return strings.Join(fates, " ")
}

func TestRunFails(t *testing.T) {
	if _, _, err := runInMemory(t, Config{Loss: 1}); !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, coap.ErrTimeout) {
		t.Errorf("without any datagram: %v", err)
	}
	coaptest.Run(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		if err := run(ctx, newRecorder(io.Discard, false), Config{Loss: 1}, inMemory()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("context over: %v", err)
		}
		begin := time.Now()
		if err := run(t.Context(), newRecorder(closedPipe{}, false), Config{}, inMemory()); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("closed output: %v", err)
		}
		if d := time.Since(begin); d > 100*time.Millisecond {
			t.Errorf("closed output: went on for %v", d)
		}
		broken := errors.New("no socket")
		err := run(t.Context(), newRecorder(io.Discard, false), Config{}, func(context.Context) (transport.Conn, error) { return nil, broken })
		if !errors.Is(err, broken) {
			t.Errorf("no socket: %v", err)
		}
	})
}

// A node that answers otherwise than the steps expect is an error.
func TestUnexpectedResponse(t *testing.T) {
	old := steps[3]
	defer func() { steps[3] = old }()
	steps[3].code += 1
	if _, _, err := runInMemory(t, Config{}); !errors.Is(err, ErrResponse) || !strings.Contains(err.Error(), "step 4") {
		t.Error(err)
	}
	steps[3] = old
	steps[3].check = func(_ *session, r *coap.Response) error { return expect(r, "off") }
	if _, _, err := runInMemory(t, Config{}); !errors.Is(err, ErrResponse) || !strings.Contains(err.Error(), `"on", not "off"`) {
		t.Error(err)
	}
}

// A body that comes back as another one is an error.
func TestTransferIsVerified(t *testing.T) {
	s := &session{rec: newRecorder(io.Discard, false)}
	sum := sha256.Sum256([]byte("x"))
	move := func(body string) func() ([]byte, error) { return func() ([]byte, error) { return []byte(body), nil } }
	if err := s.flow(0, "", nil, sum, move("x")); err != nil {
		t.Error(err)
	}
	if err := s.flow(0, "", nil, sum, move("y")); !errors.Is(err, ErrResponse) {
		t.Error(err)
	}
	if _, _, err := runInMemory(t, Config{}); err != nil {
		t.Error(err)
	}
}

type closedPipe struct{}

func (closedPipe) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }
