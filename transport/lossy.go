package transport

import (
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
)

// A LossyConfig says how bad a link is.
type LossyConfig struct {
	// Seed makes the choice of what is lost; each direction has its own sequence, one
	// draw per datagram.
	Seed uint64
	// Send and Receive are the shares of datagrams lost on the way out and in, 0 to 1.
	Send, Receive float64
	// Tap, if not nil, is told the fate of each datagram, before it is sent or returned.
	// It may be called from several goroutines at once.
	Tap func(Fate)
}

// A Fate is what a lossy link does to one datagram.
type Fate struct {
	Sent    bool // by this side, else received
	Dropped bool
	// Packet is the datagram. Its Buf is borrowed for the call.
	Packet Packet
}

// Lossy returns conn behind a link that loses datagrams. Error reports pass. A datagram
// lost on the way out counts as handed over. Groups are joined through it where conn is a
// Joiner, else the error is errors.ErrUnsupported.
func Lossy(conn Conn, cfg LossyConfig) Conn {
	return &lossy{
		Conn: conn,
		cfg:  cfg,
		in:   rand.New(rand.NewPCG(cfg.Seed, 0)),
		out:  rand.New(rand.NewPCG(cfg.Seed, 1)),
	}
}

type lossy struct {
	Conn
	cfg LossyConfig
	in  *rand.Rand // the reader's

	mu  sync.Mutex
	out *rand.Rand
}

func (l *lossy) ReadBatch(p []Packet) (int, error) {
	for {
		n, err := l.Conn.ReadBatch(p)
		kept := 0
		for i := range p[:n] {
			if p[i].Err == nil {
				drop := l.in.Float64() < l.cfg.Receive
				l.tell(&p[i], false, drop)
				if drop {
					continue
				}
			}
			p[kept], p[i] = p[i], p[kept]
			kept++
		}
		if kept > 0 || n == 0 || err != nil {
			return kept, err
		}
	}
}

func (l *lossy) WriteBatch(p []Packet) (n int, err error) {
	var drop [MaxBatch]bool
	for len(p) > 0 && err == nil {
		batch := p[:min(len(p), MaxBatch)]
		p = p[len(batch):]
		l.mu.Lock()
		for i := range batch {
			drop[i] = l.out.Float64() < l.cfg.Send
		}
		l.mu.Unlock()
		var sent int
		sent, err = l.writeKept(batch, drop[:len(batch)])
		n += sent
	}
	return n, err
}

// writeKept sends the runs of packets between those to drop.
func (l *lossy) writeKept(p []Packet, drop []bool) (n int, err error) {
	for i := 0; i < len(p); {
		l.tell(&p[i], true, drop[i])
		if drop[i] {
			p[i].Err = nil
			n++
			i++
			continue
		}
		end := i + 1
		for end < len(p) && !drop[end] {
			l.tell(&p[end], true, false)
			end++
		}
		sent, err := l.Conn.WriteBatch(p[i:end])
		n += sent
		if err != nil {
			return n, err
		}
		i = end
	}
	return n, nil
}

func (l *lossy) tell(p *Packet, sent, dropped bool) {
	if l.cfg.Tap != nil {
		l.cfg.Tap(Fate{Sent: sent, Dropped: dropped, Packet: *p})
	}
}

// ReceiveDrops returns what the Conn within lost, without the losses made here.
func (l *lossy) ReceiveDrops() (n uint64, ok bool) {
	if c, ok := l.Conn.(DropCounter); ok {
		return c.ReceiveDrops()
	}
	return 0, false
}

func (l *lossy) JoinGroup(group netip.Addr, ifi *net.Interface) error {
	if j, ok := l.Conn.(Joiner); ok {
		return j.JoinGroup(group, ifi)
	}
	return errors.ErrUnsupported
}

func (l *lossy) LeaveGroup(group netip.Addr, ifi *net.Interface) error {
	if j, ok := l.Conn.(Joiner); ok {
		return j.LeaveGroup(group, ifi)
	}
	return errors.ErrUnsupported
}
