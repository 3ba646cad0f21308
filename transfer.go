package coap

import (
	"context"
	"errors"
	"syscall"
	"time"

	"github.com/motewire/coap/blockwise"
	"github.com/motewire/coap/message"
	"github.com/motewire/coap/peer"
)

// A clientTransfer is a request that takes several messages, as its body or that of the
// response is larger than a block (RFC 7959). The goroutine of its caller owns it, and no
// other runs for it: it goes on when the caller wants more.
type clientTransfer struct {
	shard    *shard
	ctx      context.Context // of the call, also for the blocks that come later
	to       peer.Addr
	options  optionList // of the request, but those of blocks
	message  Request    // the next one; its Body is a block
	sent     optionList // options of the last one
	upload   *blockwise.Upload
	download *blockwise.Download
	tag      message.Tag // Request-Tag
	tagged   bool        // there is one
	anew     bool        // the download began again
	streamed bool        // the program reads the upload's blocks
	opening  bool        // the next message begins the upload, or the download again

	slowest time.Duration // the longest that a response took so far

	known *map[peer.Addr]path // the narrow paths that the upload knows of
}

// maxResends is how often a block that timed out is sent again. Where 20 % of all datagrams
// are lost, one message in 170 times out.
const maxResends = 3

// do sends a request to a peer and returns the response, which fetches what its message
// doesn't hold when it is read.
func (s *shard) do(ctx context.Context, to peer.Addr, options *optionList, r *Request) (*Response, error) {
	byHand := r.call.byHand()
	if !byHand && !s.fits(to, options, r) {
		if err := context.Cause(ctx); err != nil {
			return nil, (&call{to: to}).failed(r, err)
		}
		t, err := s.newTransfer(ctx, to, options, r)
		if err != nil {
			return nil, (&call{to: to}).failed(r, err)
		}
		return t.run()
	}
	resp, err := s.exchange(ctx, to, options, r)
	if err != nil && !byHand && neverLeft(err) && len(r.Body.data) > 0 && !s.fits(to, options, r) {
		return s.do(ctx, to, options, r) // it has to go in blocks
	}
	if err != nil || byHand || !resp.partial() && (resp.Code != message.RequestEntityTooLarge || len(r.Body.data) == 0) {
		return resp, err
	}
	t, err := s.newTransfer(ctx, to, options, r)
	if err != nil {
		return nil, (&call{to: to}).failed(r, err)
	}
	return t.resume(resp)
}

// fits reports whether a request is sent as one message.
func (s *shard) fits(to peer.Addr, options *optionList, r *Request) bool {
	if r.Body.stream != nil {
		return false
	}
	n := len(r.Body.data)
	return n == 0 || n <= s.blockSize(r) && n <= s.room(to, options, r)
}

// blockSize returns the greatest block size that a request may have.
func (s *shard) blockSize(r *Request) int {
	if r.call.blockSize > 0 {
		return r.call.blockSize
	}
	return s.core.limits.BlockBytes
}

// room returns how long the payload of a request to a peer may be (RFC 7252 §4.6).
func (s *shard) room(to peer.Addr, options *optionList, r *Request) int {
	token := message.MaxTokenLength
	if r.call.tokenSet {
		token = max(token, r.call.token.Len())
	}
	return s.messageBytes(to) - len("head") - token - options.size() - len("\xff")
}

// blockOptionBytes is how many bytes Block1, Block2, Size1 and Request-Tag take at most.
const blockOptionBytes = (2 + 3) + (2 + 3) + (2 + 4) + (3 + message.MaxTagLength)

// newTransfer prepares a transfer of a request whose options are built.
func (s *shard) newTransfer(ctx context.Context, to peer.Addr, options *optionList, r *Request) (*clientTransfer, error) {
	t := &clientTransfer{shard: s, ctx: ctx, to: to, message: *r, streamed: r.Body.stream != nil}
	t.options.set(options)
	t.options.remove(message.Block2)
	if err := errors.Join(r.Body.err, r.call.err); err != nil {
		return nil, err
	}
	var err error
	s.explore(to)
	if t.download, err = blockwise.NewDownload(s.downloadConfig(r)); err != nil {
		return nil, err
	}
	cfg := blockwise.UploadConfig{BlockSize: s.uploadSize(to, options, r)}
	if st := r.Body.stream; st != nil {
		cfg.Size = st.size1()
		t.upload, err = blockwise.NewStreamUpload(st.begin(), cfg)
	} else {
		t.upload, err = blockwise.NewUpload(r.Body.data, cfg)
	}
	t.message.Body = Body{}
	return t, err
}

// downloadConfig says how the response is fetched. A handler runs again where that is
// harmless only, and where the whole request is at hand.
func (s *shard) downloadConfig(r *Request) blockwise.DownloadConfig {
	cfg := blockwise.DownloadConfig{BlockSize: s.blockSize(r), Late: r.call.blockSize == 0}
	if !blockwise.Repeatable(r.Method) {
		cfg.Restarts = -1
	}
	return cfg
}

// uploadSize returns the block size to begin with.
func (s *shard) uploadSize(to peer.Addr, options *optionList, r *Request) int {
	if s.fits(to, options, r) {
		return s.blockSize(r) // it went in one message
	}
	return min(s.blockSize(r), 16<<blockwise.SZXWithin(s.blockRoom(to, options, r)))
}

// blockRoom returns how long a block of a request to a peer may be.
func (s *shard) blockRoom(to peer.Addr, options *optionList, r *Request) int {
	return s.room(to, options, r) - blockOptionBytes
}

// neverLeft reports whether a message was too long for its path from the first, so that nobody
// can have got it.
func neverLeft(err error) bool {
	var op *OpError
	return errors.Is(err, syscall.EMSGSIZE) && errors.As(err, &op) && op.Attempts <= 1
}

// narrow cuts what is left of the body into smaller blocks where the path to the peer turned
// out to take no more. It reports whether there is a difference.
func (t *clientTransfer) narrow() bool {
	known := t.shard.paths.narrow.Load()
	if known == t.known {
		return false
	}
	t.known = known
	return t.upload.Limit(t.shard.blockRoom(t.to, &t.options, &t.message))
}

// run sends the request's body.
func (t *clientTransfer) run() (*Response, error) {
	t.options.remove(message.Size1)
	resp, err := t.up()
	if err != nil {
		return nil, err
	}
	return t.receive(resp)
}

// resume goes on behind a request that was sent as one message.
func (t *clientTransfer) resume(resp *Response) (*Response, error) {
	part, err := t.upload.Next()
	if err != nil {
		return nil, t.failed(err)
	}
	t.message.Body.data = part.Payload
	t.message.call.tokenSet = false
	final, err := t.upload.Response(&resp.view)
	switch {
	case err != nil:
		return nil, t.failed(err)
	case final:
		return t.receive(resp)
	}
	return t.run() // RFC 7959 §2.9.3: a hint to try blocks
}

// up sends the body's parts until the final response.
func (t *clientTransfer) up() (resp *Response, err error) {
	if !t.streamed {
		t.message.call.lease = t.shard.borrow(t.ctx)
		defer t.endLease()
	}
	counted, answered := false, false
	defer func() {
		if counted {
			t.shard.uploadEnded(t.to, answered && resp.Code != message.Empty && !resp.partial())
		}
	}()
	for resends := 0; ; {
		if err := context.Cause(t.ctx); err != nil { // or its reader is asked in vain
			return nil, t.failed(t.upload.Where(err))
		}
		if resends == 0 { // or the server would have to take a last block in parts that it has
			t.narrow()
		}
		part, err := t.upload.Next()
		if err != nil {
			return nil, t.failed(err)
		}
		if part.Blockwise && !counted {
			counted = true
			t.uploadBegun()
		}
		resp, err = t.send(&part, resends)
		if err != nil {
			if neverLeft(err) && t.narrow() {
				continue
			}
			if !part.Blockwise {
				return nil, err
			}
			if resends++; resends <= maxResends && t.lost(err) {
				continue
			}
			return nil, within(err, t.upload.Where)
		}
		resends = 0
		if answered, err = t.upload.Response(&resp.view); err != nil {
			return nil, t.failed(err)
		} else if answered {
			return resp, nil
		}
	}
}

// send sends one part of the body, which was lost so many times, and returns the response to
// it.
func (t *clientTransfer) send(part *blockwise.Part, resends int) (*Response, error) {
	t.sent.set(&t.options)
	if part.Blockwise {
		t.sent.addUint(message.Block1, part.Block1.Encode())
		t.addTag()
	}
	if part.Block1.Num > 0 {
		// §2.10: "If-None-Match [...] MUST NOT be used on Block1 requests with NUM != 0."
		t.sent.remove(message.IfNoneMatch)
	}
	if part.Size1 >= 0 {
		t.sent.addUint(message.Size1, uint32(part.Size1))
	}
	if !part.Last {
		t.sent.remove(message.NoResponse) // these need their 2.31
	} else if b, asks := t.download.Next(); asks {
		t.sent.addUint(message.Block2, b.Encode())
	}
	t.message.Body.data, t.opening = part.Payload, part.Block1.Num == 0
	if !part.Blockwise {
		resends = maxResends // it is sent once
	}
	return t.exchange(resends)
}

// exchange sends the next message, which was lost so many times. Each but the first has a
// token of its own choice. A Non-confirmable one that is sent again keeps its token: its
// response may have been late alone.
func (t *clientTransfer) exchange(resends int) (*Response, error) {
	c := &t.message.call
	if c.patience = t.patience(resends); c.nonConfirmable && !c.tokenSet {
		c.token, c.tokenSet = t.shard.newToken(t.to), true
	}
	resp, err := t.shard.exchange(t.ctx, t.to, &t.sent, &t.message)
	c.tokenSet = c.tokenSet && c.nonConfirmable && err != nil
	if err == nil {
		t.slowest = max(t.slowest, resp.RTT)
	}
	return resp, err
}

// patience returns how long a Non-confirmable message waits for its response before it is
// sent again, which doubles like the time-out of a Confirmable one (RFC 7252 §4.2). Zero is
// the client's ResponseTimeout: where that is shorter, and for the last attempt.
//
// It begins with four times what the slowest response took: on a link that delays more than
// ACK_TIMEOUT nothing is sent twice, which would cost a server that makes its representation
// only once the block that it is at. A first block waits for MAX_TRANSMIT_SPAN, 45 s: a copy
// of an upload's that came behind the last one would begin it again, and with a copy of that
// the handler would run twice; one of a download's makes a new representation.
func (t *clientTransfer) patience(resends int) time.Duration {
	if !t.message.call.nonConfirmable || resends >= maxResends {
		return 0
	}
	n := t.shard.core
	p := n.params.WithDefaults()
	wait := max(time.Duration(float64(p.AckTimeout)*p.AckRandomFactor), 4*t.slowest) << resends
	if t.opening {
		wait = max(wait, p.MaxTransmitSpan())
	}
	if most := n.timing.response; most > 0 && wait >= most {
		return 0
	}
	return wait
}

// newToken draws a token for a message that may be sent more than once.
func (s *shard) newToken(to peer.Addr) message.Token {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.eng.ep.NewToken(to)
}

// endLease gives the reader's role back.
func (t *clientTransfer) endLease() {
	t.message.call.lease.end()
	t.message.call.lease = nil
}

func (t *clientTransfer) addTag() {
	if t.tagged {
		var room [message.MaxTagLength]byte
		t.sent.add(message.RequestTag, t.tag.Append(room[:0]))
	}
}

// receive takes the response to the whole request. Where its body goes on, the response
// owns the transfer from now on.
func (t *clientTransfer) receive(resp *Response) (*Response, error) {
	chunk, err := t.download.Add(&resp.view)
	if err != nil {
		return nil, t.failed(err)
	}
	if chunk.Done {
		return resp, nil
	}
	if t.to.IsMulticast() { // RFC 7959 §2.8
		t.to, t.message.call.nonConfirmable = resp.peer, false
	}
	// §2.7: later requests have no payload. That of a FETCH belongs to what it asks for, and
	// stays as long as it is in one message.
	if t.message.Method != message.FETCH {
		t.message.Body.data = nil
	} else if t.sent.has(message.Block1) {
		t.message.Body.data = nil
		t.download.Pin()
	}
	t.upload = nil
	t.slowest = max(t.slowest, resp.RTT)
	resp.rest = &remainder{transfer: t, block: resp.view.Payload()}
	return resp, nil
}

// later builds the options of a request for a further block: those of the first one but
// these (RFC 7959 §2.4, §2.6, §2.7, §2.10). When the download has begun again, ETag is none
// of them: 2.03 would answer a question that is no longer asked.
func (t *clientTransfer) later() {
	t.sent.set(&t.options)
	for _, n := range []message.OptionNumber{message.Block1, message.Size1, message.Observe, message.IfNoneMatch, message.NoResponse} {
		t.sent.remove(n)
	}
	if t.anew {
		t.sent.remove(message.ETag)
	}
	t.addTag()
	b, _ := t.download.Next()
	t.opening = b.Num == 0
	t.sent.addUint(message.Block2, b.Encode())
}

// fetch gets the next block of the response's body.
func (t *clientTransfer) fetch() (blockwise.Chunk, *Response, error) {
	t.later()
	resp, err := t.exchange(0)
	for resends := 1; err != nil && resends <= maxResends && t.lost(err); resends++ {
		resp, err = t.exchange(resends)
	}
	if err != nil {
		return blockwise.Chunk{}, nil, within(err, t.download.Where)
	}
	chunk, err := t.download.Add(&resp.view)
	if err != nil {
		return chunk, nil, t.failed(err)
	}
	t.anew = t.anew || chunk.Restart
	return chunk, resp, nil
}

// lost reports whether a message may be sent again as another one: nobody acknowledged
// it, or it was Non-confirmable and nobody answered.
func (t *clientTransfer) lost(err error) bool {
	return errors.Is(err, ErrTimeout) || t.message.call.nonConfirmable && errors.Is(err, ErrResponseTimeout)
}

// failed makes an OpError of what ended the transfer here.
func (t *clientTransfer) failed(err error) error {
	return &OpError{Op: t.message.Method.Name(), URL: t.message.URL, Peer: t.to.String(), Err: err}
}

// within adds to the failure of a message which block it was about.
func within(err error, where func(error) *blockwise.Error) error {
	if op, ok := err.(*OpError); ok { //nolint:errorlint // made by exchange
		op.Err = where(op.Err)
	}
	return err
}

// attach has a response whose body goes on fetch the rest from where it came. resp may
// be nil.
func (s *shard) attach(ctx context.Context, options *optionList, r *Request, resp *Response) {
	if resp == nil || r.call.byHand() || !resp.partial() {
		return
	}
	t, err := s.newTransfer(ctx, resp.peer, options, r)
	if err == nil {
		t.message.Body.data, t.message.call.nonConfirmable = r.Body.data, false
		t.message.call.tokenSet = false
		_, err = t.receive(resp)
	}
	if err != nil {
		resp.rest = &remainder{block: resp.view.Payload(), err: err}
	}
}
