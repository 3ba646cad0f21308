package load

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/motewire/coap/message"
)

// A Request is one kind of request in a mix.
type Request struct {
	// Name tells the kind in results.
	Name string
	// Share is how many requests are of this kind, of as many as all shares together;
	// default 1.
	Share int
	// Code, NonConfirmable, Options and Payload are as those of [Config].
	Code           message.Code
	NonConfirmable bool
	Options        []message.Option
	Payload        []byte
}

// A KindResult is what came of the requests of one kind.
type KindResult struct {
	Sent, Answered uint64
	Latency        Histogram
}

// A kind is a Request ready to be sent.
type kind struct {
	Request
	number   int
	template []byte // the message without message ID and token, where it is one alone
	szx      uint8  // of the blocks to send, and to ask for
	divided  bool   // the body goes in blocks
}

// maxShares bounds the sum of all shares.
const maxShares = 10_000

// kinds returns the kinds of requests, at least one.
func (c *Config) kinds() ([]*kind, error) {
	mix := c.Mix
	if len(mix) == 0 {
		mix = []Request{{Code: c.Code, NonConfirmable: c.NonConfirmable, Options: c.Options, Payload: c.Payload}}
	}
	szx, ok := message.SZXForSize(c.BlockSize)
	if c.BlockSize == 0 {
		szx, ok = message.MaxSZX, true
	}
	if !ok {
		return nil, fmt.Errorf("load: blocks of %d bytes", c.BlockSize)
	}
	var all []*kind
	shares := 0
	for i, r := range mix {
		orDefault(&r.Code, message.GET)
		orDefault(&r.Share, 1)
		if shares += r.Share; r.Share < 0 || shares > maxShares {
			return nil, fmt.Errorf("load: shares of a mix are not within 1 to %d together", maxShares)
		}
		k := &kind{Request: r, number: i, szx: szx, divided: len(r.Payload) > 16<<szx}
		if c.BlockSize > 0 && len(r.Payload) == 0 {
			k.Options = append(append([]message.Option(nil), k.Options...), blockOption(message.Block2, message.Block{SZX: szx}))
			message.SortOptions(k.Options)
		}
		var err error
		if k.template, err = k.encode(nil, k.Options, k.Payload[:min(len(k.Payload), 16<<szx)]); err != nil {
			return nil, err
		}
		all = append(all, k)
	}
	return all, nil
}

// encode appends a message without message ID and token.
func (k *kind) encode(buf []byte, options []message.Option, payload []byte) ([]byte, error) {
	t := message.Confirmable
	if k.NonConfirmable {
		t = message.NonConfirmable
	}
	token, _ := message.MakeToken(make([]byte, tokenLength))
	e := message.AppendHeader(buf, t, k.Code, 0, token)
	for _, o := range options {
		e.Option(o.Number, o.Value)
	}
	b, err := e.Finish(payload)
	if err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	return b, nil
}

// schedule returns the order in which the kinds take turns.
func schedule(kinds []*kind) []*kind {
	var turns []*kind
	for _, k := range kinds {
		for range k.Share {
			turns = append(turns, k)
		}
	}
	rand.Shuffle(len(turns), func(i, j int) { turns[i], turns[j] = turns[j], turns[i] })
	return turns
}

// compose puts the next message of a slot's request into its buffer, but for the message ID
// and token.
func (s *slot) compose() {
	k := s.kind
	if !k.divided && !s.down {
		s.buf = append(s.buf[:0], k.template...)
		return
	}
	options := make([]message.Option, 0, len(k.Options)+2)
	for _, o := range k.Options {
		if o.Number != message.Block2 {
			options = append(options, o)
		}
	}
	var payload []byte
	if s.down {
		options = append(options, blockOption(message.Block2, s.block))
	} else {
		payload = k.Payload[s.block.Offset():min(s.block.Offset()+s.block.Size(), len(k.Payload))]
		options = append(options, blockOption(message.Block1, s.block))
	}
	if k.divided { // RFC 9175 §3.3: transfers from one port may overlap
		options = append(options, message.Option{Number: message.RequestTag, Value: binary.BigEndian.AppendUint32(nil, s.tag)})
	}
	message.SortOptions(options)
	s.buf, _ = k.encode(s.buf[:0], options, payload) // as the first one could be
}

// blockOption returns an option with a block, as few bytes as possible (RFC 7252 §3.2).
func blockOption(n message.OptionNumber, b message.Block) message.Option {
	value := binary.BigEndian.AppendUint32(nil, b.Encode())
	return message.Option{Number: n, Value: bytes.TrimLeft(value, "\x00")}
}

// first makes a slot's request begin.
func (s *slot) first(k *kind, tag uint32) {
	s.kind, s.tag, s.down = k, tag, false
	s.block = message.Block{SZX: k.szx, More: k.divided}
}

var errBroken = errors.New("load: a transfer that can't go on")

// further takes the response in v as part of a transfer in blocks (RFC 7959). It reports
// whether another message is to follow.
func (s *slot) further(v *message.View) (more bool, err error) {
	if s.kind.divided && !s.down && v.Code() == message.Continue {
		b, ok := v.Block1()
		if !ok || !b.Valid() || b.Num != s.block.Num || !s.block.More {
			return false, errBroken
		}
		offset := s.block.Offset() + s.block.Size()
		szx := min(b.SZX, s.block.SZX) // §2.3: the server may want smaller ones
		s.block = message.Block{Num: uint32(offset >> (szx + 4)), SZX: szx}
		s.block.More = offset+s.block.Size() < len(s.kind.Payload)
		return true, nil
	}
	b, ok := v.Block2()
	switch {
	case !ok && !s.down:
		return false, nil
	case !ok || !b.Valid() || s.down && b.Offset() != s.block.Offset():
		return false, errBroken
	}
	s.down, s.block = true, message.Block{Num: b.Num + 1, SZX: b.SZX}
	return b.More, nil
}
