package load

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/motewire/coap/message"
	"github.com/motewire/coap/peer"
	"github.com/motewire/coap/transport"
)

// An instant is a time in nanoseconds since the generator's epoch.
type instant int64

// A slot is one request under way, or room for one.
type slot struct {
	buf      []byte // the message
	to       peer.Addr
	due      instant
	next     instant // when it is sent again or given up
	id       message.ID
	sequence uint16 // tells its requests apart
	attempt  int
	open     bool
	acked    bool // by an Empty Acknowledgement

	kind  *kind
	tag   uint32        // Request-Tag
	down  bool          // further blocks of the response are fetched
	block message.Block // the one that is sent or asked for
}

// A lane is one source port with its slots.
type lane struct {
	g      *Generator
	number int
	done   chan struct{} // closed when the reader has ended

	mu     sync.Mutex // owns all below
	conn   transport.Conn
	closed bool
	err    error // why the lane is beyond use
	slots  []slot
	free   []uint16
	issued uint64 // requests sent from this source port
	base   message.ID
	salt   uint32
	blocks bool // there are transfers in blocks
	out    []transport.Packet
	acks   [transport.MaxBatch][4]byte
	acked  int
	last   instant // of the last answer
	heard  uint64  // datagrams
	result Result
	view   message.View
}

// tokenLength is what the tokens here have: RFC 7252 §5.3.1 wants 32 bits of randomness
// of clients in the Internet. They hold the slot and its sequence, under a random mask.
const tokenLength = 4

func newLane(ctx context.Context, g *Generator, number int) (*lane, error) {
	l := &lane{g: g, number: number, done: make(chan struct{})}
	l.slots = make([]slot, g.cfg.Window)
	for i := range l.slots {
		l.slots[i].kind = g.turns[0]
		l.free = append(l.free, uint16(i))
	}
	if err := l.open(ctx); err != nil {
		return nil, err
	}
	go l.read()
	return l, nil
}

// open opens a fresh source port.
func (l *lane) open(ctx context.Context) error {
	conn, err := l.g.ports.fresh(ctx, l.g.cfg.Listen)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		conn.Close()
		return net.ErrClosed
	}
	l.conn, l.issued = conn, 0
	l.base, l.salt = message.ID(rand.Uint32()), rand.Uint32()
	return nil
}

// close ends the lane and waits for its reader.
func (l *lane) close() {
	l.mu.Lock()
	l.closed = true
	l.conn.Close()
	l.mu.Unlock()
	<-l.done
}

// read reads answers until the lane is closed, through one source port after the other.
func (l *lane) read() {
	defer close(l.done)
	packets := make([]transport.Packet, transport.MaxBatch)
	for i := range packets {
		packets[i].Buf = make([]byte, 2048)
	}
	for {
		n, err := l.conn.ReadBatch(packets)
		if errors.Is(err, net.ErrClosed) {
			if err = l.open(context.Background()); err == nil {
				l.fill()
				continue
			}
		}
		if err != nil {
			l.broken(err)
			return
		}
		l.mu.Lock()
		now := l.g.now()
		for i := range packets[:n] {
			l.receive(now, &packets[i])
		}
		l.refill(now)
		l.flush()
		l.mu.Unlock()
	}
}

func (l *lane) broken(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.err = fmt.Errorf("load: source port: %w", err)
	}
}

// fill sends as many requests as the window has room for.
func (l *lane) fill() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refill(l.g.now())
	l.flush()
}

// refill does the same under mu, in the closed loop.
func (l *lane) refill(now instant) {
	if l.g.cfg.Rate > 0 {
		l.renew()
		return
	}
	for len(l.free) > 0 && !l.exhausted() {
		k := l.g.ticket()
		if k == nil {
			break
		}
		l.issue(now, now, k)
	}
	l.renew()
}

// sources returns how many source addresses the lane has, at least one.
func (l *lane) sources() uint64 { return max(uint64(l.g.cfg.Sources/l.g.cfg.Ports), 1) }

// exhausted reports whether no message ID is left for a new request (RFC 7252 §4.4): each was
// used once from each source address. Where there are transfers in blocks some are kept for
// those that are under way.
func (l *lane) exhausted() bool {
	limit := l.sources() << 16
	if l.blocks {
		limit -= min(uint64(len(l.slots))*256, limit/2)
	}
	return l.issued >= limit
}

// renew gives an exhausted source port up when nothing is under way any more. The reader
// opens another.
func (l *lane) renew() {
	if l.exhausted() && len(l.free) == len(l.slots) {
		l.conn.Close()
	}
}

// issue puts a request into a free slot and into the outgoing batch.
func (l *lane) issue(now, due instant, k *kind) {
	i := l.free[len(l.free)-1]
	l.free = l.free[:len(l.free)-1]
	s := &l.slots[i]
	s.open, s.due = true, due
	s.first(k, rand.Uint32())
	s.to = l.source(l.issued % l.sources())
	l.result.Sent++
	if k := l.ofKind(s); k != nil {
		k.Sent++
	}
	l.begins(now, s, i)
}

// begins sends a message of a slot for the first time.
func (l *lane) begins(now instant, s *slot, i uint16) {
	s.sequence++
	s.acked, s.attempt = false, 0
	s.id = l.base + message.ID(l.issued/l.sources())
	l.issued++
	s.compose()
	binary.BigEndian.PutUint16(s.buf[2:], uint16(s.id))
	binary.BigEndian.PutUint32(s.buf[4:], l.salt^(uint32(i)<<16|uint32(s.sequence)))
	l.transmit(now, s)
}

// goOn sends the next message of a transfer in blocks, from the address of the first. It
// reports whether a message ID was left for it.
func (l *lane) goOn(now instant, s *slot, i int) bool {
	l.blocks = true
	for l.issued < l.sources()<<16 && l.source(l.issued%l.sources()) != s.to {
		l.issued++
	}
	if l.issued >= l.sources()<<16 {
		return false
	}
	l.result.Blocks++
	l.begins(now, s, uint16(i))
	return true
}

// ofKind returns the result of a slot's kind, nil where there is but one.
func (l *lane) ofKind(s *slot) *KindResult {
	if len(l.result.Kinds) == 0 {
		return nil
	}
	return &l.result.Kinds[s.kind.number]
}

// transmit sends a request for the first time or again.
func (l *lane) transmit(now instant, s *slot) {
	wait := l.g.cfg.ResponseTimeout
	if !s.kind.NonConfirmable {
		wait = l.g.cfg.AckTimeout << s.attempt // §4.2
		wait += rand.N(wait/2 + 1)             // ACK_RANDOM_FACTOR
	}
	s.next = now + instant(wait)
	l.out = append(l.out, transport.Packet{Buf: s.buf, N: len(s.buf), Peer: s.to})
}

// source returns the address of the server as one of the source addresses knows it.
func (l *lane) source(n uint64) peer.Addr {
	to := peer.From(l.g.cfg.To)
	if l.g.cfg.Sources == 0 {
		return to
	}
	n += uint64(l.number)*l.sources() + 1<<16 + 1
	local := [16]byte{10: 0xff, 11: 0xff, 12: 127, 13: byte(n >> 16), 14: byte(n >> 8), 15: byte(n)}
	return to.WithLocalBytes(&local)
}

// flush sends the outgoing batch. What can't be sent is noticed by its silence.
func (l *lane) flush() {
	if len(l.out) == 0 {
		return
	}
	if _, err := l.conn.WriteBatch(l.out); err != nil && !errors.Is(err, net.ErrClosed) {
		l.err = err
	}
	clear(l.out)
	l.out, l.acked = l.out[:0], 0
}

// finish frees a slot.
func (l *lane) finish(s *slot, i int) {
	s.open = false
	l.free = append(l.free, uint16(i))
}

// begin starts a run: the closed loop's first requests.
func (l *lane) begin() {
	l.mu.Lock()
	l.result, l.last = Result{}, 0
	if n := len(l.g.kinds); n > 1 {
		l.result.Kinds = make([]KindResult, n)
	}
	l.mu.Unlock()
	l.fill()
}

// end ends a run: it gives up what is under way and adds up what came of the run.
func (l *lane) end(total *Result) (last instant) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.slots {
		if s := &l.slots[i]; s.open {
			l.result.Unanswered++
			l.finish(s, i)
		}
	}
	l.renew()
	total.Add(&l.result)
	return l.last
}

// advance sends again or gives up what is due. It returns how many requests are under way.
func (l *lane) advance(now instant) (open int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.free) < len(l.slots) {
		for i := range l.slots {
			if s := &l.slots[i]; s.open && now >= s.next {
				l.expire(now, s, i)
			}
		}
		l.refill(now)
		l.flush()
	}
	return len(l.slots) - len(l.free), l.err
}

func (l *lane) expire(now instant, s *slot, i int) {
	if s.kind.NonConfirmable || s.acked || s.attempt >= l.g.cfg.MaxRetransmit {
		l.result.TimedOut++
		l.finish(s, i)
		return
	}
	s.attempt++
	l.result.Retransmissions++
	l.transmit(now, s)
}

// A portHistory remembers source ports for as long as the message IDs used from them are
// alive: EXCHANGE_LIFETIME (RFC 7252 §4.8.2).
type portHistory struct {
	mu   sync.Mutex
	used map[uint16]time.Time
}

const lifetime = 247 * time.Second

// fresh opens sockets until one has a port that was not used lately.
func (h *portHistory) fresh(ctx context.Context, listen func(context.Context) (transport.Conn, error)) (transport.Conn, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.used == nil {
		h.used = map[uint16]time.Time{}
	}
	var refused []transport.Conn // kept open meanwhile, or the system may offer them again
	defer func() {
		for _, c := range refused {
			c.Close()
		}
	}()
	for range 256 {
		c, err := listen(ctx)
		if err != nil {
			return nil, fmt.Errorf("load: source port: %w", err)
		}
		port, now := c.LocalAddr().Port(), time.Now()
		if at, known := h.used[port]; !known || now.Sub(at) > lifetime {
			h.used[port] = now
			return c, nil
		}
		refused = append(refused, c)
	}
	return nil, errors.New("load: no source port is left whose message IDs are free")
}
