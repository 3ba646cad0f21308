package coap

import (
	"errors"
	"maps"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/motewire/coap/peer"
	"github.com/motewire/coap/transport"
)

// paths are the peers to which messages have to be shorter than Limits.MessageBytes (RFC
// 7252 §4.6), as the network has refused a longer one or the system knew. Anybody may read
// it; the shard's lock owns the right to replace the map, which never changes.
type paths struct {
	narrow atomic.Pointer[map[peer.Addr]path]
}

type path struct {
	bytes int // of the longest message
	until time.Time
}

const (
	// maxPaths is how many narrow paths are known at once; the one that is forgotten next
	// makes room.
	maxPaths = 256
	// pathLifetime is when a path may have become wider (RFC 1191 §6.3).
	pathLifetime = 10 * time.Minute
)

// within returns how many bytes, of most, a message to a peer may have.
func (p *paths) within(to peer.Addr, most int) int {
	if m := p.narrow.Load(); m != nil {
		if known, ok := (*m)[to.Remote()]; ok && time.Now().Before(known.until) {
			return min(most, known.bytes)
		}
	}
	return most
}

// learn notes what the path to a peer takes.
func (p *paths) learn(now time.Time, to peer.Addr, bytes int) {
	next := map[peer.Addr]path{}
	if m := p.narrow.Load(); m != nil {
		maps.Copy(next, *m)
	}
	maps.DeleteFunc(next, func(_ peer.Addr, known path) bool { return !now.Before(known.until) })
	if _, known := next[to.Remote()]; !known && len(next) >= maxPaths {
		var oldest peer.Addr
		for other, known := range next {
			if first, ok := next[oldest]; !ok || known.until.Before(first.until) {
				oldest = other
			}
		}
		delete(next, oldest)
	}
	next[to.Remote()] = path{bytes, now.Add(pathLifetime)}
	p.narrow.Store(&next)
}

// messageBytes returns how long a message to a peer may be, before its token is extended.
func (s *shard) messageBytes(to peer.Addr) int {
	return s.paths.within(to, s.core.limits.MessageBytes) - s.core.extraBytes
}

// measure asks the system how long a message to a peer may be; false where that is as long
// as any, or not known.
func (s *shard) measure(to peer.Addr) (bytes int, narrow bool) {
	sizer, ok := s.conn.(transport.PathSizer)
	if !ok {
		return 0, false
	}
	bytes, known := sizer.PathBytes(to)
	return bytes, known && bytes < s.core.limits.MessageBytes
}

// explore learns of a narrow path before a transfer, so that no block is lost to it.
func (s *shard) explore(to peer.Addr) {
	if bytes, narrow := s.measure(to); narrow {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.paths.learn(time.Now(), to, bytes)
	}
}

// tooLong learns from a packet that was too long for its path, under mu. Where the system
// doesn't say what is not, it is shorter than what was refused at once.
func (s *shard) tooLong(now time.Time, p *transport.Packet) {
	if !errors.Is(p.Err, syscall.EMSGSIZE) {
		return
	}
	bytes, narrow := s.measure(p.Peer)
	var report *transport.DeliveryError
	if !narrow && errors.As(p.Err, &report) && !report.Reporter.IsValid() {
		bytes, narrow = min(p.N, s.core.limits.MessageBytes)-1, true
	}
	if narrow {
		s.paths.learn(now, p.Peer, bytes)
	}
}
