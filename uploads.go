package coap

import (
	"time"

	"github.com/motewire/coap/message"
	"github.com/motewire/coap/peer"
)

// uploads tells which peers may have blocks of an upload of ours on their way, so that
// another one needs a Request-Tag (RFC 9175 §3.4). The shard's lock owns it. An entry
// goes with the first upload after its time is over.
type uploads struct {
	peers map[peer.Addr]uploading
	stale []staleUpload // in the order of their time
	tags  uint32        // how many there were
}

type uploading struct {
	active int       // how many are under way
	until  time.Time // when the last block of one that was given up is gone
}

type staleUpload struct {
	to    peer.Addr
	until time.Time
}

// begin enters an upload. Where another one overlaps it returns a tag that no other
// upload of the socket has.
func (u *uploads) begin(now time.Time, to peer.Addr) (tag message.Tag, tagged bool) {
	u.advance(now)
	if u.peers == nil {
		u.peers = map[peer.Addr]uploading{}
	}
	p, tagged := u.peers[to]
	p.active++
	u.peers[to] = p
	if !tagged {
		return message.Tag{}, false
	}
	u.tags++
	return tagOf(u.tags), true
}

// tagOf returns a number in as few bytes as it takes.
func tagOf(n uint32) message.Tag {
	b := []byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
	for len(b) > 1 && b[0] == 0 {
		b = b[1:]
	}
	tag, _ := message.MakeTag(b) // four bytes are few enough
	return tag
}

// end takes an upload out, after which its blocks, or the requests for those of its
// response, may be under way until a time; zero: none are.
func (u *uploads) end(to peer.Addr, until time.Time) {
	p := u.peers[to]
	p.active--
	if !until.IsZero() {
		p.until = until
		u.stale = append(u.stale, staleUpload{to, until})
	}
	if u.peers[to] = p; p.active == 0 && p.until.IsZero() {
		delete(u.peers, to)
	}
}

// advance forgets what is over.
func (u *uploads) advance(now time.Time) {
	for len(u.stale) > 0 && !now.Before(u.stale[0].until) {
		to := u.stale[0].to
		p := u.peers[to]
		if !now.Before(p.until) {
			p.until = time.Time{}
		}
		if u.peers[to] = p; p.active == 0 && p.until.IsZero() {
			delete(u.peers, to)
		}
		if u.stale = u.stale[1:]; len(u.stale) == 0 {
			u.stale = nil
		}
	}
}

// uploadBegun enters the transfer's upload, which gets a Request-Tag where that is needed
// and the caller has not set one.
func (t *clientTransfer) uploadBegun() {
	t.shard.mu.Lock()
	defer t.shard.mu.Unlock()
	t.tag, t.tagged = t.shard.eng.uploads.begin(time.Now(), t.to)
	t.tagged = t.tagged && !t.options.has(message.RequestTag)
}

// uploadEnded takes an upload out. clean says that nothing of it is under way: the final
// response was there, and whole.
func (s *shard) uploadEnded(to peer.Addr, clean bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	until := time.Time{}
	if !clean {
		until = time.Now().Add(s.core.params.WithDefaults().ExchangeLifetime())
	}
	s.eng.uploads.end(to, until)
}
