package coap

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/motewire/coap/message"
	"github.com/motewire/coap/peer"
)

// An extension makes the tokens of a client's requests longer than those of up to eight bytes
// by which it finds their responses (RFC 8974 §2.1). It works where datagrams leave and enter
// the engine: what is above knows the short token alone. A token on the wire is one byte that
// says how long the short one is, that one, and as much of the filling as is needed. The shard's
// lock owns it.
type extension struct {
	filling []byte // as long as a token is on the wire; nil: tokens go as they are
	token   []byte // the one that was made last
	short   []byte // the message that was shortened last
}

// newExtension returns the extension for tokens of n bytes.
func newExtension(n int, rng *rand.Rand) (x extension) {
	if n > message.MaxTokenLength {
		x.filling = make([]byte, n)
		for i := range x.filling {
			x.filling[i] = byte(rng.Uint32())
		}
	}
	return x
}

// extendTokens makes room in messages for the client's tokens, and refuses those that are too
// long.
func (n *core) extendTokens() error {
	if n.tokenBytes == 0 {
		return nil
	}
	if n.tokenBytes < message.MaxTokenLength || n.tokenBytes > n.limits.MessageBytes/2 {
		return fmt.Errorf("coap: Client.TokenBytes is %d, not 8 to half of MessageBytes", n.tokenBytes)
	}
	n.extraBytes = n.tokenBytes + lengthBytes(n.tokenBytes) - message.MaxTokenLength
	return nil
}

// extend is a message as it goes on the wire, valid until the next call.
func (x *extension) extend(datagram []byte) []byte {
	code := message.Code(datagram[1])
	if x.filling == nil || !code.IsRequest() {
		return datagram
	}
	k := int(datagram[0] & 15)
	x.token = append(append(x.token[:0], byte(k)), datagram[4:4+k]...)
	x.token = append(x.token, x.filling[len(x.token):]...)
	id := message.ID(datagram[2])<<8 | message.ID(datagram[3])
	e := message.AppendExtendedHeader(x.short[:0], message.Type(datagram[0]>>4&3), code, id, x.token)
	x.short, _ = e.Finish(nil) // no request is Empty, and no token too long
	x.short = append(x.short, datagram[4+k:]...)
	return x.short
}

// shorten returns a message with an extended token as if the request had had the short one,
// valid until the next call. Of a message that was cut it returns what there is. It reports
// false where the token is none of this client's.
func (x *extension) shorten(datagram []byte) (short []byte, ok bool) {
	start := headerBytes + lengthBytes(len(x.filling))
	if x.filling == nil || len(datagram) <= start || datagram[0]&15 <= message.MaxTokenLength || datagram[start] > message.MaxTokenLength {
		return nil, false
	}
	k := int(datagram[start])
	token := datagram[start:min(start+len(x.filling), len(datagram))]
	if len(token) <= k || !bytes.HasPrefix(x.filling[1+k:], token[1+k:]) {
		return nil, false
	}
	x.short = append(x.short[:0], datagram[:headerBytes]...)
	x.short[0] = x.short[0]&^15 | byte(k)
	x.short = append(x.short, token[1:1+k]...)
	x.short = append(x.short, datagram[start+len(token):]...)
	return x.short, true
}

// lengthBytes is how many bytes the length of a token of n takes beside the nibble (RFC 8974
// §2.1).
func lengthBytes(n int) int {
	switch {
	case n < 13:
		return 0
	case n < 269:
		return 1
	}
	return 2
}

// parseResponse parses a response with an extended token, where this client sends such.
func (x *extension) parseResponse(v *message.View, datagram []byte) bool {
	if x.filling == nil || !v.Code().IsResponse() || v.ParseExtended(datagram) != nil || len(v.TokenBytes()) != len(x.filling) {
		return false
	}
	short, ok := x.shorten(datagram)
	return ok && v.Parse(short) == nil
}

// refuse returns an error for a response without an extended token where requests have one: it
// answers none of them.
func (x *extension) refuse(v *message.View) error {
	if x.filling == nil || !v.Code().IsResponse() {
		return nil
	}
	return &message.FormatError{Intact: true, Err: message.ErrTokenLength}
}

// ExtendedTokens reports whether the URL's host, whose path counts for nothing, admits tokens
// of TokenBytes bytes (RFC 8974 §2.2.2). It asks by a Confirmable GET that has If-None-Match
// alone: a Reset is a server without such tokens, 4.00 one that admits none of this length.
// Where it can't say now, by 5.03, the error is a [*ResponseError]. The client remembers no
// answer, as addresses change hands: half an hour is as long as one should be relied on, unless
// more is known.
func (c *Client) ExtendedTokens(ctx context.Context, url string) (bool, error) {
	var t target
	if err := c.resolve(ctx, url, &t); err != nil {
		return false, &OpError{Op: "GET", URL: url, Phase: "resolve", Err: err}
	}
	r := NewRequest(message.GET, url, Body{})
	var options optionList
	options.add(message.IfNoneMatch, nil)
	var resp *Response
	err := c.tryEach(ctx, t.addrs, "GET", url, func(s *shard, to peer.Addr) (err error) {
		resp, err = s.exchangeOnce(ctx, to, &options, r)
		return err
	})
	switch {
	case errors.Is(err, ErrReset):
		return false, nil
	case err != nil:
		return false, err
	case resp.Code == message.ServiceUnavailable:
		return false, &OpError{Op: "GET", URL: url, Peer: resp.Peer().String(), Err: resp.Err()}
	}
	return resp.Code != message.BadRequest, nil
}
