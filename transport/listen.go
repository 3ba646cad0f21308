package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
)

// DefaultBuffer is the size in bytes that a socket's buffers are asked to have. The
// system may give less: a burst that exceeds the receive buffer is lost.
const DefaultBuffer = 4 << 20

// A Config says how a UDP socket is made. The zero value is fit for clients and servers.
type Config struct {
	// ReusePort lets several sockets of this user bind the same address (SO_REUSEPORT);
	// the system spreads the peers over them. Where the system can't, Listen returns
	// an error that is errors.ErrUnsupported.
	ReusePort bool
	// ReceiveBuffer and SendBuffer are the sizes in bytes that the socket's buffers
	// are asked to have; it is no error when the system gives less. Zero means
	// DefaultBuffer, negative the system's default.
	ReceiveBuffer, SendBuffer int
	// MulticastInterface is where multicast datagrams leave whose address names no
	// zone. Nil lets the system choose.
	MulticastInterface *net.Interface
	// MulticastHops is the TTL and hop limit of multicast datagrams, 1 to 255. Zero
	// means the system's default, which is 1: the own link.
	MulticastHops int
	// NoSegments hands every datagram to the system by itself. Else a run of datagrams to
	// one peer, equally long but for the last, goes to Linux as one (UDP_SEGMENT) for a
	// fraction of the price. A capture on the sending host shows it as one datagram, and
	// an ICMP error from this host itself tells of the first in it alone.
	NoSegments bool
}

func (c Config) withDefaults() Config {
	if c.ReceiveBuffer == 0 {
		c.ReceiveBuffer = DefaultBuffer
	}
	if c.SendBuffer == 0 {
		c.SendBuffer = DefaultBuffer
	}
	return c
}

// A UDP is a Conn over one UDP socket.
type UDP struct {
	sock  socket
	batch batcher
	local netip.AddrPort
	v4    bool // sends and receives IPv4
	v6    bool // likewise IPv6; both for a dual-stack socket
	drops drops

	segments bool // Config.NoSegments is not set
}

// A socket is a *net.UDPConn, or what a batcher has put in its place.
type socket interface {
	net.PacketConn
	SyscallConn() (syscall.RawConn, error)
}

// A batcher moves the batches of one socket in the way of one system.
type batcher interface {
	read(p []Packet) (int, error)
	write(p []Packet) (int, error)
	// deadline ends the reading call at a time with os.ErrDeadlineExceeded, and all after it
	// until it is told another time.
	deadline(t time.Time) error
	// dropped returns the system's counter of datagrams dropped on arrival.
	dropped() (n uint32, ok bool)
}

// A system is one way to use sockets: native is the best of this system.
type system struct {
	name    string
	options func(fd uintptr, v6 bool) error // for a socket not yet bound
	batcher func(*UDP) (batcher, error)
}

// Listen opens a UDP socket. network is udp, udp4 or udp6. address is host:port: an empty
// host is the wildcard address, with udp that of both IPv4 and IPv6 where the system has
// both; port 0 lets the system choose. ctx limits the resolution of a
// host name, nothing after it.
func Listen(ctx context.Context, network, address string, cfg Config) (*UDP, error) {
	return listen(ctx, network, address, cfg, native)
}

func listen(ctx context.Context, network, address string, cfg Config, sys system) (*UDP, error) {
	switch network {
	case "udp", "udp4", "udp6":
	default:
		return nil, fmt.Errorf("transport: listen: %w", net.UnknownNetworkError(network))
	}
	if cfg.MulticastHops < 0 || cfg.MulticastHops > 255 {
		return nil, fmt.Errorf("transport: listen: MulticastHops %d is not in 0 to 255", cfg.MulticastHops)
	}
	cfg = cfg.withDefaults()
	u, err := open(ctx, network, address, cfg, sys)
	if err != nil {
		return nil, fmt.Errorf("transport: %w", err)
	}
	if err = u.setMulticast(cfg); err == nil {
		u.batch, err = sys.batcher(u)
	}
	if err != nil {
		u.sock.Close()
		return nil, fmt.Errorf("transport: listen %s %s: %w", network, address, err)
	}
	return u, nil
}

// open binds the socket and sets its options.
func open(ctx context.Context, network, address string, cfg Config, sys system) (*UDP, error) {
	// With port 0 the port is shared only once it is bound: a socket that shares from
	// the start may be given the port of another server of this user.
	early := cfg.ReusePort && !anyPort(address)
	lc := net.ListenConfig{Control: func(network, _ string, raw syscall.RawConn) error {
		return control(raw, func(fd uintptr) error {
			if early {
				if err := setReusePort(fd); err != nil {
					return err
				}
			}
			return sys.options(fd, network == "udp6")
		})
	}}
	conn, err := lc.ListenPacket(ctx, network, address)
	if err != nil {
		return nil, err
	}
	sock := conn.(*net.UDPConn)
	if err := finish(sock, cfg, cfg.ReusePort && !early); err != nil {
		sock.Close()
		return nil, err
	}
	bound := sock.LocalAddr().(*net.UDPAddr).AddrPort()
	local := netip.AddrPortFrom(bound.Addr().Unmap(), bound.Port())
	v4 := local.Addr().Is4()
	return &UDP{
		sock:  sock,
		local: local,
		v4:    v4 || network == "udp" && local.Addr().IsUnspecified(),
		v6:    !v4,

		segments: !cfg.NoSegments,
	}, nil
}

// finish sets what is set on a bound socket.
func finish(sock *net.UDPConn, cfg Config, share bool) error {
	raw, err := sock.SyscallConn()
	if err != nil {
		return err
	}
	return control(raw, func(fd uintptr) error {
		setBuffers(sock, fd, cfg)
		if share {
			return setReusePort(fd)
		}
		return nil
	})
}

// control runs f with the descriptor and returns its error.
func control(raw syscall.RawConn, f func(fd uintptr) error) error {
	var inner error
	if err := raw.Control(func(fd uintptr) { inner = f(fd) }); err != nil {
		return err
	}
	return inner
}

// anyPort reports whether address leaves the port to the system.
func anyPort(address string) bool {
	_, port, err := net.SplitHostPort(address)
	return err == nil && (port == "0" || port == "")
}

// ListenShards opens up to n sockets on one address and port, over which the system
// spreads the peers, each peer always to the same socket. Port 0 lets the system choose
// one port for all. Where sockets can't share a port it opens a single one. cfg.ReusePort
// is implied. Exactly one of the sockets, by custom the first, should join groups.
func ListenShards(ctx context.Context, network, address string, n int, cfg Config) ([]*UDP, error) {
	if n < 1 {
		return nil, fmt.Errorf("transport: ListenShards: n is %d, not at least 1", n)
	}
	cfg.ReusePort = n > 1
	first, err := Listen(ctx, network, address, cfg)
	if n > 1 && errors.Is(err, errors.ErrUnsupported) {
		return ListenShards(ctx, network, address, 1, cfg)
	}
	if err != nil {
		return nil, err
	}
	shards := []*UDP{first}
	// The first may have got its address from a name and its port from the system; the
	// others bind what it has.
	for len(shards) < n {
		u, err := Listen(ctx, network, shardAddress(address, first.local), cfg)
		if err != nil {
			for _, s := range shards {
				s.Close()
			}
			return nil, err
		}
		shards = append(shards, u)
	}
	return shards, nil
}

// shardAddress returns the address of further shards. The wildcard host stays as given,
// since "::" alone would not tell a dual-stack socket.
func shardAddress(given string, bound netip.AddrPort) string {
	if bound.Addr().IsUnspecified() {
		host, _, _ := net.SplitHostPort(given)
		return net.JoinHostPort(host, fmt.Sprint(bound.Port()))
	}
	return bound.String()
}

// ReadBatch waits for datagrams and error reports (see Conn).
func (u *UDP) ReadBatch(p []Packet) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	n, err := u.batch.read(p)
	if err != nil && u.interrupted(err) {
		return 0, nil
	}
	return n, err
}

// Interrupt calls the reader away (see Interrupter).
func (u *UDP) Interrupt() { _ = u.batch.deadline(past) } // or it is closed

// past is a time that is over.
var past = time.Unix(1, 0)

// interrupted takes notice of an interruption, where err says that there was one.
func (u *UDP) interrupted(err error) bool {
	return errors.Is(err, os.ErrDeadlineExceeded) && u.batch.deadline(time.Time{}) == nil
}

// WriteBatch sends datagrams (see Conn). A packet whose N is not within its Buf panics.
func (u *UDP) WriteBatch(p []Packet) (int, error) { return u.batch.write(p) }

// LocalAddr returns the address that the socket is bound to.
func (u *UDP) LocalAddr() netip.AddrPort { return u.local }

// Close closes the socket and ends pending and future calls with net.ErrClosed.
func (u *UDP) Close() error {
	u.ReceiveDrops() // for the last time
	return u.sock.Close()
}
