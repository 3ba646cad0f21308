package load

import (
	"bytes"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/coaptest"
	"github.com/motewire/coap/message"
	"github.com/motewire/coap/transport/simnet"
)

// The kinds of a mix take turns by their shares, and are counted each.
func TestMix(t *testing.T) {
	mux := coap.NewMux()
	mux.HandleFunc("GET /x", func(w coap.ResponseWriter, _ *coap.Request) { w.WriteString("x") })
	mux.HandleFunc("POST /x", func(w coap.ResponseWriter, r *coap.Request) {
		if string(r.Payload()) != "hi" {
			coap.Error(w, message.BadRequest, "not hi")
		}
	})
	options := []message.Option{path}
	mix := []Request{
		{Name: "get", Share: 7, Options: options},
		{Name: "post", Share: 2, Code: message.POST, Options: options, Payload: []byte("hi")},
		{Name: "non-get", NonConfirmable: true, Options: options},
	}
	for _, rate := range []float64{0, 1000} {
		against(t, mux, Config{Mix: mix, Ports: 2, Window: 3, Rate: rate}, func(t *testing.T, _ *coaptest.Server, g *Generator) {
			r := run(t, g, 0, 1000)
			if r.Answered != 1000 || r.Code(message.Content) != 800 || r.Code(message.Changed) != 200 {
				t.Errorf("%d answered, %d 2.05, %d 2.04", r.Answered, r.Code(message.Content), r.Code(message.Changed))
			}
			for i, want := range []uint64{700, 200, 100} {
				if k := r.Kinds[i]; k.Sent != want || k.Answered != want || k.Latency.Count() != want {
					t.Errorf("%s: %d sent, %d answered, want %d", mix[i].Name, k.Sent, k.Answered, want)
				}
			}
		})
	}
}

// Bodies go in blocks both ways, also where datagrams are lost and transfers overlap: the server
// sees each upload whole, and a download is an answer when the last block is there.
func TestBlocks(t *testing.T) {
	body := bytes.Repeat([]byte("0123456789"), 500)
	var mu sync.Mutex
	taken := 0
	mux := coap.NewMux()
	mux.HandleFunc("PUT /x", func(w coap.ResponseWriter, r *coap.Request) {
		mu.Lock()
		defer mu.Unlock()
		if taken++; !bytes.Equal(r.Payload(), body) {
			t.Errorf("%d bytes came", len(r.Payload()))
		}
		w.Write(body[:3000])
	})
	mux.HandleFunc("GET /x", func(w coap.ResponseWriter, _ *coap.Request) { w.Write(body) })
	options := []message.Option{path}
	mix := []Request{
		{Name: "put", Code: message.PUT, Options: options, Payload: body},
		{Name: "get", Options: options},
	}
	for _, size := range []int{0, 64, 512} {
		for _, loss := range []float64{0, 0.1} {
			t.Run(fmt.Sprint(size, loss), func(t *testing.T) {
				taken = 0
				cfg := Config{Mix: mix, Ports: 2, Window: 4, BlockSize: size, Drain: time.Hour}
				against(t, mux, cfg, func(t *testing.T, s *coaptest.Server, g *Generator) {
					s.Network.SetDefault(simnet.Link{Loss: loss, Delay: time.Millisecond})
					r := run(t, g, 0, 40)
					got := r.Answered + r.TimedOut
					if got != 40 || loss == 0 && r.TimedOut > 0 || r.Broken != 0 || r.Malformed != 0 || taken < 15 {
						t.Errorf("%d answered, %d timed out, %d broken, %d bodies came", r.Answered, r.TimedOut, r.Broken, taken)
					}
					if size == 0 {
						size = 1024
					}
					if blocks := uint64(20 * (2*(len(body)/size) - 2)); r.Blocks < blocks/2 || loss == 0 && r.Bytes != 20*uint64(2*len(body)+3000) {
						t.Errorf("%d further blocks, %d bytes", r.Blocks, r.Bytes)
					}
				})
			})
		}
	}
}

// A server that wants smaller blocks gets them (RFC 7959 §2.3).
func TestSmallerBlocks(t *testing.T) {
	body := bytes.Repeat([]byte("0123456789"), 300)
	h := coap.HandlerFunc(func(w coap.ResponseWriter, r *coap.Request) {
		if !bytes.Equal(r.Payload(), body) {
			t.Errorf("%d bytes came", len(r.Payload()))
		}
	})
	cfg := Config{Code: message.PUT, Payload: body}
	coaptest.Run(t, func(t *testing.T) {
		s := coaptest.NewUnstartedServer(h)
		s.Config.Limits.BlockBytes = 128
		s.Start()
		defer s.Close()
		cfg.To, cfg.Options, cfg.Listen = s.Addr, []message.Option{path}, listenOn(s)
		g, err := New(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer g.Close()
		if r := run(t, g, 0, 1); r.Answered != 1 || r.Code(message.Changed) != 1 || r.Blocks != (3000-1024+127)/128 {
			t.Errorf("%d answered, %d further blocks", r.Answered, r.Blocks)
		}
	})
}

// Message IDs of transfers are used once, too (RFC 7252 §4.4), from several addresses likewise.
func TestMessageIDsOfBlocks(t *testing.T) {
	body := make([]byte, 3000)
	h := coap.HandlerFunc(func(w coap.ResponseWriter, _ *coap.Request) { w.Write(body) })
	type key struct {
		port uint16
		id   message.ID
	}
	seen, ports := map[key]bool{}, map[uint16]bool{}
	against(t, h, Config{Window: 16, BlockSize: 64}, func(t *testing.T, s *coaptest.Server, g *Generator) {
		var mu sync.Mutex
		s.Network.Tap(func(r simnet.Record) {
			if r.To != s.Addr {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			k := key{r.From.Port(), message.ID(r.Data[2])<<8 | message.ID(r.Data[3])}
			if seen[k] {
				t.Errorf("%+v again", k)
			}
			seen[k], ports[k.port] = true, true
		})
		const requests = 2000 // of 47 messages
		if r := run(t, g, 0, requests); r.Answered != requests || r.Blocks != requests*46 || len(ports) != 2 {
			t.Errorf("%d answered with %d further blocks from %d ports", r.Answered, r.Blocks, len(ports))
		}
	})
}

// What breaks a rule of RFC 7959 is no answer.
func TestBrokenTransfers(t *testing.T) {
	block := func(n message.OptionNumber, b message.Block) []message.Option {
		return []message.Option{blockOption(n, b)}
	}
	for name, answer := range map[string]message.Message{
		"another block is asked for": {Code: message.Continue, Options: block(message.Block1, message.Block{Num: 7, More: true, SZX: 6})},
		"no block is asked for":      {Code: message.Continue},
		"a reserved size":            {Code: message.Content, Options: block(message.Block2, message.Block{More: true, SZX: 7})},
	} {
		b, err := answer.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		var v message.View
		if err := v.Parse(b); err != nil {
			t.Fatal(err)
		}
		kinds, err := (&Config{Code: message.PUT, Payload: make([]byte, 2000)}).kinds()
		if err != nil {
			t.Fatal(err)
		}
		var s slot
		s.first(kinds[0], 1)
		if more, err := s.further(&v); more || err == nil {
			t.Errorf("%s: %v, %v", name, more, err)
		}
	}
}

func TestRefusedMixes(t *testing.T) {
	to := netip.MustParseAddrPort("127.0.0.1:5683")
	for _, cfg := range []Config{
		{To: to, BlockSize: 100}, {To: to, BlockSize: 2048},
		{To: to, Mix: []Request{{Share: -1}}}, {To: to, Mix: []Request{{Share: maxShares}, {}}},
		{To: to, Mix: []Request{{}, {Options: []message.Option{{Number: 11}, {Number: 3}}}}},
	} {
		if g, err := New(t.Context(), cfg); err == nil {
			g.Close()
			t.Errorf("%+v is accepted", cfg)
		}
	}
}
