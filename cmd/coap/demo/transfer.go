package demo

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/message"
)

const (
	// transferLoss is the most that the link loses of the transfers: at 20 % they would take
	// up to a minute, as one block after the other is on its way.
	transferLoss = 0.05
	// transferBytes is how long the body is.
	transferBytes = 64 << 10
	// firmwarePath is where it goes.
	firmwarePath = "/firmware"
)

// firmware is a resource of the node that holds one body of any kind.
type firmware struct {
	mu   sync.Mutex
	body []byte
}

func (f *firmware) add(m *coap.Mux) {
	m.HandleFunc("GET "+firmwarePath, f.get, coap.Produces(message.OctetStream), coap.ResourceType("firmware"))
	m.HandleFunc("PUT "+firmwarePath, f.put, coap.BodyLimit(transferBytes))
}

func (f *firmware) get(w coap.ResponseWriter, _ *coap.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	w.SetContentFormat(message.OctetStream)
	w.Write(f.body)
}

func (f *firmware) put(_ coap.ResponseWriter, r *coap.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.body = bytes.Clone(r.Payload())
}

// transfer uploads a body and downloads it again, on the two steps behind the observation.
func (s *session) transfer(ctx context.Context, cfg Config) error {
	image := make([]byte, transferBytes)
	rng := rand.New(rand.NewPCG(cfg.Seed, 3))
	for i := range image {
		image[i] = byte(rng.Uint32())
	}
	sum := sha256.Sum256(image)
	url, number := s.base+firmwarePath, len(steps)+2
	err := s.flow(number-1, fmt.Sprintf("PUT: %d KiB, block by block", transferBytes>>10), []string{
		"What doesn't fit into a datagram goes in blocks (RFC 7959): Block1 NUM/M/SIZE tells which one it",
		"is and whether more follow. Each is acknowledged by 2.31 before the next one is sent, and",
		fmt.Sprintf("the node acts when all are there. The link loses %.0f %% here; shown is what is lost or comes", min(cfg.Loss, transferLoss)*100),
		"again.",
	}, sum, func() ([]byte, error) {
		resp, err := s.bulk.Put(ctx, url, coap.Bytes(image, message.OctetStream))
		return image, errors.Join(err, unexpected(resp, message.Changed))
	})
	if err != nil {
		return fmt.Errorf("demo: step %d: %w", number, err)
	}
	err = s.flow(number, "GET: and back", []string{
		"The first response has Block2 with M, and Size2, the length of the whole. The client asks for",
		"the other blocks; the ETag says that all are of one representation (§2.4).",
	}, sum, func() ([]byte, error) {
		resp, err := s.bulk.Get(ctx, url)
		if err = errors.Join(err, unexpected(resp, message.Content)); err != nil {
			return nil, err
		}
		return resp.Bytes()
	})
	if err != nil {
		return fmt.Errorf("demo: step %d: %w", number+1, err)
	}
	return nil
}

// unexpected returns an error where a response, which may be nil, has another code.
func unexpected(resp *coap.Response, want message.Code) error {
	if resp == nil || resp.Code == want {
		return nil
	}
	return fmt.Errorf("%w: %v, not %v", ErrResponse, resp.Code, want)
}

// flow carries out a step that moves a body, prints its outcome, and holds the body
// against its SHA-256.
func (s *session) flow(step int, headline string, shows []string, want [sha256.Size]byte, move func() ([]byte, error)) error {
	s.begin(step, headline, shows)
	s.rec.setBrief(true)
	began := time.Now()
	body, err := move()
	taken := time.Since(began)
	time.Sleep(pause)
	s.rec.setBrief(false)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(body)
	s.rec.printf("   = %d bytes in %.3f s, %.1f KiB/s, SHA-256 %x\n", len(body), taken.Seconds(),
		float64(len(body))/1024/max(taken.Seconds(), 1e-3), sum)
	if sum != want {
		return fmt.Errorf("%w: SHA-256 %x, not %x", ErrResponse, sum, want)
	}
	return nil
}
