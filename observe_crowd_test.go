package coap_test

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/message"
	"github.com/motewire/coap/peer"
	"github.com/motewire/coap/transport"
)

// A crowd is a transport.Conn with many clients behind it, each an endpoint of its own with
// the address 10.x.y.z of its number. They observe /value and acknowledge what is
// Confirmable, but for the dead ones.
type crowd struct {
	registration []byte
	dead         func(n uint32) bool // nil: nobody

	mu      sync.Mutex
	ready   sync.Cond
	inbox   []inbound
	closed  bool
	seen    []byte // the last byte of the payload that each client got last
	when    []time.Time
	packets int // from the server
	wanted  int // until how many packets await waits
}

// An inbound is a datagram to the server: a registration, or an Acknowledgement.
type inbound struct {
	from uint32
	id   message.ID
	ack  bool
}

func newCrowd(tb testing.TB, clients int) *crowd {
	m := message.Message{
		Type: message.NonConfirmable, Code: message.GET, Token: tokenOf(7),
		Options: []message.Option{observeRegister, path("value")},
	}
	d, err := m.MarshalBinary()
	if err != nil {
		tb.Fatal(err)
	}
	c := &crowd{registration: d, seen: make([]byte, clients), when: make([]time.Time, clients)}
	c.ready.L = &c.mu
	return c
}

func (c *crowd) ReadBatch(p []transport.Packet) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.inbox) == 0 && !c.closed {
		c.ready.Wait()
	}
	if c.closed {
		return 0, net.ErrClosed
	}
	n := min(len(p), len(c.inbox))
	for i, in := range c.inbox[:n] {
		if p[i].N = copy(p[i].Buf, c.registration); in.ack {
			p[i].N = 4
			p[i].Buf[0], p[i].Buf[1] = 1<<6|byte(message.Acknowledgement)<<4, byte(message.Empty)
		}
		binary.BigEndian.PutUint16(p[i].Buf[2:], uint16(in.id))
		p[i].Peer = peer.FromBytes(&[16]byte{10: 0xff, 11: 0xff, 12: 10, 13: byte(in.from >> 16), 14: byte(in.from >> 8), 15: byte(in.from)}, 0, 40000)
		p[i].Multicast, p[i].Truncated, p[i].Err = false, false, nil
	}
	c.inbox = c.inbox[:copy(c.inbox, c.inbox[n:])]
	c.ready.Broadcast() // await waits for the last one
	return n, nil
}

func (c *crowd) WriteBatch(p []transport.Packet) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	for i := range p {
		a, d := p[i].Peer.AddrPort().Addr().As4(), p[i].Buf[:p[i].N]
		n := uint32(a[1])<<16 | uint32(a[2])<<8 | uint32(a[3])
		if c.dead != nil && c.dead(n) && c.seen[n] != 0 {
			continue
		}
		c.seen[n], c.when[n] = d[len(d)-1], now
		if message.Type(d[0]>>4&3) == message.Confirmable {
			c.inbox = append(c.inbox, inbound{from: n, id: message.ID(binary.BigEndian.Uint16(d[2:])), ack: true})
		}
	}
	c.packets += len(p)
	c.ready.Broadcast()
	return len(p), nil
}

func (c *crowd) LocalAddr() netip.AddrPort { return netip.MustParseAddrPort("10.255.255.255:5683") }

func (c *crowd) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.ready.Broadcast()
	return nil
}

// register has clients from first to last-1 register, and waits for the answers.
func (c *crowd) register(first, last int) {
	c.mu.Lock()
	for n := first; n < last; n++ {
		c.inbox = append(c.inbox, inbound{from: uint32(n)})
	}
	c.wanted = c.packets + last - first
	c.mu.Unlock()
	c.await()
}

// expect says that so many packets are to come; await waits for them.
func (c *crowd) expect(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wanted = c.packets + n
}

func (c *crowd) await() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ready.Broadcast()
	for c.packets < c.wanted || len(c.inbox) > 0 {
		c.ready.Wait()
	}
}

// crowded serves a value of one byte to a crowd until stop is called. What is remembered of
// the requests is kept small.
func crowded(tb testing.TB, c *crowd, policy coap.NotifyPolicy) (value *coap.State[string], server *coap.Server, stop func()) {
	value = coap.NewState("0")
	mux := coap.NewMux()
	mux.Handle("GET /value", value, coap.Notifications(policy))
	server = &coap.Server{
		Handler: mux, NotifyInterval: -1,
		Limits: coap.Limits{DedupBytes: 2 << 20, Observers: 1 << 20},
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx, c) }()
	return value, server, func() {
		cancel()
		if err := <-done; err != nil {
			tb.Error(err)
		}
	}
}

// RFC 7641 §4.5.1: a dead observer delays nobody. Of 10,000 observers 1,000 never acknowledge;
// the others have each state in the moment of the change.
func TestObserveDeadObserversDelayNobody(t *testing.T) {
	const clients = 10_000
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, clients)
		c.dead = func(n uint32) bool { return n%10 == 0 }
		value, server, stop := crowded(t, c, allConfirmable)
		defer stop()
		c.register(0, clients)
		if n := server.Stats().Observations.Observers; n != clients {
			t.Fatalf("%d observers", n)
		}
		for change := range 20 {
			time.Sleep(time.Second)
			changed := time.Now()
			state := "abcdefghijklmnopqrstuvwxyz"[change]
			value.Set(string(state))
			time.Sleep(100 * time.Millisecond)
			synctest.Wait()
			c.mu.Lock()
			for n := range uint32(clients) {
				if dead := c.dead(n); !dead && (c.seen[n] != state || c.when[n] != changed) {
					t.Fatalf("client %d has %q since %v after the change", n, c.seen[n], c.when[n].Sub(changed))
				}
			}
			c.mu.Unlock()
		}
		time.Sleep(2 * time.Minute)
		stats := server.Stats()
		if o := stats.Observations; o.Observers != clients*9/10 || o.DroppedTimeout != clients/10 {
			t.Errorf("%+v", o)
		}
		if stats.Messages.OpenExchanges != 0 {
			t.Errorf("%+v", stats.Messages)
		}
	})
}

// rootBytes is what an observer may cost the whole server, in bytes of heap.
const rootBytes = 256

// The heap that an observer takes, list and wiring together.
func TestObserveMemoryPerObserver(t *testing.T) {
	if testing.Short() {
		t.Skip("a hundred thousand observers")
	}
	const clients = 100_000
	c := newCrowd(t, clients)
	c.inbox = make([]inbound, 0, clients)
	value, server, stop := crowded(t, c, allNonConfirmable)
	defer stop()
	// What requests cost, and no observer, is there before.
	plain := slices.Clone(c.registration)
	c.registration = slices.Delete(plain, 5, 6)
	c.registration[5] = byte(message.URIPath)<<4 | 5
	c.register(0, clients)
	c.registration = newCrowd(t, 0).registration
	before := heap()
	c.register(0, clients)
	if n := server.Stats().Observations.Observers; n != clients {
		t.Fatalf("%d observers", n)
	}
	for _, state := range []string{"1", "2", "3", "4"} { // until all message IDs that are remembered are there
		c.expect(clients)
		value.Set(state)
		c.await()
	}
	per := float64(heap()-before) / clients
	t.Logf("%.0f bytes per observer", per)
	if per > rootBytes {
		t.Errorf("%.0f bytes per observer, want at most %d", per, rootBytes)
	}
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// What a change for 10,000 observers may allocate: a fixed number, for the goroutines that
// notify and render and for the rendering, of which there are more where the machine is busy,
// and where notifications are Confirmable, chunks of 256 exchanges, which the message layer
// gives back when they are over. An idle machine takes a fifth of it.
const (
	allocationsPerChange = 250
	exchangesPerChunk    = 256
)

func TestObserveNotifyAllocations(t *testing.T) {
	if testing.Short() {
		t.Skip("thousands of observers")
	}
	for name, policy := range map[string]coap.NotifyPolicy{"non": allNonConfirmable, "con": allConfirmable} {
		t.Run(name, func(t *testing.T) {
			clients := unlessRace(10_000, 1000)
			change := notifyingCrowd(t, clients, policy)
			for range 10 {
				change()
			}
			n := testing.AllocsPerRun(20, change)
			t.Logf("%v allocations per change of %d observers", n, clients)
			limit := float64(allocationsPerChange)
			if policy == allConfirmable {
				limit += float64(clients/exchangesPerChunk + 1)
			}
			if n > limit && !underRace() {
				t.Errorf("%v allocations per change, want at most %v", n, limit)
			}
		})
	}
}

// notifyingCrowd returns a function that changes a value and waits until all have got it.
func notifyingCrowd(tb testing.TB, clients int, policy coap.NotifyPolicy) (change func()) {
	c := newCrowd(tb, clients)
	value, _, stop := crowded(tb, c, policy)
	tb.Cleanup(stop)
	c.register(0, clients)
	states := []string{"a", "b"}
	n := 0
	return func() {
		c.expect(clients)
		n++
		value.Set(states[n%2])
		c.await()
	}
}

// A registration and a change, per observer, through the whole server without a network.
func BenchmarkObserve(b *testing.B) {
	const clients = 10_000
	b.Run("register", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			c := newCrowd(b, clients)
			_, _, stop := crowded(b, c, allNonConfirmable)
			b.StartTimer()
			c.register(0, clients)
			b.StopTimer()
			stop()
			b.StartTimer()
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*clients), "ns/observer")
	})
	for name, policy := range map[string]coap.NotifyPolicy{"non": allNonConfirmable, "con": allConfirmable} {
		b.Run("notify/"+name, func(b *testing.B) {
			change := notifyingCrowd(b, clients, policy)
			b.ReportAllocs()
			for b.Loop() {
				change()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*clients), "ns/observer")
		})
	}
}
